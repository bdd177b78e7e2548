"""What the fabric is given, what it tells about its links, and what two nodes say to each other before they are linked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from .clock import Micros
from .errors import InvalidRequest, TocsinError
from .records import record

PROTOCOL: Final = 1
"""Raised with each change of what goes over a link. Nodes one apart understand each other, so that a cluster can be upgraded."""

MAX_MESSAGE: Final = 256 * 1024
"""Bytes of one message. What is larger belongs into the store; it would also hold up everything queued behind it."""

MAX_FRAME: Final = 512 * 1024
"""Bytes of one frame: a batch of 64 KiB that was begun, with one message of the largest size added."""

MIN_KEY: Final = 16
"""Bytes of a shared cluster key: who listens to a handshake can try keys at home, so short ones are refused."""


class LinkRefused(TocsinError):
    """One of two nodes does not want the link; the message tells why. `quiet`: a matter of course, such as a second link."""

    def __init__(self, message: str, *, quiet: bool = False) -> None:
        super().__init__(message)
        self.quiet = quiet


class PeerFailed(TocsinError):
    """The peer heard the question and has no answer: nobody there answers such questions, it is too busy, or its handler
    failed."""


@attrs.frozen
class Identity:
    """Who a node is to others. `boot`: this incarnation. `attributes`: whatever floor 2 wants its peers to know at once."""

    cluster_id: str
    node: str
    boot: str
    attributes: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Endpoint:
    """Where a node accepts links: its name, and HOST:PORT."""

    name: str
    address: str


@attrs.frozen
class Tls:
    """Mutual TLS: files in PEM. `ca`: whose certificates peers must present; `certificate`, `key`: our own."""

    ca: Path
    certificate: Path
    key: Path


@attrs.frozen
class Security:
    """How nodes know each other: by certificates, by a key that all of them have (at least 16 bytes), by both; without
    either only addresses that this machine alone can reach are served.

    `also`: keys that peers may have beside, while the key is changed from node to node; they are never shown.
    """

    tls: Tls | None = None
    key: bytes = attrs.field(default=b"", repr=False)
    also: tuple[bytes, ...] = attrs.field(default=(), repr=False)

    def __attrs_post_init__(self) -> None:
        if self.also and not self.key:
            raise InvalidRequest("a key that peers may have beside needs one of our own")
        for key in filter(None, (self.key, *self.also)):
            if len(key) < MIN_KEY:
                raise InvalidRequest(f"the cluster key has {len(key)} bytes; {MIN_KEY} are the least")


@attrs.frozen
class Limits:
    """Every bound of the fabric. Sizes in bytes, times in seconds."""

    max_message: int = MAX_MESSAGE
    max_frame: int = MAX_FRAME
    batch: int = 64 * 1024
    """Of what has piled up, so much goes into one frame: large enough that the cost of a send vanishes, small enough that a
    heartbeat waits for a fraction of a millisecond."""
    queue_messages: int = 50_000
    queue_bytes: int = 8 * 1024 * 1024
    """Per peer; what comes on top is dropped and `tell` says so. Two seconds of a peer that reads 25,000 messages per second."""
    handshake_seconds: float = 4.0
    """For each of connecting, TLS, and the rest: a node under load needs tens of milliseconds."""
    handshake_bytes: int = 16 * 1024
    """Of one frame before a peer is known."""
    handshakes: int = 64
    """At the same time; more connections are closed at once."""
    accepts_per_second: float = 50.0
    """Connections per host, after a first burst of as many again; a restarted cluster of 100 nodes on one machine is
    through in a second."""
    links: int = 1_024
    full_mesh: int = 16
    """Up to so many nodes everybody is linked to everybody."""
    fan_out: int = 5
    """Links that each node makes in a larger cluster; the others are made when they are needed."""
    idle_seconds: float = 60.0
    """Without a message for so long, a link that was made on demand is given up."""
    heartbeat_seconds: float = 1.0
    missed_heartbeats: int = 3
    """In a row without an answer: the peer is frozen, or the way to it is cut."""
    send_seconds: float = 3.0
    """For one frame to leave."""
    first_pause: float = 0.05
    last_pause: float = 1.0
    """Between two attempts to connect; doubled each time."""
    answers: int = 64
    """Questions of one peer that are being answered at the same time."""
    asks: int = 1_024
    """Own questions to one peer that wait for their answers."""


@attrs.frozen
class LinkStatus:
    """One peer as the fabric sees it. Counts are of messages since the peer was first known. `offset`: its wall clock minus
    ours; None until measured. `round_trip`: the smallest of late. `dialled`: by us. `refused`: could not be read or handled."""

    boot: str
    node: str
    address: str
    up: bool
    dialled: bool
    sent: int
    received: int
    dropped: int
    refused: int
    queued: int
    queued_bytes: int
    round_trip: Micros | None
    offset: Micros | None
    attributes: Mapping[str, str]


@record
class Hello:
    """Who is here. `process` tells two processes with the same boot id apart. `to`: the boot that is meant, empty in the
    reply."""

    protocol: int
    cluster_id: str
    node: str
    boot: str
    process: str
    nonce: bytes
    to: str
    attributes: Mapping[str, str]


@record
class Proof:
    """That its sender knows the key; over both hellos and the sender's role."""

    code: bytes


@record
class Refused:
    """There will be no link. `quiet`: no reason for anybody to look into it."""

    reason: str
    quiet: bool
