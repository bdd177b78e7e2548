"""One rig for the contract of a registry, over the simulated servers in virtual time and over ZooKeeper's in real time.

A contract test is `async def test_x(rig)` under `@contract` (one server) or `@ensemble_contract` (three). Faults of the real
servers are real: processes are stopped and killed, connections go through proxies.
"""

from __future__ import annotations

import itertools
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import attrs
import pytest
import trio
import trio.testing
from kazoo.client import KazooClient

from runtime.registry import Registry
from runtime.registry_messages import Connected, RegistryEvent, RegistryUnavailable
from runtime.simulated_registry import SimulatedRegistry
from runtime.simulated_service import SimulatedService
from runtime.world import RealWorld
from runtime.zookeeper import ZooKeeperRegistry
from runtime.zookeeper_settings import ZooKeeperSettings
from tests.e2e.harness import wait_for
from tests.proxy import Proxy
from tocsin.embedded.zookeeper import EmbeddedZooKeeper

SESSION = 2.0
"""Seconds of a session's timeout where its end is waited for: four ticks."""

LONG_SESSION = 10.0
"""... where it must not end, however slowly the machine elects a leader, starts a process or comes back to this one."""

TICK = 0.5
HANG = 60.0
"""Seconds after which something that must happen does not; far above what it takes."""

E = TypeVar("E", bound=RegistryEvent)

_roots = itertools.count(1)


class Client:
    """A client that runs, and what it has heard."""

    def __init__(self, name: str, registry: Registry) -> None:
        self.name = name
        self.registry = registry
        self.session = ""
        self._scope = trio.CancelScope()
        self._ended = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        try:
            with self._scope:
                await self.registry.run(task_status=task_status)
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """End it in order."""
        self._scope.cancel()
        await self._ended.wait()

    async def next(self, kind: type[E]) -> E:
        """What it hears next, which must be of this kind."""
        with trio.fail_after(HANG):
            event = await self.registry.events().receive()
        assert isinstance(event, kind), event
        if isinstance(event, Connected):
            self.session = event.session
        return event

    async def until(self, kind: type[E]) -> E:
        """The next event of this kind, whatever else is heard before."""
        with trio.fail_after(HANG):
            async for event in self.registry.events():
                if isinstance(event, kind):
                    if isinstance(event, Connected):
                        self.session = event.session
                    return event
        raise AssertionError("the events have ended")

    def heard(self) -> list[RegistryEvent]:
        """What it has heard already and nobody has looked at."""
        events = []
        with suppress(trio.WouldBlock):
            while True:
                events.append(self.registry.events().receive_nowait())
        return events


class Rig(ABC):
    """The servers and the way to them. `slack`: seconds by which what happens in time may be late."""

    nursery: trio.Nursery
    slack: float

    async def open(self, name: str, timeout: float = SESSION) -> Client:
        """A client with a session."""
        client = await self.begin(name, timeout)
        await client.next(Connected)
        return client

    async def begin(self, name: str, timeout: float = SESSION) -> Client:
        """A client that tries to reach a server."""
        client = Client(name, await self.registry(name, timeout))
        await self.nursery.start(client.run)
        return client

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> float:
        """Wait until something holds; the seconds it took."""
        began = trio.current_time()
        with trio.fail_after(HANG):
            while not await holds():  # noqa: ASYNC110 - what servers do is only seen by asking
                await trio.sleep(0.02)
        return trio.current_time() - began

    async def crash(self, client: Client) -> None:
        """End a client without a word to the servers."""
        self.cut(client)
        await client.stop()

    @abstractmethod
    async def registry(self, name: str, timeout: float) -> Registry: ...

    @abstractmethod
    def cut(self, client: Client) -> None: ...

    @abstractmethod
    def heal(self, client: Client) -> None: ...

    @abstractmethod
    def reset(self, client: Client) -> None: ...

    @abstractmethod
    async def lose_reply(
        self, client: Client, call: Callable[[], Awaitable[Any]], applied: Callable[[], Awaitable[bool]]
    ) -> None:
        """Make a call whose answer is lost with the connection; `applied` tells, at another client, that it was carried out."""

    @abstractmethod
    async def expire(self, client: Client) -> None:
        """Have the servers end the client's session."""

    @abstractmethod
    def freeze(self) -> None:
        """No server answers."""

    @abstractmethod
    def thaw(self) -> None: ...

    @abstractmethod
    async def take_down(self) -> None:
        """All servers are killed; what they have written stays."""

    @abstractmethod
    async def bring_back(self) -> None: ...

    @abstractmethod
    async def kill_leader(self) -> None: ...

    @abstractmethod
    async def freeze_leader(self) -> None: ...

    @abstractmethod
    async def wipe(self) -> None:
        """The servers lose everything."""


class SimulatedRig(Rig):
    slack = 0.5

    def __init__(self, servers: int, seed: int) -> None:
        self.service = SimulatedService(random.Random(seed), TICK, servers)

    async def registry(self, name: str, timeout: float) -> Registry:
        return SimulatedRegistry(self.service, name, timeout)

    def cut(self, client: Client) -> None:
        self.service.cut(client.name)

    def heal(self, client: Client) -> None:
        self.service.heal(client.name)

    def reset(self, client: Client) -> None:
        self.service.reset(client.name)

    async def lose_reply(
        self, client: Client, call: Callable[[], Awaitable[Any]], applied: Callable[[], Awaitable[bool]]
    ) -> None:
        self.service.lose_reply(client.name)
        with pytest.raises(RegistryUnavailable):
            await call()
        await self.until(applied)

    async def expire(self, client: Client) -> None:
        self.service.expire(client.session)

    def freeze(self) -> None:
        self.service.freeze()

    def thaw(self) -> None:
        self.service.thaw()

    async def take_down(self) -> None:
        self.service.lose_quorum()

    async def bring_back(self) -> None:
        self.service.regain_quorum()

    async def kill_leader(self) -> None:
        self.service.kill_leader()

    async def freeze_leader(self) -> None:
        self.service.freeze_leader()

    async def wipe(self) -> None:
        self.service.wipe()


