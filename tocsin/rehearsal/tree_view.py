"""What the tree of the coordination servers shows of a cluster, to whoever looks at it from outside."""

from __future__ import annotations

from runtime.simulated_service_core import Tree


def members(tree: Tree) -> dict[str, str]:
    """The names of the members by session."""
    found = {}
    for path, node in tree.items():
        head, _, name = path.rpartition("/")
        if head.endswith("/members") and node.owner is not None:
            found[node.owner] = name
    return found


def leader(tree: Tree) -> str | None:
    """The node that leads: the oldest candidacy."""
    candidacies = [
        (node.created, node.owner)
        for path, node in tree.items()
        if path.rpartition("/")[0].endswith("/leader") and node.owner is not None
    ]
    return members(tree).get(min(candidacies)[1]) if candidacies else None


def unowned(tree: Tree, partitions: int) -> int:
    """How many partitions nobody has taken."""
    return partitions - sum(path.endswith("/owner") for path in tree)
