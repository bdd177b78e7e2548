"""What the operations that look at the executions of all tasks do: what runs, what ended lately, how each task has done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.model.execution import Execution
from actors.model.lifecycle import State
from actors.model.occurrence import Settled
from actors.store.answers import Active, ActivityFilter, Newest
from runtime.clock import HOUR, MILLISECOND, Instant
from runtime.errors import InvalidRequest

from ..operations.calls import Call
from ..operations.overviews import MAX_RECENT
from ..settings.config import suggestion
from ..vocabulary.fields import show, show_instant
from ..vocabulary.views import Json, execution_view

if TYPE_CHECKING:
    from actors.node import Node

_GROUPS: Final = {"HELD": (State.CRASHED,), "OPEN": (State.WAITING, State.RUNNING, State.CRASHED)}
"""Words that stand for states."""


async def find_executions(node: Node, call: Call) -> Json:
    """A page of the executions of all tasks."""
    now = node.world.now()
    until = now if call["until"] is None else call["until"]
    since = Instant(until - HOUR) if call["since"] is None else call["since"]
    if since > until:
        raise InvalidRequest(f"since: {show_instant(since)} is after until, {show_instant(until)}")
    wanted = ActivityFilter(
        since,
        until,
        states=None if call["state"] is None else states_of(call["state"]),
        type=call["type"],
        task_id=None if call["task"] is None else (await node.task(call["task"])).id,
        node=call["node"],
        offset=call["offset"],
        limit=call["limit"],
    )
    found = await node.control.activity(wanted)
    return {
        "list": [_active_view(row) for row in found.rows],
        "offset": wanted.offset,
        "pageSize": wanted.limit,
        "more": found.more,
        "reached": show_instant(found.reached),
    }


def states_of(text: str) -> tuple[State, ...]:
    """The states that words with commas name, in any letter case. Raises InvalidRequest."""
    found: dict[State, None] = {}
    for word in text.upper().split(","):
        if word.strip() in _GROUPS:
            found |= dict.fromkeys(_GROUPS[word.strip()])
            continue
        try:
            found[State(word.strip())] = None
        except ValueError:
            words = [*State, *_GROUPS]
            near = suggestion(word.strip(), words)
            raise InvalidRequest(f"state: one or more of {', '.join(words)}, not {show(text)}{near}") from None
    return tuple(found)


def _active_view(row: Active) -> Json:
    return execution_view(row.execution) | {"task": row.name, "taskType": row.type}


async def recent(node: Node, call: Call) -> Json:
    """What became of the newest nominal times and runs of some tasks."""
    ids = list(dict.fromkeys(one.strip().lower() for one in call["tasks"].split(",") if one.strip()))
    if not 1 <= len(ids) <= MAX_RECENT:
        raise InvalidRequest(f"tasks: 1 to {MAX_RECENT} ids with commas, not {len(ids)}")
    found = await node.control.newest(ids, call["count"])
    return {
        "list": [
            {"taskId": task_id, "outcomes": recent_rows(found[task_id], call["count"])}
            for task_id in ids
            if task_id in found
        ]
    }


def recent_rows(newest: Newest, count: int) -> list[Json]:
    """The newest executions and unrun slots of a task in one row, the oldest first."""
    rows = [(one.nominal or one.created_at, _ran_view(one)) for one in newest.executions]
    rows += [(one.last, _unrun_view(one)) for one in newest.settled]
    rows.sort(key=lambda row: row[0])
    return [view for _, view in rows[-count:]]


def _ran_view(execution: Execution) -> Json:
    started, ended = execution.first_started_at, execution.ended_at
    took = None if started is None or ended is None or not execution.attempt else (ended - started) / MILLISECOND
    return {
        "nominal": show_instant(execution.nominal),
        "last": show_instant(execution.nominal),
        "count": 1,
        "outcome": execution.outcome and execution.outcome.value,
        "reason": execution.reason and execution.reason.value,
        "state": execution.state.value,
        "executionId": execution.id,
        "startedAt": show_instant(started),
        "durationMs": took,
        "attempts": execution.attempt,
    }


def _unrun_view(row: Settled) -> Json:
    return {
        "nominal": show_instant(row.first),
        "last": show_instant(row.last),
        "count": row.count,
        "outcome": row.outcome.value,
        "reason": row.reason.value,
        "state": None,
        "executionId": row.execution,
        "startedAt": None,
        "durationMs": None,
        "attempts": 0,
    }
