"""What only ZooKeeper itself can show: credentials, TLS, pauses between attempts, threads that end, several servers."""

from __future__ import annotations

import ssl
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import trio
import trio.testing
from kazoo.client import KazooClient

from runtime.errors import InvalidRequest
from runtime.registry_messages import (
    CLOSE_SECONDS,
    AccessDenied,
    Connected,
    Disconnected,
    Lost,
    RegistryEvent,
    RegistryUnavailable,
)
from runtime.world import RealWorld
from runtime.zookeeper import ZooKeeperRegistry
from runtime.zookeeper_settings import ClientTls, Credentials, ZooKeeperSettings
from tests.certificates import make_authority, make_certificate
from tests.proxy import Proxy
from tocsin.embedded.ports import free_port
from tocsin.embedded.zookeeper import EmbeddedZooKeeper

HANG = 30.0


async def begin(nursery: trio.Nursery, settings: ZooKeeperSettings) -> ZooKeeperRegistry:
    client = ZooKeeperRegistry(RealWorld(), settings)
    await nursery.start(client.run)
    return client


async def heard(client: ZooKeeperRegistry, kind: type[RegistryEvent]) -> None:
    with trio.fail_after(HANG):
        event = await client.events().receive()
    assert isinstance(event, kind), event


def settings_of(server: EmbeddedZooKeeper, root: str, credentials: Credentials | None = None) -> ZooKeeperSettings:
    return ZooKeeperSettings(server.addresses, root, 2.0, credentials)


async def test_with_credentials_nobody_else_sees_or_changes_anything(zookeeper_server: EmbeddedZooKeeper) -> None:
    async with trio.open_nursery() as nursery:
        ours = settings_of(zookeeper_server, "/secured/cluster", Credentials("node", "secret"))
        one, other = await begin(nursery, ours), await begin(nursery, ours)
        await heard(one, Connected)
        await heard(other, Connected)
        await one.create("/x", b"1")
        assert (await other.set("/x", b"2")).version == 1
        for foreign in (None, Credentials("node", "guess"), Credentials("other", "secret")):
            stranger = await begin(nursery, settings_of(zookeeper_server, "/secured/cluster", foreign))
            await heard(stranger, Connected)
            calls = (
                stranger.get("/x"),
                stranger.children("/"),
                stranger.create("/y"),
                stranger.set("/x", b"3"),
                stranger.delete("/x"),
            )
            for call in calls:
                with pytest.raises(AccessDenied):
                    await call
        assert (await one.get("/x")).data == b"2"
        nursery.cancel_scope.cancel()


async def test_without_credentials_everybody_may(zookeeper_server: EmbeddedZooKeeper) -> None:
    async with trio.open_nursery() as nursery:
        one = await begin(nursery, settings_of(zookeeper_server, "/open"))
        # The root belongs to whoever makes it: here to one without credentials.
        await heard(one, Connected)
        other = await begin(nursery, settings_of(zookeeper_server, "/open", Credentials("a", "b")))
        await heard(other, Connected)
        await one.create("/x", b"1")
        assert (await other.set("/x", b"2")).version == 1
        nursery.cancel_scope.cancel()


async def test_two_roots_do_not_meet(zookeeper_server: EmbeddedZooKeeper) -> None:
    async with trio.open_nursery() as nursery:
        one = await begin(nursery, settings_of(zookeeper_server, "/roots/one"))
        two = await begin(nursery, settings_of(zookeeper_server, "/roots/two"))
        await heard(one, Connected)
        await heard(two, Connected)
        await one.create("/x")
        await one.create("/x/n-", sequential=True)
        assert await two.exists("/x") is None
        assert await two.children("/") == []
        nursery.cancel_scope.cancel()


