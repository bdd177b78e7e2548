"""Supervisors with real children, under virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.actor import Actor
from runtime.errors import ActorCrashed, ActorStopped, InternalError, RestartIntensityExceeded
from runtime.mailbox import Reply, ask
from runtime.supervision_messages import Backoff, Intensity, Restart, Strategy
from runtime.supervisor import ChildSpec, Supervisor, TaskChild
from tests.seeds import scheduler_seeds, seed_scheduler

MANY = Intensity(restarts=10_000, period_seconds=1.0)


class Boom(Exception):
    """What a test's actor crashes with."""


@attrs.frozen
class Note:
    number: int


@attrs.frozen
class Crash:
    pass


@attrs.frozen
class Count:
    reply: Reply[int]


@attrs.frozen
class CrashingQuestion:
    reply: Reply[int]


class Recorder(Actor[object]):
    """Appends what it is told to `seen`, which outlives it as a store would; crashes when told to."""

    def __init__(self, name: str, journal: list[str] | None = None, **options: float) -> None:
        super().__init__(name, **options)  # type: ignore[arg-type]
        self.seen: list[int] = []
        self.journal = journal if journal is not None else []
        self.hang_on_stop = False

    async def started(self) -> None:
        self.journal.append(f"start {self.name}")

    async def stopping(self) -> None:
        if self.hang_on_stop:
            await trio.sleep_forever()
        self.journal.append(f"stop {self.name}")

    async def receive(self, message: object) -> None:
        await trio.lowlevel.checkpoint()
        match message:
            case Note(number):
                self.seen.append(number)
            case Count(reply):
                reply.answer(len(self.seen))
            case Crash() | CrashingQuestion():
                raise Boom(self.name)


def supervisor(*children: ChildSpec, name: str = "node", **options: object) -> Supervisor:
    options.setdefault("intensity", MANY)
    return Supervisor(name, children, rng=random.Random(1), **options)  # type: ignore[arg-type]


def trio_run(main: Callable[[], object], seed: int) -> None:
    """A run under virtual time with a drawn order of tasks."""
    seed_scheduler(seed)
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # type: ignore[arg-type]


async def running(root: Supervisor, nursery: trio.Nursery) -> None:
    await nursery.start(lambda task_status: root.run(task_status=task_status))


async def test_starts_in_order_and_stops_in_reverse(autojump_clock: object) -> None:
    journal: list[str] = []
    root = supervisor(*(ChildSpec(Recorder(name, journal)) for name in "abc"))
    async with trio.open_nursery() as nursery:
        await running(root, nursery)
        assert journal == ["start a", "start b", "start c"]
        root.stop()
    assert journal[3:] == ["stop c", "stop b", "stop a"]


async def test_a_crashed_child_comes_back_with_what_it_had_not_handled(autojump_clock: object) -> None:
    child = Recorder("a")
    crashes: list[tuple[str, str]] = []
    root = supervisor(ChildSpec(child), on_crash=lambda name, error: crashes.append((name, repr(error))))
    async with trio.open_nursery() as nursery:
        await running(root, nursery)
        for message in (Note(1), Crash(), Note(2), Note(3)):
            child.mailbox.tell_nowait(message)
        assert await ask(child.mailbox, Count, 60) == 3
        assert root.snapshot().children[0].restarts == 1
        root.stop()
    assert child.seen == [1, 2, 3]
    assert crashes == [("a", "Boom('a')")]


async def test_the_question_it_crashed_on_is_refused_and_not_asked_again(autojump_clock: object) -> None:
    child = Recorder("a")
    root = supervisor(ChildSpec(child))
    async with trio.open_nursery() as nursery:
        await running(root, nursery)
        with pytest.raises(ActorCrashed, match="Boom"):
            await ask(child.mailbox, CrashingQuestion, 60)
        assert await ask(child.mailbox, Count, 60) == 0
        assert root.snapshot().children[0].restarts == 1
        root.stop()


@settings(max_examples=40, deadline=None)
@given(st.data(), scheduler_seeds)
def test_crashes_under_load_lose_nothing_but_what_crashed(data: st.DataObject, seed: int) -> None:
    script = data.draw(st.lists(st.booleans(), min_size=1, max_size=40))
    budget = data.draw(st.integers(1, 8))
    capacity = data.draw(st.integers(1, 8))

    async def main() -> None:
        child = Recorder("a", capacity=capacity, budget=budget)
        other = Recorder("b")
        root = supervisor(ChildSpec(child), ChildSpec(other), strategy=Strategy.ONE_FOR_ALL)
        async with trio.open_nursery() as nursery:
            await running(root, nursery)
            for number, crash in enumerate(script):
                await child.mailbox.tell(Crash() if crash else Note(number))
                await other.mailbox.tell(Note(number))
            kept = [number for number, crash in enumerate(script) if not crash]
            assert await ask(child.mailbox, Count, 10_000) == len(kept)
            assert await ask(other.mailbox, Count, 10_000) == len(script)
            root.stop()
        assert child.seen == kept
        assert other.seen == list(range(len(script)))

    trio_run(main, seed)


