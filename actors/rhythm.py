"""How often a node of a cluster does what it does again and again, whether or not anything happens.

All of it together is what an idle cluster costs, and what finding out that somebody is gone takes. The defaults are for
nodes in one data centre; a rehearsal of days beats slower.
"""

from __future__ import annotations

import attrs

from runtime.fabric_messages import Limits

from .gossip_rules import GossipConfig


@attrs.frozen
class Rhythm:
    """Times are seconds.

    `watch_seconds`: the coordinator looks at the time; a tenth of what it does regularly. `renew_seconds`: between two renewals
    of the lease, readings of what holds for all, and looks for what dead nodes left behind: a fraction of the lease.
    `look_seconds`: between two looks at the store for what a lost wake-up would have told; with the decision and the start it
    must stay within a second and a half. `tell_seconds`: between two looks at what a node has to say of itself; load that is
    older misleads, more often helps nobody. `poll_seconds`: the coordination looks at the time; an eighth of the smallest
    sensible session.
    """

    watch_seconds: float = 0.1
    renew_seconds: float = 1.0
    look_seconds: float = 1.0
    tell_seconds: float = 0.2
    poll_seconds: float = 0.25
    gossip: GossipConfig = attrs.field(factory=GossipConfig)
    links: Limits = attrs.field(factory=Limits)

    def slower(self, factor: float) -> Rhythm:
        """Everything so many times slower; sessions and leases have to be so many times longer then."""
        gossip = {
            name: getattr(self.gossip, name) * factor
            for name in attrs.fields_dict(GossipConfig)
            if name.endswith("_seconds")
        }
        links = {
            name: getattr(self.links, name) * factor
            for name in (
                "handshake_seconds",
                "idle_seconds",
                "heartbeat_seconds",
                "send_seconds",
                "first_pause",
                "last_pause",
            )
        }
        return Rhythm(
            self.watch_seconds * factor,
            self.renew_seconds * factor,
            self.look_seconds * factor,
            self.tell_seconds * factor,
            self.poll_seconds * factor,
            attrs.evolve(self.gossip, **gossip),
            attrs.evolve(self.links, **links),
        )
