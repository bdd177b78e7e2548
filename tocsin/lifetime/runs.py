"""The runs that a node leaves behind when it stops, and those that it finds when it starts, by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from actors.lanes import Lane
from actors.model.execution import Execution
from actors.model.lifecycle import State
from actors.node import Node
from actors.store.answers import ExecutionDetail
from runtime.clock import SECOND, Instant, to_datetime
from runtime.errors import NotFound, TocsinError

MOST_NAMED: Final = 10
"""Runs named in one message; of more than these only their number is told."""

MOST_READ: Final = 500
"""Tasks looked at: as many as a node has slots, and more."""

MOST_CHECKPOINT: Final = 60
"""Characters shown of a checkpoint."""


@attrs.frozen
class Run:
    """A run with the name of its task. `kept`: whether the store still has it when the process has ended."""

    name: str
    execution: Execution
    kept: bool = True


async def going_on(node: Node) -> list[Run]:
    """What this process runs now, the longest first."""
    found: list[Run] = []
    for lane in node.lanes:
        ids = await node.world.blocking(lane.store.orphans, [], MOST_READ, lane=lane.reader)
        found += [
            run
            for run in await _open_runs(node, lane, ids)
            if run.execution.state is State.RUNNING and run.execution.boot == node.boot
        ]
    return sorted(found, key=lambda run: run.execution.started_at or 0)


async def left_behind(node: Node, before: Instant) -> list[Run]:
    """What an earlier life of this node began before that instant and did not bring to an end, the oldest first."""
    lane = node.lanes[0]
    ids: dict[str, None] = {}
    # What is claimed meanwhile moves from the one list to the other: whoever looks at both ends misses nothing.
    ids.update(dict.fromkeys(await node.world.blocking(lane.store.orphans, [], MOST_READ, lane=lane.reader)))
    ids.update(dict.fromkeys(await node.world.blocking(lane.store.waiting, MOST_READ, lane=lane.reader)))
    ids.update(dict.fromkeys(await node.world.blocking(lane.store.orphans, [], MOST_READ, lane=lane.reader)))
    found = [
        run
        for run in await _open_runs(node, lane, list(ids))
        if run.execution.first_started_at is not None and run.execution.first_started_at < before
    ]
    cut = [run for run in found if await _was_cut(node, run, before)]
    return sorted(cut, key=lambda run: run.execution.first_started_at or 0)


async def _open_runs(node: Node, lane: Lane, ids: Sequence[str]) -> list[Run]:
    tasks = await node.world.blocking(lane.store.tasks, ids, lane=lane.reader)
    kept = lane is node.lanes[0]
    return [Run(task.definition.name, one, kept) for task in tasks for one in task.open]


async def _was_cut(node: Node, run: Run, before: Instant) -> bool:
    """Whether the last attempt that this node began before that instant was interrupted by a stop or a crash."""
    try:
        detail = await node.execution(run.execution.id)
    except NotFound:
        return False
    earlier = [one for one in detail.attempts if one.started_at < before and one.node == node.config.name]
    if not earlier:
        return False
    last = earlier[-1]
    stopped = last.failure is not None and last.failure.type == "Interrupted"
    return last.boot != node.boot and (stopped or last.state in (State.CRASHED, State.RUNNING))


async def how_they_go_on(node: Node, runs: Iterable[Run]) -> list[str]:
    """Of each run that has not ended, in words, how it will go on."""
    told: list[str] = []
    for run in runs:
        try:
            detail = await node.execution(run.execution.id)
        except TocsinError:
            continue
        if detail.execution.is_open:
            told.append(f"{run.name} {_how(run, detail)}")
    return told


def _how(run: Run, detail: ExecutionDetail) -> str:
    if not run.kept:
        return "does not go on: it is not persistent"
    if detail.checkpoint is None:
        return "starts again from the beginning: it had no checkpoint"
    text = detail.checkpoint
    shown = text if len(text) <= MOST_CHECKPOINT else f"{text[:MOST_CHECKPOINT]}..."
    return f"goes on from its checkpoint {shown}"


def described(runs: Sequence[Run], now: Instant) -> str:
    """Runs by name and since when: "2 runs go on: import (since 19:41:18, 13 s), report (since ...)"."""
    names = [f"{run.name} ({_since(run.execution, now)})" for run in runs]
    return f"{counted(len(runs))} {'goes' if len(runs) == 1 else 'go'} on: {listed(names, ', ')}"


def counted(number: int) -> str:
    """How many runs."""
    return "1 run" if number == 1 else f"{number} runs"


def listed(texts: Sequence[str], between: str = "; ") -> str:
    """The first of them, and how many more there are."""
    more = [f"and {len(texts) - MOST_NAMED} more"] if len(texts) > MOST_NAMED else []
    return between.join([*texts[:MOST_NAMED], *more])


def _since(execution: Execution, now: Instant) -> str:
    if execution.started_at is None:
        return "about to start"
    seconds = max(0, now - execution.started_at) / SECOND
    return f"since {to_datetime(execution.started_at).astimezone():%H:%M:%S}, {seconds:.0f} s"
