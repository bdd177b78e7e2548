"""What a node knows of the members, and which of two claims is true.

Theory of operation. Claims about one name are ordered by incarnation, then by the strength of the word (alive, suspect, dead,
left), then by boot. What is known is the greatest claim heard, so it does not depend on the order or the number of tellings:
merging is commutative, associative and idempotent. Only the member itself raises its incarnation, so its refutation beats every
suspicion that was ever uttered, and a newer boot of a name beats the older one by hearing of it and going above. Profiles and
loads count within the boot of the claim, by version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, takewhile
from typing import Final

import attrs

from runtime.clock import Micros

from .gossip_messages import Claim, Entry, Life, Load, Profile
from .model.peer import Peer, Standing

PAGE: Final = 64
"""Members in one `State`: some 20 kB."""

CATALOGUE_BYTES: Final = 200_000
"""Of the names of all task types of a node, the first by name, so that they fit into one message: thousands. Those beyond are not
known elsewhere."""

LABEL_BYTES: Final = 1_000
"""Of the labels of a node, so that a page of members fits into one message. Those beyond are not known elsewhere."""

FRAMING: Final = 5
"""Bytes that stand before a text in a message at most."""

STANDING: Final = {
    Life.ALIVE: Standing.ALIVE,
    Life.SUSPECT: Standing.SUSPECT,
    Life.DEAD: Standing.DEAD,
    Life.LEFT: Standing.DEAD,
}


def newer(claim: Claim, known: Claim) -> bool:
    """Whether a claim about a name replaces the one that is known."""
    if claim.incarnation != known.incarnation:
        return claim.incarnation > known.incarnation
    if claim.life != known.life:
        return claim.life > known.life
    return claim.boot > known.boot


def merge(one: Claim, other: Claim) -> Claim:
    """The one of two claims about a name that is true."""
    return other if newer(other, one) else one


def catalogue_of(types: Iterable[str]) -> tuple[str, ...]:
    """The task types that are told, in order."""
    names = sorted(types)
    return tuple(names[: fitting(names, CATALOGUE_BYTES)])


def labels_of(labels: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The labels that are told."""
    return labels[: fitting([name + value for name, value in labels], LABEL_BYTES)]


def fitting(texts: Iterable[str], limit: int) -> int:
    """How many of these texts, from the first, are no longer together than so many bytes, with what frames them."""
    sums = accumulate(len(text.encode()) + FRAMING for text in texts)
    return sum(1 for _ in takewhile(lambda size: size <= limit, sums))


def digest_of(types: tuple[str, ...]) -> str:
    """The name of a catalogue: the same for the same types everywhere; empty for none."""
    return hashlib.blake2b("\n".join(types).encode(), digest_size=16).hexdigest() if types else ""


