"""The loop of an actor, under virtual time."""

from __future__ import annotations

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from runtime.actor import Actor
from runtime.errors import ActorCrashed, ActorStopped, InternalError
from runtime.mailbox import Reply, ask


class Boom(Exception):
    """What a test's actor crashes with."""


@attrs.frozen
class Say:
    text: str


@attrs.frozen
class Ask:
    text: str
    reply: Reply[str]


class Echo(Actor[Say | Ask]):
    """One message at a time."""

    def __init__(self, **options: int) -> None:
        super().__init__("echo", **options)  # type: ignore[arg-type]
        self.said: list[str] = []
        self.hooks: list[str] = []

    async def started(self) -> None:
        self.hooks.append("started")

    async def stopping(self) -> None:
        self.hooks.append("stopping")

    async def receive(self, message: Say | Ask) -> None:
        self.said.append(message.text)
        if message.text == "crash":
            raise Boom
        if message.text == "hang":
            await trio.sleep_forever()
        if isinstance(message, Ask):
            message.reply.answer(message.text)


class BatchEcho(Echo):
    """A whole batch at a time; crashes after the work is done."""

    async def receive_batch(self, messages: list[Say | Ask]) -> None:
        for message in messages:
            self.said.append(message.text)
            if isinstance(message, Ask) and message.text != "unanswered":
                message.reply.answer(message.text)
        if any(message.text == "crash" for message in messages):
            raise Boom


async def test_handles_messages_and_leaves_when_drained() -> None:
    echo = Echo(budget=2)
    for text in "abcde":
        echo.mailbox.tell_nowait(Say(text))
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: echo.run(task_status=task_status))
        assert await ask(echo.mailbox, lambda reply: Ask("f", reply), 1) == "f"
        echo.mailbox.tell_nowait(Say("g"))
        echo.stop()
        with pytest.raises(ActorStopped):
            echo.mailbox.tell_nowait(Say("h"))
    assert echo.said == list("abcdefg")
    assert echo.hooks == ["started", "stopping"]
    statistics = echo.statistics()
    assert (statistics.handled, statistics.mailbox.received, statistics.busy_since) == (7, 7, None)
    assert statistics.batches >= 4


async def test_an_actor_without_a_handler_says_so() -> None:
    actor = Actor[int]("mute")
    actor.mailbox.tell_nowait(1)
    with pytest.raises(NotImplementedError, match="Actor handles no messages"):
        await actor.run()


async def test_a_crash_loses_its_message_only(autojump_clock: object) -> None:
    echo = Echo()
    replies = {text: Reply[str](echo.mailbox) for text in ("crash", "c")}
    for message in (Say("a"), Ask("crash", replies["crash"]), Say("b"), Ask("c", replies["c"])):
        echo.mailbox.tell_nowait(message)
    with pytest.raises(Boom):
        await echo.run()
    with pytest.raises(ActorCrashed, match=r"'echo' crashed .* Boom") as caught:
        await replies["crash"].wait(1)
    assert isinstance(caught.value.__cause__, Boom)
    echo.mailbox.tell_nowait(Say("d"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo.run)
        assert await replies["c"].wait(1) == "c"
        echo.stop()
    assert echo.said == ["a", "crash", "b", "c", "d"]
    assert echo.hooks == ["started", "started", "stopping"]
    assert (echo.statistics().handled, echo.statistics().mailbox.redelivered) == (4, 2)


async def test_a_crash_of_a_batch_refuses_all_of_it_that_is_unanswered(autojump_clock: object) -> None:
    echo = BatchEcho(budget=3)
    answered, unanswered, later = (Reply[str](echo.mailbox) for _ in range(3))
    for message in (Ask("a", answered), Ask("unanswered", unanswered), Say("crash"), Ask("b", later)):
        echo.mailbox.tell_nowait(message)
    with pytest.raises(Boom):
        await echo.run()
    assert await answered.wait(1) == "a"
    with pytest.raises(ActorCrashed):
        await unanswered.wait(1)
    assert not later.answered
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo.run)
        assert await later.wait(1) == "b"
        echo.stop()
    assert echo.said == ["a", "unanswered", "crash", "b"]


