"""The door to ZooKeeper: one client of its servers, over kazoo, under the promises of the port.

kazoo keeps one thread for the connection. Everything it tells is put into the loop in the order in which it came over the wire,
and nothing else happens in its thread; a call costs no thread. Its recipes are not used. What it leaves out is made up for here:

- It tells nobody which timeout the servers have agreed to, nor when a ping was answered: `Wire` looks over its shoulder.
- Calls in quick succession keep it from sending pings, and a frozen server then stays unnoticed: a call that is not answered in
  time breaks the connection.
- It waits up to a minute between two attempts to connect: capped.
- Servers that have lost their data refuse the session for ever, because the client has seen later transactions: if another
  client gets in where this one does not, the session is given up.
- When the servers refuse its credentials it ends for good: another client is begun.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import outcome
import trio
from kazoo import exceptions as kazoo_errors
from kazoo.client import KazooClient
from kazoo.protocol.connection import _CONNECTION_DROP
from kazoo.protocol.states import EventType, KazooState, KeeperState, WatchedEvent, ZnodeStat
from kazoo.retry import KazooRetry
from kazoo.security import ACL, CREATOR_ALL_ACL, OPEN_ACL_UNSAFE

from .errors import InternalError, TocsinError
from .registry_messages import (
    CLOSE_SECONDS,
    MAX_PAUSE_SECONDS,
    AccessDenied,
    Changed,
    Connected,
    Disconnected,
    Lost,
    NodeExists,
    NodeStat,
    NoNode,
    Op,
    RegistryEvent,
    RegistryUnavailable,
    VersionMismatch,
    check_data,
    check_ops,
)
from .world import World
from .zookeeper_settings import ZooKeeperSettings
from .zookeeper_wire import Inline, Wire

logger = logging.getLogger(__name__)

_kazoo_logger = logging.getLogger(f"{__name__}.kazoo")
# It reports each attempt to connect, once a second while a server is down; what matters is said here, once.
_kazoo_logger.setLevel(logging.ERROR)

MAX_IN_FLIGHT: Final = 128
"""Calls that kazoo has not finished with. It is woken through a socket pair that takes 278 wake-ups, and then blocks the loop."""

_JITTER: Final = 0.3
_FIRST_PAUSE_SECONDS: Final = 0.1
_REFUSED_PAUSE_SECONDS: Final = 1.0
"""Before a new client is begun in place of one whose credentials were refused."""

_DOUBT_TIMEOUTS: Final = 2.0
"""After so many session timeouts without a server it is tried whether another client gets in."""

_LANE: Final = "zookeeper"


class ZooKeeperRegistry:
    """One client of ZooKeeper's servers. `run` must run while it is used."""

    def __init__(self, world: World, settings: ZooKeeperSettings) -> None:
        self._world = world
        self._settings = settings
        self._timeout = settings.session_seconds
        self._tls = None if settings.tls is None else settings.tls.context()
        self._acl: list[ACL] = OPEN_ACL_UNSAFE if settings.credentials is None else CREATOR_ALL_ACL
        self._client: KazooClient | None = None
        self._session: str | None = None
        self._connected = False
        self._disconnected_at = math.inf
        self._disconnected = trio.Event()
        self._answered = -math.inf
        self._over = trio.Event()
        self._pause = 0.0
        self._slots = trio.Semaphore(MAX_IN_FLIGHT)
        self._watchers: dict[str, Callable[[WatchedEvent], None]] = {}
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None
        self._monotonic_offset = 0.0
        self._send, self._receive = trio.open_memory_channel[RegistryEvent](math.inf)

    def events(self) -> trio.MemoryReceiveChannel[RegistryEvent]:
        return self._receive

    def last_answer(self) -> float:
        return self._answered

    # -- the session

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._monotonic_offset = trio.current_time() - time.monotonic()
        client: KazooClient | None = None
        try:
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._doubt)
                self._nursery.start_soon(self._miss)
                task_status.started()
                try:
                    while True:
                        self._over = trio.Event()
                        self._client = self._begin()
                        await self._over.wait()
                        await trio.sleep(self._pause)
                finally:
                    # Before the nursery has ended: what the client's thread tells from now on is of nobody's.
                    client, self._client = self._client, None
                    self._connected, self._session = False, None
        finally:
            with trio.CancelScope(shield=True):
                await self._dispose(client)

    async def _miss(self) -> None:
        """Say that nobody has answered since the start: a connection that never was is not lost."""
        await trio.sleep(self._settings.session_seconds)
        if self._session is None:
            logger.warning("ZooKeeper: no session yet from %s", ", ".join(self._settings.servers))

    def _make(self) -> KazooClient:
        """A client that does nothing yet."""
        settings, credentials = self._settings, self._settings.credentials
        pause = MAX_PAUSE_SECONDS / (1 + _JITTER)
        return KazooClient(
            hosts=",".join(settings.servers),
            timeout=settings.session_seconds,
            handler=Inline(self._tls),
            connection_retry=KazooRetry(-1, delay=_FIRST_PAUSE_SECONDS, max_jitter=_JITTER, max_delay=pause),
            auth_data=None if credentials is None else [("digest", f"{credentials.user}:{credentials.password}")],
            default_acl=self._acl,
            logger=_kazoo_logger,
        )

    def _begin(self) -> KazooClient:
        """A client that connects by itself; what becomes of it is told in the loop."""
        client = self._make()
        wire = Wire(client, client._conn_retry.copy(), logger=_kazoo_logger)
        wire.connected = lambda session, timeout: self._soon(self._on_connected, client, session, timeout)
        wire.answered = lambda sent: self._soon(self._on_pong, sent + self._monotonic_offset)
        client._connection = wire

        def listen(state: str) -> None:
            self._soon(self._on_state, client, state, client.client_state)

        client.add_listener(listen)
        # Starts a thread and returns: whether a server answers is told by the events.
        client.start_async()
        return client

    def _soon(self, function: Callable[..., object], *arguments: Any) -> None:
        """From kazoo's thread: call a function in the loop, if that still runs."""
        assert self._token is not None
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function, *arguments)

    def _on_pong(self, sent: float) -> None:
        self._answered = max(self._answered, sent)

    def _is_current(self, client: KazooClient) -> bool:
        return client is self._client

    def _forget_disconnected(self) -> None:
        if self._disconnected.is_set():
            self._disconnected = trio.Event()

    def _on_connected(self, client: KazooClient, session: int, timeout: float) -> None:
        if self._is_current(client) and self._nursery is not None:
            self._timeout = timeout
            self._nursery.start_soon(self._welcome, client, _name(session))

    async def _welcome(self, client: KazooClient, session: str) -> None:
        """Make the root if it is missing, then tell that there is a session."""
        if session != self._session:
            try:
                await self._make_root(client)
            except RegistryUnavailable:
                # The next connection is welcomed.
                return
            except AccessDenied as error:
                logger.warning("ZooKeeper: the root %s cannot be made: %s", self._settings.root, error)
        if self._connected or not self._is_current(client):
            return
        identity, fresh = client.client_id, session != self._session
        # Another session, or none, may have come meanwhile: it has a welcome of its own.
        if identity is not None and _name(identity[0]) == session:
            self._connected, self._session = True, session
            self._forget_disconnected()
            logger.info("ZooKeeper: session %s %s", session, "begun" if fresh else "resumed")
            self._send.send_nowait(Connected(session, self._timeout, fresh))

    async def _make_root(self, client: KazooClient) -> None:
        parts = self._settings.root.split("/")[1:]
        for depth in range(1, len(parts) + 1):
            path = "/" + "/".join(parts[:depth])
            if await self._ask(client, partial(client.exists_async, path)) is None:
                with suppress(NodeExists):
                    await self._ask(client, partial(client.create_async, path))

    def _on_state(self, client: KazooClient, state: str, detail: str) -> None:
        if client is not self._client or state == KazooState.CONNECTED:
            return
        if self._connected:
            self._connected = False
            self._disconnected_at = trio.current_time()
            self._disconnected.set()
            logger.warning("ZooKeeper: no server answers")
            self._send.send_nowait(Disconnected())
        if state == KazooState.LOST:
            if detail == KeeperState.EXPIRED_SESSION:
                self._lose()
            else:
                logger.error("ZooKeeper: the client ended (%s); another one is begun", detail)
                self._replace(client, _REFUSED_PAUSE_SECONDS)

    def _lose(self, level: int = logging.WARNING) -> None:
        if self._session is not None:
            logger.log(level, "ZooKeeper: session %s has ended", self._session)
            self._session = None
            self._send.send_nowait(Lost())

    def _give_up(self, pause: float, level: int = logging.WARNING) -> None:
        """Give the client up, and the session with it; another one is begun after `pause` seconds."""
        self._client, self._connected, self._pause = None, False, pause
        self._forget_disconnected()
        self._lose(level)
        self._over.set()

    def _replace(self, client: KazooClient, pause: float) -> None:
        self._give_up(pause)
        assert self._nursery is not None
        self._nursery.start_soon(self._dispose, client)

    async def _dispose(self, client: KazooClient | None) -> None:
        """End a client and its session. A thread that takes longer is left behind: it ends by itself."""
        if client is not None:
            with trio.move_on_after(CLOSE_SECONDS):
                await self._world.blocking(_stop, client, lane=_LANE, abandon=True)

    async def _doubt(self) -> None:
        """Give the session up if another client gets in where this one does not."""
        while True:
            await self._disconnected.wait()
            await trio.sleep_until(self._disconnected_at + _DOUBT_TIMEOUTS * self._timeout)
            client = self._client
            if not self._disconnected.is_set() or client is None:
                continue
            entered = await self._world.blocking(
                _can_enter, self._make(), self._timeout, lane=f"{_LANE}-probe", abandon=True
            )
            await trio.sleep(2 * MAX_PAUSE_SECONDS)
            if entered and self._is_current(client) and self._disconnected.is_set():
                logger.error("ZooKeeper: the servers do not know session %s any more", self._session)
                self._replace(client, 0.0)

    async def expire(self) -> None:
        client = self._client
        if client is not None:
            # Asked for, so nothing to worry about.
            self._give_up(0.0, logging.INFO)
        await self._dispose(client)

    # -- calls

    async def _call(self, start: Callable[[KazooClient], Any]) -> Any:
        await trio.lowlevel.checkpoint_if_cancelled()
        client = self._client
        if client is None or not self._connected:
            raise RegistryUnavailable("no server answers")
        return await self._ask(client, lambda: start(client))

    async def _ask(self, client: KazooClient, start: Callable[[], Any]) -> Any:
        """One call, under its deadline; foreign errors end here."""
        sent = trio.current_time()
        with trio.move_on_after(self._timeout * 2 / 3):
            await self._slots.acquire()
            sent = trio.current_time()
            try:
                return await self._arrival(start, sent)
            except kazoo_errors.KazooException as error:
                raise _translate(error) from None
        if self._answered < sent and self._is_current(client):
            # Taken up when it is next sent: kazoo then looks for another server.
            client._call(_CONNECTION_DROP, client.handler.async_result())
        raise RegistryUnavailable("no answer within two thirds of the session's timeout")

    async def _arrival(self, start: Callable[[], Any], sent: float) -> Any:
        """What kazoo answers. A call that is cancelled may still be carried out."""
        task = trio.lowlevel.current_task()
        waiting = unfinished = True

        def arrive(result: outcome.Outcome[Any]) -> None:
            nonlocal waiting, unfinished
            if unfinished:
                unfinished = False
                self._slots.release()
            if not isinstance(result, outcome.Error) or type(result.error) in _ERRORS:
                self._answered = max(self._answered, sent)
            if waiting:
                waiting = False
                trio.lowlevel.reschedule(task, result)

        def leave(_: object) -> trio.lowlevel.Abort:
            nonlocal waiting
            waiting = False
            return trio.lowlevel.Abort.SUCCEEDED

        def finish(result: Any) -> None:
            error = result.exception
            self._soon(arrive, outcome.Value(result.value) if error is None else outcome.Error(error))

        try:
            start().rawlink(finish)
        except BaseException:
            self._slots.release()
            raise
        return await trio.lowlevel.wait_task_rescheduled(leave)

    def _full(self, path: str) -> str:
        return self._settings.root if path == "/" else self._settings.root + path

    def _watcher(self, path: str, watch: bool) -> Callable[[WatchedEvent], None] | None:
        """What kazoo calls when the path changes: one per path, so that it takes two watches of one path for one."""
        if not watch:
            return None
        return self._watchers.setdefault(path, self._new_watcher(path))

    def _new_watcher(self, path: str) -> Callable[[WatchedEvent], None]:
        last: WatchedEvent | None = None

        def tell(event: WatchedEvent) -> None:
            nonlocal last
            # A node that goes is told to those who watch it and to those who watch its children; here they are the same.
            if event.type != EventType.NONE and event is not last:
                last = event
                self._soon(self._send.send_nowait, Changed(path))

        return tell

    async def create(self, path: str, data: bytes = b"", *, ephemeral: bool = False, sequential: bool = False) -> str:
        check_data(path, data)
        full = self._full(path)
        made = await self._call(
            lambda client: client.create_async(full, data, ephemeral=ephemeral, sequence=sequential)
        )
        return str(made)[len(self._settings.root) :]

    async def get(self, path: str, *, watch: bool = False) -> NodeStat:
        watcher = self._watcher(path, watch)
        return _node(*await self._call(lambda client: client.get_async(self._full(path), watch=watcher)))

    async def children(self, path: str, *, watch: bool = False) -> list[str]:
        watcher = self._watcher(path, watch)
        return sorted(await self._call(lambda client: client.get_children_async(self._full(path), watch=watcher)))

    async def exists(self, path: str, *, watch: bool = False) -> NodeStat | None:
        watcher = self._watcher(path, watch)
        stat = await self._call(lambda client: client.exists_async(self._full(path), watch=watcher))
        return None if stat is None else _node(b"", stat)

    async def set(self, path: str, data: bytes, version: int = -1) -> NodeStat:
        check_data(path, data)
        return _node(data, await self._call(lambda client: client.set_async(self._full(path), data, version)))

    async def delete(self, path: str, version: int = -1) -> None:
        await self._call(lambda client: client.delete_async(self._full(path), version))

    async def transact(self, ops: Sequence[Op]) -> None:
        check_ops(ops)
        if not ops:
            return
        for result in await self._call(lambda client: self._transaction(client, ops)):
            # The others were rolled back, or not reached.
            if isinstance(result, Exception) and not isinstance(
                result, kazoo_errors.RolledBackError | kazoo_errors.RuntimeInconsistency
            ):
                raise _translate(result)

    def _transaction(self, client: KazooClient, ops: Sequence[Op]) -> Any:
        transaction = client.transaction()
        for op in ops:
            path = self._full(op.path)
            match op.kind:
                case "create":
                    transaction.create(path, op.data, ephemeral=op.ephemeral)
                case "set":
                    transaction.set_data(path, op.data, op.version)
                case "delete":
                    transaction.delete(path, op.version)
                case "check":
                    transaction.check(path, op.version)
        return transaction.commit_async()

    async def sync(self) -> None:
        await self._call(lambda client: client.sync_async(self._settings.root))


