"""Mailboxes and replies, under virtual time."""

from __future__ import annotations

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from runtime.deadlines import COMPACT_ABOVE, Deadlines, deadlines
from runtime.errors import ActorStopped, InternalError, MailboxFull, ReplyTimeout
from runtime.mailbox import Mailbox, MailboxStatistics, Reply, ask, refuse_all
from tests.seeds import scheduler_seeds, seed_scheduler


@attrs.frozen
class Question:
    number: int
    reply: Reply[int]


def test_a_capacity_below_one_is_refused() -> None:
    with pytest.raises(InternalError, match="not 0"):
        Mailbox("a", 0)


def test_an_empty_mailbox_is_not_false() -> None:
    assert Mailbox[int]("a")
    assert len(Mailbox[int]("a")) == 0


async def test_receive_takes_what_has_piled_up_within_the_budget() -> None:
    mailbox = Mailbox[int]("a")
    for number in range(5):
        mailbox.tell_nowait(number)
    assert await mailbox.receive(3) == [0, 1, 2]
    assert await mailbox.receive(3) == [3, 4]


async def test_receive_waits_for_the_first_message() -> None:
    mailbox = Mailbox[int]("a")
    received: list[list[int]] = []

    async def reader() -> None:
        received.append(await mailbox.receive(10))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        await wait_all_tasks_blocked()
        assert received == []
        mailbox.tell_nowait(1)
        await mailbox.tell(2)
    assert received == [[1, 2]]


async def test_a_full_mailbox_refuses_at_once_or_makes_the_sender_wait() -> None:
    mailbox = Mailbox[int]("a", capacity=2)
    sent: list[int] = []

    async def sender() -> None:
        for number in range(5):
            await mailbox.tell(number)
            sent.append(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender)
        await wait_all_tasks_blocked()
        assert sent == [0, 1]
        with pytest.raises(MailboxFull, match="'a' holds 2 messages, its capacity is 2"):
            mailbox.tell_nowait(9)
        assert mailbox.statistics().waiting == 1
        assert await mailbox.receive(1) == [0]
        await wait_all_tasks_blocked()
        assert sent == [0, 1, 2]
        assert await mailbox.receive(10) == [1, 2]
        await wait_all_tasks_blocked()
        assert await mailbox.receive(10) == [3, 4]
    assert mailbox.statistics().refused == 1


async def test_a_cancelled_sender_has_sent_nothing(autojump_clock: object) -> None:
    mailbox = Mailbox[int]("a", capacity=1)
    mailbox.tell_nowait(1)
    with trio.move_on_after(1) as scope:
        await mailbox.tell(2)
    assert scope.cancelled_caught
    assert await mailbox.receive(10) == [1]
    assert len(mailbox) == 0


