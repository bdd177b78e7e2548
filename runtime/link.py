"""One link: a writer that sends what has piled up, a reader that hands it out, and heartbeats that find a frozen peer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Final

import trio

from .clock import SECOND, Micros
from .codec import LENGTH, Codec, lengthened
from .fabric_core import ClockOffset, NoSeal, Seal
from .fabric_messages import Hello, Limits
from .websocket import FrameStream, LinkBroken
from .world import World

TELL: Final = 1
ASK: Final = 2
ANSWER: Final = 3
FAILURE: Final = 4
PING: Final = 5
PONG: Final = 6
"""The first byte of each message of a frame."""

_length: Final = LENGTH.pack
_PING: Final = Struct("!BIq")
_PONG: Final = Struct("!BIqqq")

LINGER_SECONDS: Final = 1.0
"""A link that gave way to another one is read for so much longer: what the peer had sent on it is not lost."""


class Outbox:
    """What waits to be sent to one peer, bounded in messages and bytes. Heartbeats go first and always fit."""

    def __init__(self, limits: Limits) -> None:
        self._most, self._most_bytes = limits.queue_messages, limits.queue_bytes
        self._messages: deque[bytes] = deque()
        self._first: deque[bytes] = deque()
        self.bytes = 0
        self._filled = trio.Event()
        self._is_empty = True

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, prefix: bytes, data: bytes) -> bool:
        """Append a message, given in two parts; False if it is too much."""
        message = _length(len(prefix) + len(data)) + prefix + data
        size = self.bytes + len(message)
        messages = self._messages
        if size > self._most_bytes or len(messages) >= self._most:
            return False
        self.bytes = size
        messages.append(message)
        if self._is_empty:
            self._fill()
        return True

    def _fill(self) -> None:
        self._is_empty = False
        self._filled.set()

    def put_first(self, message: bytes) -> None:
        """Send this before everything else."""
        self._first.append(message)
        self._fill()

    def clear(self) -> int:
        """Throw everything away; answers how many messages that were."""
        count = len(self._messages)
        self._messages.clear()
        self._first.clear()
        self.bytes = 0
        return count

    async def take(self, most: int) -> tuple[bytes, int]:
        """Wait for messages and take them as a frame of about so many bytes; also their number."""
        if not self._messages and not self._first:
            # The writer of a link that gives way may wait here beside its successor's: both must hear of the same event.
            if self._filled.is_set():
                self._filled = trio.Event()
            self._is_empty = True
            await self._filled.wait()
        if not self._messages and not self._first:
            return b"", 0
        batch = [*self._first]
        self._first.clear()
        urgent, size, waiting = len(batch), sum(map(len, batch)), self._messages
        while waiting and size < most:
            message = waiting.popleft()
            size += len(message)
            self.bytes -= len(message)
            batch.append(message)
        return b"".join(batch), len(batch) - urgent


class Link:
    """A connection to a peer whose handshake is done. `heard` is called with the messages of
    each frame that are no heartbeats, `sent` with the number of those that have left. `used`: since somebody last looked."""

    def __init__(
        self,
        peer: Hello,
        seal: Seal | NoSeal,
        *,
        dialled: bool,
        codec: Codec,
        limits: Limits,
        world: World,
        clock: ClockOffset,
        outbox: Outbox,
        heard: Callable[[Link, list[bytes]], None],
        sent: Callable[[int], None],
    ) -> None:
        self.peer, self.dialled = peer, dialled
        self.boot = peer.boot
        self.used = False
        self.outbox = outbox
        self._seal, self._codec, self._limits, self._world, self._clock = seal, codec, limits, world, clock
        self._heard, self._count_sent = heard, sent
        self._talking = trio.CancelScope()
        self._living = trio.CancelScope()
        self._reason = ""
        self._unanswered = 0
        self._sent_at: dict[int, float] = {}

    async def run(self, frames: FrameStream) -> None:
        """Carry messages until the connection ends or one of us gives it up; raises LinkBroken, LinkRefused, CodecError."""
        with self._living:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._talk, frames)
                nursery.start_soon(self._read, frames)
        if self._reason:
            raise LinkBroken(self._reason)

    def give_up(self, reason: str = "") -> None:
        """End the link now. With a reason it counts as broken."""
        self._reason = reason
        self._living.cancel()

    def give_way(self) -> None:
        """Another link has taken over: send no more, and end after a while."""
        self._talking.cancel()
        self._living.deadline = trio.current_time() + LINGER_SECONDS

    async def _talk(self, frames: FrameStream) -> None:
        with self._talking:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, frames)
                nursery.start_soon(self._beat)

    async def _write(self, frames: FrameStream) -> None:
        outbox, most, close = self.outbox, self._limits.batch, self._seal.close
        while True:
            # Taking what waits already is no checkpoint, and sending is shielded: a link that gives way would take it all.
            await trio.lowlevel.checkpoint_if_cancelled()
            body, count = await outbox.take(most)
            if body:
                await frames.send(close(body))
            if count:
                self.used = True
                self._count_sent(count)

    async def _read(self, frames: FrameStream) -> None:
        open_, split = self._seal.open, self._codec.split
        while True:
            messages = []
            for message in split(open_(await frames.receive())):
                kind = message[0] if message else 0
                if kind == PING:
                    self._answer_ping(message)
                elif kind == PONG:
                    self._hear_pong(message)
                else:
                    messages.append(message)
            if messages:
                self.used = True
                self._heard(self, messages)

    async def _beat(self) -> None:
        """Ping, and count the pings in a row that were not answered: a node that slept itself has missed one at most."""
        while True:
            number = self._clock.next_number()
            self._sent_at[number] = trio.current_time()
            self.outbox.put_first(lengthened(_PING.pack(PING, number, self._world.now())))
            await trio.sleep(self._limits.heartbeat_seconds)
            if self._sent_at:
                self._unanswered += 1
                if self._unanswered >= self._limits.missed_heartbeats:
                    self.give_up(f"no answer to {self._unanswered} heartbeats in a row")

    def _answer_ping(self, message: bytes) -> None:
        if len(message) == _PING.size:
            _, number, sent = _PING.unpack(message)
            now = self._world.now()
            # Both times of the answer are the same: from reading to queueing it passes less than the clock can tell.
            self.outbox.put_first(lengthened(_PONG.pack(PONG, number, sent, now, now)))

    def _hear_pong(self, message: bytes) -> None:
        if len(message) != _PONG.size:
            return
        _, number, sent, heard, answered = _PONG.unpack(message)
        begun = self._sent_at.get(number)
        if begun is None:
            return
        self._sent_at.clear()
        self._unanswered = 0
        round_trip = Micros(round((trio.current_time() - begun) * SECOND))
        self._clock.add(sent, heard, answered, self._world.now(), round_trip)
