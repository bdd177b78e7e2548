"""Situations that are rare, and in which schedulers go wrong: a rehearsal that never reaches them has shown little.

Each is told from what really happened: the history of a run, and what its stage counted. `MARKS` lists them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from .history import History, Line
from .run import Rehearsed

TAKEOVER: Final = "takeover"
STALE_WRITE_REFUSED: Final = "stale write refused"
RESUMED: Final = "resumed checkpoint"

STALE: Final = ("StaleEpoch", "StaleFence", "LeaseLost")
"""Refusals of what comes too late."""


@attrs.frozen
class Mark:
    """A situation. reached: whether a run was in it."""

    name: str
    about: str
    reached: Callable[[Rehearsed], bool]


def marks_of(rehearsed: Rehearsed) -> tuple[str, ...]:
    """The situations that a run was in."""
    return tuple(mark.name for mark in MARKS if mark.reached(rehearsed))


def _takeover(rehearsed: Rehearsed) -> bool:
    """After a fault a partition's tasks were written under a higher epoch by another boot."""
    history = rehearsed.history
    faults = [span.begin for span in history.spans if span.kind != "paused"]
    first = min(faults, default=history.ended_at)
    holders: dict[int, tuple[int, str]] = {}
    for write in history.writes or ():
        epoch, boot = holders.get(write.partition, (0, write.boot))
        if write.accepted and write.epoch > epoch:
            if boot != write.boot and write.at > first:
                return True
            holders[write.partition] = write.epoch, write.boot
    return False


def _stale_write_refused(rehearsed: Rehearsed) -> bool:
    late = any(not one.accepted and one.epoch < one.highest for one in rehearsed.history.writes or ())
    return late or any(rehearsed.refused.get(name) for name in STALE)


def _resumed(rehearsed: Rehearsed) -> bool:
    return any(_resumes(rehearsed.history))


def _resumes(history: History) -> list[Line]:
    return [line for line in history.lines if line.kind == "start" and line.position is not None]


MARKS: Final = (
    Mark(TAKEOVER, "after a fault a partition's tasks are written by another process", _takeover),
    Mark(
        STALE_WRITE_REFUSED, "the store refuses a write of a superseded owner, attempt or lease", _stale_write_refused
    ),
    Mark(RESUMED, "an execution goes on from its checkpoint", _resumed),
)
