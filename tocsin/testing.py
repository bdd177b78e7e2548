"""A node on virtual time, for tests of one's own tasks: days pass in milliseconds, and one seed gives one history.

    @tocsin.testing.simulated(start="2026-03-28T12:00:00Z")
    async def test_the_report_runs_once_when_the_clocks_change(node):
        task = await node.cron("30 2 * * *", "reports.daily", timezone="Europe/Berlin", region="eu")
        await node.advance("3d")
        assert [run.state for run in await node.runs(task.id)] == ["COMPLETED"] * 3

It is the real node with its real actors and a real SQLite file; only the clocks, the ids, chance and threads are simulated.
Nothing leaves the process: the built-in types `command` and `http` are stood in for and only note what they were given.
"""

from __future__ import annotations

import functools
import inspect
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import trio
import trio.testing

from actors.composition import open_node as open_inner
from actors.handling.catalogue import DEFAULT_POOL, Catalogue, TaskType, is_async
from actors.handling.context import Context
from actors.lanes import READS, WRITER, NodeConfig
from actors.model.execution import Execution
from actors.store.answers import OutcomeRow
from actors.when.triggers import upcoming
from runtime.clock import DAY, SECOND, Instant, Micros, from_datetime, to_datetime
from runtime.errors import InvalidRequest
from runtime.simulation import SimulatedWorld, seed_scheduler
from runtime.world import INLINE

from .context_tools import ContextTools
from .durations import Duration, parse_duration
from .loading import load_catalogue
from .node import LocalNode, make_declared, single_error
from .shown import show
from .tasks import DECLARED_TASKS

T = TypeVar("T")

