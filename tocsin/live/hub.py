"""The hub of a node: reads the streams of all nodes once, and tells everybody who follows them here.

Theory of operation. Only while somebody follows, the hub reads its own node's journal as it is written, and asks every other node
of the cluster for what is new there. What it has read stands in a ring in the order in which it came; followers walk along it at
their own pace. Those who wish the same share a view of it, so that a part of it is chosen, folded and encoded once for all of
them, and each is told in a turn of his own. Who was away goes on from the journals (`replay`); what these do not have any more is
a `gap`.

Under a flood the hub tells a bounded number of events in a second and lets a gap stand for the rest, so that those who look on
never hold up the timer. Not guaranteed: that followers of two nodes see events of different nodes in the same order.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from actors.live.journal import TAG
from actors.model.peer import Peer
from actors.model.scope import EVERYTHING
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import StoreUnavailable, TocsinError
from runtime.turns import TELLS

from ..access.caller import FIRST_ADMINISTRATOR
from ..access.limits_core import TooManyRequests
from ..operations.calls import Call
from ..peers.peer_calls import ALL_SECONDS, ask_node
from .chunks import Told, chunk_of, fold, gap_chunk
from .events_core import LiveEvent, Position, Wanted, Wish, arrived, event_of
from .settings import FollowerLimits
from .told import EVENTS, READ_AT_ONCE

if TYPE_CHECKING:
    from actors.node import Node

logger = logging.getLogger(__name__)

TURN_SECONDS: Final = 0.1
"""Between two looks at the own journal while it grows: what a person calls at once, and few wake-ups of many followers."""

PEERS_SECONDS: Final = 0.5
"""Between two questions to the other nodes."""

NODES_SECONDS: Final = 1.0
"""Between two looks at how the nodes stand: gossip needs some seconds to change its mind."""

RING: Final = 4_096
"""Events that followers may be behind: two seconds at the full rate, some megabytes; two seconds of a greater rate too."""

SHARED: Final = 8
"""Parts of the ring that a view keeps ready for its followers: they are told one after another, all within a moment."""

ALL: Final = Wish(Wanted(EVERYTHING))

GIVES_WAY: Final = 64
"""Events that are encoded before others have a turn in the loop: about a millisecond."""


@attrs.define(eq=False)
class Follower:
    """Somebody who follows. `place`: in the ring, of what he has been told."""

    hub: Hub
    place: int
    view: View
    since: Instant

    def behind(self) -> bool:
        """Whether what he has to be told next is gone."""
        return self.hub.count - self.place > self.hub.size

    def advance(self) -> tuple[int, int]:
        """The places in the ring, from the first one on and without the last one, of what he is told next."""
        first = self.place
        # What is gathered is told at once; what is told as it happens is told by so much that a round of the loop stays short.
        self.place = self.hub.count if self.view.wish.coalesce else min(self.hub.count, first + self.hub.turn)
        if self.place == self.hub.count:
            self.since = self.hub.now()
        return first, self.place

    def skip(self) -> bytes:
        """Pass over what is gone. Answers the gap that stands for it."""
        self.place = max(self.place, self.hub.count - min(self.hub.turn, self.hub.size // 2))
        return gap_chunk(self.hub.position(), self.since, "more happened than is told")


class View:
    """What all who follow with one wish are told: chosen, folded and put together once."""

    def __init__(self, hub: Hub, wish: Wish) -> None:
        self.wish = wish
        self.followers = 0
        self._hub = hub
        self._made: dict[tuple[int, int], bytes] = {}

    def between(self, first: int, last: int) -> bytes:
        """What is told of these places in the ring; b"" for nothing."""
        found = self._made.get((first, last))
        if found is None:
            found = self._make(first, last)
            self._made[first, last] = found
            if len(self._made) > SHARED:
                del self._made[next(iter(self._made))]
        return found

    def _make(self, first: int, last: int) -> bytes:
        wanted, told = self.wish.wanted, self._hub.told(first, last)
        chosen = [one for one in told if one.event is None or wanted.has(one.event)]
        if not self.wish.coalesce:
            return b"".join(one.chunk for one in chosen)
        return b"".join(one.standing_for(older) for one, older in fold(chosen, by_task=self.wish.by_task))


class Hub:
    """See the module's docstring. `run` works until `stop` is set; then whoever follows is told the end."""

    def __init__(self, node: Node, settings: FollowerLimits) -> None:
        self._node = node
        self._settings = settings
        self.turn = max(1, round(settings.rate * TURN_SECONDS))
        self.size = max(RING, 2 * settings.rate)
        self.ring: list[Told | None] = [None] * self.size
        self.count = 0
        self.closing = False
        self._followers: dict[Follower, str] = {}
        self._views: dict[Wish, View] = {}
        self._last = node.world.now()
        self._numbers: dict[str, int] = {}
        self._peers: dict[str, Peer] = {}
        self._entering = trio.Lock()
        self._news = trio.Event()
        self._wanted = trio.Event()

    @property
    def followers(self) -> int:
        """How many follow."""
        return len(self._followers)

    @property
    def name(self) -> str:
        """The node's."""
        return self._node.config.name

    def now(self) -> Instant:
        """The time."""
        return self._node.world.now()

    async def take_turn(self) -> None:
        """Wait until it is this follower's turn to be told something: see `Turns`."""
        await self._node.turns.take(TELLS)

    def position(self) -> Position:
        """Where the end of the ring is."""
        return Position(self.now(), dict(self._numbers))

    def told(self, first: int, last: int) -> list[Told]:
        """What stands in the ring from one place to before another; what is gone is left out."""
        places = range(max(first, self.count - self.size), min(last, self.count))
        return [told for place in places if (told := self.ring[place % self.size]) is not None]

    async def run(self, stop: trio.Event) -> None:
        """Work until stopped."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_own)
            if self._node.cluster is not None:
                nursery.start_soon(self._read_peers)
                nursery.start_soon(self._watch_nodes)
            await stop.wait()
            self.closing = True
            self._tell_all()
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def follow(self, token: str, wish: Wish = ALL) -> AsyncIterator[Follower]:
        """Somebody follows from now on, with a token, what he wishes.

        Raises TooManyRequests, and StoreUnavailable for a node that stops.
        """
        if self.closing:
            raise StoreUnavailable("the node stops")
        if len(self._followers) >= self._settings.followers:
            raise StoreUnavailable(f"{self._settings.followers} follow this node already, its limit (events.followers)")
        if list(self._followers.values()).count(token) >= self._settings.per_token:
            limit = self._settings.per_token
            raise TooManyRequests(f"{limit} follow with this token already, its limit (events.per_token)", 5.0)
        async with self._entering:
            await self._begin()
        view = self._views.setdefault(wish, View(self, wish))
        view.followers += 1
        follower = Follower(self, self.count, view, self.now())
        self._followers[follower] = token
        self._wanted.set()
        try:
            yield follower
        finally:
            del self._followers[follower]
            view.followers -= 1
            if not view.followers:
                self._views.pop(wish, None)
            if not self._followers:
                self._wanted = trio.Event()

    async def _begin(self) -> None:
        if not self._followers:
            # While nobody followed nothing was read: the ring goes on where the journals are now.
            self._last = self.now()
            self._numbers = {self._node.journal.tag: self._node.journal.newest}
            await self._meet_peers()

    async def wait(self, seconds: float) -> None:
        """Wait until there is more in the ring, so many seconds at the most."""
        with trio.move_on_after(seconds):
            await self._news.wait()

    async def gather(self, coalesce: Micros) -> None:
        """Wait until an interval is over. Those of one length end together, so that all who gather share what they get."""
        seconds = coalesce / SECOND
        await trio.sleep_until((trio.current_time() // seconds + 1) * seconds)

    async def replay(self, since: Position, until: Position) -> AsyncGenerator[bytes | tuple[LiveEvent, bytes], None]:
        """What happened between two positions, node after node: each event with its chunk, and gaps for what is missing."""
        numbers = dict(since.numbers)
        if gone := len(since.numbers.keys() - until.numbers.keys()):
            numbers = {tag: number for tag, number in numbers.items() if tag in until.numbers}
            why = f"{gone} of the nodes that were followed have ended or started again since"
            yield gap_chunk(Position(since.at, numbers), since.at, why)
        for tag, last in until.numbers.items():
            told = False
            after = numbers.get(tag, 0)
            while after < last:
                events, oldest, through = await self._page(tag, after)
                if oldest > after + 1 and not told and (tag in since.numbers or not _began_before(events, since)):
                    told = True
                    yield gap_chunk(Position(since.at, numbers), since.at, "more has happened than is kept")
                for event in events:
                    if event.number <= last and (tag in since.numbers or event.at > since.at):
                        numbers[tag] = event.number
                        yield event, chunk_of(event, Position(Instant(event.at), numbers).text())
                if through <= after:
                    break
                after = through
            numbers[tag] = max(last, numbers.get(tag, 0))

    async def _page(self, tag: str, after: int) -> tuple[list[LiveEvent], int, int]:
        """Some events of a node above a number, the number of its oldest, and the number up to which these tell all."""
        journal = self._node.journal
        if tag == journal.tag:
            entries = journal.after(after, READ_AT_ONCE)
            await trio.lowlevel.checkpoint()
            events = [event_of(entry, self._node.config.name) for entry in entries]
            return events, journal.oldest, events[-1].number if events else journal.newest
        peer = self._peers.get(tag)
        if peer is None:
            return [], after + 2, after
        try:
            return _read(await self._ask(peer, after))
        except TocsinError as error:
            logger.debug("%s does not tell its events: %s", peer.name, error)
            return [], after + 2, after

    # -- what fills the ring

    async def _read_own(self) -> None:
        journal = self._node.journal
        while True:
            await self._wanted.wait()
            after = self._numbers.get(journal.tag, journal.newest)
            if journal.newest <= after:
                await journal.wait()
                continue
            if journal.oldest > after + 1:
                after = journal.newest - self.turn
                self._numbers[journal.tag] = after
                self._add_gap("more happened than is told")
            for index, entry in enumerate(journal.after(after, self.turn)):
                self._add(journal.tag, event_of(entry, self._node.config.name))
                if index % GIVES_WAY == GIVES_WAY - 1:
                    await trio.lowlevel.checkpoint()
            self._tell_all()
            await trio.sleep(TURN_SECONDS)

    async def _read_peers(self) -> None:
        while True:
            await self._wanted.wait()
            await self._meet_peers()
            async with trio.open_nursery() as nursery:
                for tag in tuple(self._peers):
                    nursery.start_soon(self._read_peer, tag)
            self._tell_all()
            await trio.sleep(PEERS_SECONDS)

    async def _read_peer(self, tag: str) -> None:
        after = self._numbers.get(tag)
        if after is None:
            return
        events, oldest, newest = await self._page(tag, after)
        if newest > after and oldest > after + 1:
            self._add_gap(f"more happened on {self._peers[tag].name} than is kept there")
        for event in events:
            self._add(tag, event)
        self._numbers[tag] = max(newest, after)

    async def _meet_peers(self) -> None:
        """Know where the streams of the other nodes are: of one that is new all of it is told."""
        cluster = self._node.cluster
        if cluster is None:
            return
        first = not self._peers or not self._followers
        self._peers = {tag_of(peer): peer for peer in cluster.others()}
        for tag in sorted(self._numbers.keys() - self._peers.keys() - {self._node.journal.tag}):
            del self._numbers[tag]
        async with trio.open_nursery() as nursery:
            for tag in sorted(self._peers.keys() - self._numbers.keys()):
                if first:
                    nursery.start_soon(self._meet, tag)
                else:
                    self._numbers[tag] = 0

    async def _meet(self, tag: str) -> None:
        try:
            told = await self._ask(self._peers[tag], -1)
            self._numbers[tag] = int(told["newest"])
        except (TocsinError, ValueError, KeyError, TypeError) as error:
            logger.debug("the stream of %s is not known yet: %s", tag, error)

    async def _ask(self, peer: Peer, after: int) -> Mapping[str, Any]:
        cluster = self._node.cluster
        assert cluster is not None, "only a node of a cluster has others"
        call = Call({}, "node", "node", FIRST_ADMINISTRATOR)
        found: Mapping[str, Any] = await ask_node(
            cluster, peer, EVENTS, {"after": after, "limit": self.turn}, call=call, seconds=ALL_SECONDS
        )
        return found

    async def _watch_nodes(self) -> None:
        """Note in the journal how the other nodes stand."""
        cluster, journal = self._node.cluster, self._node.journal
        assert cluster is not None, "only a node of a cluster has others"
        known = {peer.boot: peer for peer in cluster.peers()}
        while True:
            await trio.sleep(NODES_SECONDS)
            now = {peer.boot: peer for peer in cluster.peers()}
            for boot, peer in now.items():
                former = known.get(boot)
                if former is None:
                    journal.saw("joined", peer)
                elif (former.standing, former.draining) != (peer.standing, peer.draining):
                    journal.saw("standing", peer)
            for boot in sorted(known.keys() - now.keys()):
                journal.saw("left", known[boot])
            known = now

    def _add(self, tag: str, event: LiveEvent) -> None:
        self._numbers[tag] = event.number
        self._last = Instant(event.at)
        self._put(Told(event, Position(self._last, self._numbers).text()))

    def _add_gap(self, why: str) -> None:
        position = self.position()
        self._put(Told(None, position.text(), gap_chunk(position, self._last, why)))

    def _put(self, told: Told) -> None:
        self.ring[self.count % self.size] = told
        self.count += 1

    def _tell_all(self) -> None:
        self._news.set()
        self._news = trio.Event()


def _began_before(events: Sequence[LiveEvent], since: Position) -> bool:
    """Whether the oldest events that a node has are from before a position, so that nothing after it is gone."""
    return bool(events) and events[0].at <= since.at


def tag_of(peer: Peer) -> str:
    """The tag of another node's journal."""
    return peer.boot[-TAG:]


def _read(told: Mapping[str, Any]) -> tuple[list[LiveEvent], int, int]:
    try:
        return [arrived(one) for one in told["list"]], int(told["oldest"]), int(told["through"])
    except (KeyError, TypeError, ValueError):
        raise StoreUnavailable("events of another node that are not understood") from None
