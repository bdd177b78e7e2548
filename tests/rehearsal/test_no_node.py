"""A task whose type the node does not have: it waits, visibly, and neither fails nor costs anything."""

from __future__ import annotations

from pathlib import Path

import trio

from actors.composition import open_node
from actors.handling.catalogue import Catalogue
from actors.lanes import NodeConfig
from actors.model.execution import WaitsFor
from actors.model.lifecycle import State, Status
from actors.model.occurrence import Outcome, Reason
from actors.model.trigger import Once
from runtime.clock import SECOND, Instant
from runtime.simulation import SimulatedWorld
from tests.rehearsal.kit import Diary, add, check_exactly_once, history, interval, ledger, node_at


def without_types(path: Path):
    return open_node(NodeConfig(data=path, synchronous="OFF"), Catalogue(), SimulatedWorld(0))


async def test_each_slot_waits_until_the_next_one(tmp_path: Path, autojump_clock):
    async with without_types(tmp_path) as node:
        task = await add(node, "orphan", interval(node, 10))
        await trio.sleep(35)
        now = await node.task(task.id)
        assert now.state.status is Status.WAITING
        assert [one.waits_for for one in now.open] == [WaitsFor.NODE]
        assert now.state.failure_count == 0
        rows = await check_exactly_once(node, task)
        assert [(row.outcome, row.reason) for row in rows] == [
            (Outcome.SKIPPED, Reason.NO_NODE),
            (Outcome.SKIPPED, Reason.NO_NODE),
            (None, None),
        ]


async def test_what_waits_is_run_by_the_node_that_has_the_type(tmp_path: Path, autojump_clock):
    diary = Diary()
    async with without_types(tmp_path) as node:
        at = Instant(node.world.now() + SECOND)
        task = await add(node, "orphan", Once(at))
        await trio.sleep(5)
        assert [one.state for one in await history(node, task)] == [State.WAITING]
        later = node.world.now()
    async with node_at(tmp_path, diary, start=later) as node:
        await trio.sleep(2)
        (execution,) = await history(node, task)
        assert (execution.state, execution.attempt, execution.failures) == (State.COMPLETED, 1, 0)
        (row,) = await ledger(node, task)
        assert (row.outcome, row.reason) == (Outcome.LATE, Reason.NO_NODE)
    assert len(diary.completed) == 1
