from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.model.calendar import Calendar, CalendarRule, calendar_of
from actors.model.execution import Attempt, Execution, Failure, Kind, WaitsFor
from actors.model.lifecycle import Phase, State
from actors.model.occurrence import Outcome, Reason
from actors.model.task import Definition, Task, TaskState
from actors.model.trigger import UNBOUNDED, Bounds, Cron, Interval, Once, Trigger
from actors.store.answers import ExecutionDetail, OutcomeRow, Revision
from runtime.clock import HOUR, MILLISECOND, MINUTE, SECOND, Instant, Micros
from tocsin.telling.why import (
    Answer,
    Case,
    Paused,
    answer,
    meant,
    newest_lines,
    nothing_ahead,
    of_execution,
    of_nodes,
    phase_lines,
    trigger_words,
)
from tocsin.vocabulary.fields import show_instant

T0 = Instant(1_800_000_000 * SECOND)
HOURLY = Interval(Micros(HOUR), T0)


def at(hours: float) -> Instant:
    return Instant(T0 + int(hours * HOUR))


def task(trigger: Trigger = HOURLY, **state: Any) -> Task:
    definition = Definition("id", "report", "greet", trigger, created_at=T0)
    return Task(definition, attrs.evolve(TaskState(next_fire=at(11), settled_through=at(10)), **state))


def ask(instant: Instant, *, about: Task | None = None, row: OutcomeRow | None = None, **more: Any) -> Answer:
    subject = about or task()
    revisions = more.pop("revisions", [Revision(1, subject.definition, T0)])
    return answer(Case(subject, instant, at(10.5), row, more.pop("detail", None), revisions, more.pop("blocker", None)))


def ledger(first: Instant, last: Instant, outcome: Outcome, reason: Reason, **more: Any) -> OutcomeRow:
    values: dict[str, Any] = {"count": 1, "execution_id": None, "state": None, "started_at": None, "revision": 1}
    return OutcomeRow(first=first, last=last, outcome=outcome, reason=reason, **(values | more))


def execution(state: State, **more: Any) -> Execution:
    values: dict[str, Any] = {
        "nominal": at(3), "outcome": Outcome.FIRED, "attempt": 1, "fence": 7, "node": "n1", "first_started_at": at(3),
        "started_at": at(3), "ended_at": at(3.5),
    }  # fmt: skip
    return Execution("e1", "id", more.pop("kind", Kind.OCCURRENCE), state, at(3), **(values | more))


def ran(found: Execution, *attempts: Attempt) -> Answer:
    row = OutcomeRow(at(3), at(3), 1, found.outcome, found.reason, found.id, found.state, found.started_at, 1)
    return ask(at(3), row=row, detail=ExecutionDetail(found, attempts))


def test_a_run_is_told_attempt_by_attempt() -> None:
    former = Attempt("e1", 1, 6, "n0", "b", State.FAILED, at(3), at(3.1), Failure("ValueError", "boom"))
    found = ran(execution(State.COMPLETED, attempt=2, outcome=Outcome.LATE, reason=Reason.QUEUE), former)
    assert (found.verdict, found.nominal) == ("late", at(3))
    text = "\n".join(found.lines)
    assert "every 1h" in text
    assert "late (it waited for a free slot)" in text
    assert "Attempt 1 on n0 under fence 6 ended FAILED at" in text
    assert "with ValueError: boom" in text
    assert "Attempt 2 on n1 under fence 7 ended COMPLETED" in text


def test_an_interrupted_attempt_is_said_to_be_interrupted() -> None:
    former = Attempt("e1", 1, 6, "n0", "b", State.CANCELLED, at(3), at(3.1), Failure("Interrupted", "drain"))
    text = "\n".join(ran(execution(State.COMPLETED, attempt=2), former).lines)
    assert "Attempt 1 on n0 under fence 6 was interrupted at" in text
    assert "(drain)" in text
    assert "CANCELLED" not in text


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (execution(State.RUNNING, ended_at=None), "Attempt 1 runs on n1 under fence 7 since"),
        (execution(State.WAITING, waits_for=WaitsFor.RETRY, due=at(12), failures=1), "waits for its retry at"),
        (execution(State.WAITING, attempt=0, outcome=None, waits_for=WaitsFor.SLOT), "waits for a free slot"),
        (
            execution(State.WAITING, attempt=0, outcome=None, waits_for=WaitsFor.OVERLAP),
            "former execution of the task to end",
        ),
        (
            execution(State.CRASHED, failure=Failure("Poison", "3 crashes")),
            "held after a crash until somebody resumes it",
        ),
        (execution(State.CANCELLED, cancel_reason="by ann"), "It was cancelled: by ann."),
        (execution(State.FAILED, failure=Failure("KeyboardInterrupt", "")), " with KeyboardInterrupt."),
        (execution(State.TIMED_OUT, failure=Failure("TimedOut", "after 5 s")), "ended TIMED_OUT"),
    ],
)
def test_what_it_waits_for_or_ended_with_is_said(found: Execution, words: str) -> None:
    assert words in "\n".join(ran(found).lines)


