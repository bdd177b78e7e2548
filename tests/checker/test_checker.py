"""The checker finds each kind of wrong in a history that is clean but for one thing, and that one alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from tests.checker.histories import BEGIN, SECOND, Story, Tale, sec
from tocsin.checker.checker import check
from tocsin.checker.history import Execution, History, Lease, Line, Ownership, Row, Task, Write
from tocsin.checker.verdict import Kind


def clean() -> Story:
    """A run in which a bit of everything goes right.

    From second 40 to 60 node n2 is frozen in its first life; at 70 n1 dies and begins its second life at 75.
    """
    story = Story(seconds=205)
    story.fault("frozen", "n2.1", 40, 60)
    story.fault("dead", "n1.1", 70)
    tick = story.task("tick", overlap="allow")
    for n in range(1, 21):
        tick.fire(sec(10 * n), process="n3.1")
    _long(story)
    _held(story)
    _limited(story)
    _by_hand(story)
    _paused(story)
    _cancelled(story)
    _everywhere(story)
    _owned(story)
    return story


def _long(story: Story) -> None:
    """Its process is frozen at work, it goes on elsewhere from its checkpoint; its next slots are skipped meanwhile."""
    tale = story.task("long", {"every": 30 * SECOND, "anchor": BEGIN}, settled_through=sec(180))
    key = tale.execution("long@30", sec(30))
    tale.attempt(key, sec(30), sec(48), "n2.1", state="CRASHED", keeps=(1, 2), comes_back=False)
    tale.attempt(key, sec(49), sec(65), "n1.1", position=2, keeps=(3,))
    # What the frozen process does at its thaw.
    tale.lines.append(Line("effect", "n2.1", tale.task.id, key, 1, 1, sec(60.2), sec(30), key="mail"))
    tale.lines.append(Line("cut", "n2.1", tale.task.id, key, 1, 1, sec(60.3), sec(30)))
    tale.row(sec(60), sec(60), 1, "skipped", "overlap", key)
    key = tale.execution("long@90", sec(90), created_at=sec(95))
    tale.attempt(key, sec(95), sec(100), "n3.1")
    for n in (120, 150, 180):
        tale.fire(sec(n), process="n1.2")


def _held(story: Story) -> None:
    """It crashes with its process, and somebody resumes it."""
    tale = story.task("held", {"at": sec(65)}, on_crash="hold", phase="finished", settled_through=sec(65))
    key = tale.execution("held@65", sec(65))
    tale.attempt(key, sec(65), sec(78), "n1.1", state="CRASHED", comes_back=False)
    story.ask("resume", tale, 100)
    tale.attempt(key, sec(101), sec(102), "n1.2")


def _limited(story: Story) -> None:
    tale = story.task("limited", max_runs=3, phase="finished", settled_through=sec(30))
    for n in (10, 20, 30):
        tale.fire(sec(n))


def _by_hand(story: Story) -> None:
    tale = story.task("by hand", {"at": sec(500)}, on_crash="rerun", max_retries=2)
    for number, at in enumerate((5, 6)):
        story.ask("run", tale, at, key=f"run {number}")
        key = tale.execution(f"run {number}", created_at=sec(at))
        tale.attempt(key, sec(at), sec(at + 0.1), "n3.1", state="FAILED")
        tale.attempt(key, sec(at + 0.2), sec(at + 0.3), "n3.1")


def _paused(story: Story) -> None:
    tale = story.task("paused", catch_up="all")
    story.ask("pause", tale, 21)
    story.ask("resume", tale, 61)
    tale.row(sec(30), sec(60), 4, "skipped", "paused")
    for n in (10, 20, *range(70, 201, 10)):
        tale.fire(sec(n), process="n3.1")


def _cancelled(story: Story) -> None:
    tale = story.task("cancelled", phase="cancelled", settled_through=sec(42))
    for n in (10, 20, 30, 40):
        tale.fire(sec(n), process="n3.1")
    story.ask("cancel", tale, 42)


def _everywhere(story: Story) -> None:
    tale = story.task("everywhere", {"every": 60 * SECOND, "anchor": BEGIN}, everywhere=True, settled_through=sec(180))
    for n in (60, 120, 180):
        for node in ("n1.2", "n3.1") if n > 70 else ("n1.1", "n3.1"):
            key = tale.execution(f"{node} {n}", sec(n), target=node[:2])
            tale.attempt(key, sec(n), sec(n + 1), node)


def _owned(story: Story) -> None:
    story.partitions = 2
    story.ownership = Ownership(
        {"n1": frozenset({0}), "n2": frozenset(), "n3": frozenset({1})},
        {0: "n1.2 lease", 1: "n3.1 lease"},
        {"n1.2 lease": "n1", "n2.2 lease": "n2", "n3.1 lease": "n3"},
    )
    story.writes = [
        Write(sec(10), "n1.1 lease", 0, 1, 1, accepted=True, what="settle"),
        Write(sec(60), "n1.1 lease", 0, 1, 2, accepted=False, what="settle"),
        Write(sec(61), "n1.2 lease", 0, 2, 2, accepted=True, what="settle"),
    ]


def test_the_clean_history_is_clean() -> None:
    verdict = check(clean().told())
    assert verdict.violations == (), verdict.report()
    assert {one.kind for one in verdict.excused} == {"duplicate", "late", "overlap", "zombie_effect"}


# -- changes: of the tale of one task, or of the whole history


def tale_of(story: Story, name: str) -> Tale:
    return next(tale for tale in story.tales if tale.task.name == name)


def task_of(history: History, name: str) -> Task:
    return next(task for task in history.tasks if task.name == name)


def changed(history: History, name: str, **changes: Any) -> History:
    """Another definition of one task."""
    tasks = tuple(attrs.evolve(one, **changes) if one.name == name else one for one in history.tasks)
    return attrs.evolve(history, tasks=tasks)


def execution_changed(history: History, key: str, **changes: Any) -> History:
    """Another state of one execution."""

    def change(one: Execution) -> Execution:
        return attrs.evolve(one, **changes) if one.id == key else one

    tasks = tuple(attrs.evolve(task, executions=tuple(map(change, task.executions))) for task in history.tasks)
    return attrs.evolve(history, tasks=tasks)


def attempt_changed(history: History, key: str, number: int, **changes: Any) -> History:
    """Another attempt in the store."""
    one = next(one for task in history.tasks for one in task.executions if one.id == key)
    attempts = tuple(attrs.evolve(each, **changes) if each.number == number else each for each in one.attempts)
    return execution_changed(history, key, attempts=attempts)


def without_lines(history: History, choose: Callable[[Line], bool]) -> History:
    return attrs.evolve(history, lines=tuple(line for line in history.lines if not choose(line)))


def lines_changed(history: History, choose: Callable[[Line], bool], **changes: Any) -> History:
    lines = (attrs.evolve(line, **changes) if choose(line) else line for line in history.lines)
    return attrs.evolve(history, lines=tuple(lines))


def with_lines(history: History, *lines: Line) -> History:
    return attrs.evolve(history, lines=tuple(sorted((*history.lines, *lines), key=lambda line: line.at)))


def without_execution(history: History, name: str, key: str) -> History:
    kept = tuple(one for one in task_of(history, name).executions if one.id != key)
    history = changed(history, name, executions=kept)
    return without_lines(history, lambda line: line.execution == key)


def with_execution(history: History, name: str, **more: Any) -> History:
    """A further execution of a task, one that has run by the store and by the record."""
    task = task_of(history, name)
    tale = Tale(task, fence=task.fence)
    at = more.pop("at")
    key = tale.execution("further", **{"created_at": at} | more)
    tale.attempt(key, at, at + 100_000, "n3.1")
    history = changed(history, name, fence=tale.fence, executions=(*task.executions, tale.executions[key]))
    return with_lines(history, *tale.lines)


def is_start(key: str, number: int = 1) -> Callable[[Line], bool]:
    return lambda line: (line.kind, line.execution, line.attempt) == ("start", key, number)


def with_requests(history: History, *wanted: tuple[str, str, float, str], key: str | None = None) -> History:
    story = Story()
    for name, verb, at, answer in wanted:
        story.ask(verb, Tale(task_of(history, name)), at, answer, key=key)
    return attrs.evolve(history, requests=(*history.requests, *story.requests))


def with_write(history: History, at: int, boot: str, partition: int, epoch: int, highest: int) -> History:
    assert history.writes is not None
    write = Write(at, boot, partition, epoch, highest, accepted=True)
    return attrs.evolve(history, writes=(*history.writes, write))


def owners(history: History, **changes: Any) -> History:
    assert history.ownership is not None
    return attrs.evolve(history, ownership=attrs.evolve(history.ownership, **changes))


def leased(history: History, *spans: tuple[str, float, float]) -> History:
    """What these processes could count on."""
    return attrs.evolve(history, leases=tuple(Lease(name, sec(at), sec(until)) for name, at, until in spans))


def row_added(history: History, name: str, row: Row) -> History:
    return changed(history, name, rows=(*task_of(history, name).rows, row))


def row_instead(history: History, name: str, key: str, *row: Any) -> History:
    """A slot that ran was not run, for a reason."""
    nominal = next(one.nominal for one in task_of(history, name).executions if one.id == key)
    assert nominal is not None
    return row_added(without_execution(history, name, key), name, Row(nominal, nominal, 1, *row))


def without_faults(history: History) -> History:
    """Nothing was wrong, and what needs a fault is not there."""
    kept = tuple(task for task in history.tasks if task.name not in ("long", "held"))
    names = {"id of long", "id of held"}
    requests = tuple(one for one in history.requests if one.task not in names)
    history = without_lines(history, lambda line: line.task in names)
    return attrs.evolve(history, tasks=kept, requests=requests, spans=())


def crashed_for_nothing(history: History) -> History:
    """An attempt ended as crashed, and its process and its lease lived on."""
    return attempt_changed(without_faults(history), "run 1", 1, state="CRASHED", boot="n3.1 lease")


def lower_fence(history: History) -> History:
    """A task without a record, so that only the store can tell: its second attempt has a lower fence than its first."""
    history = changed(without_lines(history, lambda line: line.task == "id of by hand"), "by hand", records=False)
    history = attempt_changed(history, "run 1", 1, fence=4)
    return attempt_changed(execution_changed(history, "run 1", fence=3, result=None), "run 1", 2, fence=3)


def second_is_third(history: History) -> History:
    """The store counts one attempt more than there were."""
    one = next(one for one in task_of(history, "by hand").executions if one.id == "run 1")
    first, second = one.attempts
    return execution_changed(history, "run 1", attempts=(first, attrs.evolve(second, number=3)))


def started_after_cancel(history: History) -> History:
    """It was claimed before the cancel, and started seconds after its answer."""
    history = with_requests(without_faults(history), ("tick", "cancel", 195, "ok"))
    history = without_execution(
        changed(history, "tick", phase="cancelled", settled_through=sec(195)), "tick", "tick@200"
    )
    history = lines_changed(history, lambda line: line.execution == "tick@190" and line.kind == "end", at=sec(198.1))
    history = lines_changed(history, is_start("tick@190"), at=sec(198))
    return execution_changed(history, "tick@190", outcome="late", reason="queue")


WRONG: list[tuple[Kind, str, Callable[[History], History]]] = [
    (Kind.LOST, "no outcome", lambda h: without_execution(h, "tick", "tick@50")),
    (Kind.LOST, "complete without a start", lambda h: without_lines(h, lambda line: line.execution == "tick@50")),
    (Kind.LOST, "complete without an end", lambda h: without_lines(
        h, lambda line: line.execution == "tick@50" and line.kind == "end")),
    (Kind.LOST, "a range that counts too few", lambda h: changed(
        h, "paused", rows=(Row(sec(30), sec(60), 3, "skipped", "paused"),))),
    (Kind.LOST, "a range that is not counted", lambda h: changed(
        h, "paused", rows=(Row(sec(30), sec(60), None, "skipped", "paused"),))),
    (Kind.LOST, "not settled", lambda h: without_execution(
        without_execution(changed(h, "tick", settled_through=sec(180)), "tick", "tick@190"), "tick", "tick@200")),
    (Kind.LOST, "still waiting", lambda h: execution_changed(
        without_lines(h, lambda line: line.execution == "cancelled@40"), "cancelled@40",
        state="WAITING", attempts=(), fence=0, result=None, outcome=None)),
    (Kind.LOST, "still running", lambda h: attempt_changed(
        execution_changed(
            without_lines(h, lambda line: line.execution == "cancelled@40" and line.kind == "end"),
            "cancelled@40", state="RUNNING", result=None),
        "cancelled@40", 1, state="RUNNING", ended_at=None)),
    (Kind.LOST, "an abandoned handler", lambda h: execution_changed(h, "cancelled@40", lingers=True)),
    (Kind.LOST, "a row of an execution that is not there", lambda h: changed(
        without_execution(h, "tick", "tick@50"), "tick", rows=(Row(sec(50), sec(50), 1, "fired", None, "tick@50"),))),
    (Kind.LOST, "an open row of none", lambda h: changed(
        without_execution(h, "tick", "tick@50"), "tick", rows=(Row(sec(50), sec(50), 1, None, None, "tick@50"),))),
    (Kind.LOST, "fired without an attempt", lambda h: execution_changed(
        without_lines(h, lambda line: line.execution == "tick@50"), "tick@50", attempts=(), fence=0, state="CANCELLED",
        result=None)),
    (Kind.LOST, "a row of another slot's execution", lambda h: changed(
        without_execution(h, "tick", "tick@50"), "tick", rows=(Row(sec(50), sec(50), 1, "fired", None, "tick@60"),))),
    (Kind.LOST, "complete without an attempt", lambda h: execution_changed(
        without_lines(h, lambda line: line.execution == "run 0"), "run 0", attempts=(), fence=0, result=None)),
    (Kind.LOST, "finished too early", lambda h: without_execution(
        changed(h, "tick", phase="finished", settled_through=sec(190)), "tick", "tick@200")),
    (Kind.LOST, "paused and not settled", lambda h: without_execution(
        changed(with_requests(h, ("tick", "pause", 204, "ok")), "tick", phase="paused", settled_through=sec(190)),
        "tick", "tick@200")),
    (Kind.EARLY, "before its time", lambda h: lines_changed(h, is_start("tick@50"), at=sec(49.9))),
    (Kind.LATE, "without a reason", lambda h: lines_changed(
        lines_changed(h, is_start("tick@10"), at=sec(12)),
        lambda line: line.execution == "tick@10" and line.kind == "end", at=sec(12.1))),
    (Kind.DUPLICATE, "started twice", lambda h: with_lines(
        h, attrs.evolve(next(line for line in h.lines if is_start("tick@50")(line)), at=sec(50.05)))),
    (Kind.DUPLICATE, "two executions of a slot", lambda h: with_execution(h, "tick", at=sec(50.5), nominal=sec(50))),
    (Kind.DUPLICATE, "two outcomes", lambda h: row_added(
        h, "paused", Row(sec(60), sec(60), 1, "skipped", "paused"))),
    (Kind.DUPLICATE, "two outcomes on one node", lambda h: with_execution(
        h, "everywhere", at=sec(182), nominal=sec(180), target="n3")),
    (Kind.DUPLICATE, "again without a crash", crashed_for_nothing),
    (Kind.DUPLICATE, "again beyond its retries", lambda h: changed(h, "by hand", max_retries=0)),
    (Kind.DUPLICATE, "started, and its slot is still open", lambda h: execution_changed(h, "tick@50", outcome=None)),
    (Kind.OVERLAP, "two of a task", lambda h: lines_changed(
        h, lambda line: line.execution == "cancelled@30" and line.kind == "end", at=sec(40.05))),
    (Kind.OVERLAP, "by the store", lambda h: attempt_changed(h, "run 0", 1, ended_at=sec(5.25))),
    (Kind.OVERLAP, "too many with a key", lambda h: changed(
        changed(h, "tick", key=("k", 1)), "paused", key=("k", 1))),
    (Kind.PHANTOM, "no such slot", lambda h: with_execution(h, "tick", at=sec(55), nominal=sec(55))),
    (Kind.PHANTOM, "no such execution", lambda h: with_lines(
        h, Line("start", "n3.1", "id of tick", "ghost", 1, 21, sec(55)),
        Line("end", "n3.1", "id of tick", "ghost", 1, 21, sec(55.1)))),
    (Kind.PHANTOM, "no such attempt", lambda h: with_lines(
        h, Line("start", "n3.1", "id of tick", "tick@50", 2, 6, sec(51), sec(50)),
        Line("end", "n3.1", "id of tick", "tick@50", 2, 6, sec(51.1), sec(50)))),
    (Kind.PHANTOM, "no such task", lambda h: with_lines(
        h, Line("start", "n3.1", "nobody", "ghost", 1, 1, sec(55)))),
    (Kind.PHANTOM, "another slot in the store", lambda h: lines_changed(
        h, is_start("long@120"), nominal=sec(60))),
    (Kind.PHANTOM, "the dead act", lambda h: with_lines(
        h, Line("effect", "n1.1", "id of held", "held@65", 1, 1, sec(71), key="x"))),
    (Kind.PHANTOM, "an outcome that does not exist", lambda h: changed(
        h, "paused", rows=(Row(sec(30), sec(60), 4, "forgotten", "paused"),))),
    (Kind.PHANTOM, "a range that counts too many", lambda h: changed(
        h, "paused", rows=(Row(sec(30), sec(60), 5, "skipped", "paused"),))),
    (Kind.PHANTOM, "a row beside the grid", lambda h: changed(
        h, "paused", rows=(*task_of(h, "paused").rows, Row(sec(33), sec(34), 0, "skipped", "paused")))),
    (Kind.PHANTOM, "ran while paused", lambda h: with_execution(
        changed(h, "paused", overlap="allow", rows=(Row(sec(40), sec(60), 3, "skipped", "paused"),)),
        "paused", at=sec(30), nominal=sec(30))),
    (Kind.PHANTOM, "a run that nobody asked for", lambda h: with_execution(h, "tick", at=sec(55))),
    (Kind.PHANTOM, "ran and was skipped", lambda h: execution_changed(
        h, "cancelled@40", outcome="skipped", reason="cancelled")),
    (Kind.PHANTOM, "numbers with a gap", lambda h: lines_changed(
        second_is_third(h), lambda line: (line.execution, line.attempt) == ("run 1", 2), attempt=3)),
    (Kind.PHANTOM, "a fence that nobody gave", lambda h: lines_changed(
        attempt_changed(execution_changed(h, "tick@200", state="FAILED", result=None), "tick@200", 1, state="FAILED"),
        lambda line: line.execution == "tick@200", fence=30)),
    (Kind.ZOMBIE_EFFECT, "too long after its thaw", lambda h: lines_changed(
        h, lambda line: line.kind == "effect", at=sec(61.5))),
    (Kind.ZOMBIE_EFFECT, "never comes back", lambda h: without_lines(
        h, lambda line: line.execution == "long@30" and line.kind == "cut")),
    (Kind.ZOMBIE_EFFECT, "without having been stopped", lambda h: with_lines(
        h, Line("effect", "n3.1", "id of by hand", "run 0", 1, 1, sec(5.25), key="x"))),
    (Kind.CHECKPOINT_REGRESSION, "from an older one", lambda h: lines_changed(h, is_start("long@30", 2), position=1)),
    (Kind.CHECKPOINT_REGRESSION, "from none", lambda h: lines_changed(h, is_start("long@30", 2), position=None)),
    (Kind.CHECKPOINT_REGRESSION, "from one never tried", lambda h: lines_changed(
        h, is_start("long@30", 2), position=3)),
    (Kind.DOUBLE_TERMINAL, "on after the end", lambda h: attempt_changed(
        lines_changed(h, lambda line: (line.execution, line.attempt) == ("run 0", 1) and line.kind == "cut", kind="end"),
        "run 0", 1, state="COMPLETED")),
    (Kind.DOUBLE_TERMINAL, "two ends", lambda h: execution_changed(h, "tick@50", state="FAILED")),
    (Kind.UNEXPLAINED_SKIP, "never paused", lambda h: row_instead(h, "tick", "tick@50", "skipped", "paused")),
    (Kind.UNEXPLAINED_SKIP, "nothing in the way", lambda h: row_instead(
        h, "paused", "paused@20", "skipped", "overlap", "paused@10")),
    (Kind.UNEXPLAINED_SKIP, "nothing in the way, and nothing named", lambda h: row_instead(
        h, "paused", "paused@20", "skipped", "overlap")),
    (Kind.UNEXPLAINED_SKIP, "blocked by a stranger", lambda h: row_instead(
        h, "paused", "paused@20", "skipped", "overlap", "nobody")),
    (Kind.UNEXPLAINED_SKIP, "overlap is allowed", lambda h: changed(h, "long", overlap="allow")),
    (Kind.UNEXPLAINED_SKIP, "not cancelled", lambda h: row_instead(h, "tick", "tick@50", "skipped", "cancelled")),
    (Kind.UNEXPLAINED_SKIP, "no limit", lambda h: row_instead(h, "tick", "tick@50", "skipped", "limit")),
    (Kind.UNEXPLAINED_SKIP, "not too late", lambda h: row_instead(h, "tick", "tick@10", "skipped", "too_late")),
    (Kind.UNEXPLAINED_SKIP, "no calendar", lambda h: row_instead(h, "tick", "tick@50", "skipped", "calendar")),
    (Kind.UNEXPLAINED_SKIP, "latest misses nothing", lambda h: row_instead(
        h, "tick", "tick@50", "missed", "downtime")),
    (Kind.UNEXPLAINED_SKIP, "nothing to be missed for", lambda h: changed(
        row_instead(h, "tick", "tick@10", "missed", "downtime"), "tick", catch_up="skip")),
    (Kind.UNEXPLAINED_SKIP, "all coalesces nothing", lambda h: row_instead(
        h, "paused", "paused@70", "coalesced", "catch_up", "paused@80")),
    (Kind.UNEXPLAINED_SKIP, "into an older one", lambda h: row_instead(
        h, "tick", "tick@50", "coalesced", "catch_up", "tick@40")),
    (Kind.UNEXPLAINED_SKIP, "into a stranger", lambda h: row_instead(
        h, "tick", "tick@50", "coalesced", "catch_up", "nobody")),
    (Kind.UNEXPLAINED_SKIP, "coalesced for nothing", lambda h: row_instead(
        h, "tick", "tick@10", "coalesced", "catch_up", "tick@20")),
    (Kind.PURGE_ERROR, "before its end", lambda h: with_requests(
        changed(without_lines(h, lambda line: line.execution == "tick@50" and line.kind == "end"), "tick", executions=tuple(
            one for one in task_of(h, "tick").executions if one.id != "tick@50")),
        ("tick", "purge", 51, "ok"))),
    (Kind.STALE_WRITE, "an old epoch", lambda h: with_write(h, sec(62), "n1.1 lease", 0, 1, 2)),
    (Kind.STALE_WRITE, "older than one that was accepted", lambda h: with_write(h, sec(62), "n1.1 lease", 0, 1, 1)),
    (Kind.STALE_WRITE, "an epoch of two", lambda h: with_write(h, sec(62), "n3.1 lease", 0, 2, 2)),
    (Kind.STALE_WRITE, "a result of another attempt", lambda h: execution_changed(
        h, "run 0", result=json.dumps({"fence": 1}))),
    (Kind.STALE_WRITE, "another fence than its attempt's", lambda h: execution_changed(
        h, "tick@50", fence=4, result="null")),
    (Kind.STALE_WRITE, "two attempts with one fence", lambda h: attempt_changed(
        lines_changed(
            execution_changed(h, "tick@50", fence=4, result=None), lambda line: line.execution == "tick@50", fence=4),
        "tick@50", 1, fence=4)),
    (Kind.STALE_WRITE, "a lower fence than the attempt before", lambda h: lower_fence(h)),
    (Kind.STALE_WRITE, "a fence above the task's", lambda h: changed(h, "tick", fence=19)),
    (Kind.OWNERSHIP, "nobody's", lambda h: owners(h, said={"n1": frozenset({0}), "n3": frozenset()})),
    (Kind.OWNERSHIP, "of two", lambda h: owners(h, said={"n1": frozenset({0, 1}), "n3": frozenset({1})})),
    (Kind.OWNERSHIP, "of the dead", lambda h: owners(h, live={"n1.2 lease": "n1"})),
    (Kind.OWNERSHIP, "another one's in the store", lambda h: owners(h, stored={0: "n1.2 lease", 1: "n1.2 lease"})),
    (Kind.OWNERSHIP, "not in the store, nor in a word", lambda h: owners(h, stored={}, said={"n1": frozenset({0})})),
    (Kind.UNFENCED, "its lease is over", lambda h: leased(h, ("n3.1", 0, 150))),
    (Kind.UNFENCED, "it has none yet", lambda h: leased(h, ("n3.1", 15, 300))),
    (Kind.UNFENCED, "between two", lambda h: leased(h, ("n3.1", 0, 40), ("n3.1", 51, 300))),
    (Kind.MAX_RUNS, "too many", lambda h: changed(h, "limited", max_runs=2)),
    (Kind.MAX_RUNS, "too few", lambda h: changed(h, "limited", max_runs=4)),
    (Kind.HELD_AGAIN, "by itself", lambda h: attrs.evolve(h, requests=tuple(
        one for one in h.requests if one.verb != "resume" or one.task != "id of held"))),
    (Kind.CANCELLED_RAN, "claimed after it", lambda h: with_execution(
        with_requests(h, ("cancelled", "run", 45, "ok"), key="further"), "cancelled", at=sec(45))),
    (Kind.CANCELLED_RAN, "started long after it", started_after_cancel),
    (Kind.REQUEST_LOST, "a task", lambda h: attrs.evolve(h, requests=(
        *h.requests, attrs.evolve(h.requests[0], task="a task that is not there")))),
    (Kind.REQUEST_LOST, "a run", lambda h: with_requests(h, ("tick", "run", 55, "ok"), key="gone")),
    (Kind.REQUEST_LOST, "a run that is none", lambda h: with_requests(h, ("tick", "run", 55, "ok"), key="tick@50")),
    (Kind.REQUEST_LOST, "a cancel", lambda h: with_requests(h, ("tick", "cancel", 200.5, "ok"))),
    (Kind.REQUEST_LOST, "a pause", lambda h: with_requests(h, ("tick", "pause", 200.5, "ok"))),
    (Kind.REQUEST_LOST, "an edit", lambda h: with_requests(h, ("tick", "edit", 55, "ok"))),
    (Kind.REQUEST_LOST, "a delete", lambda h: with_requests(h, ("tick", "delete", 200.5, "ok"))),
    (Kind.REQUEST_LOST, "a task that nobody deleted", lambda h: changed(
        h, "tick", deleted=True, rows=(), executions=(), ended_at=sec(201))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "change"), [pytest.param(kind, change, id=f"{kind}: {what}") for kind, what, change in WRONG]
)
def test_each_kind_is_found_alone(kind: Kind, change: Callable[[History], History]) -> None:
    verdict = check(change(clean().told()))
    assert set(verdict.kinds) == {kind}, verdict.report()


def test_a_task_whose_versions_nobody_told_is_judged_by_what_it_did() -> None:
    untold = changed(clean().told(), "tick", revisions=(), calendars=("a calendar",))
    assert check(untold).violations == ()
    assert set(check(with_execution(untold, "tick", at=sec(10), nominal=sec(10))).kinds) == {Kind.DUPLICATE}


def test_what_was_kept_before_a_crash_that_was_purged_is_not_asked_for() -> None:
    """Whether an execution that begins anew had crashed, or only failed, is told by its row alone."""
    story = Story(seconds=205)
    story.fault("dead", "n1.1", 20)
    tale = story.task("anew", {"at": sec(10)}, on_crash="rerun", phase="finished", settled_through=sec(10))
    key = tale.execution("anew@10", sec(10))
    tale.attempt(key, sec(10), sec(25), "n1.1", state="CRASHED", keeps=(1, 2), comes_back=False)
    tale.attempt(key, sec(26), sec(30), "n2.1")
    assert check(story.told()).violations == ()
    tasks = tuple(attrs.evolve(one, executions=(), rows=()) for one in story.told().tasks)
    purged = with_requests(attrs.evolve(story.told(), tasks=tasks), ("anew", "purge", 100, "ok"))
    assert Kind.CHECKPOINT_REGRESSION not in check(purged).kinds


def test_what_a_process_does_while_it_may_or_at_its_thaw_is_not_unfenced() -> None:
    """n2 is frozen from 40 to 60 in its first life, and its handler writes once more then."""
    history = leased(clean().told(), ("n3.1", 0, 100), ("n3.1", 90, 300), ("n2.1", 0, 45))
    assert check(history).violations == (), check(history).report()
    later = lines_changed(
        history, lambda line: (line.process, line.kind, line.key) == ("n2.1", "effect", "mail"), at=sec(61.5)
    )
    assert Kind.UNFENCED in check(later).kinds


def test_every_kind_has_its_history() -> None:
    assert {kind for kind, _, _ in WRONG} == set(Kind)
