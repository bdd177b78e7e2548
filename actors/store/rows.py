"""How the records of the model lie in the columns of the tables: the order of columns is told here once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final, TypeVar

from runtime.clock import Instant
from runtime.errors import StoreDamaged

from ..model.document import Resolve, decode_definition, decode_failure, encode_definition, encode_failure
from ..model.execution import Attempt, Execution, Kind, WaitsFor
from ..model.lifecycle import Phase, State, Status
from ..model.occurrence import Outcome, Reason, Settled
from ..model.task import Extra, Task, TaskState
from .port import Create, ExecutionWrite, Update

LARGE_DEFINITION: Final = 2_000
"""Characters from which a definition lies in a table of its own: a fire rewrites its task's row, four to a page."""

E = TypeVar("E", bound=StrEnum)

Row = tuple[Any, ...]

STATE_COLUMNS: Final = (
    "version",
    "revision",
    "phase",
    "status",
    "next_fire",
    "settled_through",
    "fence",
    "runs",
    "failure_count",
    "completed",
    "failed",
    "last_execution",
    "last_started_at",
    "last_ended_at",
    "note",
    "changed_by",
    "catching_up",
    "last_admitted",
    "completed_start",
    "last_state",
)
_WORDS: Final = frozenset({"phase", "status", "last_state"})
"""Columns of the state that hold the members of an enum."""


def _values(columns: Sequence[str]) -> Callable[[TaskState], Row]:
    """Reads these columns of a state, of which none may be an enum's and empty."""
    # The driver binds an exact str fast and an enum's member slowly: `_value_` is the exact str.
    return attrgetter(*(f"{name}._value_" if name in _WORDS else name for name in columns))


_state_values = _values(STATE_COLUMNS[:-1])

DEFINITION_COLUMNS: Final = ("tenant", "name", "type", "priority", "ttl", "began_at", "parcel", "definition")

TASK_COLUMNS: Final = ("id", "partition", "created_at", *DEFINITION_COLUMNS, "due", *STATE_COLUMNS)

EXECUTION_FIXED: Final = (
    "id",
    "task_id",
    "kind",
    "created_at",
    "nominal",
    "channel",
    "correlation",
    "parameters",
    "revision",
    "assigned",
    "since",
    "target",
)
EXECUTION_MUTABLE: Final = (
    "due",
    "attempt",
    "failures",
    "crashes",
    "checkpoints",
    "fence",
    "boot",
    "node",
    "first_started_at",
    "started_at",
    "ended_at",
    "cancel_reason",
    "expires",
    "key",
    "state",
    "outcome",
    "reason",
    "waits_for",
    "failure",
    "lingers",
)
_fixed_values = attrgetter(*("kind._value_" if name == "kind" else name for name in EXECUTION_FIXED))
_mutable_values = attrgetter(*EXECUTION_MUTABLE[:14], "state._value_")

EXECUTION_COLUMNS: Final = (
    "id",
    "task_id",
    "kind",
    "state",
    "created_at",
    "nominal",
    "outcome",
    "reason",
    "waits_for",
    "due",
    "attempt",
    "failures",
    "crashes",
    "fence",
    "boot",
    "node",
    "channel",
    "correlation",
    "first_started_at",
    "started_at",
    "ended_at",
    "failure",
    "parameters",
    "cancel_reason",
    "checkpoints",
    "revision",
    "assigned",
    "expires",
    "key",
    "lingers",
    "since",
    "target",
)
"""In the order of `Execution`'s fields, for reading."""

ATTEMPT_COLUMNS: Final = (
    "execution_id",
    "number",
    "fence",
    "node",
    "boot",
    "state",
    "started_at",
    "ended_at",
    "failure",
)
SETTLED_COLUMNS: Final = (
    "task_id",
    "first",
    "last",
    "count",
    "outcome",
    "reason",
    "settled_at",
    "revision",
    "execution",
)

FIRED_COLUMNS: Final = (
    "due",
    "version",
    "phase",
    "status",
    "next_fire",
    "settled_through",
    "fence",
    "runs",
    "last_execution",
    "last_started_at",
    "last_admitted",
)
"""Of a task that has fired."""

STARTED_COLUMNS: Final = (
    "id",
    "task_id",
    "nominal",
    "outcome",
    "reason",
    "fence",
    "boot",
    "node",
    "started_at",
    "revision",
    "assigned",
)
"""Of the execution that a fire has made and started; the others follow from these, see `STARTED_OTHERS`."""

COMPLETED_COLUMNS: Final = ("version", "status", "completed", "last_state", "last_ended_at", "completed_start")
"""Of a task whose only execution has completed."""

