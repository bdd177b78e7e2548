"""What a commit writes about tasks and their executions, and what the answers say about the guards.

Statements are sent without waiting; `Sent` holds the questions to their answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Final

import attrs
import psycopg

from runtime.errors import Conflict, InvalidRequest, LimitReached, StaleFence, StaleVersion, TocsinError

from ..model.document import encode_definition
from ..model.retention import REVISIONS_KEPT
from ..model.task import Definition
from . import postgres_bulk as bulk
from . import postgres_side as side
from .batch import Change, Rows, rows_of, task_id_of
from .port import Create, Update
from .postgres_bulk import Cursor
from .postgres_link import Connection
from .rows import (
    ATTEMPT_COLUMNS,
    COMPLETED_COLUMNS,
    ENDED_COLUMNS,
    EXECUTION_FIXED,
    EXECUTION_MUTABLE,
    FIRED_COLUMNS,
    SETTLED_COLUMNS,
    STARTED_COLUMNS,
    STARTED_OTHERS,
    STATE_COLUMNS,
    Row,
    execution_row,
    settled_row,
    state_values,
)

PARTS_OF_EXECUTION: Final = ("attempts", "results", "checkpoints", "progress", "logs")
PARTS_OF_TASK: Final = (
    "definitions",
    "settled",
    "folded",
    "revisions",
    "outbox",
    "deliveries",
    "event_states",
    "calendar_uses",
)

_DEFINITION_COLUMNS: Final = (
    "task_id",
    "tenant",
    "name",
    "type",
    "priority",
    "ttl",
    "created_at",
    "began_at",
    "definition",
    "content_type",
    "extra",
)

_INSERT_TASKS: Final = bulk.insert("tasks", ("id", "partition", "due", *STATE_COLUMNS))
_INSERT_DEFINITIONS: Final = bulk.insert("definitions", _DEFINITION_COLUMNS)
_UPDATE_TASKS: Final = bulk.update("tasks", ("id", "version"), ("due", *STATE_COLUMNS), "id")
_INSERT_EXECUTIONS: Final = bulk.insert("executions", (*EXECUTION_FIXED, *EXECUTION_MUTABLE))
_UPDATE_EXECUTIONS: Final = bulk.update("executions", ("id", "fence", "state"), EXECUTION_MUTABLE, "id")
# Of what fires all the time only what changes is sent: to make and to read the arrays is the larger part of the work.
_FIRE_TASKS: Final = bulk.update("tasks", ("id", "version"), FIRED_COLUMNS, "id")
_START_EXECUTIONS: Final = bulk.insert("executions", STARTED_COLUMNS, others=STARTED_OTHERS)
_COMPLETE_TASKS: Final = bulk.update("tasks", ("id", "version"), COMPLETED_COLUMNS, "id")
_END_EXECUTIONS: Final = bulk.update("executions", ("id", "fence", "state"), ENDED_COLUMNS, "id")
_COUNT_CHECKPOINTS: Final = bulk.Bulk(
    "UPDATE executions AS o SET crashes = 0, checkpoints = o.checkpoints + v.count FROM {values} "
    "WHERE o.id = v.id AND o.fence = v.fence AND o.state = 'RUNNING' RETURNING o.id, o.fence",
    ("id", "fence", "count"),
)
_PUT_ATTEMPTS: Final = bulk.put("attempts", ATTEMPT_COLUMNS, 2)
_PUT_RESULTS: Final = bulk.put("results", ("execution_id", "result"), 1)
_PUT_CHECKPOINTS: Final = bulk.put("checkpoints", ("execution_id", "data"), 1)
_DROP_CHECKPOINTS: Final = bulk.Bulk("DELETE FROM checkpoints AS o USING {values} WHERE o.execution_id = v.id", ("id",))
_PUT_SETTLED: Final = bulk.put("settled", SETTLED_COLUMNS, 2)
_DELETE_TASKS: Final = bulk.Bulk(
    "DELETE FROM tasks AS o USING {values} WHERE o.id = v.id AND o.version = v.version RETURNING o.id",
    ("id", "version"),
)
_KEEP_REVISION: Final = (
    "INSERT INTO revisions SELECT t.id, t.revision, d.began_at, d.definition, d.content_type, d.extra "
    "FROM tasks AS t JOIN definitions AS d ON d.task_id = t.id WHERE t.id = %s AND t.version = %s "
    "ON CONFLICT (task_id, revision) DO UPDATE SET began_at = excluded.began_at, definition = excluded.definition, "
    "content_type = excluded.content_type, extra = excluded.extra"
)
_DROP_REVISIONS: Final = "DELETE FROM revisions WHERE task_id = %s AND revision < %s"
# What creation set stays.
_EDITED: Final = tuple(column for column in _DEFINITION_COLUMNS[1:] if column != "created_at")
_EDIT: Final = (
    f"UPDATE definitions AS d SET {', '.join(f'{column} = %s' for column in _EDITED)} FROM tasks AS t "
    "WHERE d.task_id = %s AND t.id = d.task_id AND t.version = %s"
)

_HOLDERS: Final = bulk.Bulk(
    "SELECT v.task_id, v.key, (SELECT count(*) FROM executions AS e JOIN definitions AS o ON o.task_id = e.task_id "
    "WHERE e.key = v.key AND (e.state = 'RUNNING' OR e.lingers = 1) AND o.tenant = d.tenant) "
    "FROM {values} JOIN definitions AS d ON d.task_id = v.task_id",
    ("task_id", "key"),
)

_deletes: Final = attrgetter("delete")
"""What a deletion sets free is free for the changes after it, and only for them."""

Refused = dict[str, TocsinError]


class Divide(Exception):
    """At least one of the tasks written together must be refused; `error` is right if there is only one."""

    def __init__(self, error: TocsinError) -> None:
        super().__init__(error)
        self.error = error


UNWRITABLE: Final = (
    psycopg.IntegrityError,
    psycopg.DataError,
    psycopg.errors.PipelineAborted,
    UnicodeEncodeError,
    Divide,
)
"""What says that at least one of the tasks written together must be refused, and not which.

