"""What `commit` does to the tables.

The way of a batch: it is sent in one piece, as a transaction of its own that is undone where a guard does not hold. Then, and
where something has to be asked for in between, it is written in a transaction piece by piece: what was refused is cut in
halves, each under a savepoint, until the refused tasks stand alone. k refused among n cost about k * log2(n) further pieces,
and only then.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from runtime.clock import Instant
from runtime.errors import Conflict, InvalidRequest, StaleEpoch, StaleFence, StaleVersion, TocsinError

from . import sqlite_access as access
from . import sqlite_shared as shared
from . import sqlite_side as side
from .batch import Change, Numbers, accepted_audits, changes_of, task_id_of
from .port import Commit, CommitResult, CountWrite, Create
from .shared import is_guarded, limits_of
from .sqlite_activity import note_handovers
from .sqlite_link import Connection, Link, Step
from .sqlite_process import DONE
from .sqlite_steps import FENCE, VERSION, growth, notes_of, progress_of, steps_of

_FILL_COUNT: Final = (
    "UPDATE settled SET count = ? WHERE task_id = ? AND first = ? AND count IS NULL RETURNING outcome, reason"
)


_NONE: Final[Mapping[str, int]] = MappingProxyType({})

_UNSTORABLE: Final = (UnicodeEncodeError, OverflowError, sqlite3.DataError)
"""What the driver raises for values that it does not take."""


class Whole:
    """Writes a commit in one piece. False if a guard did not hold: then nothing was written."""

    def __init__(self, transact: Callable[[], int]) -> None:
        self.transact: Final = transact

    def __call__(self) -> bool:
        return self.is_done(self.transact)

    def is_done(self, answer: Callable[[], int]) -> bool:
        """From what the transaction answers, or is answered later."""
        try:
            return answer() == DONE
        except (sqlite3.IntegrityError, *_UNSTORABLE):
            return False


class _Refusal(Exception):
    """A guard did not hold for at least one of the tasks written together; `error` is right if there is only one."""

    def __init__(self, error: TocsinError) -> None:
        super().__init__(error)
        self.error = error


class _Moved(Exception):
    """Somebody took a partition since the epochs were read."""


class Writer:
    """The writing half of the store, over the one connection that writes. Used by one thread at a time, but for `prepared`.

    What that takes from here may be old by then: the guards of what it prepares say so, and it is written in pieces.
    """

    def __init__(self, link: Link, deliveries_kept: int) -> None:
        self._deliveries_kept = deliveries_kept
        self._link = link
        self._epochs: dict[int, int] = {}
        self._takeovers = -1
        self._chain: access.Head | None = None

    def commit(self, commit: Commit) -> CommitResult:
        """See the port."""
        if self._takeovers < 0:
            self._read_epochs()
        whole = self.prepared(commit)
        return CommitResult() if whole is not None and whole() else self.in_pieces(commit)

    def in_pieces(self, commit: Commit) -> CommitResult:
        """What could not be written in one."""
        while True:
            changes, refused = self._admitted(commit)
            try:
                with self.transaction():
                    write = self._write_guarded if is_guarded(commit) else self._write
                    write(commit, changes, refused)
                    self._write_notes(commit, refused)
                return CommitResult(refused)
            except _Moved:
                self._read_epochs()

    def prepared(self, commit: Commit) -> Whole | None:
        """All of a commit in one piece, made while somebody else may be writing; None if it cannot be, or is to be refused."""
        if self._takeovers < 0:
            return None
        changes, refused = self._admitted(commit)
        return None if refused else self._whole(commit, changes)

    def _whole(self, commit: Commit, changes: Sequence[Change]) -> Whole | None:
        asks = commit.calendars or commit.deliveries or commit.counts or commit.pause is not None
        if asks or is_guarded(commit) or (commit.audits and self._chain is None):
            return None
        written = steps_of(changes, self._takeovers) if changes else ()
        steps = [*progress_of(commit), *written, *notes_of(commit, ())]
        if commit.audits and self._chain is not None:
            # If this is not written, the next one's guard will not hold.
            more, self._chain = access.appended(accepted_audits(commit.audits, {}), self._chain)
            steps += more
        try:
            return Whole(self._link.prepared(steps))
        except UnicodeEncodeError:
            return None

    def raise_epochs(
        self, grants: Mapping[int, int], boot: str, clock: Callable[[Connection], Instant]
    ) -> Mapping[int, int]:
        """See the port. clock: the store's."""
        raised: dict[int, int] = {}
        with self.transaction():
            former = dict(self._link.execute("SELECT id, boot FROM partitions"))
            for partition, grant in grants.items():
                row = self._link.execute(
                    "INSERT INTO partitions VALUES (?, 1, ?, ?) ON CONFLICT DO UPDATE SET epoch = epoch + 1, "
                    "granted = excluded.granted, boot = excluded.boot WHERE excluded.granted > granted RETURNING epoch",
                    (partition, grant, boot),
                ).fetchall()
                if row:
                    raised[partition] = row[0][0]
            self._link.execute("UPDATE totals SET takeovers = takeovers + 1")
            note_handovers(self._link, raised, former, boot, clock(self._link))
        self._takeovers = -1
        return raised

    @contextmanager
    def transaction(self) -> Iterator[Link]:
        """All or nothing."""
        self._link.execute("BEGIN IMMEDIATE")
        try:
            yield self._link
            self._link.execute("COMMIT")
        except BaseException:
            # A full disk may have ended the transaction already.
            if self._link.in_transaction:
                self._link.execute("ROLLBACK")
            raise

    def raise_floor(self, above: Mapping[int, int]) -> None:
        """See the port."""
        with self.transaction():
            shared.raise_floor(self._link, above)
        self._takeovers = -1

    # -- guards

    def _read_epochs(self) -> None:
        # In this order: a takeover between the two reads leaves the older count, which the next commit notices.
        (takeovers,) = self._link.execute("SELECT takeovers FROM totals").fetchone()
        self._epochs = dict(self._link.execute("SELECT id, epoch FROM partitions"))
        self._takeovers = takeovers

    def _admitted(self, commit: Commit) -> tuple[list[Change], dict[str, TocsinError]]:
        """The changes whose partition's epoch holds, and the tasks whose epoch does not."""
        changes = changes_of(commit)
        if commit.epochs == self._epochs:
            return changes, {}
        stale = {number for number, epoch in commit.epochs.items() if self._epochs.get(number, 0) != epoch}
        refused: dict[str, TocsinError] = {}
        for change in changes:
            if (number := change.partition) in stale:
                refused[task_id_of(change)] = StaleEpoch(
                    f"partition {number} is at epoch {self._epochs.get(number, 0)}, not {commit.epochs[number]}"
                )
        return [change for change in changes if change.partition not in stale], refused

    def _write(self, commit: Commit, changes: list[Change], refused: dict[str, TocsinError]) -> None:
        """Progress goes first: the attempt that made it may end in the same commit."""
        self._run(progress_of(commit))
        try:
            if changes:
                self._apply(changes)
        except _Refusal as refusal:
            self._link.execute("ROLLBACK")
            self._link.execute("BEGIN IMMEDIATE")
            self._run(progress_of(commit))
            self._divide(changes, refusal.error, refused)

    def _write_guarded(self, commit: Commit, changes: list[Change], refused: dict[str, TocsinError]) -> None:
        """As `_write`, for several nodes: in one transaction, so that the guards that were asked first hold to its end."""
        refused |= shared.refusals(self._link, commit, changes)
        self._run(progress_of(commit))
        allowed = [change for change in changes if task_id_of(change) not in refused]
        limits = {task_id_of(change): some for change in allowed if (some := limits_of(change))}
        self._try([change for change in allowed if task_id_of(change) not in limits], refused)
        for change in allowed:
            if (task_id := task_id_of(change)) in limits:
                self._try([change], refused, limits[task_id])

    def _try(self, changes: list[Change], refused: dict[str, TocsinError], limits: Mapping[str, int] = _NONE) -> None:
        """Write what is not refused, in the transaction that there is. `limits` of concurrency keys: of an only change."""
        self._link.execute("SAVEPOINT batch")
        try:
            self._apply(changes)
            if limits:
                self._keep_to(limits, changes[0])
        except _Refusal as refusal:
            self._link.execute("ROLLBACK TO batch")
            self._divide(changes, refusal.error, refused)
        self._link.execute("RELEASE batch")

    def _keep_to(self, limits: Mapping[str, int], change: Change) -> None:
        error = shared.reached(self._link, task_id_of(change), limits)
        if error is not None:
            raise _Refusal(error)

    def _divide(self, changes: list[Change], error: TocsinError, refused: dict[str, TocsinError]) -> None:
        """Write what can be written of changes that together were refused."""
        if len(changes) == 1:
            refused[task_id_of(changes[0])] = error
            return
        middle = len(changes) // 2
        for half in (changes[:middle], changes[middle:]):
            self._link.execute("SAVEPOINT half")
            try:
                self._apply(half)
                self._link.execute("RELEASE half")
            except _Refusal as refusal:
                self._link.execute("ROLLBACK TO half")
                self._link.execute("RELEASE half")
                self._divide(half, refusal.error, refused)

    # -- tasks

    def _apply(self, changes: Sequence[Change]) -> None:
        """Write all of it or raise _Refusal; the caller undoes what was written by then."""
        try:
            self._run(steps_of(changes, self._takeovers))
        except sqlite3.IntegrityError as error:
            raise _Refusal(_conflict(error, changes[0])) from error
        except _UNSTORABLE as error:
            raise _Refusal(InvalidRequest(f"task {task_id_of(changes[0])} cannot be stored: {error}")) from error

    def _run(self, wanted: Iterable[Step]) -> None:
        steps = list(wanted)
        ended = self._link.run(steps)
        if ended == DONE:
            return
        guard, row = steps[ended].guard, steps[ended].row
        if guard == VERSION:
            raise _Refusal(self._stale_version(*row[:2]))
        if guard == FENCE:
            raise _Refusal(StaleFence(f"execution {row[0]} has ended or has a newer attempt than fence {row[1]}"))
        raise _Moved

    def _stale_version(self, task_id: str, expected: int) -> StaleVersion:
        row = self._link.execute("SELECT version FROM tasks WHERE id = ?", (task_id,)).fetchone()
        if row is None:
            return StaleVersion(f"task {task_id} is gone; version {expected} was expected")
        return StaleVersion(f"task {task_id} has version {row[0]}; version {expected} was expected")

    # -- what belongs to no task's guard

    def _write_notes(self, commit: Commit, refused: dict[str, TocsinError]) -> None:
        if commit.calendars:
            refused |= side.put_calendars(self._link, commit.calendars)
        self._run(notes_of(commit, refused))
        if commit.deliveries:
            writes = (write for write in commit.deliveries if write.task_id not in refused)
            side.put_deliveries(self._link, writes, self._deliveries_kept)
        if commit.counts:
            self._fill_counts(commit.counts)
        if commit.pause is not None:
            side.put_pause(self._link, commit.pause)
        audits = accepted_audits(commit.audits, refused) if commit.audits else ()
        if audits:
            self._chain = access.append(self._link, audits)

    def _fill_counts(self, writes: Iterable[CountWrite]) -> None:
        filled_in: Numbers = Counter()
        for write in writes:
            filled = self._link.execute(_FILL_COUNT, (write.count, write.task_id, write.first)).fetchone()
            if filled is not None:
                filled_in[tuple(filled)] += write.count
        self._run(growth(0, filled_in, self._takeovers))


def _conflict(error: sqlite3.IntegrityError, change: Change) -> Conflict:
    if "executions.id" in str(error):
        return Conflict(f"another execution has the id of one of task {task_id_of(change)} already")
    if "tasks.name" not in str(error):
        return Conflict(f"task {task_id_of(change)} breaks a rule of the store: {error}")
    definition = change.task.definition if isinstance(change, Create) else change.definition
    return Conflict(f"there is another task with the name {definition.name!r}" if definition else str(error))
