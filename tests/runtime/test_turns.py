"""Turns: one piece in each round of the loop, rests between them while there is urgent work, and kinds that share."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from runtime.turns import ASKS, CHANGES, REST_SECONDS, SHORT_REST_SECONDS, TELLS, Kind, Turns


class Rounds(trio.abc.Instrument):
    """Counts the rounds of the loop."""

    count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


async def test_one_piece_is_done_in_each_round() -> None:
    turns, rounds, done = Turns(), Rounds(), []

    async def piece() -> None:
        await turns.take()
        done.append(rounds.count)

    trio.lowlevel.add_instrument(rounds)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(piece)
    trio.lowlevel.remove_instrument(rounds)
    assert len(set(done)) == 5


async def test_pieces_rest_while_there_is_urgent_work(autojump_clock: trio.testing.MockClock) -> None:
    urgent = True
    turns, at = Turns(lambda: urgent), []

    async def piece() -> None:
        await turns.take()
        at.append(trio.current_time())

    begin = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(piece)
        await trio.testing.wait_all_tasks_blocked()
        assert turns.waiting == 3
    steps = [round((later - begin) / REST_SECONDS) for later in at]
    assert steps == [1, 2, 3, 4]
    urgent = False
    begin = trio.current_time()
    await piece()
    assert at[-1] == begin


async def test_kinds_take_turns_however_many_wait_of_one(autojump_clock: trio.testing.MockClock) -> None:
    turns, order = Turns(lambda: True), []

    async def piece(kind: Kind) -> None:
        await turns.take(kind)
        order.append(kind)

    async def one_after_another() -> None:
        for _ in range(3):
            await piece(CHANGES)

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(piece, ASKS)
        await trio.testing.wait_all_tasks_blocked()
        assert turns.waiting == 19
        nursery.start_soon(one_after_another)
    # The first piece was under way already; from then on there is one of each.
    assert [place for place, kind in enumerate(order) if kind == CHANGES][-1] <= 7


async def test_who_leaves_the_queue_holds_nobody_up(autojump_clock: trio.testing.MockClock) -> None:
    turns = Turns(lambda: True)
    with trio.move_on_after(REST_SECONDS / 2):
        await turns.take(ASKS)
    begin = trio.current_time()
    await turns.take(ASKS)
    assert trio.current_time() - begin == pytest.approx(REST_SECONDS)


async def test_telling_rests_for_less(autojump_clock: trio.testing.MockClock) -> None:
    begin = trio.current_time()
    await Turns(lambda: True).take(TELLS)
    assert trio.current_time() - begin == pytest.approx(SHORT_REST_SECONDS)
    assert SHORT_REST_SECONDS < REST_SECONDS
