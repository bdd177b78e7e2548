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
    found = _complaints(status, name, partitions, nodes, draining, in_doubt)
    return [text for text, _ in found]


def hindrances(
    status: CoordinationStatus, *, name: str, partitions: int, nodes: int, draining: bool, in_doubt: bool
) -> list[str]:
    """Of the complaints those for which the node does not keep time. Arguments as for `complaints`.

    Without the coordination servers it does, as long as it may have its session: what it owns is settled and started.
    """
    found = _complaints(status, name, partitions, nodes, draining, in_doubt)
    return [text for text, hinders in found if hinders]


def _complaints(
    status: CoordinationStatus, name: str, partitions: int, nodes: int, draining: bool, in_doubt: bool
) -> Iterable[tuple[str, bool]]:
    """Each with whether the node does not keep time for it."""
    if in_doubt:
        yield "the lease in the store was not renewed in time: what ran here was ended, and nothing is started", True
    if status.problem is not None:
        yield f"this node owns nothing: {status.problem}", True
    if not status.connected:
        over = status.session is None
        yield f"no coordination server answers: {OVER if over else AWAY}", over
    elif not status.trusted:
        yield "the coordination servers have not confirmed the session in time: this node leads nothing", False
    elif status.gate is not None:
        yield f"nobody owns anything yet: {status.gate}", True
    elif status.problem is None and not draining and nodes <= partitions and name not in status.owners.values():
        yield "this node owns nothing: no partition is assigned to it yet", True
