"""What nodes ask each other for: all that one knows (push-pull), and what was announced by name only.

Theory of operation. News that is passed on a limited number of times may miss somebody. So each node compares its digest with a
random other's now and then. If they differ, the asked one tells everything, in pages, and the asking one tells back what it
knows better. The dead take part in that with the time that has passed, so that they are forgotten everywhere at about the same
time, and are not part of the digest.

A catalogue of task types goes by its digest: who hears of one that it does not have asks for it, first where it heard of it,
then at random, once a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from .gossip_messages import Ask, Catalogue, Claim, Compare, Entry, Gossip, Life, Load, News, Profile, State
from .gossip_queue import Timer
from .gossip_rules import push_pull_seconds
from .gossip_state import GossipState
from .gossip_table import PAGE, Known, catalogue_of, digest_of

ASK_FIRST: Final = 0.3
"""Seconds until something missing is asked for: most of it is on its way."""

ASK_AGAIN: Final = 1.0
"""Seconds until it is asked for again."""

ASKED: Final = 64
"""Names and catalogues in one question, and answered of one."""

MEET_AGAIN: Final = 1.0
"""Seconds within which a stranger, or one that is held dead, is not spoken to twice on our own account."""

MET: Final = 1_000
"""Strangers remembered for that."""


class Exchange:
    """See the module's docstring. `absorb`: take news in. `bury`: hold one dead that was not known, dead for so many seconds."""

    def __init__(
        self, state: GossipState, absorb: Callable[[News, str], None], bury: Callable[[Claim, float], None]
    ) -> None:
        self._state = state
        self._absorb = absorb
        self._bury = bury
        self._met: dict[str, float] = {}
        self._profiles: dict[str, str] = {}
        self._catalogues: dict[str, str] = {}
        self._loads: dict[str, str] = {}

    # All that one knows.

    def meet(self, boot: str) -> None:
        """Compare notes with this boot, unless that was done just now."""
        state = self._state
        if state.now < self._met.get(boot, float("-inf")) + MEET_AGAIN or boot == state.boot:
            return
        if len(self._met) >= MET:
            self._met.clear()
        self._met[boot] = state.now
        state.send(boot, Compare(state.table.digest))

    def push_pull(self, listed: Iterable[str]) -> None:
        """Compare notes with a random member, and with one that is lost, as it may be back."""
        state = self._state
        state.table.forget(state.now - state.config.remember_seconds)
        interval = push_pull_seconds(state.config, state.table.live)
        state.timers.set(state.now + interval * state.rng.uniform(0.9, 1.1), Timer.PUSH_PULL)
        for known in state.pick(1):
            state.send(known.claim.boot, Compare(state.table.digest))
        self._want_loads()
        lost = [known.claim.boot for known in state.table if known.claim.life is Life.DEAD]
        lost += [boot for boot in listed if boot != state.boot and state.table.by_boot(boot) is None]
        if lost:
            self.meet(state.rng.choice(sorted(lost)))

    def _want_loads(self) -> None:
        """Loads are no part of the digest: one that was lost on its way comes when it changes, of an idle node perhaps never."""
        state = self._state
        for known in state.table:
            if known.live and known.load is None and known.claim.name != state.name:
                self._loads.setdefault(known.claim.name, known.claim.boot)
        if self._loads:
            state.timers.set_once(state.now, Timer.ASK)

    def compare(self, boot: str, message: Compare) -> None:
        """Tell everything to whom knows something else."""
        state = self._state
        if message.digest == state.table.digest and state.table.by_boot(boot) is not None:
            return
        entries = state.table.entries(state.now)
        after = ""
        for start in range(0, len(entries), PAGE):
            page = tuple(entries[start : start + PAGE])
            upto = page[-1].claim.name if start + PAGE < len(entries) else None
            state.send(boot, State(page, after, upto, answer=True))
            after = upto or ""

    def state(self, boot: str, message: State) -> None:
        """Take in what another knows, and tell it what we know better."""
        state = self._state
        for entry in message.entries:
            self._take(entry, boot)
        if message.answer:
            told = {entry.claim.name: entry for entry in message.entries}
            better = state.table.better(told, message.after, message.upto, state.now)
            for start in range(0, len(better), PAGE):
                state.send(boot, State(tuple(better[start : start + PAGE])))

    def _take(self, entry: Entry, boot: str) -> None:
        claim = entry.claim
        if claim.life > Life.SUSPECT and claim.name != self._state.name and self._state.table.get(claim.name) is None:
            self._bury(claim, entry.seconds)
            return
        profiles = () if entry.profile is None else (entry.profile,)
        self._absorb(News((claim,), profiles, () if entry.load is None else (entry.load,)), boot)

    # What was announced by name only.

    def want_profile(self, name: str, source: str) -> None:
        """Ask what a member is like, unless it is heard soon."""
        self._profiles.setdefault(name, source)
        self._state.timers.set_once(self._state.now + ASK_FIRST, Timer.ASK)

    def want_catalogue(self, digest: str, source: str) -> None:
        """Ask what is in a catalogue."""
        if self._state.table.catalogue(digest) is None:
            self._catalogues.setdefault(digest, source)
            self._state.timers.set_once(self._state.now, Timer.ASK)

    def ask(self) -> None:
        """Ask for what is missing: where it was heard of, or at random if that was done before."""
        state, table = self._state, self._state.table
        self._profiles = self._missing(self._profiles, lambda known: known.profile)
        self._loads = self._missing(self._loads, lambda known: known.load)
        held = {known.profile.catalogue for known in table if known.profile is not None and known.live}
        self._catalogues = {
            digest: source
            for digest, source in self._catalogues.items()
            if table.catalogue(digest) is None and digest in held
        }
        questions: dict[str, tuple[list[str], list[str]]] = {}
        for place, wanted in ((0, self._profiles), (0, self._loads), (1, self._catalogues)):
            for what, source in list(wanted.items())[:ASKED]:
                boot = source or next((known.claim.boot for known in state.pick(1)), "")
                questions.setdefault(boot, ([], []))[place].append(what)
                wanted[what] = ""
        for boot, (names, catalogues) in questions.items():
            if boot:
                state.send(boot, Ask(tuple(names), tuple(catalogues)))
        if self._profiles or self._catalogues or self._loads:
            state.timers.set(state.now + ASK_AGAIN, Timer.ASK)

    def _missing(self, wanted: dict[str, str], of: Callable[[Known], object]) -> dict[str, str]:
        """Those of the wanted members that live and of which this is still not known."""
        table = self._state.table
        return {
            name: source
            for name, source in wanted.items()
            if (known := table.get(name)) is not None and known.live and of(known) is None
        }

    def answer(self, boot: str, message: Ask) -> None:
        """Tell what was asked for and is known."""
        state = self._state
        asked = [known for name in message.names[:ASKED] if (known := state.table.get(name)) is not None]
        if asked:
            state.send(boot, Gossip(news_of(asked)))
        for digest in message.catalogues[:ASKED]:
            types = state.table.catalogue(digest)
            if types:
                state.send(boot, Catalogue(digest, tuple(sorted(types))))

    def learn(self, message: Catalogue) -> bool:
        """Take in a catalogue that was asked for, if it is what it says; True if it was."""
        wanted = message.digest in self._catalogues
        if not wanted or catalogue_of(message.types) != message.types or digest_of(message.types) != message.digest:
            return False
        del self._catalogues[message.digest]
        self._state.table.learn(message.digest, message.types)
        return True


def news_of(members: Iterable[Known]) -> News:
    """All that is known of these members."""
    members = list(members)
    profiles: list[Profile] = [known.profile for known in members if known.profile is not None]
    loads: list[Load] = [known.load for known in members if known.load is not None]
    return News(tuple(known.claim for known in members), tuple(profiles), tuple(loads))