@attrs.define(eq=False)
class Known:
    """One member, as known here.

    `since`: when the claim was heard, monotonic seconds. `listed`: by the coordination service, with `address`. `death`: a claim
    of its death that is in doubt. `confirmations`: who suspects it. `gone`: the hint has been told. `asked_back`: when it was
    told what is said of it. `peer`: as it is shown, if computed. `mark`: its part of the digest.
    """

    claim: Claim
    since: float
    profile: Profile | None = None
    load: Load | None = None
    listed: bool = False
    address: str = ""
    death: Claim | None = None
    gone: bool = False
    confirmations: frozenset[str] = frozenset()
    asked_back: float = float("-inf")
    peer: Peer | None = None
    mark: int = 0

    @property
    def live(self) -> bool:
        """Whether it is neither dead nor gone."""
        return self.claim.life <= Life.SUSPECT

    def changed(self) -> None:
        """Compute the mark anew and forget the peer."""
        claim, profile = self.claim, self.profile
        self.peer = None
        if claim.life > Life.SUSPECT:
            # The dead are forgotten here and there at different times: that is no difference worth an exchange.
            self.mark = 0
            return
        text = f"{claim.name}\0{claim.boot}\0{claim.incarnation}\0{claim.life:d}\0{profile.version if profile else 0}"
        self.mark = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class Table:
    """All members by name, this node among them."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._boots: dict[str, str] = {}
        self._catalogues: dict[str, frozenset[str]] = {"": frozenset()}
        self.digest = 0
        self.live = 0
        self.get = self._known.get

    def __iter__(self) -> Iterator[Known]:
        return iter(self._known.values())

    def by_boot(self, boot: str) -> Known | None:
        """The member that runs under this boot."""
        name = self._boots.get(boot)
        return None if name is None else self._known[name]

    def put(self, claim: Claim, now: float) -> Known:
        """Hold this claim from now on; a profile and a load of another boot are dropped."""
        known = self._known.get(claim.name)
        if known is None:
            known = self._known[claim.name] = Known(claim, now)
            self.live += known.live
        else:
            self.live += (claim.life <= Life.SUSPECT) - known.live
            if claim.boot != known.claim.boot:
                self._boots.pop(known.claim.boot, None)
                known.profile = known.load = None
            if claim.life > Life.SUSPECT or not known.live:
                known.since = now
            known.claim = claim
        self._boots[claim.boot] = claim.name
        self._mark(known)
        return known

    def describe(self, known: Known, profile: Profile) -> None:
        """Hold this profile of a member."""
        known.profile = profile
        self._mark(known)

    def load(self, known: Known, load: Load) -> None:
        """Hold this load of a member."""
        known.load = load
        known.peer = None

    def _mark(self, known: Known) -> None:
        before = known.mark
        known.changed()
        self.digest ^= before ^ known.mark

    def forget(self, before: float) -> None:
        """Drop the dead of which nothing was heard since `before`."""
        for known in [known for known in self if not known.live and not known.listed and known.since < before]:
            del self._known[known.claim.name]
            self._boots.pop(known.claim.boot, None)

    # Catalogues.

    def catalogue(self, digest: str) -> frozenset[str] | None:
        """The task types behind a digest, if known."""
        return self._catalogues.get(digest)

    def learn(self, digest: str, types: Iterable[str]) -> None:
        """Remember a catalogue, and forget those that no member has."""
        used = {known.profile.catalogue for known in self if known.profile is not None} | {""}
        for other in self._catalogues.keys() - used:
            del self._catalogues[other]
        self._catalogues[digest] = frozenset(types)
        for known in self:
            if known.profile is not None and known.profile.catalogue == digest:
                known.peer = None

    # What is told of it.

    def entries(self, now: float) -> list[Entry]:
        """Everything, by name."""
        return [entry(self._known[name], now) for name in sorted(self._known)]

    def better(self, told: Mapping[str, Entry], after: str, upto: str | None, now: float) -> list[Entry]:
        """What is known better than told of the members with names in this range."""
        return [
            entry(known, now)
            for name, known in self._known.items()
            if name > after and (upto is None or name <= upto) and knows_better(known, told.get(name))
        ]

    def peers(self, offsets: Mapping[str, Micros], shown_since: float) -> tuple[Peer, ...]:
        """The nodes by name. The dead and unlisted ones are shown if they died since then, those that left are not."""
        return tuple(
            [
                known.peer or self._peer(known, offsets)
                for _, known in sorted(self._known.items())
                if known.listed or known.live or (known.claim.life is Life.DEAD and known.since >= shown_since)
            ]
        )

    def _peer(self, known: Known, offsets: Mapping[str, Micros]) -> Peer:
        claim = known.claim
        profile = known.profile or Profile(claim.name, claim.boot, 0)
        # Of whom nothing is known nothing is expected.
        load = known.load or Load(claim.name, claim.boot, 0, executor=False)
        known.peer = Peer(
            name=claim.name,
            boot=claim.boot,
            address=profile.address or known.address,
            standing=STANDING[claim.life],
            labels=profile.labels,
            types=self._catalogues.get(profile.catalogue, frozenset()),
            executor=load.executor,
            draining=load.draining,
            slots=load.slots,
            free=load.free,
            running=load.running,
            offset=offsets.get(claim.boot),
            timezone_database=profile.timezone_database,
            version=profile.release,
        )
        return known.peer

    def check_invariants(self) -> None:
        """Raise AssertionError if the sums do not fit what they are sums of."""
        digest = 0
        for known in self:
            digest ^= known.mark
            assert self._boots.get(known.claim.boot) == known.claim.name, f"{known.claim} is not found by its boot"
            assert known.profile is None or known.profile.boot == known.claim.boot, (
                f"{known} has another boot's profile"
            )
            assert known.load is None or known.load.boot == known.claim.boot, f"{known} has another boot's load"
        assert self.digest == digest, "the digest is not that of the members"
        assert self.live == sum(known.live for known in self), "the living are miscounted"
        assert len(self._boots) == len(self._known), "a boot is left over"


def entry(known: Known, now: float) -> Entry:
    """What is told of a member to one who asks for everything."""
    return Entry(known.claim, known.profile, known.load, 0.0 if known.live else max(0.0, now - known.since))


def knows_better(known: Known, told: Entry | None) -> bool:
    """Whether we know something that the teller does not."""
    if told is None or newer(known.claim, told.claim):
        return True
    if known.claim.boot != told.claim.boot:
        return False
    return versions(known.profile, known.load) > versions(told.profile, told.load)


def versions(profile: Profile | None, load: Load | None) -> tuple[int, int]:
    """What of a profile and a load counts."""
    return profile.version if profile else -1, load.version if load else -1