async def test_a_cancelled_reader_has_taken_nothing(autojump_clock: object) -> None:
    mailbox = Mailbox[int]("a")
    with trio.move_on_after(1) as scope:
        await mailbox.receive(10)
    assert scope.cancelled_caught
    mailbox.tell_nowait(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.receive(10)
    assert await mailbox.receive(10) == [1]


async def test_a_second_reader_is_a_bug() -> None:
    mailbox = Mailbox[int]("a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.receive, 1)
        await wait_all_tasks_blocked()
        with pytest.raises(InternalError, match="two readers"):
            await mailbox.receive(1)
        mailbox.tell_nowait(1)


async def test_what_is_put_back_comes_first_and_may_exceed_the_capacity() -> None:
    mailbox = Mailbox[int]("a", capacity=3)
    for number in range(3):
        mailbox.tell_nowait(number)
    batch = await mailbox.receive(10)
    mailbox.tell_nowait(3)
    mailbox.put_back(batch[1:])
    with pytest.raises(MailboxFull):
        mailbox.tell_nowait(4)
    assert await mailbox.receive(10) == [1, 2, 3]


async def test_close_refuses_senders_and_lets_the_reader_drain() -> None:
    mailbox = Mailbox[int]("a", capacity=1)
    mailbox.tell_nowait(1)

    async def waits_for_room() -> None:
        with pytest.raises(ActorStopped, match="'a'"):
            await mailbox.tell(2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waits_for_room)
        await wait_all_tasks_blocked()
        mailbox.close()
    assert mailbox.closed
    with pytest.raises(ActorStopped):
        mailbox.tell_nowait(3)
    with pytest.raises(ActorStopped):
        await mailbox.tell(3)
    assert await mailbox.receive(10) == [1]
    assert await mailbox.receive(10) == []
    mailbox.reopen()
    mailbox.tell_nowait(4)
    assert await mailbox.receive(10) == [4]


@pytest.mark.parametrize("end", [Mailbox.close, Mailbox.wake, Mailbox.abandon])
async def test_a_waiting_reader_hears_of_the_end(end: object) -> None:
    mailbox = Mailbox[int]("a")
    received: list[list[int]] = []

    async def reader() -> None:
        received.append(await mailbox.receive(10))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        await wait_all_tasks_blocked()
        end(mailbox)  # type: ignore[operator]
    assert received == [[]]


async def test_a_wake_leaves_the_messages_and_is_seen_once() -> None:
    mailbox = Mailbox[int]("a")
    mailbox.tell_nowait(1)
    mailbox.wake()
    assert await mailbox.receive(10) == []
    assert await mailbox.receive(10) == [1]


async def test_abandon_refuses_the_questions_inside() -> None:
    mailbox: Mailbox[object] = Mailbox("a")
    mailbox.tell_nowait("a plain message")
    async with trio.open_nursery() as nursery:

        async def asks() -> None:
            with pytest.raises(ActorStopped, match="'a' has stopped"):
                await ask(mailbox, lambda reply: Question(1, reply), 10)

        nursery.start_soon(asks)
        await wait_all_tasks_blocked()
        mailbox.abandon()
    assert len(mailbox) == 0


async def test_statistics() -> None:
    mailbox = Mailbox[int]("a", capacity=4)
    for number in range(4):
        mailbox.tell_nowait(number)
    batch = await mailbox.receive(3)
    mailbox.put_back(batch[2:])
    assert mailbox.statistics() == MailboxStatistics(
        name="a", depth=2, capacity=4, peak=4, told=4, received=2, redelivered=1, refused=0, waiting=0, late=0
    )


@settings(deadline=None)
@given(
    senders=st.lists(st.integers(0, 12), min_size=1, max_size=5),
    capacity=st.integers(1, 6),
    budget=st.integers(1, 6),
    give_up=st.integers(0, 3),
    seed=scheduler_seeds,
)
def test_every_accepted_message_arrives_once_and_each_senders_in_order(
    senders: list[int], capacity: int, budget: int, give_up: int, seed: int
) -> None:
    seed_scheduler(seed)
    mailbox = Mailbox[tuple[int, int]]("a", capacity)
    accepted: set[tuple[int, int]] = set()
    received: list[tuple[int, int]] = []

    async def sender(sender: int, count: int) -> None:
        for number in range(count):
            if number % 3 < give_up:
                with trio.move_on_after(1):
                    await mailbox.tell((sender, number))
                    accepted.add((sender, number))
            else:
                await mailbox.tell((sender, number))
                accepted.add((sender, number))

    async def reader() -> None:
        while batch := await mailbox.receive(budget):
            assert len(batch) <= budget
            received.extend(batch)
            await trio.sleep(0.4)

    async def main() -> None:
        async with trio.open_nursery() as readers:
            readers.start_soon(reader)
            async with trio.open_nursery() as nursery:
                for number, count in enumerate(senders):
                    nursery.start_soon(sender, number, count)
            mailbox.close()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert sorted(received) == sorted(accepted)
    for number in range(len(senders)):
        own = [message for message in received if message[0] == number]
        assert own == sorted(own)
    statistics = mailbox.statistics()
    assert (statistics.told, statistics.received, statistics.depth) == (len(received), len(received), 0)
    assert statistics.peak <= capacity


async def test_an_answer_before_the_wait() -> None:
    reply = Reply[int]()
    assert not reply.answered
    reply.answer(3)
    assert reply.answered
    assert await reply.wait(1) == 3


async def test_an_answer_during_the_wait() -> None:
    reply = Reply[int]()
    async with trio.open_nursery() as nursery:

        async def asker() -> None:
            assert await reply.wait(1) == 3

        nursery.start_soon(asker)
        await wait_all_tasks_blocked()
        assert reply.waiting
        reply.answer(3)
        assert not reply.waiting


async def test_a_refusal_is_raised() -> None:
    reply = Reply[int]()
    reply.refuse(ActorStopped("gone"))
    with pytest.raises(ActorStopped, match="gone"):
        await reply.wait(1)


@pytest.mark.parametrize("first", ["answer", "refuse"])
def test_a_second_answer_is_a_bug(first: str) -> None:
    reply = Reply[object]()
    getattr(reply, first)(ActorStopped("x"))
    with pytest.raises(InternalError, match="answered twice, then with 4"):
        reply.answer(4)


async def test_no_answer_in_time_names_what_was_asked(autojump_clock: object) -> None:
    before = trio.current_time()
    with pytest.raises(ReplyTimeout, match=r"no answer to the time of day within 2.5 s"):
        await Reply[int]().wait(2.5, "the time of day")
    assert trio.current_time() - before == pytest.approx(2.5)


async def test_a_late_answer_is_dropped_and_counted(autojump_clock: object) -> None:
    mailbox = Mailbox[Question]("a")
    with pytest.raises(ReplyTimeout, match="no answer to Question to 'a' within 1 s"):
        await ask(mailbox, lambda reply: Question(1, reply), 1)
    (question,) = await mailbox.receive(1)
    question.reply.answer(5)
    assert question.reply.answered
    assert mailbox.statistics().late == 1
    with pytest.raises(InternalError):
        question.reply.answer(6)


async def test_a_late_answer_to_a_reply_of_no_mailbox_is_dropped(autojump_clock: object) -> None:
    reply = Reply[int]()
    assert not await reply.settled(1)
    reply.answer(1)
    assert not await reply.settled(1)


async def test_an_answer_to_a_cancelled_asker_is_late(autojump_clock: object) -> None:
    mailbox = Mailbox[Question]("a")
    with trio.move_on_after(1) as scope:
        await ask(mailbox, lambda reply: Question(1, reply), 60)
    assert scope.cancelled_caught
    (question,) = await mailbox.receive(1)
    question.reply.answer(5)
    assert mailbox.statistics().late == 1


async def test_an_expired_wait_that_is_answered_before_it_runs_stays_expired(autojump_clock: object) -> None:
    reply = Reply[int]()
    results: list[bool] = []

    async def asker() -> None:
        results.append(await reply.settled(5))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(asker)
        await wait_all_tasks_blocked()
        reply.expire()
        reply.answer(1)
        reply.expire()
    assert results == [False]


async def test_ask_waits_for_room_and_answer_within_one_timeout(autojump_clock: object) -> None:
    mailbox: Mailbox[object] = Mailbox("a", capacity=1)
    mailbox.tell_nowait("in the way")

    async def reader() -> None:
        await trio.sleep(3)
        await mailbox.receive(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        before = trio.current_time()
        with pytest.raises(ReplyTimeout, match="within 5 s"):
            await ask(mailbox, lambda reply: Question(1, reply), 5)
        assert trio.current_time() - before == pytest.approx(5)


async def test_an_ask_that_finds_no_room_was_not_sent(autojump_clock: object) -> None:
    mailbox: Mailbox[object] = Mailbox("a", capacity=1)
    mailbox.tell_nowait("in the way")
    with pytest.raises(MailboxFull, match="no room for Question within 5 s"):
        await ask(mailbox, lambda reply: Question(1, reply), 5)
    assert await mailbox.receive(5) == ["in the way"]


async def test_five_hundred_asks_answered_at_once() -> None:
    mailbox = Mailbox[Question]("a")
    answers: list[int] = []

    async def asker(number: int) -> None:
        answers.append(await ask(mailbox, lambda reply: Question(number, reply), 10))

    async with trio.open_nursery() as nursery:
        for number in range(500):
            nursery.start_soon(asker, number)
        await wait_all_tasks_blocked()
        for question in await mailbox.receive(500):
            question.reply.answer(question.number)
    assert sorted(answers) == list(range(500))


def test_refuse_all_leaves_what_is_answered_and_gives_each_its_own_error() -> None:
    replies = [Reply[int]() for _ in range(3)]
    replies[0].answer(1)
    made: list[ActorStopped] = []

    def error() -> ActorStopped:
        made.append(ActorStopped("x"))
        return made[-1]

    refuse_all([Question(1, reply) for reply in replies] + ["no question"], error)  # type: ignore[list-item]
    assert replies[0].result() == 1
    assert len(made) == 2
    assert all(reply.answered for reply in replies)


async def test_deadlines_expire_in_their_order_whatever_the_order_of_asking(autojump_clock: object) -> None:
    expired: list[tuple[float, float]] = []
    start = trio.current_time()

    async def asker(seconds: float) -> None:
        assert not await Reply[int]().settled(seconds)
        expired.append((seconds, round(trio.current_time() - start, 6)))

    async with trio.open_nursery() as nursery:
        for seconds in (30, 5, 5, 0, 17, 1):
            nursery.start_soon(asker, seconds)
        nursery.start_soon(asker, 40)
    assert expired == [(s, s) for s in (0, 1, 5, 5, 17, 30, 40)]


async def test_answered_deadlines_do_not_pile_up(autojump_clock: object) -> None:
    @attrs.define
    class Subject:
        waiting: bool = True

        def expire(self) -> None:
            self.waiting = False

    heap = Deadlines()
    first = Subject()
    heap.add(1, first)
    for _ in range(10 * COMPACT_ABOVE):
        heap.add(10, subject := Subject())
        subject.waiting = False
    assert len(heap._heap) <= COMPACT_ABOVE + 1
    waiting = [Subject() for _ in range(3 * COMPACT_ABOVE)]
    for each in waiting:
        heap.add(20, each)
    heap.add(2, early := Subject())
    heap.add(3, done := Subject())
    done.waiting = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heap.sweep)
        await trio.sleep(15)
        assert not early.waiting
        assert not first.waiting
        assert all(each.waiting for each in waiting)
        await trio.sleep(15)
        assert not any(each.waiting for each in waiting)
        nursery.cancel_scope.cancel()


async def test_there_is_one_set_of_deadlines_per_run() -> None:
    assert deadlines() is deadlines()


async def test_what_has_come_since_is_taken_without_waiting():
    mailbox = Mailbox[int]("m", 10)
    assert mailbox.more(5) == []
    for number in range(4):
        mailbox.tell_nowait(number)
    assert await mailbox.receive(1) == [0]
    assert mailbox.more(2) == [1, 2]
    assert mailbox.more(2) == [3]
    assert (mailbox.statistics().received, mailbox.statistics().depth) == (4, 0)
