"""Nodes, partitions, executors and the fence, as operators see them: of a node that is alone, and of a cluster made up here."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, cast

import attrs
import pytest

from actors.model.peer import Peer, Standing
from actors.node import Node
from actors.peer_messages import Call as Asked
from actors.peer_messages import Result
from runtime.clock import Micros
from runtime.coordination import CoordinationStatus
from runtime.errors import Conflict, Forbidden, NotFound, PeerUnreachable
from runtime.records import evolve
from runtime.world import RealWorld
from tests.tocsin.cli.kit import Shell
from tocsin.client import Client
from tocsin.node import LocalNode, open_node
from tocsin.operations.calls import Call
from tocsin.peers.forwarding import Answers
from tocsin.services import cluster as services_cluster
from tocsin.services.cluster_view import SharedView, SoloView, facade_of, find
from tocsin.settings.config import Config


def test_a_node_alone_is_its_own_cluster(client: Client) -> None:
    found = client.call("list_nodes")
    [node] = found["list"]
    assert (node["name"], node["state"], node["leader"], node["here"]) == ("node-1", "alive", True, True)
    assert (node["executor"], node["slots"], node["offsetMs"]) == (True, 1000, 0)
    assert node["partitions"] == found["coordination"]["partitions"] == found["coordination"]["owned"] > 1
    assert (found["coordination"]["leader"], found["coordination"]["problem"]) == ("node-1", None)
    full = client.call("show_member", node="node-1")
    assert full["owned"] == list(range(node["partitions"]))
    assert {"greet", "fail", "wait"} <= set(full["types"])
    partitions = client.call("list_partitions")["list"]
    assert [one["number"] for one in partitions] == full["owned"]
    assert all(one["owner"] == "node-1" and one["epoch"] >= 1 for one in partitions)


def test_a_node_alone_cannot_give_its_work_away(client: Client) -> None:
    with pytest.raises(Conflict, match=r"this node is alone.*pause the scheduler"):
        client.call("drain_node", node="node-1")
    with pytest.raises(Conflict, match=r"this node is alone.*pause the scheduler"):
        client.call("switch_executor", node="node-1", on=False)
    with pytest.raises(Conflict, match="this node is alone: no coordination service"):
        client.call("raise_fence")
    with pytest.raises(NotFound, match="no node 'node-9'; there are node-1"):
        client.call("drain_node", node="node-9")


def test_the_command_line_shows_nodes_and_partitions(shell: Shell) -> None:
    code, out, err = shell("node", "list")
    assert (code, err) == (0, "")
    assert "node-1*" in out and "alive" in out and "no owner" not in out
    code, out, _ = shell("node", "show")
    assert code == 0 and "Owns" in out and "greet" in out
    assert shell.json("node", "show", "node-1")["leader"] is True
    code, out, _ = shell("partition", "list")
    assert code == 0 and "Epoch" in out and out.count("node-1") == shell.json("node", "show")["partitions"]
    assert shell("executor")[1].startswith("the executor of node-1 is on")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["node", "drain", "node-1"], 6, "this node is alone"),
        (["node", "show", "node-9"], 5, "no node 'node-9'"),
        (["executor", "off"], 6, "this node is alone"),
        (["executor", "sideways"], 2, "sideways"),
        (["executor", "on", "--node", "node-9"], 5, "no node 'node-9'"),
        (["fence", "raise"], 6, "say --yes"),
        (["fence", "raise", "--yes"], 6, "this node is alone"),
    ],
)
def test_what_cannot_be_done_has_its_exit_code(shell: Shell, arguments: list[str], code: int, words: str) -> None:
    got, out, err = shell(*arguments)
    assert (got, out) == (code, "")
    assert words in err


# -- a cluster made up here


class Partitions:
    """Stands for a shared store."""

    def epochs(self) -> Mapping[int, int]:
        return {0: 3, 1: 4}


@attrs.define
class MadeUp:
    """Stands for a node's `Cluster`."""

    boot: str
    seen: list[Peer]
    ask: Callable[[str, Asked, float], Awaitable[Result]]
    store: Partitions = attrs.field(factory=Partitions)
    raised: int = 0
    broken: bool = False

    def peers(self) -> tuple[Peer, ...]:
        return tuple(self.seen)

    def status(self) -> CoordinationStatus:
        return CoordinationStatus("s", True, True, "b", {0: "a", 1: "b"}, gate="1 of 2 nodes are there")

    def switch_executor(self, on: bool) -> None:
        self.seen[0] = evolve(self.seen[0], executor=on)

    async def raise_fence(self) -> None:
        self.raised += 1

    def drain(self, on: bool = True) -> None:
        if self.broken:
            raise ZeroDivisionError
        self.seen[0] = evolve(self.seen[0], draining=on)


async def unreachable(boot: str, call: Asked, seconds: float) -> Result:
    raise AssertionError(f"{boot} was asked for {call.operation}")


def peers() -> list[Peer]:
    late = Peer(
        "b",
        "b2",
        standing=Standing.SUSPECT,
        offset=Micros(-1_500),
        labels=(("zone", "eu"),),
        slots=5,
        free=2,
        running=3,
    )
    return [Peer("a", "a1"), Peer("b", "b1", standing=Standing.DEAD), late]


@attrs.frozen
class Stood:
    """A node with a made-up cluster around it."""

    node: Node
    cluster: MadeUp

    def call(self, **arguments: object) -> Call:
        return Call(arguments, "ada", "test")


