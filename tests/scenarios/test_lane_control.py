"""Locks, queues and the scheduler's pause as a node shows them, over both of its lanes and over a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from actors.model.execution import WaitsFor
from actors.model.lifecycle import State
from actors.model.policy import Concurrency, Policies
from actors.model.trigger import Once
from actors.node import Node
from runtime.clock import SECOND, Instant
from runtime.errors import NotFound
from tests.rehearsal.kit import Diary, add, history, interval, ledger, node_at

LONG = '{"seconds": 600}'
KEY = Policies(concurrency=Concurrency("k"))
MAIL = Policies(queue="mail")


def soon(node: Node) -> Once:
    return Once(Instant(node.world.now() + SECOND))


async def test_locks_and_queues_are_shown_and_locks_released(tmp_path: Path, autojump_clock: None) -> None:
    async with node_at(tmp_path, Diary(), queues={"mail": 1}) as node:
        for persistent in (True, False):
            first = await add(node, f"a{persistent}", soon(node), policies=KEY, parameters=LONG, persistent=persistent)
            await add(node, f"b{persistent}", soon(node), policies=KEY, parameters=LONG, persistent=persistent)
            await add(node, f"m{persistent}", soon(node), policies=MAIL, parameters=LONG, persistent=persistent)
            last = await add(node, f"n{persistent}", soon(node), policies=MAIL, persistent=persistent)
        await trio.sleep(2)
        locks = node.control.locks("")
        assert [(lock.key, lock.limit, len(lock.holders), lock.waiting) for lock in locks] == [("k", 1, 1, 1)] * 2
        uses = [(use.name, use.limit, use.running, use.waiting) for use in node.control.queues()]
        assert uses == [("default", None, 0, 2), ("mail", 1, 2, 2)]
        assert node.control.locks("another tenant") == []
        waiting = await node.task(last.id)
        assert node.control.waits_for(waiting.definition, waiting.open[0]) == (WaitsFor.QUEUE, None)
        (held,) = (await node.task(first.id)).open
        assert await node.control.release_lock("k", "", held.id, "me") == (held.id,)
        assert len(await node.control.release_lock("k", "", None, "me")) == 2
        with pytest.raises(NotFound):
            await node.control.release_lock("nobody's", "", None, "me")
        await trio.sleep(0.1)
        assert (await node.task(first.id)).open[0].state is State.RUNNING
        assert [(len(lock.holders), lock.waiting) for lock in node.control.locks()] == [(1, 0)]


async def test_what_waits_for_a_key_names_who_holds_it(tmp_path: Path, autojump_clock: None) -> None:
    async with node_at(tmp_path, Diary()) as node:
        holder = await add(node, "holder", soon(node), policies=KEY, parameters=LONG)
        waiter = await add(node, "waiter", soon(node), policies=KEY)
        await trio.sleep(2)
        waiting = await node.task(waiter.id)
        what, lock = node.control.waits_for(waiting.definition, waiting.open[0])
        assert what is WaitsFor.KEY
        assert lock is not None
        assert [one.task_id for one in lock.holders] == [holder.id]


async def test_a_pause_holds_for_both_lanes_and_over_a_restart(tmp_path: Path, autojump_clock: None) -> None:
    diary = Diary()
    async with node_at(tmp_path, diary) as node:
        task = await add(node, "stored", interval(node, 10))
        await node.control.pause("moving house", "me")
        await trio.sleep(35)
        ended = node.world.now()
        assert diary.began == []
    async with node_at(tmp_path, diary, start=ended) as node:
        await add(node, "memory", soon(node), persistent=False)
        await trio.sleep(30)
        assert diary.began == []
        paused = await node.control.scheduler_pause()
        assert paused is not None
        assert (paused.note, paused.actor) == ("moving house", "me")
        assert node.health() == []
        await node.control.resume("me")
        await trio.sleep(3)
        assert await node.control.scheduler_pause() is None
        assert sorted(name for name, *_ in diary.began) == ["memory", "stored"]
        rows = await ledger(node, task)
        assert [(str(row.outcome), row.reason) for row in rows] == [("coalesced", "catch_up"), ("late", "paused")]
        assert [one.state for one in await history(node, task)] == [State.COMPLETED]
