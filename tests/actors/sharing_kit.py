"""Several keepers' cores over one store, as several nodes have them: each with its partitions, its executor and its peers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from random import Random

from actors.keeper_core import KeeperCore
from actors.keeper_messages import Directive, Event, InSync, Own, Recover, Settle
from actors.keeper_places import ClusterPlaces
from actors.model.lifecycle import State
from actors.model.peer import Peer, Standing
from actors.rules.placing import Placer
from actors.sharing_messages import Changed, Declined, Observed, Offered, PeersChanged, SendDeclined, SendOffer
from actors.store.memory import MemoryStore
from actors.store.port import Commit, CommitResult
from runtime.clock import Instant
from runtime.errors import StoreUnavailable

from .keeper_kit import START, Rig

PARTITIONS = 4


class Nodes:
    """Nodes n1, n2, ... over one store. What they tell each other arrives when `deliver` is called, or never."""

    def __init__(self, number: int, *, slots: int = 4, owners: Iterable[int] = ()) -> None:
        self.now = START
        self.store = MemoryStore(clock=lambda: Instant(self.now))
        self.store.open(new_cluster_id="c", partitions=PARTITIONS, timezone_database="2026f")
        self.woken: list[str] = []
        self.epochs: dict[int, int] = {}
        self.post: list[tuple[str, str, SendOffer | SendDeclined]] = []
        self.on_commit: Callable[[], None] = lambda: None
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

    def by_link(self, link: str) -> SharingRig | None:
        return next((rig for rig in self.rigs if rig.link == link and rig.alive), None)

    @property
    def sessions(self) -> set[str]:
        return {rig.link for rig in self.rigs if rig.session}

    @property
    def members(self) -> list[str]:
        """The boots whose nodes have a session."""
        return [rig.boot for rig in self.rigs if rig.session]

    def meet(self) -> None:
        """Everybody hears how everybody is."""
        peers = tuple(rig.peer() for rig in self.rigs)
        for rig in self.rigs:
            if rig.alive:
                rig.told_peers = PeersChanged(peers)
                rig.send(rig.told_peers)

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
                if woken and rig.alive:
                    rig.send(Changed(woken))
            for letter in post:
                self.hand_over(letter)

    def hand_over(self, letter: tuple[str, str, SendOffer | SendDeclined]) -> None:
        """One offer arrives, or the answer to one."""
        sender, to, what = letter
        if (rig := self.by_link(to)) is not None:
            if isinstance(what, SendOffer):
                rig.send(Offered(sender, what.executions, what.stands))
            else:
                rig.send(Declined(sender, what.executions))

    def lose(self) -> None:
        """Wake-ups and offers are lost."""
        self.woken, self.post = [], []

    def look(self) -> None:
        """Everybody looks into the store, as once a second."""
        for rig in self.rigs:
            if rig.alive:
                rig.look()


class SharingRig(Rig):
    """One node of several.

    `link`: the boot id of the process, by which others know it; `boot`: that of its lease. `alive`: there is a process;
    `session`: the coordination sees it. `unanswered`: so many of the next commits are carried out, and the answer is lost.
    """

    def __init__(self, nodes: Nodes, name: str, slots: int) -> None:
        self.nodes = nodes
        self.name = name
        self.partitions: tuple[int, ...] = ()
        self.labels: tuple[tuple[str, str], ...] = ()
        self.told_peers = PeersChanged(())
        self.executor = True
        self.draining = False
        self.alive = True
        self.session = True
        self.unanswered = 0
        self.deferred: list[Event] = []
        self.link = f"{name}-1"
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
        grants = {slot: former.get(slot, 0) + 1 for slot in wanted if slot not in epochs}
        raised = self.store.raise_epochs(grants, self.boot)
        self.nodes.epochs |= raised
        epochs |= raised
        self.own = Own({slot: epoch for slot, epoch in epochs.items() if slot in wanted}, self.boot)
        self.partitions = wanted
        self.send(self.own)

    def peer(self) -> Peer:
        free = self.core.claims.slots if hasattr(self, "core") else self.slots
        return Peer(
            self.name,
            self.link,
            standing=Standing.ALIVE if self.alive else Standing.DEAD,
            labels=self.labels,
            types=self.types,
            executor=self.executor,
            draining=self.draining,
            slots=self.slots,
            free=free,
        )

    def new_core(self) -> KeeperCore:
        rng = Random(self.name)
        places = ClusterPlaces(self.peer, lambda: self.nodes.sessions, Placer(rng))
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
        stale = self._claims_partitions_of_others(commit)
        result = super()._store(commit)
        accepted = stale - result.refused.keys()
        assert not accepted, f"{self.name} decided about {accepted} under an epoch that is over"
        self.nodes.woken += commit.wakes
        self.nodes.on_commit()
        if self.unanswered:
            self.unanswered -= 1
            raise StoreUnavailable("the answer is lost")
        return result

    def _claims_partitions_of_others(self, commit: Commit) -> set[str]:
        """The tasks that a commit changes in the name of partitions that others own by now."""
        known = self.nodes.epochs
        over = {slot for slot, epoch in commit.epochs.items() if known[slot] != epoch}
        return {update.task_id for update in commit.updates if update.partition in over}

    def perform(self, directives: Iterable[Directive]) -> list[Event]:
        told = list(directives)
        for directive in told:
            if isinstance(directive, SendOffer | SendDeclined):
                self.nodes.post.append((self.link, directive.boot, directive))
        heard = [*super().perform(told), *(one for one in told if isinstance(one, Changed))]
        if not self.broken:
            return heard
        # A keeper whose store does not answer comes back to it when it does.
        self.deferred += heard
        return []

    def heal(self) -> None:
        """The store answers again."""
        self.broken = False
        deferred, self.deferred = self.deferred, []
        self.send(self.own, *deferred)

    def look(self) -> None:
        """What the lookout does once a second."""
        shared = self.store.shared()
        waiting = self.store.waiting(1_000, None, self.partitions) if self.partitions else []
        stopping = self.store.told_to_stop(self.boot, 1_000)
        self.send(
            Observed(
                shared.pause,
                shared.graph,
                shared.calendars,
                tuple(waiting),
                True,
                tuple(stopping),
                self.core.claims.pauses,
            )
        )

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
        if (word := self.word_of_the_dead(live)) is not None:
            self.send(word)

    def word_of_the_dead(self, live: Iterable[str]) -> Recover | None:
        found = self.store.orphans(tuple(live), 1_000, self.partitions) if self.partitions else []
        return Recover(tuple(found), frozenset(live), frozenset(self.store.dead_boots())) if found else None

    def die(self) -> None:
        """The process is gone, with everything that it was running."""
        self.alive = self.session = self.broken = False
        self.running.clear()
        self.unrecorded.clear()
        self.abandoned.clear()
        self.interrupted.clear()
        self.deferred.clear()
        self.before_commit = None
        self.unanswered = 0
        self.store.leave(self.boot)

    def reborn(self) -> None:
        """A new process under the same name."""
        self.alive = self.session = True
        self.draining = False
        self.boot = self.link = f"{self.name}-{next(self.lives) + 1}"
        self.own = self.raise_epochs()
        self.partitions = ()
        self.core = self.new_core()
        self.send(self.own, InSync(0, frozenset()))

    def lose_lease(self) -> None:
        """The lease lapses and is buried, and the session is gone; the node does not know it yet."""
        self.session = False
        self.store.leave(self.boot)

    def begin_anew(self) -> None:
        """The node has learned that its lease is buried: it goes on under another boot id, and ends what runs."""
        self.boot = f"{self.name}-{next(self.lives) + 1}"
        self.own = self.raise_epochs()
        self.partitions = ()
        self.session = True
        self.send(self.own)
        for execution in list(self.running.values()):
            self.end(State.WAITING, execution=execution, reason="lost_lease")
