"""Edges of the timer's window: what is read again and when, what a pause forgets, and what a cancelled entry leaves behind."""

from __future__ import annotations

from actors.keeper_messages import Reschedule, SchedulerPaused
from actors.timer_core import COMPACT_ABOVE, FLIGHT_LIMIT, WINDOW_LIMIT, TimerCore
from actors.timer_messages import Load, Owned, Tick
from runtime.clock import HOUR, SECOND, Instant, Micros
from tests.actors.test_timer_core import ALL, START, alarm, at, loaded, loads, owning, told


def test_the_window_reaches_over_two_looks_however_rare_they_are():
    core = TimerCore(sweep_every=Micros(HOUR))
    assert core.handle(ALL, START)[0] == Load(None, Instant(START + 2 * HOUR), WINDOW_LIMIT)


def test_who_owns_nothing_holds_nothing_and_bears_a_clock_that_goes_back():
    core = TimerCore()
    core.handle(Reschedule((("a", at(1)),)), START)
    core.handle(Tick(), at(-1))
    assert (core.window, told(core.handle(Tick(), at(2)))) == (0, [])


def test_a_new_ownership_is_read_at_once_though_the_former_was_read_just_now():
    core = owning()
    assert [load.partitions for load in loads(core.handle(Owned((3,)), at(0.1)))] == [(3,)]


def test_while_everything_is_paused_nothing_is_told_read_or_waited_for():
    core = owning((1, "a"), (5, "b"))
    core.handle(Tick(), at(1))
    assert alarm(core.handle(SchedulerPaused(True), at(1.5))) is None
    assert (core.window, core.in_flight) == (0, 0)
    directives = core.handle(Tick(), at(9))
    assert (told(directives), loads(directives), alarm(directives)) == ([], [], None)
    directives = core.handle(SchedulerPaused(False), at(10))
    assert [load.until for load in loads(directives)] == [at(70)]
    assert told(core.handle(loaded(70, (5, "b")), at(10.1))) == ["b"]


def test_to_be_told_what_one_knows_changes_nothing():
    core = owning((5, "a"))
    core.handle(SchedulerPaused(False), at(1))
    assert core.window == 1


def test_a_read_that_comes_back_after_the_pause_tells_nothing():
    core = TimerCore()
    core.handle(ALL, START)
    core.handle(SchedulerPaused(True), START)
    directives = core.handle(loaded(60, (0, "a"), (1, "b")), at(2))
    assert (told(directives), alarm(directives)) == ([], None)


def test_what_is_in_flight_does_not_hide_what_comes_after_it():
    core = owning((1, "a"))
    core.handle(Tick(), at(1))
    core.handle(loaded(2, (1, "a"), (2.5, "b")), at(2))
    assert told(core.handle(Tick(), at(2.5))) == ["b"]
    assert told(core.handle(loaded(7, (1, "a"), (8, "c")), at(7))) == ["a"]
    assert told(core.handle(Tick(), at(8))) == ["c"]


def test_what_is_told_again_has_been_late_since_the_first_time():
    core = owning((1, "a"))
    core.handle(Tick(), at(1))
    again = 1 + FLIGHT_LIMIT / SECOND
    assert told(core.handle(loaded(again, (again, "a")), at(again))) == ["a"]
    assert core.lateness(at(again)) == FLIGHT_LIMIT


def test_of_several_in_flight_the_longest_counts():
    core = owning((1, "a"), (3, "b"))
    core.handle(Tick(), at(1))
    core.handle(Tick(), at(3))
    assert core.lateness(at(4)) == 3 * SECOND


def test_a_read_that_knows_of_an_earlier_instant_is_believed():
    core = owning((5, "a"))
    core.handle(Tick(), at(1))
    core.handle(loaded(1, (3, "a")), at(1))
    assert told(core.handle(Tick(), at(3))) == ["a"]


