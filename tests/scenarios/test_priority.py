"""Of tasks that are due at the same instant the most urgent one gets the last place."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from tocsin import testing
from tocsin.testing import VirtualNode

BEGAN: list[str] = []


async def work(ctx: tocsin.Context) -> None:
    BEGAN.append(ctx.task)
    await trio.sleep(600)


@pytest.mark.parametrize("config", [{"slots": 1, "memory_slots": 1}, {"queues": {"mail": 1}}])
@pytest.mark.parametrize("persistent", [True, False])
def test_the_most_urgent_of_those_due_together_goes_first(config: dict[str, Any], persistent: bool) -> None:
    BEGAN.clear()

    async def history(node: VirtualNode) -> None:
        for name, priority in (("low", 9), ("middle", 5), ("high", 0)):
            builder = node.new_task("work").named(name).with_cron("0 * * * *").priority(priority).queue("mail")
            await (builder if persistent else builder.non_persistent()).schedule()
        await node.advance("90m")

    testing.run(history, catalogue=Catalogue([task_type("work", work)]), **config)
    assert BEGAN == ["high", "middle", "low"]


@testing.simulated(catalogue=Catalogue([task_type("work", work)]), catch_up_rate=1000.0)
async def test_what_many_tasks_owe_after_a_downtime_is_admitted_in_parts(node: VirtualNode) -> None:
    """No commit makes more than some hundreds of executions, and what is left over comes at once."""
    tasks = [
        await node.new_task("work").with_period("1m").overlap("allow").catch_up("all", limit=100).schedule()
        for _ in range(8)
    ]
    await node.advance("30s")
    await node.crash(down="90m")
    await node.advance("1ms")
    for task in tasks:
        assert len((await node.task(task.id)).open) >= 90