async def test_attempts_to_connect_do_not_become_rare(zookeeper_server: EmbeddedZooKeeper) -> None:
    async with trio.open_nursery() as nursery:
        proxy = Proxy(zookeeper_server.addresses[0])
        address = await nursery.start(proxy.run)
        client = await begin(nursery, ZooKeeperSettings((address,), "/attempts", 10.0))
        await heard(client, Connected)
        proxy.refusing = True
        proxy.reset()
        await heard(client, Disconnected)
        # With pauses that double, the fifth second has none and the eleventh neither.
        await trio.sleep(4.0)
        before = proxy.accepted
        await trio.sleep(3.0)
        assert proxy.accepted - before >= 2
        proxy.heal()
        await heard(client, Connected)
        nursery.cancel_scope.cancel()


async def test_a_server_that_is_gone_is_passed_over(zookeeper_server: EmbeddedZooKeeper) -> None:
    async with trio.open_nursery() as nursery:
        nowhere = f"127.0.0.1:{free_port()}"
        silent = Proxy(zookeeper_server.addresses[0])
        await nursery.start(silent.run)
        silent.cut()
        servers = (nowhere, silent.address, *zookeeper_server.addresses)
        client = await begin(nursery, ZooKeeperSettings(servers, "/several", 3.0))
        await heard(client, Connected)
        await client.create("/x")
        nursery.cancel_scope.cancel()


async def test_a_client_ends_in_time_whatever_the_server_does(zookeeper_server: EmbeddedZooKeeper) -> None:
    threads = set(threading.enumerate())
    proxy = Proxy(zookeeper_server.addresses[0])
    async with trio.open_nursery() as outer:
        address = await outer.start(proxy.run)
        async with trio.open_nursery() as nursery:
            client = await begin(nursery, ZooKeeperSettings((address,), "/ending", 2.0))
            await heard(client, Connected)
            proxy.cut()
            began = trio.current_time()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began < CLOSE_SECONDS + 2.0
        with pytest.raises(RegistryUnavailable):
            await client.sync()
        with trio.fail_after(HANG):
            while any(alive(thread) for thread in set(threading.enumerate()) - threads):  # noqa: ASYNC110 - no event tells
                await trio.sleep(0.1)
        outer.cancel_scope.cancel()


def alive(thread: threading.Thread) -> bool:
    """Whether it is one of kazoo's; those of the loop are kept for the next call."""
    return thread.is_alive() and not thread.name.startswith("Trio")


async def test_a_client_can_run_again(zookeeper_server: EmbeddedZooKeeper) -> None:
    client = ZooKeeperRegistry(RealWorld(), settings_of(zookeeper_server, "/again"))
    sessions = []
    for _ in range(2):
        async with trio.open_nursery() as nursery:
            await nursery.start(client.run)
            with trio.fail_after(HANG):
                event = await client.events().receive()
            assert isinstance(event, Connected) and event.fresh
            sessions.append(event.session)
            await client.create("/x", ephemeral=True)
            nursery.cancel_scope.cancel()
    assert sessions[0] != sessions[1]


async def test_many_losses_in_a_row_leave_a_client_that_works(zookeeper_server: EmbeddedZooKeeper) -> None:
    async with trio.open_nursery() as nursery:
        client = await begin(nursery, settings_of(zookeeper_server, "/losses"))
        await heard(client, Connected)
        for _ in range(5):
            await client.create("/x", ephemeral=True)
            await client.expire()
            await heard(client, Lost)
            await heard(client, Connected)
            assert await client.exists("/x") is None
        nursery.cancel_scope.cancel()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, what it has signed, and an intruder whom another one has signed."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, stranger = make_authority(folder), make_authority(folder, "stranger")
    for name, by in (("server", authority), ("node", authority), ("intruder", stranger)):
        make_certificate(folder, by, name)
    return folder


