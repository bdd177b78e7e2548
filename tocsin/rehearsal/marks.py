"""Situations that are rare, and in which schedulers go wrong: a rehearsal that never reaches them has shown little.

Each is told from what really happened: the history of a run, what its stage noted, and what its nodes said. `MARKS` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import attrs

from ..checker.history import History, Line, Row, Span, Task
from .plan import FaultKind
from .run import Rehearsed

TAKEOVER: Final = "takeover"
STALE_WRITE_REFUSED: Final = "stale write refused"
RESUMED: Final = "resumed checkpoint"

STALE: Final = ("StaleEpoch", "StaleFence", "LeaseLost")
"""Refusals of what comes too late."""

RACE: Final = 1_000_000
"""Microseconds between what is said to race: the way of a request through the cluster."""


@attrs.frozen
class Mark:
    """A situation. reached: whether a run was in it."""

    name: str
    about: str
    reached: Callable[[Rehearsed], bool]


def marks_of(rehearsed: Rehearsed) -> tuple[str, ...]:
    """The situations that a run was in."""
    return tuple(mark.name for mark in MARKS if mark.reached(rehearsed))


# -- what the history is looked at for


class Looked:
    """A history, put in order. starts, ends: lines by execution and attempt. steps: the lines of each attempt, in order."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.steps: dict[tuple[str, int], list[Line]] = {}
        for line in history.lines:
            self.steps.setdefault((line.execution, line.attempt), []).append(line)

    def spans(self, *kinds: str) -> list[Span]:
        """The faults of some kinds."""
        return [span for span in self.history.spans if span.kind in kinds]

    def covers(self, span: Span, at: int) -> bool:
        """Whether it lasts at an instant."""
        return span.begin <= at <= (self.history.ended_at if span.end is None else span.end)

    def down(self, process: str, at: int) -> bool:
        """Whether a process stood still or was dead."""
        return any(span.subject == process and self.covers(span, at) for span in self.spans("frozen", "dead"))

    def successors(self) -> Iterator[tuple[list[Line], Line]]:
        """What an attempt wrote, and the first line of one of its execution that began later."""
        for (execution, attempt), lines in self.steps.items():
            later = self.steps.get((execution, attempt + 1))
            if later is not None:
                yield lines, later[0]

    def tasks(self, *requests: str) -> Iterator[tuple[Task, int, int]]:
        """Tasks of which something was asked and granted, and from when to when that took."""
        known = {task.id: task for task in self.history.tasks}
        for one in self.history.requests:
            if one.verb in requests and one.answer == "ok" and one.answered_at is not None and one.task in known:
                yield known[one.task], one.asked_at, one.answered_at


def _node(process: str) -> str:
    return process.rpartition(".")[0]


# -- what takes work and ownership away


def _takeover(rehearsed: Rehearsed) -> bool:
    history = rehearsed.history
    first = min((span.begin for span in history.spans if span.kind != "paused"), default=history.ended_at)
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
    return any(line.kind == "start" and line.position is not None for line in rehearsed.history.lines)


def _resumed_elsewhere(rehearsed: Rehearsed) -> bool:
    return any(
        start.position is not None and _node(start.process) != _node(lines[0].process)
        for lines, start in Looked(rehearsed.history).successors()
    )


def _checkpoint_cut(rehearsed: Rehearsed) -> bool:
    """The last line that an attempt wrote before its successor began was that it tried to keep a checkpoint, and its process was
    gone, or stood still, when the successor began."""
    looked = Looked(rehearsed.history)
    for lines, start in looked.successors():
        before = [line for line in lines if line.at <= start.at]
        if before and before[-1].kind == "trying" and looked.down(lines[0].process, start.at):
            return True
    return False


def _beside_successor(rehearsed: Rehearsed) -> bool:
    """Something was done by an attempt after its successor had begun."""
    return any(
        line.at > start.at and line.kind in ("trying", "kept", "effect", "end")
        for lines, start in Looked(rehearsed.history).successors()
        for line in lines
    )


def _crash_retried_elsewhere(rehearsed: Rehearsed) -> bool:
    return any(
        start.position is None
        and _node(start.process) != _node(lines[0].process)
        and lines[-1].kind not in ("cut", "end")
        for lines, start in Looked(rehearsed.history).successors()
    )


def _held(rehearsed: Rehearsed) -> bool:
    tasks = (task for task in rehearsed.history.tasks if task.on_crash == "hold")
    return any(one.state == "CRASHED" for task in tasks for one in task.executions)


