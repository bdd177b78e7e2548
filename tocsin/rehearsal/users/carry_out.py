"""Carries a rehearsal of a user's definitions out: the cluster, the faults at their times, and what is measured meanwhile."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import attrs
import trio
import trio.testing

from actors.cluster import Surroundings
from actors.cluster_config import ClusterConfig
from actors.composition import NO_ACTIONS, open_node
from actors.handling.catalogue import Catalogue
from actors.handling.tools import Tools
from actors.herald_messages import Perform
from actors.lanes import NodeConfig
from actors.model.event import Action
from actors.node import Node
from runtime.clock import MILLISECOND, SECOND, Instant, Micros
from runtime.errors import InvalidRequest, TocsinError
from runtime.simulated_registry import SimulatedRegistry
from runtime.simulation import seed_scheduler

from ...node import single_error
from ...settings.config import Config
from ..nemesis import Nemesis
from ..plan import Fault, FaultKind, Knobs, node_names
from ..record import Record
from ..stage import Life
from .assumptions import Assumptions
from .definitions import Script, make
from .quick import QuickStage
from .standins import counting, stand_in

PARTITIONS: Final = 16
"""Enough to give each of some nodes its part; every takeover of one costs time."""

UP_SECONDS: Final = 60.0
"""How long a cluster that begins may take to have its tasks, before the time that is rehearsed: it takes some seconds."""

TAKEOVER_SECONDS: Final = 60.0
"""How long a takeover is waited for."""

WATCH_SECONDS: Final = 0.05
"""Between two looks whether a takeover is over: how exactly it is measured."""

AWAY: Final = frozenset(
    {FaultKind.KILL, FaultKind.FREEZE, FaultKind.DRAIN, FaultKind.LOSE_STORE, FaultKind.LOSE_COORDINATION}
)
"""Faults after which what a node owned is another one's."""

Show = Callable[[Instant], None]


@attrs.frozen
class Wanted:
    """A rehearsal. begin: an instant; days; faults: seconds from the beginning; skews: seconds by node; session: what the
    coordination servers wait for a silent node, seconds; slots: of each node."""

    begin: Instant
    days: float = 7.0
    nodes: int = 3
    faults: tuple[Fault, ...] = ()
    skews: Mapping[str, float] = attrs.field(factory=dict)
    seed: int = 0
    session: float = Config().session_timeout / SECOND
    slots: int = Config().slots

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes."""
        return node_names(self.nodes)

    @property
    def end(self) -> Instant:
        """When it is over."""
        return Instant(self.begin + round(self.days * 86_400 * SECOND))


@attrs.define
class Blow:
    """A fault that was carried out. takeover: seconds until all of a node's partitions were others'; None: not within a minute,
    or it does not make anybody take over."""

    fault: Fault
    at: Instant
    until: Instant
    takeover: float | None = None
    owned: int = 0


@attrs.define
class Rehearsed:
    """What came of it, still in the stage's store."""

    wanted: Wanted
    stage: UserStage
    blows: list[Blow]
    actions: Counter[str]
    ended_at: Instant
    real_seconds: float = 0.0


class UserStage(QuickStage):
    """A stage with sessions as they are configured, and nodes that are equipped as real ones.

    It starts some time before `begin`, in which the cluster comes up. session: seconds. The catalogue is empty at first.
    """

    actions: Mapping[type[Action], Perform] = NO_ACTIONS
    tools: Callable[[Node], Tools] | None = None
    settings: Mapping[str, Any] = {}

    def __init__(
        self,
        seed: int,
        names: tuple[str, ...],
        begin: Instant,
        *,
        slots: int = Config().slots,
        session: float = Config().session_timeout / SECOND,
    ) -> None:
        # Nothing takes time that is not said to: then what happens at an instant is over at that instant.
        knobs = Knobs(rhythm=1.0, slots=slots, latency=0.0, jitter=0.0, store_latency=0.0)
        start = Instant(begin - round(UP_SECONDS * SECOND))
        super().__init__(seed, names, PARTITIONS, knobs, start, lambda record: Catalogue())
        self.session = session
        self.careful_seconds = 6 * max(session, Config().lease / SECOND)

    def config(self, name: str) -> NodeConfig:
        """As a node of `tocsin up` has it, where nothing else is said."""
        config = super().config(name)
        assert isinstance(config.cluster, ClusterConfig)
        lease = max(Config().lease / SECOND, self.session)
        cluster = attrs.evolve(config.cluster, session_seconds=self.session, lease_seconds=lease)
        return attrs.evolve(config, cluster=cluster, **self.settings)

    def _registry(self, name: str) -> SimulatedRegistry:
        return SimulatedRegistry(self.service, name, self.session)

    def _opened(self, name: str, life: Life, surroundings: Surroundings) -> AbstractAsyncContextManager[Node]:
        return open_node(
            self.config(name),
            self.catalogue,
            life.world,
            actions=self.actions,
            tools=self.tools,
            surroundings=surroundings,
        )

    async def up(self, seconds: float = UP_SECONDS) -> None:
        """Wait until every partition has its owner. Raises InvalidRequest if that takes too long."""
        with trio.move_on_after(seconds):
            await self.all_owned(self.names)
            return
        why = "; ".join(self.failed) or "it did not say why"
        raise InvalidRequest(f"the rehearsed cluster did not come up within {seconds:g} s: {why}")

    async def all_owned(self, names: tuple[str, ...]) -> None:
        """Wait until these have all partitions."""
        while True:
            if self.owned_by(names) == self.partitions:
                return
            await trio.sleep(WATCH_SECONDS)

    def owned_by(self, names: tuple[str, ...]) -> int:
        """How many partitions these have, as they say."""
        living = self.living()
        clusters = [living[name].cluster for name in names if name in living]
        return len({slot for one in clusters if one is not None for slot in one.owned})


