"""Node processes with tasks in each state. They live as long as the tests of this package run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.contract.client import Status, TaskClient
from tests.contract.node import FAR, Node, eventually, hourly, once

ORIGIN = "https://app.example"
"""Of the web pages that may use the node."""

FILLERS = 60
"""Tasks of the type filler: more than a page of the usual size has."""


@pytest.fixture(scope="package")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that lets web pages of one origin use it."""
    with Node(tmp_path_factory.mktemp("contract"), f'[api]\ncors_origins = ["{ORIGIN}"]\n').running() as node:
        yield node


@pytest.fixture(scope="package")
def client(node: Node) -> Iterator[TaskClient]:
    """The administrator's."""
    with node.client() as client:
        yield client


@pytest.fixture(scope="package")
def tokens(node: Node) -> dict[str, str]:
    """A token of each role but the administrator's."""
    return {role: node.add_token(role) for role in ("viewer", "operator", "worker")}


@pytest.fixture(scope="package")
def tasks(node: Node, client: TaskClient) -> dict[str, str]:
    """Tasks in each state that is reached without a crash, and many fillers: their ids by name.

    Tests that change a task have one of their own; nobody changes the others.
    """
    syncs = [hourly("running", "dataSync", targetSystem="CRM", batchSize=1000)]
    waiters = [hourly(name, "waiter") for name in ("to cancel running", "running config")]
    waiting = [
        once(name, "quick") | {"dependencies": ["blocker"], "policies": {}} for name in ("waiting", "to cancel waiting")
    ]
    memory = [hourly(name, "quick") | {"persistent": False} for name in ("memory", "to cancel memory")]
    failing = [
        *(once(name, "failing") for name in ("failed", "to cancel and retry")),
        *(once(f"retry {reset}", "failing") for reset in (None, False, True, "TRUE", "tRue")),
        once("retry mended", "failing", gate="mended"),
        once("retry once", "failing"),
    ]
    hourly_failing = [hourly(name, "failing") for name in ("retry hourly", "retry status")]
    ids = node.apply(
        [
            once("completed", "quick"),
            once("blocker", "quick", FAR),
            once("fraction", "quick", FAR + timedelta(milliseconds=250)),
            *(hourly(name, "quick") for name in ("cancelled", "to cancel", "to cancel twice", "to spare")),
            {"name": "scheduled", "taskType": "quick", "trigger": {"every": "1h"}},
            *(once(f"filler {n}", "filler", FAR + timedelta(minutes=n * 37 % FILLERS)) for n in range(FILLERS)),
            *(syncs + waiters + waiting + memory + failing + hourly_failing),
        ]
    )
    client.cancel(ids["cancelled"])
    for task in syncs + waiters + hourly_failing:
        node.run(ids[task["name"]])
    eventually(lambda: client.get(ids["running"]).status_details)
    for task in failing + hourly_failing:
        eventually(lambda task=task: client.get(ids[task["name"]]).failure_count)
    for name, status in [("completed", Status.COMPLETED), *((task["name"], Status.WAITING) for task in waiting)]:
        eventually(lambda name=name, status=status: client.get(ids[name]).status == status)
    return ids


@pytest.fixture(scope="package")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, dict[str, str]]]:
    """A node with nothing configured that was killed while tasks ran, and started again; the ids of its tasks by name."""
    with Node(tmp_path_factory.mktemp("crashed")).running() as node:
        held = [hourly(name, "dataSync", "hold") for name in ("held", "resumed", "resumed hourly")]
        single = once("resumed once", "dataSync")
        single["policies"]["onCrash"] = "hold"
        running = [*held, hourly("by itself", "dataSync"), single]
        memory = hourly("memory", "quick") | {"persistent": False}
        ids = node.apply([*running, hourly("scheduled", "quick"), memory])
        for task in running[:-1]:
            node.run(ids[task["name"]])
        with node.client() as client:
            eventually(lambda: all(client.get(ids[task["name"]]).checkpoint_data for task in running))
            assert client.get(ids["memory"]).status == Status.SCHEDULED
        node.process.kill()
        node.start()
        with node.client() as client:
            eventually(lambda: client.list(status=Status.CRASHED).total_size == 4)
            eventually(lambda: client.get(ids["by itself"]).status == Status.RUNNING)
        yield node, ids
