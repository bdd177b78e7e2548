"""The janitor: stage after stage, slice after slice until nothing is left, and again at the next round."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from actors.janitor import Janitor, retention_of, walk
from actors.keeper_messages import Event, Purge
from actors.model.lifecycle import State
from actors.model.retention import FOLDS, KEEP_LAST, PURGES, Cursor, Keep, Purged, Retention, Slice, Stage
from runtime.clock import DAY, SECOND, Micros
from runtime.errors import StoreUnavailable
from runtime.mailbox import Mailbox
from runtime.simulation import DEFAULT_START, SimulatedWorld

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
        assert await walk(keeper, Retention(newest=3), world, Stage.ROWS, "t1") == 15
        nursery.cancel_scope.cancel()
    assert [wanted.after for wanted in asked] == [Cursor(), Cursor(1), Cursor(2)]
    assert {(wanted.stage, wanted.task_id, wanted.retention.newest) for wanted in asked} == {(Stage.ROWS, "t1", 3)}


async def test_rounds_over_all_keepers_and_stages(autojump_clock: trio.testing.MockClock) -> None:
    world = SimulatedWorld()
    keepers: tuple[Mailbox[Event], ...] = (Mailbox("durable"), Mailbox("memory"))
    asked: tuple[list[Slice], ...] = ([], [])
    janitor = Janitor(world=world, keepers=keepers, every_seconds=60, ttl=Micros(DAY), keep=7)
    async with trio.open_nursery() as nursery:
        for keeper, told in zip(keepers, asked, strict=True):
            nursery.start_soon(answering, keeper, told, lambda _: Purged())
        nursery.start_soon(janitor.run)
        await trio.sleep(59)
        assert asked == ([], [])
        await trio.sleep(2)
        assert [wanted.stage for wanted in asked[0]] == [*PURGES, *FOLDS]
        assert asked[0] == asked[1]
        assert asked[0][0].now == DEFAULT_START + 60 * SECOND
        await trio.sleep(60)
        assert len(asked[0]) == 2 * len([*PURGES, *FOLDS])
        nursery.cancel_scope.cancel()


async def test_a_keeper_that_cannot_is_asked_again_at_the_next_round(autojump_clock: trio.testing.MockClock) -> None:
    world = SimulatedWorld()
    keepers: tuple[Mailbox[Event], ...] = (Mailbox("durable"), Mailbox("memory"))
    asked: tuple[list[Slice], ...] = ([], [])
    answers: tuple[Answer, Answer] = (StoreUnavailable("disk full"), Purged())
    janitor = Janitor(world=world, keepers=keepers, every_seconds=60, ttl=Micros(DAY), keep=0)
    async with trio.open_nursery() as nursery:
        for keeper, told, given in zip(keepers, asked, answers, strict=True):
            nursery.start_soon(answering, keeper, told, partial(lambda answer, _: answer, given))
        nursery.start_soon(janitor.run)
        await trio.sleep(130)
        nursery.cancel_scope.cancel()
    assert [len(told) for told in asked] == [2, 2 * len([*PURGES, *FOLDS])]


def test_a_larger_number_to_keep_is_also_the_limit() -> None:
    found = retention_of(Micros(DAY), 5_000)
    assert found.states[State.COMPLETED] == found.rows == Keep(Micros(DAY), 5_000)
    assert found.states[State.FAILED] == found.skipped == Keep(Micros(DAY))
    assert (found.newest, found.tasks) == (5_000, DAY)
    assert retention_of(Micros(DAY), 5).states[State.COMPLETED].last == KEEP_LAST
