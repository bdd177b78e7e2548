"""What is not well about a node's part in its cluster, in words an operator can act on. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from runtime.coordination import CoordinationStatus

AWAY: Final = "running work finishes and what is owned is kept, but nothing is handed over and no node joins"
"""What a cluster without its coordination servers does and does not do while the session of the node may still be there."""

OVER: Final = "running work finishes, nothing new is settled or started here"
"""What a node without a session does."""


def complaints(
    status: CoordinationStatus, *, name: str, partitions: int, nodes: int, draining: bool, in_doubt: bool
) -> list[str]:
    """What stands against this node's part in the cluster; empty when all is well, and for what its operator wants (a drain).

    status: as the node sees it. name: its own. partitions: how many there are; nodes: how many take part. in_doubt: the lease
    in the store was not renewed in time.
    """
    return list(_complaints(status, name, partitions, nodes, draining, in_doubt))


def _complaints(
    status: CoordinationStatus, name: str, partitions: int, nodes: int, draining: bool, in_doubt: bool
) -> Iterable[str]:
    if in_doubt:
        yield "the lease in the store was not renewed in time: what ran here was ended, and nothing is started"
    if status.problem is not None:
        yield f"this node owns nothing: {status.problem}"
    if not status.connected:
        yield f"no coordination server answers: {AWAY if status.session is not None else OVER}"
    elif not status.trusted:
        yield "the coordination servers have not confirmed the session in time: this node leads nothing"
    elif status.gate is not None:
        yield f"nobody owns anything yet: {status.gate}"
    elif status.problem is None and not draining and nodes <= partitions and name not in status.owners.values():
        yield "this node owns nothing: no partition is assigned to it yet"
