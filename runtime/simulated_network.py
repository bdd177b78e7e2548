"""A network in memory whose faults are set per ordered pair of hosts, in virtual time, deterministic by its seed.

What TCP does is kept: bytes arrive in order or not at all, a cut delays them until it heals (as retransmission would), a
connection whose other end has vanished stays silent, and the sender is held back when nobody reads.
"""

from __future__ import annotations

import math
import random
from collections import deque
from typing import Final

import attrs
import trio

from .errors import InvalidRequest, PeerUnreachable
from .transport import Admit, Handler, split_address

WINDOW: Final = 256 * 1024
"""Bytes under way or unread per direction before the sender waits: a kernel's buffers of both ends."""

BACKLOG: Final = 128
"""Connections that nobody has accepted yet."""


@attrs.define
class Faults:
    """What happens to bytes from one host to another. The default is a perfect network; change fields at any time.

    `latency`, `jitter`: seconds. `chunk`: at most so many bytes are received at once. `cut`: nothing arrives until it is
    taken back.
    `refuse`: new connections are refused. `corrupt`: chance that one bit of a send is flipped.
    """

    latency: float = 0.0
    jitter: float = 0.0
    chunk: int | None = None
    cut: bool = False
    refuse: bool = False
    corrupt: float = 0.0


class SimulatedNetwork:
    """All hosts and what lies between them. After changing faults call `changed()`, or use the verbs here, which do."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._made = 0
        self._faults: dict[tuple[str, str], Faults] = {}
        self._listeners: dict[str, trio.MemorySendChannel[tuple[SimulatedStream, str]]] = {}
        self._admits: dict[str, Admit] = {}
        self._streams: dict[str, list[SimulatedStream]] = {}
        self._ports = 40_000
        self._news = trio.Event()
        self.read_pause: dict[str, float] = {}
        self.waiting: dict[Pipe, None] = {}

    def host(self, name: str) -> SimulatedHost:
        """The network as one host sees it."""
        return SimulatedHost(self, name)

    def faults(self, source: str, target: str) -> Faults:
        """The faults on the way from one host to another, to be read and changed."""
        return self._faults.setdefault((source, target), Faults())

    def cut(self, source: str, target: str, *, both: bool = True) -> None:
        """Let nothing through, in both directions or in one."""
        self._set_cut(source, target, cut=True, both=both)

    def heal(self, source: str, target: str, *, both: bool = True) -> None:
        """Take a cut back; what was sent meanwhile arrives now."""
        self._set_cut(source, target, cut=False, both=both)

    def _set_cut(self, source: str, target: str, *, cut: bool, both: bool) -> None:
        self.faults(source, target).cut = cut
        if both:
            self.faults(target, source).cut = cut
        self.changed()

    def slow_reader(self, host: str, seconds: float) -> None:
        """Let the processes of a host wait so long before each time they read; infinity: they are frozen. 0: no more."""
        self.read_pause[host] = seconds
        self.changed()

    def reset(self, host: str) -> None:
        """Break all connections of a host; both ends hear of it at once, as when a process is killed."""
        for stream in self._taken(host):
            stream.outgoing.break_off()
            stream.incoming.break_off()

    def vanish(self, host: str) -> None:
        """Let a host forget its connections without telling anybody: the other ends are half open, and silent."""
        for stream in self._taken(host):
            stream.vanish()

    def crash(self, host: str) -> None:
        """A process of a host dies: its connections break, and its addresses are free again."""
        self.reset(host)
        for address in [one for one in self._listeners if split_address(one)[0] == host]:
            del self._listeners[address], self._admits[address]

    def _taken(self, host: str) -> list[SimulatedStream]:
        return self._streams.pop(host, [])

    def changed(self) -> None:
        """Let everybody who waits look at the faults again."""
        self._news.set()
        self._news = trio.Event()
        for pipe in list(self.waiting):
            pipe.tell()

    async def wait_changed(self) -> None:
        """Until `changed`."""
        await self._news.wait()

    def pipe(self, source: str, target: str) -> Pipe:
        """One direction of a connection."""
        self._made += 1
        return Pipe(self, source, target, random.Random(f"{self._seed}:{source}>{target}:{self._made}"))

    async def connect(self, source: str, address: str, deadline: float) -> SimulatedStream:
        """A connection from a host to an address, as `Network.connect`."""
        target, _ = split_address(address)
        out, back = self.faults(source, target), self.faults(target, source)
        with trio.move_on_at(deadline):
            await trio.sleep(out.latency + back.latency)
            while out.cut or back.cut:
                await self.wait_changed()
            return self._establish(source, target, address)
        raise PeerUnreachable(f"{address} does not answer")

    def _establish(self, source: str, target: str, address: str) -> SimulatedStream:
        accepting = self._listeners.get(address)
        if accepting is None or self.faults(source, target).refuse:
            raise PeerUnreachable(f"{address} refuses the connection")
        there, back = self.pipe(source, target), self.pipe(target, source)
        near, far = SimulatedStream(self, source, there, back), SimulatedStream(self, target, back, there)
        self._streams.setdefault(source, []).append(near)
        self._streams.setdefault(target, []).append(far)
        if accepting.statistics().current_buffer_used < BACKLOG and self._admits[address](source):
            accepting.send_nowait((far, source))
        else:
            there.break_off()
            back.break_off()
        return near

    async def serve(
        self, host: str, address: str, handler: Handler, admit: Admit, task_status: trio.TaskStatus[str]
    ) -> None:
        """Accept connections at a host, as `Network.serve`."""
        name, port = split_address(address)
        if port == 0:
            self._ports += 1
            address = f"{host}:{self._ports}"
        elif name != host or address in self._listeners:
            raise InvalidRequest(f"{address} is not free on {host}")
        send, receive = trio.open_memory_channel[tuple[SimulatedStream, str]](BACKLOG)
        self._listeners[address], self._admits[address] = send, admit

        async def handle(stream: SimulatedStream, source: str) -> None:
            try:
                await handler(stream, source)
            finally:
                stream.close()

        try:
            async with trio.open_nursery() as nursery:
                task_status.started(address)
                async for stream, source in receive:
                    nursery.start_soon(handle, stream, source)
        finally:
            if self._listeners.get(address) is send:
                del self._listeners[address], self._admits[address]
            self._ignore_backlog(receive)

    def _ignore_backlog(self, receive: trio.MemoryReceiveChannel[tuple[SimulatedStream, str]]) -> None:
        while True:
            try:
                stream, _ = receive.receive_nowait()
            except trio.WouldBlock:
                return
            stream.outgoing.break_off()
            stream.incoming.break_off()

    def forget(self, host: str, stream: SimulatedStream) -> None:
        """A stream was closed by its owner."""
        streams = self._streams.get(host, [])
        if stream in streams:
            streams.remove(stream)


class SimulatedHost:
    """The network as one host sees it: a `Network`."""

    def __init__(self, network: SimulatedNetwork, name: str) -> None:
        self._network = network
        self.name = name

    async def connect(self, address: str, deadline: float) -> trio.abc.Stream:
        return await self._network.connect(self.name, address, deadline)

    async def serve(
        self,
        address: str,
        handler: Handler,
        admit: Admit,
        *,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        await self._network.serve(self.name, address, handler, admit, task_status)

    def is_exposed(self, address: str) -> bool:
        return False


class Pipe:
    """One direction of a connection: pieces with the time of their arrival."""

    def __init__(self, network: SimulatedNetwork, source: str, target: str, rng: random.Random) -> None:
        self._network, self._source, self._target, self._rng = network, source, target, rng
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._held = 0
        self._last = 0.0
        self._ended = self._broken = self._void = self._abandoned = False
        self._moved = trio.Event()
        self._reading: trio.CancelScope | None = None

    @property
    def faults(self) -> Faults:
        """The faults on this way."""
        return self._network.faults(self._source, self._target)

    async def put(self, data: bytes) -> None:
        """Send; waits while the window is full."""
        if self._ended or self._is_over():
            raise trio.BrokenResourceError("the connection is gone")
        data, faults = self._spoilt(data), self.faults
        arrival = trio.current_time() + faults.latency + self._rng.random() * faults.jitter
        self._last = max(self._last, arrival)
        self._pieces.append((self._last, data))
        self._held += len(data)
        if len(self._pieces) == 1:
            self._wake_at(self._due())
        while self._held > WINDOW:
            await self._wait_until(math.inf)
            if self._is_over():
                raise trio.BrokenResourceError("the connection was reset")

    def _is_over(self) -> bool:
        """Whether the sender knows that nobody will read: it was reset, or what it sends to a closed end is answered by a reset,
        which has to get through itself."""
        return self._broken or (self._abandoned and not self._network.faults(self._target, self._source).cut)

    def _spoilt(self, data: bytes) -> bytes:
        if not data or self._rng.random() >= self.faults.corrupt:
            return data
        spoilt = bytearray(data)
        spoilt[self._rng.randrange(len(spoilt))] ^= 1 << self._rng.randrange(8)
        return bytes(spoilt)

    async def get(self, limit: int) -> bytes:
        """Receive at most so many bytes; none: the other end has closed."""
        pause = self._network.read_pause.get(self._target, 0.0)
        if pause:
            await self._pause(pause)
        waited = False
        while True:
            if self._broken:
                raise trio.BrokenResourceError("the connection was reset")
            if self._abandoned:
                raise trio.ClosedResourceError("the stream was closed here")
            due = self._due()
            if due <= trio.current_time() or (self._ended and not self._pieces and not self.faults.cut):
                if not waited:
                    await trio.lowlevel.checkpoint()
                return self._take(limit) if self._pieces else b""
            await self._wait_to_read(due)
            waited = True

    async def _wait_to_read(self, due: float) -> None:
        self._network.waiting[self] = None
        try:
            with trio.CancelScope(deadline=due) as self._reading:
                await self._moved.wait()
        finally:
            self._reading = None
            self._network.waiting.pop(self, None)

    async def _pause(self, seconds: float) -> None:
        until = trio.current_time() + seconds
        while trio.current_time() < until and self._network.read_pause.get(self._target, 0.0):
            await self._wait_until(until)

    def _due(self) -> float:
        return math.inf if self._void or self.faults.cut or not self._pieces else self._pieces[0][0]

    def _take(self, limit: int) -> bytes:
        arrival, data = self._pieces.popleft()
        limit = min(limit, self.faults.chunk or limit)
        if len(data) > limit:
            self._pieces.appendleft((arrival, data[limit:]))
        taken = data[:limit]
        self._held -= len(taken)
        self.tell()
        return taken

    async def _wait_until(self, due: float) -> None:
        self._network.waiting[self] = None
        try:
            with trio.move_on_at(due):
                await self._moved.wait()
        finally:
            self._network.waiting.pop(self, None)

    def _wake_at(self, due: float) -> None:
        """Let whoever waits to read look at the time at which there is something, and not before."""
        if self._reading is not None:
            self._reading.deadline = min(self._reading.deadline, due)

    def end(self) -> None:
        """Nothing more will be sent."""
        self._ended = True
        self.tell()

    def break_off(self) -> None:
        """A reset: both ends of this direction hear of it."""
        self._broken = True
        self.tell()

    def abandon(self) -> None:
        """Nobody will read any more."""
        self._abandoned = True
        self.tell()

    def void(self) -> None:
        """Whatever is under way, or sent from now on, arrives nowhere."""
        self._void = True

    def tell(self) -> None:
        """Have whoever waits at this pipe look again."""
        self._moved.set()
        self._moved = trio.Event()


class SimulatedStream(trio.abc.Stream):
    """One end of a connection."""

    def __init__(self, network: SimulatedNetwork, host: str, outgoing: Pipe, incoming: Pipe) -> None:
        self._network, self._host = network, host
        self.outgoing, self.incoming = outgoing, incoming
        self._closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._check()
        await trio.lowlevel.checkpoint_if_cancelled()
        await self.outgoing.put(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        self._check()
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        self._check()
        data = await self.incoming.get(max_bytes or WINDOW)
        self._check()
        return data

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close at once; the other end reads what was sent, and then the end."""
        if not self._closed:
            self._closed = True
            self.outgoing.end()
            self.incoming.abandon()
            self._network.forget(self._host, self)

    def vanish(self) -> None:
        """Forget this end without a word."""
        self._closed = True
        self.outgoing.void()
        self.incoming.void()

    def _check(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("the stream was closed here")