def test_a_time_that_had_passed_when_the_task_was_made_blames_nobody() -> None:
    once = Task(
        Definition("id", "report", "greet", Once(at(3)), created_at=at(100_003.5)), TaskState(settled_through=at(3))
    )
    found = execution(
        State.COMPLETED, outcome=Outcome.LATE, reason=Reason.DOWNTIME, first_started_at=at(100_003.5), attempt=1
    )
    row = OutcomeRow(at(3), at(3), 1, found.outcome, found.reason, found.id, found.state, found.first_started_at, 1)
    text = "\n".join(ask(at(3), about=once, row=row, detail=ExecutionDetail(found, ())).lines)
    assert "late (its time had already passed when the task was made)" in text
    assert "down" not in text
    assert f"{100_000 // 168}w1d after its time" in text
    lost = ask(at(3), about=once, row=ledger(at(3), at(3), Outcome.MISSED, Reason.DOWNTIME))
    assert "its time had already passed when the task was made" in "\n".join(lost.lines)


def test_what_is_open_held_or_failed_is_told_without_an_instant() -> None:
    held = ask_newest(execution(State.CRASHED, failure=Failure("Poison", "3 crashes")))
    assert "tocsin task resume" in held
    assert "e1" in held
    failed = ask_newest(execution(State.FAILED, failure=Failure("ValueError", "boom")))
    assert "FAILED" in failed
    assert "ValueError: boom" in failed
    assert "tocsin task retry" in failed
    assert "e1 is RUNNING" in ask_newest(execution(State.RUNNING, ended_at=None))
    assert ask_newest(execution(State.COMPLETED)) == ""


def ask_newest(found: Execution) -> str:
    return "\n".join(newest_lines(task(), found))


def test_the_output_of_a_command_is_set_off_from_the_sentence() -> None:
    failure = Failure("CommandFailed", "'sh' ended with exit code 1\nnothing there\nyet.")
    (line,) = (line for line in ran(execution(State.FAILED, failure=failure)).lines if line.startswith("Attempt"))
    assert line.endswith("with CommandFailed: 'sh' ended with exit code 1:\n    nothing there\n    yet.")
    told = ask_newest(execution(State.FAILED, failure=failure))
    assert "with CommandFailed: 'sh' ended with exit code 1; to run it again:" in told


def test_what_an_attempt_began_with_is_told() -> None:
    crash = Attempt("e1", 1, 6, "n0", "b", State.CRASHED, at(3), at(3.1), Failure("NodeCrashed", "the process died"))
    running = execution(State.RUNNING, attempt=2, ended_at=None, crashes=1, checkpoints=17)
    row = OutcomeRow(at(3), at(3), 1, Outcome.FIRED, None, "e1", State.RUNNING, at(3), 1)
    found = ask(at(3), row=row, detail=ExecutionDetail(running, (crash,), checkpoint='{"done": 17}'))
    assert 'Attempt 2 went on from the checkpoint {"done": 17}.' in found.lines
    bare = attrs.evolve(running, checkpoints=0, failures=1)
    assert "Attempt 2 began from the beginning: there was no checkpoint." in ran(bare, crash).lines


def test_a_manual_run_is_explained_by_its_id() -> None:
    found = execution(State.FAILED, nominal=None, outcome=None, kind=Kind.MANUAL, failure=Failure("ValueError", "boom"))
    told = of_execution(task(), ExecutionDetail(found, ()))
    text = "\n".join(told.lines)
    assert told.nominal is None
    assert "Somebody ran it by hand" in text
    assert "ended FAILED" in text
    assert of_execution(task(), ExecutionDetail(execution(State.COMPLETED), ())).nominal == at(3)


