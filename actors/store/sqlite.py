"""The store in one SQLite file, in write-ahead mode: one connection that writes, a few that read.

The file belongs to one node, whose data directory is locked by the node itself. `commit`, `raise_epochs` and `purge` are for
one thread at a time; reads may come from several threads, each has a connection to itself while it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from runtime.clock import Instant
from runtime.companion import StartCompanion
from runtime.errors import StoreUnavailable
from runtime.line import UNFINISHED, Errand

from ..model.calendar import Calendar
from ..model.execution import Execution
from ..model.occurrence import Settled
from ..model.retention import Purged, Slice
from ..model.task import Task
from . import sqlite_access, sqlite_activity, sqlite_purge, sqlite_read, sqlite_schema, sqlite_shared, sqlite_side
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
from .port import DELIVERIES_KEPT, Audit, Commit, CommitResult, DeliveryWrite, EventState, OutboxEntry, SchedulerPause
from .shared import Shared
from .sqlite_link import Apart, Connection, Link, Question
from .sqlite_schema import door
from .sqlite_write import Whole, Writer

T = TypeVar("T")

CREATED_IN_THE_LOOP: Final = 64
"""New tasks of a commit that is made up in the loop: each takes some 20 us to encode, and nobody else has a turn meanwhile."""


class SqliteStore:
    """The port's adapter over the file at `path`, whose directory must exist.

    `synchronous`: FULL (a commit survives a power cut) or NORMAL (it survives the process only; for measurements).
    `secure_delete`: what is deleted is overwritten in the file, and after a purge in no log either.
    `deliveries_kept`: see `DELIVERIES_KEPT`. `clock`: the store's clock, which leases are measured by; None: SQLite's own.
    `companion`: starts a process for the connection that writes; without one it is in this process.
    """

    def __init__(
        self,
        path: Path,
        *,
        synchronous: str = "FULL",
        deliveries_kept: int = DELIVERIES_KEPT,
        secure_delete: bool = False,
        clock: Callable[[], Instant] | None = None,
        companion: StartCompanion | None = None,
    ) -> None:
        self._path = path
        self._clock = clock
        self._synchronous = synchronous
        self._secure_delete = secure_delete
        self._deliveries_kept = deliveries_kept
        self._companion = companion
        self._link: Link | None = None
        self._writer: Writer | None = None
        self._idle: list[sqlite_schema.Reader] = []

    def open(self, *, new_cluster_id: str, partitions: int, timezone_database: str) -> Identity:
        self.close()
        with door():
            link = self._connect()
            try:
                version = sqlite_schema.migrate(link)
                fresh = {
                    "cluster_id": new_cluster_id,
                    "partitions": str(partitions),
                    "timezone_database": timezone_database,
                }
                identity = sqlite_schema.found(link, version, fresh)
            except BaseException:
                link.close()
                raise
        self._begin(link)
        return identity

    def _connect(self) -> Link:
        return sqlite_schema.connect_writer(self._path, self._synchronous, self._secure_delete, self._companion)

    def _begin(self, link: Link) -> Writer:
        self._link = link
        self._writer = writer = Writer(link, self._deliveries_kept)
        return writer

    def close(self) -> None:
        with door():
            while self._idle:
                self._idle.pop().close()
            if self._link is not None:
                self._link.close()
        self._link = self._writer = None

    # -- the writer's lane

    def raise_epochs(self, grants: Mapping[int, int], boot: str) -> Mapping[int, int]:
        with door(unchanged=False):
            return self._writing().raise_epochs(grants, boot, self._now)

    def last_grants(self) -> Mapping[int, int]:
        return self._read(sqlite_read.last_grants)

    def prepared(self, commit: Commit) -> Callable[[], CommitResult]:
        if not isinstance(self._link, Apart) or self._link.is_gone or self._writer is None:
            return partial(self.commit, commit)
        if len(commit.creates) > CREATED_IN_THE_LOOP:
            return partial(self.commit, commit)
        whole, ahead = self._writer.prepared(commit), None
        if whole is not None and isinstance(question := whole.transact, Question) and question.is_small:
            ahead = _Ahead(whole, question)
        return Errand(partial(self._carry_out, whole, commit), ahead)

    def _carry_out(self, whole: Whole | None, commit: Commit) -> CommitResult:
        if whole is None:
            return self.commit(commit)
        with door(unchanged=False):
            return CommitResult() if whole() else self._writing().in_pieces(commit)

    def commit(self, commit: Commit) -> CommitResult:
        with door(unchanged=False):
            return self._writing().commit(commit)

    def purge(self, wanted: Slice) -> Purged:
        with door():
            with self._writing().transaction() as connection:
                purged = sqlite_purge.purge(connection, wanted)
            if self._secure_delete and purged.next is None:
                sqlite_schema.empty_log(connection)
        return purged

    def record_timezone_database(self, version: str) -> None:
        with door(), self._writing().transaction() as connection:
            connection.execute("UPDATE meta SET value = ? WHERE key = 'timezone_database'", (version,))

    def enrol(self, boot: str, node: str, seconds: float) -> None:
        with door(), self._writing().transaction() as connection:
            sqlite_shared.enrol(connection, boot, node, self._now(connection), seconds)

    def renew(self, boot: str, seconds: float) -> bool:
        with door(), self._writing().transaction() as connection:
            return sqlite_shared.renew(connection, boot, self._now(connection), seconds)

    def leave(self, boot: str) -> None:
        with door(), self._writing().transaction() as connection:
            sqlite_shared.leave(connection, boot)

    def bury(self, members: Sequence[str]) -> tuple[str, ...]:
        with door(), self._writing().transaction() as connection:
            return sqlite_shared.bury(connection, members, self._now(connection))

    def raise_floor(self, above: Mapping[int, int]) -> None:
        with door():
            self._writing().raise_floor(above)

    def _now(self, connection: Connection) -> Instant:
        return sqlite_shared.clock(connection) if self._clock is None else self._clock()

    def _check_open(self) -> Writer:
        if self._writer is None:
            raise StoreUnavailable(f"the store {self._path} is not open")
        return self._writer

    def _writing(self) -> Writer:
        writer = self._check_open()
        if isinstance(self._link, Apart) and self._link.is_gone:
            return self._begin(self._connect())
        return writer

    # -- reads

    def task_ids(self, *, after: str, limit: int) -> list[str]:
        return self._read(sqlite_read.task_ids, after, limit)

    def tasks(self, ids: Sequence[str]) -> list[Task]:
        return self._read(sqlite_read.tasks, ids)

    def find(self, tenant: str, name: str) -> str | None:
        return self._read(sqlite_read.find, tenant, name)

    def handovers(self, wanted: HandoverFilter) -> list[Handover]:
        return self._read(sqlite_activity.handovers, wanted)

    def due(self, partitions: Sequence[int] | None, until: Instant, limit: int) -> list[tuple[Instant, str]]:
        return self._read(sqlite_read.due, partitions, until, limit)

    def orphans(self, live_boots: Sequence[str], limit: int, partitions: Sequence[int] | None = None) -> list[str]:
        return self._read(sqlite_read.orphans, live_boots, limit, partitions)

    def waiting(
        self, limit: int, types: Sequence[str] | None = None, partitions: Sequence[int] | None = None
    ) -> list[str]:
        return self._read(sqlite_read.waiting, limit, types, partitions)

    def edges(self) -> list[tuple[str, str]]:
        return self._read(sqlite_read.edges)

    def granted_until(self) -> Instant | None:
        return self._read(sqlite_read.granted_until)

    def occupied(self) -> list[str]:
        return self._read(sqlite_read.occupied)

    def locks(self, limit: int) -> list[Execution]:
        return self._read(sqlite_read.locks, limit)

    def page(self, wanted: TaskFilter) -> TaskPage:
        return self._read(sqlite_read.page, wanted)

    def executions(self, task_id: str, *, offset: int, limit: int) -> tuple[list[Execution], int]:
        return self._read(sqlite_read.executions, task_id, offset=offset, limit=limit)

    def activity(self, wanted: ActivityFilter) -> Activity:
        return self._read(sqlite_activity.activity, wanted)

    def newest(self, ids: Sequence[str], count: int) -> Mapping[str, Newest]:
        return self._read(sqlite_activity.newest, ids, count)

    def execution(self, execution_id: str) -> ExecutionDetail | None:
        return self._read(sqlite_read.execution, execution_id)

    def checkpoint(self, execution_id: str) -> str | None:
        return self._read(sqlite_read.checkpoint, execution_id)

    def logs(self, execution_id: str, *, after: int, limit: int) -> list[LogLine]:
        return self._read(sqlite_read.logs, execution_id, after=after, limit=limit)

    def outcomes(
        self, task_id: str, *, since: Instant, until: Instant, limit: int, newest: bool = False
    ) -> list[OutcomeRow]:
        return self._read(sqlite_read.outcomes, task_id, since=since, until=until, limit=limit, newest=newest)

    def revisions(self, task_id: str) -> list[Revision]:
        return self._read(sqlite_read.revisions, task_id)

    def uncounted(self, limit: int) -> list[Settled]:
        return self._read(sqlite_read.uncounted, limit)

    def outbox_due(self, until: Instant, limit: int, partitions: Sequence[int] | None = None) -> list[OutboxEntry]:
        return self._read(sqlite_side.outbox_due, until, limit, partitions)

    def deliveries(self, task_id: str, *, offset: int, limit: int) -> tuple[list[DeliveryWrite], int]:
        return self._read(sqlite_side.deliveries, task_id, offset=offset, limit=limit)

    def event_states(self, task_ids: Sequence[str]) -> list[EventState]:
        return self._read(sqlite_side.event_states, task_ids)

    def calendars(self, tenant: str | None) -> list[Calendar]:
        return self._read(sqlite_side.calendars, tenant)

    def calendar(self, tenant: str, name: str, version: int | None = None) -> Calendar | None:
        return self._read(sqlite_side.calendar, tenant, name, version)

    def calendar_users(self, tenant: str, name: str, *, after: str, limit: int) -> list[str]:
        return self._read(sqlite_side.calendar_users, tenant, name, after=after, limit=limit)

    def scheduler_pause(self) -> SchedulerPause | None:
        return self._read(sqlite_side.scheduler_pause)

    def audits(self, *, offset: int, limit: int) -> list[Audit]:
        return self._read(sqlite_read.audits, offset=offset, limit=limit)

    def counts(self) -> Counts:
        return self._read(sqlite_read.counts)

    def shared(self) -> Shared:
        return self._read(lambda connection: sqlite_shared.shared(connection, self._now(connection)))

    def epochs(self) -> Mapping[int, int]:
        return self._read(sqlite_shared.epochs)

    def dead_boots(self) -> list[str]:
        return self._read(sqlite_shared.dead_boots)

    def told_to_stop(self, boot: str, limit: int) -> list[str]:
        return self._read(sqlite_shared.told_to_stop, boot, limit)

    def wakes(self, seconds: float) -> list[str] | None:
        """None: the file belongs to one node, and nobody else writes."""
        return None

    # -- access

    def _token_change(self, change: Callable[..., T], *arguments: Any) -> T:
        with door(), self._writing().transaction() as connection:
            return change(connection, *arguments)

    def add_token(self, token: Token, audit: Audit | None) -> None:
        self._token_change(sqlite_access.add_token, token, audit)

    def revoke_token(self, token_id: str, at: Instant, audit: Audit | None) -> None:
        self._token_change(sqlite_access.revoke_token, token_id, at, audit)

    def end_sessions(self, parent: str, at: Instant, audit: Audit | None) -> None:
        self._token_change(sqlite_access.end_sessions, parent, at, audit)

    def use_token(self, token_id: str, at: Instant) -> None:
        self._token_change(sqlite_access.use_token, token_id, at)

    def drop_tokens(self, before: Instant) -> int:
        return self._token_change(sqlite_access.drop_tokens, before)

    def add_audit(self, audit: Audit) -> None:
        self._token_change(sqlite_access.append, [audit])

    def counts_of(self, tenant: str, owner: str | None) -> Counts:
        return self._read(sqlite_access.counts_of, tenant, owner)

    def token(self, token_id: str) -> Token | None:
        return self._read(sqlite_access.token, token_id)

    def tokens(self, tenant: str | None) -> list[Token]:
        return self._read(sqlite_access.tokens, tenant)

    def audit_page(self, wanted: AuditFilter) -> tuple[list[AuditRow], int]:
        return self._read(sqlite_access.audit_page, wanted)

    def audit_heads(self) -> list[ChainHead]:
        return self._read(sqlite_access.audit_heads)

    def audit_chain(self, chain: int, *, after: int, limit: int) -> list[AuditRow]:
        return self._read(sqlite_access.audit_chain, chain, after=after, limit=limit)

    def unchained(self) -> int:
        return self._read(sqlite_access.unchained)

    def _read(self, question: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Ask on a connection that nobody else uses meanwhile; there are as many as there were readers at once."""
        self._check_open()
        with door():
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = sqlite_schema.connect_reader(self._path)
            try:
                return question(connection, *arguments, **named)
            finally:
                self._idle.append(connection)


class _Ahead:
    """A commit that the process which writes has been sent, and nobody here waits for in a thread."""

    def __init__(self, whole: Whole, question: Question) -> None:
        self._whole = whole
        self._question = question

    def send(self) -> int:
        with door(unchanged=False):
            return self._question.send()

    def receive(self) -> object:
        with door(unchanged=False):
            return CommitResult() if self._whole.is_done(self._question.receive) else UNFINISHED

    def give_up(self) -> NoReturn:
        self._question.give_up()
