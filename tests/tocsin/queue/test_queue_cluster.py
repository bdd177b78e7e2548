"""The queue in a cluster: any node can be asked, and a node that dies takes nothing with it."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from actors.model.lifecycle import State
from runtime.errors import PeerUnreachable, StaleFence, StoreUnavailable
from tocsin import testing
from tocsin.access.caller import FIRST_ADMINISTRATOR
from tocsin.operations.calls import Call
from tocsin.operations.dispatch import Dispatcher
from tocsin.operations.table import BY_NAME
from tocsin.peers.forwarding import Answers
from tocsin.testing import VirtualCluster

Json = dict[str, Any]


def answering(cluster: VirtualCluster) -> None:
    """Have the nodes carry out what they ask of each other."""
    for name in cluster.nodes:
        inner = cluster.node(name).inner
        assert inner.cluster is not None
        inner.cluster.answer = Answers(inner)


async def ask(cluster: VirtualCluster, on: str, operation: str, **given: Any) -> Any:
    """As the REST interface of one node calls it."""
    known = {argument.name: given.get(argument.name, argument.default) for argument in BY_NAME[operation].arguments}
    call = Call(known, "ada", "rest", FIRST_ADMINISTRATOR)
    return await Dispatcher(cluster.node(on).inner)(operation, call)


async def add(cluster: VirtualCluster, on: str, name: str) -> str:
    body = {"name": name, "taskType": "worker:x", "trigger": {"after": "0s"}}
    return str((await ask(cluster, on, "add_task", body=body))["itemId"])


async def take(cluster: VirtualCluster, on: str, **more: Any) -> Json:
    """The next job, as soon as there is one."""
    while True:
        body = {"types": ["x"], "wait": "0s", **more}
        found = (await ask(cluster, on, "queue_next", worker="w", body=body))["job"]
        if found is not None:
            return dict(found)
        await cluster.advance("100ms")


async def save(cluster: VirtualCluster, on: str, job: Json, **said: Any) -> Json:
    return dict(await ask(cluster, on, "queue_save", job=job["job"], body={"lease": job["lease"], **said}))


async def node_of(cluster: VirtualCluster, job: Json) -> str:
    return str((await cluster.execution(job["job"])).execution.node)


@testing.simulated(nodes=3)
async def test_any_node_can_be_asked(cluster: VirtualCluster) -> None:
    answering(cluster)
    ids = [await add(cluster, name, f"item {number}") for number, name in enumerate(cluster.nodes * 4)]
    jobs = [await take(cluster, "n1") for _ in ids]
    assert {job["taskId"] for job in jobs} == set(ids)
    assert len({await node_of(cluster, job) for job in jobs}) > 1
    rows = (await ask(cluster, "n2", "queue_list"))["list"]
    assert {row["jobs"][0]["worker"] for row in rows} == {"w"}
    for job in jobs:
        assert (await ask(cluster, "n3", "queue_heartbeat", job=job["job"], body={"lease": job["lease"]}))[
            "cancel"
        ] is None
        assert (await save(cluster, "n2", job, status="completed", result=job["task"]))["state"] == "COMPLETED"
        with pytest.raises(StaleFence):
            await save(cluster, "n3", job, status="failed")
    assert cluster.check().violations == ()


@testing.simulated(nodes=3)
async def test_a_worker_that_starts_anew_gives_back_what_it_had_on_every_node(cluster: VirtualCluster) -> None:
    answering(cluster)
    ids = [await add(cluster, name, f"item {number}") for number, name in enumerate(cluster.nodes * 2)]
    jobs = [await take(cluster, "n1") for _ in ids]
    found = await ask(cluster, "n2", "queue_start", worker="w")
    assert found["givenBack"] == sorted(job["job"] for job in jobs)
    again = [await take(cluster, "n3") for _ in ids]
    assert {job["job"] for job in again} == {job["job"] for job in jobs}
    for job in jobs:
        with pytest.raises(StaleFence):
            await save(cluster, "n1", job, status="completed")


@testing.simulated(nodes=3)
async def test_what_a_dead_node_held_is_taken_over_and_the_worker_is_refused(cluster: VirtualCluster) -> None:
    answering(cluster)
    await add(cluster, "n1", "item")
    job = await take(cluster, "n1")
    await save(cluster, "n2", job, checkpoint={"at": 7})
    holder = await node_of(cluster, job)
    others = [name for name in cluster.nodes if name != holder]
    cluster.kill(holder)
    with pytest.raises((PeerUnreachable, StaleFence)):
        await save(cluster, others[0], job, status="completed", result="stale")
    with trio.fail_after(120):
        again = await take(cluster, others[0])
    assert again["job"] == job["job"]
    assert again["fence"] > job["fence"]
    assert again["checkpoint"] == {"at": 7}
    with pytest.raises(StaleFence):
        await save(cluster, others[1], job, status="completed", result="stale")
    await save(cluster, others[1], again, status="completed", result="good")
    detail = await cluster.execution(job["job"])
    assert (detail.execution.state, detail.result) == (State.COMPLETED, '"good"')
    assert cluster.check().violations == ()


@testing.simulated(nodes=3)
async def test_a_node_that_comes_back_accepts_nothing_of_what_others_have_taken_over(cluster: VirtualCluster) -> None:
    answering(cluster)
    await add(cluster, "n1", "item")
    job = await take(cluster, "n1", lease="1h")
    holder = await node_of(cluster, job)
    others = [name for name in cluster.nodes if name != holder]
    cluster.freeze(holder)
    with trio.fail_after(120):
        again = await take(cluster, others[0])
    assert again["fence"] > job["fence"]
    cluster.thaw(holder)
    with pytest.raises((StaleFence, PeerUnreachable, StoreUnavailable)):
        await save(cluster, holder, job, status="completed", result="stale")
    await save(cluster, others[1], again, status="completed", result="good")
    with pytest.raises(StaleFence):
        await save(cluster, others[0], job, status="completed", result="stale")
    assert (await cluster.execution(job["job"])).result == '"good"'
    assert cluster.check().violations == ()
