"""The herald: what it tells those who watch, in virtual time."""

from __future__ import annotations

import pytest
import trio

from actors.herald import WATCHER_BUFFER, Herald
from actors.keeper_messages import Happened
from actors.model.execution import Execution, Kind
from actors.model.lifecycle import State
from runtime.clock import Instant


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
