"""The vocabulary of gossip: what nodes tell each other of themselves and of one another, and what the core hears and wants.

None of these messages creates, owns, cancels or runs anything. Names and boots are texts, versions and incarnations whole
numbers that only their node raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from runtime.clock import Micros
from runtime.coordination_messages import Member
from runtime.records import record

from .model.peer import Peer

# What is said of a member. The greater of two claims is true; see `gossip_table.newer`.


class Life(IntEnum):
    """What is claimed of a member, the stronger word last. Only the member itself says that it has left."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3


@record
class Claim:
    """`name` runs under `boot` and lives, or not. `by`: who says so of a suspect, so that doubts can be counted."""

    name: str
    boot: str
    incarnation: int
    life: Life
    by: str = ""


@record
class Profile:
    """What changes seldom in a node. `catalogue`: the digest of its task types, empty if it has none."""

    name: str
    boot: str
    version: int
    address: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    catalogue: str = ""
    timezone_database: str = ""
    release: str = ""


@record
class Load:
    """What changes often in a node; the fields are those of `Peer`."""

    name: str
    boot: str
    version: int
    executor: bool = True
    draining: bool = False
    slots: int = 0
    free: int = 0
    running: int = 0


@record
class News:
    """What is passed on with whatever else is said."""

    claims: tuple[Claim, ...] = ()
    profiles: tuple[Profile, ...] = ()
    loads: tuple[Load, ...] = ()


NOTHING: Final = News()


@record
class Entry:
    """All that a node knows of a member. `seconds`: how long it has been dead or gone."""

    claim: Claim
    profile: Profile | None = None
    load: Load | None = None
    seconds: float = 0.0


# What nodes tell each other.


@record
class Ping:
    """Are you there? To be answered at once with the same number."""

    number: int
    news: News = NOTHING


@record
class Ack:
    """Here I am; or: whom you had me ask is."""

    number: int
    news: News = NOTHING


@record
class PingRequest:
    """Ask this boot for me."""

    number: int
    boot: str
    news: News = NOTHING


@record
class Nack:
    """Whom you had me ask has not answered so far; but I am here."""

    number: int


@record
class Gossip:
    """Nothing but news."""

    news: News


@record
class Compare:
    """Is what you know the same as what I know? `State` is answered if it is not."""

    digest: int


@record
class State:
    """What the sender knows of all members named after `after`, up to `upto` (None: all the rest).

    `answer`: tell me what you know better.
    """

    entries: tuple[Entry, ...]
    after: str = ""
    upto: str | None = None
    answer: bool = False


@record
class Ask:
    """What are these members like, and what is in these catalogues?"""

    names: tuple[str, ...] = ()
    catalogues: tuple[str, ...] = ()


@record
class Catalogue:
    """The task types behind a digest."""

    digest: str
    types: tuple[str, ...]


GossipMessage = Ping | Ack | PingRequest | Nack | Gossip | Compare | State | Ask | Catalogue

TAGS: Final[Mapping[int, type]] = {
    10: Ping,
    11: Ack,
    12: PingRequest,
    13: Nack,
    14: Gossip,
    15: Compare,
    16: State,
    17: Ask,
    18: Catalogue,
}
"""The numbers of the messages on the wire; a number is never given to another message."""

# What the core hears.


@record
class Received:
    """A node told something."""

    boot: str
    message: object


@record
class Members:
    """All members, by the coordination service."""

    members: tuple[Member, ...]


@record
class Link:
    """The link to a boot came up, or broke."""

    boot: str
    up: bool


@record
class Offsets:
    """How far the wall clocks of other boots are ahead of ours, as measured on the links."""

    offsets: Mapping[str, Micros]


@record
class Mine:
    """What this node is like now; name and boot stay."""

    peer: Peer


@record
class Leave:
    """This node ends: say so."""


@record
class Tick:
    """Look at the time. May come early, late or twice."""


Event = Received | Members | Link | Offsets | Mine | Leave | Tick

# What the core wants done.


@record
class Send:
    """Tell a boot, at most once."""

    boot: str
    message: GossipMessage


@record
class SetAlarm:
    """Tick at this monotonic time, in seconds."""

    at: float


@record
class PeersChanged:
    """All nodes as they are now, by name, this one among them."""

    peers: tuple[Peer, ...]


@record
class Gone:
    """This boot seems to be dead: a hint, told once unless it comes back."""

    boot: str


Directive = Send | SetAlarm | PeersChanged | Gone
