"""Memory tasks and executions of other nodes, seen and handled from any node of a real cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest

from runtime.errors import NotFound, PeerUnreachable, StoreUnavailable
from tests.cluster.harness import Cluster, cluster
from tests.e2e.harness import wait_for
from tocsin.client import Client
from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.zookeeper import EmbeddedZooKeeper

TASKS = Path(__file__).with_name("memory_handlers.py")

SECONDS = 90.0
"""A bound against hanging."""

MANY = 120
"""Tasks of several kB each, so that a page of them is more than one message between nodes holds."""

Json = dict[str, Any]


@attrs.frozen
class Made:
    """A cluster with an open client to each node."""

    cluster: Cluster
    clients: dict[str, Client]

    def client(self, name: str) -> Client:
        return self.clients[name]

    def command(self, name: str, *arguments: str) -> str:
        return self.cluster.command(name, *arguments)

    def is_linked(self) -> bool:
        everybody = sorted(self.clients)
        return all(client.call("list_tasks", limit=0)["covers"] == everybody for client in self.clients.values())


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedPostgres, zookeeper_server: EmbeddedZooKeeper
) -> Iterator[Made]:
    with (
        cluster(tmp_path_factory.mktemp("memory"), postgres_server, zookeeper_server, TASKS) as started,
        ExitStack() as stack,
    ):
        started.start()
        made = Made(started, {name: stack.enter_context(started.client(name)) for name in started.nodes})
        wait_for(made.is_linked, SECONDS, "the nodes to know each other", started.nodes["n1"], poll=0.1)
        yield made


def add(client: Client, name: str, *, memory: bool, type_name: str = "steps", **more: object) -> str:
    body = {"name": name, "taskType": type_name, "trigger": {"after": "1h"}, "persistent": not memory, **more}
    return str(client.call("add_task", body=body)["itemId"])


def names(page: Json) -> list[tuple[str, str | None]]:
    return [(row["name"], row["node"]) for row in page["list"]]


def until(client: Client, execution: str, state: str) -> Json:
    found: list[Json] = []

    def reached() -> bool:
        found[:] = [client.call("show_execution", execution=execution)]
        return bool(found[0]["state"] == state)

    wait_for(reached, SECONDS, f"the execution to be {state}")
    return found[0]


def test_memory_tasks_are_listed_from_every_node(made: Made) -> None:
    for number, node in enumerate(("n2", "n1", "n3", "n2")):
        add(made.client(node), f"list-{number}", memory=True)
    add(made.client("n3"), "list-stored", memory=False)
    expected = [("list-0", "n2"), ("list-1", "n1"), ("list-2", "n3"), ("list-3", "n2"), ("list-stored", None)]
    for node in made.clients:
        page = made.client(node).call("list_tasks", text="list-", sortBy="name")
        assert (names(page), page["totalSize"], page["unreachable"]) == (expected, 5, [])
        page = made.client(node).call("list_tasks", text="list-", sortBy="name:desc", offset=1, limit=2)
        assert (names(page), page["totalSize"]) == (expected[::-1][1:3], 5)
    told = made.command("n1", "task", "list", "--text", "list-")
    assert "Node" in told and "n2" in told and "4 in memory" in told


def test_many_memory_tasks_are_paged_through(made: Made) -> None:
    client = made.client("n3")
    for number in range(MANY):
        add(client, f"many-{number:03}", memory=True, parameters={"rounds": 1, "note": "x" * 4_000})
    found = [row["name"] for row in made.client("n1").tasks(text="many-", sortBy="name")]
    assert found == [f"many-{number:03}" for number in range(MANY)]
    assert len(made.client("n2").call("list_tasks", text="many-", limit=1000)["list"]) == MANY


def test_a_memory_task_is_handled_from_another_node(made: Made) -> None:
    task_id = add(made.client("n2"), "cache", memory=True, parameters={"rounds": 3})
    other = made.client("n1")
    assert other.call("show_task", task="cache")["itemId"] == task_id
    assert made.client("n3").call("show_task", task=task_id[:30])["node"] == "n2"
    assert other.call("pause_task", task="cache", body={"note": "hot"})["note"] == "hot"
    assert other.call("activate_task", task="cache")["phase"] == "active"
    assert other.call("edit_task", task=task_id, body={"tags": ["x"]})["tags"] == ["x"]
    followed = made.command("n1", "task", "run", "cache", "--follow")
    assert "round 1" in followed and "round 3" in followed
    assert "Memory of n2" in made.command("n3", "task", "show", "cache")
    (execution,) = other.call("list_executions", task="cache")["list"]
    assert execution["channel"] == "cli"
    assert any("ran it by hand" in line for line in other.call("why", task=execution["id"])["lines"])
    made.client("n3").call("cancel_task", task="cache")
    assert other.call("show_task", task="cache")["status"] == "CANCELLED"
    other.call("cancel_task", task="cache", permanent=True)
    with pytest.raises(NotFound):
        made.client("n2").call("show_task", task="cache")


def test_a_running_memory_execution_is_cancelled_from_another_node(made: Made) -> None:
    add(made.client("n3"), "endless", memory=True, parameters={"rounds": 10_000})
    client = made.client("n1")
    execution = client.call("run_task", task="endless")["id"]
    assert until(client, execution, "RUNNING")["node"] == "n3"
    assert client.call("show_task", task="endless")["runsOn"] == ["n3"]
    client.call("cancel_execution", execution=execution)
    until(client, execution, "CANCELLED")


def test_a_stored_execution_is_seen_and_cancelled_from_every_node(made: Made) -> None:
    placed = {"on": "nodes", "nodes": ["n2"]}
    add(made.client("n1"), "stored", memory=False, parameters={"rounds": 10_000}, placement=placed)
    client = made.client("n3")
    execution = client.call("run_task", task="stored")["id"]
    assert until(client, execution, "RUNNING")["node"] == "n2"

    def told() -> bool:
        shown = client.call("show_execution", execution=execution)
        lines = client.call("list_logs", execution=execution)["list"]
        return bool(shown["progress"] and shown["progress"]["step"] == "rounds" and lines)

    wait_for(told, SECONDS, "progress and log lines of another node")
    assert client.call("show_task", task="stored")["runsOn"] == ["n2"]
    made.client("n1").call("cancel_execution", execution=execution)
    assert until(client, execution, "CANCELLED")["node"] == "n2"


def test_a_task_on_all_nodes_tells_of_each(made: Made) -> None:
    trigger = {"every": "1s"}
    add(made.client("n1"), "everywhere", memory=False, type_name="brief", trigger=trigger, placement={"on": "all"})
    client = made.client("n2")

    def each() -> bool:
        rows = client.call("list_outcomes", task="everywhere")["list"]
        return bool(sum(row["outcome"] == "fired" for row in rows) >= 6)

    wait_for(each, SECONDS, "outcomes on all nodes")
    client.call("pause_task", task="everywhere")
    rows = [row for row in client.call("list_outcomes", task="everywhere")["list"] if row["target"]]
    slots = {row["first"] for row in rows}
    for slot in slots:
        assert sorted(row["target"] for row in rows if row["first"] == slot) == ["n1", "n2", "n3"]
    why = client.call("why", task="everywhere", at=min(slots))
    assert why["nodes"].keys() == {"n1", "n2", "n3"} and any(line.startswith("n3: ") for line in why["lines"])
    assert "n3" in made.command("n1", "task", "history", "everywhere", "--ledger")


def test_a_frozen_node_is_named_and_its_tasks_return(made: Made) -> None:
    add(made.client("n3"), "frozen", memory=True)
    client = made.client("n1")
    assert client.call("show_task", task="frozen")["node"] == "n3"
    made.cluster.freeze("n3")
    try:
        page = client.call("list_tasks", text="frozen")
        assert (page["list"], page["totalSize"]) == ([], 0)
        assert (page["covers"], page["unreachable"]) == (["n1", "n2"], ["n3"])
    finally:
        made.cluster.thaw("n3")
    wait_for(lambda: names(client.call("list_tasks", text="frozen")) == [("frozen", "n3")], SECONDS, "its return")


def complaints(client: Client) -> str:
    """What a node complains of, ready or not."""
    try:
        return "; ".join(client.call("ready").get("health", ()))
    except StoreUnavailable as error:
        return str(error)


def test_health_tells_what_goes_on_without_coordination(made: Made) -> None:
    client = made.client("n1")
    wait_for(lambda: complaints(client) == "", SECONDS, "a healthy node")
    server = made.cluster.zookeeper.leader()
    server.freeze()
    try:
        wait_for(lambda: "running work finishes" in complaints(client), SECONDS, "a complaint")
        assert "no coordination server answers" in complaints(client)
    finally:
        server.thaw()
    wait_for(lambda: complaints(client) == "", SECONDS, "health again")


def test_a_node_that_is_killed_is_named_until_it_is_gone(made: Made) -> None:
    add(made.client("n3"), "lost", memory=True)
    client = made.client("n1")
    assert client.call("show_task", task="lost")["node"] == "n3"
    made.cluster.nodes["n3"].kill()
    with pytest.raises((PeerUnreachable, NotFound), match="n3"):
        client.call("pause_task", task="lost")

    def gone() -> bool:
        try:
            client.call("show_task", task="lost")
        except PeerUnreachable:
            return False
        except NotFound as error:
            return "n3" in str(error)
        raise AssertionError("a task of a dead process was shown")

    wait_for(gone, SECONDS, "the node to be gone")
    page = client.call("list_tasks", text="lost")
    assert page["totalSize"] == 0