def test_a_full_window_that_brought_nothing_new_is_still_read_on_when_it_is_used_up():
    core = TimerCore()
    core.handle(ALL, START)
    core.handle(loaded(50, (50, "a")), START)
    core.handle(Tick(), at(49.5))
    core.handle(loaded(50, (50, "a")), at(49.5))
    directives = core.handle(Tick(), at(50))
    assert (told(directives), [load.until for load in loads(directives)]) == (["a"], [at(110)])


def test_a_full_window_of_tasks_in_flight_is_not_read_without_end():
    core = TimerCore()
    core.handle(ALL, START)
    core.handle(Reschedule((("far", at(50)),)), START)
    core.handle(loaded(0.2, (0.1, "a"), (0.2, "b")), START)
    assert told(core.handle(Tick(), at(0.2))) == ["a", "b"]
    assert loads(core.handle(Tick(), at(1)))
    assert loads(core.handle(loaded(0.2, (0.1, "a"), (0.2, "b")), at(1))) == []


def test_a_full_window_that_was_emptied_by_others_is_used_up_at_its_end_only():
    core = TimerCore()
    core.handle(ALL, START)
    core.handle(loaded(0.8, (0.7, "a")), START)
    assert loads(core.handle(Reschedule((("a", None),)), at(0.1))) == []
    assert loads(core.handle(Tick(), at(0.8)))


def cancelled(core: TimerCore, number: int) -> None:
    """Put `number` entries into the window and take them out again."""
    for name in range(number):
        core.handle(Reschedule(((f"c{name}", at(30)),)), START)
    core.handle(Reschedule(tuple((f"c{name}", None) for name in range(number))), START)


def test_cancelled_entries_leave_nothing_behind():
    core = owning(*((40 - number / 1000, f"t{number:05}") for number in range(20_000)))
    core.handle(Reschedule(tuple((f"t{number:05}", None) for number in range(0, 20_000, 2))), at(0.1))
    core.handle(Reschedule((("t00001", None),)), at(0.1))
    assert (core.window, len(core._heap)) == (9_999, 9_999)
    core.check_invariants()
    # The order is that of the instants, whatever was taken out of the heap.
    assert told(core.handle(Tick(), at(40))) == [f"t{number:05}" for number in range(19_999, 2, -2)]


def test_entries_are_removed_only_when_most_of_them_are_stale():
    small = owning((40, "a"))
    cancelled(small, COMPACT_ABOVE - 1)
    assert small._held == COMPACT_ABOVE
    large = owning(*((40, f"t{number}") for number in range(5_000)))
    cancelled(large, 4_900)
    assert large._held == 9_900
    cancelled(large, 200)
    assert large._held < 5_300
    heap = large._heap
    large.handle(Tick(), at(1))
    assert large._heap is heap, "what is not stale costs nothing"


def test_what_was_moved_away_and_back_is_told_once_and_ties_go_by_name():
    core = owning((5, "c"), (5, "b"), (5, "a"))
    for instant in (9, 5, 9, 5):
        core.handle(Reschedule((("b", at(instant)),)), at(1))
    assert told(core.handle(Tick(), at(5))) == ["a", "b", "c"]
    assert (core.window, core.in_flight) == (0, 3)
    assert told(core.handle(Tick(), at(9))) == []
    core.check_invariants()


def test_those_told_together_are_heard_of_and_told_again_one_by_one():
    core = owning((1, "a"), (1, "b"), (1, "c"))
    core.handle(Tick(), at(1))
    core.handle(Reschedule((("a", at(50)),)), at(1.1))
    again = 1 + FLIGHT_LIMIT / SECOND
    assert told(core.handle(loaded(again, (again, "b")), at(again))) == ["b"]
    assert core.lateness(at(8)) == 7 * SECOND, "b has been in flight since the first time"
    assert told(core.handle(loaded(again + 1, (again, "b")), at(again + 1))) == []
    core.handle(Reschedule((("b", None),)), at(8))
    assert (core.window, core.in_flight, core.lateness(at(8))) == (1, 0, 0)