PipelineAborted: one of the statements before the one whose answer was wanted failed, and how is not told.
"""


@attrs.define
class Sent:
    """Statements that were sent, and what to ask of their answers: each question names the tasks to be refused.

    `step_by_step`: each is asked before the next statement is sent, and Divide is raised where something is to be refused.
    """

    step_by_step: bool = False
    questions: list[Callable[[], Refused]] = attrs.field(factory=list)

    def ask(self, question: Callable[[], Refused]) -> None:
        """To be asked in this order."""
        if not self.step_by_step:
            self.questions.append(question)
            return
        for error in question().values():
            raise Divide(error)

    def refused(self) -> Refused:
        """Of several errors of a task the first is told."""
        found: Refused = {}
        for question in self.questions:
            for task_id, error in question().items():
                found.setdefault(task_id, error)
        return found


def apply(
    connection: Connection, sent: Sent, changes: Sequence[Change], limits: Mapping[str, Mapping[str, int]]
) -> None:
    """Send it all; the caller asks for what is to be refused, and undoes it then. `limits`: of concurrency keys, by task."""
    creates = [change for change in changes if isinstance(change, Create)]
    if creates:
        _create(connection, creates)
    updates = [change for change in changes if isinstance(change, Update)]
    exact = not any(update.delete for update in updates)
    for _, some in groupby(updates, _deletes):
        _update(connection, list(some), sent, exact=exact)
    keys = {(one, key): limit for one in map(task_id_of, changes) for key, limit in limits.get(one, {}).items()}
    if keys:
        sent.ask(partial(_over, _HOLDERS.run(connection, list(keys)), keys, len(changes) == 1))


def _create(connection: Connection, creates: Sequence[Create]) -> None:
    tasks = [(one.task.definition.id, one.partition, one.task.due, *state_values(one.task.state)) for one in creates]
    _INSERT_TASKS.run(connection, tasks)
    definitions = [one.task.definition for one in creates]
    _INSERT_DEFINITIONS.run(connection, [_definition_row(one, one.created_at) for one in definitions])
    if executions := [execution_row(execution) for one in creates for execution in one.task.open]:
        _INSERT_EXECUTIONS.run(connection, executions)
    if settled := [settled_row(row) for one in creates for row in one.settled]:
        _PUT_SETTLED.run(connection, bulk.last_of(settled, 2))
    side.put_references(connection, definitions)


def _definition_row(definition: Definition, began_at: int) -> Row:
    extra = definition.extra
    return (
        definition.id,
        definition.tenant,
        definition.name,
        definition.type,
        definition.policies.priority,
        definition.policies.ttl,
        definition.created_at,
        began_at,
        encode_definition(definition),
        *((None, None) if extra is None else (extra.content_type, extra.data)),
    )


def _update(connection: Connection, updates: Sequence[Update], sent: Sent, *, exact: bool) -> None:
    # One statement for all tasks, in the order of their ids: a batch of both steps would lock some behind others.
    steps = {update.step for update in updates}
    rows = rows_of(updates, steps=len(steps) == 1)
    if rows.checkpoints:
        _checkpoint(connection, rows, updates, sent)
    for update in rows.edits:
        _edit(connection, update)
    for statement, guarded in (
        (_UPDATE_TASKS, rows.tasks),
        (_FIRE_TASKS, rows.fired),
        (_COMPLETE_TASKS, rows.completed),
    ):
        if guarded:
            changed = statement.run(connection, sorted(guarded, key=itemgetter(0)))
            sent.ask(partial(_stale_versions, changed, guarded))
    if rows.deletes:
        changed = _delete(connection, rows.deletes)
        sent.ask(partial(_stale_versions, changed, rows.deletes))
    for statement, guarded in ((_UPDATE_EXECUTIONS, rows.updates), (_END_EXECUTIONS, rows.ended)):
        if guarded:
            changed = statement.run(connection, sorted(guarded, key=itemgetter(0)))
            sent.ask(partial(_stale_fences, changed, updates, exact or len(updates) == 1))
    for statement, some in (
        (_INSERT_EXECUTIONS, rows.inserts),
        (_START_EXECUTIONS, rows.started),
        (_PUT_ATTEMPTS, bulk.last_of(rows.attempts, 2)),
        (_PUT_RESULTS, bulk.last_of(rows.results, 1)),
        (_DROP_CHECKPOINTS, rows.dropped),
        (_PUT_SETTLED, bulk.last_of(rows.settled, 2)),
    ):
        if some:
            statement.run(connection, some)


def _checkpoint(connection: Connection, rows: Rows, updates: Sequence[Update], sent: Sent) -> None:
    """Keep the last of each running attempt's checkpoints, and count all of them."""
    counts = sorted((*key, len(texts)) for key, texts in rows.checkpoints.items())
    changed = _COUNT_CHECKPOINTS.run(connection, counts)
    _PUT_CHECKPOINTS.run(connection, bulk.last_of([(key[0], some[-1]) for key, some in rows.checkpoints.items()], 1))
    sent.ask(partial(_stale_checkpoints, changed, len(counts), updates))


