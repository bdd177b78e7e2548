"""The timer's core: examples, and a sorted list as its model."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.keeper_messages import Reschedule, SchedulerPaused, Settle
from actors.timer_core import BATCH, FLIGHT_LIMIT, SWEEP_EVERY, WINDOW, WINDOW_LIMIT, TimerCore
from actors.timer_messages import Load, Loaded, Owned, SetAlarm, Tick
from runtime.clock import HOUR, MILLISECOND, SECOND, Instant
from runtime.simulation import DEFAULT_START as START

ALL = Owned((0,), everything=True)


def at(seconds: float) -> Instant:
    return Instant(START + round(seconds * SECOND))


def owning(*entries: tuple[float, str]) -> TimerCore:
    """A timer at START whose first window holds these entries."""
    core = TimerCore()
    core.handle(ALL, START)
    core.handle(loaded(60, *entries), START)
    return core


def loaded(horizon: float, *entries: tuple[float, str]) -> Loaded:
    return Loaded(tuple((at(seconds), name) for seconds, name in entries), at(horizon))


def told(directives: list) -> list[str]:
    return [name for directive in directives if isinstance(directive, Settle) for name in directive.task_ids]


def loads(directives: list) -> list[Load]:
    return [directive for directive in directives if isinstance(directive, Load)]


def alarm(directives: list) -> Instant | None:
    assert isinstance(directives[-1], SetAlarm)
    return directives[-1].at


def test_who_owns_nothing_waits_for_nothing():
    assert TimerCore().handle(Tick(), START) == [SetAlarm(None)]


def test_the_window_is_read_at_once():
    assert TimerCore().handle(ALL, START)[0] == Load(None, Instant(START + WINDOW), WINDOW_LIMIT)
    assert TimerCore().handle(Owned((1, 4)), START)[0] == Load((1, 4), Instant(START + WINDOW), WINDOW_LIMIT)


def test_what_is_due_is_told_once_and_in_order():
    core = owning((0.2, "b"), (0.1, "a"), (0.5, "c"))
    assert alarm(core.handle(Tick(), START)) == at(0.1)
    assert told(core.handle(Tick(), at(0.3))) == ["a", "b"]
    assert told(core.handle(Tick(), at(0.4))) == []
    assert (core.window, core.in_flight) == (1, 2)
    assert core.lateness(at(0.5)) == 200 * MILLISECOND


def test_ties_are_told_together_in_batches():
    core = owning(*((1, f"t{number:03}") for number in range(BATCH + 1)))
    sizes = [len(entry.task_ids) for entry in core.handle(Tick(), at(1)) if isinstance(entry, Settle)]
    assert sizes == [BATCH, 1]


def test_the_keepers_word_replaces_what_was_known():
    core = owning((5, "a"))
    core.handle(Reschedule((("a", at(7)),)), at(1))
    assert told(core.handle(Tick(), at(6))) == []
    core.handle(Reschedule((("a", None),)), at(6))
    assert told(core.handle(Tick(), at(9))) == []
    assert told(core.handle(Reschedule((("a", at(3)),)), at(10))) == ["a"]


def test_what_is_due_beyond_the_window_is_left_to_the_store():
    core = owning()
    core.handle(Reschedule((("far", at(61)), ("near", at(60)))), at(0.1))
    assert core.window == 1


def test_what_falls_due_during_a_read_is_not_lost():
    core = TimerCore()
    core.handle(ALL, START)
    core.handle(Reschedule((("a", at(3)), ("far", at(61)))), at(0.1))
    core.handle(loaded(60), at(0.2))
    assert core.window == 1
    assert told(core.handle(Tick(), at(3))) == ["a"]


def test_the_window_moves_on_when_half_of_it_is_over():
    core = owning()
    assert [load.until for load in loads(core.handle(Tick(), at(29)))] == [at(29)]
    core.handle(loaded(29), at(29))
    assert [load.until for load in loads(core.handle(Tick(), at(30)))] == [at(90)]


def test_the_store_is_looked_at_once_a_second_and_never_twice_at_a_time():
    core = owning()
    assert loads(core.handle(Tick(), at(0.9))) == []
    assert loads(core.handle(Tick(), at(1)))
    assert loads(core.handle(Tick(), at(3))) == []
    assert loads(core.handle(loaded(1), at(3)))


def test_a_slow_read_makes_the_alarm_wait_and_not_ring_without_end():
    core = TimerCore()
    core.handle(ALL, START)
    assert alarm(core.handle(Tick(), at(10))) == at(11)


def test_a_read_that_failed_is_not_tried_again_at_once():
    core = TimerCore()
    core.handle(ALL, START)
    directives = core.handle(Loaded((), Instant(0)), START)
    assert loads(directives) == []
    assert alarm(directives) == START + SWEEP_EVERY
    assert loads(core.handle(Tick(), at(1)))


def test_a_lost_answer_is_healed_by_the_sweep():
    core = owning((1, "a"))
    assert told(core.handle(Tick(), at(1))) == ["a"]
    assert told(core.handle(loaded(2, (1, "a")), at(2))) == []
    late = 1 + FLIGHT_LIMIT / SECOND
    assert told(core.handle(loaded(late, (1, "a")), at(late))) == ["a"]
    assert told(core.handle(loaded(late, (1, "a")), at(late))) == []
    assert core.lateness(at(8)) == 7 * SECOND


def test_what_is_in_flight_and_not_due_any_more_is_forgotten():
    core = owning((1, "gone"), (1, "later"))
    core.handle(Tick(), at(1))
    core.handle(loaded(7, (9, "later")), at(7))
    assert (core.in_flight, core.window, core.lateness(at(8))) == (0, 1, 0)
    assert told(core.handle(Tick(), at(9))) == ["later"]


def test_an_older_read_does_not_hide_an_earlier_instant():
    core = owning((5, "a"))
    core.handle(Tick(), at(1))
    core.handle(loaded(1, (9, "a")), at(1))
    assert told(core.handle(Tick(), at(5))) == ["a"]


def test_a_full_window_is_read_on_as_soon_as_it_is_used_up():
    core = TimerCore()
    core.handle(ALL, START)
    core.handle(loaded(0.2, (0.1, "a"), (0.2, "b")), START)
    assert loads(core.handle(Tick(), at(0.1))) == []
    assert loads(core.handle(Tick(), at(0.2)))
    # Nothing new came: the next look is in a second.
    assert loads(core.handle(loaded(0.2, (0.1, "a"), (0.2, "b")), at(0.2))) == []


def test_a_clock_that_goes_back_is_waited_for_by_nobody():
    core = owning((1, "a"))
    core.handle(Tick(), at(1))
    core.handle(loaded(1), at(1))
    back = Instant(START - HOUR)
    directives = core.handle(Tick(), back)
    assert loads(directives)
    assert core.lateness(back) == 0
    later = Instant(back + FLIGHT_LIMIT)
    assert told(core.handle(Loaded(((Instant(back - 1), "a"),), later), later)) == ["a"]


def test_a_small_step_back_during_a_read_is_noticed_too():
    core = TimerCore()
    core.handle(ALL, START)
    core.handle(Loaded((), at(60)), START)
    core.handle(Reschedule((("a", at(3)),)), START)
    assert told(core.handle(Tick(), at(3))) == ["a"]
    assert core.lateness(at(2)) == 0
    core.handle(Tick(), at(2))
    assert core.lateness(at(4)) == 2 * SECOND


def test_what_is_late_without_being_in_flight():
    core = TimerCore()
    core.handle(ALL, START)
    assert core.lateness(at(1)) == 0, "a read may take as long as the time between two looks"
    assert core.lateness(at(4)) == 3 * SECOND, "the read does not come back"
    core.handle(Loaded(((at(5), "a"),), at(60)), at(4))
    assert core.lateness(at(4)) == 0
    assert core.lateness(at(7)) == 2 * SECOND, "nobody has looked at the clock since a was due"
    core.handle(SchedulerPaused(True), at(7))
    assert core.lateness(at(60)) == 0
    core.handle(Owned(()), at(60))
    core.handle(SchedulerPaused(False), at(60))
    assert core.lateness(at(600)) == 0, "who owns nothing is never late"


def test_another_ownership_begins_anew():
    core = owning((1, "a"))
    core.handle(Tick(), at(1))
    assert core.handle(Owned(()), at(2)) == [SetAlarm(None)]
    assert (core.window, core.in_flight) == (0, 0)


def test_outdated_entries_do_not_pile_up():
    core = owning()
    for number in range(20_000):
        core.handle(Reschedule((("a", at(1 + number % 50)),)), START)
    assert max(core._held, len(core._heap)) <= 1_025
    core.check_invariants()


def test_the_invariants_find_a_contradiction():
    core = owning((1, "a"))
    core._heap.clear()
    with pytest.raises(AssertionError, match="not in the heap"):
        core.check_invariants()


NAMES = [f"t{number}" for number in range(6)]


class TimerMachine(RuleBasedStateMachine):
    """A store that is a dict, a keeper that answers or is silent, and reads that take their time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.store: dict[str, Instant] = {}
        self.core = TimerCore()
        self.asked: set[str] = set()
        self.reading: tuple[Load, list[tuple[Instant, str]]] | None = None
        self.alarm: Instant | None = None
        self.hear(ALL)

    def hear(self, event: object) -> None:
        directives = self.core.handle(event, self.now)
        for directive in directives[:-1]:
            if isinstance(directive, Load):
                assert self.reading is None, "two reads at a time"
                due = sorted((due, name) for name, due in self.store.items() if due <= directive.until)
                self.reading = directive, due[: directive.limit]
            else:
                assert isinstance(directive, Settle)
                self.asked.update(directive.task_ids)
        assert isinstance(directives[-1], SetAlarm)
        self.alarm = directives[-1].at

    @rule(name=st.sampled_from(NAMES), delay=st.sampled_from([0, 1, 20, 59, 61, 200]), lost=st.booleans())
    def changed(self, name: str, delay: int, lost: bool) -> None:
        """A command changes when a task is due; the word of it may be lost."""
        self.store[name] = Instant(self.now + delay * SECOND)
        if not lost:
            self.hear(Reschedule(((name, self.store[name]),)))

    @rule(name=st.sampled_from(NAMES), lost=st.booleans())
    def removed(self, name: str, lost: bool) -> None:
        self.store.pop(name, None)
        if not lost:
            self.hear(Reschedule(((name, None),)))

    @rule(delay=st.sampled_from([1, 5, 70]), lost=st.booleans())
    def keeper_commits(self, delay: int, lost: bool) -> None:
        answers = []
        for name in sorted(self.asked):
            if name in self.store and self.store[name] <= self.now:
                self.store[name] = Instant(self.now + delay * SECOND)
            answers.append((name, self.store.get(name)))
        self.asked.clear()
        if answers and not lost:
            self.hear(Reschedule(tuple(answers)))

    @rule()
    def read_ends(self) -> None:
        if self.reading is not None:
            load, entries = self.reading
            self.reading = None
            self.hear(Loaded(tuple(entries), load.until))

    @rule()
    def read_fails(self) -> None:
        if self.reading is not None:
            self.reading = None
            self.hear(Loaded((), Instant(0)))

    @rule(millis=st.sampled_from([1, 300, 1000, 5000, 31_000]))
    def time_passes(self, millis: int) -> None:
        self.now = Instant(self.now + millis * MILLISECOND)
        self.hear(Tick())

    @rule(seconds=st.sampled_from([2, 3600]))
    def clock_goes_back(self, seconds: int) -> None:
        self.now = Instant(self.now - seconds * SECOND)
        self.hear(Tick())

    @invariant()
    def sound(self) -> None:
        self.core.check_invariants()
        assert self.core.window <= len(NAMES)
        assert self.alarm is not None
        assert self.core.lateness(self.now) >= 0

    @invariant()
    def the_alarm_comes_before_what_is_known_to_be_due(self) -> None:
        for due in self.core._due.values():
            assert self.alarm is not None
            assert self.alarm <= max(due, self.now)

    def teardown(self) -> None:
        """Whatever was lost: what is due is told within the sweep's second and the limit of a flight."""
        for _ in range(9):
            self.read_ends()
            self.now = Instant(self.now + SECOND)
            self.hear(Tick())
            self.read_ends()
        late = {name for name, due in self.store.items() if due <= self.now - 7 * SECOND}
        assert late <= self.asked, "an overdue task was never told"


TestTimerMachine = TimerMachine.TestCase
TestTimerMachine.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