ENDED_COLUMNS: Final = ("state", "started_at", "ended_at")
"""Of that execution."""


def _text(member: StrEnum | None) -> str | None:
    return None if member is None else member._value_


def _members(kind: type[E]) -> Mapping[str, E]:
    return {member.value: member for member in kind}


_PHASES: Final = _members(Phase)
_STATUSES: Final = _members(Status)
_STATES: Final = _members(State)
_KINDS: Final = _members(Kind)
_OUTCOMES: Final = _members(Outcome)
_REASONS: Final = _members(Reason)
_WAITS: Final = _members(WaitsFor)


def state_values(state: TaskState) -> Row:
    """The values of STATE_COLUMNS."""
    last = state.last_state
    return (*_state_values(state), None if last is None else last._value_)


def update_row(update: Update) -> Row:
    """The guard (id, version), then `due` and the state."""
    return (update.task_id, update.expected, update.due, *state_values(update.state))


_fired_values = _values(FIRED_COLUMNS[1:])
_completed_values = _values(COMPLETED_COLUMNS)
_started_values = attrgetter("fence", "boot", "node", "started_at", "revision", "assigned")


def fired_row(update: Update) -> Row:
    """The guard (id, version), then FIRED_COLUMNS."""
    return (update.task_id, update.expected, update.due, *_fired_values(update.state))


def started_row(execution: Execution) -> Row:
    """The values of STARTED_COLUMNS."""
    outcome, reason = execution.outcome, execution.reason
    assert outcome is not None
    words = outcome._value_, None if reason is None else reason._value_
    return (execution.id, execution.task_id, execution.nominal, *words, *_started_values(execution))


def completed_row(update: Update) -> Row:
    """The guard (id, version), then COMPLETED_COLUMNS."""
    return (update.task_id, update.expected, *_completed_values(update.state))


def ended_row(write: ExecutionWrite) -> Row:
    """The guard (id, fence, state), then ENDED_COLUMNS."""
    former, execution = write.former, write.execution
    assert former is not None
    return (
        execution.id,
        former.fence,
        former.state._value_,
        execution.state._value_,
        execution.started_at,
        execution.ended_at,
    )


def create_row(create: Create) -> tuple[Row, Row | None]:
    """The row of a new task, and its parcel if it needs one."""
    task = create.task
    definition = task.definition
    document, parcel = _document(task)
    row = (
        definition.id,
        create.partition,
        definition.created_at,
        definition.tenant,
        definition.name,
        definition.type,
        definition.policies.priority,
        definition.policies.ttl,
        definition.created_at,
        0 if parcel is None else 1,
        document,
        task.due,
        *state_values(task.state),
    )
    return row, parcel


def definition_row(task: Task) -> tuple[Row, Row | None]:
    """The values of DEFINITION_COLUMNS after an edit, and the parcel if one is needed.

    A revision begins where the former one was settled through: slots up to there had their outcome under the former one.
    """
    definition = task.definition
    document, parcel = _document(task)
    row = (
        definition.tenant,
        definition.name,
        definition.type,
        definition.policies.priority,
        definition.policies.ttl,
        task.state.settled_through,
        0 if parcel is None else 1,
        document,
    )
    return row, parcel


def _document(task: Task) -> tuple[str, Row | None]:
    definition = task.definition
    document, extra = encode_definition(definition), definition.extra
    if extra is None and len(document) <= LARGE_DEFINITION:
        return document, None
    content_type, data = (None, None) if extra is None else (extra.content_type, extra.data)
    if len(document) <= LARGE_DEFINITION:
        return document, (definition.id, "", content_type, data)
    return "", (definition.id, document, content_type, data)


def read_state(values: list[Any]) -> TaskState:
    """The state from the values of STATE_COLUMNS."""
    version, revision, phase, status, *rest, last_state = values
    next_fire, settled, fence, runs, failure_count, completed, failed, last_id, started, ended, note, by, *marks = rest
    return TaskState(
        version,
        revision,
        _PHASES[phase],
        _STATUSES[status],
        next_fire,
        settled,
        fence,
        runs,
        failure_count,
        completed,
        failed,
        last_id,
        None if last_state is None else _STATES[last_state],
        started,
        ended,
        note,
        by,
        *marks,
    )


