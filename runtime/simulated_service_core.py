"""What coordination servers hold, as pure data: the tree and its transactions, one server's copy with its watches, sessions.

The leader's tree is the truth. A transaction becomes a list of effects that every server applies in order, each when it gets
to it; a watch is answered by the server that it was left with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, Generic, Literal, TypeVar

import attrs

from .errors import InternalError
from .registry_messages import NodeExists, NodeStat, NoNode, Op, VersionMismatch

W = TypeVar("W")

WatchKind = Literal["node", "children"]

DIGITS: Final = 10
"""Digits of the number that a sequential node gets."""


@attrs.frozen
class Node:
    """A node as servers keep it: `births` counts the children it ever had, `children` those it has."""

    data: bytes
    owner: str | None
    created: int
    modified: int
    version: int = 0
    births: int = 0
    children: int = 0

    def stat(self) -> NodeStat:
        """What a client sees of it."""
        return NodeStat(self.data, self.version, self.owner, self.created)


@attrs.frozen
class Effect:
    """One change to one node. `quiet`: only counts that nobody watches."""

    path: str
    node: Node | None
    change: Literal["created", "set", "deleted", "quiet"]


@attrs.frozen
class Transaction:
    """What one number of the servers' log did."""

    number: int
    effects: tuple[Effect, ...]


Tree = dict[str, Node]


def root() -> Tree:
    """A tree with nothing in it."""
    return {"/": Node(b"", None, 0, 0)}


def parent_of(path: str) -> str:
    """The path above."""
    return path.rsplit("/", 1)[0] or "/"


def names_below(tree: Tree, path: str) -> list[str]:
    """The names of the children, sorted; raises NoNode."""
    if path not in tree:
        raise NoNode(path)
    prefix = path.rstrip("/") + "/"
    start = len(prefix)
    return sorted(
        other[start:] for other in tree if other.startswith(prefix) and other != "/" and "/" not in other[start:]
    )


def prepare(tree: Tree, number: int, session: str, ops: Sequence[Op]) -> Transaction:
    """What the steps would do, all or nothing; raises the error of the first that fails. The tree stays as it is."""
    draft = _Draft(dict(tree), number, session)
    for op in ops:
        match op.kind:
            case "create":
                draft.create(op)
            case "set":
                node = draft.expect(op.path, op.version)
                draft.put(op.path, attrs.evolve(node, data=op.data, version=node.version + 1, modified=number), "set")
            case "delete":
                draft.delete(op)
            case "check":
                draft.expect(op.path, op.version)
    return Transaction(number, tuple(draft.effects))


def prepare_end(tree: Tree, number: int, session: str) -> Transaction:
    """What the end of a session does: its nodes go."""
    mine = [Op("delete", path) for path, node in tree.items() if node.owner == session]
    return prepare(tree, number, session, mine)


def numbered(tree: Tree, path: str) -> str:
    """The path that a sequential node gets now; raises NoNode if there is no parent."""
    parent = tree.get(parent_of(path))
    if parent is None:
        raise NoNode(path)
    return f"{path}{parent.births:0{DIGITS}}"


@attrs.define
class _Draft:
    nodes: Tree
    number: int
    session: str
    effects: list[Effect] = attrs.field(factory=list)

    def expect(self, path: str, version: int) -> Node:
        node = self.nodes.get(path)
        if node is None:
            raise NoNode(path)
        if version not in (-1, node.version):
            raise VersionMismatch(f"{path} has version {node.version}, not {version}")
        return node

    def put(self, path: str, node: Node, change: Literal["created", "set", "quiet"]) -> None:
        self.nodes[path] = node
        self.effects.append(Effect(path, node, change))

    def create(self, op: Op) -> None:
        if op.path in self.nodes:
            raise NodeExists(op.path)
        above = parent_of(op.path)
        parent = self.nodes.get(above)
        if parent is None:
            raise NoNode(op.path)
        if parent.owner is not None:
            raise InternalError(f"an ephemeral node has no children: {op.path}")
        self.put(above, attrs.evolve(parent, births=parent.births + 1, children=parent.children + 1), "quiet")
        owner = self.session if op.ephemeral else None
        self.put(op.path, Node(op.data, owner, self.number, self.number), "created")

    def delete(self, op: Op) -> None:
        if self.expect(op.path, op.version).children:
            raise VersionMismatch(f"{op.path} has children")
        above = parent_of(op.path)
        parent = self.nodes[above]
        self.put(above, attrs.evolve(parent, children=parent.children - 1), "quiet")
        del self.nodes[op.path]
        self.effects.append(Effect(op.path, None, "deleted"))


@attrs.define(eq=False)
class Replica(Generic[W]):
    """One server's copy of the tree, and the watches left with it. `W` is who watches: a connection."""

    tree: Tree = attrs.field(factory=root)
    number: int = 0
    watches: dict[WatchKind, dict[str, dict[W, None]]] = attrs.field(factory=lambda: {"node": {}, "children": {}})

    def watch(self, kind: WatchKind, path: str, watcher: W) -> None:
        """Tell this watcher of the next change, once."""
        self.watches[kind].setdefault(path, {})[watcher] = None

    def forget(self, watcher: W) -> None:
        """The connection is gone, and its watches with it."""
        for watched in self.watches.values():
            for path in list(watched):
                watched[path].pop(watcher, None)
                if not watched[path]:
                    del watched[path]

    def apply(self, transaction: Transaction) -> list[tuple[W, str]]:
        """Take a transaction over; who is to be told of which path, in order."""
        told: list[tuple[W, str]] = []
        for effect in transaction.effects:
            if effect.node is None:
                self.tree.pop(effect.path, None)
            else:
                self.tree[effect.path] = effect.node
            told += self._told(effect)
        self.number = transaction.number
        return told

    def _told(self, effect: Effect) -> list[tuple[W, str]]:
        above = parent_of(effect.path)
        spent: list[tuple[str, dict[W, None]]]
        match effect.change:
            case "quiet":
                spent = []
            case "set":
                spent = [(effect.path, self._spend("node", effect.path))]
            case "created":
                spent = [(effect.path, self._spend("node", effect.path)), (above, self._spend("children", above))]
            case "deleted":
                own = {**self._spend("node", effect.path), **self._spend("children", effect.path)}
                spent = [(effect.path, own), (above, self._spend("children", above))]
        return [(watcher, path) for path, watchers in spent for watcher in watchers]

    def _spend(self, kind: WatchKind, path: str) -> dict[W, None]:
        return self.watches[kind].pop(path, {})


@attrs.define(eq=False)
class Session:
    """A session as the servers keep it. `heard`: when a server last heard of the client, in seconds. `connection`: the one
    connection that may use it."""

    id: str
    timeout_seconds: float
    heard: float
    connection: Any = None

    def ends_at(self, tick_seconds: float) -> float:
        """The tick at which servers end it if nothing is heard: they look at whole ticks only, and round up."""
        return (math.floor((self.heard + self.timeout_seconds) / tick_seconds) + 1) * tick_seconds


def agreed_timeout(wanted: float, tick_seconds: float) -> float:
    """Servers grant between 2 and 20 ticks."""
    return min(max(wanted, 2 * tick_seconds), 20 * tick_seconds)
