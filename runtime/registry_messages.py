"""The words of the port to a coordination service: what a node is, what may be asked, what may happen, and the limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import attrs

from .errors import TocsinError, TooLarge

MAX_DATA: Final = 256 * 1024
"""Bytes in a node: a quarter of what a server takes; more would look like a lost connection."""

MAX_REQUEST: Final = 768 * 1024
"""Bytes in one transaction, paths included: three quarters of what a server takes."""

MAX_PAUSE_SECONDS: Final = 1.0
"""The longest pause between two attempts to reach a server."""

CLOSE_SECONDS: Final = 1.0
"""How long the end of a session is waited for when a client stops; past it the servers end it after its timeout."""


class RegistryUnavailable(TocsinError):
    """No server has answered in time; the call may or may not have been carried out."""


class NodeExists(TocsinError):
    """There is a node at the path."""


class AccessDenied(TocsinError):
    """The servers do not let this client see or change the node: its credentials are wrong or missing."""


class NoNode(TocsinError):
    """There is no node at the path, or its parent is missing."""


class VersionMismatch(TocsinError):
    """The node has another version than the one expected, or has children and cannot go."""


@attrs.frozen
class NodeStat:
    """A node: its content, version (grows with each write, begins at 0), the session that it lives as long as (None: it stays),
    and the number of the transaction that made it (another one if it was removed and made anew)."""

    data: bytes
    version: int
    owner: str | None = None
    created: int = 0


@attrs.frozen
class Op:
    """One step of a transaction. `version` -1: whichever."""

    kind: Literal["create", "set", "delete", "check"]
    path: str
    data: bytes = b""
    version: int = -1
    ephemeral: bool = False


@attrs.frozen
class Connected:
    """A server answers. `timeout_seconds`: what the servers agreed to. `fresh`: a new session, nothing of a former one holds."""

    session: str
    timeout_seconds: float
    fresh: bool


@attrs.frozen
class Disconnected:
    """No server answers now. The session may live on; whether it does is known at the next `Connected` or `Lost`."""


@attrs.frozen
class Lost:
    """The session is over. Either the servers have ended it and its ephemeral nodes are gone, or this client has given it up
    and they stay until the servers end it. A new one is begun by itself."""


@attrs.frozen
class Changed:
    """A watched path, or its list of children, has changed. The watch is used up."""

    path: str


RegistryEvent = Connected | Disconnected | Lost | Changed


def check_data(path: str, data: bytes) -> None:
    """Raises TooLarge for data that does not belong into a node."""
    if len(data) > MAX_DATA:
        raise TooLarge(f"{path}: {len(data)} bytes, at most {MAX_DATA} fit into a node")


def check_ops(ops: Sequence[Op]) -> None:
    """Raises TooLarge for a transaction that a server would not take."""
    for op in ops:
        check_data(op.path, op.data)
    size = sum(len(op.path) + len(op.data) for op in ops)
    if size > MAX_REQUEST:
        raise TooLarge(f"a transaction of {size} bytes, at most {MAX_REQUEST} are sent")
