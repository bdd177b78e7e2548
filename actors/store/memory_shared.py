"""The memory adapter's part for several nodes in one process: leases, and the guards that go with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import attrs

from runtime.clock import Instant
from runtime.errors import Conflict, LeaseLost, LimitReached, StaleVersion, TocsinError

from ..model.lifecycle import State
from ..model.task import Definition
from .handovers import LeaseRow
from .memory_rows import Record, is_running, stale_epoch
from .port import Create, Update
from .shared import LEASES_KEPT, has_claim, limits_of, needs_graph, until

_BEGIN: Final = Instant(0)


def _standing() -> Instant:
    return _BEGIN


@attrs.define
class Lease:
    """The row of a boot."""

    node: str
    until: Instant
    buried: bool = False


class Leases:
    """The leases by boot. Without a clock they do not lapse."""

    def __init__(self, clock: Callable[[], Instant] | None) -> None:
        self._clock = clock or _standing
        self._held: dict[str, Lease] = {}

    def enrol(self, boot: str, node: str, seconds: float) -> None:
        """See the port."""
        now = self._clock()
        for other, lease in self._held.items():
            if lease.node == node and other != boot and not lease.buried and lease.until > now:
                raise Conflict(f"the node name {node!r} is in use: its boot {other} has a lease")
        kept = {key: lease for key, lease in self._held.items() if not lease.buried or lease.until > now - LEASES_KEPT}
        if kept.setdefault(boot, Lease(node, now)).buried:
            raise LeaseLost(f"the lease of boot {boot} has ended for ever")
        self._held = kept
        self.renew(boot, seconds)

    def renew(self, boot: str, seconds: float) -> bool:
        """See the port."""
        if not self.lives(boot):
            return False
        self._held[boot].until = until(self._clock(), seconds)
        return True

    def rows(self) -> tuple[dict[str, LeaseRow], Instant]:
        """The leases as hand-overs look at them, and the time by which they are measured."""
        return {boot: LeaseRow(one.node, one.until, one.buried) for boot, one in self._held.items()}, self._clock()

    def lives(self, boot: str) -> bool:
        """Whether a boot has a lease that is not buried."""
        return boot in self._held and not self._held[boot].buried

    def leave(self, boot: str) -> None:
        """See the port."""
        if boot in self._held:
            self._held[boot].buried = True

    def bury(self, members: Sequence[str]) -> tuple[str, ...]:
        """See the port."""
        now = self._clock()
        for boot, lease in self._held.items():
            if lease.until <= now and boot not in members:
                lease.buried = True
        known = {*members, *self._held}
        return tuple(sorted(boot for boot in known if boot not in self._held or not self._held[boot].buried))

    def dead_boots(self, records: Iterable[Record]) -> list[str]:
        """See the port."""
        entries = (entry for record in records for entry in record.open.values() if is_running(entry))
        return sorted({entry.boot for entry in entries if entry.boot is not None and not self.lives(entry.boot)})

    def live(self) -> tuple[str, ...]:
        """Those whose leases are neither buried nor lapsed."""
        now = self._clock()
        return tuple(sorted(boot for boot, lease in self._held.items() if not lease.buried and lease.until > now))


@attrs.frozen
class Guards:
    """What holds for a commit as a whole: stale partitions, whether its boot is dead, whether its graph has grown."""

    stale: set[int]
    dead: bool
    grown: bool

    def refusal(self, change: Create | Update) -> TocsinError | None:
        """Why a change may not be made, if one of them says so."""
        if change.partition in self.stale:
            return stale_epoch(change.partition)
        if self.dead and has_claim(change):
            return LeaseLost("the boot of this commit has no lease and may not claim")
        if self.grown and needs_graph(change):
            return StaleVersion("dependencies have changed since this was decided")
        return None


def in_turn(updates: Sequence[Update]) -> Iterable[Update]:
    """Updates in the order in which they are made: those that claim under a limit come last."""
    if all(write.key_limit is None for update in updates for write in update.executions):
        return updates
    return sorted(updates, key=lambda update: bool(limits_of(update)))


def reached(tasks: Mapping[str, Record], update: Update) -> LimitReached | None:
    """Why an update claims too much, if it does."""
    for key, limit in limits_of(update).items():
        own = tasks[update.task_id]
        tenant = (update.definition or own.definition).tenant
        after = own.open | {write.execution.id: write.execution for write in update.executions}
        entries = [entry for record in _of_tenant(tasks.values(), tenant) for entry in record.open.values()]
        others = [entry for entry in entries if entry.task_id != update.task_id]
        if sum(entry.key == key and is_running(entry) for entry in (*others, *after.values())) > limit:
            return LimitReached(f"{limit} executions hold the concurrency key {key!r} already")
    return None


def _of_tenant(records: Iterable[Record], tenant: str) -> Iterable[Record]:
    return (record for record in records if record.definition.tenant == tenant)


def parents_of(definition: Definition) -> tuple[str, ...]:
    """The tasks that a task waits for."""
    return () if definition.dependencies is None else definition.dependencies.parents


def told_to_stop(records: Iterable[Record], boot: str) -> list[str]:
    """See the port."""
    entries = (entry for record in records for entry in record.open.values() if entry.cancel_reason is not None)
    return sorted({entry.task_id for entry in entries if entry.state is State.RUNNING and entry.boot == boot})
