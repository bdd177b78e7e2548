"""What the parts of the gossip core share: the table, the news, the timers, this node's health, and how others are picked."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Final

from .gossip_messages import Directive, Gossip, GossipMessage, Life, Load, News, Send
from .gossip_queue import Item, NewsQueue, Timer, Timers, sort_out
from .gossip_rules import HIGHEST_AWARENESS, GossipConfig, is_mesh, retransmit_limit
from .gossip_table import Known, Table

if TYPE_CHECKING:
    import random

PIGGYBACK: Final = 16
"""Pieces of news on a probe or its answer: a kilobyte or two."""

NEWS: Final = 128
"""Pieces of news in one round: some ten kilobytes."""

DRAW_ABOVE: Final = 4
"""With so many times more members than wanted it is cheaper to draw a few than to mix all."""


class GossipState:
    """`name`, `boot`: of this node. `now`: the time of the event that is being decided. `out`: the directives so far."""

    def __init__(self, name: str, boot: str, config: GossipConfig, rng: random.Random) -> None:
        self.name: Final = name
        self.boot: Final = boot
        self.config: Final = config
        self.rng: Final = rng
        self.table: Final = Table()
        self.queue: Final = NewsQueue()
        self.timers: Final = Timers()
        self.now = 0.0
        self.out: list[Directive] = []
        self.awareness = 0
        # Names in the order of probing; the dead are skipped, and dropped at the end of a round.
        self._order: list[str] = []
        self._entered: set[str] = set()
        self._place = 0
        self._last_round = float("-inf")

    @property
    def scale(self) -> int:
        """By how much probes are slower than configured, since this node may be what is slow."""
        return self.awareness + 1

    def judge_self(self, by: int) -> None:
        """Think so much worse of this node's own health, or better if negative."""
        self.awareness = min(HIGHEST_AWARENESS, max(0, self.awareness + by))

    def send(self, boot: str, message: GossipMessage) -> None:
        self.out.append(Send(boot, message))

    def spread(self, item: Item, told: int = 0) -> None:
        """Pass this on from the next round on, which is now if the last one was long enough ago."""
        self.queue.add(item, told)
        self.timers.set_once(max(self.now, self._last_round + self.config.gossip_seconds), Timer.GOSSIP)

    def pass_on(self, load: Load) -> None:
        """Tell of a load, less often than of other news. In a full mesh, where its owner tells all, it only fills the space of
        what is told anyway, for those that he does not reach."""
        told = max(0, self.limit() - retransmit_limit(self.config.load_retransmit, self.table.live))
        if self.is_mesh:
            self.queue.add(load, told)
        else:
            self.spread(load, told)

    @property
    def is_mesh(self) -> bool:
        """Whether one node can tell all others at once."""
        return is_mesh(self.config, self.table.live)

    def round(self) -> None:
        """Tell some members what is new."""
        self._last_round = self.now
        targets = self.pick(self.config.fanout)
        if not targets:
            return
        message = Gossip(self.queue.take(NEWS, len(targets), self.limit()))
        for target in targets:
            self.send(target.claim.boot, message)
        if self.queue.presses if self.is_mesh else len(self.queue):
            self.timers.set(self.now + self.config.gossip_seconds, Timer.GOSSIP)

    def limit(self) -> int:
        """How often a piece of news is passed on."""
        return retransmit_limit(self.config.retransmit, self.table.live)

    def tell_now(self, item: Item, also: Iterable[str] = ()) -> None:
        """Pass this on, and tell as many as is bearable at once."""
        if type(item) is Load:
            self.pass_on(item)
        else:
            self.spread(item)
        message = Gossip(sort_out([item]))
        boots = {target.claim.boot for target in self.pick(self.config.urgent_fanout)}
        for boot in sorted((boots | set(also)) - {self.boot, ""}):
            self.send(boot, message)

    def piggyback(self, known: Known | None) -> News:
        """News for a probe or an answer; a member that is in doubt hears first what is said of it."""
        news = self.queue.take(PIGGYBACK, 1, self.limit())
        if known is None:
            return news
        said = known.claim if known.death is None else known.death
        if said.life is Life.ALIVE:
            return news
        return News((said, *(claim for claim in news.claims if claim != said)), news.profiles, news.loads)

    # Who is next.

    def enter(self, name: str) -> None:
        """Probe a new or returned member from now on, from a random place of the round."""
        if name not in self._entered and name != self.name:
            self._entered.add(name)
            place = self.rng.randrange(len(self._order) + 1)
            self._order.insert(place, name)
            self._place += place < self._place

    def next(self) -> Known | None:
        """The member to probe next: each once in a round, every round in another order. None if there is none."""
        for _ in range(2):
            while self._place < len(self._order):
                known = self.table.get(self._order[self._place])
                self._place += 1
                if known is not None and known.live:
                    return known
            self._order = [name for name in self._order if self._living(name) is not None]
            self._entered = set(self._order)
            self.rng.shuffle(self._order)
            self._place = 0
        return None

    def pick(self, many: int, without: str = "") -> list[Known]:
        """So many random members that are not dead, without this node and the one with this name."""
        order = self._order
        # Some of those drawn are dead or not wanted; a round's order is cleared of the dead, so there are not many.
        names = self.rng.sample(order, len(order) if len(order) <= DRAW_ABOVE * many else 2 * many + 2)
        living = (self._living(name) for name in names if name != without)
        return list(islice((known for known in living if known is not None), many))

    def _living(self, name: str) -> Known | None:
        known = self.table.get(name)
        return known if known is not None and known.live else None
