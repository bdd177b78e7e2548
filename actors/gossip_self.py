"""What a node tells of itself: seldom its profile, often its load."""

from __future__ import annotations

from collections.abc import Callable

from runtime.records import evolve

from .gossip_messages import Claim, Life, Load, Profile
from .gossip_queue import Timer
from .gossip_rules import load_seconds
from .gossip_state import GossipState
from .gossip_table import catalogue_of, digest_of, labels_of
from .model.peer import Peer


class Myself:
    """The record of this node, which only it changes. `changed`: called whenever it has."""

    def __init__(self, state: GossipState, me: Peer, changed: Callable[[], None]) -> None:
        self._state = state
        self._me = me
        self._changed = changed
        self._load_told = float("-inf")
        self.known = state.table.put(Claim(me.name, me.boot, 1, Life.ALIVE), state.now)
        self.known.address = me.address
        self._describe()
        self.tell_load()

    def become(self, me: Peer) -> None:
        """This node is like that now; the load is told when its time has come."""
        before, self._me = self._me, me
        if described(before) != described(me):
            self._describe()
        load, state = self.known.load, self._state
        if load is None or self._load(load.version) == load:
            return
        urgent = (load.free > 0) != (me.free > 0) or (load.executor, load.draining) != (me.executor, me.draining)
        interval = state.config.urgent_seconds if urgent else load_seconds(state.config, state.table.live)
        state.timers.set_once(max(state.now, self._load_told + interval), Timer.LOAD)

    def tell_load(self, above: int = 0) -> None:
        """Tell the load if it has changed: to many at once if that decides whether work is offered.

        `above`: others have this version from before this actor began anew; tell a higher one in any case.
        """
        state, before = self._state, self.known.load
        load = self._load(max(above, before.version if before is not None else 0) + 1)
        if before is not None and not above and evolve(load, version=before.version) == before:
            return
        self._load_told = state.now
        state.table.load(self.known, load)
        calm = before is None or above or offered(before) == offered(load)
        if calm and not state.is_mesh:
            state.pass_on(load)
        else:
            state.tell_now(load)
        self._changed()

    def _describe(self, above: int = 0) -> None:
        state, before = self._state, self.known.profile
        profile = self._profile(max(above, before.version if before is not None else 0) + 1)
        if before is not None and not above and evolve(profile, version=before.version) == before:
            return
        state.table.describe(self.known, profile)
        state.table.learn(profile.catalogue, catalogue_of(self._me.types))
        state.spread(profile)
        self._changed()

    def heard_profile(self, profile: Profile) -> None:
        """Somebody tells what this node is like: if it is another word than ours, ours must be the later one."""
        own = self.known.profile
        if own is None or (profile.version >= own.version and profile != own):
            self._describe(profile.version)

    def heard_load(self, load: Load) -> None:
        """The same for the load."""
        own = self.known.load
        if own is None or (load.version >= own.version and load != own):
            self.tell_load(load.version)

    def refute(self, incarnation: int) -> Claim:
        """Live on, above this incarnation."""
        claim = Claim(self._me.name, self._me.boot, incarnation + 1, Life.ALIVE)
        self._state.table.put(claim, self._state.now)
        self._changed()
        return claim

    def leave(self) -> Claim:
        """Be gone."""
        claim = evolve(self.known.claim, life=Life.LEFT)
        self._state.table.put(claim, self._state.now)
        return claim

    def _profile(self, version: int) -> Profile:
        me = self._me
        return Profile(
            name=me.name,
            boot=me.boot,
            version=version,
            address=me.address,
            labels=labels_of(me.labels),
            catalogue=digest_of(catalogue_of(me.types)),
            timezone_database=me.timezone_database,
            release=me.version,
        )

    def _load(self, version: int) -> Load:
        me = self._me
        return Load(me.name, me.boot, version, me.executor, me.draining, me.slots, me.free, me.running)

    def check_invariants(self) -> None:
        """Raise AssertionError if the record is not the one that the table has, or of another boot."""
        assert self._state.table.get(self._me.name) is self.known, "this node has lost its own record"
        assert self.known.claim.boot == self._me.boot, "this node holds another boot for itself"


def offered(load: Load) -> bool:
    """Whether work may be offered to a node with this load."""
    return load.executor and not load.draining and load.free > 0


def described(me: Peer) -> tuple[object, ...]:
    """What goes into a profile."""
    return me.address, me.labels, me.types, me.timezone_database, me.version
