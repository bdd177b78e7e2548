"""The coordination servers as a simulation, failing as ZooKeeper's do, under virtual time.

Everything a client sends and hears travels in order, late by a drawn latency, and is held back while the way is cut or the
server is frozen; nothing is ever lost but with its connection.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
import trio

from . import simulated_service_core as core
from .registry_messages import (
    MAX_PAUSE_SECONDS,
    Changed,
    Op,
    RegistryEvent,
    RegistryUnavailable,
)
from .simulated_clock import sleep_until

LATENCY_SECONDS: Final = (0.0002, 0.002)
"""One way between client and server: what one machine shows, and a network of a data centre."""

ELECTION_SECONDS: Final = (0.3, 1.0)
"""From a dead leader to a new one; measured 0.35 to 1.5 s with ticks of 0.5 s."""

FREEZE_NOTICED_SECONDS: Final = (2.5, 5.0)
"""How long followers wait for a silent leader: `syncLimit` ticks; measured gaps are 3.3 to 9.2 s."""

FIRST_PAUSE_SECONDS: Final = 0.1
"""Before the second attempt to reach a server; doubles up to MAX_PAUSE_SECONDS."""


@attrs.define(eq=False)
class _Item:
    due: float
    deliver: Callable[[], None]
    needs_leader: bool = False


class _Line:
    """One direction of a connection: in order, late, and held back while `blocked` says so."""

    def __init__(self, service: SimulatedService, blocked: Callable[[_Item], bool]) -> None:
        self._service = service
        self._blocked = blocked
        self._items: deque[_Item] = deque()
        self._more = trio.Event()
        self.scope = trio.CancelScope()

    def send(self, deliver: Callable[[], None], *, needs_leader: bool = False) -> None:
        self._items.append(_Item(trio.current_time() + self._service.latency(), deliver, needs_leader))
        self._more.set()

    async def run(self) -> None:
        with self.scope:
            while True:
                while self._items:
                    await sleep_until(self._items[0].due)
                    while self._blocked(self._items[0]):
                        await self._service.changed()
                    self._items.popleft().deliver()
                self._more = trio.Event()
                await self._more.wait()


@attrs.define(eq=False)
class _Reply:
    """What a client waits for: a value or an error, once."""

    sent: float = attrs.field(factory=trio.current_time)
    done: trio.Event = attrs.field(factory=trio.Event)
    value: Any = None
    error: Exception | None = None

    def settle(self, value: Any = None, error: Exception | None = None) -> None:
        if not self.done.is_set():
            self.value, self.error = value, error
            self.done.set()


@attrs.define(eq=False)
class Server:
    """One of the servers: its copy of the tree, and what it has yet to take over, with the time when it will."""

    replica: core.Replica[Connection] = attrs.field(factory=core.Replica)
    backlog: deque[tuple[float, core.Transaction]] = attrs.field(factory=deque)
    frozen: bool = False


class Connection:
    """One connection: the client's end, and what the server knows of it."""

    def __init__(
        self, service: SimulatedService, client: str, server: Server, heard: Callable[[RegistryEvent], None]
    ) -> None:
        self.client = client
        self.server = server
        self.closed = trio.Event()
        self.heard = trio.current_time()
        self.answered = -math.inf
        self.seen = 0
        self.session: core.Session | None = None
        self._service = service
        self._tell = heard
        self._waiting: dict[_Reply, None] = {}
        self.up = _Line(service, lambda item: service.holds_back_request(self, item.needs_leader))
        self.down = _Line(service, lambda item: service.is_cut(client, replies=True))

    def ask(self, act: Callable[[], Any], *, needs_leader: bool = False) -> _Reply:
        """Send a request: `act` is carried out at the server."""
        reply = _Reply()
        self._waiting[reply] = None
        self.up.send(lambda: self._service.carry_out(self, act, reply), needs_leader=needs_leader)
        return reply

    def answer(self, reply: _Reply, value: Any = None, error: Exception | None = None) -> None:
        """At the server: send an answer."""
        number = self.server.replica.number

        def arrive() -> None:
            self.heard = trio.current_time()
            self.answered = max(self.answered, reply.sent)
            self.seen = max(self.seen, number)
            self._waiting.pop(reply, None)
            reply.settle(value, error)

        self.down.send(arrive)

    def notify(self, path: str) -> None:
        """At the server: tell of a change."""
        self.down.send(lambda: None if self.closed.is_set() else self._tell(Changed(path)))

    def close(self) -> None:
        """The client's end is closed: nothing more is heard. What was sent before still travels."""
        if not self.closed.is_set():
            self.closed.set()
            self.down.scope.cancel()
            for reply in self._waiting:
                reply.settle(error=RegistryUnavailable("the connection broke before the answer came"))
            self._waiting.clear()
            if self.session is None:
                # Nothing hangs on it, and while a client is cut off there is one such attempt each second.
                self._service.hang_up(self)
            else:
                self.up.send(lambda: self._service.hang_up(self))


