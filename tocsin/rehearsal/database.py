"""The store that all nodes of a rehearsal share, and the ways to it, each with its faults.

The store itself is one of the real adapters. What can happen between a node and a database server happens at the node's client:
calls take time, hang, are refused; the answer to a commit is lost, whether it was carried out or not. As PostgreSQL's adapter
does, a client that does not know what became of a commit finds out before its next one, and answers the same request the same.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import trio

from actors.store.port import Commit, CommitResult, Unprepared
from actors.store.shared import SharedStore
from runtime.clock import SECOND, Instant
from runtime.errors import LeaseLost, StaleEpoch, StaleFence, StoreUnavailable
from runtime.simulated_clock import sleep_until
from runtime.simulated_process import current_process

from ..checker.history import Lease, Write
from .record import Trace

PATIENCE: Final = 3.0
"""Seconds after which a client takes a server that is silent for gone, times the rhythm: as PostgreSQL's adapter has it."""


TRUSTED: Final = 2 / 3
"""Of a lease: so long a process may count on it, by its own clock. As it is promised, not as the code that keeps it says."""

STALE: Final = (StaleEpoch, StaleFence, LeaseLost)
"""Refusals of what comes too late."""


@attrs.define
class Way:
    """What is wrong between one node and the store. latency: of a call, at the most; failing: this part of the calls fails.
    losing: what becomes of the next commit: carried out or not, its answer is lost."""

    latency: float
    cut: bool = False
    extra: float = 0.0
    failing: float = 0.0
    losing: bool | None = None
    wakes: bool = True


class Database:
    """The server. `store`: what keeps the rows; `now`: the true time. `noted`: rare situations that were seen here."""

    def __init__(
        self,
        store: SharedStore,
        rng: random.Random,
        now: Callable[[], Instant],
        trace: Trace,
        patience: float = PATIENCE,
    ) -> None:
        self.store = store
        self.now = now
        self.trace = trace
        self.patience = patience
        self.rng = rng
        self.is_down = False
        self.is_full = False
        self.writes: list[Write] = []
        self.leases: list[Lease] = []
        self.owners: dict[int, str] = {}
        self.refused: Counter[str] = Counter()
        self.noted: Counter[str] = Counter()
        self.thawed: set[str] = set()
        self._ways: dict[str, Way] = {}
        self._clients: dict[str, Client] = {}
        self._changed = trio.Event()

    def way(self, node: str) -> Way:
        """What is wrong between a node and the store."""
        return self._ways.setdefault(node, Way(0.0))

    def client(self, node: str, rng: random.Random) -> Client:
        """The store as a new life of a node sees it."""
        client = self._clients[node] = Client(self, self.way(node), rng)
        return client

    def changed(self) -> None:
        """Let calls that hang look again."""
        self._changed.set()
        self._changed = trio.Event()

    async def wait_changed(self) -> None:
        """Until `changed`."""
        await self._changed.wait()

    def commit(self, commit: Commit) -> CommitResult:
        """Carry a commit out, and write down under which epochs."""
        highest = self.store.epochs() if commit.epochs else {}
        result = self.store.commit(commit)
        now = self.now()
        self.trace.add(now, commit.boot, sorted(commit.epochs.items()), _names(commit), sorted(result.refused))
        for error in result.refused.values():
            self.refused[type(error).__name__] += 1
            process = current_process()
            if isinstance(error, STALE) and process is not None and process.name in self.thawed:
                self.noted["a zombie was refused"] += 1
        touched = [(one.task.id, one.partition) for one in commit.creates]
        touched += [(one.task_id, one.partition) for one in commit.updates]
        for task, partition in touched:
            epoch = commit.epochs.get(partition)
            if epoch is not None:
                accepted = task not in result.refused
                self.writes.append(Write(now, commit.boot or "", partition, epoch, highest.get(partition, 0), accepted))
        for client in self._clients.values():
            client.hear(commit.wakes)
        return result

    def raise_epochs(self, grants: Mapping[int, int], boot: str) -> Mapping[int, int]:
        """Carry a takeover out, and write down whose it was."""
        epochs = self.store.raise_epochs(grants, boot)
        self.owners.update(dict.fromkeys(epochs, boot))
        return epochs


