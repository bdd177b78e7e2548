"""Hooks on outcomes: each end is told once, and neither an error nor a slow hook holds anything up."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from actors.handling.catalogue import Catalogue
from actors.handling.hooks import Hook, Settled
from actors.herald_hooks import WAITING, OutcomeHooks
from actors.keeper_messages import Happened
from actors.model.lifecycle import State
from actors.model.occurrence import Outcome, Reason
from actors.model.occurrence import Settled as Slots
from runtime.clock import SECOND, Instant
from runtime.records import evolve
from runtime.simulation import SimulatedWorld
from tests.actors.event_kit import START, ended
from tests.actors.records import task


def hooks_for(function: Any, **fields: Any) -> OutcomeHooks:
    catalogue = Catalogue()
    catalogue.hooks.add(Hook("on_outcome", function, **fields))
    return OutcomeHooks(catalogue, SimulatedWorld())


def happened(*executions: Any, settled: tuple[Slots, ...] = ()) -> Happened:
    return Happened(executions, (task("t1"),), settled)


async def heard_of(hooks: OutcomeHooks, *messages: Happened) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hooks.run)
        for message in messages:
            hooks.hear(message)
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_what_has_ended_is_told(autojump_clock: trio.testing.MockClock) -> None:
    heard: list[Settled] = []

    async def listen(settled: Settled) -> None:
        heard.append(settled)

    row = Slots("t1", Instant(START), Instant(START + SECOND), 2, Outcome.MISSED, Reason.DOWNTIME, Instant(START), 1)
    strange = evolve(ended(), task_id="t2")
    await heard_of(
        hooks_for(listen),
        happened(
            ended(), ended(State.RUNNING), ended(State.WAITING), strange, settled=(row, evolve(row, task_id="t2"))
        ),
    )
    assert [(one.execution_id, one.state, one.outcome, one.reason) for one in heard] == [
        ("e1", State.FAILED, None, None),
        (None, None, "missed", "downtime"),
    ]
    assert (heard[1].task, heard[1].type, str(heard[1].nominal)) == (
        "name of t1",
        "command",
        "2026-01-01 00:00:00+00:00",
    )


async def test_an_abandoned_handler_that_returns_is_no_second_end(autojump_clock: trio.testing.MockClock) -> None:
    heard: list[Settled] = []

    async def listen(settled: Settled) -> None:
        heard.append(settled)

    abandoned = ended(State.TIMED_OUT, lingers=True)
    again = ended(State.FAILED, fence=2)
    await heard_of(
        hooks_for(listen),
        happened(abandoned),
        happened(abandoned),
        happened(evolve(abandoned, lingers=False)),
        happened(again),
    )
    assert [one.state for one in heard] == [State.TIMED_OUT, State.FAILED]


async def test_hooks_for_others_hear_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async def listen(settled: Settled) -> None:
        raise AssertionError

    hooks = hooks_for(listen, task="another")
    await heard_of(hooks, happened(ended()))
    assert (hooks.errors, hooks.dropped) == (0, 0)


async def test_a_hook_that_comes_later_hears_from_then_on(autojump_clock: trio.testing.MockClock) -> None:
    heard: list[Settled] = []

    async def listen(settled: Settled) -> None:
        heard.append(settled)

    catalogue = Catalogue()
    hooks = OutcomeHooks(catalogue, SimulatedWorld())
    await heard_of(hooks, happened(ended()))
    catalogue.hooks.add(Hook("on_outcome", listen))
    await heard_of(hooks, happened(evolve(ended(), id="e2")))
    catalogue.hooks.remove(listen)
    await heard_of(hooks, happened(evolve(ended(), id="e3")))
    assert [one.execution_id for one in heard] == ["e2"]


async def test_errors_and_slow_hooks_are_counted(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def slow(settled: Settled) -> None:
        await trio.sleep_forever()

    async def wrong(settled: Settled) -> None:
        raise ValueError("a bug")

    hooks = hooks_for(wrong)
    await heard_of(hooks, happened(ended()))
    assert hooks.errors == 1
    hooks = hooks_for(slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hooks.run)
        await trio.testing.wait_all_tasks_blocked()
        hooks.hear(happened(ended()))
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(WAITING + 3):
            hooks.hear(happened(ended()))
        assert hooks.dropped == 3
        await trio.sleep(6)
        assert hooks.errors == 1
        nursery.cancel_scope.cancel()
    assert "hooks are too slow: none is told of execution e1" in caplog.text
    assert "did not end within 5 s" in caplog.text