async def front(nursery: trio.Nursery, folder: Path, server: EmbeddedZooKeeper) -> str:
    """A port that speaks TLS, asks for a certificate and passes on to the server; its address.

    Debian's ZooKeeper comes without the classes that its own TLS needs.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    host, _, port = server.addresses[0].rpartition(":")

    async def carry(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream, whole: trio.CancelScope) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await source.receive_some(65_536):
                await sink.send_all(data)
        whole.cancel()

    async def serve(client: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            await client.do_handshake()
            async with await trio.open_tcp_stream(host, int(port)) as stream, trio.open_nursery() as pair:
                pair.start_soon(carry, client, stream, pair.cancel_scope)
                pair.start_soon(carry, stream, client, pair.cancel_scope)
        await trio.aclose_forcefully(client)

    listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1", https_compatible=True)
    nursery.start_soon(trio.serve_listeners, serve, listeners)
    return f"127.0.0.1:{listeners[0].transport_listener.socket.getsockname()[1]}"


def tls_settings(
    address: str, folder: Path, name: str, ca: str = "ca", *, check_host: bool = False
) -> ZooKeeperSettings:
    tls = ClientTls(folder / f"{ca}.pem", folder / f"{name}.pem", folder / f"{name}.key", check_host)
    return ZooKeeperSettings((address,), "/tls", 3.0, Credentials("node", "secret"), tls)


async def test_tls_with_certificates_of_both_sides(zookeeper_server: EmbeddedZooKeeper, certificates: Path) -> None:
    async with trio.open_nursery() as nursery:
        address = await front(nursery, certificates, zookeeper_server)
        client = await begin(nursery, tls_settings(address, certificates, "node"))
        await heard(client, Connected)
        await client.create("/x", b"1")
        assert (await client.get("/x")).data == b"1"
        await client.create("/large", bytes(200_000))
        assert len((await client.get("/large")).data) == 200_000
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("wrong", ["client", "server", "host"])
async def test_tls_with_a_wrong_certificate_never_connects(
    zookeeper_server: EmbeddedZooKeeper, certificates: Path, wrong: str
) -> None:
    name = "intruder" if wrong == "client" else "node"
    authority = "stranger" if wrong == "server" else "ca"
    async with trio.open_nursery() as nursery:
        address = await front(nursery, certificates, zookeeper_server)
        settings = tls_settings(address, certificates, name, authority, check_host=wrong == "host")
        client = await begin(nursery, settings)
        await trio.sleep(2.0)
        with pytest.raises(trio.WouldBlock):
            client.events().receive_nowait()
        with pytest.raises(RegistryUnavailable):
            await client.sync()
        nursery.cancel_scope.cancel()


def test_certificates_that_are_not_there_are_named(tmp_path: Path) -> None:
    tls = ClientTls(tmp_path / "nowhere.pem")
    with pytest.raises(InvalidRequest, match="nowhere"):
        ZooKeeperRegistry(RealWorld(), ZooKeeperSettings(("a:1",), tls=tls))


@pytest.mark.parametrize("servers", [(), ("host:1/root",), ("a:1,b:2",)])
def test_servers_are_named_one_by_one(servers: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest, match="servers"):
        ZooKeeperSettings(servers)


@pytest.mark.parametrize("root", ["", "/", "tocsin", "/a/", "/a//b"])
def test_a_root_is_a_path(root: str) -> None:
    with pytest.raises(InvalidRequest, match="root"):
        ZooKeeperSettings(("a:1",), root)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(ZooKeeperSettings(("a:1",), credentials=Credentials("node", "secret")))


async def test_servers_that_never_answered_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    address = f"127.0.0.1:{free_port()}"
    async with trio.open_nursery() as nursery:
        await begin(nursery, ZooKeeperSettings((address,), "/nobody", 0.5))
        await trio.sleep(1.5)
        assert f"ZooKeeper: no session yet from {address}" in caplog.text
        nursery.cancel_scope.cancel()


async def test_a_connection_that_comes_while_the_client_ends_is_left_alone() -> None:
    """In each of the first turns of the loop after the cancellation, whatever the order within a turn."""

    def connected(registry: ZooKeeperRegistry, client: KazooClient, turns: int) -> None:
        if turns:
            trio.lowlevel.current_trio_token().run_sync_soon(connected, registry, client, turns - 1)
        else:
            registry._on_connected(client, 1, 4.0)

    for attempt in range(40):
        async with trio.open_nursery() as nursery:
            registry = await begin(nursery, ZooKeeperSettings((f"127.0.0.1:{free_port()}",)))
            await trio.testing.wait_all_tasks_blocked()
            client = registry._client
            nursery.cancel_scope.cancel()
            connected(registry, client, attempt % 4)