def test_a_slot_that_was_not_run_names_reason_blocker_and_range() -> None:
    skipped = ask(at(3), row=ledger(at(3), at(3), Outcome.SKIPPED, Reason.OVERLAP, execution_id="e9"))
    assert skipped.verdict == "skipped"
    assert "held back by execution e9" in "\n".join(skipped.lines)
    missed = ask(at(3), row=ledger(at(2), at(5), Outcome.COALESCED, Reason.CATCH_UP, count=4))
    assert "one of 4 such slots" in "\n".join(missed.lines)
    uncounted = ask(at(3), row=ledger(at(2), at(5), Outcome.MISSED, Reason.DOWNTIME, count=None))
    assert "not counted yet" in "\n".join(uncounted.lines)


def test_what_lies_between_the_slots_of_a_range_is_no_nominal_time() -> None:
    found = ask(at(3.5), row=ledger(at(2), at(5), Outcome.MISSED, Reason.DOWNTIME, count=4))
    assert found.verdict == "not_nominal"


@pytest.mark.parametrize(
    ("instant", "about", "verdict", "words"),
    [
        (at(12), task(), "future", "is in the future: the task will fire then."),
        (at(12.5), task(), "not_nominal", "The nearest are: before it"),
        (at(12), task(phase=Phase.PAUSED, next_fire=None), "paused", "it will not fire"),
        (at(12), task(phase=Phase.CANCELLED, next_fire=None), "cancelled", "it will not fire"),
        (at(12), task(Interval(Micros(HOUR), T0, fixed_delay=True)), "future", "counted from the end"),
        (at(-1), task(), "before", "The task was made at"),
        (at(3.5), task(), "not_nominal", "is no nominal time"),
        (at(3), task(), "purged", "purged or folded"),
        (at(10), task(settled_through=at(9), phase=Phase.PAUSED, note="holiday"), "paused", "paused (holiday)"),
        (at(10), task(settled_through=at(9), phase=Phase.FINISHED), "finished", "came after that"),
        (at(10), task(settled_through=at(9), next_fire=at(10)), "open", "owed and not settled yet"),
    ],
)
def test_without_a_row_the_state_explains(instant: Instant, about: Task, verdict: str, words: str) -> None:
    found = ask(instant, about=about)
    assert found.verdict == verdict
    assert words in "\n".join(found.lines)


def test_a_fire_that_is_owed_is_not_called_the_next_one() -> None:
    owing = task(settled_through=at(8), next_fire=at(9))
    for instant in (at(9), at(10), at(12)):
        text = "\n".join(ask(instant, about=owing).lines)
        assert "The next fire" not in text
        assert "owed" in text
    assert f"The next fire is at {show_instant(at(11))}." in ask(at(12)).lines
    assert ask(at(11)).lines[1:] == (f"{show_instant(at(11))} is in the future: the task will fire then.",)


def test_a_slot_that_an_edit_took_away_names_the_revision() -> None:
    now_daily = task(Cron("0 0 * * *"), revision=2)
    former = Definition("id", "report", "greet", HOURLY, created_at=T0)
    revisions = [Revision(1, former, T0), Revision(2, now_daily.definition, at(2.5))]
    found = ask(at(3), about=now_daily, revisions=revisions)
    assert found.verdict == "superseded"
    assert "Revision 1 named it (every 1h" in "\n".join(found.lines)
    assert "revision 2 replaced it" in "\n".join(found.lines)
    assert ask(at(3.5), about=now_daily, revisions=revisions).verdict == "not_nominal"


@pytest.mark.parametrize(
    ("trigger", "bounds", "words"),
    [
        (HOURLY, UNBOUNDED, "every 1h, counted from 2027-01-15T08:00:00Z"),
        (HOURLY, Bounds(at(1), at(9), 12), "from 2027-01-15T09:00:00Z, until 2027-01-15T17:00:00Z, 12 times at most"),
        (Interval(Micros(MINUTE), T0, fixed_delay=True), UNBOUNDED, "1m after the end of the execution before"),
        (Once(T0), UNBOUNDED, "once, at 2027-01-15T08:00:00Z"),
        (Cron("30 2 * * *", "Europe/Berlin"), UNBOUNDED, "at 02:30, every day ('30 2 * * *', Europe/Berlin)"),
    ],
)
def test_triggers_in_words(trigger: Trigger, bounds: Bounds, words: str) -> None:
    assert words in trigger_words(trigger, bounds)


