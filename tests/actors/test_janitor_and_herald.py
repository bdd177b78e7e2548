"""The janitor and the herald: what they tell, in virtual time."""

from __future__ import annotations

import pytest
import trio

from actors.herald import WATCHER_BUFFER, Herald
from actors.janitor import PURGE_BATCH, Janitor
from actors.keeper_messages import Event, Happened, Purge
from actors.model.execution import Execution, Kind
from actors.model.lifecycle import State
from runtime.clock import DAY, SECOND, Instant, Micros
from runtime.errors import StoreUnavailable
from runtime.mailbox import Mailbox
from runtime.simulation import SimulatedWorld


async def test_what_is_old_is_purged_until_nothing_is_left_and_a_failure_waits_for_the_next_round(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = SimulatedWorld()
    keepers: tuple[Mailbox[Event], ...] = (Mailbox("durable"), Mailbox("memory"))
    answers: list[int | Exception] = [PURGE_BATCH, PURGE_BATCH, 3, StoreUnavailable("no"), 0, 0]
    asked: list[tuple[str, Purge, Instant]] = []

    async def answer(keeper: Mailbox[Event]) -> None:
        while True:
            for message in await keeper.receive(10):
                assert isinstance(message, Purge)
                asked.append((keeper.name, message, world.now()))
                given = answers.pop(0)
                if isinstance(given, Exception):
                    message.reply.refuse(given)
                else:
                    message.reply.answer(given)

    janitor = Janitor(world=world, keepers=keepers, every_seconds=60.0, ttl=Micros(30 * DAY), keep=7)
    start = world.now()
    async with trio.open_nursery() as nursery:
        for keeper in keepers:
            nursery.start_soon(answer, keeper)
        nursery.start_soon(janitor.run)
        await trio.sleep(150)
        nursery.cancel_scope.cancel()
    assert [name for name, _, _ in asked] == ["durable"] * 3 + ["memory", "durable", "memory"]
    assert {(purge.keep, purge.limit) for _, purge, _ in asked} == {(7, PURGE_BATCH)}
    assert asked[0][2] == start + 60 * SECOND
    assert asked[0][1].before == start + 60 * SECOND - 30 * DAY
    assert asked[4][1].before > asked[3][1].before


def happened(number: int = 1, state: State = State.COMPLETED) -> Happened:
    return Happened((Execution(f"e{number}", "t1", Kind.MANUAL, state, created_at=Instant(0)),), ())


async def test_who_watches_hears_what_happens_from_then_on(autojump_clock: trio.testing.MockClock) -> None:
    herald = Herald()
    async with trio.open_nursery() as nursery:
        await nursery.start(herald.run)
        await herald.mailbox.tell(happened(1))
        await trio.testing.wait_all_tasks_blocked()
        async with herald.watch() as one, herald.watch() as other:
            await herald.mailbox.tell(happened(2))
            assert await one.receive() == await other.receive() == happened(2)
            with pytest.raises(trio.WouldBlock):
                one.receive_nowait()
        await herald.mailbox.tell(happened(3))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_a_slow_watcher_holds_up_nobody(autojump_clock: trio.testing.MockClock) -> None:
    herald = Herald()
    async with trio.open_nursery() as nursery, herald.watch() as slow:
        await nursery.start(herald.run)
        for number in range(WATCHER_BUFFER + 5):
            await herald.mailbox.tell(happened(number))
        await trio.testing.wait_all_tasks_blocked()
        assert herald.mailbox.statistics().depth == 0
        assert slow.statistics().current_buffer_used == WATCHER_BUFFER
        nursery.cancel_scope.cancel()


async def test_what_failed_is_in_the_log(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    herald = Herald()
    async with trio.open_nursery() as nursery:
        await nursery.start(herald.run)
        for number, state in enumerate((State.FAILED, State.CRASHED, State.COMPLETED)):
            await herald.mailbox.tell(happened(number, state))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [record.getMessage()[:12] for record in caplog.records] == ["execution e0", "execution e1"]