class UserNemesis(Nemesis):
    """Goes by the wall clock, and measures takeovers."""

    def __init__(self, stage: UserStage, begin: Instant) -> None:
        super().__init__(stage)
        self._user_stage = stage
        self._begin = begin
        self.blows: list[Blow] = []

    async def _come(self, fault: Fault) -> None:
        await self._user_stage.until(self._at(fault))
        self._user_stage.careful()

    def _note(self, fault: Fault) -> None:
        at = self._at(fault)
        owned = self._user_stage.owned_by(fault.target[:1])
        self.blows.append(Blow(fault, at, Instant(at + round(fault.seconds * SECOND)), owned=owned))

    async def _last(self, fault: Fault) -> None:
        blow = next(one for one in self.blows if one.fault is fault)
        async with trio.open_nursery() as nursery:
            if fault.kind in AWAY and blow.owned:
                nursery.start_soon(self._watch, blow, fault.target[0])
            await self._user_stage.until(blow.until)
        self._user_stage.careful()

    def _at(self, fault: Fault) -> Instant:
        return Instant(self._begin + round(fault.at * SECOND))

    async def _watch(self, blow: Blow, name: str) -> None:
        stage = self._user_stage
        others = tuple(one for one in stage.names if one != name)
        began = trio.current_time()
        with trio.move_on_after(min(TAKEOVER_SECONDS, blow.fault.seconds)):
            await stage.all_owned(others)
            blow.takeover = round(trio.current_time() - began, 3)


def rehearse(wanted: Wanted, script: Script, assumptions: Assumptions, show: Show = lambda now: None) -> Rehearsed:
    """Carry it out, in a loop of its own. show: hears of the time that has come. Raises InvalidRequest."""
    seed_scheduler(f"tocsin rehearse:{wanted.seed}")
    began = time.monotonic()
    clock = trio.testing.MockClock(autojump_threshold=0)
    with single_error():
        found = trio.run(_carry_out, wanted, script, assumptions, show, clock=clock)
    found.real_seconds = time.monotonic() - began
    return found


def new_stage(wanted: Wanted, types: Callable[[UserStage, Record], Catalogue]) -> UserStage:
    """The stage, a minute before the beginning."""
    stage = UserStage(wanted.seed, wanted.names, wanted.begin, slots=wanted.slots, session=wanted.session)
    stage.catalogue = types(stage, stage.record)
    stage.skews = dict(wanted.skews)
    return stage


async def _carry_out(wanted: Wanted, script: Script, assumptions: Assumptions, show: Show) -> Rehearsed:
    def types(stage: UserStage, record: Record) -> Catalogue:
        return Catalogue(
            stand_in(name, assumptions.of(name), record, stage.until, wanted.seed, script.types.get(name))
            for name in script.type_names()
        )

    stage, actions = new_stage(wanted, types), Counter[str]()
    stage.actions = counting(actions)
    nemesis = UserNemesis(stage, wanted.begin)
    async with stage.played() as nursery:
        nursery.start_soon(stage.hurry)
        await stage.up()
        await stage.until(wanted.begin)
        await _make(script, stage)
        nursery.start_soon(_tell, stage, wanted, show)
        async with trio.open_nursery() as acts:
            acts.start_soon(nemesis.run, wanted.faults)
            # The end is no part of it: what is due at that instant would only just have begun.
            await stage.until(Instant(wanted.end - MILLISECOND))
        await trio.testing.wait_all_tasks_blocked()
        found = Rehearsed(wanted, stage, nemesis.blows, actions, stage.now())
    return found


async def _make(script: Script, stage: UserStage) -> None:
    """Through the first node; again where it could not be done now."""
    tries = 0
    while True:
        try:
            return await make(script, stage.living()[stage.names[0]])
        except InvalidRequest:
            raise
        except (TocsinError, KeyError):
            tries += 1
            if tries > UP_SECONDS:
                raise
            await trio.sleep(1.0)


async def _tell(stage: UserStage, wanted: Wanted, show: Show) -> None:
    """Every hundredth of the way."""
    step = Micros(max(1, (wanted.end - wanted.begin) // 100))
    at = wanted.begin
    while True:
        at = Instant(at + step)
        await stage.until(at)
        show(at)