@pytest.mark.parametrize(
    ("strategy", "restarted"),
    [
        (Strategy.ONE_FOR_ONE, ["start b"]),
        (Strategy.REST_FOR_ONE, ["stop c", "start b", "start c"]),
        (Strategy.ONE_FOR_ALL, ["stop c", "stop a", "start a", "start b", "start c"]),
    ],
)
async def test_strategies(strategy: Strategy, restarted: list[str], autojump_clock: object) -> None:
    journal: list[str] = []
    actors = {name: Recorder(name, journal) for name in "abc"}
    root = supervisor(*map(ChildSpec, actors.values()), strategy=strategy)
    async with trio.open_nursery() as nursery:
        await running(root, nursery)
        del journal[:]
        actors["b"].mailbox.tell_nowait(Crash())
        await trio.sleep(10)
        assert journal == restarted
        root.stop()


async def test_too_many_restarts_fail_the_supervisor_and_name_the_cause(autojump_clock: object) -> None:
    child = Recorder("a")
    root = supervisor(ChildSpec(child), intensity=Intensity(restarts=2, period_seconds=60))
    for _ in range(3):
        child.mailbox.tell_nowait(Crash())
    with pytest.raises(RestartIntensityExceeded, match="'a': Boom") as caught:
        await root.run()
    assert isinstance(caught.value.__cause__, Boom)
    assert "over 2 restarts" in (root.snapshot().last_error or "")


async def test_a_nested_supervisor_that_gives_up_is_restarted_by_its_parent(autojump_clock: object) -> None:
    leaf = Recorder("leaf")
    inner = supervisor(ChildSpec(leaf), name="inner", intensity=Intensity(restarts=1, period_seconds=60))
    root = supervisor(ChildSpec(inner))
    async with trio.open_nursery() as nursery:
        await running(root, nursery)
        for message in (Crash(), Crash(), Note(7)):
            leaf.mailbox.tell_nowait(message)
        assert await ask(leaf.mailbox, Count, 60) == 1
        snapshot = root.snapshot()
        assert [(node.name, node.kind, node.restarts) for node in snapshot.children] == [("inner", "supervisor", 1)]
        assert "RestartIntensityExceeded" in (snapshot.children[0].last_error or "")
        root.stop()


async def test_escalation_reaches_the_owner_of_the_root(autojump_clock: object) -> None:
    leaf = Recorder("leaf")
    inner = supervisor(ChildSpec(leaf), name="inner", intensity=Intensity(restarts=0))
    root = supervisor(ChildSpec(inner), intensity=Intensity(restarts=0))
    leaf.mailbox.tell_nowait(Crash())
    async with trio.open_nursery() as nursery:

        async def asks() -> None:
            with pytest.raises(ActorStopped):
                await ask(leaf.mailbox, Count, 3600)

        with pytest.raises(RestartIntensityExceeded):
            await root.run()
        nursery.start_soon(asks)
        await trio.sleep(1)
        root.abandon()


async def test_a_child_that_cannot_start_fails_the_supervisor_with_its_own_error(autojump_clock: object) -> None:
    journal: list[str] = []

    class Unstartable(Recorder):
        async def started(self) -> None:
            raise Boom("no store")

    root = supervisor(ChildSpec(Recorder("a", journal)), ChildSpec(Unstartable("b")), ChildSpec(Recorder("c", journal)))
    with pytest.raises(Boom, match="no store"):
        await root.run()
    assert journal == ["start a", "stop a"]


async def test_a_child_that_is_never_ready_is_given_up(autojump_clock: object) -> None:
    class Slow(Recorder):
        async def started(self) -> None:
            await trio.sleep_forever()

    with pytest.raises(InternalError, match="'a' was not ready within 3 s"):
        await supervisor(ChildSpec(Slow("a"), start_seconds=3)).run()


