"""How two nodes make sure of each other before anything else is said.

The dialler says hello, the accepter answers with its own; then each proves that it has the cluster's key, the dialler first, so
that strangers learn nothing that they could work on. The key is never sent. While it is changed an accepter takes one of two, and
goes on with the one that the dialler has proven. Without a key the proofs only show that both have
heard the same; who may connect at all is then decided by TLS, or by the address being this machine's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from .codec import Codec, CodecError
from .fabric_core import NoSeal, Role, Seal, judge, proof, proves, transcript
from .fabric_messages import PROTOCOL, Hello, Identity, LinkRefused, Proof, Refused
from .websocket import FrameStream

WRONG_KEY = "it has another cluster key"


@attrs.frozen
class Introduction:
    """What one end brings to a handshake. `nonce`: never used before. `sealed`: whether frames need codes, as without TLS.

    `keys`: our own, and then those that who dials us may have beside.
    """

    identity: Identity
    process: str
    nonce: bytes
    keys: tuple[bytes, ...] = attrs.field(repr=False)
    sealed: bool
    limit: int

    def hello(self, to: str) -> Hello:
        """Our own hello to a boot; the empty text in an answer."""
        own = self.identity
        return Hello(PROTOCOL, own.cluster_id, own.node, own.boot, self.process, self.nonce, to, own.attributes)

    def seal(self, key: bytes, said: bytes, role: Role) -> Seal | NoSeal:
        """What guards the frames from now on."""
        return Seal(key, said, role) if self.sealed else NoSeal()


Established = tuple[Hello, Seal | NoSeal]
"""Who the peer is, and what guards the frames."""


def handshake_codec(limit: int) -> Codec:
    """The words of a handshake; their tags are their own."""
    codec = Codec(limit, limit)
    for tag, kind in enumerate((Hello, Proof, Refused), 1):
        codec.register(tag, kind)
    return codec


async def introduce(frames: FrameStream, own: Introduction, expected: str) -> Established:
    """The handshake of who has dialled the boot `expected`. Raises LinkRefused, LinkBroken."""
    codec = handshake_codec(own.limit)
    said = codec.encode(own.hello(expected))
    await frames.send(said)
    heard, hello = await _hear(frames, codec, Hello)
    judge(own.identity, own.process, hello, expected)
    both = transcript(said, heard)
    key = own.keys[0]
    await frames.send(codec.encode(Proof(proof(key, "dials", both))))
    _, answer = await _hear(frames, codec, Proof)
    _proven((key,), answer, "accepts", both)
    return hello, own.seal(key, both, "dials")


async def welcome(frames: FrameStream, own: Introduction, admit: Callable[[Hello], None]) -> Established:
    """The handshake of who was dialled. `admit` raises LinkRefused for a proven peer that is not wanted. Raises
    LinkRefused, LinkBroken."""
    codec = handshake_codec(own.limit)
    try:
        heard, hello = await _hear(frames, codec, Hello)
        judge(own.identity, own.process, hello, None)
        said = codec.encode(own.hello(""))
        await frames.send(said)
        both = transcript(heard, said)
        _, answer = await _hear(frames, codec, Proof)
        key = _proven(own.keys, answer, "dials", both)
        admit(hello)
    except LinkRefused as refusal:
        await frames.send(codec.encode(Refused(str(refusal), refusal.quiet)))
        raise
    await frames.send(codec.encode(Proof(proof(key, "accepts", both))))
    return hello, own.seal(key, both, "accepts")


async def _hear(frames: FrameStream, codec: Codec, kind: type) -> tuple[bytes, Any]:
    """The next word, which must be of a kind; as bytes and as what it says."""
    data = await frames.receive()
    try:
        word = codec.decode(data)
    except CodecError as error:
        raise LinkRefused(f"its handshake cannot be read: {error}") from None
    if isinstance(word, Refused):
        raise LinkRefused(f"it refuses: {word.reason[:300]!r}", quiet=word.quiet)
    if not isinstance(word, kind):
        raise LinkRefused(f"it says {type(word).__name__} where {kind.__name__} belongs")
    return data, word


def _proven(keys: tuple[bytes, ...], answer: Proof, role: Role, both: bytes) -> bytes:
    """The key that the peer has proven to have."""
    found = [key for key in keys if proves(answer.code, key, role, both)]
    if not found:
        raise LinkRefused(WRONG_KEY)
    return found[0]
