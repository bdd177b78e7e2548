"""A client of the simulated coordination service. One conformance suite holds it equal to `zookeeper.py`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import trio

from .registry_messages import (
    CLOSE_SECONDS,
    Connected,
    Disconnected,
    Lost,
    NodeStat,
    NoNode,
    Op,
    RegistryEvent,
    RegistryUnavailable,
    check_data,
    check_ops,
)
from .simulated_service import Connection, SimulatedService

__all__ = ["SimulatedRegistry", "SimulatedService"]


class SimulatedRegistry:
    """One client of a `SimulatedService`.

    name: whose faults it shares: `service.cut(name)`. timeout_seconds: the session timeout asked for.
    """

    def __init__(self, service: SimulatedService, name: str, timeout_seconds: float = 4.0) -> None:
        self._service = service
        self._name = name
        self._wanted = timeout_seconds
        self._timeout = timeout_seconds
        self._session: str | None = None
        self._seen = 0
        self._connection: Connection | None = None
        self._answered = -math.inf
        self._send, self._receive = trio.open_memory_channel[RegistryEvent](math.inf)

    def events(self) -> trio.MemoryReceiveChannel[RegistryEvent]:
        return self._receive

    def last_answer(self) -> float:
        connection = self._connection
        return self._answered if connection is None else max(self._answered, connection.answered)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        attempt = 0
        try:
            while True:
                if await self._connect():
                    attempt = 0
                    await self._keep()
                else:
                    await trio.sleep(self._service.pause(attempt))
                    attempt += 1
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(CLOSE_SECONDS):
                await self._end()

    async def _connect(self) -> bool:
        """Try one server; whether there is a session now."""
        connection = self._service.connect(self._name, self._service.pick(), self._send.send_nowait)
        wanted, seen = self._session, self._seen
        reply = connection.ask(lambda: self._service.attach(connection, wanted, self._wanted, seen), needs_leader=True)
        try:
            with trio.move_on_after(self._timeout / 3):
                await reply.done.wait()
            if reply.done.is_set() and reply.error is None and self._session == wanted:
                self._begin(connection, reply.value)
        finally:
            if self._connection is not connection:
                connection.close()
        return self._connection is connection

    def _begin(self, connection: Connection, answer: tuple[str, float] | None) -> None:
        if answer is None:
            self._session = None
            self._send.send_nowait(Lost())
            return
        fresh = self._session is None
        self._session, self._timeout = answer
        self._connection = connection
        self._send.send_nowait(Connected(self._session, self._timeout, fresh))

    async def _keep(self) -> None:
        """Ask for a sign of life every third of the timeout; give the connection up after two thirds without one."""
        connection = self._connection
        assert connection is not None
        asked = trio.current_time()
        while not connection.closed.is_set():
            with trio.move_on_at(min(asked + self._timeout / 3, connection.heard + self._timeout * 2 / 3)):
                await connection.closed.wait()
            now = trio.current_time()
            if now >= connection.heard + self._timeout * 2 / 3:
                connection.close()
            elif now >= asked + self._timeout / 3:
                asked = now
                connection.ask(lambda: None)
        self._seen = max(self._seen, connection.seen)
        self._answered = max(self._answered, connection.answered)
        self._connection = None
        if self._session is not None:
            self._send.send_nowait(Disconnected())

    async def _end(self) -> None:
        """Have the servers end the session; it is given up in any case."""
        connection, session = self._connection, self._session
        self._session = None
        if connection is not None and session is not None:
            try:
                await connection.ask(lambda: self._service.end(connection), needs_leader=True).done.wait()
            finally:
                connection.close()

    async def expire(self) -> None:
        if self._session is not None:
            self._send.send_nowait(Lost())
        with trio.move_on_after(CLOSE_SECONDS):
            await self._end()

    async def _ask(self, act: Callable[[Connection], Any], *, needs_leader: bool = False) -> Any:
        await trio.lowlevel.checkpoint()
        connection = self._connection
        if connection is None or connection.closed.is_set():
            raise RegistryUnavailable("no server answers")
        sent = trio.current_time()
        reply = connection.ask(lambda: act(connection), needs_leader=needs_leader)
        with trio.move_on_after(self._timeout * 2 / 3):
            await reply.done.wait()
        if not reply.done.is_set():
            if connection.heard < sent:
                connection.close()
            raise RegistryUnavailable("no answer within two thirds of the session's timeout")
        if reply.error is not None:
            raise reply.error
        return reply.value

    async def create(self, path: str, data: bytes = b"", *, ephemeral: bool = False, sequential: bool = False) -> str:
        check_data(path, data)
        ops = [Op("create", path, data, ephemeral=ephemeral)]
        made = await self._ask(lambda at: self._service.write(at, ops, sequential=sequential), needs_leader=True)
        return str(made)

    async def exists(self, path: str, *, watch: bool = False) -> NodeStat | None:
        node = await self._ask(lambda at: self._service.read(at, "node", path, watch=watch))
        return None if node is None else attrs.evolve(node.stat(), data=b"")

    async def get(self, path: str, *, watch: bool = False) -> NodeStat:
        node = await self._ask(lambda at: self._get(at, path, watch))
        stat: NodeStat = node.stat()
        return stat

    def _get(self, at: Connection, path: str, watch: bool) -> Any:
        if self._service.read(at, "node", path, watch=False) is None:
            raise NoNode(path)
        return self._service.read(at, "node", path, watch=watch)

    async def children(self, path: str, *, watch: bool = False) -> list[str]:
        names: list[str] = await self._ask(lambda at: self._service.read(at, "children", path, watch=watch))
        return names

    async def set(self, path: str, data: bytes, version: int = -1) -> NodeStat:
        check_data(path, data)

        def act(at: Connection) -> NodeStat:
            self._service.write(at, [Op("set", path, data, version)])
            return at.server.replica.tree[path].stat()

        stat: NodeStat = await self._ask(act, needs_leader=True)
        return stat

    async def delete(self, path: str, version: int = -1) -> None:
        await self.transact([Op("delete", path, version=version)])

    async def transact(self, ops: Sequence[Op]) -> None:
        check_ops(ops)
        if ops:
            await self._ask(lambda at: self._service.write(at, list(ops)), needs_leader=True)

    async def sync(self) -> None:
        await self._ask(lambda at: self._service.catch_up(at.server), needs_leader=True)
