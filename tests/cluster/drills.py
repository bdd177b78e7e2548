"""What the drills of the cluster share: tasks that are made, owners, the handlers' record with its times, and a judge."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import psycopg

from tests.cluster.harness import PARTITIONS, SETTLE_SECONDS, Cluster, cluster
from tests.e2e import checker
from tests.e2e.checker import Row
from tests.e2e.harness import NodeEnded, wait_for
from tests.e2e.record import append
from tocsin.client import Client, NodeUnreachable
from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.zookeeper import EmbeddedZooKeeper

HERE = Path(__file__).parent
TASKS = HERE / "drill_tasks.py"
BENT = HERE / "bent.py"

RETRY = {"maxRetries": 50, "delay": "100ms"}
"""Crashes count against the retries of what has no checkpoint; here they must not use them up."""

POLL_SECONDS = 0.05
"""Between two looks at what is waited for: the machine's time is the cluster's."""

Json = dict[str, Any]


@attrs.frozen
class Mark:
    """A line of the handlers' record. `at`: microseconds, as all times here."""

    kind: str
    pid: int
    at: int = 0
    task: str = ""
    nominal: int | None = None
    execution: str = ""
    attempt: int = 0
    fence: int = 0
    note: str | None = None


@attrs.define
class Drill:
    """A cluster with what the drills do to it."""

    cluster: Cluster
    clients: dict[str, tuple[int, Client]] = attrs.field(factory=dict)
    _read: int = 0
    """Bytes of the record that have been read."""
    _marks: list[Mark] = attrs.field(factory=list, repr=False)

    def client(self, name: str = "n1") -> Client:
        """To a node's present life; kept open."""
        pid = self.cluster.nodes[name].pid
        known = self.clients.get(name)
        if known is not None and known[0] != pid:
            known[1].close()
        if known is None or known[0] != pid:
            self.clients[name] = known = pid, self.cluster.client(name)
        return known[1]

    def add(self, name: str, kind: str, trigger: Json | None = None, *, node: str = "n1", **more: Any) -> str:
        """Make a task over a node; its id. Without a trigger it runs when it is told to."""
        body = {"name": name, "taskType": kind, "trigger": trigger or {"after": "24h"}, **more}
        return str(self.client(node).call("add_task", body=body)["itemId"])

    def run(self, name: str, node: str = "n1") -> str:
        """Run a task over a node; the id of the execution."""
        return str(self.client(node).call("run_task", task=name)["id"])

    def marks(self, *kinds: str) -> list[Mark]:
        """The handlers' record, of these kinds or all."""
        with self.cluster.record.open("rb") as record:
            record.seek(self._read)
            added = record.read()
        whole = added[: added.rfind(b"\n") + 1]
        self._read += len(whole)
        self._marks += [Mark(**json.loads(line)) for line in whole.splitlines()]
        return [mark for mark in self._marks if not kinds or mark.kind in kinds]

    def kill(self, name: str) -> int:
        """SIGKILL to a node, with a line in the record; its process id."""
        pid = self.cluster.nodes[name].kill()
        append(self.cluster.record, {"kind": "dead", "pid": pid, "at": now()})
        return pid

    def nodes(self, name: str = "n1") -> dict[str, Json]:
        """The nodes as one of them lists them."""
        return {node["name"]: node for node in self.client(name).call("list_nodes")["list"]}

    def coordination(self, name: str = "n1") -> Json:
        """What a node says of the coordination."""
        found: Json = self.client(name).call("list_nodes")["coordination"]
        return found

    def owners(self, name: str = "n1") -> dict[int, str | None]:
        """The owner of every partition as one node sees it."""
        return {one["number"]: one["owner"] for one in self.client(name).call("list_partitions")["list"]}

    def shares(self, name: str = "n1") -> Counter[str]:
        """How many partitions each node has."""
        return Counter(owner for owner in self.owners(name).values() if owner)

    def living(self) -> list[str]:
        """The nodes whose processes run."""
        return self.cluster.living()

    def wait_shares(self, *names: str, within: float = 0.1, seconds: float = SETTLE_SECONDS) -> Counter[str]:
        """Wait until these nodes (the living ones) own everything, each its share up to a tenth. Answers the shares."""
        wanted = names or tuple(self.living())
        fair = PARTITIONS / len(wanted)

        def balanced() -> bool:
            shares = self.shares(wanted[0])
            whole = sum(shares.values()) == PARTITIONS and shares.keys() == set(wanted)
            return whole and all(abs(share - fair) <= within * fair for share in shares.values())

        self.wait(balanced, f"shares of {wanted}", seconds)
        return self.shares(wanted[0])

    def wait(self, condition: Callable[[], object], what: str, seconds: float = SETTLE_SECONDS) -> float:
        """Wait for something; how long it took. What the nodes have written is told if it does not come."""
        begun = time.monotonic()
        try:
            wait_for(_answering(condition), seconds, what, poll=POLL_SECONDS)
        except (AssertionError, NodeEnded) as error:
            raise AssertionError(f"{error}\n{self.cluster.logs()}\n{self.sessions()}") from None
        return time.monotonic() - begun

    def partition_of(self) -> dict[str, int]:
        """The partition of every task, by name."""
        return dict(self.query("SELECT name, partition FROM tasks JOIN definitions ON id = task_id"))

    def owned_tasks(self, node: str, by: str | None = None) -> set[str]:
        """The names of the tasks in a node's partitions. `by`: the node that is asked."""
        owners = self.owners(by or node)
        return {name for name, number in self.partition_of().items() if owners[number] == node}

    def query(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with psycopg.connect(self.cluster.url, autocommit=True, options="-c search_path=tocsin") as connection:
            return connection.execute(sql, arguments or None).fetchall()  # type: ignore[arg-type]

    def sessions(self) -> str:
        """What each session of the database does, and which ones it waits for."""
        rows = self.query(
            "SELECT pid, pg_blocking_pids(pid), state, clock_timestamp() - state_change, application_name, left(query, 60) "
            "FROM pg_stat_activity WHERE datname = current_database() ORDER BY state_change"
        )
        return "\n".join(["--- sessions of the database", *(" | ".join(map(str, row)) for row in rows)])

    def close(self) -> None:
        """Release connections."""
        for _, client in self.clients.values():
            client.close()


def _answering(condition: Callable[[], object]) -> Callable[[], object]:
    def asked() -> object:
        try:
            return condition()
        except NodeUnreachable:
            return False

    return asked


@contextmanager
def drill(
    directory: Path,
    postgres: EmbeddedPostgres,
    zookeeper: EmbeddedZooKeeper,
    *,
    number: int = 3,
    bent: bool = False,
    **variables: str,
) -> Iterator[Drill]:
    """A cluster with the drills' task types, not started yet. bent: the nodes load `bent.py` too."""
    directory.mkdir(parents=True, exist_ok=True)
    modules = (BENT, TASKS) if bent else (TASKS,)
    with cluster(directory, postgres, zookeeper, *modules, number=number, **variables) as made:
        one = Drill(made)
        try:
            yield one
        finally:
            one.close()


def now() -> int:
    """Microseconds."""
    return time.time_ns() // 1_000


def every(milliseconds: int) -> Json:
    """A fixed rate."""
    return {"every": f"{milliseconds}ms"}


# -- the judge


def longest_silence(marks: Sequence[Mark], tasks: Iterable[str], since: int, until: int) -> dict[str, float]:
    """Seconds between two starts of each task at the most, of those that touch (since, until)."""
    times: dict[str, list[int]] = {task: [] for task in tasks}
    for mark in marks:
        if mark.kind == "start" and mark.task in times:
            times[mark.task].append(mark.at)
    silences = {}
    for task, ats in times.items():
        seen = sorted(at for at in ats if at <= until)
        gaps = [later - former for former, later in pairwise([*seen, until]) if later > since]
        silences[task] = max(gaps, default=until - since) / 1e6
    return silences


def worst_lateness(marks: Iterable[Mark], since: int) -> float:
    """Seconds between nominal time and start at the most, of what was due since then."""
    late = [m.at - m.nominal for m in marks if m.kind == "start" and m.nominal is not None and m.nominal >= since]
    return max(late, default=0) / 1e6


@attrs.frozen
class Verdict:
    """What came out: nominal times that were due, and sentences about what is wrong."""

    due: int
    lost: list[str]
    doubled: list[str]

    @property
    def violations(self) -> list[str]:
        """All of it."""
        return [*self.lost, *self.doubled]


def judge(drill: Drill, tasks: Sequence[str]) -> Verdict:
    """Tasks at a fixed rate: every nominal time up to `settled_through` has one outcome, and nothing was started twice."""
    marks = drill.marks()
    lost: list[str] = []
    doubled = twice_started(marks)
    due = 0
    with psycopg.connect(drill.cluster.url, options="-c search_path=tocsin") as connection:
        # One moment for all: rows are added while they are read.
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        for name in tasks:
            row = connection.execute(
                "SELECT id, definition, began_at, settled_through FROM tasks JOIN definitions ON id = task_id "
                "WHERE name = %s",
                (name,),
            ).fetchone()
            assert row is not None, f"the task {name} is gone"
            task, definition, began, settled = row
            expected = _expected(json.loads(definition), began, settled)
            due += len(expected)
            for sentence in checker.check_ledger(name, expected, _rows(connection, task)):
                (lost if sentence.endswith("no outcome") else doubled).append(sentence)
    return Verdict(due, lost, doubled)


def _expected(definition: Json, began: int, settled: int) -> list[int]:
    trigger = definition["trigger"]
    return checker.interval_times(trigger["anchor"], trigger["every"], began - 1, settled)


def _rows(connection: psycopg.Connection[Any], task: str) -> list[Row]:
    single = connection.execute(
        "SELECT nominal, outcome, state, id FROM executions WHERE task_id = %s AND nominal IS NOT NULL", (task,)
    ).fetchall()
    ranges = connection.execute(
        "SELECT first, last, count, outcome FROM settled WHERE task_id = %s", (task,)
    ).fetchall()
    # One that waits for its first start has its place in the ledger already.
    rows = [Row(nominal, nominal, 1, outcome or "fired", None, one) for nominal, outcome, _, one in single]
    return rows + [Row(first, last, count, outcome) for first, last, count, outcome in ranges]


def twice_started(marks: Iterable[Mark]) -> list[str]:
    """Attempts that were started twice, and nominal times that ran as two executions."""
    begun: Counter[tuple[str, int]] = Counter()
    ran: dict[tuple[str, int], set[str]] = {}
    for mark in marks:
        if mark.kind == "start":
            begun[mark.execution, mark.attempt] += 1
            if mark.nominal is not None:
                ran.setdefault((mark.task, mark.nominal), set()).add(mark.execution)
    return [
        *(
            f"attempt {number} of {one} was started {count} times"
            for (one, number), count in begun.items()
            if count > 1
        ),
        *(f"{task}: {at} ran as {len(ids)} executions" for (task, at), ids in ran.items() if len(ids) > 1),
    ]


def most_at_once(marks: Iterable[Mark], tasks: Iterable[str]) -> int:
    """How many attempts of these tasks ran at the same time at the most, by the record."""
    wanted, running, most = set(tasks), dict[tuple[str, int], int](), 0
    for mark in marks:
        if mark.kind == "dead":
            running = {key: pid for key, pid in running.items() if pid != mark.pid}
        elif mark.task in wanted and mark.kind == "start":
            running[mark.execution, mark.attempt] = mark.pid
            most = max(most, len(running))
        elif mark.task in wanted and mark.kind in ("end", "cut"):
            running.pop((mark.execution, mark.attempt), None)
    return most
