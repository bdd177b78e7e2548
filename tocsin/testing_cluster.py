"""A cluster on virtual time, for tests of one's own tasks: its nodes can be killed, frozen and cut off, and the checker judges.

Real nodes over a simulated network, coordination and store; handlers really run. While none runs and nothing is due, time is
left out; while one runs it goes on as it is, so a handler that sleeps for an hour makes a test last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final

import trio
import trio.testing

from actors.cluster_coordinator import LEASES
from actors.handling.catalogue import Catalogue
from actors.handling.context import Context
from actors.handling.hooks import Ended, Hook
from actors.lookout import WAKES
from actors.model.lifecycle import State
from actors.node import Node
from runtime.clock import SECOND, Instant, Micros, from_datetime
from runtime.errors import InvalidRequest, NotFound
from runtime.simulated_process import current_process

from .checker.history import Span
from .checker.verdict import Verdict
from .durations import Duration, parse_duration
from .node import LocalNode, make_declared, single_error
from .operations.context_tools import ContextTools
from .rehearsal.nemesis import Nemesis, Undo
from .rehearsal.plan import Fault, FaultKind, node_names
from .rehearsal.stage import Life
from .rehearsal.users.carry_out import UserStage
from .rehearsal.users.judged import judge_stage
from .rehearsal.users.standins import counting
from .rehearsal.world import NodeWorld
from .settings.config import Config
from .shown import show
from .tasks import DECLARED_TASKS
from .virtual import NODE_LANES, Call, Virtual, aware, catalogue_of
from .vocabulary.fields import whole_number

LOOP_LANES: Final = frozenset({*NODE_LANES, LEASES, WAKES})
"""`NODE_LANES`, of a node in a cluster."""

MOST_NODES: Final = 20
"""Of a test's cluster: all of them run in one loop."""


SAME_INSTANT: Final = 4e-7
"""Seconds, less than half of the clock's unit: deadlines of one instant may differ by what floating point leaves, and what is due
at the very end of a time happens in it."""


class TestStage(UserStage):
    """Leaves nothing out while a handler runs, but for those that wait in `takes`."""

    __test__ = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.waiting: Counter[str] = Counter()

    def is_busy(self) -> bool:
        """Whether a handler runs."""
        for life in self.lives.values():
            if life.node is None or life.process.stopped:
                continue
            if life.node.control.busy() > self.waiting[life.process.name]:
                return True
        return False

    def _new_world(self, seed: str, life: Life, skew: float) -> NodeWorld:
        return NodeWorld(seed, life.client, self.start, skew=skew, threaded=lambda lane: lane not in LOOP_LANES)


