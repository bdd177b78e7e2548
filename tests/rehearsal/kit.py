"""A node in a simulated world, with a store that can be made to fail and handlers that write down what they did."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
import trio

from actors.composition import open_node
from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context
from actors.lanes import NodeConfig
from actors.model.execution import Execution
from actors.model.policy import DEFAULT_POLICIES, Policies
from actors.model.retention import FINAL_STATES, KEEP_LAST, Keep, Retention
from actors.model.task import Definition, Task
from actors.model.trigger import UNBOUNDED, Bounds, Interval, Trigger
from actors.node import Node
from actors.store.answers import OutcomeRow
from actors.store.port import Commit, CommitResult
from actors.store.sqlite import SqliteStore
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import StoreUnavailable
from runtime.simulation import DEFAULT_START, SimulatedWorld

FOREVER = Instant(10**17)


class FlakyStore(SqliteStore):
    """SQLite that cannot commit, or not even read, while it is told so."""

    writes_fail: ClassVar[bool] = False
    reads_fail: ClassVar[bool] = False

    def commit(self, commit: Commit) -> CommitResult:
        if FlakyStore.writes_fail:
            raise StoreUnavailable("no space left on the simulated device")
        return super().commit(commit)

    def _read(self, *arguments: Any, **named: Any) -> Any:
        if FlakyStore.reads_fail:
            raise StoreUnavailable("the simulated device does not answer")
        return super()._read(*arguments, **named)


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> type[FlakyStore]:
    """The node's durable store can be made to fail."""
    monkeypatch.setattr("actors.composition.SqliteStore", FlakyStore)
    monkeypatch.setattr(FlakyStore, "writes_fail", False)
    monkeypatch.setattr(FlakyStore, "reads_fail", False)
    return FlakyStore


@attrs.define
class Diary:
    """What the handlers did: (task name, nominal instant, attempt, resumed from), outside any store."""

    began: list[tuple[str, Any, int, Any]] = attrs.field(factory=list)
    completed: list[tuple[str, Any]] = attrs.field(factory=list)
    running: dict[str, int] = attrs.field(factory=dict)
    most: dict[str, int] = attrs.field(factory=dict)
    fences: dict[str, list[int]] = attrs.field(factory=dict)

    async def work(self, ctx: Context, *, seconds: float = 0, fail: int = 0, steps: int = 0, kind: str = "") -> int:
        """Take so long, in steps with checkpoints; fail in the first so many attempts."""
        name = ctx._definition.name
        self.began.append((name, ctx._execution.nominal, ctx.attempt, ctx.resumed_from))
        self.fences.setdefault(name, []).append(ctx.fence)
        self.running[name] = self.running.get(name, 0) + 1
        self.most[name] = max(self.most.get(name, 0), self.running[name])
        try:
            for step in range((ctx.resumed_from or 0), steps):
                await trio.sleep(seconds)
                await ctx.checkpoint(step + 1)
            if not steps:
                await trio.sleep(seconds)
            if ctx.attempt <= fail:
                raise ValueError(f"attempt {ctx.attempt}")
        finally:
            self.running[name] -= 1
        self.completed.append((name, ctx._execution.nominal))
        return ctx.attempt

    def catalogue(self) -> Catalogue:
        return Catalogue([task_type("work", self.work)])


def keeping(ttl: Micros, newest: int = 0) -> Retention:
    """All is kept for one time."""
    usual = Keep(ttl, KEEP_LAST)
    return Retention(dict.fromkeys(FINAL_STATES, usual), usual, Keep(ttl), tasks=ttl, newest=newest)


@asynccontextmanager
async def node_at(
    path: Path, diary: Diary, *, seed: int = 0, start: Instant = DEFAULT_START, **config: Any
) -> AsyncIterator[Node]:
    settings = NodeConfig(data=path, **{"synchronous": "OFF", "system_tasks": False, **config})
    async with open_node(settings, diary.catalogue(), SimulatedWorld(seed, start)) as node:
        yield node


def world_of(node: Node) -> SimulatedWorld:
    assert isinstance(node.world, SimulatedWorld)
    return node.world


def interval(node: Node, seconds: float) -> Interval:
    return Interval(Micros(round(seconds * SECOND)), node.world.now())


async def add(
    node: Node,
    name: str,
    trigger: Trigger,
    *,
    bounds: Bounds = UNBOUNDED,
    policies: Policies = DEFAULT_POLICIES,
    persistent: bool = True,
    parameters: str = "{}",
) -> Task:
    definition = Definition(
        node.world.new_id(),
        name,
        "work",
        trigger,
        bounds,
        parameters=parameters,
        policies=policies,
        persistent=persistent,
        created_at=node.world.now(),
    )
    (made,) = await node.create([definition], "me")
    assert isinstance(made, Task), made
    return made


async def ledger(node: Node, task: Task) -> list[OutcomeRow]:
    return await node.outcomes(task.id, since=Instant(0), until=FOREVER, limit=100_000)


async def history(node: Node, task: Task) -> list[Execution]:
    return (await node.executions(task.id, offset=0, limit=10_000))[0]


def nominal_times(rows: Iterable[OutcomeRow], every: int) -> list[int]:
    """Every slot that the rows speak of, counted one by one."""
    found: list[int] = []
    for row in rows:
        times = list(range(row.first, row.last + 1, every)) if row.last > row.first else [row.first]
        assert row.count == len(times)
        found.extend(times)
    return sorted(found)


async def check_exactly_once(node: Node, task: Task, until: int | None = None) -> list[OutcomeRow]:
    """From creation to what is settled, each slot of the interval has exactly one outcome; `until`: so far at least."""
    trigger = task.definition.trigger
    assert isinstance(trigger, Interval)
    through = (await node.task(task.id)).state.settled_through
    rows = [row for row in await ledger(node, task) if row.first <= through]
    begin = task.state.settled_through
    first = begin + trigger.every - (begin - trigger.anchor) % trigger.every
    assert nominal_times(rows, trigger.every) == list(range(first, through + 1, trigger.every))
    assert all(row.outcome is not None or row.state is not None for row in rows)
    if until is not None:
        assert through >= until - trigger.every - SECOND
    return rows


def crash_copy(path: Path, target: Path) -> Path:
    """The data directory as a power cut would leave it now."""
    shutil.copytree(path, target)
    return target
