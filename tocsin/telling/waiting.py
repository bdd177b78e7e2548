"""What stands in the way of an execution at this moment, in words: who holds what it waits for, and what can be done."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

import attrs

from actors.keeper_queues import Holder, Lock, QueueUse
from actors.model.execution import CLAIMABLE, Execution, WaitsFor
from actors.model.lifecycle import State
from actors.model.peer import Peer, Standing
from actors.model.placement import Where
from actors.model.task import Definition
from actors.rules.placing import eligible
from actors.store.port import SchedulerPause

from ..vocabulary.fields import show_instant


@attrs.frozen
class Situation:
    """What the node knows about one execution that waits, or about a task's next times if `execution` is None.

    `lacks`: what is missing now, whatever was missing when it came. `lock`: the key that is held by others; `names`: of the tasks
    that hold it, by id. `parents`: which parents hold it. `blockers`: what else of its task is open. `nowhere`: why no node that
    takes work may run it, if that is so. `strategy`: what is wrong with the strategy that chooses a node, if something is.
    """

    execution: Execution | None = None
    paused: SchedulerPause | None = None
    lacks: WaitsFor | None = None
    lock: Lock | None = None
    queue: QueueUse | None = None
    names: Mapping[str, str] = attrs.field(factory=dict)
    parents: str | None = None
    blockers: tuple[Execution, ...] = ()
    nowhere: str | None = None
    strategy: str | None = None


def obstacle_lines(found: Situation) -> tuple[str, ...]:
    """What stands in the way, one line each; none if nothing does."""
    return tuple(_obstacles(found))


def _obstacles(found: Situation) -> Iterable[str]:
    if found.paused is not None:
        yield pause_line(found.paused)
    execution = found.execution
    if execution is None:
        return
    if found.nowhere is not None:
        yield found.nowhere
    if found.strategy is not None:
        yield f"Its {found.strategy}; least_loaded chooses in its place."
    match found.lacks:
        case WaitsFor.KEY if found.lock is not None:
            yield from _lock_lines(found.lock, found.names)
        case WaitsFor.QUEUE if found.queue is not None and found.queue.chosen:
            queue = found.queue
            yield f"The node's job queue (queue.use) says who of {queue.name!r} is next: {queue.waiting} wait to be named."
        case WaitsFor.QUEUE if found.queue is not None:
            queue = found.queue
            yield f"Its queue {queue.name!r} is full: {queue.running} of {queue.limit} run, {queue.waiting} wait."
        case WaitsFor.SLOT if found.queue is not None:
            yield f"All slots are taken; in its queue {found.queue.name!r} {found.queue.waiting} wait."
        case WaitsFor.DEPENDENCY if found.parents:
            yield f"What holds it: {found.parents}."
        case WaitsFor.OVERLAP:
            yield from (blocker_line(one) for one in found.blockers)
        case WaitsFor.GOVERNOR:
            when = (
                "as one of those before it has ended" if execution.due is None else f"at {show_instant(execution.due)}"
            )
            yield f"It makes up for a downtime, at the rate of the catch-up governor: it may start {when}."
        case None if execution.waits_for in CLAIMABLE and found.paused is None and found.nowhere is None:
            yield "Nothing is in its way any more: it starts at once."
    if execution.expires is not None and execution.first_started_at is None:
        yield f"It is given up if it has not started by {show_instant(execution.expires)}."


def nowhere(definition: Definition, execution: Execution, peers: Sequence[Peer]) -> str | None:
    """Why no node that takes work may run an execution; None if one may."""
    if eligible(definition, execution, peers):
        return None
    placement = definition.placement
    if execution.target is not None or placement.where is Where.NAMED:
        wanted = placement.nodes if execution.target is None else (execution.target,)
        return f"It is for {_either(wanted)}: {'; '.join(_standing(name, definition, peers) for name in wanted)}."
    if placement.where is Where.SELECTOR:
        labels = ", ".join(f"{name}={value}" for name, value in placement.labels)
        return f"It wants a node with {labels}: none that has the task type {definition.type!r} and takes work is like that."
    return f"No node that takes work has the task type {definition.type!r}."


def _either(names: Sequence[str]) -> str:
    return f"node {names[0]}" if len(names) == 1 else f"one of the nodes {', '.join(names)}"


def _standing(name: str, definition: Definition, peers: Sequence[Peer]) -> str:
    peer = next((one for one in peers if one.name == name), None)
    if peer is None:
        return f"no node {name} is known"
    if peer.standing is Standing.DEAD:
        return f"{name} is dead"
    if not peer.takes_work:
        return f"{name} takes no work now"
    return f"{name} has no task type {definition.type!r}"


def pause_line(pause: SchedulerPause) -> str:
    """That the whole scheduler is paused, by whom and why."""
    note = f" ({pause.note})" if pause.note else ""
    since = f"since {show_instant(pause.since)} by {pause.actor or 'nobody known'}"
    return f"The whole scheduler is paused {since}{note}; to go on: tocsin scheduler resume"


def _lock_lines(lock: Lock, names: Mapping[str, str]) -> Iterable[str]:
    yield f"Its concurrency key {lock.key!r} is taken: {len(lock.holders)} of {lock.limit} hold it, {lock.waiting} wait."
    for holder in lock.holders:
        yield _holder_line(holder, names)
    if any(holder.lingers for holder in lock.holders):
        yield f"To take the key from them: tocsin lock release {shlex.quote(lock.key)}"


def _holder_line(holder: Holder, names: Mapping[str, str]) -> str:
    name = names.get(holder.task_id)
    whose = f"task {holder.task_id}" if name is None else f"task {name!r}"
    lingers = ", whose abandoned handler has not returned" if holder.lingers else ""
    return f"Execution {holder.execution_id} of {whose} has it since {show_instant(holder.since)}{lingers}."


def blocker_line(one: Execution) -> str:
    """An execution that holds another one back, and what can be done about it."""
    if one.lingers:
        text = f"Execution {one.id} has ended {one.state}, but its abandoned handler has not returned"
        return f"{text}; to give it up: tocsin execution release {one.id}"
    if one.state is State.RUNNING:
        return f"Execution {one.id} runs since {show_instant(one.started_at)}."
    if one.waits_for is WaitsFor.RETRY:
        return f"Execution {one.id} waits for its retry at {show_instant(one.due)}."
    if one.state is State.CRASHED:
        return f"Execution {one.id} is held after a crash."
    return f"Execution {one.id} is {one.state}."
