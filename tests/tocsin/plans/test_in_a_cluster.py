"""Applying in a cluster: any node carries it out, and another one what a dead one has left."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import TocsinError
from tests.tocsin.plans.test_interrupted import AFTER, BEFORE, IDS, TYPES, call
from tocsin import testing
from tocsin.plans import applying
from tocsin.plans.services import apply_plan, export, plan

LATER = AFTER.replace("2020-", "2030-")


@testing.simulated(nodes=3, catalogue=TYPES)
async def test_what_a_dead_node_has_left_another_one_does(cluster: testing.VirtualCluster) -> None:
    await apply_plan(cluster._node, call(BEFORE))
    first = cluster._node
    real, steps = applying._step, []

    async def step(node: Any, action: str, *rest: Any) -> Any:
        steps.append(action)
        if len(steps) == 3:
            cluster.kill(first.config.name)
        return await real(node, action, *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(applying, "_step", step)
        with pytest.raises(TocsinError, match=r"step\(s\) were done: apply again for the rest"):
            await apply_plan(first, call(LATER, prune=True))
    other = cluster._node
    assert other.config.name != first.config.name
    left = (await apply_plan(other, call(LATER, prune=True)))["done"]
    assert 0 < len(left) < 12
    assert (await plan(other, call(LATER, prune=True)))["empty"]
    await cluster.advance("26h")
    texts = {(await export(cluster.node(name)._node, call()))["text"] for name in cluster.living}
    assert len(texts) == 1
    assert len(await cluster.runs(IDS["d"])) >= 24
    assert await cluster.runs(IDS["c"]) == []
    assert cluster.check().violations == ()
