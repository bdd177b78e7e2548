"""Strangers at the door, over real sockets: garbage, half handshakes, floods. Links that exist do not notice."""

from __future__ import annotations

import logging
import os
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio

from runtime.fabric_messages import Limits, Security, Tls
from runtime.tcp import TcpNetwork
from runtime.world import RealWorld
from tests.certificates import make_authority, make_certificate
from tests.runtime.fabric_kit import KEY, Member, Note, introduce_all, member, settled, start, until

CONNECTIONS = int(os.environ.get("TOCSIN_TEST_CONNECTIONS", "2000"))
HANG_SECONDS = 60

UPGRADE = (
    b"GET /link HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tls]:
    folder = tmp_path_factory.mktemp("certificates")
    authority = make_authority(folder)
    return {name: make_certificate(folder, authority, name) for name in ("a", "b")}


@asynccontextmanager
async def pair(limits: Limits | None = None, tls: dict[str, Tls] | None = None) -> AsyncIterator[list[Member]]:
    with trio.fail_after(HANG_SECONDS):
        async with trio.open_nursery() as nursery:
            members = []
            for name in ("a", "b"):
                security = Security(key=KEY) if tls is None else Security(tls=tls[name])
                made = member(
                    name, TcpNetwork(), "127.0.0.1:0", security=security, world=RealWorld(), limits=limits or Limits()
                )
                members.append(await start(nursery, made))
            introduce_all(members)
            await until(lambda: settled(*members))
            yield members
            one, two = members
            assert await one.fabric.ask(two.boot, "echo", Note("x"), 10) == Note("x")
            boots = {made.boot for made in members}
            assert [up for made in members for _, boot, up in made.links if boot in boots] == [True, True]
            nursery.cancel_scope.cancel()


def port_of(made: Member) -> int:
    return int(made.fabric.address.rpartition(":")[2])


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def poke(port: int, data: bytes, seconds: float) -> bytes:
    """Send something, and read whatever comes until the end or so many seconds."""
    got = b""
    with suppress(OSError, trio.BrokenResourceError), trio.move_on_after(seconds):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(data)
            while more := await stream.receive_some():
                got += more
    return got


def garbage() -> list[bytes]:
    rng = random.Random(1)
    frame = b"\x82\x8a\x00\x00\x00\x00" + b"0123456789"
    return [
        b"",
        b"\x00",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(300),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /other HTTP/1.1" + UPGRADE[18:] + b"\r\n",
        b"POST /link HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET /link HTTP/1.1\r\n" + b"X: " + b"y" * 200_000,
        UPGRADE + b"Origin: http://browser\r\n\r\n",
        UPGRADE + b"\r\n",
        UPGRADE + b"\r\n" + rng.randbytes(1_000),
        UPGRADE + b"\r\n" + frame,
        UPGRADE + b"\r\n" + b"\x81\x85\x00\x00\x00\x00hello",
        UPGRADE + b"\r\n" + b"\x89\x80\x00\x00\x00\x00" * 1_000,
        UPGRADE + b"\r\n" + b"\x82\xff" + (2**62).to_bytes(8, "big") + bytes(4),
        UPGRADE + b"\r\n" + b"\xc2\x80\x00\x00\x00\x00",
        UPGRADE + b"\r\n" + b"\x88\x80\x00\x00\x00\x00",
        *(rng.randbytes(rng.randrange(1, 2_000)) for _ in range(20)),
    ]


@pytest.mark.parametrize("secured", [False, True])
async def test_garbage_is_thrown_out(
    certificates: dict[str, Tls], caplog: pytest.LogCaptureFixture, secured: bool
) -> None:
    limits = Limits(handshake_seconds=1.0)
    async with pair(limits, certificates if secured else None) as (one, two):
        async with trio.open_nursery() as nursery:
            for data in garbage():
                nursery.start_soon(poke, port_of(two), data, 5)
        await until(lambda: two.fabric.handshakes == 0)
        assert two.up == {one.boot}
    # All of it came from one host within a minute.
    assert len(warnings(caplog)) == 1
    assert warnings(caplog)[0].startswith("link from 127.0.0.1: ")


async def test_browsers_are_refused() -> None:
    async with pair() as (_, two):
        answer = await poke(port_of(two), UPGRADE + b"Origin: http://browser\r\n\r\n", 5)
        assert answer.startswith(b"HTTP/1.1 403")
        assert (await poke(port_of(two), UPGRADE + b"\r\n", 1)).startswith(b"HTTP/1.1 101")


async def test_half_handshakes_do_not_keep_others_out(caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(handshake_seconds=0.5, handshakes=8, accepts_per_second=1_000)
    async with pair(limits) as (_, two):
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(poke, port_of(two), UPGRADE[:30], 3)
            await until(lambda: two.fabric.handshakes == 8)
        await until(lambda: two.fabric.handshakes == 0)
        made = member("c", TcpNetwork(), "127.0.0.1:0", world=RealWorld())
        async with trio.open_nursery() as nursery:
            await start(nursery, made)
            made.fabric.know({two.boot: two.endpoint})
            await until(lambda: made.up)
            nursery.cancel_scope.cancel()
        assert any("too many" in line for line in warnings(caplog))


async def test_a_flood_of_connections_leaves_links_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with pair() as (one, two):
        slowest = 0.0
        flooding = True

        async def measure() -> None:
            nonlocal slowest
            while flooding:
                begun = trio.current_time()
                await one.fabric.ask(two.boot, "echo", Note("x"), 10)
                slowest = max(slowest, trio.current_time() - begun)
                await trio.sleep(0.01)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(measure)
            for _ in range(CONNECTIONS // 100):
                async with trio.open_nursery() as flood:
                    for _ in range(100):
                        flood.start_soon(poke, port_of(two), b"x", 0.05)
            flooding = False
        assert slowest < 3.0
        assert two.up == {one.boot}
    assert sum("too many" in line for line in warnings(caplog)) == 1
    assert len(warnings(caplog)) <= 2


async def test_a_stranger_with_tls_and_no_certificate_is_refused(
    certificates: dict[str, Tls], caplog: pytest.LogCaptureFixture
) -> None:
    context = ssl.create_default_context(cafile=str(certificates["a"].ca))
    context.check_hostname = False
    async with pair(tls=certificates) as (_, two):
        stream = await trio.open_ssl_over_tcp_stream("127.0.0.1", port_of(two), ssl_context=context)
        answer = b""
        with suppress(trio.BrokenResourceError):
            await stream.send_all(UPGRADE + b"\r\n")
            answer = await stream.receive_some()
        assert answer == b""
        await trio.aclose_forcefully(stream)
    assert any("PEER_DID_NOT_RETURN_A_CERTIFICATE" in line for line in warnings(caplog))
