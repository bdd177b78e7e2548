"""Tasks all due at one instant on three nodes that share a PostgreSQL database, against one node on the same (row P7).

The nodes are processes of their own; a ZooKeeper server and the database are on the same machine. Time goes from the nominal time
until nothing is due or open any more in the database, and all that has run is counted there. A rate per core is that of the
processor time that the nodes used: with three nodes, a database and two cores, the rate by the clock says little. What the
database used is told beside. ZooKeeper numbers its transactions, so it is known exactly how many there were while tasks fired;
those that come anyhow are counted just before.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import attrs
import psycopg

from benchmarks.process import children, cpu_seconds, resident_megabytes
from tests.cluster.harness import Cluster, cluster
from tests.servers import server_directory
from tocsin.client import Client
from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.zookeeper import EmbeddedZooKeeper

HANDLERS: Final = Path(__file__).with_name("console_ticks.py")
TASK_TYPE: Final = "bench.update"

SETTINGS: Final = {
    "TOCSIN_EXECUTOR_SLOTS": "10000",
    **{f"TOCSIN_API_{name}": "1000000" for name in ("RATE", "BURST", "TENANT_RATE", "TENANT_BURST")},
}

AT_ONCE: Final = 500
"""Tasks of one request."""

LEAD_SECONDS: Final = 2.0
"""From the last task's creation, at the pace below, to the nominal time: the owners' timers have read them by then."""

CREATED_PER_SECOND: Final = 800

HEAD_SECONDS: Final = 0.1
"""Before the nominal time: then it is noted what has been used until now."""

POLL_SECONDS: Final = 0.01
PATIENCE_SECONDS: Final = 60.0

LEFT: Final = """SELECT EXISTS (SELECT FROM tasks WHERE due IS NOT NULL AND due <= %s)
    OR EXISTS (SELECT FROM executions WHERE state IN ('WAITING', 'RUNNING', 'CRASHED'))"""
"""Whether anything is still to be done: looked up in two indexes that are empty at the end, so asking often costs little."""

DONE: Final = """SELECT count(*), count(DISTINCT node) FROM executions
    WHERE nominal = %s AND state = 'COMPLETED' AND outcome IN ('fired', 'late')"""
"""What began more than a second after its time is recorded as late."""


@attrs.frozen
class Fired:
    """One instant's tasks: how many ran, in how many nodes; seconds by the clock and of processor time. Of ZooKeeper's
    transactions: how many there were meanwhile, and in each second before."""

    tasks: int
    nodes: int
    seconds: float
    cpu: float
    store_cpu: float
    writes: int
    usual: float

    @property
    def caused(self) -> float:
        """ZooKeeper's transactions beyond those that come anyhow."""
        return max(0.0, self.writes - self.usual * (HEAD_SECONDS + self.seconds))

    @property
    def rate(self) -> float:
        """Fires per second."""
        return self.tasks / self.seconds

    @property
    def per_core(self) -> float:
        """Fires per second of a core that the nodes used."""
        return self.tasks / self.cpu


def _create(made: Cluster, prefix: str, count: int, at: float) -> None:
    trigger = {"at": datetime.fromtimestamp(at, UTC).isoformat()}
    clients: list[Client] = [made.client(name) for name in made.living()]
    for place, start in enumerate(range(0, count, AT_ONCE)):
        numbers = range(start, min(start + AT_ONCE, count))
        tasks = [{"name": f"{prefix} {number}", "taskType": TASK_TYPE, "trigger": trigger} for number in numbers]
        text = json.dumps({"tocsin": 1, "tasks": tasks})
        body = {"files": [{"name": "tasks.json", "text": text}], "fires": 0}
        clients[place % len(clients)].call("apply_plan", body=body)
    for client in clients:
        client.close()


def _writes(zookeeper: EmbeddedZooKeeper) -> int:
    """How many transactions the server has numbered in its present reign."""
    line = next(line for line in zookeeper.servers[0].ask("srvr").splitlines() if line.startswith("Zxid: "))
    return int(line.removeprefix("Zxid: "), 16) & 0xFFFF_FFFF


def _cpu(pids: list[int]) -> float:
    return sum(cpu_seconds(pid) for pid in pids)