async def stand(local: LocalNode, ask: Callable[[str, Asked, float], Awaitable[Result]] = unreachable) -> Stood:
    made = MadeUp("a1", peers(), ask)
    node = local.inner
    node.cluster = cast("Any", made)
    return Stood(node, made)


async def test_what_is_seen_of_a_cluster(tmp_path: Path) -> None:
    async with open_node(data=tmp_path, name="a") as local:
        stood = await stand(local)
        assert isinstance(facade_of(stood.node), SharedView)
        found = await services_cluster.list_nodes(stood.node, stood.call())
        names = [(one["name"], one["state"], one["here"], one["leader"], one["partitions"]) for one in found["list"]]
        assert names == [
            ("a", "alive", True, False, 1), ("b", "dead", False, True, 1), ("b", "suspect", False, True, 1),
        ]  # fmt: skip
        assert (found["list"][2]["offsetMs"], found["list"][0]["offsetMs"]) == (-1.5, None)
        assert found["coordination"]["gate"] == "1 of 2 nodes are there"
        full = await services_cluster.show_member(stood.node, stood.call(node="b"))
        assert (full["boot"], full["owned"], full["labels"]) == ("b2", [1], {"zone": "eu"})
        shown = await services_cluster.list_partitions(stood.node, stood.call())
        assert shown["list"][:3] == [
            {"number": 0, "owner": "a", "epoch": 3}, {"number": 1, "owner": "b", "epoch": 4},
            {"number": 2, "owner": None, "epoch": None},
        ]  # fmt: skip
        stood.node.cluster = None


async def test_a_dead_node_is_told_by_its_name_and_asked_for_nothing(tmp_path: Path) -> None:
    async with open_node(data=tmp_path, name="a") as local:
        node = local.inner
        node.cluster = cast(
            "Any", MadeUp("a1", [Peer("a", "a1"), Peer("b", "b1", standing=Standing.DEAD)], unreachable)
        )
        for operation, switch in (
            (services_cluster.drain_node, {"undo": False}),
            (services_cluster.switch_executor, {"on": False}),
        ):
            with pytest.raises(PeerUnreachable, match=r"^b is dead$"):
                await operation(node, Call({"node": "b", **switch}, "ada", "test"))
        node.cluster = None


async def test_switches_work_here_and_are_forwarded(tmp_path: Path) -> None:
    asked: list[tuple[str, str, Any, str]] = []

    async def ask(boot: str, call: Asked, seconds: float) -> Result:
        asked.append((boot, call.operation, json.loads(call.arguments), call.actor))
        return (
            Result('{"state": "as it says", "here": true}')
            if len(asked) < 3
            else Result(title="Not allowed", message="because")
        )

    async with open_node(data=tmp_path, name="a") as local:
        stood = await stand(local, ask)
        node = stood.node
        assert (await services_cluster.switch_executor(node, stood.call(node="a", on=False)))["executor"] is False
        assert (await services_cluster.drain_node(node, stood.call(node="a", undo=False)))["state"] == "draining"
        assert (await services_cluster.drain_node(node, stood.call(node="a", undo=True)))["state"] == "alive"
        assert asked == []
        said = await services_cluster.drain_node(node, stood.call(node="b", undo=True))
        assert said == await services_cluster.switch_executor(node, stood.call(node="b", on=True))
        assert said == {"state": "as it says", "here": False}
        assert asked == [
            ("b2", "drain_node", {"node": "b", "undo": True}, "ada"),
            ("b2", "switch_executor", {"node": "b", "on": True}, "ada"),
        ]
        with pytest.raises(Forbidden, match="because"):
            await services_cluster.drain_node(node, stood.call(node="b", undo=False))
        with pytest.raises(NotFound, match="no node 'c'; there are a, b"):
            await services_cluster.drain_node(node, stood.call(node="c", undo=False))
        node.cluster = None


async def test_the_fence_is_raised_by_the_cluster(tmp_path: Path) -> None:
    async with open_node(data=tmp_path, name="a") as local:
        stood = await stand(local)
        assert await services_cluster.raise_fence(stood.node, stood.call()) == {"raised": 2}
        assert stood.cluster.raised == 1
        stood.node.cluster = None


async def test_what_other_nodes_ask_is_answered(tmp_path: Path) -> None:
    async with open_node(data=tmp_path, name="a") as local:
        stood = await stand(local)

        async def told(operation: str, arguments: str) -> Result:
            return await Answers(stood.node)("b2", Asked(operation, arguments, "ada"))

        done = await told("switch_executor", '{"node": "a", "on": false}')
        assert done.title is None and json.loads(done.value or "")["executor"] is False
        refused = [
            await told("add_task", "{}"),
            await told("drain_node", "[]"),
            await told("drain_node", "{"),
            await told("drain_node", '{"node": "b"}'),
            await told("drain_node", '{"node": "a", "undo": 1}'),
        ]
        assert [one.title for one in refused] == ["Not allowed", *["Invalid request"] * 4]
        assert "this one is 'a', not 'b'" in refused[3].message
        stood.cluster.broken = True
        assert (await told("drain_node", '{"node": "a"}')).title == "Internal error"
        stood.node.cluster = None


def test_the_living_node_of_a_name_is_meant() -> None:
    assert find(tuple(peers()), "b").boot == "b2"
    with pytest.raises(NotFound):
        find((), "b")


async def test_a_node_of_its_own_is_alone(tmp_path: Path) -> None:
    async with open_node(data=tmp_path) as local:
        assert isinstance(facade_of(local.inner), SoloView)
    assert not Config().clustered and RealWorld().now() > 0
