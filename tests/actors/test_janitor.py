"""The janitor: slice after slice until nothing is left, and again at the next round."""

from __future__ import annotations

import trio

from actors.janitor import PURGE_BATCH, Janitor
from actors.keeper_messages import Event, Purge
from runtime.clock import DAY
from runtime.errors import StoreUnavailable
from runtime.mailbox import Mailbox
from runtime.simulation import DEFAULT_START, SimulatedWorld


async def test_rounds_of_slices(autojump_clock, nursery):
    mailbox: Mailbox[Event] = Mailbox("keeper")
    answers = [PURGE_BATCH, 3, StoreUnavailable("disk full"), 0]
    asked: list[Purge] = []

    async def keeper() -> None:
        while True:
            for message in await mailbox.receive(10):
                assert isinstance(message, Purge)
                asked.append(message)
                answer = answers[len(asked) - 1]
                if isinstance(answer, Exception):
                    message.reply.refuse(answer)
                else:
                    message.reply.answer(answer)

    world = SimulatedWorld()
    janitor = Janitor(world=world, keepers=(mailbox,), every_seconds=60, ttl=DAY, keep=7)
    nursery.start_soon(keeper)
    nursery.start_soon(janitor.run)
    await trio.sleep(59)
    assert asked == []
    await trio.sleep(130)
    assert [entry.limit for entry in asked] == [PURGE_BATCH] * 4
    assert asked[0].keep == 7
    assert asked[0].before == DEFAULT_START + 60_000_000 - DAY
    nursery.cancel_scope.cancel()
