"""The vocabulary of a coordinator in a cluster. Boots are told with what is done under them: a node may get another one."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from runtime.coordination_messages import CoordinationEvent, Member

# What the coordinator hears.


@attrs.frozen
class Tick:
    """Look at the time."""


@attrs.frozen
class Describe:
    """The node has other attributes from now on."""

    attributes: Mapping[str, str]


@attrs.frozen
class Estranged:
    """The other nodes will have no links with this one, for this reason; None: nothing is known against it."""

    reason: str | None


@attrs.frozen
class Drain:
    """Give everything up and take nothing, or (`on` False) take part again."""

    on: bool = True


@attrs.frozen
class Enrolled:
    """The store has a lease for the boot; asked for at `sent`."""

    boot: str
    sent: float


@attrs.frozen
class Refused:
    """The store has no lease for the boot: an earlier process of this name still has one."""

    boot: str
    reason: str


@attrs.frozen
class Renewed:
    """The lease of the boot was made longer; asked for at `sent`."""

    boot: str
    sent: float


@attrs.frozen
class Buried:
    """The boot counts as dead for ever. `fresh`: a boot id to go on with."""

    boot: str
    fresh: str


@attrs.frozen
class Compared:
    """What the coordination has recorded, read between two readings of the store's epochs."""

    before: Mapping[int, int]
    recorded: Mapping[int, int]
    after: Mapping[int, int]


@attrs.frozen
class Foreign:
    """The coordination belongs to another cluster: what it has recorded says nothing about this one."""

    reason: str


@attrs.frozen
class Seen:
    """The cluster's time zone database, as the store has it."""

    timezone_database: str


@attrs.frozen
class Asked:
    """Slots were asked for."""


@attrs.frozen
class Raised:
    """The store has raised these epochs for the boot; a slot that is not here was refused."""

    boot: str
    epochs: Mapping[int, int]
    asked: Mapping[int, int]


@attrs.frozen
class Recorded:
    """These epochs stand beside the slots."""

    epochs: Mapping[int, int]


@attrs.frozen
class Swept:
    """Dead boots were buried, what they left behind in own partitions was told. `alive`: boots that are not buried."""

    alive: tuple[str, ...]


@attrs.frozen
class Switched:
    """The cluster's time zone database was set."""


@attrs.frozen
class Unanswered:
    """Store or coordination did not answer. It may have been carried out."""

    work: Work


Event = (
    CoordinationEvent | Tick | Describe | Estranged | Drain | Enrolled | Refused | Renewed | Buried | Compared | Foreign | Seen
    | Asked | Raised | Recorded | Swept | Switched | Unanswered
)  # fmt: skip

# What the coordinator wants done: work of store and coordination, which takes its time; each kind is under way once at most.


@attrs.frozen
class Enrol:
    """A lease for the boot."""

    boot: str


@attrs.frozen
class Renew:
    """Make the lease of the boot longer."""

    boot: str


@attrs.frozen
class Compare:
    """Read the epochs of the store and those that the coordination has recorded."""


@attrs.frozen
class See:
    """Read what holds for all nodes."""


@attrs.frozen
class Ask:
    """Ask for slots, telling the grants that the store knows."""


@attrs.frozen
class Raise:
    """Raise the epochs of these slots in the store for the boot, before anything of them is read."""

    boot: str
    grants: Mapping[int, int]


@attrs.frozen
class Record:
    """Write these epochs down beside the slots."""

    epochs: Mapping[int, int]


@attrs.frozen
class Sweep:
    """Bury dead boots that are not members, and have recovered what they left behind in these partitions."""

    members: tuple[str, ...]
    partitions: tuple[int, ...]


@attrs.frozen
class Switch:
    """Make this the cluster's time zone database."""

    timezone_database: str


Work = Enrol | Renew | Compare | See | Ask | Raise | Record | Sweep | Switch

# And what is told to others, at once and in order.


@attrs.frozen
class Join:
    """Take part as this member."""

    member: Member


@attrs.frozen
class Declare:
    """Be this member from now on."""

    member: Member


@attrs.frozen
class Release:
    """Others may take these slots."""

    slots: frozenset[int]


@attrs.frozen
class Announce:
    """Tell keeper and timer for which partitions this node acts from now on, as which boot, under which epochs."""

    boot: str
    epochs: Mapping[int, int]


@attrs.frozen
class DoubtLease:
    """The lease may run out before it is renewed: end what runs."""


@attrs.frozen
class TrustLease:
    """The lease is renewed again."""


@attrs.frozen
class LoseLease:
    """The former boot is dead for ever; the node goes on as another one."""

    former: str
    boot: str


@attrs.frozen
class TellZones:
    """The cluster has this node's time zone database now: next fires are computed anew."""


@attrs.frozen
class Complain:
    """Tell whoever operates the node. `problem` None: the former one is over."""

    problem: str | None


Order = Join | Declare | Release | Announce | DoubtLease | TrustLease | LoseLease | TellZones | Complain
Directive = Work | Order