def _edit(connection: Connection, update: Update) -> None:
    """Keep the present revision as a row and write the new definition; the state follows with the other tasks'.

    A revision begins where the former one was settled through: slots up to there had their outcome under the former one.
    """
    assert update.definition is not None
    guard = (update.task_id, update.expected)
    connection.execute(_KEEP_REVISION, guard)
    connection.execute(_DROP_REVISIONS, (update.task_id, update.state.revision - REVISIONS_KEPT))
    row = dict(zip(_DEFINITION_COLUMNS, _definition_row(update.definition, update.state.settled_through), strict=True))
    connection.execute(_EDIT, (*(row[column] for column in _EDITED), *guard))
    side.drop_references(connection, [update.task_id])
    side.put_references(connection, [update.definition])


def _delete(connection: Connection, guards: Sequence[Row]) -> Cursor:
    """Tasks with all that belongs to them. Whoever adds to one of them holds a lock on it, so what comes after sees all."""
    changed = _DELETE_TASKS.run(connection, sorted(guards))
    drop_parts(connection, [row[0] for row in guards])
    return changed


def drop_parts(connection: Connection, task_ids: Sequence[str]) -> None:
    """All that belongs to tasks that are gone."""
    gone = connection.execute("DELETE FROM executions WHERE task_id = ANY(%s) RETURNING id", (list(task_ids),))
    executions = [execution_id for (execution_id,) in gone.fetchall()]
    for table in PARTS_OF_EXECUTION if executions else ():
        connection.execute(f"DELETE FROM {table} WHERE execution_id = ANY(%s)", (executions,))
    for table in PARTS_OF_TASK:
        connection.execute(f"DELETE FROM {table} WHERE task_id = ANY(%s)", (list(task_ids),))
    connection.execute("DELETE FROM edges WHERE child = ANY(%s)", (list(task_ids),))


