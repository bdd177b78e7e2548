"""The vocabulary of `coordination_core`: what it hears, and what it wants done with the registry, one step at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from .coordination_messages import CoordinationEvent, Member
from .coordination_plan import MemberRecord, Plan
from .registry_messages import RegistryEvent

# What the core hears: the registry's events, the node's wishes, the time, and what became of its steps.


@attrs.frozen
class Join:
    """The node takes part as this member, from the beginning."""

    member: Member


@attrs.frozen
class Request:
    """The node wants slots; the store knows these grants."""

    former: Mapping[int, int]


@attrs.frozen
class Released:
    """The node does not act for these slots any more."""

    slots: frozenset[int]


@attrs.frozen
class Describe:
    """The node has other attributes or another weight."""

    member: Member


@attrs.frozen
class Leave:
    """The node takes part no more."""


@attrs.frozen
class Tick:
    """Look at the time."""


@attrs.frozen
class Founded:
    """What stands in the root: the id of the cluster and the number of its slots."""

    cluster_id: str
    slots: int


@attrs.frozen
class Stood:
    """The own candidacy for leadership, and the one before it, which is watched; None: this node leads."""

    candidacy: str
    predecessor: str | None


@attrs.frozen
class Entered:
    """Who has the own name: the session of the node in the registry, its version, the timeout that it speaks of in seconds."""

    session: str
    version: int
    timeout: float


@attrs.frozen
class PlanRead:
    """The leader's word and the version of its node."""

    plan: Plan
    version: int


@attrs.frozen
class OwnersRead:
    """The sessions that have the owner nodes of these slots; None: nobody."""

    owners: Mapping[int, str | None]


@attrs.frozen
class Taken:
    """The owner nodes were made."""


@attrs.frozen
class Occupied:
    """One of the owner nodes is there already: none was made."""


@attrs.frozen
class Given:
    """The own ones of these owner nodes are gone."""


@attrs.frozen
class MembersRead:
    """All members as they wrote themselves down."""

    records: tuple[MemberRecord, ...]


@attrs.frozen
class Published:
    """The plan was written; the version of its node."""

    version: int


@attrs.frozen
class Outrun:
    """Somebody else has written the plan."""


@attrs.frozen
class Written:
    """The own record was written."""


@attrs.frozen
class Probed:
    """A write to the own member node that was sent then (monotonic seconds) was answered."""

    sent: float


@attrs.frozen
class Failed:
    """No answer: it may have been carried out or not."""


@attrs.frozen
class Astray:
    """The own candidacy is not there: what was known of the own session does not hold."""


@attrs.frozen
class Denied:
    """The servers will not do this, however often they are asked."""

    reason: str


Outcome = (
    Founded | Stood | Entered | PlanRead | OwnersRead | Taken | Occupied | Given | MembersRead | Published | Outrun
    | Written | Probed | Failed | Astray | Denied
)  # fmt: skip

ANSWERED_WRITES: Final = (Taken, Given, Published, Written, Probed)
"""What only comes of a write that was answered."""


@attrs.frozen
class Done:
    """What became of a step."""

    step: Step
    outcome: Outcome


Event = RegistryEvent | Join | Request | Released | Describe | Leave | Tick | Done

# What the core wants done. `guard` is the own candidacy: writes are made under a check that it exists, so that none of them is
# carried out in another session than the one it was decided in.


@attrs.frozen
class Found:
    """See to the root, which is made if there is none; `Founded` tells what stands there."""

    cluster_id: str
    slots: int


@attrs.frozen
class Stand:
    """Make the own candidacy, or find it, and watch the one before it."""

    session: str


@attrs.frozen
class Enter:
    """Make the own member node, or look (and watch) who has the name."""

    name: str
    data: bytes
    guard: str


@attrs.frozen
class ReadPlan:
    """Read the leader's word, and watch it."""


@attrs.frozen
class ReadOwners:
    """Look who has the owner nodes; `watch`: and be told when they go."""

    slots: tuple[int, ...]
    watch: bool


@attrs.frozen
class Take:
    """Make these owner nodes, all or none."""

    slots: tuple[int, ...]
    guard: str


@attrs.frozen
class Give:
    """Remove these owner nodes."""

    slots: tuple[int, ...]
    guard: str
    session: str


@attrs.frozen
class ReadMembers:
    """Read all members, and watch who comes, goes or describes itself anew."""


@attrs.frozen
class Publish:
    """Write the plan over this version of it."""

    plan: Plan
    guard: str
    version: int


@attrs.frozen
class Write:
    """Write the own record, and tell the leader that it has changed."""

    name: str
    data: bytes
    guard: str


@attrs.frozen
class Probe:
    """Write the own record as it is. May be under way beside another step."""

    name: str
    data: bytes
    guard: str


@attrs.frozen
class Tell:
    """The node is told this."""

    event: CoordinationEvent


Step = Found | Stand | Enter | ReadPlan | ReadOwners | Take | Give | ReadMembers | Publish | Write | Probe
Directive = Step | Tell

# Where things are in the registry.

CLUSTER = "/cluster"
MEMBERS = "/members"
CHANGES = "/changes"
"""Written by whoever describes itself anew. The leader watches it in place of every member's node, which probes write."""
LEADER = "/leader"
PLAN = "/assignment"
SLOTS = "/slots"


def member_path(name: str) -> str:
    """The ephemeral node of a member."""
    return f"{MEMBERS}/{name}"


def slot_path(slot: int) -> str:
    """The node that keeps the highest epoch of a slot."""
    return f"{SLOTS}/{slot}"


def owner_path(slot: int) -> str:
    """The ephemeral node of a slot's holder."""
    return f"{SLOTS}/{slot}/owner"
