"""Decisions about links as pure functions: who may be linked, which of two links stays, what proves a key, which peers are
wanted."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final, Literal

from .clock import Micros
from .fabric_messages import PROTOCOL, Hello, Identity, LinkRefused

Role = Literal["dials", "accepts"]

SEAL_BYTES: Final = 16
"""Of the code at the end of each frame: half of SHA-256, as TLS 1.3 has it."""

SAMPLES: Final = 8
"""Heartbeats of late among which the quickest tells the clock's offset best (RFC 5905, section 10)."""

_NUMBERS: Final = 1 << 32

HOSTS: Final = 1_024
"""Hosts whose connections are counted one by one; of more, those that were quiet longest are forgotten."""

MAX_NAME: Final = 255
"""Characters of an id or a name in a handshake."""


def judge(own: Identity, process: str, hello: Hello, expected: str | None) -> None:
    """Raises LinkRefused if a link with this node is out of the question. `expected`: the boot that was dialled."""
    if abs(hello.protocol - PROTOCOL) > 1:
        raise LinkRefused(f"it speaks protocol {hello.protocol}, this node {PROTOCOL}: more than one step apart")
    if hello.cluster_id != own.cluster_id:
        raise LinkRefused(f"it belongs to cluster {hello.cluster_id[:64]!r}, this node to {own.cluster_id!r}")
    if hello.boot == own.boot:
        if hello.process == process:
            raise LinkRefused("the address is this node's own", quiet=True)
        raise LinkRefused(f"it claims to be {own.boot}, which is this node: the same boot twice")
    if not hello.boot or len(hello.boot) > MAX_NAME or len(hello.node) > MAX_NAME:
        raise LinkRefused("its hello has no boot id, or one that is too long")
    if expected is not None and hello.boot != expected:
        raise LinkRefused(f"{hello.boot} answers at the address of {expected}", quiet=True)
    if hello.to not in ("", own.boot):
        raise LinkRefused(f"{hello.to[:MAX_NAME]!r} is not here; this is {own.boot}", quiet=True)


def wins(own: str, peer: str, *, dialled: bool, process: str, old_dialled: bool, old_process: str) -> bool:
    """Whether a new link with a peer replaces the one there is. Raises LinkRefused if the peer is there twice.

    Both ends must come to the same answer alone: of two links that were made in opposite directions the one stays that the
    smaller boot dialled. Of two that were made in the same direction the later one stays: its dialler had lost the former.
    """
    if process != old_process:
        raise LinkRefused(f"{peer} is linked already from another process: the same boot twice")
    if dialled == old_dialled:
        return True
    return dialled == (own < peer)


def transcript(dialler: bytes, accepter: bytes) -> bytes:
    """What both have said, as the thing that proofs are about: nothing of it can be changed, replayed or left out."""
    return hashlib.sha256(hashlib.sha256(dialler).digest() + hashlib.sha256(accepter).digest()).digest()


def mark(key: bytes, cluster_id: str, boot: str) -> str:
    """What a node that has the key can show without a link: others that have it can tell. Empty without a key."""
    return hmac.digest(key, f"tocsin member {cluster_id} {boot}".encode(), "sha256").hex() if key else ""


def proof(key: bytes, role: Role, said: bytes) -> bytes:
    """The code by which the one in this role shows that it has the key."""
    return hmac.digest(key, b"tocsin link, " + role.encode() + said, "sha256")


def proves(code: bytes, key: bytes, role: Role, said: bytes) -> bool:
    """Whether a code is the one expected; takes the same time for every wrong one."""
    return hmac.compare_digest(code, proof(key, role, said))


