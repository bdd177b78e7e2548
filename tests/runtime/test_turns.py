"""Turns: one piece in each round of the loop, and rests between them while there is urgent work."""

from __future__ import annotations

import trio
import trio.testing

from runtime.turns import REST_SECONDS, Turns


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
