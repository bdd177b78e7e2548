"""Messages between two nodes over mutual TLS, each node in a process of its own, beside raw TCP.

200 bytes of text a message. The other node counts what it receives and tells at the end; the rate is of all of them, from
the first
tell to the arrival of the last. Raw TCP is a pipe between the same two processes: the same bytes, joined in pieces of 64
KiB, with
a length before each and split again at the other end, nothing decoded. The latency is half of a question and its answer.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from struct import Struct
from typing import Any

import trio

from benchmarks.process import resident_megabytes
from runtime.errors import PeerUnreachable
from runtime.fabric import Fabric
from runtime.fabric_messages import Endpoint, Identity, Limits, Security, Tls
from runtime.records import record
from runtime.tcp import TcpNetwork
from runtime.world import RealWorld
from tests.certificates import make_authority, make_certificate
from tests.source import ROOT

LENGTH = Struct("!I")
TEXT = "x" * 200
PIECE = 64 * 1024
PAUSE_SECONDS = 0.0005


@record
class Note:
    text: str


@record
class Count:
    number: int
    cpu: float = 0.0


def fabric(name: str, tls: Tls) -> Fabric:
    security = Security(tls=tls)
    made = Fabric(Identity("bench", name, f"boot-{name}"), TcpNetwork(), security, Limits(), RealWorld())
    made.codec.register(100, Note)
    made.codec.register(101, Count)
    return made


def files(folder: Path, name: str) -> Tls:
    return Tls(folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key")


async def _serve(folder: Path) -> None:
    """The other node: prints the addresses of its fabric and of its raw listener."""
    received = 0

    def count(_: str, message: Note) -> None:
        nonlocal received
        received += 1

    async def tell_count(_: str, question: Count) -> Count:
        # What was sent before the question came before it.
        return Count(received, time.process_time())

    async def echo(_: str, question: Count) -> Count:
        return question

    async def raw(stream: trio.SocketStream) -> None:
        counted, rest = 0, b""
        async for data in stream:
            rest += data
            at, end = 0, len(rest)
            while end - at >= LENGTH.size:
                size = LENGTH.unpack_from(rest, at)[0]
                if at + LENGTH.size + size > end:
                    break
                rest[at + LENGTH.size : at + LENGTH.size + size]
                counted += 1
                at += LENGTH.size + size
            rest = rest[at:]
        await stream.send_all(LENGTH.pack(counted))

    async with trio.open_nursery() as nursery:
        node = fabric("b", files(folder, "b"))
        node.receive("notes", count)
        node.answer("count", tell_count)
        node.answer("echo", echo)
        await nursery.start(node.run)
        listeners = await nursery.start(trio.serve_tcp, raw, 0)
        print(node.address, listeners[0].socket.getsockname()[1], flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()


async def _measure(folder: Path, address: str, port: int, messages: int, asks: int, rounds: int) -> dict[str, Any]:
    rates: list[float] = []
    raw_rates: list[float] = []
    trips: list[float] = []
    sending: list[float] = []
    receiving: list[float] = []
    arrived = 0
    async with trio.open_nursery() as nursery:
        node = fabric("a", files(folder, "a"))
        linked = trio.Event()
        node.on_link(lambda boot, up: linked.set())
        await nursery.start(node.run)
        node.know({"boot-b": Endpoint("b", address)})
        await linked.wait()
        for _ in range(rounds):
            rate, sender, receiver, arrived = await _tell_all(node, messages)
            rates.append(rate)
            raw_rates.append(await _raw(port, messages))
            sending.append(sender)
            receiving.append(receiver)
        for number in range(asks):
            begun = time.perf_counter()
            await node.ask("boot-b", "echo", Count(number), 10.0)
            trips.append(time.perf_counter() - begun)
        nursery.cancel_scope.cancel()
    return {
        "name": "links",
        "figures": {
            "messages per second, mutual TLS": median(rates),
            "messages per second, raw TCP": median(raw_rates),
            "us of processor time a message, sender": median(sending),
            "us of processor time a message, receiver": median(receiving),
            "resident MB, sender": resident_megabytes(),
            "ms for a message, p50 (half of an ask)": median(trips) * 500,
            "ms for an ask, p50": median(trips) * 1000,
        },
        "ratios": {
            "to raw TCP in batches": median(mine / raw for mine, raw in zip(rates, raw_rates, strict=True)),
        },
        "check": {"expected": messages * rounds, "actual": arrived},
    }


async def _tell_all(node: Fabric, messages: int) -> tuple[float, float, float, int]:
    """Messages per second, microseconds of processor time per message at either end, and how many have arrived since the
    start."""
    note = Note(TEXT)
    there, here = await _count(node), time.process_time()
    begun = time.perf_counter()
    told = 0
    while told < messages:
        if node.tell("boot-b", "notes", note):
            told += 1
            if told % 256 == 0:
                await trio.lowlevel.checkpoint()
        else:
            await trio.sleep(PAUSE_SECONDS)
    count = await _count(node)
    rate = messages / (time.perf_counter() - begun)
    scale = 1e6 / messages
    return rate, (time.process_time() - here) * scale, (count.cpu - there.cpu) * scale, count.number


async def _count(node: Fabric) -> Count:
    while True:
        try:
            answer: Count = await node.ask("boot-b", "count", Count(0), 60.0)
        except PeerUnreachable:
            # The queue is full of what was told.
            await trio.sleep(PAUSE_SECONDS)
        else:
            return answer


async def _raw(port: int, messages: int) -> float:
    data = LENGTH.pack(len(TEXT)) + TEXT.encode()
    begun = time.perf_counter()
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        for size in _pieces(messages, PIECE // len(data)):
            await stream.send_all(b"".join([data for _ in range(size)]))
        await stream.send_eof()
        answer = await stream.receive_some()
    assert LENGTH.unpack(answer) == (messages,)
    return messages / (time.perf_counter() - begun)


def _pieces(total: int, size: int) -> Iterator[int]:
    for done in range(0, total, size):
        yield min(size, total - done)


def run(full: bool) -> dict[str, Any]:
    messages, asks, rounds = (300_000, 2_000, 7) if full else (3_000, 50, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = make_authority(folder)
        for node in "ab":
            make_certificate(folder, authority, node)
        other = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bench_links", name],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert other.stdout is not None
            address, port = other.stdout.readline().split()
            return trio.run(_measure, folder, address, int(port), messages, asks, rounds)
        finally:
            other.kill()
            other.communicate()


if __name__ == "__main__":
    trio.run(_serve, Path(sys.argv[1]))
