"""What the fabric holds about one peer, whether or not there is a link to it now."""

from __future__ import annotations

import trio

from .fabric_core import ClockOffset
from .fabric_messages import Endpoint, Limits, LinkStatus
from .link import Link, Outbox


class Peer:
    """One boot of one node. `endpoint` None: it is not known, only linked from its side. `wanted`: a link to it is always kept.
    `demanded`: one is being made because somebody has something to say. `tended`: a task dials it when needed."""

    def __init__(self, boot: str, limits: Limits) -> None:
        self.boot = boot
        self.endpoint: Endpoint | None = None
        self.link: Link | None = None
        self.wanted = self.demanded = self.tended = False
        self.retry_at = 0.0
        self.outbox = Outbox(limits)
        self.clock = ClockOffset()
        self.sent = self.received = self.dropped = self.refused = 0
        self._stirred = trio.Event()

    @property
    def name(self) -> str:
        """The node's name, or its boot id while it is not known."""
        if self.link is not None:
            return self.link.peer.node
        return self.endpoint.name if self.endpoint is not None else self.boot

    @property
    def wants_link(self) -> bool:
        """Whether it should be dialled now."""
        return self.link is None and (self.wanted or self.demanded)

    def put(self, prefix: bytes, data: bytes) -> bool:
        """Queue a message; False, and counted, if there is no link and none can be had for it, or too much waits."""
        if (self.link is not None or self._demand()) and self.outbox.put(prefix, data):
            return True
        self.dropped += 1
        return False

    def _demand(self) -> bool:
        if self.wanted or self.endpoint is None or trio.current_time() < self.retry_at:
            return False
        if not self.demanded:
            self.demanded = True
            self.stir()
        return True

    def count_sent(self, messages: int) -> None:
        """So many messages have left."""
        self.sent += messages

    def close(self) -> None:
        """There is no link any more, and what waited for it will not be sent."""
        self.link = None
        self.demanded = False
        self.dropped += self.outbox.clear()
        self.stir()

    def stir(self) -> None:
        """Have the task that dials this peer look again."""
        self._stirred.set()
        self._stirred = trio.Event()

    async def wait_stirred(self) -> None:
        """Until `stir`."""
        await self._stirred.wait()

    def status(self) -> LinkStatus:
        """The peer as others may see it."""
        link, up = self.link, self.link is not None
        return LinkStatus(
            boot=self.boot,
            node=self.name,
            address=self.endpoint.address if self.endpoint is not None else "",
            up=up,
            dialled=link is not None and link.dialled,
            sent=self.sent,
            received=self.received,
            dropped=self.dropped,
            refused=self.refused,
            queued=len(self.outbox),
            queued_bytes=self.outbox.bytes,
            round_trip=self.clock.round_trip if up else None,
            offset=self.clock.offset if up else None,
            attributes=link.peer.attributes if link is not None else {},
        )