class Seal:
    """Codes at the end of frames, where TLS does not guard them: an altered, repeated or missing frame ends the link.

    Without a key it still finds what broken machinery does to bytes.
    """

    def __init__(self, key: bytes, said: bytes, role: Role) -> None:
        other: Role = "accepts" if role == "dials" else "dials"
        self._send_key = proof(key, role, said + b"frames")
        self._receive_key = proof(key, other, said + b"frames")
        self._sent = self._received = 0

    def close(self, body: bytes) -> bytes:
        """A frame with its code."""
        self._sent += 1
        return body + self._code(self._send_key, self._sent, body)

    def open(self, frame: bytes) -> bytes:
        """What was closed. Raises LinkRefused if it is not what was sent."""
        body, code = frame[:-SEAL_BYTES], frame[-SEAL_BYTES:]
        self._received += 1
        if not hmac.compare_digest(code, self._code(self._receive_key, self._received, body)):
            raise LinkRefused("a frame was altered on its way")
        return body

    def _code(self, key: bytes, number: int, body: bytes) -> bytes:
        return hmac.digest(key, number.to_bytes(8, "big") + body, "sha256")[:SEAL_BYTES]


class NoSeal:
    """Frames as they are: TLS guards them."""

    def close(self, body: bytes) -> bytes:
        """The frame itself."""
        return body

    def open(self, frame: bytes) -> bytes:
        """The frame itself."""
        return frame


def wanted(own: str, known: Iterable[str], full_mesh: int, fan_out: int) -> frozenset[str]:
    """The boots to which this node keeps links: all while the cluster has at most `full_mesh` nodes, otherwise `fan_out` of
    them.

    By rendezvous, so that a node that comes or goes changes few links. Links that others make come on top; random graphs of this
    degree hang together.
    """
    others = sorted(set(known) - {own})
    if len(others) < full_mesh:
        return frozenset(others)
    return frozenset(sorted(others, key=lambda boot: (_score(own, boot), boot))[:fan_out])


def _score(own: str, boot: str) -> bytes:
    return hashlib.blake2b(f"{own}>{boot}".encode(), digest_size=8).digest()


class RateLimiter:
    """How often each host may connect: a bucket per host that fills at `rate` per second up to `burst`."""

    def __init__(self, rate: float, burst: float, hosts: int = HOSTS) -> None:
        self._rate, self._burst, self._hosts = rate, burst, hosts
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, host: str, now: float) -> bool:
        """Take one from the host's bucket, if there is one. `now`: seconds that never step."""
        left, seen = self._buckets.pop(host, (self._burst, now))
        left = min(self._burst, left + (now - seen) * self._rate)
        allowed = left >= 1.0
        self._buckets[host] = (left - 1.0 if allowed else left, now)
        if len(self._buckets) > self._hosts:
            self._buckets.popitem(last=False)
        return allowed


class ClockOffset:
    """The offset of a peer's wall clock, from heartbeats with four timestamps."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=SAMPLES)
        self._number = 0

    def next_number(self) -> int:
        """A number for the next heartbeat: two links with a peer may overlap, and must not take each other's answers."""
        self._number = (self._number + 1) % _NUMBERS
        return self._number

    def add(self, sent: int, heard: int, answered: int, returned: int, round_trip: int) -> None:
        """One heartbeat: our wall clock at sending, the peer's at hearing and answering, ours at the answer's return;
        microseconds.
        `round_trip`: by our monotonic clock, because the wall clock may step meanwhile."""
        self._samples.append((max(0, round_trip - (answered - heard)), ((heard - sent) + (answered - returned)) // 2))

    @property
    def round_trip(self) -> Micros | None:
        """The quickest of late."""
        return Micros(min(self._samples)[0]) if self._samples else None

    @property
    def offset(self) -> Micros | None:
        """The peer's clock minus ours, by the quickest heartbeat of late: it is wrong by half of its round trip at most."""
        return Micros(min(self._samples)[1]) if self._samples else None


class Complaints:
    """Which complaints are worth a line: one about each subject and minute."""

    def __init__(self, seconds: float = 60.0, subjects: int = HOSTS) -> None:
        self._seconds, self._subjects = seconds, subjects
        self._said: OrderedDict[str, float] = OrderedDict()

    def worth_saying(self, subject: str, now: float) -> bool:
        """Whether a minute has passed since the last line about the subject; counts as said if so."""
        said = self._said.get(subject)
        if said is not None and now - said < self._seconds:
            return False
        self._said.pop(subject, None)
        self._said[subject] = now
        if len(self._said) > self._subjects:
            self._said.popitem(last=False)
        return True
