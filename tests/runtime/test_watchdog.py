"""The watchdog: the rule with examples, the shell under virtual time."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock

from runtime.actor import Actor, ActorStatistics
from runtime.mailbox import Mailbox
from runtime.supervisor import ChildSpec, Supervisor
from runtime.watchdog import LOOP, STALL_MEMORY_SECONDS, Complaint, Watchdog, overdue


def busy(name: str, since: float | None, deadline: float = 10.0) -> ActorStatistics:
    return ActorStatistics(name, Mailbox[int](name).statistics(), 0, 0, since, deadline)


def test_overdue_is_who_is_busy_for_longer_than_its_deadline() -> None:
    statuses = [
        busy("idle", None),
        busy("fresh", 95.0),
        busy("just", 90.0),
        busy("late", 89.0),
        busy("strict", 98.0, 1.0),
    ]
    assert overdue(statuses, 100.0) == [Complaint("late", 11.0, 10.0), Complaint("strict", 2.0, 1.0)]


def test_complaints_read_as_sentences() -> None:
    assert str(Complaint("timer", 11.0, 10.0)) == "timer not back at its mailbox for 11.000 s (allowed 10 s)"
    assert str(Complaint(LOOP, 2.5, 1.0)) == "loop late for 2.500 s (allowed 1 s)"


class Hangs(Actor[float]):
    """Handles a message by sleeping for so many seconds."""

    async def receive(self, message: float) -> None:
        await trio.sleep(message)


class Stalls(Actor[float]):
    """Handles a message without giving way for so many seconds, as a handler that calls time.sleep."""

    def __init__(self, clock: MockClock) -> None:
        super().__init__("stalls")
        self._clock = clock

    async def receive(self, message: float) -> None:
        self._clock.jump(message)


async def test_an_actor_that_hangs_is_reported_once_until_it_is_back(autojump_clock: MockClock) -> None:
    told: list[Complaint] = []
    actor = Hangs("hangs", deadline_seconds=5.0)
    watchdog = Watchdog(lambda: root.actor_statistics(), on_complaint=told.append)
    root = Supervisor("node", [ChildSpec(actor), ChildSpec(watchdog)], rng=random.Random(0))
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: root.run(task_status=task_status))
        await trio.sleep(20)
        assert watchdog.health() == []
        actor.mailbox.tell_nowait(20.0)
        await trio.sleep(10)
        (complaint,) = watchdog.health()
        assert complaint.subject == "hangs"
        assert 9 <= complaint.seconds <= 10
        await trio.sleep(15)
        assert watchdog.health() == []
        actor.mailbox.tell_nowait(20.0)
        await trio.sleep(25)
        root.stop()
    assert [complaint.subject for complaint in told] == ["hangs", "hangs"]
    assert watchdog.statistics().stalls == 0
    assert watchdog.statistics().ticks >= 60


async def test_a_handler_that_does_not_give_way_is_noticed_afterwards(autojump_clock: MockClock) -> None:
    stalls: list[float] = []
    actor = Stalls(autojump_clock)
    watchdog = Watchdog(lambda: [actor.statistics()], on_stall=stalls.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.run)
        await nursery.start(lambda task_status: watchdog.run(task_status=task_status))
        await trio.sleep(0.5)
        actor.mailbox.tell_nowait(3.5)
        await trio.sleep(4.25)
        assert stalls == [pytest.approx(3.0)]
        assert watchdog.health() == [Complaint(LOOP, pytest.approx(3.0), 1.0)]
        await trio.sleep(STALL_MEMORY_SECONDS + 2)
        assert watchdog.health() == []
        actor.mailbox.tell_nowait(1.2)
        await trio.sleep(2.5)
        assert stalls[1:] == [pytest.approx(0.95)]
        assert watchdog.health() == []
        statistics = watchdog.statistics()
        assert (statistics.stalls, statistics.longest_stall_seconds) == (2, pytest.approx(3.0))
        assert statistics.last_stall_seconds == stalls[1]
        actor.stop()
        watchdog.stop()


async def test_the_last_tick_is_there_for_a_thread_outside(autojump_clock: MockClock) -> None:
    watchdog = Watchdog(list, monotonic=lambda: 42.0, interval_seconds=0.5)
    assert watchdog.last_tick is None
    with trio.move_on_after(2):
        await watchdog.run()
    assert watchdog.last_tick == 42.0


async def test_start_and_stop_a_hundred_times_also_unstarted_and_twice(autojump_clock: MockClock) -> None:
    watchdog = Watchdog(list)
    watchdog.stop()
    watchdog.abandon()
    for _ in range(100):
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: watchdog.run(task_status=task_status))
            await trio.sleep(1.5)
            watchdog.suspend()
            watchdog.stop()
    assert watchdog.statistics().ticks == 100
