"""Gossip's decisions: who lives, what each node is like, and whom to tell.

Theory of operation. SWIM with Lifeguard's refinements. Each node probes one other per interval, in a random order in which each
has its turn (`gossip_probing`). Who does not answer, also through others, is a suspect, and is told so before anything else. A
suspect refutes by raising its incarnation. If it does not within a time that shrinks with every independent confirmation, it
is dead. News of all this is passed on to three random members at a time, a number of times that grows with the logarithm of
the cluster (`gossip_queue`), and made complete by comparing notes with a random other now and then (`gossip_exchange`). What
is true of contradicting claims depends on nothing but the claims (`gossip_table`).

A node that was stopped itself finds its alarm late: every deadline of others is moved by that time, and its health gets worse. A
death heard of somebody who is held alive is not believed before an own probe has failed, and is told to the one concerned with
this probe: after a partition both sides say of each other's members that they are dead, and none of this is to spread.

Each node tells what it is like: seldom its profile, often its load, the more seldom the larger the cluster, and at once when its
first slot gets free or its last one is taken. A catalogue of task types is told by digest.

Membership belongs to the coordination service: its members are probed from the start, and shown whatever gossip says of them.
Guaranteed: that no message here does more than change this view; that a claim once beaten stays beaten as long as the dead are
remembered; that one event costs no more than what it brings. Not guaranteed: that a view is right, or the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, assert_never

from runtime.clock import Micros
from runtime.coordination_messages import Member
from runtime.records import evolve

from .gossip_exchange import MEET_AGAIN, Exchange
from .gossip_messages import (
    Ack,
    Ask,
    Catalogue,
    Claim,
    Compare,
    Directive,
    Event,
    Gone,
    Gossip,
    Leave,
    Life,
    Link,
    Load,
    Members,
    Mine,
    Nack,
    News,
    Offsets,
    PeersChanged,
    Ping,
    PingRequest,
    Profile,
    Received,
    SetAlarm,
    State,
    Tick,
)
from .gossip_probing import Prober
from .gossip_queue import Timer
from .gossip_rules import (
    GossipConfig,
    confirmations_wanted,
    push_pull_seconds,
    suspicion_bounds,
    suspicion_seconds,
)
from .gossip_self import Myself
from .gossip_state import GossipState
from .gossip_table import Known, newer
from .model.peer import Peer

if TYPE_CHECKING:
    import random

JOIN: Final = 3
"""With how many of the listed members a new node compares notes at once."""

OF_OTHERS: Final = (Timer.INDIRECT, Timer.UNANSWERED, Timer.SUSPICION, Timer.RELAY)
"""Deadlines that others must meet: they wait while this node is stopped."""


class GossipCore:
    """See the module's docstring. `me`: this node as it is at first. Times are monotonic seconds, never compared with others'."""

    def __init__(self, me: Peer, config: GossipConfig, rng: random.Random, now: float) -> None:
        self._state = GossipState(me.name, me.boot, config, rng)
        self._prober = Prober(self._state, self._probe_failed)
        self._exchange = Exchange(self._state, self._absorb, self._bury)
        self._listed: dict[str, str] = {}
        self._offsets: Mapping[str, Micros] = {}
        self._left = False
        self._alarm = math.inf
        self._peers_told = -math.inf
        self._told: tuple[Peer, ...] = ()
        self._state.now = now
        self._myself = Myself(self._state, me, self._changed)
        timers = self._state.timers
        timers.set(now, Timer.PEERS)
        timers.set(now + rng.uniform(0, config.probe_seconds), Timer.PROBE)
        timers.set(now + rng.uniform(0, push_pull_seconds(config, 1)), Timer.PUSH_PULL)

    def handle(self, event: Event, now: float) -> list[Directive]:
        """Decide on one event; an alarm is wanted whenever it has changed, and after every tick."""
        state = self._state
        state.now, state.out = now, []
        if now > self._alarm + state.config.stall_seconds:
            self._stalled(now - self._alarm)
        match event:
            case Received(boot=boot, message=message):
                self._received(boot, message)
            case Tick():
                self._alarm = math.inf
            case Members(members=members):
                self._members(members)
            case Link():
                self._link(event)
            case Offsets(offsets=offsets):
                self._measured(offsets)
            case Mine(peer=peer):
                self._myself.become(peer)
            case Leave():
                self._left = True
                self._state.tell_now(self._myself.leave())
            case _:
                assert_never(event)
        while (due := state.timers.pop(now)) is not None:
            self._ring(*due)
        first = state.timers.first()
        if first != self._alarm:
            self._alarm = first
            state.out.append(SetAlarm(first))
        return state.out

    @property
    def awareness(self) -> int:
        """How bad this node thinks its own health is, 0 to 8."""
        return self._state.awareness

    @property
    def digest(self) -> int:
        """Equal at nodes that know the same of the living."""
        return self._state.table.digest

    def claim(self, name: str) -> Claim | None:
        """What is held true of a member."""
        known = self._state.table.get(name)
        return None if known is None else known.claim

    def peers(self) -> tuple[Peer, ...]:
        """All nodes as they are now, by name."""
        state = self._state
        return state.table.peers(self._offsets, state.now - state.config.show_dead_seconds)

    # Time.

    def _stalled(self, by: float) -> None:
        self._state.timers.delay(by, OF_OTHERS)
        self._state.judge_self(1)

    def _ring(self, timer: Timer, key: int | str) -> None:
        match timer:
            case Timer.PROBE:
                self._prober.next()
            case Timer.INDIRECT:
                self._prober.ask_others(int(key))
            case Timer.UNANSWERED:
                self._prober.unanswered(int(key))
            case Timer.RELAY:
                self._prober.relay_waited(int(key))
            case Timer.SUSPICION:
                self._suspicion_over(str(key))
            case Timer.GOSSIP:
                self._state.round()
            case Timer.PUSH_PULL:
                self._exchange.push_pull(self._listed.values())
                self._changed()
            case Timer.LOAD:
                self._myself.tell_load()
            case Timer.PEERS:
                self._tell_peers()
            case Timer.ASK:
                self._exchange.ask()
            case _:
                assert_never(timer)

    # What others say.

    def _received(self, boot: str, message: object) -> None:
        known = self._state.table.by_boot(boot)
        if self._left or boot == self._state.boot:
            return
        match message:
            case Ping(number=number, news=news):
                self._absorb(news, boot)
                self._state.send(boot, Ack(number, self._state.piggyback(self._state.table.by_boot(boot))))
            case Ack(news=news):
                self._absorb(news, boot)
                self._prober.ack(boot, message)
            case PingRequest(news=news):
                self._absorb(news, boot)
                self._prober.relay(boot, message)
            case Nack():
                self._prober.nack(message)
            case Gossip(news=news):
                self._absorb(news, boot)
            case Compare():
                self._exchange.compare(boot, message)
            case State():
                self._exchange.state(boot, message)
            case Ask():
                self._exchange.answer(boot, message)
            case Catalogue():
                if self._exchange.learn(message):
                    self._changed()
            case _:
                return
        if known is None:
            self._exchange.meet(boot)
        elif known.claim.life in (Life.SUSPECT, Life.DEAD):
            self._ask_back(known)

    def _ask_back(self, known: Known) -> None:
        """One that is held dead speaks: tell it what is said of it, so that it can refute."""
        state = self._state
        if state.now >= known.asked_back + MEET_AGAIN:
            known.asked_back = state.now
            state.send(known.claim.boot, Gossip(News((known.claim,))))

    def _absorb(self, news: News, boot: str) -> None:
        get = self._state.table.get
        for claim in news.claims:
            known = get(claim.name)
            # Most of what is heard is known already.
            if known is None or (claim is not known.claim and claim.incarnation >= known.claim.incarnation):
                self._claimed(claim, known, boot)
        for profile in news.profiles:
            known = get(profile.name)
            if known is not None and known.claim.boot == profile.boot:
                self._profiled(profile, known, boot)
        for load in news.loads:
            known = get(load.name)
            if known is not None and known.claim.boot == load.boot:
                self._loaded(load, known)

    def _claimed(self, claim: Claim, known: Known | None, source: str) -> None:
        state = self._state
        if claim.name == state.name:
            self._about_me(claim, source)
            return
        namesake = state.table.by_boot(claim.boot)
        if namesake is not None and namesake is not known:
            return
        if known is None:
            self._hold(claim, source)
            return
        held = known.claim
        if not newer(claim, held):
            same = (claim.incarnation, claim.life, claim.boot) == (held.incarnation, held.life, held.boot)
            if same and claim.life is Life.SUSPECT and claim.by not in known.confirmations:
                self._confirmed(known, claim)
        elif claim.boot == held.boot and claim.life is Life.DEAD and held.life is Life.ALIVE:
            known.death = claim
            self._prober.probe(known)
        else:
            self._hold(claim, source)

    def _hold(self, claim: Claim, source: str) -> None:
        """This is true from now on; pass it on and do what follows."""
        state, known = self._state, self._state.table.get(claim.name)
        was_live = known is not None and known.live
        if known is not None and known.claim.boot != claim.boot:
            if known.death is not None and newer(known.death, claim):
                claim = known.death
            if claim.life is Life.ALIVE:
                self._gone(known)
            known.gone = False
        known = state.table.put(claim, state.now)
        known.listed = self._listed.get(claim.name) == claim.boot
        known.confirmations = frozenset()
        state.timers.cancel(Timer.SUSPICION, claim.name)
        if (was_live or known.live) and claim.incarnation + claim.life > 0:
            state.spread(claim)
        if known.death is not None and not newer(known.death, claim):
            known.death = None
        match claim.life:
            case Life.ALIVE:
                known.gone = False
                state.enter(claim.name)
                if known.profile is None and claim.incarnation > 0:
                    self._exchange.want_profile(claim.name, source)
            case Life.SUSPECT:
                state.enter(claim.name)
                known.confirmations = frozenset((claim.by,))
                known.since = state.now
                self._set_suspicion(known)
            case Life.DEAD | Life.LEFT:
                if was_live:
                    self._gone(known)
            case _:
                assert_never(claim.life)
        self._changed()

    def _bury(self, claim: Claim, seconds: float) -> None:
        """One that nobody here has known is dead for so long: remember that, and tell nobody."""
        state = self._state
        if 0 <= seconds < state.config.remember_seconds and state.table.by_boot(claim.boot) is None:
            state.table.put(claim, state.now - seconds).gone = True

    def _about_me(self, claim: Claim, source: str) -> None:
        """Refute what is not true. A successor of the same name is not refuted: this boot is the one that is over."""
        own = self._myself.known.claim
        if claim.boot == own.boot:
            if claim.incarnation > own.incarnation or (claim.life is not Life.ALIVE and newer(claim, own)):
                self._state.judge_self(claim.life is not Life.ALIVE)
                self._refute(claim, source)
        elif newer(claim, own):
            listed = self._listed.get(claim.name)
            succeeded = claim.life is Life.ALIVE and claim.boot > own.boot if listed is None else listed == claim.boot
            if not succeeded:
                self._refute(claim, source)

    def _refute(self, claim: Claim, source: str) -> None:
        accuser = self._state.table.get(claim.by)
        refuted = self._myself.refute(claim.incarnation)
        self._state.tell_now(refuted, (source, accuser.claim.boot if accuser is not None else ""))

    # Suspicion.

    def _probe_failed(self, known: Known, urgent: bool) -> None:
        claim, name = known.claim, self._state.name
        if known.death is not None:
            self._hold(known.death, self._state.boot)
        elif claim.life is Life.SUSPECT:
            self._confirmed(known, evolve(claim, by=name))
        else:
            self._hold(evolve(claim, life=Life.SUSPECT, by=name), self._state.boot)
        if urgent:
            self._gone(known)

    def _confirmed(self, known: Known, claim: Claim) -> None:
        """Another one suspects it as well: that shortens its time, and is passed on if it still counts."""
        wanted = confirmations_wanted(self._state.config, self._state.table.live)
        if claim.by not in known.confirmations and len(known.confirmations) <= wanted:
            known.confirmations |= {claim.by}
            self._state.spread(claim)
            self._set_suspicion(known)

    def _set_suspicion(self, known: Known) -> None:
        state = self._state
        members = state.table.live
        shortest, longest = suspicion_bounds(state.config, members)
        wanted = confirmations_wanted(state.config, members)
        seconds = suspicion_seconds(shortest, longest, len(known.confirmations) - 1, wanted)
        state.timers.set(known.since + seconds, Timer.SUSPICION, known.claim.name)

    def _suspicion_over(self, name: str) -> None:
        known = self._state.table.get(name)
        if known is not None and known.claim.life is Life.SUSPECT:
            self._hold(evolve(known.claim, life=Life.DEAD, by=""), self._state.boot)

    def _gone(self, known: Known) -> None:
        if not known.gone:
            known.gone = True
            self._state.out.append(Gone(known.claim.boot))

    # What the coordination service and the links say.

    def _members(self, members: tuple[Member, ...]) -> None:
        state, table = self._state, self._state.table
        self._listed = {member.name: member.boot for member in members}
        for known in table:
            if (
                known.listed
                and self._listed.get(known.claim.name) != known.claim.boot
                and known is not self._myself.known
            ):
                known.listed = False
                if known.live:
                    self._prober.probe(known, urgent=True)
        strangers = [member.boot for member in members if member.name != state.name and self._list(member)]
        for boot in state.rng.sample(strangers, min(JOIN, len(strangers))):
            self._exchange.meet(boot)
        self._changed()

    def _list(self, member: Member) -> bool:
        """Take up a listed member; True if nothing was heard from it so far, or it is held dead."""
        known = self._state.table.get(member.name)
        if known is None and self._state.table.by_boot(member.boot) is None:
            self._hold(Claim(member.name, member.boot, 0, Life.ALIVE), "")
            known = self._state.table.get(member.name)
        if known is None:
            return False
        if known.claim.boot != member.boot:
            # Its former boot is over. What holds for the new one is for itself to say.
            self._gone(known)
            return True
        known.listed, known.address, known.peer = True, member.attributes.get("address", ""), None
        return known.claim.incarnation == 0 or known.claim.life is Life.DEAD

    def _link(self, link: Link) -> None:
        known = self._state.table.by_boot(link.boot)
        if link.up:
            if known is None or known.claim.incarnation == 0 or known.claim.life is not Life.ALIVE:
                self._exchange.meet(link.boot)
        elif known is not None and known.live and known is not self._myself.known:
            self._prober.probe(known, urgent=True)

    def _measured(self, offsets: Mapping[str, Micros]) -> None:
        before, self._offsets = self._offsets, dict(offsets)
        for boot in before.keys() | offsets.keys():
            if before.get(boot) != offsets.get(boot) and (known := self._state.table.by_boot(boot)) is not None:
                known.peer = None
                self._changed()

    # What nodes are like.

    def _profiled(self, profile: Profile, known: Known, source: str) -> None:
        if known is self._myself.known:
            self._myself.heard_profile(profile)
        elif known.profile is None or profile.version > known.profile.version:
            self._state.table.describe(known, profile)
            self._state.spread(profile)
            self._exchange.want_catalogue(profile.catalogue, source)
            self._changed()

    def _loaded(self, load: Load, known: Known) -> None:
        if known is self._myself.known:
            self._myself.heard_load(load)
        elif known.load is None or load.version > known.load.version:
            self._state.table.load(known, load)
            self._state.pass_on(load)
            self._changed()

    # What the others of this node hear.

    def _changed(self) -> None:
        self._state.timers.set_once(
            max(self._state.now, self._peers_told + self._state.config.peers_seconds), Timer.PEERS
        )

    def _tell_peers(self) -> None:
        peers = self.peers()
        if peers != self._told:
            self._peers_told, self._told = self._state.now, peers
            self._state.out.append(PeersChanged(peers))

    def check_invariants(self) -> None:
        """Raise AssertionError if the state contradicts itself."""
        self._state.table.check_invariants()
        self._prober.check_invariants()
        self._myself.check_invariants()
        assert self._left or self._myself.known.claim.life is Life.ALIVE, "this node doubts itself"
