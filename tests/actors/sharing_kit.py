"""Several keepers' cores over one store, as several nodes have them: each with its partitions, its executor and its peers."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from random import Random

from actors.keeper_core import KeeperCore
from actors.keeper_messages import Directive, Event, InSync, Own, Recover, Settle
from actors.keeper_places import ClusterPlaces
from actors.model.peer import Peer
from actors.rules.placing import Placer
from actors.sharing_messages import Changed, Declined, Observed, Offered, PeersChanged, SendDeclined, SendOffer
from actors.store.memory import MemoryStore
from actors.store.port import Commit, CommitResult
from runtime.clock import Instant

from .keeper_kit import START, Rig

PARTITIONS = 4


class Nodes:
    """Nodes n1, n2, ... over one store. What they tell each other arrives when `deliver` is called, or never."""

    def __init__(self, number: int, *, slots: int = 4, owners: Iterable[int] = ()) -> None:
        self.now = START
        self.store = MemoryStore(clock=lambda: Instant(self.now))
        self.store.open(new_cluster_id="c", partitions=PARTITIONS, timezone_database="2026f")
        self.woken: list[str] = []
        self.post: list[tuple[str, str, SendOffer | SendDeclined]] = []
        self.rigs = [SharingRig(self, f"n{one}", slots) for one in range(1, number + 1)]
        for rig, mine in zip(self.rigs, self._divided(number, list(owners)), strict=True):
            rig.take(mine)
        self.meet()

    @staticmethod
    def _divided(number: int, owners: list[int]) -> list[list[int]]:
        chosen = owners or [slot % number for slot in range(PARTITIONS)]
        return [[slot for slot, owner in enumerate(chosen) if owner == one] for one in range(number)]

    def __getitem__(self, which: int) -> SharingRig:
        return self.rigs[which]

    def by_boot(self, boot: str) -> SharingRig | None:
        return next((rig for rig in self.rigs if rig.boot == boot), None)

    def meet(self) -> None:
        """Everybody hears how everybody is."""
        peers = tuple(rig.peer() for rig in self.rigs)
        for rig in self.rigs:
            rig.send(PeersChanged(peers))

    def advance(self, seconds: float) -> None:
        self.now = Instant(self.now + int(seconds * 1_000_000))
        for rig in self.rigs:
            rig.now = self.now

    def deliver(self) -> None:
        """Wake-ups and offers arrive."""
        while self.woken or self.post:
            woken, self.woken = tuple(dict.fromkeys(self.woken)), []
            post, self.post = self.post, []
            for rig in self.rigs:
                if woken:
                    rig.send(Changed(woken))
            for sender, to, letter in post:
                if (rig := self.by_boot(to)) is not None:
                    heard = Offered if isinstance(letter, SendOffer) else Declined
                    rig.send(heard(sender, letter.executions))

    def lose(self) -> None:
        """Wake-ups and offers are lost."""
        self.woken, self.post = [], []

    def look(self) -> None:
        """Everybody looks into the store, as once a second."""
        for rig in self.rigs:
            rig.look()


class SharingRig(Rig):
    """One node of several."""

    def __init__(self, nodes: Nodes, name: str, slots: int) -> None:
        self.nodes = nodes
        self.name = name
        self.partitions: tuple[int, ...] = ()
        self.executor = True
        self.types = frozenset({"work"})
        self.lives = count(1)
        super().__init__(slots=slots, boot=f"{name}-1", store=nodes.store, now=nodes.now)

    def raise_epochs(self) -> Own:
        self.store.enrol(self.boot, self.name, 1_000_000.0)
        return Own({}, self.boot)

    def take(self, partitions: Iterable[int]) -> None:
        """Become the owner of these partitions and of no others."""
        wanted = tuple(partitions)
        former = self.store.last_grants()
        epochs = dict(self.own.epochs)
        epochs |= self.store.raise_epochs(
            {slot: former.get(slot, 0) + 1 for slot in wanted if slot not in epochs}, self.boot
        )
        self.own = Own({slot: epoch for slot, epoch in epochs.items() if slot in wanted}, self.boot)
        self.partitions = wanted
        self.send(self.own)

    def peer(self) -> Peer:
        free = self.core.claims.slots if hasattr(self, "core") else self.slots
        return Peer(
            self.name,
            self.boot,
            types=self.types,
            executor=self.executor,
            slots=self.slots,
            free=free,
        )

    def new_core(self) -> KeeperCore:
        rng = Random(self.name)
        places = ClusterPlaces(self.peer, lambda: {rig.boot for rig in self.nodes.rigs}, Placer(rng))
        return KeeperCore(
            boot=self.boot,
            node=self.name,
            partitions=PARTITIONS,
            random=rng,
            new_id=lambda: f"{next(self._ids)}",
            runs=lambda name: name in self.types,
            places=places,
        )

    def _store(self, commit: Commit) -> CommitResult:
        result = super()._store(commit)
        self.nodes.woken += commit.wakes
        return result

    def perform(self, directives: Iterable[Directive]) -> list[Event]:
        told = list(directives)
        for directive in told:
            if isinstance(directive, SendOffer | SendDeclined):
                self.nodes.post.append((self.boot, directive.boot, directive))
        return [*super().perform(told), *(one for one in told if isinstance(one, Changed))]

    def look(self) -> None:
        """What the lookout does once a second."""
        shared = self.store.shared()
        waiting = self.store.waiting(1_000, None, self.partitions) if self.partitions else []
        stopping = self.store.told_to_stop(self.boot, 1_000)
        self.send(Observed(shared.pause, shared.graph, shared.calendars, tuple(waiting), True, tuple(stopping)))

    def sweep(self) -> None:
        """What the keeper does every few seconds: look at those who wait for others."""
        if (chosen := self.core.waits.sweep()) is not None:
            self.send(chosen)

    def fire(self) -> None:
        """What the timer does: everything due in the own partitions."""
        due = self.store.due(self.partitions, Instant(self.now), 1_000) if self.partitions else []
        if due:
            self.send(Settle(tuple(task_id for _, task_id in due)))

    def recover(self, live: Iterable[str]) -> None:
        """What the coordinator does when a node is gone: adopt what it left in the own partitions."""
        found = self.store.orphans(tuple(live), 1_000, self.partitions) if self.partitions else []
        if found:
            self.send(Recover(tuple(found), frozenset(live)))

    def die(self) -> None:
        """The process is gone, with everything that it was running."""
        self.running.clear()
        self.unrecorded.clear()
        self.abandoned.clear()
        self.store.leave(self.boot)

    def reborn(self) -> None:
        """A new process under the same name."""
        self.boot = f"{self.name}-{next(self.lives) + 1}"
        self.own = self.raise_epochs()
        self.partitions = ()
        self.core = self.new_core()
        self.send(self.own, InSync(self.slots, frozenset(), self.core.sync_request.token))