def _stop(client: KazooClient) -> None:
    """In a thread: end the session and the client's thread."""
    with suppress(Exception):
        client.stop()
    with suppress(Exception):
        client.close()


def _can_enter(client: KazooClient, seconds: float) -> bool:
    """In a thread: whether a new session can be had."""
    with suppress(Exception):
        client.start(timeout=seconds)
    entered = bool(client.connected)
    _stop(client)
    return entered


def _name(session: int) -> str:
    """A session as text; its highest bit is the servers', and no sign."""
    return f"{session & 0xFFFF_FFFF_FFFF_FFFF:#x}"


def _node(data: bytes, stat: ZnodeStat) -> NodeStat:
    owner = _name(stat.ephemeralOwner) if stat.ephemeralOwner else None
    return NodeStat(data, stat.version, owner, stat.czxid)


_ERRORS: Final[dict[type[Exception], type[TocsinError]]] = {
    kazoo_errors.NoNodeError: NoNode,
    kazoo_errors.NodeExistsError: NodeExists,
    kazoo_errors.BadVersionError: VersionMismatch,
    kazoo_errors.NotEmptyError: VersionMismatch,
    kazoo_errors.NoAuthError: AccessDenied,
    kazoo_errors.InvalidACLError: AccessDenied,
    kazoo_errors.NoChildrenForEphemeralsError: InternalError,
    kazoo_errors.BadArgumentsError: InternalError,
}


def _translate(error: Exception) -> TocsinError:
    return _ERRORS.get(type(error), RegistryUnavailable)(f"{type(error).__name__} {error}".strip())