class VirtualCluster(Virtual):
    """Some nodes on virtual time. What a node can be asked is asked of one that is up. Get it from `cluster`.

    `nodes`: their names. `calls`: what the built-in types were given. `actions`: what event triggers would have sent, counted.
    """

    def __init__(self, stage: TestStage, calls: list[Call]) -> None:
        self._stage = stage
        self._nemesis = Nemesis(stage)
        self._wrong: dict[tuple[FaultKind, tuple[str, ...]], tuple[Instant, Undo]] = {}
        self._edge = stage.start
        self.nodes = stage.names
        self.calls = calls
        self.actions: Counter[str] = Counter()
        stage.actions = counting(self.actions)

    def _instant(self) -> Instant:
        return self._stage.now()

    @property
    def _node(self) -> Node:  # type: ignore[override]
        living = self._stage.living()
        if not living:
            raise InvalidRequest("no node of the cluster is up")
        return living[min(living)]

    @property
    def living(self) -> list[str]:
        """The nodes that are up, and not frozen."""
        return sorted(self._stage.living())

    def node(self, name: str) -> LocalNode:
        """One of the nodes. Raises NotFound if it is not up."""
        self._known(name)
        found = self._stage.living().get(name)
        if found is None:
            raise NotFound(f"node {name!r} is not up")
        return LocalNode(found)

    async def advance(self, by: Duration | None = None, *, to: datetime | None = None) -> datetime:
        """Let time pass, by a duration or up to an instant, and all that is due in it happen; answers the new time.

        Raises InvalidRequest for a time that is past, or when both or none is given.
        """
        if (by is None) == (to is None):
            raise InvalidRequest("advance: give either a duration or `to=`, an aware datetime")
        now = self._stage.now()
        span = parse_duration(by, "by") if by is not None else from_datetime(aware(to)) - now
        if span < 0:
            raise InvalidRequest(f"advance: {to} is past, it is {self.now}")
        await self._stage.until(Instant(now + span))
        await trio.sleep(SAME_INSTANT)
        await trio.testing.wait_all_tasks_blocked()
        return self.now

    # -- faults

    def kill(self, name: str) -> None:
        """The node's process dies at once, as with kill -9; `start` begins another one."""
        self._wreck(FaultKind.KILL, name)

    def start(self, name: str) -> None:
        """Begin a node again that was killed."""
        self._mend(FaultKind.KILL, name)

    def freeze(self, name: str) -> None:
        """The node's process stands still, until `thaw`."""
        self._wreck(FaultKind.FREEZE, name)

    def thaw(self, name: str) -> None:
        """It goes on, as if nothing had been."""
        self._mend(FaultKind.FREEZE, name)

    def cut(self, one: str, other: str) -> None:
        """Nothing passes between two nodes, until `heal`; both still reach the servers."""
        self._wreck(FaultKind.CUT, *sorted((one, other)))

    def lose_store(self, name: str) -> None:
        """The node does not reach the store, until `heal`."""
        self._wreck(FaultKind.LOSE_STORE, name)

    def lose_coordination(self, name: str) -> None:
        """The node does not reach the coordination servers, until `heal`."""
        self._wreck(FaultKind.LOSE_COORDINATION, name)

    def heal(self) -> None:
        """All of that is over: killed nodes begin again, frozen ones go on, everybody reaches everybody."""
        for kind, names in list(self._wrong):
            self._mend(kind, *names)

    def step_clock(self, name: str, by: Duration, *, back: bool = False) -> None:
        """Set a node's wall clock forward, or back."""
        self._known(name)
        span = parse_duration(by, "by")
        life = self._stage.lives.get(name)
        if life is None:
            raise NotFound(f"node {name!r} is not up")
        life.world.step(Micros(-span if back else span))
        self._stage.skews[name] = self._stage.skews.get(name, 0.0) + (-span if back else span) / SECOND
        self._stage.careful()

    def check(self) -> Verdict:
        """What the checker says of everything until now; `violations` is empty when every promise was kept."""
        stage, now = self._stage, self._stage.now()
        kept = stage.spans
        stage.spans = [
            *kept,
            *(
                Span(kind.value, name, since, now)
                for (kind, names), (since, _) in self._wrong.items()
                for name in names
            ),
        ]
        try:
            verdict, _ = judge_stage(stage, now, self._edge if not self._wrong else now)
        finally:
            stage.spans = kept
        return verdict

    def _wreck(self, kind: FaultKind, *names: str) -> None:
        for name in names:
            self._known(name)
        if (kind, names) in self._wrong:
            raise InvalidRequest(f"{kind.value}: {' and '.join(names)} already is so")
        self._touch()
        self._wrong[kind, names] = self._edge, self._nemesis.begin(Fault(0.0, kind, names))

    def _mend(self, kind: FaultKind, *names: str) -> None:
        for name in names:
            self._known(name)
        found = self._wrong.pop((kind, names), None)
        if found is None:
            raise InvalidRequest(f"{kind.value}: {' and '.join(names)} is not so")
        since, undo = found
        self._touch()
        undo()
        self._stage.spans += [Span(kind.value, name, since, self._edge) for name in names]

    def _touch(self) -> None:
        self._edge = self._stage.now()
        self._stage.careful()

    def _known(self, name: str) -> None:
        if name not in self.nodes:
            raise InvalidRequest(f"one of the nodes {', '.join(self.nodes)}, not {show(name)}")


_STAGE: ContextVar[TestStage] = ContextVar("test_stage")


def takes(duration: Duration) -> Callable[..., Any]:
    """A stand-in that takes so long, of the cluster's time, and none of the test's: `stand_ins={"import": takes("2h")}`."""
    span = parse_duration(duration, "duration")

    async def stand_in(_ctx: Context, **_parameters: Any) -> None:
        stage, process = _STAGE.get(), current_process()
        assert process is not None, "handlers run in processes"
        stage.waiting[process.name] += 1
        try:
            await stage.until(Instant(stage.now() + span))
        finally:
            stage.waiting[process.name] -= 1

    return stand_in


@asynccontextmanager
async def open_cluster(
    nodes: int,
    begin: Instant,
    seed: int,
    catalogue: Catalogue | None,
    stand_ins: Mapping[str, Callable[..., Any]],
    session: Duration | None,
    settings: Mapping[str, Any],
) -> AsyncIterator[VirtualCluster]:
    """See `tocsin.testing.cluster`."""
    names = node_names(whole_number(nodes, "nodes", 1, MOST_NODES))
    waited = Config().session_timeout if session is None else parse_duration(session, "session")
    stage = TestStage(seed, names, begin, session=waited / SECOND)
    stage.tools, stage.settings = ContextTools, settings
    calls: list[Call] = []
    stage.catalogue = catalogue_of(catalogue, stand_ins, calls, stage.clock)
    _write_down(stage)
    _STAGE.set(stage)
    many = VirtualCluster(stage, calls)
    with single_error():
        async with stage.played() as nursery:
            nursery.start_soon(stage.hurry)
            await stage.up()
            await stage.until(begin)
            await make_declared(many, DECLARED_TASKS.values())
            yield many


def _write_down(stage: TestStage) -> None:
    """Have the checker's record written around every attempt."""

    async def began(ctx: Context) -> None:
        stage.record.write("start", ctx)

    async def ended(ctx: Context, how: Ended) -> None:
        stage.record.write("end" if how.state is State.COMPLETED else "cut", ctx)

    stage.catalogue.hooks.add(Hook("before", began))
    stage.catalogue.hooks.add(Hook("after", ended))
