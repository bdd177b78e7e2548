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
from actors.handling.catalogue import Catalogue
from actors.lanes import NodeConfig
from runtime.clock import DAY, SECOND, Instant, Micros, from_datetime
from runtime.errors import InvalidRequest
from runtime.simulation import SimulatedWorld, seed_scheduler

from .durations import Duration, parse_duration
from .node import make_declared, single_error
from .operations.context_tools import ContextTools
from .tasks import DECLARED_TASKS
from .testing_cluster import VirtualCluster, open_cluster, takes
from .virtual import NODE_LANES, Call, Run, Slot, Virtual, aware, catalogue_of

__all__ = ["Call", "Run", "Slot", "VirtualCluster", "VirtualNode", "cluster", "node", "run", "simulated", "takes"]

T = TypeVar("T")

DEFAULT_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""When virtual time begins unless a test says otherwise."""

SWEEP_EVERY: Final = DAY
"""How often the simulated node searches its store for what it might have missed. Nothing gets lost in a simulation, and a look
every second would be all that a simulated day consists of."""


class VirtualNode(Virtual):
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

    def _instant(self) -> Instant:
        return self._world.now()

    async def advance(self, by: Duration | None = None, *, to: datetime | None = None) -> datetime:
        """Let time pass, by a duration or up to an instant, and all that is due in it happen; answers the new time.

        Raises InvalidRequest for a time that is past, or when both or none is given.
        """
        if (by is None) == (to is None):
            raise InvalidRequest("advance: give either a duration or `to=`, an aware datetime")
        span = parse_duration(by, "by") if by is not None else from_datetime(aware(to)) - self._world.now()
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


def _check_clock() -> None:
    """Raises InvalidRequest under a clock that takes its time: what is left out between two moments would race what goes on."""
    clock = trio.lowlevel.current_clock()
    if not isinstance(clock, trio.testing.MockClock):
        raise InvalidRequest(
            f"virtual time needs an autojumping trio.testing.MockClock (autojump_clock of pytest-trio), not {clock!r}"
        )


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
    _check_clock()
    begin = from_datetime(aware(datetime.fromisoformat(start) if isinstance(start, str) else start))
    world = SimulatedWorld(seed, begin, threaded=lambda lane: lane not in NODE_LANES)
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
    types = catalogue_of(catalogue, stand_ins or {}, calls, world)
    try:
        virtual = VirtualNode(home, config, types, world, calls)
        with single_error():
            async with virtual._living():
                yield virtual
    finally:
        shutil.rmtree(home, ignore_errors=True)


@asynccontextmanager
async def cluster(
    nodes: int = 3,
    *,
    start: datetime | str = DEFAULT_START,
    seed: int = 0,
    catalogue: Catalogue | None = None,
    stand_ins: Mapping[str, Callable[..., Any]] | None = None,
    session: Duration | None = None,
    **settings: Any,
) -> AsyncIterator[VirtualCluster]:
    """A cluster on virtual time, of nodes n1, n2, ...; arguments otherwise as for `node`.

    session: what the coordination servers wait for a silent node, as configured by default. Raises InvalidRequest.
    """
    _check_clock()
    begin = from_datetime(aware(datetime.fromisoformat(start) if isinstance(start, str) else start))
    async with open_cluster(nodes, begin, seed, catalogue, stand_ins or {}, session, settings) as many:
        yield many


def run(test: Callable[[Any], Awaitable[T]], *, seed: int = 0, nodes: int | None = None, **options: Any) -> T:
    """Run an async function with a node on virtual time; `options` as for `node`. With `nodes`, with a cluster of so many, and
    options as for `cluster`. The seed also decides which of two things that are due at once comes first."""

    async def main() -> T:
        if nodes is not None:
            async with cluster(nodes, seed=seed, **options) as many:
                return await test(many)
        async with node(seed=seed, **options) as virtual:
            return await test(virtual)

    seed_scheduler(f"tocsin:{seed}")
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def simulated(
    *, seeds: int | Iterable[int] = 1, **options: Any
) -> Callable[[Callable[..., Awaitable[T]]], Callable[..., None]]:
    """Make an async test, whose first argument is the node, one that any test runner calls; `options` as for `node`. With
    `nodes=3` the argument is a cluster of three, and options as for `cluster`.

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
