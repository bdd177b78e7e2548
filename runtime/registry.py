"""The port to a coordination service as it really is: a tree of small nodes, sessions that servers end, watches that get lost.

Adapters: ZooKeeper (`zookeeper.py`) and its simulated twin (`simulated_registry.py`), held equal by one conformance suite. What
is made of it (members, leadership, grants) stands above, in `cluster_coordination.py`, and is the same over both.

What every adapter promises, because the real one does no better:

- A session is ended by the servers alone, after `timeout_seconds` without a word from the client. The client hears `Lost` only
  once it reaches a server again; while it reaches none it hears `Disconnected` and then nothing.
- A call may fail with `RegistryUnavailable` although it was or still will be carried out (a lost reply, a server that thaws):
  who created or wrote must look. What is asked later through the same session is never carried out earlier.
- A call while no server answers fails at once.
- A watch tells once that something about a path has changed, not what; all of them are gone after `Disconnected`: read anew
  after every `Connected`. It is told before the answer of any read that shows the change.
- Ephemeral nodes of a dead session stay until the servers have ended it, and carry its id.
- When the servers have lost their leader, all sessions get their full timeout anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, Protocol

import attrs
import trio

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
    """The servers have ended the session, and with it every ephemeral node. A new one is begun by itself."""


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


class Registry(Protocol):
    """One client of the service. Paths begin with `/` and are relative to the client's root, which exists. Calls raise
    RegistryUnavailable (no server answers, or none has within the deadline: two thirds of the session's timeout), NodeExists,
    NoNode, VersionMismatch, AccessDenied, TooLarge."""

    def events(self) -> trio.MemoryReceiveChannel[RegistryEvent]:
        """What happens, in order, at most one `Changed` for each watch. Never dropped. To be read by one task."""
        ...

    def last_answer(self) -> float:
        """When the latest request that a server has answered was sent, in monotonic seconds; -inf: none was. The session was
        alive then. A follower's answer proves less than a leader's: `sync` asks the leader."""
        ...

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep a session until cancelled, then end it if a server answers within `CLOSE_SECONDS`; reconnects with pauses of at
        most `MAX_PAUSE_SECONDS`. Started before the first server answers."""
        ...

    async def create(self, path: str, data: bytes = b"", *, ephemeral: bool = False, sequential: bool = False) -> str:
        """Make a node; answers its path (with a number that grows, ten digits, if sequential)."""
        ...

    async def get(self, path: str, *, watch: bool = False) -> NodeStat:
        """A node."""
        ...

    async def children(self, path: str, *, watch: bool = False) -> list[str]:
        """The names of its children, sorted."""
        ...

    async def exists(self, path: str, *, watch: bool = False) -> NodeStat | None:
        """A node, or None; the watch also tells of its creation."""
        ...

    async def set(self, path: str, data: bytes, version: int = -1) -> NodeStat:
        """Write a node."""
        ...

    async def delete(self, path: str, version: int = -1) -> None:
        """Remove a node."""
        ...

    async def transact(self, ops: Sequence[Op]) -> None:
        """All or nothing; raises the error of the first step that fails. At most some hundreds of steps."""
        ...

    async def sync(self) -> None:
        """What is read afterwards is at least as new as now."""
        ...

    async def expire(self) -> None:
        """End the session on purpose: its ephemeral nodes go, others hear of it, and a new session begins (`Lost`). If no
        server answers it is given up all the same, and its nodes stay until the servers end it."""
        ...
