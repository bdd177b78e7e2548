"""What the API tells of canaries, as the records that rehearsals are judged by.

A canary's handler keeps no record of its own, so what it did is taken from the attempts that the store has: a start where an
attempt began, an end where it ended. Times are of the nodes' clocks, to the millisecond.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from ..checker.history import Attempt, Execution, Line, Request, Revision, Row, Task

Json = Mapping[str, Any]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_MICRO: Final = timedelta(microseconds=1)


def micros(text: str) -> int:
    """A time of the API in microseconds since 1970."""
    return (datetime.fromisoformat(text) - EPOCH) // _MICRO


def micros_or_none(text: str | None) -> int | None:
    """As `micros`, None for null."""
    return None if text is None else micros(text)


@attrs.frozen
class Canary:
    """A canary as it was made. every: in microseconds. until: when it ends by itself."""

    id: str
    name: str
    partition: int
    anchor: int
    every: int
    created_at: int
    until: int


def canary_of(shown: Json, every: int, until: int) -> Canary:
    """A canary from the answer of `add_canaries`."""
    return Canary(
        shown["id"],
        shown["name"],
        shown["partition"],
        micros(shown["anchor"]),
        every,
        micros(shown["createdAt"]),
        until,
    )


@attrs.frozen
class Seen:
    """What the API told of one canary after a round.

    executions: as `list_executions` shows them, those with several attempts as `show_execution` does. rows: the ledger.
    settled: every nominal time up to here should have been decided.
    """

    canary: Canary
    executions: Sequence[Json]
    rows: Sequence[Json]
    settled: int
    finished: bool = False


def execution_of(shown: Json) -> Execution:
    """An execution."""
    return Execution(
        id=shown["id"],
        created_at=micros(shown["createdAt"]),
        state=shown["state"],
        nominal=micros_or_none(shown["nominal"]),
        outcome=shown["outcome"],
        reason=shown["reason"],
        target=shown["target"],
        fence=shown["fence"],
        lingers=shown["lingers"],
        attempts=tuple(_attempts(shown)),
    )


def _attempts(shown: Json) -> Iterable[Attempt]:
    """Its attempts: those that are shown, or the newest, which stands in the execution itself."""
    newest = {"number": shown["attempt"], **shown}
    for one in shown.get("attempts", [newest] if shown["attempt"] else []):
        started, ended = micros_or_none(one["startedAt"]), micros_or_none(one["endedAt"])
        yield Attempt(one["number"], one["fence"], one["state"], started, ended, one["node"], one["node"])


def row_of(shown: Json) -> Row:
    """A row of the ledger."""
    return Row(
        micros(shown["first"]),
        micros(shown["last"]),
        shown["count"],
        shown["outcome"],
        shown["reason"],
        shown["executionId"],
        shown["target"],
    )


def task_of(seen: Seen) -> Task:
    """A canary as a task that is judged: its policies are those of `actors/model/canary.py`."""
    canary = seen.canary
    executions = tuple(execution_of(one) for one in seen.executions)
    return Task(
        id=canary.id,
        name=canary.name,
        created_at=canary.created_at,
        revisions=(
            Revision(canary.created_at, {"every": canary.every, "anchor": canary.anchor}, {"end": canary.until}),
        ),
        phase="finished" if seen.finished else "active",
        settled_through=seen.settled,
        fence=max((one.fence for one in executions), default=0),
        overlap="allow",
        catch_up="all",
        on_crash="rerun",
        max_retries=50,
        rows=tuple(row_of(one) for one in seen.rows),
        executions=executions,
    )


def lines_of(task: Task, process: Callable[[str, int], str]) -> list[Line]:
    """What the attempts of a task did. process: the name of a node's life at an instant."""
    lines = []
    for execution in task.executions:
        for attempt in execution.attempts:
            if attempt.started_at is None:
                continue
            where = process(attempt.node or "", attempt.started_at)
            line = Line(
                "start",
                where,
                task.id,
                execution.id,
                attempt.number,
                attempt.fence,
                attempt.started_at,
                execution.nominal,
            )
            lines.append(line)
            if attempt.ended_at is not None:
                kind = "end" if attempt.state == "COMPLETED" else "cut"
                lines.append(attrs.evolve(line, kind=kind, at=attempt.ended_at, nominal=None))
    return lines


def in_order(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Lines as they happened; within a millisecond an attempt starts before it ends."""
    return tuple(
        sorted(lines, key=lambda line: (line.at, line.task, line.execution, line.attempt, line.kind != "start"))
    )


def request_of(canary: Canary) -> Request:
    """That the canary was asked for, and made."""
    return Request("create", canary.id, canary.created_at, canary.created_at, "ok")
