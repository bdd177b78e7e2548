"""Signed webhooks, by the Standard Webhooks specification: for those who receive them, and for the node that sends them.

A request carries an id that all tries of it share, the second at which it was sent, and one signature for each secret that holds:
HMAC-SHA256 over id, time and body, so none of them can be changed and nobody can send an old request again.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"

PREFIX: Final = "whsec_"
"""Of every secret: programs that search for secrets know it by that."""

SECRET_BYTES: Final = range(24, 65)
"""How long a secret may be, without its prefix and decoded: as the specification has it."""

TOLERANCE_SECONDS: Final = 300.0
"""How far the sender's clock may be from ours, either way: the specification's own; longer lets old requests be sent again."""

MOST_SIGNATURES: Final = 16
"""Of one request: a rotation needs two."""

_VERSION: Final = "v1"


class InvalidSignature(Exception):
    """A request that was not signed with the secret, was changed on its way, or is too old; the text tells which."""


def verify(
    body: bytes | str,
    headers: Mapping[str, str],
    secrets: str | Iterable[str],
    *,
    tolerance: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> str:
    """Check a request that claims to be a webhook of ours, before anything is done with it.

    body: as it was received, not parsed and written anew. headers: in any letter case. secrets: `whsec_...`, or several of them
    during a rotation. tolerance: seconds that its time may be from ours. now: seconds since 1970; if not given, now.

    Answers the request's id, which is the same whenever it is tried again. Raises InvalidSignature, and ValueError for a secret
    that is none.
    """
    keys = [key_of(secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    given = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not given.get(name)]
    if missing:
        raise InvalidSignature(f"the header {missing[0]} is missing")
    _check_time(given[TIMESTAMP], tolerance, time.time() if now is None else now)
    content = body.encode() if isinstance(body, str) else body
    shown = given[SIGNATURE].split()[:MOST_SIGNATURES]
    right = False
    for key in keys:
        expected = _signature(key, given[ID], given[TIMESTAMP], content).encode()
        for one in shown:
            # No shortcut: how long it takes tells nothing.
            right |= hmac.compare_digest(one.encode(errors="replace"), expected)
    if not right:
        raise InvalidSignature("no signature is one of this secret")
    return given[ID]


def _check_time(text: str, tolerance: float, now: float) -> None:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise InvalidSignature(f"{TIMESTAMP}: seconds since 1970, not {text[:40]!r}")
    if abs(now - int(text)) > tolerance:
        raise InvalidSignature(f"{TIMESTAMP}: {now - int(text):+.0f} s from now, at most {tolerance:g} s")


def signed(message_id: str, at: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """The headers of a request. at: seconds since 1970. keys: of all secrets that hold, decoded."""
    signatures = " ".join(_signature(key, message_id, str(at), body) for key in keys)
    return {ID: message_id, TIMESTAMP: str(at), SIGNATURE: signatures}


def key_of(secret: str) -> bytes:
    """The key that a secret stands for. Raises ValueError, without the secret in it."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or len(key) not in SECRET_BYTES:
        raise ValueError(
            f"a webhook secret is {PREFIX} and {SECRET_BYTES.start} to {SECRET_BYTES.stop - 1} bytes as base64, "
            f"not these {len(secret)} characters"
        )
    return key


def _signature(key: bytes, message_id: str, at: str, body: bytes) -> str:
    content = f"{message_id}.{at}.".encode() + body
    return f"{_VERSION},{base64.b64encode(hmac.digest(key, content, 'sha256')).decode()}"
