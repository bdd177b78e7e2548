"""Makes things go wrong, and well again, as the plan says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from runtime.clock import SECOND, Micros
from runtime.simulated_network import Faults

from ..checker.history import Span
from .plan import Fault, FaultKind
from .stage import Stage
from .tree_view import leader, unowned

Undo = Callable[[], object]

WORST: Final = (FaultKind.KILL, FaultKind.FREEZE, FaultKind.KILL_LEADER)
"""These can wait for a moment at which they do the most harm."""

PATIENCE: Final = 15.0
"""Seconds for which they wait at the most, times the rhythm."""

TO_LEADERS: Final = (FaultKind.KILL, FaultKind.TEAR, FaultKind.STOP, FaultKind.FREEZE, FaultKind.EXPIRE)
"""After these a node that led does not."""


class Nemesis:
    """See the module's docstring. `done`: how often each kind was carried out."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.done: dict[FaultKind, int] = {}

    async def run(self, faults: tuple[Fault, ...]) -> None:
        """All of them, each for its time; at the end everything is well again."""
        async with trio.open_nursery() as nursery:
            for fault in faults:
                nursery.start_soon(self._carry_out, fault)

    async def _carry_out(self, fault: Fault) -> None:
        await self._come(fault)
        begin = self._stage.now()
        self._note(fault)
        undo = self.begin(fault)
        self.done[fault.kind] = self.done.get(fault.kind, 0) + 1
        self._stage.trace.add("fault", fault.kind.value, fault.target, begin)
        await self._last(fault)
        undo()
        for target in fault.target or ("",):
            self._stage.spans.append(Span(fault.kind.value, target, begin, self._stage.now()))

    async def _come(self, fault: Fault) -> None:
        """Until the moment of a fault."""
        await trio.sleep_until(fault.at)
        if fault.amount == 1.0 and fault.kind in WORST:
            with trio.move_on_after(PATIENCE * self._stage.knobs.rhythm):
                await self._worst_moment(fault)

    async def _last(self, fault: Fault) -> None:
        """Until a fault is over."""
        await trio.sleep(fault.seconds)

    async def _worst_moment(self, fault: Fault) -> None:
        stage = self._stage
        if fault.kind is FaultKind.KILL_LEADER:
            while not unowned(stage.service.tree(), stage.partitions):
                await stage.service.changed()
            return
        (name,) = fault.target
        await stage.record.next(lambda line: line.kind == "trying" and line.process.startswith(f"{name}."))

    def _note(self, fault: Fault) -> None:
        """Rare situations that a fault hits upon."""
        stage, tree = self._stage, self._stage.service.tree()
        noted, assigning = stage.database.noted, unowned(tree, stage.partitions) > 0
        name = fault.target[0] if fault.target else ""
        if assigning and (fault.kind is FaultKind.KILL_LEADER or (fault.kind in TO_LEADERS and leader(tree) == name)):
            noted["a leader fell during an assignment"] += 1
        node = stage.living().get(name)
        if node is None or node.cluster is None or not node.cluster.owned:
            return
        if fault.kind is FaultKind.DRAIN:
            noted["an owner was drained"] += 1
        if fault.kind is FaultKind.EXPIRE:
            noted["an owner's session was ended"] += 1

    def begin(self, fault: Fault) -> Undo:
        """Let it go wrong; answers how it becomes well again."""
        match fault.kind:
            case (
                FaultKind.KILL
                | FaultKind.TEAR
                | FaultKind.STOP
                | FaultKind.FREEZE
                | FaultKind.DRAIN
                | FaultKind.STEP_CLOCK
            ):
                return self._to_process(fault)
            case (
                FaultKind.CUT
                | FaultKind.CUT_ONE_WAY
                | FaultKind.RESET
                | FaultKind.VANISH
                | FaultKind.SLOW_LINKS
                | FaultKind.CORRUPT
            ):
                return self._to_links(fault)
            case (
                FaultKind.LOSE_STORE
                | FaultKind.STOP_STORE
                | FaultKind.SLOW_STORE
                | FaultKind.FULL_STORE
                | FaultKind.FLAKY_STORE
                | FaultKind.COMMIT_UNKNOWN
                | FaultKind.DROP_WAKES
            ):
                return self._to_store(fault)
            case _:
                return self._to_coordination(fault)

    def _to_process(self, fault: Fault) -> Undo:
        stage, (name,) = self._stage, fault.target
        life = stage.lives.get(name)
        if life is None:
            return _nothing
        match fault.kind:
            case FaultKind.KILL:
                stage.kill(name)
                return lambda: stage.begin(name)
            case FaultKind.TEAR:
                stage.tear(name)
                return lambda: stage.begin(name)
            case FaultKind.STOP:
                stage.stop(name)
                return lambda: stage.begin(name)
            case FaultKind.FREEZE:
                since, frozen = stage.now(), stage.freeze(name)
                return _nothing if frozen is None else lambda: stage.thaw(frozen, since)
            case FaultKind.DRAIN:
                if life.node is None or life.node.cluster is None:
                    return _nothing
                cluster = life.node.cluster
                cluster.drain()
                return lambda: cluster.drain(False)
            case _:
                step = Micros(round(fault.amount * SECOND))
                life.world.step(step)
                return lambda: life.world.step(Micros(-step))

    def _to_links(self, fault: Fault) -> Undo:
        network, names = self._stage.network, self._stage.names
        name = fault.target[0]
        match fault.kind:
            case FaultKind.CUT | FaultKind.CUT_ONE_WAY:
                other, both = fault.target[1], fault.kind is FaultKind.CUT
                network.cut(name, other, both=both)
                return lambda: network.heal(name, other, both=both)
            case FaultKind.RESET:
                network.reset(name)
                return _nothing
            case FaultKind.VANISH:
                network.vanish(name)
                return _nothing
            case FaultKind.SLOW_LINKS:
                knobs = self._stage.knobs
                return self._on_ways(names, name, _slow(fault.amount), _usual(knobs.latency, knobs.jitter, knobs.chunk))
            case _:
                return self._on_ways(names, name, _corrupt(fault.amount), _corrupt(0.0))

    def _on_ways(
        self, names: tuple[str, ...], source: str, change: Callable[[Faults], None], back: Callable[[Faults], None]
    ) -> Undo:
        network = self._stage.network

        def to_all(what: Callable[[Faults], None]) -> None:
            for target in names:
                what(network.faults(source, target))
            network.changed()

        to_all(change)
        return lambda: to_all(back)

    def _to_store(self, fault: Fault) -> Undo:
        database = self._stage.database
        match fault.kind:
            case FaultKind.STOP_STORE:
                return _flag(database, "is_down")
            case FaultKind.FULL_STORE:
                return _flag(database, "is_full")
        ways = [database.way(name) for name in fault.target or self._stage.names]
        changes: dict[FaultKind, tuple[str, object, object]] = {
            FaultKind.LOSE_STORE: ("cut", True, False),
            FaultKind.SLOW_STORE: ("extra", fault.amount, 0.0),
            FaultKind.FLAKY_STORE: ("failing", fault.amount, 0.0),
            FaultKind.COMMIT_UNKNOWN: ("losing", fault.amount >= 0.5, None),
            FaultKind.DROP_WAKES: ("wakes", False, True),
        }
        field, wrong, right = changes[fault.kind]

        def put(value: object) -> None:
            for way in ways:
                setattr(way, field, value)
            database.changed()

        put(wrong)
        return lambda: put(right)

    def _to_coordination(self, fault: Fault) -> Undo:
        service = self._stage.service
        name = fault.target[0] if fault.target else ""
        match fault.kind:
            case FaultKind.LOSE_COORDINATION | FaultKind.LOSE_REPLIES:
                service.cut(name, replies_only=fault.kind is FaultKind.LOSE_REPLIES)
                return lambda: service.heal(name)
            case FaultKind.LOSE_REPLY:
                service.lose_reply(name or None)
                return _nothing
            case FaultKind.EXPIRE:
                for session, client in service.sessions().items():
                    if client == name:
                        service.expire(session)
                return _nothing
            case FaultKind.KILL_LEADER:
                service.kill_leader()
                return _nothing
            case FaultKind.FREEZE_COORDINATION:
                service.freeze()
                return service.thaw
            case FaultKind.LOSE_QUORUM:
                service.lose_quorum()
                return service.regain_quorum
        raise AssertionError(f"not a fault of the coordination: {fault}")


def _nothing() -> None:
    """It is over at once."""


def _flag(subject: object, field: str) -> Undo:
    setattr(subject, field, True)
    return lambda: setattr(subject, field, False)


def _slow(seconds: float) -> Callable[[Faults], None]:
    def change(faults: Faults) -> None:
        faults.latency, faults.jitter, faults.chunk = seconds, seconds, 7

    return change


def _usual(latency: float, jitter: float, chunk: int | None) -> Callable[[Faults], None]:
    def change(faults: Faults) -> None:
        faults.latency, faults.jitter, faults.chunk = latency, jitter, chunk

    return change


def _corrupt(chance: float) -> Callable[[Faults], None]:
    def change(faults: Faults) -> None:
        faults.corrupt = chance

    return change
