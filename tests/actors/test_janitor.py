"""The janitor: stage after stage, slice after slice until nothing is left, and again at the next round."""

from __future__ import annotations

from collections.abc import Callable

import trio

from actors.janitor import walk
from actors.keeper_messages import Event, Purge
from actors.model.retention import Cursor, Purged, Retention, Slice, Stage
from runtime.mailbox import Mailbox
from runtime.simulation import SimulatedWorld

Answer = Purged | Exception


async def answering(keeper: Mailbox[Event], asked: list[Slice], answer: Callable[[Slice], Answer]) -> None:
    """Stands in for a keeper."""
    while True:
        for message in await keeper.receive(10):
            assert isinstance(message, Purge)
            asked.append(message.wanted)
            given = answer(message.wanted)
            if isinstance(given, Exception):
                message.reply.refuse(given)
            else:
                message.reply.answer(given)


def in_three_slices(wanted: Slice) -> Purged:
    ends = {Cursor(): Cursor(1), Cursor(1): Cursor(2)}
    return Purged(5, ends.get(wanted.after))


async def test_a_walk_goes_on_where_the_former_slice_ended(autojump_clock: trio.testing.MockClock) -> None:
    keeper: Mailbox[Event] = Mailbox("keeper")
    asked: list[Slice] = []
    world = SimulatedWorld()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answering, keeper, asked, in_three_slices)
        assert await walk(keeper, Retention(newest=3), world, Stage.ROWS, "t1") == (15, True)
        nursery.cancel_scope.cancel()
    assert [wanted.after for wanted in asked] == [Cursor(), Cursor(1), Cursor(2)]
    assert {(wanted.stage, wanted.task_id, wanted.retention.newest) for wanted in asked} == {(Stage.ROWS, "t1", 3)}
