"""A stage of one node that is alone: no cluster, its own lock for a lease, and the store in SQLite's file on a simulated disk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import attrs
import trio

from actors.cluster import Surroundings
from actors.composition import open_node
from actors.lanes import NodeConfig
from actors.node import Node
from actors.store.port import Commit, CommitResult

from .database import Database
from .disk import Disk
from .stage import Life, Stage

T = TypeVar("T")


class DiskDatabase(Database):
    """The way to the file. `tearing`: the process dies by this in the middle of the next write."""

    def __init__(self, disk: Disk, *arguments: Any) -> None:
        super().__init__(disk.store, *arguments)
        self._disk = disk
        self.tearing: Callable[[], None] | None = None

    def commit(self, commit: Commit) -> CommitResult:
        return self._written(lambda: super(DiskDatabase, self).commit(commit))

    def raise_epochs(self, grants: Mapping[int, int], boot: str) -> Mapping[int, int]:
        return self._written(lambda: super(DiskDatabase, self).raise_epochs(grants, boot))

    def _written(self, write: Callable[[], T]) -> T:
        die, self.tearing = self.tearing, None
        if die is None:
            return write()
        before = self._disk.contents()
        result = write()
        whole = self._disk.tear(before)
        self.noted["a torn write was whole" if whole else "a torn write was undone"] += 1
        self.trace.add("torn", whole)
        die()
        return result


class AloneStage(Stage):
    """See the module's docstring."""

    database: DiskDatabase

    def _new_database(self, *arguments: Any) -> Database:
        self.disk = Disk(self.rng("disk"))
        return DiskDatabase(self.disk, *arguments)

    @asynccontextmanager
    async def played(self) -> AsyncIterator[trio.Nursery]:
        try:
            async with super().played() as nursery:
                yield nursery
        finally:
            self.disk.close()

    def _new_life(self, name: str) -> Life:
        self.disk.restart()
        self.database.store = self.disk.store
        return super()._new_life(name)

    def _opened(self, name: str, life: Life, surroundings: Surroundings) -> AbstractAsyncContextManager[Node]:
        return open_node(self.config(name), self.catalogue, life.world, store=surroundings.store)

    def config(self, name: str) -> NodeConfig:
        """Of a node that knows of no cluster."""
        return attrs.evolve(super().config(name), cluster=None)

    def begin(self, name: str) -> None:
        """A crash that has not come by now does not come."""
        self.database.tearing = None
        super().begin(name)

    def kill(self, name: str) -> None:
        """Its process dies at once; what it wrote is there."""
        if name in self.lives:
            super().kill(name)
            self.disk.crash()
            self.database.store = self.disk.store

    def tear(self, name: str) -> None:
        """Its process dies in the middle of its next write, of which any part may be on the disk."""
        self.database.tearing = lambda: self.kill(name)
