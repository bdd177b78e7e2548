"""Deliveries over a store in memory and a keeper that commits what it is told: retries, throttles and faults in virtual time."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from actors import herald_delivery
from actors.herald_core import FIRST_DELAY, JUDGED, MAX_TRIES
from actors.herald_delivery import ACTION_SECONDS, Deliveries
from actors.herald_messages import Delivery, DeliveryFailed
from actors.keeper_messages import Delivered, Event, Happened
from actors.model.event import Action, Email, RunTask, Topic, Webhook
from actors.model.execution import Execution
from actors.model.lifecycle import State
from actors.rules.followers import MAX_INLINE
from actors.store.memory import MemoryStore
from actors.store.port import Commit, Create, DeliveryWrite, ExecutionWrite, OutboxEntry
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import StoreUnavailable
from runtime.mailbox import Mailbox
from runtime.records import evolve
from runtime.simulation import SimulatedWorld
from tests.actors.event_kit import ended, entries, event, ids
from tests.actors.records import task, update

HOOK = Webhook("https://example.org/hook")


@attrs.define
class Running:
    """Deliveries that run. `received`: (instant, delivery) in order; `answers`: what the receiver does, by URL."""

    world: SimulatedWorld
    store: MemoryStore
    deliveries: Deliveries
    new_id: Callable[[], str]
    received: list[tuple[Instant, Delivery]] = attrs.field(factory=list)
    answers: dict[str, Callable[[], Any]] = attrs.field(factory=dict)
    refusals: list[Exception] = attrs.field(factory=list)

    def happen(self, *events: Any, **fields: Any) -> list[OutboxEntry]:
        """An outcome, committed now."""
        made = entries(*events, at=self.world.now(), new_id=self.new_id, **fields)
        assert not self.store.commit(Commit({}, outbox=tuple(made))).refused
        self.deliveries.wake()
        return made

    def writes(self, task_id: str = "t1") -> list[DeliveryWrite]:
        """Oldest first."""
        return self.store.deliveries(task_id, offset=0, limit=1_000)[0][::-1]

    def states(self, task_id: str = "t1") -> list[str]:
        return [write.state for write in self.writes(task_id)]

    async def receive(self, delivery: Delivery) -> str:
        self.received.append((self.world.now(), delivery))
        key = delivery.action.url if isinstance(delivery.action, Webhook) else type(delivery.action).__name__
        answer = self.answers.get(key)
        found = answer() if answer else "HTTP 200"
        if hasattr(found, "__await__"):
            found = await found
        return str(found)

    async def keep(self, keeper: Mailbox[Event]) -> None:
        while True:
            for told in await keeper.receive(100):
                assert isinstance(told, Delivered)
                if self.refusals:
                    told.reply.refuse(self.refusals.pop(0))
                    continue
                commit = Commit({}, outbox=told.entries, deliveries=told.writes, event_states=told.states)
                assert not self.store.commit(commit).refused
                told.reply.answer(None)


@asynccontextmanager
async def running(*kinds: type[Action], store: MemoryStore | None = None) -> AsyncIterator[Running]:
    world = SimulatedWorld()
    if store is None:
        store = MemoryStore()
        store.open(new_cluster_id="c", partitions=1, timezone_database="2026f")
        store.commit(Commit({}, (Create(task("t1"), 0), Create(task("t2"), 0))))
    keeper: Mailbox[Event] = Mailbox("keeper")
    perform: dict[type[Action], Any] = {}
    deliveries = Deliveries("test deliveries", store=store, world=world, keeper=keeper, reader="reads", perform=perform)
    made = Running(world, store, deliveries, ids())
    perform.update(dict.fromkeys(kinds or (Webhook, Email, Topic), made.receive))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.keep, keeper)
        await nursery.start(deliveries.run)
        yield made
        nursery.cancel_scope.cancel()


def fail(times: int, error: Callable[[], Exception]) -> Callable[[], str]:
    left = [None] * times

    def answer() -> str:
        if left:
            left.pop()
            raise error()
        return "HTTP 200"

    return answer


async def test_an_outcome_is_judged_and_its_actions_are_done(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as run:
        (entry,) = run.happen(event(HOOK, Email(("a@b",)), condition="result.rows == 3"), result='{"rows": 3}')
        await trio.testing.wait_all_tasks_blocked()
        assert {type(one.action) for _, one in run.received} == {Webhook, Email}
        fired, *delivered = run.writes()
        assert (fired.entry_id, fired.state) == (entry.id, "fired")
        assert sorted(write.entry_id for write in delivered) == sorted(fired.detail.split())
        assert sorted(one.id for _, one in run.received) == sorted(fired.detail.split())
        assert {write.state for write in delivered} == {"delivered"}
        assert {write.detail for write in delivered} == {"HTTP 200"}
        await trio.sleep(10)
        assert len(run.received) == 2


async def test_a_lost_hint_costs_a_second_at_most(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as run:
        await trio.sleep(0.5)
        made = entries(event(HOOK), at=run.world.now())
        run.store.commit(Commit({}, outbox=tuple(made)))
        await trio.sleep(1.1)
        assert len(run.received) == 1


async def test_what_is_heard_wakes_only_for_tasks_with_events(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as run:
        await trio.testing.wait_all_tasks_blocked()
        run.store.commit(Commit({}, outbox=tuple(entries(event(HOOK), at=run.world.now()))))
        run.deliveries.hear(Happened((), (task("t1"),)))
        await trio.testing.wait_all_tasks_blocked()
        assert run.received == []
        run.deliveries.hear(Happened((), (task("t1"), task("t2", events=(event(),)))))
        await trio.testing.wait_all_tasks_blocked()
        assert len(run.received) == 1


@pytest.mark.parametrize(
    ("condition", "state", "detail"),
    [
        ("result.rows > 5", "suppressed", "the condition is false"),
        ("result.columns > 5", "given_up", "condition: there is no 'columns'"),
        ("execution.state", "given_up", "condition: gives a text, not true or false"),
        ("len(", "given_up", "condition: condition: "),
    ],
)
async def test_an_outcome_that_sets_off_nothing_is_recorded(
    condition: str, state: str, detail: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with running() as run:
        run.happen(event(HOOK, condition=condition), result='{"rows": 3}')
        await trio.testing.wait_all_tasks_blocked()
        (write,) = run.writes()
        assert write.state == state
        assert write.detail.startswith(detail)
        assert run.received == []
        assert run.store.outbox_due(Instant(10**18), 10) == []


async def test_edges_and_throttles_are_remembered(autojump_clock: trio.testing.MockClock) -> None:
    edge = event(HOOK, name="edge", mode="edge", condition="result")
    rare = event(HOOK, name="rare", throttle=Micros(10 * SECOND), condition="result")
    async with running() as run:
        for result in ("true", "true", "false", "true", "true", "true"):
            run.happen(edge, rare, result=result)
            await trio.sleep(4)
        fired = [(write.event, write.detail) for write in run.writes() if write.state == "fired"]
        assert [name for name, _ in fired] == ["edge", "rare", "edge", "rare"]
        assert len(run.received) == 4


async def test_many_outcomes_of_one_moment_are_judged_in_order(autojump_clock: trio.testing.MockClock) -> None:
    edge = event(HOOK, mode="edge", condition="result")
    async with running() as run:
        number = 2 * JUDGED + 10
        made = [
            one
            for index in range(number)
            for one in entries(edge, at=run.world.now(), new_id=run.new_id, result="false" if index % 3 else "true")
        ]
        run.store.commit(Commit({}, outbox=tuple(made)))
        await trio.sleep(5)
        judged = [write for write in run.writes() if write.entry_id.startswith("d")]
        assert [write.state for write in judged] == ["suppressed" if i % 3 else "fired" for i in range(number)]
        assert len(run.received) == len([i for i in range(number) if not i % 3])


async def test_a_failed_try_is_repeated_under_the_same_id(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as run:
        begin = run.world.now()
        run.answers[HOOK.url] = fail(3, lambda: DeliveryFailed("HTTP 503"))
        run.happen(event(HOOK))
        await trio.sleep(300)
        waits = [FIRST_DELAY, 3 * FIRST_DELAY, 9 * FIRST_DELAY]
        assert [at - begin for at, _ in run.received] == [0, waits[0], sum(waits[:2]), sum(waits)]
        assert len({one.id for _, one in run.received}) == 1
        assert [one.tries for _, one in run.received] == [0, 1, 2, 3]
        assert run.states() == ["fired", "retry", "retry", "retry", "delivered"]
    assert "Webhook of event 'alarm' of task t1: retry: 'HTTP 503'" in caplog.text


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (lambda: DeliveryFailed("no", permanent=True), 1),
        (lambda: DeliveryFailed("no"), MAX_TRIES),
        (lambda: ZeroDivisionError("a bug"), MAX_TRIES),
    ],
)
async def test_tries_have_an_end(
    error: Any, tries: int, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    async with running() as run:
        run.answers[HOOK.url] = fail(100, error)
        run.happen(event(HOOK))
        await trio.sleep(6_000)
        assert len(run.received) == tries
        assert run.states() == ["fired", *["retry"] * (tries - 1), "given_up"]
        assert run.store.outbox_due(Instant(10**18), 10) == []


async def test_what_takes_too_long_is_cut_off(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as run:
        run.answers[HOOK.url] = trio.sleep_forever
        run.happen(event(HOOK))
        await trio.sleep(ACTION_SECONDS + 1)
        assert run.states() == ["fired", "retry"]
        assert run.writes()[-1].detail == "took longer than 30 s"


async def test_what_nobody_does_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    async with running(Topic) as run:
        run.happen(event(HOOK, RunTask("other")))
        await trio.testing.wait_all_tasks_blocked()
        assert run.states() == ["fired", "given_up", "given_up"]
        assert {write.detail for write in run.writes()[1:]} == {
            "this node does no Webhook",
            "this node does no RunTask",
        }


async def test_a_slow_webhook_delays_no_other(autojump_clock: trio.testing.MockClock) -> None:
    slow, quick = Webhook("https://slow.example.org/"), Webhook("https://quick.example.org/")
    async with running() as run:
        run.answers[slow.url] = partial(trio.sleep, 25)
        for _ in range(300):
            run.happen(event(slow))
        await trio.testing.wait_all_tasks_blocked()
        begin = run.world.now()
        run.happen(event(quick), task_id="t2")
        await trio.sleep(2)
        quick_ones = [at for at, one in run.received if one.action == quick]
        assert len(quick_ones) == 1
        assert quick_ones[0] - begin < 2 * SECOND
        assert len(run.received) == 5


async def test_a_keeper_that_cannot_commit_is_told_until_it_can_and_nothing_is_done_twice(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running() as run:
        run.happen(event(HOOK))
        run.refusals = [StoreUnavailable("disk full") for _ in range(3)]
        await trio.sleep(20)
        assert run.states() == ["fired", "delivered"]
        run.answers[HOOK.url] = lambda: run.refusals.extend([StoreUnavailable("disk full")] * 5) or "HTTP 200"
        run.happen(event(HOOK))
        await trio.sleep(20)
        assert run.states() == ["fired", "delivered"] * 2
        assert len(run.received) == 2


async def test_a_store_that_cannot_be_read_is_read_again(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as run:
        run.happen(event(HOOK))
        with monkeypatch.context() as patch:

            def unavailable(*arguments: Any) -> Any:
                raise StoreUnavailable("away")

            patch.setattr(MemoryStore, "outbox_due", unavailable)
            await trio.sleep(5)
            assert run.received == []
        await trio.sleep(3)
        assert len(run.received) == 1
    assert "cannot be worked off: away" in caplog.text


async def test_an_entry_that_is_damaged_holds_up_nobody(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as run:
        (made,) = entries(event(HOOK), at=run.world.now())
        run.store.commit(Commit({}, outbox=(evolve(made, id="broken", payload="[]"),)))
        run.happen(event(HOOK))
        await trio.testing.wait_all_tasks_blocked()
        assert run.states() == ["given_up", "fired", "delivered"]
        assert "broken" in run.writes()[0].detail


async def test_conditions_that_take_too_long_get_no_answer(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as run:
        blocking = run.world.blocking

        async def slow(function: Any, *arguments: Any, **named: Any) -> Any:
            if function is herald_delivery._evaluate_all:
                await trio.sleep_forever()
            return await blocking(function, *arguments, **named)

        monkeypatch.setattr(run.world, "blocking", slow)
        run.happen(event(HOOK))
        await trio.sleep(10)
        assert run.states() == ["given_up"]
        assert run.writes()[0].detail == "condition: no answer within 5 s"


# -- what a condition sees of the store


def stored(store: MemoryStore, *executions: Execution, results: dict[str, str] | None = None) -> None:
    (whole,) = store.tasks(["t1"])
    writes = [ExecutionWrite(one, result=(results or {}).get(one.id)) for one in executions]
    assert not store.commit(Commit({}, updates=(update(whole, *writes),))).refused


async def test_a_condition_sees_what_came_before(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as run:
        now = run.world.now()
        before = [
            ended(state, at=now - 100 + index, id=f"e{index}", fence=index, nominal=Instant(index))
            for index, state in enumerate([State.COMPLETED, State.FAILED, State.TIMED_OUT])
        ]
        this = ended(State.FAILED, at=now, id="e5", fence=5)
        later = ended(State.COMPLETED, at=now + 1, id="e6", fence=6, nominal=Instant(6))
        open_one = ended(State.RUNNING, at=now, id="e7", fence=7, nominal=Instant(7))
        stored(run.store, *before, this, later, open_one)
        run.happen(event(HOOK, condition="history.failures_in_a_row == 3"), execution=this)
        run.happen(event(HOOK, condition='history.last == "x" or history.previous == "TIMED_OUT"'), execution=this)
        run.happen(event(HOOK, condition='history.previous == "TIMED_OUT" and len(history.last) == 3'), execution=this)
        run.happen(event(HOOK, condition="history.completed == 3 and history.failed == 2"), execution=this)
        await trio.testing.wait_all_tasks_blocked()
        judged = [write for write in run.writes() if write.entry_id.startswith("d") and write.state != "delivered"]
        assert [write.state for write in judged] == ["fired", "given_up", "fired", "fired"]


async def test_a_large_result_is_read_when_it_is_needed_and_not_sent_on(autojump_clock: trio.testing.MockClock) -> None:
    large = json.dumps({"rows": 3, "text": "x" * MAX_INLINE})
    async with running() as run:
        this = ended(State.COMPLETED, at=run.world.now(), id="e5", fence=5)
        stored(run.store, this, results={"e5": large})
        run.happen(event(HOOK, condition="result.rows == 3"), execution=this, result=large)
        other = evolve(this, fence=6)
        run.happen(event(HOOK, condition="result.rows == 3"), execution=other, result=large)
        gone = evolve(this, id="gone")
        run.happen(event(HOOK, condition="result.rows == 3"), execution=gone, result=large)
        await trio.testing.wait_all_tasks_blocked()
        assert run.states() == ["fired", "given_up", "given_up", "delivered"]
        ((_, delivery),) = run.received
        assert "result" not in delivery.facts


async def test_large_parameters_of_the_task_are_read_too(autojump_clock: trio.testing.MockClock) -> None:
    parameters = json.dumps({"text": "x" * MAX_INLINE, "y": 1})
    store = MemoryStore()
    store.open(new_cluster_id="c", partitions=1, timezone_database="2026f")
    store.commit(Commit({}, (Create(task("t1", parameters=parameters), 0),)))
    async with running(store=store) as run:
        this = ended(State.COMPLETED, at=run.world.now(), id="e5", fence=5)
        stored(run.store, this)
        run.happen(event(HOOK, condition="input.y == 1"), execution=this, parameters=parameters)
        await trio.testing.wait_all_tasks_blocked()
        assert run.states() == ["fired", "delivered"]
