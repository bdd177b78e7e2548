"""What a storm leaves behind: the tables as they are, read without any of the nodes' code, and the handlers' own record."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import attrs
import psycopg

from tests.cluster.harness import Cluster
from tests.cluster.operators import Asked
from tests.cluster.workload import Planned
from tests.e2e.checker import Attempt, Line, Row


@attrs.frozen
class Ran:
    """An execution with its attempts and what it left behind."""

    id: str
    nominal: int | None
    target: str | None
    state: str
    outcome: str | None
    reason: str | None
    fence: int
    lingers: bool
    result: str | None
    attempts: tuple[Attempt, ...]


@attrs.frozen
class Ledger:
    """A task in the store. revisions: (where it begins, trigger), in order."""

    id: str
    name: str
    parameters: str
    created_at: int
    settled_through: int
    phase: str
    fence: int
    revisions: tuple[tuple[int, dict[str, Any]], ...]
    settled: tuple[Row, ...]
    executions: tuple[Ran, ...]

    @property
    def rows(self) -> list[tuple[str | None, Row]]:
        """Every row of the ledger, with the node that it is for."""
        single = [
            (one.target, Row(one.nominal, one.nominal, 1, one.outcome, one.reason, one.id))
            for one in self.executions
            if one.nominal is not None
        ]
        return [*single, *((None, row) for row in self.settled)]


@attrs.frozen
class Ownership:
    """Who owns the partitions. said: their owners, as each living node sees them; stored: the boot that has each in the store;
    live: the boots whose leases hold, with their nodes."""

    said: dict[str, dict[int, str]]
    stored: dict[int, str]
    live: dict[str, str]


@attrs.frozen
class Evidence:
    """Everything that is judged. owners: after healing; late: what did not come about in time."""

    planned: dict[str, Planned]
    asked: Asked
    tasks: dict[str, Ledger]
    lines: list[Line]
    stopped_at: int
    owners: Ownership
    late: list[str]


def ownership(made: Cluster) -> Ownership:
    """As it is now."""
    said = {}
    for name in made.living():
        with made.client(name) as client:
            said[name] = {one["number"]: one["owner"] for one in client.call("list_partitions")["list"]}
    with _connect(made) as connection:
        stored = dict(connection.execute("SELECT id, boot FROM partitions").fetchall())
        live = dict(connection.execute("SELECT boot, node FROM leases WHERE NOT buried").fetchall())
    return Ownership(said, stored, live)


def _connect(made: Cluster) -> psycopg.Connection[Any]:
    return psycopg.connect(made.url, options="-c search_path=tocsin")


def read(
    made: Cluster,
    planned: list[Planned],
    asked: Asked,
    stopped_at: int,
    owners: Ownership,
    late: list[str],
) -> Evidence:
    """The evidence; the tables are read as they are."""
    with _connect(made) as connection:
        tasks = {task.name: task for task in _tasks(connection)}
        folded = connection.execute("SELECT count(*) FROM folded").fetchone()
    assert folded == (0,), "rows of the ledger were folded: the nodes of a storm have to keep all"
    lines = [Line(**json.loads(text)) for text in made.record.read_text().splitlines()]
    return Evidence({one.name: one for one in planned}, asked, tasks, lines, stopped_at, owners, late)


def _tasks(connection: psycopg.Connection[Any]) -> Iterable[Ledger]:
    revisions: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for task, began, text in connection.execute(
        "SELECT task_id, began_at, definition FROM revisions ORDER BY task_id, revision"
    ):
        revisions[task].append((began, json.loads(text)["trigger"]))
    settled: dict[str, list[Row]] = defaultdict(list)
    for task, *row in connection.execute("SELECT task_id, first, last, count, outcome, reason FROM settled"):
        settled[task].append(Row(*row))
    attempts: dict[str, list[Attempt]] = defaultdict(list)
    for execution, *row in connection.execute(
        "SELECT execution_id, number, fence, state, started_at, ended_at FROM attempts ORDER BY execution_id, number"
    ):
        attempts[execution].append(Attempt(*row))
    ran: dict[str, list[Ran]] = defaultdict(list)
    for task, one in _executions(connection, attempts):
        ran[task].append(one)
    for row in connection.execute(
        "SELECT t.id, d.name, d.definition, d.created_at, d.began_at, t.settled_through, t.phase, t.fence "
        "FROM tasks AS t JOIN definitions AS d ON d.task_id = t.id"
    ):
        task, name, text, created, began, through, phase, fence = row
        definition = json.loads(text)
        triggers = (*revisions[task], (began, definition["trigger"]))
        yield Ledger(
            task,
            name,
            definition.get("parameters", "{}"),
            created,
            through,
            phase,
            fence,
            triggers,
            tuple(settled[task]),
            tuple(ran[task]),
        )


def _executions(connection: psycopg.Connection[Any], attempts: dict[str, list[Attempt]]) -> Iterable[tuple[str, Ran]]:
    for row in connection.execute(
        "SELECT e.task_id, e.id, e.nominal, e.target, e.state, e.outcome, e.reason, e.fence, e.lingers, r.result, "
        "e.attempt, e.started_at, e.ended_at FROM executions AS e LEFT JOIN results AS r ON r.execution_id = e.id "
        "ORDER BY e.number"
    ):
        task, key, nominal, target, state, outcome, reason, fence, lingers, result, attempt, started, ended = row
        tries = attempts.get(key, [])
        if attempt > len(tries):
            tries = [*tries, Attempt(attempt, fence, state, started, ended)]
        yield task, Ran(key, nominal, target, state, outcome, reason, fence, bool(lingers), result, tuple(tries))
