"""The herald passes on what happens, and drops it for who is too slow."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from actors import herald as module
from actors.herald import Herald
from actors.keeper_messages import Happened
from actors.model.execution import Execution, Failure, Kind
from actors.model.lifecycle import State
from runtime.clock import Instant


def happened(state: State = State.COMPLETED, failure: Failure | None = None) -> Happened:
    return Happened((Execution("e", "t", Kind.MANUAL, state, Instant(0), failure=failure),), ())


async def test_watchers_hear_what_happens_from_then_on(nursery, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "WATCHER_BUFFER", 2)
    herald = Herald()
    await nursery.start(herald.run)
    await herald.mailbox.tell(happened())
    await trio.testing.wait_all_tasks_blocked()
    async with herald.watch() as slow, herald.watch() as quick:
        for _ in range(3):
            await herald.mailbox.tell(happened())
            assert await quick.receive() == happened()
        assert slow.statistics().current_buffer_used == 2
        await quick.aclose()
        await herald.mailbox.tell(happened())
        await trio.testing.wait_all_tasks_blocked()
    assert herald._watchers == {}
    herald.stop()


@pytest.mark.parametrize(
    ("state", "failure", "line"),
    [
        (State.FAILED, Failure("ValueError", "wrong"), "ValueError: wrong"),
        (State.CRASHED, None, "CRASHED"),
        (State.COMPLETED, None, None),
    ],
)
async def test_failures_are_logged(state, failure, line, nursery, caplog: pytest.LogCaptureFixture):
    herald = Herald()
    with caplog.at_level(logging.WARNING):
        await nursery.start(herald.run)
        await herald.mailbox.tell(happened(state, failure))
        await trio.testing.wait_all_tasks_blocked()
        herald.stop()
    assert (line in caplog.text) if line else (caplog.text == "")