class SimulatedService:
    """The servers. `run` must run as long as clients use them.

    rng: the only source of chance. tick_seconds: servers end sessions at whole ticks. servers: 1 has no followers, which read
    late, and no election. lag_seconds: how late followers take over what the leader decides, at most. reply_loss: the share
    of writes that are carried out and not answered, because the connection breaks. `unanswered`: the steps of those writes.
    """

    def __init__(
        self,
        rng: random.Random,
        tick_seconds: float = 0.5,
        servers: int = 3,
        lag_seconds: float = 0.005,
        reply_loss: float = 0.0,
    ) -> None:
        self.lag_seconds = lag_seconds
        self.reply_loss = reply_loss
        self._rng = rng
        self._tick = tick_seconds
        self._servers = [Server() for _ in range(servers)]
        self._leader = self._servers[0]
        self._serving = True
        self._quorum = True
        self._elect_at = math.inf
        self._tree = core.root()
        self._number = 0
        self._sessions: dict[str, core.Session] = {}
        self._born = 0
        self._connections: dict[Connection, None] = {}
        self._cut: dict[str, bool] = {}
        self._lose: list[str | None] = []
        self.unanswered: list[Op] = []
        self._changed = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._is_over = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """End sessions, elect leaders and let followers catch up, until cancelled. Then nobody gets an answer any more."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            try:
                while True:
                    self._look(trio.current_time())
                    with trio.move_on_at(self._next_look()):
                        await self.changed()
            finally:
                self._is_over = True

    def _look(self, now: float) -> None:
        if now >= self._elect_at and self._quorum:
            self._elect()
        self._catch_up_due(now)
        if self._serving and not self._leader.frozen:
            for session in [each for each in self._sessions.values() if now >= each.ends_at(self._tick)]:
                self.expire(session.id)

    def _next_look(self) -> float:
        times = [self._elect_at if self._quorum else math.inf]
        times += [server.backlog[0][0] for server in self._servers if server.backlog and not server.frozen]
        if self._serving and not self._leader.frozen:
            times += [session.ends_at(self._tick) for session in self._sessions.values()]
        return min(times)

    async def changed(self) -> None:
        """Wait until something is not as it was."""
        await self._changed.wait()

    def _notice(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # -- faults

    def cut(self, client: str, *, replies_only: bool = False) -> None:
        """Nothing passes between a client and the servers; what is sent meanwhile arrives after `heal`, if the connection
        still stands. `replies_only`: requests pass, answers do not."""
        self._cut[client] = replies_only
        self._notice()

    def heal(self, client: str) -> None:
        """Let everything pass again."""
        self._cut.pop(client, None)
        self._notice()

    def reset(self, client: str) -> None:
        """Break a client's connections; it may connect anew at once."""
        for connection in [each for each in self._connections if each.client == client]:
            self.hang_up(connection)

    def lose_reply(self, client: str | None = None) -> None:
        """Carry the next write (of this client) out, and break the connection instead of answering."""
        self._lose.append(client)

    def kill_leader(self) -> None:
        """Every connection breaks; a new leader comes after an election, and sessions get their full timeout."""
        self._stop_serving()
        self._elect_at = trio.current_time() + self._rng.uniform(*ELECTION_SECONDS)
        self._notice()

    def freeze_leader(self) -> None:
        """It takes everything and answers nothing. Followers elect another one after a while; a single server stays frozen."""
        self._leader.frozen = True
        if len(self._servers) > 1:
            self._elect_at = trio.current_time() + self._rng.uniform(*FREEZE_NOTICED_SECONDS)
        self._notice()

    def freeze(self) -> None:
        """No server answers anything until `thaw`."""
        for server in self._servers:
            server.frozen = True
        self._notice()

    def thaw(self) -> None:
        """Frozen servers go on. Sessions whose time is over end at once, if the leader is still the one that was frozen."""
        for server in self._servers:
            server.frozen = False
        if self._serving:
            self._elect_at = math.inf
        self._notice()

    def lose_quorum(self) -> None:
        """Connections break and new ones are refused; no session ends."""
        self._quorum = False
        self._stop_serving()
        self._notice()

    def regain_quorum(self) -> None:
        """A leader is elected; every session gets its full timeout."""
        self._quorum = True
        self._elect_at = trio.current_time() + self._rng.uniform(*ELECTION_SECONDS)
        self._notice()

    def expire(self, session: str) -> None:
        """End a session now."""
        ended = self._sessions.pop(session, None)
        if ended is not None:
            self._number += 1
            self._commit(core.prepare_end(self._tree, self._number, session))
            if ended.connection is not None:
                self.hang_up(ended.connection)

    def wipe(self) -> None:
        """The servers lose all data and all sessions."""
        for connection in list(self._connections):
            self.hang_up(connection)
        self._sessions.clear()
        self._tree = core.root()
        for server in self._servers:
            server.backlog.clear()
            server.replica = core.Replica(number=self._number)
        self._notice()

    def sessions(self) -> dict[str, str | None]:
        """Every live session, and the client that is connected with it now."""
        return {key: each.connection and each.connection.client for key, each in self._sessions.items()}

    def tree(self) -> core.Tree:
        """What the leader holds, for tests to look at."""
        return dict(self._tree)

    # -- what happens at the servers

    def latency(self) -> float:
        return self._rng.uniform(*LATENCY_SECONDS)

    def is_cut(self, client: str, *, replies: bool) -> bool:
        replies_only = self._cut.get(client)
        return replies_only is not None and (replies or not replies_only)

    def holds_back_request(self, connection: Connection, needs_leader: bool) -> bool:
        waits = connection.server.frozen or (needs_leader and self._leader.frozen)
        return waits or self.is_cut(connection.client, replies=False)

    def pick(self) -> Server:
        return self._rng.choice(self._servers)

    def pause(self, attempt: int) -> float:
        """Before the next attempt to connect, with some chance so that clients do not come all at once."""
        return min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempt, 8)) * self._rng.uniform(0.5, 1.0)

    def connect(self, client: str, server: Server, heard: Callable[[RegistryEvent], None]) -> Connection:
        """A connection without a session yet."""
        if self._nursery is None:
            raise RuntimeError("the simulated service does not run")
        connection = Connection(self, client, server, heard)
        if self._is_over:
            return connection
        self._connections[connection] = None
        self._nursery.start_soon(connection.up.run)
        self._nursery.start_soon(connection.down.run)
        return connection

    def attach(
        self, connection: Connection, wanted: str | None, timeout_seconds: float, seen: int
    ) -> tuple[str, float] | None:
        """At the server: begin or resume a session; None: it has ended. Refused by hanging up."""
        if not self._serving or connection.server.replica.number < seen:
            self.hang_up(connection)
            raise RegistryUnavailable("refused")
        if wanted is None:
            self._born += 1
            agreed = core.agreed_timeout(timeout_seconds, self._tick)
            session = core.Session(f"{0x100000000000000 + self._born:#x}", agreed, trio.current_time())
            self._sessions[session.id] = session
        elif wanted in self._sessions:
            session = self._sessions[wanted]
            if session.connection is not None:
                self.hang_up(session.connection)
        else:
            return None
        session.connection, connection.session = connection, session
        session.heard = trio.current_time()
        self._notice()
        return session.id, session.timeout_seconds

    def carry_out(self, connection: Connection, act: Callable[[], Any], reply: _Reply) -> None:
        if connection not in self._connections:
            return
        session = connection.session
        if session is not None:
            session.heard = trio.current_time()
        try:
            value = act()
        except Exception as error:
            connection.answer(reply, error=error)
            return
        if connection in self._connections:
            connection.answer(reply, value)

    def read(
        self, connection: Connection, kind: core.WatchKind, path: str, *, watch: bool
    ) -> core.Node | list[str] | None:
        """At the server: a node or the names of its children as this server knows them, None if there is none."""
        replica = connection.server.replica
        if watch and (kind == "node" or path in replica.tree):
            replica.watch(kind, path, connection)
        if kind == "node":
            return replica.tree.get(path)
        return core.names_below(replica.tree, path)

    def write(self, connection: Connection, ops: Sequence[Op], *, sequential: bool = False) -> str:
        """At the server: the leader decides, this server has taken it over when it answers. The last path written."""
        session = connection.session
        assert session is not None, "a request without a session"
        if sequential:
            ops = [attrs.evolve(op, path=core.numbered(self._tree, op.path)) for op in ops]
        self._number += 1
        self._commit(core.prepare(self._tree, self._number, session.id, ops))
        self.catch_up(connection.server)
        if self._loses_reply(connection.client):
            self.unanswered.extend(ops)
            self.hang_up(connection)
        return ops[-1].path

    def end(self, connection: Connection) -> None:
        """At the server: the client ends its session."""
        if connection.session is not None and (session := self._sessions.get(connection.session.id)) is not None:
            session.connection = None
            self.expire(session.id)
            self.catch_up(connection.server)

    def catch_up(self, server: Server) -> None:
        """Let a server take over everything that is decided."""
        while server.backlog:
            self._apply(server, server.backlog.popleft()[1])

    def hang_up(self, connection: Connection) -> None:
        """At the server: close a connection. The client sees it, unless it is cut off."""
        if connection in self._connections:
            del self._connections[connection]
            connection.server.replica.forget(connection)
            connection.up.scope.cancel()
            if connection.session is not None and connection.session.connection is connection:
                connection.session.connection = None
            if not self.is_cut(connection.client, replies=True):
                connection.close()

    def _loses_reply(self, client: str) -> bool:
        for wanted in (client, None):
            if wanted in self._lose:
                self._lose.remove(wanted)
                return True
        return self.reply_loss > 0 and self._rng.random() < self.reply_loss

    def _commit(self, transaction: core.Transaction) -> None:
        for effect in transaction.effects:
            if effect.node is None:
                del self._tree[effect.path]
            else:
                self._tree[effect.path] = effect.node
        now = trio.current_time()
        for server in self._servers:
            late = 0.0 if server is self._leader else self._rng.uniform(0.0, self.lag_seconds)
            due = max(now + late, server.backlog[-1][0] if server.backlog else 0.0)
            server.backlog.append((due, transaction))
        self.catch_up(self._leader)
        self._notice()

    def _catch_up_due(self, now: float) -> None:
        for server in self._servers:
            while server.backlog and not server.frozen and server.backlog[0][0] <= now:
                self._apply(server, server.backlog.popleft()[1])

    def _apply(self, server: Server, transaction: core.Transaction) -> None:
        for connection, path in server.replica.apply(transaction):
            connection.notify(path)

    def _stop_serving(self) -> None:
        self._serving = False
        for connection in list(self._connections):
            self.hang_up(connection)

    def _elect(self) -> None:
        self._stop_serving()
        able = [server for server in self._servers if not server.frozen and server is not self._leader]
        self._leader = self._rng.choice(able or self._servers)
        self._elect_at = math.inf
        self._serving = True
        now = trio.current_time()
        for server in self._servers:
            self.catch_up(server)
        for session in self._sessions.values():
            session.heard = now
