"""What becomes of one more execution while former ones of its task are open: one rule for the trigger and for runs by hand.

Of a task that runs on all nodes each execution has a `target`, and overlap counts per node: what is for another node is not
looked at. One without a target may be on any node, so it counts for all of them, and all count for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, assert_never

from runtime.records import record

from ..model.execution import Execution, WaitsFor
from ..model.lifecycle import State
from ..model.policy import Overlap, Policies


@record
class Room:
    """The answer. `blocker`: the open execution that is named; None: there is none, or overlap is allowed.

    `refused`: the new one does not come to be. Else it waits for overlap if `waits`. `replaced`: what has to go for it, the
    newest first, so that the end of one lets none of the others begin.
    """

    blocker: Execution | None = None
    refused: bool = False
    waits: bool = False
    replaced: tuple[Execution, ...] = ()


FREE: Final = Room()
WAITS: Final = Room(waits=True)


def room(
    policies: Policies, executions: Sequence[Execution], *, caught_up: bool = False, target: str | None = None
) -> Room:
    """Whether one more execution may run beside these, the task's. `caught_up`: it is one of many that catch-up `all` runs.

    Those wait for one another whatever the overlap policy says, except `allow`: who asks for all of them wants them run.
    `target`: the node that it is for.
    """
    if target is not None:
        executions = concerning(executions, target)
    blocker = blocker_of(executions)
    if blocker is None or policies.overlap is Overlap.ALLOW:
        return FREE
    if caught_up:
        return Room(blocker, waits=True)
    match overlap := policies.overlap:
        case Overlap.SKIP:
            return Room(blocker, refused=True)
        case Overlap.QUEUE:
            return _queue(blocker, executions, 1)
        case Overlap.QUEUE_ALL:
            return _queue(blocker, executions, policies.overlap_limit)
        case Overlap.REPLACE:
            replaced = tuple(entry for entry in reversed(executions) if entry.is_open and not entry.lingers)
            stays = any(occupies(entry) for entry in executions)
            return Room(blocker, waits=stays, replaced=replaced)
        case _:
            assert_never(overlap)


def _queue(blocker: Execution, executions: Iterable[Execution], limit: int) -> Room:
    full = sum(entry.waits_for is WaitsFor.OVERLAP for entry in executions) >= limit
    return Room(blocker, refused=full, waits=not full)


def concerning(executions: Iterable[Execution], target: str) -> list[Execution]:
    """Those that count for what is for this node: its own, and those that may be on any."""
    return [entry for entry in executions if entry.target is None or entry.target == target]


def blocker_of(executions: Iterable[Execution]) -> Execution | None:
    """Who is named: one that runs or has not returned, else the oldest that waits."""
    oldest: Execution | None = None
    for entry in executions:
        if occupies(entry):
            return entry
        if oldest is None and entry.is_open:
            oldest = entry
    return oldest


def occupies(execution: Execution) -> bool:
    """Whether its handler may be at work at this moment."""
    return execution.state is State.RUNNING or execution.lingers


def next_to_go(executions: Iterable[Execution]) -> Execution | None:
    """The execution whose wait for the former ones is over: the oldest of those that wait, if nothing else holds it back.

    Anything at work holds it back, and anything open that is older.
    """
    first: Execution | None = None
    for entry in executions:
        if occupies(entry):
            return None
        if entry.is_open and (first is None or entry.id < first.id):
            first = entry
    return first if first is not None and first.waits_for is WaitsFor.OVERLAP else None


def all_to_go(executions: Iterable[Execution]) -> tuple[Execution, ...]:
    """The same for every node that an execution is for: at most one of each, or the one that is for any."""
    entries = list(executions)
    found: list[Execution] = []
    for target in dict.fromkeys(entry.target for entry in entries):
        first = next_to_go(entries if target is None else concerning(entries, target))
        if first is not None and first.target == target:
            found.append(first)
    return tuple(found)