def test_a_second_means_the_slot_within_it() -> None:
    fractions = Interval(Micros(SECOND), Instant(T0 + 250_000))
    assert meant(fractions, UNBOUNDED, at(1)) == at(1) + 250_000
    assert meant(fractions, UNBOUNDED, Instant(at(1) + 1)) == at(1) + 1
    assert meant(HOURLY, UNBOUNDED, at(1.5)) == at(1.5)


@pytest.mark.parametrize("waits_for", list(WaitsFor))
def test_whatever_it_waits_for_is_said(waits_for: WaitsFor) -> None:
    waiting = execution(State.WAITING, outcome=None, attempt=0, waits_for=waits_for, due=at(4))
    assert any("waits for" in line for line in ran(waiting).lines)


def test_a_millisecond_means_the_slot_within_it() -> None:
    fine = Interval(Micros(10_000), Instant(T0 + 123))
    assert meant(fine, UNBOUNDED, Instant(T0 + 10_000)) == T0 + 10_123
    assert meant(fine, UNBOUNDED, Instant(T0 + 11_000)) == T0 + 11_000
    assert meant(fine, UNBOUNDED, Instant(T0 + 10_001)) == T0 + 10_001


@given(st.integers(1, HOUR - 1), st.integers(1, 50), st.booleans())
def test_a_place_in_the_window_means_its_nominal_time(place: int, hours: int, cut: bool) -> None:
    shown = at(hours) + place
    shown = shown - shown % MILLISECOND if cut else shown
    assert meant(HOURLY, UNBOUNDED, Instant(shown), place) == at(hours)


def test_what_is_left_of_an_hour_is_told_as_that() -> None:
    quarterly = task(Interval(Micros(15 * MINUTE), T0))
    row = ledger(at(3), at(3.75), Outcome.FIRED, None, count=4, folded=True)  # type: ignore[arg-type]
    told = ask(at(3.5), about=quarterly, row=row)
    assert told.verdict == "folded"
    assert "folded with others of the same hour: 4 slots" in told.lines[1]
    assert "have the outcome fired." in told.lines[1]
    assert ask(at(3.1), about=quarterly, row=row).verdict == "not_nominal"
    other = ledger(at(3), at(3.75), Outcome.SKIPPED, Reason.OVERLAP, count=2, folded=True)
    assert "skipped (the former execution still ran)" in ask(at(3.5), about=quarterly, row=other).lines[1]


def test_a_calendar_is_named_with_the_version_that_was_kept_to() -> None:
    day = Calendar("", "x", 1).day_of(at(3))
    old = calendar_of("", "holidays", 3, days=[(day, day)])
    rule = CalendarRule(old)
    definition = attrs.evolve(task().definition, bounds=Bounds(calendars=(rule,)))
    row = ledger(at(3), at(3), Outcome.SKIPPED, Reason.CALENDAR)
    told = ask(at(3), row=row, revisions=[Revision(1, definition, T0)])
    assert "Calendar 'holidays', version 3, excludes it." in told.lines
    future = attrs.evolve(task(), definition=definition)
    found = answer(Case(future, at(12), at(10.5), None, None, []))
    assert found.verdict == ("excluded" if rule.excludes(at(12)) else "future")
    assert rule.excludes(at(12))
    assert "Calendar 'holidays', version 3, excludes it." in found.lines


@pytest.mark.parametrize(
    ("blocker", "words"),
    [
        (execution(State.RUNNING, ended_at=None), "That one is RUNNING, first started"),
        (execution(State.WAITING, first_started_at=None), "That one is WAITING."),
        (execution(State.COMPLETED), "and ended COMPLETED at"),
        (execution(State.CANCELLED, lingers=True), "its abandoned handler has not returned"),
    ],
)
def test_who_held_a_slot_back_is_told_with_how_it_stands(blocker: Execution, words: str) -> None:
    row = ledger(at(4), at(4), Outcome.SKIPPED, Reason.OVERLAP, execution_id="e1")
    told = ask(at(4), row=row, blocker=blocker)
    assert "It was held back by execution e1." in told.lines
    assert any(words in line for line in told.lines)