def _replaced_frozen(rehearsed: Rehearsed) -> bool:
    """An execution of a task that replaces began while the process of an earlier one, which had not ended, stood still."""
    looked = Looked(rehearsed.history)
    replacing = {task.id for task in rehearsed.history.tasks if task.overlap == "replace"}
    begun = [lines[0] for lines in looked.steps.values() if lines[0].task in replacing]
    for frozen in looked.spans("frozen"):
        running = [
            (lines[0].task, lines[0].execution)
            for lines in looked.steps.values()
            if lines[0].task in replacing
            and lines[0].process == frozen.subject
            and lines[0].at <= frozen.begin <= lines[-1].at
            and lines[-1].at >= (frozen.end or 0)
        ]
        later = [line for line in begun if looked.covers(frozen, line.at)]
        if any(line.task == task and line.execution != execution for line in later for task, execution in running):
            return True
    return False


# -- what people ask for at a bad moment


def _cancel_raced(rehearsed: Rehearsed) -> bool:
    """A handler came to its end within the way of a request that cancelled its task."""
    looked = Looked(rehearsed.history)
    ends = [lines[-1] for lines in looked.steps.values() if lines[-1].kind == "end"]
    return any(
        line.task == task.id and asked - RACE <= line.at <= answered + RACE
        for task, asked, answered in looked.tasks("cancel")
        for line in ends
    )


def _running(looked: Looked, task: str, at: int) -> bool:
    return any(
        lines[0].task == task and lines[0].at < at < lines[-1].at and lines[-1].kind in ("end", "cut")
        for lines in looked.steps.values()
    )


def _deleted_running(rehearsed: Rehearsed) -> bool:
    looked = Looked(rehearsed.history)
    asked = [(task.id, at) for task, at, _ in looked.tasks("delete")]
    return any(_running(looked, task, at) for task, at in asked)


def _edited_in_downtime(rehearsed: Rehearsed) -> bool:
    looked = Looked(rehearsed.history)
    spans = looked.spans(FaultKind.KILL, FaultKind.FREEZE)
    return any(looked.covers(span, asked) for _, asked, _ in looked.tasks("edit") for span in spans)


def _answer_lost(rehearsed: Rehearsed) -> bool:
    return any(one.answer == "unknown" for one in rehearsed.history.requests)


# -- time


def _slots(rehearsed: Rehearsed) -> Iterator[Row]:
    return (row for task in rehearsed.history.tasks for row in task.rows)


def _stepped(rehearsed: Rehearsed, sign: int) -> bool:
    """A nominal time lay in what a clock left out, or went through again."""
    begins = {span.begin for span in rehearsed.history.spans if span.kind == FaultKind.STEP_CLOCK}
    steps = [fault for fault in rehearsed.plan.faults if fault.kind is FaultKind.STEP_CLOCK and fault.amount * sign > 0]
    wide = max((abs(round(fault.amount * 1_000_000)) for fault in steps), default=0)
    ranges = [(begin, begin + wide) if sign > 0 else (begin - wide, begin) for begin in begins] if wide else []
    return any(low <= row.first <= high for row in _slots(rehearsed) for low, high in ranges)


def _dead_node_of_all(rehearsed: Rehearsed) -> bool:
    """A nominal time of a task that runs on all nodes came while one of them was dead."""
    looked = Looked(rehearsed.history)
    dead = looked.spans(FaultKind.KILL)
    rows = (row for task in rehearsed.history.tasks if task.everywhere for row in task.rows)
    return any(looked.covers(span, row.first) for row in rows for span in dead)


def _missed(rehearsed: Rehearsed) -> bool:
    return any(row.outcome == "missed" for row in _slots(rehearsed))


def _started_during(*kinds: FaultKind) -> Callable[[Rehearsed], bool]:
    def reached(rehearsed: Rehearsed) -> bool:
        looked = Looked(rehearsed.history)
        spans = looked.spans(*kinds)
        starts = [line for line in rehearsed.history.lines if line.kind == "start"]
        # The first second is that of what was claimed before.
        return any(span.begin + RACE < line.at and looked.covers(span, line.at) for line in starts for span in spans)

    return reached


def _both_halves(rehearsed: Rehearsed) -> bool:
    """Both ends of a link on which nothing passes began something meanwhile."""
    looked = Looked(rehearsed.history)
    cuts = looked.spans(FaultKind.CUT)
    starts = [line for line in rehearsed.history.lines if line.kind == "start"]
    alive = {
        (span.begin, span.subject)
        for span in cuts
        for line in starts
        if _node(line.process) == span.subject and looked.covers(span, line.at)
    }
    begins = [begin for begin, _ in alive]
    return any(begins.count(begin) > 1 for begin in begins)


# -- what the stage noted and the nodes said


def _noted(text: str) -> Callable[[Rehearsed], bool]:
    return lambda rehearsed: bool(rehearsed.noted.get(text))


def _said(text: str) -> Callable[[Rehearsed], bool]:
    return lambda rehearsed: bool(rehearsed.said.get(text))


def _refused(error: str) -> Callable[[Rehearsed], bool]:
    return lambda rehearsed: bool(rehearsed.refused.get(error))


