"""The line of attempts that wait for a worker: whose turn it is.

An attempt enters when its node has claimed it and leaves when a worker takes it or when it ends. Among those that a worker may
take, the best priority goes first, then the oldest execution: the keeper's order, in which one that is tried again comes first.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection

from runtime.records import record

from .model.scope import Scope

Key = tuple[str, int]
"""Execution id and fence."""


@record
class Waiting:
    """An attempt that waits for a worker. `type`, `tenant`, `owner`: of its task."""

    key: Key
    type: str
    tenant: str
    owner: str
    priority: int


class Line:
    """See the module's docstring. Every step costs O(log n) in the attempts, and O(k) in the kinds of tasks that wait."""

    def __init__(self) -> None:
        self._waiting: dict[Key, Waiting] = {}
        self._heaps: dict[tuple[str, str, str], list[tuple[int, Key, Waiting]]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key: object) -> bool:
        return key in self._waiting

    def enter(self, one: Waiting) -> None:
        """An attempt waits."""
        self._waiting[one.key] = one
        heap = self._heaps.setdefault((one.type, one.tenant, one.owner), [])
        heapq.heappush(heap, (one.priority, one.key, one))

    def leave(self, key: Key) -> None:
        """An attempt does not wait any more, if it did."""
        self._waiting.pop(key, None)

    def take(self, types: Collection[str], scope: Scope) -> Key | None:
        """The attempt whose turn it is among those of these types within this scope, which has left; None if there is none."""
        best: tuple[int, Key, Waiting] | None = None
        for kind in list(self._heaps):
            type_name, tenant, owner = kind
            if type_name not in types or scope.tenant not in (None, tenant) or scope.owner not in (None, owner):
                continue
            head = self._head(kind)
            if head is not None and (best is None or head[:2] < best[:2]):
                best = head
        if best is None:
            return None
        self.leave(best[2].key)
        return best[2].key

    def _head(self, kind: tuple[str, str, str]) -> tuple[int, Key, Waiting] | None:
        heap = self._heaps[kind]
        while heap:
            if self._waiting.get(heap[0][2].key) is heap[0][2]:
                return heap[0]
            heapq.heappop(heap)
        del self._heaps[kind]
        return None
