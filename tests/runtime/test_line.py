"""Serial lanes: calls in a thread, one after another, begun without a turn of the loop."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn

import pytest
import trio
import trio.testing

from runtime.line import PATIENCE_SECONDS, UNFINISHED, Errand, Line
from runtime.simulation import SimulatedWorld
from runtime.world import INLINE, RealWorld


class Heard:
    """What was told of calls, in its order."""

    def __init__(self, count: int) -> None:
        self.told: list[object] = []
        self.complete = trio.Event()
        self._count = count

    def landed(self, value: object, error: BaseException | None) -> None:
        self.told.append(value if error is None else repr(error))
        if len(self.told) == self._count:
            self.complete.set()


async def test_calls_begin_at_once_and_keep_their_order():
    line, heard, begun = Line("one"), Heard(3), threading.Event()
    go = threading.Event()

    def first() -> int:
        begun.set()
        assert go.wait(20)
        return threading.get_ident()

    line.begin(first, heard.landed)
    # No turn of the loop lies between.
    assert begun.wait(20)
    line.begin(lambda: 1 // 0, heard.landed)
    line.begin(threading.get_ident, heard.landed)
    assert heard.told == []
    go.set()
    with trio.fail_after(20):
        await heard.complete.wait()
    thread, failure, again = heard.told
    assert thread == again != threading.get_ident()
    assert failure == repr(ZeroDivisionError("integer division or modulo by zero"))


async def test_the_next_call_needs_no_help_of_the_loop():
    line, heard, second = Line("one"), Heard(2), threading.Event()
    line.begin(lambda: None, heard.landed)
    line.begin(second.set, heard.landed)
    assert second.wait(20)
    assert heard.told == []


async def test_who_waits_gets_the_answer_or_the_error():
    line = Line("one")
    assert await line.call(lambda: 5) == 5
    with pytest.raises(KeyError, match="gone"):
        await line.call(partial({}.__getitem__, "gone"))


async def test_who_is_cancelled_waits_for_the_thread_unless_it_is_left_behind():
    line, go, ended = Line("one"), threading.Event(), threading.Event()

    def slow() -> None:
        assert go.wait(20)
        ended.set()

    with trio.move_on_after(0.01) as scope:
        await line.call(slow, abandon=True)
    assert scope.cancelled_caught
    assert not ended.is_set()
    with trio.move_on_after(0.01) as scope:
        line.begin(lambda: None, lambda *_: go.set())
        trio.lowlevel.current_trio_token().run_sync_soon(go.set)
        await line.call(ended.is_set)
    assert ended.is_set()
    with trio.CancelScope() as scope:
        scope.cancel()
        await line.call(lambda: pytest.fail("cancelled before it began"))
    assert scope.cancelled_caught


@pytest.mark.parametrize("world", [lambda: RealWorld({"one": 1}, serial=("one",)), RealWorld, SimulatedWorld])
async def test_a_world_tells_what_it_was_to_begin(world):
    made, heard = world(), Heard(2)
    async with trio.open_nursery() as nursery:
        made.begin(nursery, lambda a, b: a + b, 1, 2, lane="one", landed=heard.landed)
        made.begin(nursery, lambda: [][0], lane="one", landed=heard.landed)
    assert sorted(map(str, heard.told)) == ["3", "IndexError('list index out of range')"]


async def test_in_the_loop_itself_it_is_told_at_once():
    heard = Heard(1)
    async with trio.open_nursery() as nursery:
        RealWorld().begin(nursery, threading.get_ident, lane=INLINE, landed=heard.landed)
        assert heard.told == [threading.get_ident()]


async def test_a_serial_lane_is_one_line_for_who_waits_and_who_does_not():
    world, order = RealWorld(serial=("one",)), list[int]()
    go = threading.Event()
    async with trio.open_nursery() as nursery:
        world.begin(nursery, lambda: go.wait(20) and order.append(1), lane="one", landed=lambda *_: None)
        nursery.start_soon(lambda: world.blocking(order.append, 2, lane="one"))
        await trio.testing.wait_all_tasks_blocked()
        assert order == []
        go.set()
    assert order == [1, 2]


async def test_the_nursery_waits_for_what_was_begun():
    world, go, ended = RealWorld(serial=("one",)), threading.Event(), threading.Event()

    def slow() -> None:
        assert go.wait(20)
        ended.set()

    async with trio.open_nursery() as nursery:
        world.begin(nursery, slow, lane="one", landed=lambda *_: None)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        go.set()
    assert ended.is_set()


class Elsewhere:
    """What is done elsewhere: sent at once, answered when somebody writes to the other end."""

    def __init__(self, answer: object, trouble: Exception | None = None) -> None:
        self.sent = 0
        self._answer = answer
        self._trouble = trouble
        self._here, self.there = socket.socketpair()

    def send(self) -> int:
        self.sent += 1
        if self._answer is None and self._trouble is not None:
            raise self._trouble
        return self._here.fileno()

    def receive(self) -> object:
        self._here.recv(1)
        if self._trouble is not None:
            raise self._trouble
        return self._answer

    def give_up(self) -> NoReturn:
        raise TimeoutError("no answer")

    def close(self) -> None:
        self._here.close()
        self.there.close()


@pytest.fixture
def elsewhere() -> Iterator[Callable[..., Elsewhere]]:
    made: list[Elsewhere] = []

    def make(*arguments: Any) -> Elsewhere:
        made.append(Elsewhere(*arguments))
        return made[-1]

    yield make
    for one in made:
        one.close()


async def test_what_is_done_elsewhere_is_sent_at_once_and_needs_no_thread(elsewhere: Callable[..., Elsewhere]):
    line, heard, first = Line("one"), Heard(3), elsewhere("first")
    fetch = line.send(Errand(lambda: "in a thread", first), heard.landed)
    assert fetch is not None
    assert first.sent == 1
    # Who comes meanwhile keeps his place, whatever he is.
    line.begin(lambda: "second", heard.landed)
    assert line.send(Errand(lambda: "third", elsewhere("never")), heard.landed) is None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fetch)
        await trio.testing.wait_all_tasks_blocked()
        assert heard.told == []
        first.there.send(b"!")
    with trio.fail_after(20):
        await heard.complete.wait()
    assert heard.told == ["first", "second", "third"]


async def test_what_was_not_done_elsewhere_is_done_here_before_all_others(elsewhere: Callable[..., Elsewhere]):
    line, heard, first = Line("one"), Heard(2), elsewhere(UNFINISHED)
    fetch = line.send(Errand(lambda: "first, in a thread", first), heard.landed)
    assert fetch is not None
    line.begin(lambda: "second", heard.landed)
    first.there.send(b"!")
    await fetch()
    with trio.fail_after(20):
        await heard.complete.wait()
    assert heard.told == ["first, in a thread", "second"]


@pytest.mark.parametrize("answer", [None, "never"])
async def test_trouble_elsewhere_is_told(elsewhere: Callable[..., Elsewhere], answer: object):
    """It comes while it is sent, or with the answer; the next one has his turn."""
    line, heard = Line("one"), Heard(2)
    first = elsewhere(answer, OSError("gone"))
    first.there.send(b"!")
    fetch = line.send(Errand(lambda: "in a thread", first), heard.landed)
    if fetch is not None:
        await fetch()
    assert line.send(Errand(lambda: "second", None), heard.landed) is None
    with trio.fail_after(20):
        await heard.complete.wait()
    assert heard.told == ["OSError('gone')", "second"]


async def test_what_is_done_elsewhere_is_waited_for_to_its_end(elsewhere: Callable[..., Elsewhere]):
    heard, first = Heard(1), elsewhere("done")
    world = RealWorld(serial=("one",))
    with trio.move_on_after(0.02):
        async with trio.open_nursery() as nursery:
            world.begin(nursery, Errand(lambda: None, first), lane="one", landed=heard.landed)
            nursery.cancel_scope.cancel()
            threading.Timer(0.1, first.there.send, (b"!",)).start()
    assert heard.told == ["done"]


async def test_what_is_never_answered_is_given_up(elsewhere: Callable[..., Elsewhere], autojump_clock: object):
    line, heard = Line("one"), Heard(1)
    fetch = line.send(Errand(lambda: None, elsewhere("never")), heard.landed)
    assert fetch is not None
    before = trio.current_time()
    await fetch()
    assert heard.told == ["TimeoutError('no answer')"]
    assert trio.current_time() - before == PATIENCE_SECONDS


def test_where_there_is_no_line_an_errand_is_a_call(elsewhere: Callable[..., Elsewhere]):
    assert Errand(lambda: "here", elsewhere("never"))() == "here"