DOUBT: Final = "The lease of this process was not renewed in time: what runs is ended"
BURIED: Final = "This process counts as dead, its lease had lapsed: it goes on as %s, not as %s"
NO_COMMIT: Final = "the store cannot commit: %s"
SUSPECTED: Final = "%s (%s) seems to be gone"
ORPHANS: Final = "Tasks that ran under a process that died: %d"
OWNS_NOTHING: Final = "This node owns nothing: %s"

MARKS: Final = (
    Mark(TAKEOVER, "after a fault a partition's tasks are written by another process", _takeover),
    Mark(
        STALE_WRITE_REFUSED, "the store refuses a write of a superseded owner, attempt or lease", _stale_write_refused
    ),
    Mark(RESUMED, "an execution goes on from its checkpoint", _resumed),
    Mark("resumed elsewhere", "an execution goes on from its checkpoint on another node", _resumed_elsewhere),
    Mark(
        "checkpoint cut", "a process dies or stands still between a checkpoint's begin and its answer", _checkpoint_cut
    ),
    Mark("crash begun anew", "what ran on a node that is gone begins anew on another", _crash_retried_elsewhere),
    Mark("crash held", "a crashed execution waits for a person", _held),
    Mark(
        "beside its successor",
        "a process that stood still acts after its attempt was given to another",
        _beside_successor,
    ),
    Mark("zombie refused", "a process that stood still writes, and is refused", _noted("a zombie was refused")),
    Mark("replaced while frozen", "a replacement begins while what it replaces stands still", _replaced_frozen),
    Mark("lease doubted", "a node cannot renew its lease, and ends what it runs", _said(DOUBT)),
    Mark("boot buried", "a process finds that it counts as dead", _said(BURIED)),
    Mark("orphans recovered", "what ran under dead processes is taken up", _said(ORPHANS)),
    Mark("node suspected", "gossip takes a node for gone", _said(SUSPECTED)),
    Mark("owns nothing", "something stands against owning, and a node gives all up", _said(OWNS_NOTHING)),
    Mark(
        "leader fell while assigning",
        "who leads is gone while partitions have no owner",
        _noted("a leader fell during an assignment"),
    ),
    Mark(
        "owner's session ended",
        "the coordination servers end the session of an owner",
        _noted("an owner's session was ended"),
    ),
    Mark("owner drained", "an owner is told to give its partitions up", _noted("an owner was drained")),
    Mark(
        "restarted within its session",
        "a node begins anew before its former session has lapsed",
        _noted("a node began within its former session"),
    ),
    Mark(
        "lost reply of a create",
        "an ephemeral node is made, and its maker does not hear of it",
        _noted("the answer to an ephemeral node's creation was lost"),
    ),
    Mark("both halves alive", "nodes that hear nothing of each other both begin something", _both_halves),
    Mark(
        "started without coordination",
        "something begins while no coordination server answers",
        _started_during(FaultKind.LOSE_QUORUM, FaultKind.FREEZE_COORDINATION),
    ),
    Mark(
        "commit unknown, done",
        "the answer to a commit is lost, which was carried out",
        _noted("a commit without an answer was carried out"),
    ),
    Mark(
        "commit unknown, not done",
        "the answer to a commit is lost, which was not carried out",
        _noted("a commit without an answer was not carried out"),
    ),
    Mark("store lost while settling", "a keeper's commit finds no store", _said(NO_COMMIT)),
    Mark("store full", "a commit finds a full disk", _noted("a commit to a full store")),
    Mark("torn write undone", "of a write only a part is on the disk after a crash", _noted("a torn write was undone")),
    Mark(
        "torn write whole",
        "a crash comes when a write is on the disk, and not answered",
        _noted("a torn write was whole"),
    ),
    Mark("decided twice", "two nodes decide on one task at the same time", _refused("StaleVersion")),
    Mark("key limit refused", "a claim is refused by the limit of its concurrency key", _refused("LimitReached")),
    Mark("cancel raced", "a task is cancelled as its handler comes to its end", _cancel_raced),
    Mark("deleted while running", "a task is deleted while its handler runs", _deleted_running),
    Mark("edited in a downtime", "a task is edited while a node is dead or stands still", _edited_in_downtime),
    Mark("answer lost", "who asked does not hear what came of it", _answer_lost),
    Mark("run asked twice", "one run is asked for of two nodes at once", _noted("a run was asked for twice")),
    Mark("purged while paused", "history is purged while tasks are paused", _noted("purged while paused")),
    Mark("dead node of all", "a task of all nodes is due while one of them is dead", _dead_node_of_all),
    Mark("missed", "a nominal time passes in a downtime", _missed),
    Mark("clock over a due time", "a clock steps forward over a nominal time", lambda one: _stepped(one, 1)),
    Mark("clock back before a due time", "a clock steps back behind a nominal time", lambda one: _stepped(one, -1)),
)
