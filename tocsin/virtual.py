"""What the node and the cluster of a test have in common: what became of a task, and what handlers of a test are."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from actors.handling.catalogue import DEFAULT_POOL, Catalogue, TaskType, is_async, outside_type
from actors.handling.context import Context
from actors.lanes import COMPUTED, READS, WRITER
from actors.model.execution import Execution
from actors.model.outside import is_outside
from actors.store.answers import OutcomeRow
from actors.when.triggers import upcoming
from runtime.clock import Instant, from_datetime, to_datetime
from runtime.errors import InvalidRequest
from runtime.world import INLINE, World

from .loading import load_catalogue
from .node import LocalNode
from .placing.bounded import plain
from .shown import show

OUTSIDE: Final = ("command", "http")
"""Built-in task types that act on the world outside, and are stood in for."""

NODE_LANES: Final = frozenset({WRITER, READS, COMPUTED, INLINE})
"""What a node does itself runs in the loop; handlers that are plain functions need a thread."""

MAX_SLOTS: Final = 1_000_000
"""Slots that `slots` counts at the most; more are not looked at by a person, and should be asked for in parts."""


@attrs.frozen
class Slot:
    """One nominal time and what became of it; `outcome` None while it waits. `execution`: the one made for it, if any."""

    nominal: datetime
    outcome: str | None
    reason: str | None
    execution: str | None


@attrs.frozen
class Run:
    """One execution, as a test looks at it. `result` is what the handler returned; `failure` the exception's type and text."""

    id: str
    nominal: datetime | None
    started: datetime | None
    ended: datetime | None
    state: str
    attempts: int
    failure: str | None


@attrs.frozen
class Call:
    """What a stand-in was given."""

    type: str
    parameters: Mapping[str, Any]
    at: datetime


class Virtual(LocalNode):
    """What can be asked of either, beside what any node is asked."""

    def _instant(self) -> Instant:
        raise NotImplementedError

    @property
    def now(self) -> datetime:
        """What the wall clock shows."""
        return to_datetime(self._instant())

    async def slots(
        self, reference: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> list[Slot]:
        """Every nominal time of a task that is settled, one by one and in order, with its outcome."""
        task = await self.task(reference)
        begin = Instant(0) if since is None else from_datetime(aware(since))
        end = self._instant() if until is None else from_datetime(aware(until))
        rows = await self._node.outcomes(task.id, since=begin, until=end, limit=MAX_SLOTS)
        trigger, bounds = task.definition.trigger, task.definition.bounds
        found: list[Slot] = []
        for row in rows:
            inner = upcoming(trigger, bounds, Instant(row.first - 1), row.count or 1) if row.count != 1 else [row.first]
            found.extend(_slot(row, nominal) for nominal in inner)
        return found

    async def runs(self, reference: str) -> list[Run]:
        """Every execution of a task, the oldest first."""
        task = await self.task(reference)
        found, _ = await self._node.executions(task.id, offset=0, limit=MAX_SLOTS)
        return [_run(entry) for entry in reversed(found)]

    async def result(self, run: Run) -> Any:
        """What the handler of a run returned, None if nothing. Raises InvalidRequest for what is no run."""
        if not isinstance(run, Run):
            raise InvalidRequest(f"run: a Run, which `runs` gives, not {show(run)}")
        text = (await self.execution(run.id)).result
        return None if text is None else json.loads(text)


def catalogue_of(
    catalogue: Catalogue | None, stand_ins: Mapping[str, Callable[..., Any]], calls: list[Call], world: World
) -> Catalogue:
    """The task types of a test: those that are given or declared, with stand-ins, and nothing that reaches out."""
    given = load_catalogue((), world) if catalogue is None else catalogue
    if unknown := sorted(name for name in stand_ins if name not in given):
        raise InvalidRequest(f"stand_ins: there is no task type {unknown[0]!r}")
    by_workers = [outside_type(name) for name in sorted(stand_ins) if is_outside(name) and name not in given.names()]
    # There is one pool of threads here, as wide as anybody wants.
    pooled = [attrs.evolve(entry, pool=DEFAULT_POOL) for entry in (*given, *by_workers)]
    found = Catalogue(_in_simulation(entry, stand_ins, calls, world) for entry in pooled)
    found.hooks.extend(given.hooks)
    found.placements.update({name: plain(strategy) for name, strategy in given.placements.items()})
    return found


def _in_simulation(
    entry: TaskType, stand_ins: Mapping[str, Callable[..., Any]], calls: list[Call], world: World
) -> TaskType:
    """The type as it runs here: with its stand-in, or in a thread where it would have a process of its own."""
    if entry.name in stand_ins:
        function = stand_ins[entry.name]
        return attrs.evolve(entry, function=function, isolation="async" if is_async(function) else "thread", check=None)
    if entry.name in OUTSIDE:

        @functools.wraps(entry.function)
        async def note(_ctx: Context, **parameters: Any) -> None:
            calls.append(Call(entry.name, parameters, to_datetime(world.now())))

        return attrs.evolve(entry, function=note, isolation="async")
    if entry.isolation == "process":
        return attrs.evolve(entry, isolation="async" if is_async(entry.function) else "thread")
    return entry


def aware(moment: datetime | None) -> datetime:
    """The same, if it has a zone."""
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InvalidRequest(f"a datetime with a zone is needed, not {moment!r}")
    return moment


def _slot(row: OutcomeRow, nominal: Instant) -> Slot:
    outcome = None if row.outcome is None else row.outcome.value
    return Slot(to_datetime(nominal), outcome, row.reason, row.execution_id)


def _run(entry: Execution) -> Run:
    failure = None if entry.failure is None else f"{entry.failure.type}: {entry.failure.message}"
    nominal, started, ended = map(_moment, (entry.nominal, entry.first_started_at, entry.ended_at))
    return Run(entry.id, nominal, started, ended, entry.state.value, entry.attempt, failure)


def _moment(instant: Instant | None) -> datetime | None:
    return None if instant is None else to_datetime(instant)
