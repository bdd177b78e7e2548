"""The port to a coordination service as it really is: a tree of small nodes, sessions that servers end, watches that get lost.

Adapters: ZooKeeper (`zookeeper`) and its simulated twin (`simulated_registry`), held equal by one conformance suite. What is
made of it (members, leadership, grants) stands above, in `cluster_coordination.py`, and is the same over both.

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
from typing import Protocol

import trio

from .registry_messages import NodeStat, Op, RegistryEvent


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
        """A node without its data, or None; the watch also tells of its creation."""
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
