"""Gossip: what this node knows of the others, and what they know of it. It hints; nothing is decided by it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, Final, assert_never

import trio

from runtime.actor import Actor
from runtime.clock import MILLISECOND, Micros
from runtime.codec import Codec
from runtime.errors import TocsinError
from runtime.fabric import Fabric
from runtime.fabric_messages import Endpoint
from runtime.records import evolve
from runtime.world import World

from .addresses import hint
from .gossip_core import GossipCore
from .gossip_messages import (
    TAGS,
    Directive,
    Event,
    Gone,
    Leave,
    Link,
    Members,
    Mine,
    Offsets,
    PeersChanged,
    Received,
    Send,
    SetAlarm,
    Tick,
)
from .gossip_rules import GossipConfig
from .model.peer import Peer

logger = logging.getLogger(__name__)

MAILBOX: Final = 10_000
"""Messages that may wait. What does not fit is lost, as it might have been on its way."""

RECEIVER: Final = "gossip"
"""The name under which nodes address each other's gossip."""

OFFSETS_SECONDS: Final = 2.0
"""How often the clock offsets that the links have measured are looked at."""

OFFSET_STEP: Final = Micros(MILLISECOND)
"""By how much an offset must have moved to be told anew."""


class Gossip(Actor[Event]):
    """See the module's docstring.

    `me`: this node as it is at first; `describe` tells how it has changed. Its mailbox takes `Members` whenever the coordination
    service tells of some. To be made before the fabric runs, once for each fabric; stopped before the fabric, it takes leave.
    """

    def __init__(
        self, name: str, *, fabric: Fabric, world: World, me: Peer, config: GossipConfig | None = None
    ) -> None:
        super().__init__(name, capacity=MAILBOX)
        self._fabric = fabric
        self._world = world
        self._config = config or GossipConfig()
        self._rng = world.rng(name)
        self._me = self._told_me = me
        self._members = Members(())
        self._offsets: dict[str, Micros] = {}
        self._core: GossipCore
        self._alarm_at = math.inf
        self._alarm_set = trio.Event()
        self._peers: tuple[Peer, ...] = (me,)
        self._watchers: list[Callable[[tuple[Peer, ...]], None]] = []
        register(fabric.codec)
        fabric.receive(RECEIVER, self._received)
        fabric.on_link(self._linked)

    # What others use.

    @property
    def peers(self) -> tuple[Peer, ...]:
        """All nodes as they were told last, by name, this one among them."""
        return self._peers

    @property
    def awareness(self) -> int:
        """How bad this node thinks its own health is, 0 to 8; meaningful while the actor runs."""
        return self._core.awareness

    def describe(self, **changes: Any) -> None:
        """This node is like that now; the names are the fields of `Peer`. Whatever is told last before the loop's turn counts."""
        told, self._me = self._me is self._told_me, evolve(self._me, **changes)
        if told:
            hint(self.mailbox, Mine(self._me))

    def subscribe(self, watcher: Callable[[tuple[Peer, ...]], None]) -> None:
        """Call this with all peers now, and in the loop whenever they have changed. It must be quick."""
        self._watchers.append(watcher)
        watcher(self._peers)

    # The loop.

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until stopped; the alarm and the look at the offsets live in a nursery of their own."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ring)
            nursery.start_soon(self._measure)
            await super().run(task_status=task_status)
            nursery.cancel_scope.cancel()

    async def started(self) -> None:
        """A new life knows what this node is like, the members as last told, and the links that are up."""
        now = self._world.monotonic()
        self._told_me = self._me
        self._core = GossipCore(self._me, self._config, self._rng, now)
        self._offsets = {}
        self._decide(Tick(), now)
        self._decide(self._members, now)
        for link in self._fabric.links():
            if link.up:
                self._decide(Link(link.boot, True), now)

    async def receive_batch(self, messages: list[Event]) -> None:
        """Hand the batch to the core."""
        now = self._world.monotonic()
        for message in messages:
            if isinstance(message, Members):
                self._take_members(message)
            elif isinstance(message, Mine):
                # Only the last word counts, and it may have found no room in the mailbox.
                continue
            self._decide(message, now)
        if self._me is not self._told_me:
            self._told_me = self._me
            self._decide(Mine(self._me), now)

    async def stopping(self) -> None:
        """Take leave of the others."""
        self._decide(Leave(), self._world.monotonic())

    def _take_members(self, members: Members) -> None:
        self._members = members
        self._fabric.know(
            {
                member.boot: Endpoint(member.name, address)
                for member in members.members
                if (address := member.attributes.get("address", "")) and member.boot != self._me.boot
            }
        )

    def _decide(self, event: Event, now: float) -> None:
        for directive in self._core.handle(event, now):
            self._perform(directive)

    def _perform(self, directive: Directive) -> None:
        match directive:
            case Send(boot=boot, message=message):
                try:
                    self._fabric.tell(boot, RECEIVER, message)
                except TocsinError as error:
                    logger.warning("cannot tell %s what gossip has to say: %s", boot, error)
            case SetAlarm(at=at):
                self._alarm_at = at
                self._alarm_set.set()
            case PeersChanged(peers=peers):
                self._peers = peers
                tell_all(self._watchers, peers)
            case Gone(boot=boot):
                name = next((peer.name for peer in self._peers if peer.boot == boot), "a node")
                logger.info("%s (%s) seems to be gone", name, boot)
            case _:
                assert_never(directive)

    # What comes from outside the mailbox.

    def _received(self, boot: str, message: object) -> None:
        if self._running:
            hint(self.mailbox, Received(boot, message))

    def _linked(self, boot: str, up: bool) -> None:
        if self._running:
            hint(self.mailbox, Link(boot, up))

    async def _ring(self) -> None:
        while True:
            self._alarm_set = trio.Event()
            with trio.move_on_at(self._alarm_at):
                await self._alarm_set.wait()
                continue
            self._alarm_at = math.inf
            hint(self.mailbox, Tick())

    async def _measure(self) -> None:
        while True:
            await trio.sleep(OFFSETS_SECONDS)
            measured = {link.boot: link.offset for link in self._fabric.links() if link.offset is not None}
            moved = {
                boot: offset
                for boot, offset in measured.items()
                if boot not in self._offsets or abs(offset - self._offsets[boot]) >= OFFSET_STEP
            }
            if moved or self._offsets.keys() - measured.keys():
                self._offsets = {
                    boot: moved.get(boot, self._offsets.get(boot, offset)) for boot, offset in measured.items()
                }
                hint(self.mailbox, Offsets(dict(self._offsets)))


def register(codec: Codec) -> None:
    """Let gossip's messages travel."""
    for tag, kind in TAGS.items():
        codec.register(tag, kind)


def tell_all(watchers: list[Callable[[Any], None]], what: object) -> None:
    """Call every watcher; one that fails costs the others nothing."""
    for watcher in watchers:
        try:
            watcher(what)
        except Exception:
            logger.exception("a watcher of gossip failed")
