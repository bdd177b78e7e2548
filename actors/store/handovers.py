"""Hand-overs of partitions: who took which from whom, and why, as far as leases and boots tell.

One row for each raising of an epoch, in its transaction. The cause is read from the former owner's lease as it is then: one that
has lapsed, or was not renewed lately, is of a node that was lost, one that was ended before it lapsed is of a node that left, and
one that goes on is of a living node, which gave the partition away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import attrs

from runtime.clock import SECOND, Instant, Micros
from runtime.records import record

HANDOVERS_KEPT: Final = 20_000
"""Rows that are kept, the newest: eighty takings of all partitions of a usual cluster, some megabytes."""


SILENT: Final = Micros(2 * SECOND)
"""So far behind the lease of its successor is that of a node that has died: no session ends sooner, and no renewal is so late."""


class Cause(StrEnum):
    """Why a partition got another owner. BALANCED: a living node gave it away, to balance the load or because it drains."""

    FOUNDED = "founded"
    RESTART = "restart"
    BALANCED = "balanced"
    LEFT = "left"
    LOST = "lost"


@record
class LeaseRow:
    """A lease as a hand-over looks at it."""

    node: str
    until: Instant
    buried: bool


@record
class Handover:
    """One partition got an owner. `node`, `former_node` None: not known, because that boot has no lease (any more)."""

    partition: int
    epoch: int
    at: Instant
    boot: str
    node: str | None
    former_boot: str | None
    former_node: str | None
    cause: Cause


HANDOVER_COLUMNS: Final = tuple(field.name for field in attrs.fields(Handover))
"""Of the table: its columns are called as the fields are, and `row_of` has their order. The migrations write them out."""


@record
class HandoverFilter:
    """Which hand-overs are looked at, the newest first; all conditions combine."""

    since: Instant
    until: Instant
    partition: int | None = None
    node: str | None = None
    limit: int = 100


def handovers_of(
    raised: Mapping[int, int], former: Mapping[int, str], leases: Mapping[str, LeaseRow], boot: str, now: Instant
) -> list[Handover]:
    """The hand-overs of a raising. `raised`: epochs by partition; `former`: the boots that had them; `leases`: by boot."""
    new = leases.get(boot)
    found = []
    for partition, epoch in raised.items():
        # A partition that nobody has had may have a row, of a fence that was raised.
        before = former.get(partition) or None
        lease = None if before is None else leases.get(before)
        cause = cause_of(boot, new, before, lease, now)
        found.append(Handover(partition, epoch, now, boot, _node(new), before, _node(lease), cause))
    return found


def _node(lease: LeaseRow | None) -> str | None:
    return None if lease is None else lease.node


def cause_of(boot: str, new: LeaseRow | None, former: str | None, lease: LeaseRow | None, now: Instant) -> Cause:
    """Why a boot took a partition from a former one (None: from nobody), of whose leases this is known."""
    if former is None:
        return Cause.FOUNDED
    if former == boot or new is None or lease is None or new.node == lease.node:
        # A node that is alone has no lease, and one that nobody remembers ended a long time ago.
        return Cause.RESTART
    if lease.until <= now:
        return Cause.LOST
    if lease.buried:
        return Cause.LEFT
    # A session may be over before the lease is; both are renewed each second by whoever lives.
    return Cause.LOST if lease.until < new.until - SILENT else Cause.BALANCED


def row_of(handover: Handover) -> tuple[Any, ...]:
    """The values of a row, in the order of the fields."""
    *values, cause = attrs.astuple(handover)
    return (*values, cause.value)


def read_handover(row: Sequence[Any]) -> Handover:
    """A hand-over from the values of its row, in the order of the fields."""
    partition, epoch, at, boot, node, former_boot, former_node, cause = row
    return Handover(partition, epoch, at, boot, node, former_boot, former_node, Cause(cause))


def handover_conditions(wanted: HandoverFilter, mark: str) -> tuple[str, list[Any]]:
    """The conditions of a filter, with what is to be bound at each `mark`."""
    conditions, values = f"at >= {mark} AND at <= {mark}", [wanted.since, wanted.until]
    given: list[Any] = [*values]
    if wanted.partition is not None:
        conditions += f" AND partition = {mark}"
        given.append(wanted.partition)
    if wanted.node is not None:
        conditions += f" AND (node = {mark} OR former_node = {mark})"
        given += [wanted.node, wanted.node]
    return conditions, given
