"""Networks and frames: the real ones and their simulated twin behave alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from runtime.errors import InvalidRequest, PeerUnreachable
from runtime.fabric_messages import Security, Tls
from runtime.simulated_network import SimulatedNetwork
from runtime.tcp import TcpNetwork
from runtime.tls import TlsContexts, secure
from runtime.transport import Admit, Handler, Network, join_address, split_address
from runtime.websocket import FrameStream, LinkBroken, use_as_client, use_as_server
from runtime.world import RealWorld
from tests.certificates import make_authority, make_certificate
from tests.runtime.fabric_kit import KEY, Note, introduce_all, member, settled, start, until

HANG_SECONDS = 20
MAX_FRAME = 100_000


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tls]:
    """Two nodes of one authority, and one of another that is taken for a node of the first."""
    folder = tmp_path_factory.mktemp("certificates")
    ours, theirs = make_authority(folder, "ours"), make_authority(folder, "theirs")
    made = {name: make_certificate(folder, ours, name) for name in ("a", "b")}
    stranger = make_certificate(folder, theirs, "c")
    return made | {"stranger": attrs.evolve(stranger, ca=ours)}


@attrs.frozen
class Ends:
    """A network as two hosts see it, and what is served where."""

    near: Network
    far: Network
    listen: str
    tls: tuple[TlsContexts, TlsContexts] | None = None


@pytest.fixture(params=["memory", "tcp"])
def ends(request: pytest.FixtureRequest) -> Ends:
    if request.param == "tcp":
        return Ends(TcpNetwork(), TcpNetwork(), "127.0.0.1:0")
    network = SimulatedNetwork()
    return Ends(network.host("near"), network.host("far"), "far:0")


@pytest.fixture(params=["memory", "tcp", "tls", "tls in memory"])
def frame_ends(request: pytest.FixtureRequest, certificates: dict[str, Tls]) -> Ends:
    tls = TlsContexts(certificates["a"]), TlsContexts(certificates["b"])
    network = SimulatedNetwork()
    memory = Ends(network.host("near"), network.host("far"), "far:0")
    tcp = Ends(TcpNetwork(), TcpNetwork(), "127.0.0.1:0")
    return {
        "memory": memory,
        "tcp": tcp,
        "tls": attrs.evolve(tcp, tls=tls),
        "tls in memory": attrs.evolve(memory, tls=tls),
    }[request.param]


def anybody(host: str) -> bool:
    return True


@asynccontextmanager
async def serving(ends: Ends, handler: Handler, admit: Admit = anybody) -> AsyncIterator[str]:
    with trio.fail_after(HANG_SECONDS):
        async with trio.open_nursery() as nursery:

            async def serve(task_status: trio.TaskStatus[str]) -> None:
                await ends.far.serve(ends.listen, handler, admit, task_status=task_status)

            yield await nursery.start(serve)
            nursery.cancel_scope.cancel()


async def connect(ends: Ends, address: str) -> trio.abc.Stream:
    return await ends.near.connect(address, trio.current_time() + 5)


async def read_all(stream: trio.abc.Stream) -> bytes:
    return b"".join([data async for data in stream])


async def send_without_end(stream: trio.abc.Stream) -> None:
    while True:
        await stream.send_all(bytes(1_000))
        await trio.sleep(0.001)


async def test_bytes_go_there_and_back(ends: Ends) -> None:
    async def echo(stream: trio.abc.Stream, host: str) -> None:
        async for data in stream:
            await stream.send_all(data)

    async with serving(ends, echo) as address:
        stream = await connect(ends, address)
        for size in (1, 1_000, 100_000):
            await stream.send_all(bytes(size))
            got = 0
            while got < size:
                got += len(await stream.receive_some(size))
            assert got == size
        await stream.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await stream.send_all(b"x")
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive_some(1)


async def test_a_stream_ends_when_its_handler_returns(ends: Ends) -> None:
    async def say(stream: trio.abc.Stream, host: str) -> None:
        await stream.send_all(b"goodbye")

    async with serving(ends, say) as address, await connect(ends, address) as stream:
        assert await read_all(stream) == b"goodbye"
        with pytest.raises(trio.BrokenResourceError):
            await send_without_end(stream)


async def test_a_sender_waits_for_a_reader(ends: Ends) -> None:
    reading = trio.Event()
    got: list[int] = []

    async def late(stream: trio.abc.Stream, host: str) -> None:
        await reading.wait()
        got.append(len(await read_all(stream)))

    async with serving(ends, late) as address:
        stream = await connect(ends, address)
        total = 0
        with trio.move_on_after(0.5) as scope:
            for _ in range(500):
                await stream.send_all(bytes(100_000))
                total += 100_000
        assert scope.cancelled_caught
        reading.set()
        await stream.aclose()
        await until(lambda: got)
        assert got[0] >= total


async def test_nobody_there_is_unreachable(ends: Ends) -> None:
    async def handler(stream: trio.abc.Stream, host: str) -> None:
        raise AssertionError

    async with serving(ends, handler) as address:
        pass
    with pytest.raises(PeerUnreachable, match=address.rpartition(":")[2]):
        await connect(ends, address)


async def test_who_is_not_admitted_is_dropped_unheard(ends: Ends) -> None:
    asked: list[str] = []

    async def handler(stream: trio.abc.Stream, host: str) -> None:
        raise AssertionError

    def nobody(host: str) -> bool:
        asked.append(host)
        return False

    async with serving(ends, handler, nobody) as address:
        for _ in range(50):
            # The reset may come before or after the connection is seen.
            with pytest.raises((trio.BrokenResourceError, PeerUnreachable)):
                async with await connect(ends, address) as stream:
                    await stream.receive_some(1)
        await until(lambda: len(asked) == 50)
    assert set(asked) <= {"127.0.0.1", "near"}


async def test_an_address_in_use_or_nonsense_is_refused(ends: Ends) -> None:
    async def handler(stream: trio.abc.Stream, host: str) -> None:
        raise AssertionError

    async with serving(ends, handler) as address:
        with pytest.raises(InvalidRequest, match=address.rpartition(":")[2]):
            await ends.far.serve(address, handler, anybody)
    for wrong in ("", "host", "host:", ":1", "host:x", "host:70000"):
        with pytest.raises(InvalidRequest, match="HOST:PORT"):
            await ends.near.connect(wrong, 0.0)


def test_addresses() -> None:
    assert split_address("[::1]:80") == ("::1", 80)
    assert join_address("::1", 80) == "[::1]:80"
    assert join_address(*split_address("host:80")) == "host:80"


@pytest.mark.parametrize(
    ("address", "exposed"),
    [
        ("127.0.0.1:1", False),
        ("localhost:1", False),
        ("[::1]:1", False),
        ("0.0.0.0:1", True),
        ("10.0.0.1:1", True),
        ("db:1", True),
    ],
)
def test_which_addresses_others_can_reach(address: str, exposed: bool) -> None:
    assert TcpNetwork().is_exposed(address) is exposed


@asynccontextmanager
async def framed(
    ends: Ends, use_far: Callable[[FrameStream], object], ended: list[BaseException | None]
) -> AsyncIterator[Callable[[Callable[[FrameStream], object]], object]]:
    """Serve frames at the far end; gives a function that connects and uses them at the near end."""

    async def handler(stream: trio.abc.Stream, host: str) -> None:
        try:
            if ends.tls is not None:
                stream = await secure(stream, ends.tls[1].server, server=True, seconds=3)
            await use_as_server(stream, use_far, seconds=3, max_frame=MAX_FRAME)  # type: ignore[arg-type]
            ended.append(None)
        except LinkBroken as error:
            ended.append(error)

    async with serving(ends, handler) as address:

        async def use(use_near: Callable[[FrameStream], object]) -> None:
            stream = await connect(ends, address)
            if ends.tls is not None:
                stream = await secure(stream, ends.tls[0].client, server=False, seconds=3)
            await use_as_client(stream, "far", use_near, seconds=3, max_frame=MAX_FRAME)  # type: ignore[arg-type]

        yield use


async def echo_frames(frames: FrameStream) -> None:
    while True:
        await frames.send(await frames.receive())


async def test_frames_go_there_and_back(frame_ends: Ends) -> None:
    got: list[int] = []
    ended: list[BaseException | None] = []

    async def near(frames: FrameStream) -> None:
        for size in (0, 1, 125, 126, 65_535, 65_536, MAX_FRAME):
            await frames.send(bytes(size))
            got.append(len(await frames.receive()))

    async with framed(frame_ends, echo_frames, ended) as use:
        await use(near)  # type: ignore[misc]
        await until(lambda: ended)
    assert got == [0, 1, 125, 126, 65_535, 65_536, MAX_FRAME]
    assert isinstance(ended[0], LinkBroken) and ended[0].quiet


async def test_a_frame_that_is_too_large_ends_the_connection(frame_ends: Ends) -> None:
    ended: list[BaseException | None] = []

    async def near(frames: FrameStream) -> None:
        await frames.send(bytes(MAX_FRAME + 1))
        await frames.receive()

    async with framed(frame_ends, echo_frames, ended) as use:
        with pytest.raises(LinkBroken, match="Exceeded maximum message size"):
            await use(near)  # type: ignore[misc]
        await until(lambda: ended)
    assert ended[0] is not None


async def test_errors_of_who_uses_frames_come_out(frame_ends: Ends) -> None:
    ended: list[BaseException | None] = []

    async def near(frames: FrameStream) -> None:
        raise InvalidRequest("mine")

    async with framed(frame_ends, echo_frames, ended) as use:
        with pytest.raises(InvalidRequest, match="mine"):
            await use(near)  # type: ignore[misc]


async def test_a_cancelled_user_leaves_promptly(frame_ends: Ends) -> None:
    ended: list[BaseException | None] = []

    async def near(frames: FrameStream) -> None:
        await frames.receive()

    async with framed(frame_ends, echo_frames, ended) as use:
        with trio.move_on_after(0.2) as scope:
            await use(near)  # type: ignore[misc]
        assert scope.cancelled_caught
        await until(lambda: ended)


@pytest.mark.parametrize("kind", ["tcp", "tls", "tls in memory"])
async def test_nodes_talk_over(kind: str, certificates: dict[str, Tls]) -> None:
    memory = SimulatedNetwork()
    with trio.fail_after(HANG_SECONDS):
        async with trio.open_nursery() as nursery:
            members = []
            for name in ("a", "b"):
                network: Network = memory.host(name) if kind == "tls in memory" else TcpNetwork()
                listen = f"{name}:0" if kind == "tls in memory" else "127.0.0.1:0"
                security = Security(key=KEY) if kind == "tcp" else Security(tls=certificates[name])
                made = member(name, network, listen, security=security, world=RealWorld())
                members.append(await start(nursery, made))
            one, two = members
            introduce_all(members)
            await until(lambda: settled(one, two))
            assert all(one.tell(two.boot, number, "x" * 200) for number in range(5_000))
            assert await one.fabric.ask(two.boot, "echo", Note("x", 3), 10) == Note("x", 3)
            assert two.numbers(one.boot) == list(range(5_000))
            assert (one.status(two.boot).round_trip or 0) < 5_000_000
            nursery.cancel_scope.cancel()


async def test_a_certificate_of_another_authority_is_refused_quickly_at_both_ends(
    certificates: dict[str, Tls], caplog: pytest.LogCaptureFixture
) -> None:
    with trio.fail_after(HANG_SECONDS):
        async with trio.open_nursery() as nursery:
            one = await start(nursery, _tls_member("a", certificates["a"]))
            stranger = await start(nursery, _tls_member("c", certificates["stranger"]))
            introduce_all([one, stranger])
            await until(lambda: len({record.getMessage().split(" 127")[0] for record in caplog.records}) >= 2)
            assert not one.up and not stranger.up
            nursery.cancel_scope.cancel()
    assert any("certificate" in record.getMessage().lower() for record in caplog.records)


def _tls_member(name: str, files: Tls):  # type: ignore[no-untyped-def]
    return member(name, TcpNetwork(), "127.0.0.1:0", security=Security(tls=files), world=RealWorld())


def test_files_that_are_no_certificates_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    with pytest.raises(InvalidRequest, match="cannot be used"):
        TlsContexts(Tls(empty, empty, empty))
    with pytest.raises(InvalidRequest, match="cannot be used"):
        TlsContexts(Tls(tmp_path / "a", tmp_path / "b", tmp_path / "c"))