def test_the_execution_that_ran_for_a_coalesced_time_is_told_with_its_end() -> None:
    row = ledger(at(4), at(4), Outcome.COALESCED, Reason.CATCH_UP, execution_id="e1")
    ran_for_it = f"Execution e1, of {show_instant(at(3))}, "
    ended = ask(at(4), row=row, blocker=execution(State.COMPLETED))
    assert f"{ran_for_it}ran for it: first started {show_instant(at(3))}, COMPLETED." in ended.lines
    waits = ask(at(4), row=row, blocker=execution(State.WAITING, first_started_at=None))
    assert f"{ran_for_it}stands for it: it is WAITING." in waits.lines
    assert "Execution e1 stands for it." in ask(at(4), row=row).lines


def test_poison_is_told_from_a_crash() -> None:
    held = execution(State.CRASHED, failure=Failure("Poison", "3 crashes in a row without a new checkpoint"))
    assert "too often to be tried again by itself" in "\n".join(ran(held).lines)
    assert "too often" not in "\n".join(ran(execution(State.CRASHED)).lines)


def test_a_place_in_the_window_is_told() -> None:
    told = "\n".join(ran(execution(State.COMPLETED, assigned=at(3.25), first_started_at=at(3.25))).lines)
    assert "Its place in the task's window after that time is" in told
    assert f"first started {show_instant(at(3.25))}, 0 ms after its time." in told


def test_a_slot_that_an_edit_took_away_is_superseded() -> None:
    former = attrs.evolve(task().definition, trigger=Interval(Micros(HOUR), T0))
    later = attrs.evolve(former, trigger=Interval(Micros(2 * HOUR), T0))
    revisions = [Revision(1, former, T0), Revision(2, later, at(2.5))]
    told = ask(at(3), about=task(later.trigger), revisions=revisions)
    assert told.verdict == "superseded"
    assert "Revision 1 named it (every 1h" in told.lines[1]
    assert "revision 2 replaced it" in told.lines[1]
    assert ask(at(4), about=task(later.trigger), revisions=revisions).verdict == "purged"


def test_a_task_with_nothing_settled_and_nothing_ahead() -> None:
    told = nothing_ahead(task(phase=Phase.CANCELLED, next_fire=None))
    assert (told.verdict, told.nominal) == ("cancelled", None)
    assert told.lines[1:] == ("The task is cancelled: it fires no more unless it is activated with a trigger.",)


def test_which_of_the_two_was_paused_and_by_whom_is_told() -> None:
    row = ledger(at(3), at(3), Outcome.SKIPPED, Reason.PAUSED)
    ended = Case(task(), at(3), at(10), row, None, (), pause=Paused("ann", at(2), at(5)))
    text = "\n".join(answer(ended).lines)
    assert "the task was paused" in text
    assert f"The pause was from {show_instant(at(2))} until {show_instant(at(5))}, by ann." in text
    whole = "\n".join(ask(at(3), row=ledger(at(3), at(3), Outcome.MISSED, Reason.PAUSED)).lines)
    assert "the whole scheduler was paused" in whole
    assert "The pause was" not in whole


def test_a_paused_task_is_told_with_the_way_out() -> None:
    assert phase_lines(task(phase=Phase.PAUSED, note="holiday")) == (
        "The task is paused (holiday); to go on: tocsin task activate report",
    )
    assert phase_lines(task()) == ()


def test_who_cancelled_the_newest_execution_is_told() -> None:
    cancelled = execution(State.CANCELLED, cancel_reason="cancelled by alice")
    assert newest_lines(task(), cancelled) == ("Its last execution e1 ended CANCELLED: cancelled by alice.",)


def test_each_node_of_a_slot_is_told_of() -> None:
    done = ran(execution(State.COMPLETED, attempt=1, outcome=Outcome.FIRED, target="n1"))
    lost = ran(execution(State.CRASHED, outcome=Outcome.MISSED, reason=Reason.NODE_LOST, target="n2"))
    told = of_nodes([("n1", done), ("n2", lost)])
    assert (told.verdict, told.nominal) == ("mixed", at(3))
    assert told.lines[0] == done.lines[0] and told.lines.count(done.lines[0]) == 1
    assert any(line.startswith("n1: Attempt 1") for line in told.lines)
    assert any(line.startswith("n2: ") and "the node that it was for is gone" in line for line in told.lines)
    assert told.view()["nodes"] == {"n1": "fired", "n2": "missed"}
    assert of_nodes([("n1", done), ("n3", done)]).verdict == "fired"
    assert "nodes" not in done.view()