async def test_a_stop_during_the_start_cancels_the_start(autojump_clock: object) -> None:
    class Slow(Recorder):
        async def started(self) -> None:
            await trio.sleep(30)

    journal: list[str] = []
    root = supervisor(ChildSpec(Recorder("a", journal)), ChildSpec(Slow("b")), ChildSpec(Recorder("c", journal)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(root.run)
        await trio.sleep(1)
        before = trio.current_time()
        root.stop()
    assert trio.current_time() == before
    assert journal == ["start a", "stop a"]


async def test_a_child_that_gets_ready_after_it_was_told_to_stop_still_stops(autojump_clock: object) -> None:
    class Stubborn(Recorder):
        async def started(self) -> None:
            with trio.CancelScope(shield=True):
                await trio.sleep(30)

    root = supervisor(ChildSpec(Stubborn("a")), ChildSpec(TaskChild("never started", trio.sleep_forever)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(root.run)
        await trio.sleep(1)
        before = trio.current_time()
        root.stop()
    assert trio.current_time() - before == pytest.approx(29)
    assert [child.state for child in root.snapshot().children] == ["ended", "ended"]


async def test_a_child_that_ends_by_itself_while_the_stop_is_on_its_way(autojump_clock: object) -> None:
    crashes: list[str] = []

    async def leaves() -> None:
        await trio.sleep(1)
        root.stop()

    leaving = TaskChild("leaves", leaves)
    leaving.stop()
    root = supervisor(ChildSpec(leaving), on_crash=lambda name, error: crashes.append(name))
    with trio.fail_after(60):
        await root.run()
    assert crashes == []
    assert root.snapshot().children[0].state == "ended"


async def test_a_child_that_ends_before_it_is_ready_is_a_failed_start(autojump_clock: object) -> None:
    class Mute(TaskChild):
        async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            await trio.lowlevel.checkpoint()

    with pytest.raises(InternalError, match="'mute' ended before it was ready"):
        await supervisor(ChildSpec(Mute("mute", trio.sleep_forever))).run()


async def test_a_child_that_says_twice_that_it_is_ready_has_crashed(autojump_clock: object) -> None:
    class Eager(TaskChild):
        async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            task_status.started()
            task_status.started()

    crashes: list[str] = []
    root = supervisor(
        ChildSpec(Eager("eager", trio.sleep_forever), restart=Restart.TEMPORARY),
        on_crash=lambda name, error: crashes.append(f"{name}: {error}"),
    )
    async with trio.open_nursery() as nursery:
        await running(root, nursery)
        await trio.sleep(1)
        root.stop()
    assert crashes == ["eager: 'eager' has said twice that it is ready"]


async def test_a_child_that_does_not_stop_is_killed_at_its_deadline(autojump_clock: object) -> None:
    crashes: list[str] = []
    child = Recorder("a")
    child.hang_on_stop = True
    root = supervisor(ChildSpec(child, shutdown_seconds=7), on_crash=lambda name, error: crashes.append(str(error)))
    async with trio.open_nursery() as nursery:
        await running(root, nursery)
        before = trio.current_time()
        root.stop()
    assert trio.current_time() - before == pytest.approx(7)
    assert crashes == ["'a' did not stop within 7 s and was killed"]


async def test_shutdown_zero_kills_at_once_and_is_no_failure(autojump_clock: object) -> None:
    crashes: list[str] = []
    child = Recorder("a")
    child.hang_on_stop = True
    root = supervisor(ChildSpec(child, shutdown_seconds=0), on_crash=lambda name, error: crashes.append(str(error)))
    async with trio.open_nursery() as nursery:
        await running(root, nursery)
        before = trio.current_time()
        root.stop()
    assert trio.current_time() == before
    assert crashes == []


async def test_a_final_stop_drains_and_then_refuses(autojump_clock: object) -> None:
    child = Recorder("a")
    root = supervisor(ChildSpec(child))
    async with trio.open_nursery() as nursery:
        await running(root, nursery)
        for number in range(1_000):
            child.mailbox.tell_nowait(Note(number))
        root.stop()
        await trio.lowlevel.checkpoint()
    assert child.seen == list(range(1_000))
    with pytest.raises(ActorStopped):
        child.mailbox.tell_nowait(Note(0))


async def test_a_temporary_child_that_crashed_refuses_who_waits_for_it(autojump_clock: object) -> None:
    child = Recorder("a")
    root = supervisor(ChildSpec(child, restart=Restart.TEMPORARY))
    async with trio.open_nursery() as nursery:
        await running(root, nursery)
        child.mailbox.tell_nowait(Crash())
        with pytest.raises(ActorStopped):
            await ask(child.mailbox, Count, 3600)
        assert root.snapshot().children[0].state == "ended"
        root.stop()


async def test_groups_of_one_error_are_that_error_and_larger_ones_stay(autojump_clock: object) -> None:
    errors: list[BaseException] = []

    async def fails_once() -> None:
        async with trio.open_nursery() as outer, trio.open_nursery() as inner:
            inner.start_soon(raises, "one")
            outer.start_soon(trio.sleep_forever)

    async def fails_twice() -> None:
        raise BaseExceptionGroup("both", [Boom("one"), GeneratorExit()])

    async def raises(text: str) -> None:
        raise Boom(text)

    root = supervisor(
        *(ChildSpec(TaskChild(f.__name__, f), restart=Restart.TEMPORARY) for f in (fails_once, fails_twice)),
        on_crash=lambda name, error: errors.append(error),
    )
    async with trio.open_nursery() as nursery:
        await running(root, nursery)
        await trio.sleep(1)
        root.stop()
    assert sorted(type(error).__name__ for error in errors) == ["BaseExceptionGroup", "Boom"]


async def test_cancellation_ends_the_whole_tree_and_is_no_crash(autojump_clock: object) -> None:
    crashes: list[str] = []
    child = Recorder("a")
    inner = supervisor(ChildSpec(child), name="inner")
    root = supervisor(ChildSpec(inner), on_crash=lambda name, error: crashes.append(name))
    with trio.move_on_after(5) as scope:
        await root.run()
    assert scope.cancelled_caught
    assert crashes == []
    assert (root.snapshot().state, inner.snapshot().state) == ("ended", "ended")


async def test_a_crash_while_cancelled_is_reported_and_cancellation_goes_on(autojump_clock: object) -> None:
    crashes: list[str] = []

    async def cleans_up_badly() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise Boom("in cleanup")

    root = supervisor(
        ChildSpec(TaskChild("a", cleans_up_badly)), on_crash=lambda name, error: crashes.append(repr(error))
    )
    with trio.move_on_after(5):
        await root.run()
    assert crashes == ["Boom('in cleanup')"]
    assert root.snapshot().state == "ended"


async def test_a_keyboard_interrupt_goes_through() -> None:
    async def interrupted() -> None:
        raise KeyboardInterrupt

    root = supervisor(ChildSpec(TaskChild("a", interrupted)))
    with pytest.RaisesGroup(KeyboardInterrupt):
        await root.run()


async def test_start_and_stop_a_hundred_times_also_unstarted_and_twice(autojump_clock: object) -> None:
    child = Recorder("a")
    inner = supervisor(ChildSpec(child), ChildSpec(TaskChild("idle", trio.sleep_forever)), name="inner")
    root = supervisor(ChildSpec(inner))
    root.stop()
    root.suspend()
    for turn in range(100):
        async with trio.open_nursery() as nursery:
            await running(root, nursery)
            assert await ask(child.mailbox, Count, 60) == turn
            child.mailbox.tell_nowait(Note(turn))
            for stop in (root.suspend, root.stop, root.stop) if turn % 2 else (root.stop, root.stop):
                stop()
        root.stop()
    assert child.seen == list(range(100))
    with pytest.raises(ActorStopped):
        await child.mailbox.tell(Note(0))


async def test_two_runs_at_once_are_refused(autojump_clock: object) -> None:
    root = supervisor()
    async with trio.open_nursery() as nursery:
        await running(root, nursery)
        with pytest.raises(InternalError, match="already running"):
            await root.run()
        root.stop()


async def test_the_snapshot_shows_the_tree(autojump_clock: object) -> None:
    child = Recorder("a", capacity=5)
    inner = supervisor(ChildSpec(child), name="inner")
    root = supervisor(ChildSpec(inner), ChildSpec(TaskChild("idle", trio.sleep_forever)))
    async with trio.open_nursery() as nursery:
        await running(root, nursery)
        child.mailbox.tell_nowait(Note(1))
        await trio.sleep(1)
        snapshot = root.snapshot()
        root.stop()
    assert [(node.name, node.kind, node.state) for node in snapshot.children] == [
        ("inner", "supervisor", "running"),
        ("idle", "task", "running"),
    ]
    statistics = snapshot.children[0].children[0].statistics
    assert statistics is not None
    assert (statistics.handled, statistics.mailbox.capacity, statistics.busy_since) == (1, 5, None)
    assert [each.name for each in root.actor_statistics()] == ["a"]


async def test_restarts_wait_longer_and_longer(autojump_clock: object) -> None:
    starts: list[float] = []

    async def crashes() -> None:
        starts.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        raise Boom

    backoff = Backoff(initial_seconds=1, factor=2, cap_seconds=4, jitter=0)
    root = supervisor(ChildSpec(TaskChild("a", crashes)), backoff=backoff)
    with trio.move_on_after(20):
        await root.run()
    assert [round(after - before, 6) for before, after in pairwise(starts)][:4] == [1, 2, 4, 4]