DEFAULT_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""When virtual time begins unless a test says otherwise."""

SWEEP_EVERY: Final = DAY
"""How often the simulated node searches its store for what it might have missed. Nothing gets lost in a simulation, and a look
every second would be all that a simulated day consists of."""

OUTSIDE: Final = ("command", "http")
"""Built-in task types that act on the world outside, and are stood in for."""

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


class VirtualNode(LocalNode):
    """A node on virtual time: all that a node has, and `advance`, `crash`, `step_clock`, `slots`, `runs`. Get it from `node`."""

    def __init__(
        self, home: Path, config: NodeConfig, catalogue: Catalogue, world: SimulatedWorld, calls: list[Call]
    ) -> None:
        self._home = home
        self._config = config
        self._types = catalogue
        self._world = world
        self._lives = 0
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery
        self.calls = calls

    @property
    def now(self) -> datetime:
        """What the wall clock shows."""
        return to_datetime(self._world.now())

    async def advance(self, by: Duration | None = None, *, to: datetime | None = None) -> datetime:
        """Let time pass, by a duration or up to an instant, and all that is due in it happen; answers the new time.

        Raises InvalidRequest for a time that is past, or when both or none is given.
        """
        if (by is None) == (to is None):
            raise InvalidRequest("advance: give either a duration or `to=`, an aware datetime")
        span = parse_duration(by, "by") if by is not None else from_datetime(_aware(to)) - self._world.now()
        if span < 0:
            raise InvalidRequest(f"advance: {to} is past, it is {self.now}")
        await trio.sleep(span / SECOND)
        await trio.testing.wait_all_tasks_blocked()
        return self.now

    def step_clock(self, by: Duration, *, back: bool = False) -> datetime:
        """Set the wall clock forward, or back, without time passing: what an administrator or a suspend does."""
        span = parse_duration(by, "by")
        self._world.step(Micros(-span if back else span))
        return self.now

    async def crash(self, *, down: Duration | None = None) -> None:
        """End the node as kill -9 would, and start it again on what its disk holds, after the time it was `down`.

        What its handlers had in hand is gone, and so are memory tasks.
        """
        former = self._directory
        self._lives += 1
        shutil.copytree(former, self._directory)
        await self._node.drain(0)
        self._scope.cancel()
        if down is not None:
            await trio.sleep(parse_duration(down, "down") / SECOND)
        await self._start()

    async def slots(
        self, reference: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> list[Slot]:
        """Every nominal time of a task that is settled, one by one and in order, with its outcome."""
        task = await self.task(reference)
        begin = Instant(0) if since is None else from_datetime(_aware(since))
        end = self._world.now() if until is None else from_datetime(_aware(until))
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

    @property
    def _directory(self) -> Path:
        return self._home / f"life-{self._lives}"

    async def _start(self) -> None:
        self._scope = trio.CancelScope()
        self._directory.mkdir(exist_ok=True)
        await self._nursery.start(self._live)

    async def _live(self, *, task_status: trio.TaskStatus[None]) -> None:
        config = attrs.evolve(self._config, data=self._directory)
        with self._scope:
            async with open_inner(config, self._types, self._world, tools=ContextTools) as self._node:
                await make_declared(self, DECLARED_TASKS.values())
                task_status.started()
                await trio.sleep_forever()

    @asynccontextmanager
    async def _living(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as self._nursery:
            await self._start()
            try:
                yield
            finally:
                self._nursery.cancel_scope.cancel()


@asynccontextmanager
async def node(
    *,
    start: datetime | str = DEFAULT_START,
    seed: int = 0,
    catalogue: Catalogue | None = None,
    stand_ins: Mapping[str, Callable[..., Any]] | None = None,
    **settings: Any,
) -> AsyncIterator[VirtualNode]:
    """A node on virtual time; needs a trio run under an autojumping `MockClock`, which `run` and `simulated` make.

    start: an aware datetime, or an ISO text of one. seed: of ids, jitter and all other chance. catalogue: the task types;
    without it the built-in ones and those that decorators declared. stand_ins: handlers that take the place of others, by
    task type. settings: of `NodeConfig`, such as `slots=`. Raises InvalidRequest.
    """
    begin = from_datetime(_aware(datetime.fromisoformat(start) if isinstance(start, str) else start))
    world = SimulatedWorld(seed, begin, threaded=lambda lane: lane not in (WRITER, READS, INLINE))
    home = Path(tempfile.mkdtemp(prefix="tocsin-"))
    config = NodeConfig(
        home,
        **{
            "synchronous": "OFF",
            "sweep_every": SWEEP_EVERY,
            "watch_seconds": DAY / SECOND,
            "system_tasks": False,
            **settings,
        },
    )
    calls: list[Call] = []
    types = _types(catalogue, stand_ins or {}, calls, world)
    try:
        virtual = VirtualNode(home, config, types, world, calls)
        with single_error():
            async with virtual._living():
                yield virtual
    finally:
        shutil.rmtree(home, ignore_errors=True)


def run(test: Callable[[VirtualNode], Awaitable[T]], *, seed: int = 0, **options: Any) -> T:
    """Run an async function with a node on virtual time; `options` as for `node`. The seed also decides which of two things
    that are due at once comes first."""

    async def main() -> T:
        async with node(seed=seed, **options) as virtual:
            return await test(virtual)

    seed_scheduler(f"tocsin:{seed}")
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def simulated(
    *, seeds: int | Iterable[int] = 1, **options: Any
) -> Callable[[Callable[..., Awaitable[T]]], Callable[..., None]]:
    """Make an async test, whose first argument is the node, one that any test runner calls; `options` as for `node`.

    seeds: how many histories to try, or which ones; a failure says with which seed it came.
    """
    chosen = range(seeds) if isinstance(seeds, int) else tuple(seeds)

    def decorate(test: Callable[..., Awaitable[T]]) -> Callable[..., None]:
        signature = inspect.signature(test)
        rest = signature.replace(parameters=list(signature.parameters.values())[1:])

        def call(*arguments: Any, **named: Any) -> None:
            for seed in chosen:
                try:
                    run(lambda virtual: test(virtual, *arguments, **named), seed=seed, **options)
                except BaseException as error:
                    error.add_note(f"in the history of seed {seed}: repeat it with seeds=[{seed}]")
                    raise

        functools.update_wrapper(call, test)
        # A test runner looks here for the fixtures that are wanted; the node is none.
        vars(call).pop("__wrapped__")
        vars(call)["__signature__"] = rest
        return call

    return decorate


def _types(
    catalogue: Catalogue | None, stand_ins: Mapping[str, Callable[..., Any]], calls: list[Call], world: SimulatedWorld
) -> Catalogue:
    given = load_catalogue((), world) if catalogue is None else catalogue
    if unknown := sorted(stand_ins.keys() - set(given.names())):
        raise InvalidRequest(f"stand_ins: there is no task type {unknown[0]!r}")
    # There is one pool of threads here, as wide as anybody wants.
    pooled = [attrs.evolve(entry, pool=DEFAULT_POOL) for entry in given]
    found = Catalogue(_in_simulation(entry, stand_ins, calls, world) for entry in pooled)
    found.hooks.extend(given.hooks)
    found.placements.update(given.placements)
    return found


def _in_simulation(
    entry: TaskType, stand_ins: Mapping[str, Callable[..., Any]], calls: list[Call], world: SimulatedWorld
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


def _aware(moment: datetime | None) -> datetime:
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
