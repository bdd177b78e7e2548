"""The store in a PostgreSQL database, shared by the nodes of a cluster: one connection that writes, a few that read, one that
listens.

The calls are for the lanes that the port tells: those of the writer for one thread at a time, reads from several threads (each
has a connection to itself while it reads), `wakes` for a thread of its own. A connection that is lost is made anew by the next
call. No call waits longer than its limits: it raises StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import psycopg

from runtime.clock import Instant
from runtime.errors import StoreUnavailable

from ..model.calendar import Calendar
from ..model.execution import Execution
from ..model.occurrence import Settled
from ..model.retention import Purged, Slice
from ..model.task import Task
from . import (
    postgres_access,
    postgres_activity,
    postgres_purge,
    postgres_read,
    postgres_schema,
    postgres_shared,
    postgres_side,
)
from .access import AuditFilter, AuditRow, ChainHead, Token
from .answers import (
    Activity,
    ActivityFilter,
    Counts,
    ExecutionDetail,
    Identity,
    LogLine,
    Newest,
    OutcomeRow,
    Revision,
    TaskFilter,
    TaskPage,
)
from .handovers import Handover, HandoverFilter
from .port import (
    DELIVERIES_KEPT,
    Audit,
    Commit,
    CommitResult,
    DeliveryWrite,
    EventState,
    OutboxEntry,
    SchedulerPause,
    Unprepared,
)
from .postgres_link import Connection, PostgresLimits, connect, door
from .postgres_shared import Listener
from .postgres_transaction import Stamp, Transactions
from .postgres_write import Writer
from .shared import Shared

T = TypeVar("T")


class PostgresStore(Unprepared):
    """The port's adapter over a database.

    `dsn`: as libpq takes it, `postgresql://user@host:port/database` or `host=... dbname=...`; its role must own the schema
    `tocsin` or be allowed to create it. `deliveries_kept`: see `DELIVERIES_KEPT`. `limits`: how long anything may take.
    `clock`: what leases are measured by; None: the server's clock.
    """

    def __init__(
        self,
        dsn: str,
        *,
        deliveries_kept: int = DELIVERIES_KEPT,
        limits: PostgresLimits | None = None,
        clock: Callable[[], Instant] | None = None,
    ) -> None:
        self._dsn = dsn
        self._limits = limits or PostgresLimits()
        self._clock = clock
        self._transactions = Transactions(dsn, self._limits)
        self._leases = Transactions(dsn, self._limits)
        self._writer = Writer(self._transactions, deliveries_kept)
        self._listener = Listener(dsn, self._limits)
        self._idle: list[Connection] = []
        self._calendars: postgres_read.Known = {}
        self._is_open = False

    def open(self, *, new_cluster_id: str, partitions: int, timezone_database: str) -> Identity:
        fresh = {
            "cluster_id": new_cluster_id,
            "partitions": str(partitions),
            "timezone_database": timezone_database,
        }
        with door():
            try:
                identity = postgres_schema.open_schema(self._transactions.open(), fresh)
                self._transactions.fold()
                self._leases.open()
            except BaseException:
                self._leases.close()
                self._transactions.close()
                raise
        self._is_open = True
        return identity

    def close(self) -> None:
        self._is_open = False
        with door():
            while self._idle:
                self._idle.pop().close()
            self._listener.close()
            self._leases.close()
            self._transactions.close()

    # -- the writer's lane

    def raise_epochs(self, grants: Mapping[int, int], boot: str) -> Mapping[int, int]:
        return self._write(postgres_shared.raise_epochs, grants, boot, None if self._clock is None else self._clock())

    def raise_floor(self, above: Mapping[int, int]) -> None:
        self._write(postgres_shared.raise_floor, above)

    def last_grants(self) -> Mapping[int, int]:
        return self._read(postgres_read.last_grants)

    def commit(self, commit: Commit) -> CommitResult:
        self._require_open()
        with door():
            return self._writer.commit(commit)

    def occupied(self) -> list[str]:
        self._require_open()
        with door():
            self._transactions.settle()
        return self._read(postgres_read.occupied)

    def purge(self, wanted: Slice) -> Purged:
        self._require_open()

        def work(connection: Connection, stamp: Stamp) -> Purged:
            connection.execute("BEGIN")
            purged, tasks = postgres_purge.purge(connection, wanted)
            stamp.put(connection, postgres_side.sums_of(-tasks, {}))
            return purged

        with door():
            return self._transactions.run(work, wanted)

    def record_timezone_database(self, version: str) -> None:
        self._write(postgres_schema.record_timezone_database, version)

    # -- the lane of leases: a renewal must not wait for commits

    def enrol(self, boot: str, node: str, seconds: float) -> None:
        self._lease(lambda connection: postgres_shared.enrol(connection, boot, node, self._now(connection), seconds))

    def renew(self, boot: str, seconds: float) -> bool:
        return self._lease(lambda connection: postgres_shared.renew(connection, boot, self._now(connection), seconds))

    def leave(self, boot: str) -> None:
        self._lease(lambda connection: postgres_shared.leave(connection, boot))

    def bury(self, members: Sequence[str]) -> tuple[str, ...]:
        self._read(postgres_shared.end_silent, self._limits.lock)
        return self._lease(lambda connection: postgres_shared.bury(connection, members, self._now(connection)))

    def _now(self, connection: Connection) -> Instant:
        return postgres_shared.clock(connection) if self._clock is None else self._clock()

    def _require_open(self) -> None:
        if not self._is_open:
            raise StoreUnavailable("the store is not open")

    def _write(self, change: Callable[..., T], *arguments: Any) -> T:
        """A change that takes few statements, in a transaction of its own."""
        return self._change(self._transactions, change, *arguments)

    def _lease(self, change: Callable[[Connection], T]) -> T:
        return self._change(self._leases, change)

    def _change(self, transactions: Transactions, change: Callable[..., T], *arguments: Any) -> T:
        self._require_open()

        def work(connection: Connection, stamp: Stamp) -> T:
            connection.execute("BEGIN")
            answer = change(connection, *arguments)
            stamp.put(connection)
            return answer

        with door():
            return transactions.run(work)

    # -- the lane of wake-ups

    def wakes(self, seconds: float) -> list[str] | None:
        self._require_open()
        with door():
            return self._listener.listen(seconds, self._transactions.process)

    # -- reads

    def shared(self) -> Shared:
        return self._read(postgres_shared.shared, None if self._clock is None else self._clock())

    def epochs(self) -> Mapping[int, int]:
        return self._read(postgres_shared.epochs)

    def dead_boots(self) -> list[str]:
        return self._read(postgres_shared.dead_boots)

    def told_to_stop(self, boot: str, limit: int) -> list[str]:
        return self._read(postgres_shared.told_to_stop, boot, limit)

    def task_ids(self, *, after: str, limit: int) -> list[str]:
        return self._read(postgres_read.task_ids, after, limit)

    def tasks(self, ids: Sequence[str]) -> list[Task]:
        return self._read(postgres_read.tasks, ids, self._calendars)

    def find(self, tenant: str, name: str) -> str | None:
        return self._read(postgres_read.find, tenant, name)

    def handovers(self, wanted: HandoverFilter) -> list[Handover]:
        return self._read(postgres_activity.handovers, wanted)

    def due(self, partitions: Sequence[int] | None, until: Instant, limit: int) -> list[tuple[Instant, str]]:
        return self._read(postgres_read.due, partitions, until, limit)

    def orphans(self, live_boots: Sequence[str], limit: int, partitions: Sequence[int] | None = None) -> list[str]:
        return self._read(postgres_read.orphans, live_boots, limit, partitions)

    def waiting(
        self, limit: int, types: Sequence[str] | None = None, partitions: Sequence[int] | None = None
    ) -> list[str]:
        return self._read(postgres_read.waiting, limit, types, partitions)

    def edges(self) -> list[tuple[str, str]]:
        return self._read(postgres_read.edges)

    def granted_until(self) -> Instant | None:
        return self._read(postgres_read.granted_until)

    def locks(self, limit: int) -> list[Execution]:
        return self._read(postgres_read.locks, limit)

    def page(self, wanted: TaskFilter) -> TaskPage:
        return self._read(postgres_read.page, wanted, self._calendars)

    def executions(self, task_id: str, *, offset: int, limit: int) -> tuple[list[Execution], int]:
        return self._read(postgres_read.executions, task_id, offset=offset, limit=limit)

    def activity(self, wanted: ActivityFilter) -> Activity:
        return self._read(postgres_activity.activity, wanted)

    def newest(self, ids: Sequence[str], count: int) -> Mapping[str, Newest]:
        return self._read(postgres_activity.newest, ids, count)

    def execution(self, execution_id: str) -> ExecutionDetail | None:
        return self._read(postgres_read.execution, execution_id)

    def checkpoint(self, execution_id: str) -> str | None:
        return self._read(postgres_read.checkpoint, execution_id)

    def logs(self, execution_id: str, *, after: int, limit: int) -> list[LogLine]:
        return self._read(postgres_read.logs, execution_id, after=after, limit=limit)

    def outcomes(
        self, task_id: str, *, since: Instant, until: Instant, limit: int, newest: bool = False
    ) -> list[OutcomeRow]:
        return self._read(postgres_read.outcomes, task_id, since=since, until=until, limit=limit, newest=newest)

    def revisions(self, task_id: str) -> list[Revision]:
        return self._read(postgres_read.revisions, task_id, self._calendars)

    def uncounted(self, limit: int) -> list[Settled]:
        return self._read(postgres_read.uncounted, limit)

    def outbox_due(self, until: Instant, limit: int, partitions: Sequence[int] | None = None) -> list[OutboxEntry]:
        return self._read(postgres_side.outbox_due, until, limit, partitions)

    def deliveries(self, task_id: str, *, offset: int, limit: int) -> tuple[list[DeliveryWrite], int]:
        return self._read(postgres_side.deliveries, task_id, offset=offset, limit=limit)

    def event_states(self, task_ids: Sequence[str]) -> list[EventState]:
        return self._read(postgres_side.event_states, task_ids)

    def calendars(self, tenant: str | None) -> list[Calendar]:
        return self._read(postgres_side.calendars, tenant)

    def calendar(self, tenant: str, name: str, version: int | None = None) -> Calendar | None:
        return self._read(postgres_side.calendar, tenant, name, version)

    def calendar_users(self, tenant: str, name: str, *, after: str, limit: int) -> list[str]:
        return self._read(postgres_side.calendar_users, tenant, name, after=after, limit=limit)

    def scheduler_pause(self) -> SchedulerPause | None:
        return self._read(postgres_side.scheduler_pause)

    def audits(self, *, offset: int, limit: int) -> list[Audit]:
        return self._read(postgres_read.audits, offset=offset, limit=limit)

    def counts(self) -> Counts:
        return self._read(postgres_read.counts)

    # -- access

    def add_token(self, token: Token, audit: Audit | None) -> None:
        self._write(postgres_access.add_token, token, audit)

    def revoke_token(self, token_id: str, at: Instant, audit: Audit | None) -> None:
        self._write(postgres_access.revoke_token, token_id, at, audit)

    def end_sessions(self, parent: str, at: Instant, audit: Audit | None) -> None:
        self._write(postgres_access.end_sessions, parent, at, audit)

    def use_token(self, token_id: str, at: Instant) -> None:
        self._write(postgres_access.use_token, token_id, at)

    def drop_tokens(self, before: Instant) -> int:
        return self._write(postgres_access.drop_tokens, before)

    def add_audit(self, audit: Audit) -> None:
        self._write(postgres_access.append, [audit])

    def counts_of(self, tenant: str, owner: str | None) -> Counts:
        return self._read(postgres_access.counts_of, tenant, owner)

    def token(self, token_id: str) -> Token | None:
        return self._read(postgres_access.token, token_id)

    def tokens(self, tenant: str | None) -> list[Token]:
        return self._read(postgres_access.tokens, tenant)

    def audit_page(self, wanted: AuditFilter) -> tuple[list[AuditRow], int]:
        return self._read(postgres_access.audit_page, wanted)

    def audit_heads(self) -> list[ChainHead]:
        return self._read(postgres_access.audit_heads)

    def audit_chain(self, chain: int, *, after: int, limit: int) -> list[AuditRow]:
        return self._read(postgres_access.audit_chain, chain, after=after, limit=limit)

    def unchained(self) -> int:
        return self._read(postgres_access.unchained)

    def _read(self, question: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Ask on a connection that nobody else uses meanwhile; there are as many as there were readers at once.

        One that was lost while it was idle says so only now: then it is asked once more, on a new one.
        """
        self._require_open()
        with door():
            while True:
                try:
                    connection, fresh = self._idle.pop(), False
                except IndexError:
                    connection, fresh = connect(self._dsn, self._limits, "tocsin reader", writes=False), True
                try:
                    answer = question(connection, *arguments, **named)
                except psycopg.Error:
                    lost = connection.closed or connection.broken
                    self._keep(connection)
                    if fresh or not lost:
                        raise
                except BaseException:
                    self._keep(connection)
                    raise
                else:
                    self._keep(connection)
                    return answer

    def _keep(self, connection: Connection) -> None:
        if connection.closed or connection.broken or not self._is_open:
            connection.close()
        else:
            self._idle.append(connection)