class RealRig(Rig):
    slack = HANG / 3
    """Against hanging only: a busy machine may be late by any time. The simulated servers are held to the bounds."""

    def __init__(self, servers: EmbeddedZooKeeper) -> None:
        self.servers = servers
        self.world = RealWorld()
        self.root = f"/contract/{next(_roots)}"
        self.proxies: dict[str, list[Proxy]] = {}

    async def proxied(self, name: str) -> tuple[str, ...]:
        """Addresses of the servers that are this client's own."""
        self.proxies[name] = [Proxy(address) for address in self.servers.addresses]
        return tuple([await self.nursery.start(proxy.run) for proxy in self.proxies[name]])

    async def registry(self, name: str, timeout: float) -> Registry:
        return ZooKeeperRegistry(self.world, ZooKeeperSettings(await self.proxied(name), self.root, timeout))

    def cut(self, client: Client) -> None:
        for proxy in self.proxies[client.name]:
            proxy.cut()

    def heal(self, client: Client) -> None:
        for proxy in self.proxies[client.name]:
            proxy.heal()

    def reset(self, client: Client) -> None:
        for proxy in self.proxies[client.name]:
            proxy.reset()

    async def lose_reply(
        self, client: Client, call: Callable[[], Awaitable[Any]], applied: Callable[[], Awaitable[bool]]
    ) -> None:
        async def failing() -> None:
            with pytest.raises(RegistryUnavailable):
                await call()

        for proxy in self.proxies[client.name]:
            proxy.down.hold()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(failing)
            await self.until(applied)
            self.reset(client)
            self.heal(client)

    async def expire(self, client: Client) -> None:
        assert isinstance(client.registry, ZooKeeperRegistry)
        kazoo = client.registry._client
        await trio.to_thread.run_sync(_close_session, self.servers.addresses, kazoo.client_id)

    def freeze(self) -> None:
        for server in self.servers.servers:
            server.freeze()

    def thaw(self) -> None:
        for server in self.servers.servers:
            if server.running:
                server.thaw()

    async def take_down(self) -> None:
        self.servers.kill()

    async def bring_back(self) -> None:
        await trio.to_thread.run_sync(self.servers.start)

    async def kill_leader(self) -> None:
        # Not in the loop: the proxies carry the clients' pings there.
        leader = await trio.to_thread.run_sync(self.servers.leader)
        leader.kill()

    async def freeze_leader(self) -> None:
        # Not in the loop: the proxies carry the clients' pings there.
        leader = await trio.to_thread.run_sync(self.servers.leader)
        leader.freeze()

    async def wipe(self) -> None:
        self.servers.kill()
        for server in self.servers.servers:
            for file in (self.servers.directory / f"server-{server.number}" / "data").glob("version-2/*"):
                file.unlink()
        await self.bring_back()


def _close_session(addresses: tuple[str, ...], client_id: tuple[int, bytes]) -> None:
    other = KazooClient(",".join(addresses), client_id=client_id)
    other.start()
    other.stop()
    other.close()


@attrs.frozen
class Servers:
    """What a contract runs over: simulated (None), or real ones."""

    real: EmbeddedZooKeeper | None
    count: int
    seed: int

    def run(self, check: Callable[[Rig], Awaitable[None]]) -> None:
        with self._restored():
            trio.run(
                self._check, check, clock=trio.testing.MockClock(autojump_threshold=0) if self.real is None else None
            )

    async def _check(self, check: Callable[[Rig], Awaitable[None]]) -> None:
        async with trio.open_nursery() as nursery:
            if self.real is None:
                rig: Rig = SimulatedRig(self.count, self.seed)
                assert isinstance(rig, SimulatedRig)
                await nursery.start(rig.service.run)
            else:
                rig = RealRig(self.real)
            # Clients end before the proxies and servers that they need for it.
            async with trio.open_nursery() as clients:
                rig.nursery = clients
                with trio.fail_after(4 * HANG):
                    await check(rig)
                clients.cancel_scope.cancel()
            nursery.cancel_scope.cancel()

    @contextmanager
    def _restored(self) -> Iterator[None]:
        try:
            yield
        finally:
            if self.real is not None:
                for server in self.real.servers:
                    if server.running:
                        server.thaw()
                self.real.start()
                wait_for(lambda: _has_one_leader(self.real), HANG, "the servers to agree on a leader")


def _has_one_leader(servers: EmbeddedZooKeeper) -> bool:
    """Whether one leads and all others follow: one that was frozen takes itself for the leader for a moment."""
    leading, *rest = sorted((server.mode() for server in servers.servers), key="standalone leader follower".find)
    return leading in ("standalone", "leader") and all(mode == "follower" for mode in rest)


def contract(check: Callable[[Rig], Awaitable[None]]) -> Callable[[Servers], None]:
    """Hold one server to this, simulated and real."""

    def test(one_server: Servers) -> None:
        one_server.run(check)

    return _named(test, check)


def ensemble_contract(check: Callable[[Rig], Awaitable[None]]) -> Callable[[Servers], None]:
    """Hold three servers to this, simulated and real."""

    def test(three_servers: Servers) -> None:
        three_servers.run(check)

    return _named(test, check)


def _named(test: Callable[[Servers], None], check: Callable[[Rig], Awaitable[None]]) -> Callable[[Servers], None]:
    test.__name__, test.__doc__, test.__module__ = check.__name__, check.__doc__, check.__module__
    return test