def _names(commit: Commit) -> list[tuple[str, int]]:
    created = [(one.task.id, one.task.state.version) for one in commit.creates]
    return created + [(one.task_id, one.state.version) for one in commit.updates]


class Client(Unprepared):
    """A `SharedStore` as one life of a node sees it. What it does not do itself, the store does."""

    def __init__(self, database: Database, way: Way, rng: random.Random) -> None:
        self._database = database
        self._way = way
        self._rng = rng
        self._doubt: tuple[Commit, CommitResult | None] | None = None
        self._last: tuple[Commit, CommitResult] | None = None
        self._heard: list[str] = []
        self._news = trio.Event()
        self.is_dead = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database.store, name)

    def close(self) -> None:
        """The store stays."""

    # -- the way there and back, in the loop

    async def reach(self) -> None:
        """Before a call. Raises StoreUnavailable where the server is not reached."""
        await self._pass()
        if self._rng.random() < self._way.failing:
            raise StoreUnavailable("the connection was refused")

    def done(self) -> tuple[Commit, CommitResult] | None:
        """What was committed in the call that has just been made."""
        done, self._last = self._last, None
        return done

    async def come_back(self, done: tuple[Commit, CommitResult] | None) -> None:
        """After a call. Raises StoreUnavailable where its answer is lost."""
        try:
            await self._pass()
        except StoreUnavailable:
            if done is not None:
                self._doubt = done
            raise

    async def _pass(self) -> None:
        way = self._way
        if latency := way.latency + way.extra:
            await sleep_until(trio.current_time() + self._rng.random() * latency)
        if way.cut:
            with trio.move_on_after(self._database.patience):
                while way.cut:
                    await self._database.wait_changed()
        if way.cut or self._database.is_down or self.is_dead:
            raise StoreUnavailable("the store does not answer")

    async def woken(self, seconds: float) -> None:
        """Until there is a wake-up, at most so long."""
        if not self._heard:
            with trio.move_on_after(seconds):
                await self._news.wait()

    # -- what the client itself does

    def commit(self, commit: Commit) -> CommitResult:
        """See the port."""
        doubt, self._doubt = self._doubt, None
        if doubt is not None and doubt[0] is commit and doubt[1] is not None:
            return doubt[1]
        if self._database.is_full:
            self._database.noted["a commit to a full store"] += 1
            raise StoreUnavailable("the disk is full")
        losing, self._way.losing = self._way.losing, None
        if losing is False:
            self._doubt = commit, None
            self._database.noted["a commit without an answer was not carried out"] += 1
            raise StoreUnavailable("whether a commit was carried out is not known yet")
        result = self._database.commit(commit)
        if losing:
            self._doubt = commit, result
            self._database.noted["a commit without an answer was carried out"] += 1
            raise StoreUnavailable("whether a commit was carried out is not known yet")
        self._last = commit, result
        return result

    def raise_epochs(self, grants: Mapping[int, int], boot: str) -> Mapping[int, int]:
        """See the port."""
        return self._database.raise_epochs(grants, boot)

    def enrol(self, boot: str, node: str, seconds: float) -> None:
        """See the port."""
        self._database.store.enrol(boot, node, seconds)
        self._leased(seconds)

    def renew(self, boot: str, seconds: float) -> bool:
        """See the port."""
        renewed = self._database.store.renew(boot, seconds)
        if renewed:
            self._leased(seconds)
        return renewed

    def _leased(self, seconds: float) -> None:
        process, now = current_process(), self._database.now()
        if process is not None:
            self._database.leases.append(Lease(process.name, now, now + round(TRUSTED * seconds * SECOND)))

    def hear(self, wakes: tuple[str, ...]) -> None:
        """Tasks that concern other nodes."""
        if wakes and self._way.wakes and not self._way.cut:
            self._heard.extend(wakes)
            self._news.set()

    def wakes(self, seconds: float) -> list[str]:
        """See the port; the waiting is done in `woken`."""
        heard, self._heard = self._heard, []
        self._news = trio.Event()
        return heard
