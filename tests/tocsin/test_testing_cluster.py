"""A cluster in a test of one's own: its nodes fall, and nothing is lost."""

from __future__ import annotations

import pytest
import trio

import tocsin.testing
from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context, SyncContext
from runtime.errors import InvalidRequest, NotFound, StoreUnavailable
from tocsin.operations.calls import Call
from tocsin.services.node import ready

START = "2026-03-01T00:00:00Z"


def catalogue() -> Catalogue:
    async def steps(ctx: Context, *, number: int = 30) -> int:
        done = ctx.resumed_from or 0
        while done < number:
            await trio.sleep(1)
            done += 1
            await ctx.checkpoint(done)
        return number - (ctx.resumed_from or 0)

    def plain(ctx: SyncContext) -> str:
        ctx.checkpoint({"half": True})
        return ctx.node

    return Catalogue([task_type("steps", steps, source=""), task_type("plain", plain, source="")])


@tocsin.testing.simulated(nodes=3, start=START, catalogue=catalogue())
async def test_days_pass_and_every_run_is_there(cluster: tocsin.testing.VirtualCluster) -> None:
    task = await cluster.cron("30 2 * * *", "plain")
    await cluster.advance("3d")
    runs = await cluster.runs(task.id)
    assert [f"{run.nominal:%d %H:%M} {run.state}" for run in runs] == [f"0{n} 02:30 COMPLETED" for n in (1, 2, 3)]
    assert await cluster.result(runs[0]) in cluster.nodes
    assert f"{cluster.now:%m-%d}" == "03-04"
    assert cluster.check().violations == ()


@tocsin.testing.simulated(nodes=3, start=START, catalogue=catalogue())
async def test_what_a_killed_node_ran_goes_on_elsewhere(cluster: tocsin.testing.VirtualCluster) -> None:
    task = await cluster.every("1h", "steps", number=60)
    await cluster.advance("1h20s")
    [running] = await cluster.runs(task.id)
    victim = (await cluster.execution(running.id)).execution.node
    assert victim is not None
    cluster.kill(victim)
    assert victim not in cluster.living
    await cluster.advance("2m")
    [run] = await cluster.runs(task.id)
    assert (run.state, run.attempts) == ("COMPLETED", 2)
    assert await cluster.result(run) in range(30, 50), "it went on from its checkpoint"
    cluster.start(victim)
    await cluster.advance("3h")
    assert cluster.living == ["n1", "n2", "n3"]
    assert {slot.outcome for slot in await cluster.slots(task.id)} == {"fired"}
    assert cluster.check().violations == ()


@tocsin.testing.simulated(nodes=2, start=START, catalogue=catalogue())
async def test_a_frozen_node_and_one_without_a_store_are_replaced(cluster: tocsin.testing.VirtualCluster) -> None:
    task = await cluster.every("10m", "plain")
    cluster.freeze("n1")
    await cluster.advance("1h")
    cluster.thaw("n1")
    cluster.lose_store("n2")
    await cluster.advance("1h")
    cluster.cut("n1", "n2")
    cluster.heal()
    await cluster.advance("1h")
    outcomes = [slot.outcome for slot in await cluster.slots(task.id)]
    assert len(outcomes) == 18
    assert set(outcomes) <= {"fired", "late"}
    assert cluster.check().violations == ()


@tocsin.testing.simulated(nodes=2, start=START, catalogue=catalogue(), stand_ins={"steps": tocsin.testing.takes("5h")})
async def test_a_stand_in_takes_the_clusters_time(cluster: tocsin.testing.VirtualCluster) -> None:
    task = await cluster.every("6h", "steps")
    await cluster.advance("2d")
    runs = [run for run in await cluster.runs(task.id) if run.ended is not None and run.started is not None]
    assert [(run.ended - run.started).total_seconds() for run in runs if run.ended and run.started] == [18_000.0] * 7


@tocsin.testing.simulated(nodes=2, start=START, catalogue=catalogue())
async def test_what_cannot_be_is_refused(cluster: tocsin.testing.VirtualCluster) -> None:
    with pytest.raises(InvalidRequest, match="one of the nodes n1, n2, not 'n7'"):
        cluster.kill("n7")
    with pytest.raises(InvalidRequest, match="freeze: n1 is not so"):
        cluster.thaw("n1")
    cluster.kill("n1")
    with pytest.raises(InvalidRequest, match="kill: n1 already is so"):
        cluster.kill("n1")
    with pytest.raises(NotFound, match="node 'n1' is not up"):
        cluster.node("n1")


@tocsin.testing.simulated(nodes=3, start=START, catalogue=catalogue())
async def test_a_node_without_the_coordination_servers_is_ready_and_tells_of_it(
    cluster: tocsin.testing.VirtualCluster,
) -> None:
    node = cluster.node("n1").inner
    assert await ready(node, Call({}, "me", "rest")) == {"status": "ok"}
    for name in cluster.nodes:
        cluster.lose_coordination(name)
    await cluster.advance("30s")
    [complaint] = (await ready(node, Call({}, "me", "rest")))["health"]
    assert "no coordination server answers: running work finishes and what is owned is kept" in complaint
    assert await ready(node, Call({}, "", "rest")) == {"status": "ok"}
    cluster.lose_store("n1")
    await cluster.advance("30s")
    with pytest.raises(StoreUnavailable, match="the lease in the store was not renewed"):
        await ready(node, Call({}, "me", "rest"))
