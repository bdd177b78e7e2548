"""What a cluster promises whoever uses it, whatever happens to the node that owns a task's partition.

Bounds are three times what is promised, and three times the lateness on top that other tasks have meanwhile or just before:
what is asked for is not quicker than the machine. `TOCSIN_FULL=1` in the environment makes the number of manual runs the full
one.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import pytest

from runtime.errors import Conflict
from tests.cluster import takeover
from tests.cluster.drills import RETRY, Drill, Mark, drill, every, most_at_once, now, twice_started
from tests.cluster.takeover import Pulse
from tocsin.client import Client
from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.zookeeper import EmbeddedZooKeeper

RUNS = 10_000 if os.environ.get("TOCSIN_FULL") else 1_500

ELSEWHERE = 100
"""Executions that run on other nodes while their owner goes."""

WOKEN_SECONDS = 3 * 0.1
DEAF_SECONDS = 3 * 1.5
KEY_SECONDS = 3 * 6.0

BEFORE = 5_000_000
"""Microseconds before a kill in which it is looked how late tasks usually are."""

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def pulse(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedPostgres, zookeeper_server: EmbeddedZooKeeper
) -> Iterator[Pulse]:
    """Three nodes, and a few tasks that go on all the while."""
    directory = tmp_path_factory.mktemp("promises")
    deaf = {"E2E_DEAF": str(directory / "deaf")}
    with drill(directory, postgres_server, zookeeper_server, bent=True, **deaf) as made:
        made.cluster.start()
        made.wait_shares()
        yield takeover.begin_pulse(made, 6, 500)


@pytest.fixture
def cluster(pulse: Pulse) -> Iterator[Drill]:
    """The three nodes; afterwards nobody has lost anything, and nothing was started twice."""
    for name in pulse.drill.cluster.nodes:
        if name not in pulse.drill.living():
            pulse.drill.cluster.start(name)
    pulse.settle()
    yield pulse.drill
    _, lost, doubled = takeover.verdict(pulse)
    assert not lost and not doubled, (lost[:10], doubled[:10], pulse.drill.cluster.logs())


# -- what runs elsewhere


@pytest.fixture(scope="module")
def distant(pulse: Pulse) -> list[str]:
    """Tasks over all partitions, to be run on n1 and n2, so many that a third of them is what is wanted."""
    names = [f"distant {number}" for number in range(4 * ELSEWHERE)]
    for number, name in enumerate(names):
        where = {"placement": {"nodes": ["n1", "n2"]}, "parameters": {"seconds": 14.0}}
        pulse.drill.add(name, "lasting", node=f"n{number % 3 + 1}", **where)
    return names


@pytest.mark.parametrize("way", ["killed", "drained"])
def test_what_runs_elsewhere_does_not_notice(cluster: Drill, distant: list[str], way: str) -> None:
    before = len(cluster.marks())
    running = sorted(cluster.owned_tasks("n3") & set(distant))[:ELSEWHERE]
    assert len(running) == ELSEWHERE
    for number, name in enumerate(running):
        cluster.run(name, node=f"n{number % 3 + 1}")
    new = lambda *kinds: [mark for mark in cluster.marks()[before:] if mark.task in running and mark.kind in kinds]  # noqa: E731
    cluster.wait(lambda: len(new("start")) == ELSEWHERE, "all executions to run")
    if way == "killed":
        cluster.kill("n3")
    else:
        cluster.client("n1").call("drain_node", node="n3")
    cluster.wait_shares("n1", "n2")
    assert len(new("end")) < ELSEWHERE, "the takeover was to happen while they run"
    cluster.wait(lambda: len(new("end", "cut")) == ELSEWHERE, "all executions to end")
    assert not new("cut")
    assert len(new("start")) == ELSEWHERE
    if way == "drained":
        cluster.client("n1").call("drain_node", node="n3", undo=True)


# -- what is asked for over a node that does not own the task


def strange(cluster: Drill, task: str) -> str:
    """A node that does not own the task."""
    owner = cluster.owners()[cluster.partition_of()[task]]
    return next(name for name in cluster.living() if name != owner)


def effects(cluster: Drill, label: str, number: int) -> dict[str, list[float]]:
    """Seconds from the answer to the effect, of what is asked for over a node that does not own the task."""
    found: dict[str, list[float]] = {"added": [], "edited": [], "run": [], "cancelled": []}
    for place in range(number):
        name, asked = f"{label} {place}", f"n{place % 3 + 1}"
        cluster.add(name, "brief", {"after": "1ms"}, node=asked)
        since = waited(cluster, name, "start", now())
        if cluster.owners()[cluster.partition_of()[name]] != asked:
            found["added"].append(since)
        later = f"{name}, later"
        cluster.add(later, "brief", node=asked)
        client = cluster.client(strange(cluster, later))
        found["run"].append(effect(cluster, later, "start", client, "run_task"))
        found["edited"].append(
            effect(cluster, later, "start", client, "edit_task", body={"trigger": {"after": "500ms"}})
        )
        long = f"{name}, long"
        cluster.add(long, "lasting", {"after": "1ms"}, node=asked, parameters={"seconds": 60.0})
        waited(cluster, long, "start", now())
        found["cancelled"].append(effect(cluster, long, "cut", cluster.client(strange(cluster, long)), "cancel_task"))
    return found


def effect(cluster: Drill, name: str, kind: str, client: Client, operation: str, **arguments: Any) -> float:
    """Seconds from the answer to the mark."""
    seen = len([mark for mark in cluster.marks(kind) if mark.task == name])
    client.call(operation, task=name, **arguments)
    return waited(cluster, name, kind, now(), seen)


def waited(cluster: Drill, name: str, kind: str, answered: int, seen: int = 0) -> float:
    """Seconds from `answered`, or from when it was due, to the mark after those that were seen."""
    found: list[Mark] = []

    def there() -> bool:
        found[:] = [mark for mark in cluster.marks(kind) if mark.task == name][seen:]
        return bool(found)

    cluster.wait(there, f"{name} to {kind}")
    return max(0.0, (found[0].at - max(answered, found[0].nominal or 0 if kind == "start" else 0)) / 1e6)


@pytest.mark.parametrize("deaf", [False, True], ids=["woken", "deaf"])
def test_what_is_asked_of_another_node_takes_effect(
    cluster: Drill, deaf: bool, record_property: Callable[[str, object], None]
) -> None:
    (cluster.cluster.directory / "deaf").unlink(missing_ok=True)
    if deaf:
        (cluster.cluster.directory / "deaf").touch()
    begun = now()
    try:
        found = effects(cluster, "deaf" if deaf else "woken", 6)
    finally:
        (cluster.cluster.directory / "deaf").unlink(missing_ok=True)
    usual = lateness(cluster, begun)
    for kind, times in found.items():
        assert times
        record_property(f"median seconds until {kind}", median(times))
        if deaf:
            assert max(times) < DEAF_SECONDS + 3 * max(usual), (kind, times, max(usual))
        else:
            assert median(times) < WOKEN_SECONDS + 3 * median(usual), (kind, times, median(usual))


def lateness(cluster: Drill, since: int) -> list[float]:
    """Seconds by which the starts of the tasks were late that go on all the while and that nobody asks for."""
    starts = [mark for mark in cluster.marks("start") if mark.task.startswith("pulse") and mark.nominal is not None]
    return [(mark.at - mark.nominal) / 1e6 for mark in starts if mark.nominal is not None and mark.nominal >= since]


# -- overlap and keys


def test_manual_runs_from_two_nodes_do_not_overlap(
    cluster: Drill, record_property: Callable[[str, object], None]
) -> None:
    cluster.add("one at a time", "lasting", policies={"overlap": "skip"}, parameters={"seconds": 1.0})
    answered: list[str] = []
    refused: list[Conflict] = []

    def ask(node: str, number: int) -> None:
        with cluster.cluster.client(node) as client:
            for _ in range(number):
                try:
                    answered.append(client.call("run_task", task="one at a time")["id"])
                except Conflict as error:
                    refused.append(error)

    askers = [threading.Thread(target=ask, args=(node, RUNS // 4)) for node in ("n1", "n1", "n2", "n2")]
    for thread in askers:
        thread.start()
    for thread in askers:
        thread.join()
    time.sleep(1.5)
    marks = [mark for mark in cluster.marks() if mark.task == "one at a time"]
    record_property("answered", len(answered))
    record_property("ran", sum(mark.kind == "start" for mark in marks))
    assert len(answered) + len(refused) == 4 * (RUNS // 4)
    assert sum(mark.kind == "start" for mark in marks) == len(answered) > 1
    assert most_at_once(marks, ["one at a time"]) == 1
    assert not twice_started(marks)


def test_a_key_holds_when_a_node_that_holds_it_dies(
    cluster: Drill, record_property: Callable[[str, object], None]
) -> None:
    names: list[str] = []
    parts: set[int] = set()
    policies = {"concurrency": {"key": "three", "limit": 3}, "retry": RETRY}
    while len(parts) < 20:
        names.append(f"keyed {len(names)}")
        cluster.add(
            names[-1],
            "lasting",
            every(900),
            node=f"n{len(names) % 3 + 1}",
            policies=policies,
            parameters={"seconds": 0.4},
        )
        parts.add(cluster.partition_of()[names[-1]])
    cluster.wait(lambda: most_at_once(cluster.marks(), names) == 3, "three at once")
    pid = cluster.cluster.nodes["n2"].pid
    cluster.wait(lambda: any(one.pid == pid for one in running(cluster.marks(), names)), "n2 to hold the key")
    usual = max(lateness(cluster, now() - BEFORE))
    dead = cluster.kill("n2")
    killed = now()
    held = [mark for mark in running([m for m in cluster.marks() if m.kind != "dead"], names) if mark.pid == dead]
    # Not those who died count, but who runs: three again.
    cluster.wait(lambda: len(running(cluster.marks(), names)) == 3, "three at once again", 60.0)
    back = (now() - killed) / 1e6
    record_property("held by the dead node", len(held))
    record_property("seconds until three ran again", back)
    time.sleep(3.0)
    for name in names:
        cluster.client("n1").call("cancel_task", task=name)
    assert back < KEY_SECONDS + 3 * usual
    assert most_at_once(cluster.marks(), names) == 3


def running(marks: list[Mark], names: list[str]) -> list[Mark]:
    """Starts whose ends are missing, of processes that live."""
    found: dict[tuple[str, int], Mark] = {}
    for mark in marks:
        if mark.kind == "dead":
            found = {key: one for key, one in found.items() if one.pid != mark.pid}
        elif mark.task in names and mark.kind == "start":
            found[mark.execution, mark.attempt] = mark
        elif mark.task in names:
            found.pop((mark.execution, mark.attempt), None)
    return list(found.values())


# -- poison


def test_a_handler_that_takes_its_node_with_it_is_held(cluster: Drill) -> None:
    node = cluster.cluster.nodes["n3"]
    cluster.add("poison", "deadly", {"after": "1ms"}, policies={"retry": RETRY}, placement={"nodes": ["n3"]})
    for life in range(1, 4):
        cluster.wait(lambda: node.process is None or node.process.poll() is not None, f"death {life} of n3")
        cluster.kill("n3")
        if life < 3:
            cluster.cluster.start("n3")
    assert_held(cluster, "poison", 3)
    cluster.cluster.start("n3")
    time.sleep(2.0)
    assert_held(cluster, "poison", 3)


def test_a_handler_that_kills_its_own_process_is_held(cluster: Drill) -> None:
    cluster.add("poison in a process", "deadly in a process", {"after": "1ms"}, policies={"retry": RETRY})
    assert_held(cluster, "poison in a process", 3)


def assert_held(cluster: Drill, name: str, times: int) -> None:
    """It was started so many times, and then no more."""

    def state() -> tuple[Any, ...]:
        """State, crashes and failure; before it is due there is no execution."""
        found = cluster.query(
            "SELECT state, crashes, failure FROM executions AS e JOIN definitions AS d ON d.task_id = e.task_id WHERE name = %s",
            name,
        )
        return found[0] if found else ("", 0, None)

    for crash in range(1, times + 1):
        # Each of them has its own time: a busy machine takes long to begin a process.
        cluster.wait(lambda crash=crash: state()[1] >= crash, f"crash {crash} of {name}")
    cluster.wait(lambda: state()[0] == "CRASHED", f"{name} to be held")
    assert state()[1] == times
    assert "Poison" in str(state()[2])
    assert sum(mark.task == name for mark in cluster.marks("start")) == times
