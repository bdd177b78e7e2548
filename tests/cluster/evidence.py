"""What a storm leaves behind, as the checker's records.

The tables as they are, read without any of the nodes' code; the handlers' own record; what was done to the cluster and asked.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs
import psycopg

from tests.cluster.harness import PARTITIONS, Cluster
from tests.cluster.operators import ADDED, Asked
from tests.cluster.workload import Planned
from tocsin.checker.history import (
    Attempt,
    Bounds,
    Execution,
    History,
    Line,
    Ownership,
    Request,
    Revision,
    Row,
    Span,
    Task,
)

SECOND: Final = 1_000_000

BOUNDS: Final = Bounds(lateness=10 * SECOND, heal=60 * SECOND, zombie=SECOND, fencing=5 * SECOND, telling=5 * SECOND)
"""A machine that is overloaded makes everything late and nothing wrong."""

UNFIRED: Final = 5 * SECOND
"""How far the ledger of an active task may lag behind when nothing has been wrong for a while."""


@attrs.frozen
class Evidence:
    """Everything that is judged. parameters: of each task, JSON. late: what did not come about in time."""

    history: History
    asked: Asked
    parameters: Mapping[str, str]
    late: list[str]


def ownership(made: Cluster) -> Ownership:
    """As it is now: whom any of the living nodes takes for an owner is said to be one."""
    said: dict[str, set[int]] = defaultdict(set)
    for name in made.living():
        with made.client(name) as client:
            for one in client.call("list_partitions")["list"]:
                said[str(one["owner"])].add(one["number"])
    with _connect(made) as connection:
        stored = dict(connection.execute("SELECT id, boot FROM partitions").fetchall())
        live = dict(connection.execute("SELECT boot, node FROM leases WHERE NOT buried").fetchall())
    return Ownership({name: frozenset(owned) for name, owned in said.items()}, stored, live)


def _connect(made: Cluster) -> psycopg.Connection[Any]:
    return psycopg.connect(made.url, options="-c search_path=tocsin")


def read(
    made: Cluster,
    planned: list[Planned],
    asked: Asked,
    spans: Iterable[Span],
    stopped_at: int,
    ended_at: int,
    owners: Ownership,
    late: list[str],
) -> Evidence:
    """The evidence; the tables are read as they are. stopped_at: what was due before had to be settled."""
    judged = {one.name: one for one in planned} | {name: Planned(name, "brief", {}, ADDED) for name in asked.tried}
    with _connect(made) as connection:
        parameters = dict[str, str]()
        tasks = tuple(_tasks(connection, judged, parameters))
        folded = connection.execute("SELECT count(*) FROM folded").fetchone()
    assert folded == (0,), "rows of the ledger were folded: the nodes of a storm have to keep all"
    missing = {one.name for one in planned} - {task.name for task in tasks}
    assert not missing, f"tasks that were made are gone: {missing}"
    raw = [json.loads(text) for text in made.record.read_text().splitlines()]
    pauses = [Request("pause", one.id, stopped_at - UNFIRED, None, "ok") for one in tasks if one.phase == "paused"]
    history = History(
        tasks=tasks,
        lines=tuple(_lines(raw)),
        ended_at=ended_at,
        healed_at=ended_at - BOUNDS.heal,
        # The workload is as much as an idle machine can do, and others use it too.
        spans=(Span("busy", "", 0), *spans, *processes(raw)),
        requests=(*asked.requests, *pauses),
        ownership=owners,
        partitions=PARTITIONS,
        bounds=BOUNDS,
    )
    return Evidence(history, asked, parameters, late)


def _lines(raw: Iterable[dict[str, Any]]) -> Iterable[Line]:
    for one in raw:
        if one["kind"] not in ("dead", "frozen", "thawed"):
            yield Line(
                one["kind"],
                str(one["pid"]),
                one["task"],
                one["execution"],
                one["attempt"],
                one["fence"],
                one["at"],
                one["nominal"],
                one.get("position"),
            )


def processes(raw: Iterable[dict[str, Any]]) -> Iterable[Span]:
    """What was done to processes, as it stands between the handlers' lines."""
    since: dict[int, int] = {}
    for one in raw:
        match one["kind"]:
            case "dead":
                yield Span("dead", str(one["pid"]), one["at"])
            case "frozen":
                since[one["pid"]] = one["at"]
            case "thawed":
                yield Span("frozen", str(one["pid"]), since.pop(one["pid"]), one["at"])
            case _:
                pass


def _tasks(
    connection: psycopg.Connection[Any], judged: Mapping[str, Planned], parameters: dict[str, str]
) -> Iterable[Task]:
    revisions: dict[str, list[Revision]] = defaultdict(list)
    for task, began, text in connection.execute(
        "SELECT task_id, began_at, definition FROM revisions ORDER BY task_id, revision"
    ):
        revisions[task].append(Revision(began, json.loads(text)["trigger"]))
    settled: dict[str, list[Row]] = defaultdict(list)
    for task, *row in connection.execute("SELECT task_id, first, last, count, outcome, reason FROM settled"):
        settled[task].append(Row(*row))
    executions = _executions(connection)
    for task, name, text, created, began, through, phase, fence in connection.execute(
        "SELECT t.id, d.name, d.definition, d.created_at, d.began_at, t.settled_through, t.phase, t.fence "
        "FROM tasks AS t JOIN definitions AS d ON d.task_id = t.id"
    ):
        if name not in judged:
            continue
        definition, planned = json.loads(text), judged[name]
        parameters[name] = definition.get("parameters", "{}")
        policies = planned.policies
        yield Task(
            id=task,
            name=name,
            created_at=created,
            revisions=(*revisions[task], Revision(began, definition["trigger"])),
            phase=phase,
            settled_through=through,
            fence=fence,
            overlap=policies.get("overlap", "skip"),
            overlap_limit=policies.get("overlapLimit", 1),
            catch_up=policies.get("catchUp", "latest"),
            on_crash=policies.get("onCrash", "resume"),
            key=planned.key,
            everywhere=planned.everywhere,
            pinned=isinstance(planned.placement, dict) and "on" not in planned.placement,
            max_retries=policies["retry"]["maxRetries"],
            rows=tuple(settled[task]),
            executions=tuple(executions[task]),
        )


def _executions(connection: psycopg.Connection[Any]) -> dict[str, list[Execution]]:
    """Of every task."""
    attempts: dict[str, list[Attempt]] = defaultdict(list)
    for execution, *row in connection.execute(
        "SELECT execution_id, number, fence, state, started_at, ended_at, boot, node FROM attempts "
        "ORDER BY execution_id, number"
    ):
        attempts[execution].append(Attempt(*row))
    found: dict[str, list[Execution]] = defaultdict(list)
    for task, attempt, started, boot, node, *row in connection.execute(
        "SELECT e.task_id, e.attempt, e.started_at, e.boot, e.node, e.id, e.created_at, e.state, e.nominal, e.outcome, "
        "e.reason, e.target, e.fence, e.lingers, r.result, e.ended_at FROM executions AS e "
        "LEFT JOIN results AS r ON r.execution_id = e.id ORDER BY e.number"
    ):
        key, created, state, nominal, outcome, reason, target, fence, lingers, result, ended = row
        tries = attempts[key]
        if attempt > len(tries):
            tries.append(Attempt(attempt, fence, state, started, ended, boot, node))
        found[task].append(
            Execution(
                key,
                created,
                state,
                nominal,
                outcome,
                reason,
                target,
                fence,
                bool(lingers),
                result,
                tuple(tries),
                ended,
            )
        )
    return found
