"""Who answers and who does not: probes, direct and through others, and what they say of this node's own health.

Theory of operation. A probe is a ping. If it is not answered within the timeout, three others are asked to ping as well; if no
answer has come when the probe's time is over, it has failed. Those that were asked say so when they have no answer either; if
even that does not come, the fault is probably this node's own, and its awareness of that (Lifeguard's local health) makes its
next probes slower. A probe that is answered makes them quicker again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from .gossip_messages import Ack, Life, Nack, Ping, PingRequest
from .gossip_queue import Timer
from .gossip_state import GossipState
from .gossip_table import Known

NACK_PART: Final = 0.8
"""Which part of the timeout a helper waits before it says that it has no answer: so that this is heard in time."""

RELAY_PROBES: Final = 10
"""For how many intervals of probes a helper passes a late answer on: the slowest asker waits nine."""


@attrs.define(eq=False)
class Probe:
    """One under way. `urgent`: somebody shall hear at once if it fails. `helpers`, `nacks`: asked, and heard of."""

    name: str
    boot: str
    urgent: bool
    asked: bool = False
    helpers: int = 0
    nacks: int = 0


@attrs.define(eq=False)
class Relay:
    """A ping on behalf of another: who asked, and under which number."""

    boot: str
    number: int
    nacked: bool = False


class Prober:
    """See the module's docstring. `failed`: called with the member and whether that was urgent."""

    def __init__(self, state: GossipState, failed: Callable[[Known, bool], None]) -> None:
        self._state = state
        self._failed = failed
        # A core that begins anew under the same boot must not take answers to its predecessor for its own.
        self._number = state.rng.getrandbits(40)
        self._probes: dict[int, Probe] = {}
        self._by_name: dict[str, int] = {}
        self._relays: dict[int, Relay] = {}

    def next(self) -> None:
        """Probe the next member of the round, and set the timer for the one after."""
        state = self._state
        state.timers.set(state.now + state.config.probe_seconds * state.scale, Timer.PROBE)
        known = state.next()
        if known is not None:
            self.probe(known)

    def probe(self, known: Known, *, urgent: bool = False) -> None:
        """Probe this member now. What is urgent goes through others at the same time."""
        state, name, boot = self._state, known.claim.name, known.claim.boot
        number = self._by_name.get(name)
        if number is None or self._probes[number].boot != boot:
            if number is not None:
                self._end(number)
            number = self._new_number()
            self._by_name[name] = number
            self._probes[number] = Probe(name, boot, urgent)
            state.send(boot, Ping(number, state.piggyback(known)))
            state.timers.set(state.now + state.config.timeout_seconds * state.scale, Timer.INDIRECT, number)
            state.timers.set(state.now + state.config.probe_seconds * state.scale, Timer.UNANSWERED, number)
        if urgent:
            self._probes[number].urgent = True
            self.ask_others(number)

    def ask_others(self, number: int) -> None:
        """Have others ping as well."""
        state, probe = self._state, self._probes.get(number)
        if probe is None or probe.asked:
            return
        probe.asked = True
        helpers = [known for known in state.pick(state.config.indirect, probe.name) if known.claim.life is Life.ALIVE]
        probe.helpers = len(helpers)
        for helper in helpers:
            state.send(helper.claim.boot, PingRequest(number, probe.boot, state.piggyback(helper)))

    def unanswered(self, number: int) -> None:
        """The time of a probe is over."""
        probe = self._end(number)
        if probe is None:
            return
        # Helpers that do not even decline point to this node; without helpers nothing can be told apart.
        self._state.judge_self(probe.helpers - probe.nacks if probe.helpers else 1)
        known = self._state.table.by_boot(probe.boot)
        if known is not None and known.live:
            self._failed(known, probe.urgent)

    def ack(self, boot: str, ack: Ack) -> None:
        """An answer, to a probe of this node or to one on behalf of another."""
        probe = self._end(ack.number)
        if probe is not None:
            self._state.judge_self(-1)
            known = self._state.table.by_boot(probe.boot)
            if known is not None:
                known.death = None
        elif (relay := self._relays.pop(ack.number, None)) is not None:
            self._state.timers.cancel(Timer.RELAY, ack.number)
            self._state.send(relay.boot, Ack(relay.number))

    def nack(self, nack: Nack) -> None:
        """A helper has no answer."""
        probe = self._probes.get(nack.number)
        if probe is not None and probe.nacks < probe.helpers:
            probe.nacks += 1

    def relay(self, boot: str, request: PingRequest) -> None:
        """Ping on behalf of another."""
        state, number = self._state, self._new_number()
        self._relays[number] = Relay(boot, request.number)
        state.send(request.boot, Ping(number, state.piggyback(state.table.by_boot(request.boot))))
        state.timers.set(state.now + NACK_PART * state.config.timeout_seconds, Timer.RELAY, number)

    def relay_waited(self, number: int) -> None:
        """A ping on behalf of another has had no answer: say so once, and in the end forget it."""
        state, relay = self._state, self._relays.get(number)
        if relay is None:
            return
        if relay.nacked:
            del self._relays[number]
            return
        relay.nacked = True
        state.send(relay.boot, Nack(relay.number))
        state.timers.set(state.now + RELAY_PROBES * state.config.probe_seconds, Timer.RELAY, number)

    def _new_number(self) -> int:
        self._number += 1
        return self._number

    def _end(self, number: int) -> Probe | None:
        probe = self._probes.pop(number, None)
        if probe is not None:
            del self._by_name[probe.name]
            self._state.timers.cancel(Timer.INDIRECT, number)
            self._state.timers.cancel(Timer.UNANSWERED, number)
        return probe

    def check_invariants(self) -> None:
        """Raise AssertionError if the two indexes of the probes differ."""
        assert {probe.name: number for number, probe in self._probes.items()} == self._by_name, "a probe is lost"