# -- what the answers say


def _stale_versions(cursor: Cursor, rows: Sequence[Row]) -> Refused:
    """`rows` begin with id and expected version."""
    if cursor.rowcount == len(rows):
        return {}
    written = {task_id for (task_id,) in cursor.fetchall()}
    return {
        task_id: StaleVersion(f"task {task_id} is gone or has another version than {expected}, which was expected")
        for task_id, expected, *_ in rows
        if task_id not in written
    }


def _stale_fences(cursor: Cursor, updates: Iterable[Update], exact: bool) -> Refused:
    """exact: what others in the batch write does not matter for whether a fence holds."""
    wanted = [(update.task_id, one.former) for update in updates for one in update.executions if one.former is not None]
    if cursor.rowcount == len(wanted):
        return {}
    written = {execution_id for (execution_id,) in cursor.fetchall()}
    found: Refused = {
        task_id: _stale_fence(former.id, former.fence) for task_id, former in wanted if former.id not in written
    }
    if not found or not exact:
        raise Divide(_stale_fence(wanted[0][1].id, wanted[0][1].fence))
    return found


def _stale_checkpoints(cursor: Cursor, number: int, updates: Iterable[Update]) -> Refused:
    if cursor.rowcount == number:
        return {}
    written = set(cursor.fetchall())
    return {
        update.task_id: _stale_fence(write.execution_id, write.fence)
        for update in updates
        for write in update.checkpoints
        if (write.execution_id, write.fence) not in written
    }


def _over(cursor: Cursor, limits: Mapping[tuple[str, str], int], alone: bool) -> Refused:
    """More hold a key than may, now that all is written: whose claim was the one too many is found by halving."""
    for task_id, key, holders in cursor.fetchall():
        if holders > (limit := limits[task_id, key]):
            error = LimitReached(f"{limit} executions hold the concurrency key {key!r} already")
            if alone:
                return {task_id: error}
            raise Divide(error)
    return {}


def _stale_fence(execution_id: str, fence: int) -> StaleFence:
    return StaleFence(f"execution {execution_id} has ended or has a newer attempt than fence {fence}")


def reason(error: Exception, change: Change) -> TocsinError:
    """Why this change alone was refused."""
    if isinstance(error, Divide):
        return error.error
    task_id = task_id_of(change)
    if not isinstance(error, psycopg.IntegrityError):
        return InvalidRequest(f"task {task_id} cannot be stored: {error}")
    definition = change.task.definition if isinstance(change, Create) else change.definition
    if error.diag.constraint_name == "definitions_name" and definition is not None:
        return Conflict(f"there is another task with the name {definition.name!r}")
    if error.diag.constraint_name == "executions_pkey":
        return Conflict(f"another execution has the id of one of task {task_id} already")
    return Conflict(f"task {task_id} breaks a rule of the store: {error}")