def read_task(row: list[Any], parcels: Mapping[str, tuple[str, Extra | None]], resolve: Resolve) -> Task:
    """A task from `id, definition, open executions, *STATE_COLUMNS`; `parcels` has what lies apart, by id."""
    task_id, document, executions, *state = row
    extra: Extra | None = None
    if task_id in parcels:
        large, extra = parcels[task_id]
        document = large or document
    try:
        opened = tuple([read_execution(execution) for execution in executions]) if executions else ()
        return Task(decode_definition(document, extra, resolve), read_state(state), opened)
    except KeyError as error:
        raise StoreDamaged(f"the row of task {task_id} holds an unknown word: {error}") from error


def execution_row(execution: Execution) -> Row:
    """A new row: fixed, then mutable columns."""
    return (*_fixed_values(execution), *_mutable(execution))


def execution_update_row(write: ExecutionWrite) -> Row:
    """The guard (id, fence, state), then the mutable columns."""
    former, execution = write.former, write.execution
    assert former is not None
    return (execution.id, former.fence, former.state._value_, *_mutable(execution))


def _mutable(execution: Execution) -> Row:
    failure = execution.failure
    return (
        *_mutable_values(execution),
        _text(execution.outcome),
        _text(execution.reason),
        _text(execution.waits_for),
        None if failure is None else encode_failure(failure),
        1 if execution.lingers else 0,
    )


def _started_others() -> dict[str, str]:
    sample = Execution("", "", Kind.OCCURRENCE, State.RUNNING, Instant(0), attempt=1)
    values = dict(zip((*EXECUTION_FIXED, *EXECUTION_MUTABLE), execution_row(sample), strict=True))
    at = dict.fromkeys(("created_at", "first_started_at"), "started_at")
    rest = {name: repr(value) for name, value in values.items() if value is not None}
    return {name: text for name, text in (rest | at).items() if name not in STARTED_COLUMNS}


STARTED_OTHERS: Final = _started_others()
"""What the columns of a started execution hold that are neither null nor in STARTED_COLUMNS: SQL of constants and of those."""


def read_execution(row: list[Any]) -> Execution:
    """An execution from the values of EXECUTION_COLUMNS. Raises StoreDamaged for a word that is not ours."""
    identifier, task_id, kind, state, created_at, nominal, outcome, reason, waits_for = row[:9]
    due, attempt, failures, crashes, fence, boot, node, channel, correlation = row[9:18]
    first_started_at, started_at, ended_at, failure, parameters, cancel_reason, checkpoints, revision = row[18:26]
    assigned, expires, key, lingers, since, target = row[26:]
    try:
        return Execution(
            identifier,
            task_id,
            _KINDS[kind],
            _STATES[state],
            created_at,
            nominal,
            None if outcome is None else _OUTCOMES[outcome],
            None if reason is None else _REASONS[reason],
            None if waits_for is None else _WAITS[waits_for],
            due,
            attempt,
            failures,
            crashes,
            fence,
            boot,
            node,
            channel,
            correlation,
            first_started_at,
            started_at,
            ended_at,
            None if failure is None else decode_failure(failure),
            parameters,
            cancel_reason,
            checkpoints,
            revision,
            assigned,
            expires,
            key,
            lingers == 1,
            since,
            target,
        )
    except KeyError as error:
        raise StoreDamaged(f"the row of execution {identifier} holds an unknown word: {error}") from error


def attempt_row(attempt: Attempt) -> Row:
    """The values of ATTEMPT_COLUMNS."""
    return (
        attempt.execution_id,
        attempt.number,
        attempt.fence,
        attempt.node,
        attempt.boot,
        attempt.state._value_,
        attempt.started_at,
        attempt.ended_at,
        encode_failure(attempt.failure),
    )


def read_attempt(row: Row) -> Attempt:
    """An attempt from the values of ATTEMPT_COLUMNS."""
    execution_id, number, fence, node, boot, state, started_at, ended_at, failure = row
    return Attempt(execution_id, number, fence, node, boot, State(state), started_at, ended_at, decode_failure(failure))


def settled_row(settled: Settled) -> Row:
    """The values of SETTLED_COLUMNS."""
    return (
        settled.task_id,
        settled.first,
        settled.last,
        settled.count,
        settled.outcome._value_,
        settled.reason._value_,
        settled.settled_at,
        settled.revision,
        settled.execution,
    )


def read_settled(row: Row) -> Settled:
    """A row of the ledger from the values of SETTLED_COLUMNS."""
    task_id, first, last, count, outcome, reason, settled_at, revision, execution = row
    return Settled(task_id, first, last, count, Outcome(outcome), Reason(reason), settled_at, revision, execution)


def last_instant(value: int | None) -> Instant | None:
    """A column that may be null, as an instant."""
    return None if value is None else Instant(value)
