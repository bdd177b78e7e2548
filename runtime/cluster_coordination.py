"""Coordination of many nodes over a registry: carries out what `coordination_core` decides, and keeps epochs beside the slots."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, assert_never

import trio

from . import coordination_steps as steps
from .coordination import CoordinationStatus
from .coordination_core import BATCH, CoordinationCore, other_cluster
from .coordination_messages import Barred, CoordinationEvent, Member
from .coordination_plan import CoordinationSettings, Plan, decode_member, decode_plan
from .coordination_steps import CHANGES, CLUSTER, LEADER, MEMBERS, PLAN, SLOTS, member_path, owner_path, slot_path
from .errors import Conflict, TooLarge
from .registry import Registry
from .registry_messages import (
    AccessDenied,
    NodeExists,
    NodeStat,
    NoNode,
    Op,
    RegistryUnavailable,
    VersionMismatch,
)
from .world import World

logger = logging.getLogger(__name__)

__all__ = ["ClusterCoordination", "CoordinationSettings"]

TOLD_AHEAD: Final = 64
"""Events that wait for the node: beyond it `run` waits, which only happens when the node does not listen."""

READS_AT_ONCE: Final = 64
"""Reads under way at the same time: one answer of the servers brings as many."""


class _Astray(Exception):
    """The own candidacy is not there."""


class ClusterCoordination:
    """`Coordination` over a `Registry`, for nodes that share a cluster id and a number of slots.

    `run` keeps the registry's session and must run while the other methods are used. Names of members must not contain `/`.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        world: World,
        slots: int,
        cluster_id: str,
        settings: CoordinationSettings | None = None,
    ) -> None:
        self._registry = registry
        self._world = world
        self._slots = slots
        self._settings = settings or CoordinationSettings()
        self._cluster_id = cluster_id
        self._core = CoordinationCore(cluster_id, slots, self._settings)
        self._nursery: trio.Nursery | None = None
        self._outbox: deque[CoordinationEvent] = deque()
        self._news = trio.Event()
        self._send: trio.MemorySendChannel[CoordinationEvent] | None = None

    # -- the port

    async def join(self, member: Member) -> trio.MemoryReceiveChannel[CoordinationEvent]:
        if self._send is not None:
            self._send.close()
        self._outbox.clear()
        self._send, receive = trio.open_memory_channel[CoordinationEvent](TOLD_AHEAD)
        self._feed(steps.Join(member))
        await trio.lowlevel.checkpoint()
        return receive

    async def request(self, former: Mapping[int, int]) -> None:
        self._feed(steps.Request(former))
        await trio.lowlevel.checkpoint()

    async def released(self, slots: frozenset[int]) -> None:
        self._feed(steps.Released(slots))
        await trio.lowlevel.checkpoint()

    async def record(self, epochs: Mapping[int, int]) -> None:
        """Raises RegistryUnavailable; what was written by then stays."""
        wanted = sorted(epochs.items())
        for start in range(0, len(wanted), BATCH):
            await self._record(dict(wanted[start : start + BATCH]))

    async def recorded(self) -> Mapping[int, int]:
        """The highest epoch recorded of every slot that has one. Raises RegistryUnavailable, and Conflict at another cluster."""
        await self._registry.sync()
        with suppress(NoNode):
            owner = _identity((await self._registry.get(CLUSTER)).data).cluster_id
            if owner != self._cluster_id:
                raise Conflict(other_cluster(owner, self._cluster_id))
        found = await self._each(range(self._slots), self._kept)
        return {slot: kept[0] for slot, kept in found.items() if kept is not None and kept[0] >= 0}

    async def describe(self, member: Member) -> None:
        self._feed(steps.Describe(member))
        await trio.lowlevel.checkpoint()

    async def leave(self) -> None:
        self._feed(steps.Leave())
        self._outbox.clear()
        if self._send is not None:
            self._send.close()
            self._send = None
        await self._registry.expire()

    def members(self) -> tuple[Member, ...]:
        return self._core.members()

    def status(self) -> CoordinationStatus:
        core = self._core
        return CoordinationStatus(
            session=core.session,
            connected=core.connected,
            trusted=core.connected and core.trusted(self._world.monotonic()),
            leader=core.plan.leader or None,
            owners=core.owners(),
            gate=core.plan.gate,
            problem=core.problem,
        )

    # -- the loop

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the registry's session and take part, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._hear)
            self._nursery.start_soon(self._tick)
            self._nursery.start_soon(self._pump)
            await self._nursery.start(self._registry.run)
            task_status.started()

    async def _hear(self) -> None:
        async for event in self._registry.events():
            self._feed(event)

    async def _tick(self) -> None:
        while True:
            await trio.sleep(self._settings.poll_seconds)
            self._feed(steps.Tick())

    async def _pump(self) -> None:
        while True:
            await self._news.wait()
            self._news = trio.Event()
            while self._outbox and self._send is not None:
                try:
                    await self._send.send(self._outbox.popleft())
                except (trio.ClosedResourceError, trio.BrokenResourceError):
                    continue

    def _feed(self, event: steps.Event) -> None:
        for directive in self._core.handle(event, self._world.monotonic()):
            if isinstance(directive, steps.Tell):
                self._tell(directive.event)
            elif self._nursery is not None:
                self._nursery.start_soon(self._perform, directive)

    def _tell(self, event: CoordinationEvent) -> None:
        if isinstance(event, Barred):
            logger.info("This node does not take part in the cluster: %s", event.reason)
        if self._send is not None:
            self._outbox.append(event)
            self._news.set()

    async def _perform(self, step: steps.Step) -> None:
        self._feed(steps.Done(step, await self._outcome(step)))

    async def _outcome(self, step: steps.Step) -> steps.Outcome:
        try:
            return await self._carry_out(step)
        except _Astray:
            return steps.Astray()
        except (AccessDenied, TooLarge) as error:
            return steps.Denied(str(error))
        except (RegistryUnavailable, NoNode, NodeExists, VersionMismatch) as error:
            logger.debug("No answer to use from the coordination service for %s: %r", step, error)
            return steps.Failed()

    async def _carry_out(self, step: steps.Step) -> steps.Outcome:
        match step:
            case steps.Found():
                return await self._found(step)
            case steps.Stand(session=session):
                return await self._stand(session)
            case steps.Enter():
                return await self._enter(step)
            case steps.ReadPlan():
                stat = await self._registry.get(PLAN, watch=True)
                return steps.PlanRead(decode_plan(stat.data) or Plan(), stat.version)
            case steps.ReadOwners(slots=slots, watch=watch):
                return steps.OwnersRead(await self._owners(slots, watch=watch))
            case steps.Take(slots=slots, guard=guard):
                return await self._take(slots, guard)
            case steps.Give():
                return await self._give(step)
            case steps.ReadMembers():
                return await self._read_members()
            case steps.Publish():
                return await self._publish(step)
            case steps.Write(name=name, data=data, guard=guard):
                await self._guarded(guard, [Op("set", member_path(name), data), Op("set", CHANGES)])
                return steps.Written()
            case steps.Probe(name=name, data=data, guard=guard):
                sent = self._world.monotonic()
                await self._guarded(guard, [Op("set", member_path(name), data)])
                return steps.Probed(sent)
            case _:
                assert_never(step)

    # -- the steps

    async def _guarded(self, guard: str, ops: Iterable[Op]) -> None:
        """A transaction in the session that made the candidacy, or none: raises _Astray if the candidacy is gone."""
        try:
            await self._registry.transact([Op("check", guard), *ops])
        except NoNode:
            if await self._registry.exists(guard) is None:
                raise _Astray from None
            raise

    async def _found(self, step: steps.Found) -> steps.Founded:
        identity = json.dumps({"cluster": step.cluster_id, "slots": step.slots}).encode()
        try:
            stat = await self._registry.get(CLUSTER)
        except NoNode:
            await self._make(identity, step.slots)
            stat = await self._registry.get(CLUSTER)
        return _identity(stat.data)

    async def _make(self, identity: bytes, slots: int) -> None:
        """Lay everything out, the root's identity last: where it stands, the rest does."""
        for path in (MEMBERS, LEADER, CHANGES, PLAN, SLOTS):
            await self._ensure(path)
        while missing := set(range(slots)).difference(map(int, await self._registry.children(SLOTS))):
            # Several nodes may be at it: whoever is outrun looks again.
            with suppress(NodeExists):
                await self._registry.transact([Op("create", slot_path(slot)) for slot in sorted(missing)[:BATCH]])
        await self._ensure(CLUSTER, identity)

    async def _ensure(self, path: str, data: bytes = b"") -> None:
        with suppress(NodeExists):
            await self._registry.create(path, data)

    async def _stand(self, session: str) -> steps.Stood:
        prefix = f"{session}-"
        while True:
            order = sorted(await self._registry.children(LEADER), key=lambda name: name.rpartition("-")[2])
            mine = next((name for name in order if name.startswith(prefix)), None)
            if mine is None:
                await self._registry.create(f"{LEADER}/{prefix}", ephemeral=True, sequential=True)
                continue
            place = order.index(mine)
            before = f"{LEADER}/{order[place - 1]}" if place else None
            if before is None or await self._registry.exists(before, watch=True) is not None:
                return steps.Stood(f"{LEADER}/{mine}", before)

    async def _enter(self, step: steps.Enter) -> steps.Entered:
        path = member_path(step.name)
        with suppress(NodeExists):
            await self._guarded(step.guard, [Op("create", path, step.data, ephemeral=True)])
        stat = await self._registry.get(path, watch=True)
        record = decode_member(step.name, stat.data, stat.owner or "")
        return steps.Entered(stat.owner or "", stat.version, 0.0 if record is None else record.timeout)

    async def _owners(self, slots: Iterable[int], *, watch: bool) -> dict[int, str | None]:
        async def look(slot: int) -> str | None:
            stat = await self._registry.exists(owner_path(slot), watch=watch)
            return None if stat is None else stat.owner

        return await self._each(slots, look)

    async def _take(self, slots: tuple[int, ...], guard: str) -> steps.Taken | steps.Occupied:
        try:
            await self._guarded(guard, [Op("create", owner_path(slot), ephemeral=True) for slot in slots])
        except NodeExists:
            return steps.Occupied()
        return steps.Taken()

    async def _give(self, step: steps.Give) -> steps.Given:
        try:
            await self._guarded(step.guard, [Op("delete", owner_path(slot)) for slot in step.slots])
        except NoNode:
            owners = await self._owners(step.slots, watch=False)
            mine = [slot for slot, owner in owners.items() if owner == step.session]
            await self._guarded(step.guard, [Op("delete", owner_path(slot)) for slot in mine])
        return steps.Given()

    async def _read_members(self) -> steps.MembersRead:
        await self._registry.exists(CHANGES, watch=True)
        names = await self._registry.children(MEMBERS, watch=True)

        async def read(name: str) -> NodeStat | None:
            try:
                return await self._registry.get(member_path(name))
            except NoNode:
                return None

        found = await self._each(names, read)
        records = (decode_member(name, stat.data, stat.owner or "") for name, stat in sorted(found.items()) if stat)
        return steps.MembersRead(tuple(record for record in records if record is not None))

    async def _publish(self, step: steps.Publish) -> steps.Published | steps.Outrun:
        try:
            await self._guarded(step.guard, [Op("set", PLAN, step.plan.encoded(), version=step.version)])
        except VersionMismatch:
            return steps.Outrun()
        return steps.Published(step.version + 1)

    async def _each(self, keys: Iterable[Any], call: Callable[[Any], Awaitable[Any]]) -> dict[Any, Any]:
        """Call for every key, some at once. The first error of ours is raised as it is."""
        results: dict[Any, Any] = {}
        failures: list[Exception] = []
        wanted = list(keys)
        waiting = iter(wanted)

        async def work(nursery: trio.Nursery) -> None:
            for key in waiting:
                try:
                    results[key] = await call(key)
                except (RegistryUnavailable, AccessDenied, NoNode) as error:
                    failures.append(error)
                    nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for _ in range(min(len(wanted), READS_AT_ONCE)):
                nursery.start_soon(work, nursery)
        if failures:
            raise failures[0]
        return results

    # -- epochs beside the slots

    async def _kept(self, slot: int) -> tuple[int, int] | None:
        """What is recorded of a slot (-1: nothing yet) and the version of its node; None: there is no such node."""
        try:
            stat = await self._registry.get(slot_path(slot))
        except NoNode:
            return None
        return int(stat.data) if stat.data else -1, stat.version

    async def _record(self, wanted: Mapping[int, int]) -> None:
        """Write what is higher than what stands there, over the versions that were read."""
        found = await self._each(wanted, self._kept)
        ops = [
            Op("set", slot_path(slot), str(epoch).encode(), version=kept[1])
            for slot, epoch in wanted.items()
            if (kept := found[slot]) is not None and kept[0] < epoch
        ]
        try:
            await self._registry.transact(ops)
        except (VersionMismatch, NoNode) as error:
            raise RegistryUnavailable(f"epochs were written or removed by somebody else meanwhile: {error}") from error


def _identity(data: bytes) -> steps.Founded:
    """Whose cluster it is, and of how many slots."""
    try:
        found = json.loads(data)
        return steps.Founded(str(found["cluster"]), int(found["slots"]))
    except (ValueError, KeyError, TypeError):
        return steps.Founded("unreadable", 0)
