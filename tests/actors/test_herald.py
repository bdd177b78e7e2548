"""The herald passes on what happens, and drops it for who is too slow."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from actors import herald as module
from actors.herald import Herald
from actors.herald_core import Verdict, judge, read_entry
from actors.keeper_messages import Happened
from actors.model.event import Topic
from actors.model.execution import Execution, Failure, Kind
from actors.model.lifecycle import State
from actors.model.task import Definition, Task, TaskState
from actors.model.trigger import Once
from runtime.clock import Instant
from runtime.records import evolve
from tests.actors.event_kit import START, event, ids
from tests.actors.test_herald_core import outcome


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
    assert len(herald._watchers) == 0
    herald.stop()


@pytest.mark.parametrize(
    ("state", "failure", "line"),
    [
        (State.FAILED, Failure("ValueError", "wrong"), "execution e of task t is FAILED: ValueError: wrong"),
        (State.FAILED, Failure("KeyboardInterrupt", ""), "execution e of task t is FAILED: KeyboardInterrupt"),
        (
            State.FAILED,
            Failure("ValueError", "é\n2026 ERROR \x1b[31mforged\r\u2028\udcff"),
            r"execution e of task t is FAILED: ValueError: é\n2026 ERROR \x1b[31mforged\r\u2028\udcff",
        ),
        (State.CRASHED, None, "execution e of task t is CRASHED"),
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
    assert [record.getMessage() for record in caplog.records] == ([line] if line else [])


async def test_a_failure_is_logged_with_the_name_of_its_task(nursery, caplog: pytest.LogCaptureFixture):
    herald = Herald()
    definition = Definition("t", "nightly report", "work", Once(Instant(0)))
    await nursery.start(herald.run)
    failed = happened(State.FAILED, Failure("ValueError", "wrong"))
    await herald.mailbox.tell(evolve(failed, tasks=(Task(definition, TaskState()),)))
    await trio.testing.wait_all_tasks_blocked()
    herald.stop()
    assert [record.getMessage() for record in caplog.records] == [
        "execution e of task 'nightly report' is FAILED: ValueError: wrong"
    ]


async def test_a_topic_is_told_to_those_who_watch_it():
    herald = Herald()
    (entry,) = judge(outcome(event(Topic("alarms"))), Verdict(True), None, START, ids("a")).entries
    delivery = read_entry(entry)
    assert await herald.publish(delivery) == "0 watching"
    async with (
        herald.watch_topic("alarms") as one,
        herald.watch_topic("alarms") as other,
        herald.watch_topic("x") as none,
    ):
        assert await herald.publish(delivery) == "2 watching"
        told = one.receive_nowait()
        assert (told.topic, told.body["delivery"], other.receive_nowait()) == ("alarms", entry.id, told)
        with pytest.raises(trio.WouldBlock):
            none.receive_nowait()
    assert herald._topics == {}


async def test_a_topic_is_forgotten_with_the_last_who_watches_it():
    herald = Herald()
    async with herald.watch_topic("alarms"):
        async with herald.watch_topic("alarms"):
            pass
        assert list(herald._topics) == ["alarms"]
    assert herald._topics == {}
