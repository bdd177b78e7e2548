"""The decisions of a coordinator in a cluster: its lease, what it owns, and what dead nodes have left behind. Pure.

Theory of operation. A node is one process under a boot id, whose lease in the store it renews every second. It joins as a
member, asks for slots and is granted some. A slot goes through: granted -> marked (the coordination remembers that it was taken
once) -> raised (the store has a new epoch for it under this boot) -> owned, and then recorded. Nothing of a partition is read
before its epoch is raised. What stands against owning makes the member's weight 0, and everything is released:

- the store has not answered for `store_grace`: whoever cannot commit gives way;
- the store's epochs and those recorded contradict each other: lower ones in the store mean that it was restored from an older
  copy, none recorded where the store has some mean that the coordination has lost its data. Both hold until an operator raises
  the fence;
- the cluster uses another time zone database than this node; when all members have the same one, the leader switches it;
- the nodes have another key for their links than this one, by what the leader shows beside its membership;
- the node drains.

A lease that is not renewed for two thirds of its length is in doubt: what runs is ended, since others may soon count it as dead.
One that was buried is over: the node drops everything and begins anew under another boot id. A lost session costs what is
owned, not the lease: attempts go on.

Each kind of work is under way once at most and is asked for again when its time has come, so an answer that is lost costs a
moment. Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import attrs

from runtime.coordination_messages import Barred, Granted, Member, MembersChanged, Revoked, SessionLost

from . import cluster_coordinator_messages as words
from .cluster_coordinator_messages import Directive, Event, Work

ZONES_ATTRIBUTE: Final = "timezone_database"
"""The attribute of a member that tells the version of its time zone database."""

AUTHORITY: Final = "coordination-authority-changed"

DOUBT: Final = 2 / 3
"""Of the lease: what is left is enough to end what runs before anybody may count it as dead."""

SOON: Final = 1 / 4
"""Of the time between two renewals, until work without an answer is tried again, and until dead boots with leases about to
lapse are looked at."""

COMPARE: Final = 2
"""So many of these times lie between two looks whether an operator has raised the fence."""


@attrs.frozen
class Lease:
    """seconds: its length, by the store's clock. store_grace: how long the store may be silent before everything is released."""

    seconds: float = 4.0
    store_grace: float = 2.0