def _fire(made: Cluster, prefix: str, count: int) -> Fired:
    at = round(time.time() + LEAD_SECONDS + count / CREATED_PER_SECOND, 1)
    nominal = round(at * 1_000_000)
    _create(made, prefix, count, at)
    if time.time() > at - 1:
        raise RuntimeError("the tasks were not there in time")
    nodes = [made.nodes[name].pid for name in made.living()]
    with psycopg.connect(made.url, autocommit=True, options="-c search_path=tocsin") as store:
        writes, began = _writes(made.zookeeper), time.time()
        time.sleep(max(0.0, at - time.time() - HEAD_SECONDS))
        usual = (_writes(made.zookeeper) - writes) / (time.time() - began)
        writes, servers = _writes(made.zookeeper), children(made.postgres.pid)
        cpu, store_cpu = _cpu(nodes), _cpu(servers)
        time.sleep(max(0.0, at - time.time()))
        while _one(store, LEFT, nominal)[0]:
            if time.time() > at + PATIENCE_SECONDS:
                raise RuntimeError(f"{prefix}: not done {PATIENCE_SECONDS:g} s after the nominal time")
            time.sleep(POLL_SECONDS)
        seconds, writes = time.time() - at, _writes(made.zookeeper) - writes
        cpu, store_cpu = _cpu(nodes) - cpu, _cpu(servers) - store_cpu
        done, used = _one(store, DONE, nominal)
    return Fired(done, used, seconds, cpu, store_cpu, writes, usual)


def _one(store: psycopg.Connection[Any], sql: str, *arguments: object) -> tuple[Any, ...]:
    row = store.execute(sql, arguments).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row


@contextmanager
def _servers() -> Iterator[tuple[Path, EmbeddedPostgres, EmbeddedZooKeeper]]:
    with (
        server_directory("postgres") as first,
        server_directory("zookeeper") as second,
        tempfile.TemporaryDirectory() as third,
        EmbeddedPostgres(first / "server") as postgres,
        EmbeddedZooKeeper(second) as zookeeper,
    ):
        yield Path(third), postgres, zookeeper


def run(full: bool) -> dict[str, Any]:
    """Fires per second, by the clock and per core used, of one node and of three."""
    count, rounds = (10_000, 3) if full else (300, 1)
    fired: dict[int, list[Fired]] = {}
    with (
        _servers() as (home, postgres, zookeeper),
        cluster(home, postgres, zookeeper, HANDLERS, number=3, **SETTINGS) as made,
    ):
        for started in (("n1",), ("n2", "n3")):
            made.start(*started)
            number = len(made.living())
            made.wait_balanced()
            if full:
                # The first ones are for the database's caches and those of the nodes, and do not count.
                _fire(made, f"warm {number}", count // 10)
            fired[number] = [_fire(made, f"{number} nodes, round {one}", count) for one in range(rounds)]
        resident = max(resident_megabytes(node.pid) for node in made.nodes.values())
    figures: dict[str, float] = {}
    for number, label in ((1, "one node"), (3, "three nodes")):
        figures[f"fires/s, {label}"] = median(one.rate for one in fired[number])
        figures[f"fires/s per core used, {label}"] = median(one.per_core for one in fired[number])
        figures[f"CPU us per fire, {label}"] = median(1e6 / one.per_core for one in fired[number])
        figures[f"CPU us per fire, PostgreSQL for {label}"] = median(
            one.store_cpu / one.tasks * 1e6 for one in fired[number]
        )
    writes = sum(one.caused for one in fired[3]) / (rounds * count)
    figures["ZooKeeper writes per fire, three nodes"] = writes
    figures["ZooKeeper writes a second, three idle nodes"] = median(one.usual for one in fired[3])
    figures["resident MB of a node"] = resident
    one, three = figures["fires/s per core used, one node"], figures["fires/s per core used, three nodes"]
    return {
        "name": "cluster",
        "figures": figures,
        "ratios": {
            "per core used: three nodes / one": three / one,
            "by the clock: three nodes / one": figures["fires/s, three nodes"] / figures["fires/s, one node"],
        },
        "check": {
            "expected": {"fired": 2 * rounds * count, "nodes at work": [1, 3], "ZooKeeper writes per fire": 0},
            "actual": {
                "fired": sum(one.tasks for many in fired.values() for one in many),
                "nodes at work": [min(one.nodes for one in fired[number]) for number in (1, 3)],
                # Some may come from elsewhere, such as a session that a stall has cost; none may come with the fires.
                "ZooKeeper writes per fire": int(writes * 10),
            },
        },
    }