async def test_a_kill_refuses_the_question_under_way_and_keeps_the_rest(autojump_clock: object) -> None:
    echo = Echo()
    under_way, waiting = Reply[str](), Reply[str]()
    echo.mailbox.tell_nowait(Ask("hang", under_way))
    echo.mailbox.tell_nowait(Ask("later", waiting))
    with trio.move_on_after(5):
        await echo.run()
    with pytest.raises(ActorStopped, match="'echo' was stopped before it answered"):
        await under_way.wait(1)
    assert not waiting.answered
    assert len(echo.mailbox) == 1
    assert echo.hooks == ["started"]
    echo.stop()
    with pytest.raises(ActorStopped):
        await waiting.wait(1)


async def test_suspended_it_leaves_after_its_batch_and_the_messages_wait() -> None:
    echo = Echo(budget=2)
    for text in "abcd":
        echo.mailbox.tell_nowait(Say(text))
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: echo.run(task_status=task_status))
        echo.suspend()
        echo.suspend()
    assert echo.said in ([], ["a", "b"])
    echo.mailbox.tell_nowait(Say("e"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo.run)
        await wait_all_tasks_blocked()
        assert echo.said == list("abcde")
        echo.suspend()
    assert echo.hooks == ["started", "stopping"] * 2


async def test_suspended_during_a_batch_it_takes_no_other(autojump_clock: object) -> None:
    class Slow(Echo):
        async def receive(self, message: Say | Ask) -> None:
            await trio.sleep(1)
            await super().receive(message)

    slow = Slow(budget=2)
    for text in "abcd":
        slow.mailbox.tell_nowait(Say(text))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(slow.run)
        await trio.sleep(0.5)
        slow.suspend()
    assert slow.said == ["a", "b"]
    assert len(slow.mailbox) == 2


async def test_busy_since_is_when_it_took_its_batch(autojump_clock: object) -> None:
    echo = Echo()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo.run)
        await trio.sleep(1)
        assert echo.statistics().busy_since is None
        echo.mailbox.tell_nowait(Say("hang"))
        took = trio.current_time()
        await trio.sleep(3)
        assert echo.statistics().busy_since == took
        nursery.cancel_scope.cancel()
    assert echo.statistics().busy_since is None


async def test_the_clock_can_be_given() -> None:
    class Looking(Echo):
        async def receive(self, message: Say | Ask) -> None:
            self.seen = self.statistics().busy_since

    looking = Looking(monotonic=lambda: 17.0)  # type: ignore[arg-type]
    looking.mailbox.tell_nowait(Say("a"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(looking.run)
        await wait_all_tasks_blocked()
        looking.stop()
    assert looking.seen == 17.0


async def test_two_runs_at_once_are_refused() -> None:
    echo = Echo()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo.run)
        await wait_all_tasks_blocked()
        with pytest.raises(InternalError, match="'echo' is already running"):
            await echo.run()
        echo.stop()


async def test_start_and_stop_a_hundred_times_also_unstarted_and_twice() -> None:
    echo = Echo()
    echo.suspend()
    echo.stop()
    echo.stop()
    for turn in range(100):
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: echo.run(task_status=task_status))
            echo.mailbox.tell_nowait(Say(str(turn)))
            echo.stop()
            echo.stop()
        echo.stop()
    assert echo.said == [str(turn) for turn in range(100)]


async def test_what_run_holds_around_the_loop_is_released_on_a_crash() -> None:
    class WithNursery(Echo):
        released = False

        async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                try:
                    await super().run(task_status=task_status)
                finally:
                    self.released = True

    actor = WithNursery()
    actor.mailbox.tell_nowait(Say("crash"))
    with pytest.RaisesGroup(Boom):
        await actor.run()
    assert actor.released