class ClusterCoordinatorCore:
    """See the module's docstring. `every`: seconds between two renewals. `leads`: told by the coordination, asked for when the
    time zone database is to be switched."""

    def __init__(self, member: Member, lease: Lease, every: float) -> None:
        self._member = member
        self._every, self._soon, self._compare_every = every, every * SOON, every * COMPARE
        self._lease = lease
        self._enrolled = False
        self._joined = False
        self._asked = False
        self._drained = False
        self._trouble = False
        self._doubted = False
        self._leased = False
        self._lease_from = 0.0
        self._answered = 0.0
        self._refusal: str | None = None
        self._barred: str | None = None
        self._foreign: str | None = None
        self._estranged: str | None = None
        self._authority: str | None = None
        self._compared = False
        self._compare_again = False
        self._outdated = False
        self._zones: str | None = None
        self._declared: Member | None = None
        self._granted: dict[int, int] = {}
        self._raising: dict[int, int] = {}
        self._epochs: dict[int, int] = {}
        self._announced: frozenset[int] = frozenset()
        self._recorded: dict[int, int] = {}
        self._unrecorded: dict[int, int] = {}
        self._members: tuple[Member, ...] = ()
        self._under_way: dict[type, Work] = {}
        self._next: dict[type, float] = {}
        self._complained: str | None = None
        self._out: list[Directive] = []

    def inherit(self, former: ClusterCoordinatorCore) -> None:
        """What a former life of the coordinator knew of the lease: it lapses although nobody has looked at it for a while."""
        self._leased, self._doubted, self._lease_from = former._leased, former._doubted, former._lease_from

    @property
    def boot(self) -> str:
        """The boot id in use."""
        return self._member.boot

    @property
    def problem(self) -> str | None:
        """Why this node owns nothing, or does not take part."""
        if self._trouble:
            return "the store does not answer"
        zones = None
        if self._zones is not None and not self._same_zones:
            zones = f"the cluster uses the time zone database {self._zones}, this node has {self._own_zones}"
        return self._barred or self._foreign or self._authority or self._refusal or self._estranged or zones

    @property
    def in_doubt(self) -> bool:
        """Whether the lease may have lapsed."""
        return self._doubted

    def handle(self, event: Event, now: float, *, leads: bool = False) -> list[Directive]:
        """Decide on one event. `leads`: this node may do the leader's duties now."""
        self._out = []
        self._hear(event, now)
        self._watch(now)
        self._declare()
        self._work(now, leads)
        if self.problem != self._complained:
            self._complained = self.problem
            self._out.append(words.Complain(self.problem))
        return self._out

    def _hear(self, event: Event, now: float) -> None:
        match event:
            case Granted(grants=grants):
                self._barred = None
                for slot, grant in grants.items():
                    if self._granted.get(slot) != grant:
                        # A new grant is worth nothing before the epoch is raised under it.
                        self._epochs.pop(slot, None)
                        self._granted[slot] = grant
            case Revoked(slots=slots):
                self._drop(slots)
                self._out.append(words.Release(slots))
            case SessionLost():
                self._drop(frozenset(self._granted))
                # The coordination may have lost its data: what it does not know is not written down before that was looked at.
                self._doubt_authority()
                self._unrecorded.clear()
                self._members = ()
            case MembersChanged(members=members):
                self._barred, self._members = None, members
                self._next.pop(words.Sweep, None)
            case Barred(reason=reason):
                self._barred = reason
            case words.Describe(attributes=attributes):
                zones = {ZONES_ATTRIBUTE: self._own_zones}
                self._member = attrs.evolve(self._member, attributes={**attributes, **zones})
            case words.Estranged(reason=reason):
                self._estranged = reason
            case words.Drain(on=on):
                self._drained = on
            case words.Tick():
                pass
            case words.Unanswered(work=work):
                self._finish(type(work), now + self._soon)
                if isinstance(work, words.Raise):
                    self._raising = {}
            case _:
                self._answer(event, now)

    def _answer(self, event: Event, now: float) -> None:
        """What store and coordination have answered."""
        match event:
            case words.Enrolled(boot=boot, sent=sent):
                self._finish(words.Enrol, now)
                if boot == self.boot:
                    self._enrolled, self._refusal = True, None
                    self._renew(sent, now)
            case words.Refused(reason=reason):
                self._finish(words.Enrol, now + self._every / 2)
                self._refusal = reason
            case words.Renewed(boot=boot, sent=sent):
                self._finish(words.Renew, sent + self._every)
                if boot == self.boot:
                    self._renew(sent, now)
            case words.Buried(boot=boot, fresh=fresh):
                self._finish(words.Renew, now)
                self._finish(words.Enrol, now)
                if boot == self.boot:
                    self._begin_anew(fresh)
            case words.Foreign(reason=reason):
                self._finish(words.Compare, now + self._compare_every)
                self._foreign = reason
            case words.Compared() if self._outdated:
                self._finish(words.Compare, now)
            case words.Compared():
                self._finish(words.Compare, now + self._compare_every)
                self._compare(event)
            case words.Seen(timezone_database=version):
                self._finish(words.See, now + self._every)
                if self._zones is not None and version == self._own_zones != self._zones:
                    self._out.append(words.TellZones())
                self._zones = version
            case words.Asked():
                self._finish(words.Ask, now)
            case words.Raised():
                self._finish(words.Raise, now)
                self._raised(event)
            case words.Recorded(epochs=epochs):
                self._finish(words.Record, now)
                self._recorded.update(epochs)
                for slot, epoch in epochs.items():
                    if self._unrecorded.get(slot) == epoch:
                        del self._unrecorded[slot]
            case words.Swept(alive=alive):
                members = {member.boot for member in self._members}
                self._finish(words.Sweep, now + (self._every if members.issuperset(alive) else self._soon))
            case words.Switched():
                self._finish(words.Switch, now + self._every)
                self._next.pop(words.See, None)
            case _:
                raise AssertionError(f"not an answer: {event}")

    def _finish(self, kind: type, again: float) -> None:
        if kind is words.Compare:
            self._outdated = False
        self._under_way.pop(kind, None)
        self._next[kind] = again

    # -- lease and store

    def _renew(self, sent: float, now: float) -> None:
        self._leased, self._lease_from, self._answered = True, sent, now
        if self._doubted:
            self._doubted = False
            self._out.append(words.TrustLease())
        if self._trouble:
            # It may have been restored while it was away.
            self._trouble = False
            self._doubt_authority()

    def _watch(self, now: float) -> None:
        """What time brings about."""
        if self._leased and not self._doubted and now >= self._lease_from + DOUBT * self._lease.seconds:
            self._doubted = True
            self._out.append(words.DoubtLease())
        if self._enrolled:
            self._trouble = self._trouble or now >= self._answered + self._lease.store_grace

    def _begin_anew(self, fresh: str) -> None:
        former = self.boot
        self._member = attrs.evolve(self._member, boot=fresh)
        self._enrolled = self._joined = self._asked = self._doubted = self._leased = False
        self._out.append(words.LoseLease(former, fresh))
        self._granted, self._raising, self._epochs = {}, {}, {}
        self._members = ()
        self._announce()

    # -- may this node own anything?

    @property
    def _own_zones(self) -> str:
        return self._member.attributes.get(ZONES_ATTRIBUTE, "")

    @property
    def _same_zones(self) -> bool:
        return self._zones == self._own_zones

    @property
    def _may_own(self) -> bool:
        sound = self._compared and self._authority is None and self._estranged is None and self._same_zones
        return self._enrolled and sound and not self._trouble and not self._drained

    def _compare(self, found: words.Compared) -> None:
        """See what was read first against what was read later, so that what happens meanwhile is no contradiction."""
        self._foreign, self._recorded = None, dict(found.recorded)
        restored = {slot for slot, epoch in found.recorded.items() if found.after.get(slot, 0) < epoch}
        wiped = {slot for slot, epoch in found.before.items() if epoch > 0 and slot not in found.recorded}
        self._compared, self._authority, self._compare_again = True, None, False
        if restored:
            self._distrust(f"the store's epochs of {len(restored)} partitions are lower than those recorded")
        elif wiped:
            self._distrust(
                f"{len(wiped)} partitions were taken before, and the coordination service does not know of it"
            )

    def _doubt_authority(self) -> None:
        """Own nothing until epochs were compared anew."""
        self._compared = False
        self._outdated = words.Compare in self._under_way
        self._next.pop(words.Compare, None)

    def _distrust(self, what: str) -> None:
        self._authority = f"{AUTHORITY}: {what}; nothing is owned here until an operator raises the fence"

    def _declare(self) -> None:
        """Be the member that may own as much as it may now; release what it may not."""
        may_own = self._may_own
        if not may_own and self._joined:
            self._asked = False
            if self._granted:
                slots = frozenset(self._granted)
                self._out.append(words.Release(slots))
                self._drop(slots)
        wanted = self._member if may_own else attrs.evolve(self._member, weight=0)
        if self._joined and wanted != self._declared:
            self._declared = wanted
            self._out.append(words.Declare(wanted))
        elif not self._joined and self._enrolled and self._compared and self._zones is not None:
            self._joined, self._asked, self._declared = True, False, wanted
            self._out.append(words.Join(wanted))

    # -- slots

    def _raised(self, raised: words.Raised) -> None:
        asked = {slot for slot, grant in raised.asked.items() if self._raising.get(slot) == grant}
        self._raising = {}
        if raised.boot != self.boot:
            return
        taken = {slot: epoch for slot, epoch in raised.epochs.items() if slot in asked & self._granted.keys()}
        if any(epoch <= self._recorded.get(slot, 0) for slot, epoch in taken.items()):
            self._doubt_authority()
            return
        refused = {slot for slot in asked - raised.epochs.keys() if self._granted.get(slot) == raised.asked[slot]}
        self._epochs.update(taken)
        self._unrecorded.update(taken)
        if taken:
            self._announce()
            self._next.pop(words.Sweep, None)
            self._compare_again = True
        if refused:
            self._asked = False
            self._drop(refused)
            self._out.append(words.Release(frozenset(refused)))

    def _drop(self, slots: Collection[int]) -> None:
        for slot in slots:
            self._granted.pop(slot, None)
            self._raising.pop(slot, None)
            self._epochs.pop(slot, None)
        if not self._announced.isdisjoint(slots):
            self._announce()

    def _announce(self) -> None:
        self._announced = frozenset(self._epochs)
        self._out.append(words.Announce(self.boot, dict(self._epochs)))

    # -- work that is due

    def _work(self, now: float, leads: bool) -> None:
        for work in self._wanted(leads):
            kind = type(work)
            if kind not in self._under_way and now >= self._next.get(kind, 0.0):
                self._under_way[kind] = work
                self._out.append(work)
                self._start(work)

    def _start(self, work: Work) -> None:
        if isinstance(work, words.Raise):
            self._raising = dict(work.grants)
        elif isinstance(work, words.Ask):
            self._asked = True

    def _wanted(self, leads: bool) -> Iterable[Work]:
        if not self._enrolled:
            yield words.Enrol(self.boot)
        else:
            yield words.Renew(self.boot)
        yield words.See()
        if not self._compared or self._authority is not None or self._compare_again:
            yield words.Compare()
        if not (self._joined and self._enrolled):
            return
        if self._may_own and not self._asked:
            yield words.Ask()
        yield from self._taking()
        if self._unrecorded:
            yield words.Record(dict(self._unrecorded))
        members = sorted(member.boot for member in self._members)
        if self.boot in members:
            # Who does not see himself among the members does not know them yet, and must not call anybody dead.
            yield words.Sweep(tuple(members), tuple(sorted(self._epochs)))
        if leads and (version := self._common_zones()) is not None:
            yield words.Switch(version)

    def _taking(self) -> Iterable[Work]:
        """Slots granted and not owned yet: marked first, so that a coordination that knows nothing of a slot has lost it."""
        missing = {slot: grant for slot, grant in self._granted.items() if slot not in self._epochs and self._may_own}
        if unmarked := dict.fromkeys(missing.keys() - self._recorded.keys(), 0):
            yield words.Record(unmarked)
        elif missing:
            yield words.Raise(self.boot, missing)

    def _common_zones(self) -> str | None:
        """The time zone database that all members have and the cluster does not use yet."""
        versions = {member.attributes.get(ZONES_ATTRIBUTE, "") for member in self._members}
        return self._own_zones if versions == {self._own_zones} and self._zones not in (None, self._own_zones) else None

    def check_invariants(self) -> None:
        """Raise AssertionError if something is owned that was not granted, or by who may own nothing."""
        assert self._epochs.keys() <= self._granted.keys(), f"owned without a grant: {self._epochs}, {self._granted}"
        assert self._announced <= self._granted.keys(), f"acts without a grant: {self._announced}, {self._granted}"
        assert not self._announced or self._may_own, "owns although it may not"


def fence_above(epochs: Mapping[int, int], recorded: Mapping[int, int]) -> dict[int, int]:
    """What an operator's raise of the fence is to lie above: the higher of both for every partition."""
    return {slot: max(epochs.get(slot, 0), recorded.get(slot, 0)) for slot in sorted(epochs.keys() | recorded.keys())}
