"""What a node answers, as records. Times are datetimes in UTC; `raw` is the whole JSON, with what no field names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, Generic, TypeVar

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from runtime.errors import InternalError

T = TypeVar("T")

Json = Mapping[str, Any]


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


@attrs.frozen(kw_only=True)
class Record:
    """What all records have. `CALLED`: the argument that a record may stand for, and the field that is sent; none if empty."""

    CALLED: ClassVar[tuple[str, str]] = ("", "")
    raw: Json = attrs.field(factory=dict, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class FailureInfo(Record):
    """Why an attempt did not complete."""

    type: str
    message: str
    traceback: str | None = None


@attrs.frozen(kw_only=True)
class TaskInfo(Record):
    """A task. What stands below `current_step` is there when one task was asked for, not a list."""

    CALLED = ("task", "id")
    id: str = attrs.field(metadata={"key": "itemId"})
    name: str
    type: str = attrs.field(metadata={"key": "taskType"})
    status: str
    next_run: datetime | None = attrs.field(metadata={"key": "nextScheduledExecution"})
    last_run: datetime | None = attrs.field(metadata={"key": "lastExecutionDate"})
    failure_count: int
    persistent: bool
    parameters: dict[str, Any]
    trigger: dict[str, Any]
    policies: dict[str, Any]
    max_retries: int
    retry_delay_ms: int = attrs.field(metadata={"key": "retryDelay"})
    phase: str
    paused: bool
    note: str | None
    node: str | None = None
    runs_on: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    labels: dict[str, str] = attrs.field(factory=dict)
    dependencies: dict[str, Any] | None = None
    events: tuple[dict[str, Any], ...] = ()
    placement: dict[str, Any] = attrs.field(factory=dict)
    extra: dict[str, Any] | None = None
    runs: int = 0
    completed: int = 0
    failed: int = 0
    last_state: str | None = None
    last_end: datetime | None = None
    last_execution: str | None = None
    open: tuple[str, ...] = ()
    created_at: datetime | None = None
    owner: str | None = None
    tenant: str | None = None
    version: int = 0
    revision: int = 0
    current_step: str | None = None
    status_details: dict[str, Any] = attrs.field(factory=dict)
    checkpoint: Any = attrs.field(default=None, metadata={"key": "checkpointData"})
    trigger_words: str | None = None
    last_failure: FailureInfo | None = None
    waits_for: str | None = None
    retry_at: datetime | None = None


@attrs.frozen(kw_only=True)
class AttemptInfo(Record):
    """One attempt of an execution."""

    number: int
    fence: int
    node: str | None
    state: str
    started_at: datetime | None
    ended_at: datetime | None
    failure: FailureInfo | None = None


@attrs.frozen(kw_only=True)
class ExecutionInfo(Record):
    """An execution. Attempts, result, checkpoint and progress are there when one execution was asked for, not a list."""

    CALLED = ("execution", "id")
    id: str
    task_id: str
    kind: str
    state: str
    nominal: datetime | None
    outcome: str | None
    reason: str | None
    waits_for: str | None
    attempt: int
    failures: int
    fence: int
    node: str | None
    target: str | None = None
    channel: str | None = None
    correlation: str | None = None
    retry_at: datetime | None = None
    expires_at: datetime | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    failure: FailureInfo | None = None
    parameters: Any = None
    cancel_reason: str | None = None
    attempts: tuple[AttemptInfo, ...] = ()
    result: Any = None
    checkpoint: Any = None
    progress: dict[str, Any] | None = None

    @property
    def ended(self) -> bool:
        """Whether it goes on no more by itself."""
        return self.state not in ("WAITING", "RUNNING")


@attrs.frozen(kw_only=True)
class OutcomeInfo(Record):
    """A row of the ledger: what became of one nominal time, or of several in a row. `outcome` None: still open."""

    first: datetime
    last: datetime
    count: int | None
    outcome: str | None
    reason: str | None
    execution_id: str | None
    state: str | None
    started_at: datetime | None
    target: str | None = None


@attrs.frozen(kw_only=True)
class DeliveryInfo(Record):
    """What became of something that an event trigger wanted done."""

    id: str
    task_id: str
    execution_id: str | None
    event: str
    state: str
    detail: str | None
    at: datetime
    retry_at: datetime | None = None


@attrs.frozen(kw_only=True)
class LogLine(Record):
    """A line that a handler logged."""

    sequence: int
    attempt: int
    at: datetime
    level: str
    text: str


@attrs.frozen(kw_only=True)
class ForecastInfo(Record):
    """The next times of a trigger, in words too, and what it does when clocks change."""

    times: tuple[datetime, ...] = attrs.field(metadata={"key": "list"})
    trigger: str = ""
    clock_changes: tuple[dict[str, Any], ...] = ()


@attrs.frozen(kw_only=True)
class WhyInfo(Record):
    """What became of a nominal time, and why, in words."""

    verdict: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines)


@attrs.frozen(kw_only=True)
class NodeInfo(Record):
    """A node of the cluster."""

    CALLED = ("node", "name")
    name: str
    boot: str
    state: str
    leader: bool
    executor: bool
    slots: int
    free: int
    running: int
    partitions: int
    offset_ms: float | None = None
    version: str | None = None
    labels: dict[str, str] = attrs.field(factory=dict)
    types: tuple[str, ...] = ()
    owned: tuple[int, ...] = ()


@attrs.frozen(kw_only=True)
class PartitionInfo(Record):
    """A partition, who owns it, and its epoch."""

    number: int
    owner: str | None
    epoch: int | None


@attrs.frozen(kw_only=True)
class PauseInfo(Record):
    """Whether the whole scheduler is paused."""

    paused: bool
    since: datetime | None = None
    by: str | None = None
    note: str | None = None


@attrs.frozen(kw_only=True)
class LockInfo(Record):
    """A concurrency key."""

    key: str
    limit: int
    waiting: int
    holders: tuple[dict[str, Any], ...] = ()
    oldest: datetime | None = None


@attrs.frozen(kw_only=True)
class QueueInfo(Record):
    """A queue."""

    name: str
    limit: int | None
    running: int
    waiting: int
    oldest: datetime | None = None
    started_5m: int = attrs.field(default=0, metadata={"key": "started5m"})
    ended_5m: int = attrs.field(default=0, metadata={"key": "ended5m"})


@attrs.frozen(kw_only=True)
class CalendarInfo(Record):
    """A calendar."""

    CALLED = ("calendar", "name")
    name: str
    version: int


@attrs.frozen(kw_only=True)
class TypeInfo(Record):
    """A task type of a node."""

    name: str
    isolation: str
    description: str
    parameters: tuple[dict[str, Any], ...] = ()


@attrs.frozen(kw_only=True)
class CountsInfo(Record):
    """Totals."""

    tasks: int
    by_status: dict[str, int]
    by_outcome: dict[str, int]
    by_reason: dict[str, int]


@attrs.frozen(kw_only=True)
class PurgedInfo(Record):
    """What a purge removed. `complete`: nothing was left for later."""

    removed: int
    by_part: dict[str, int]
    complete: bool


@attrs.frozen(kw_only=True)
class TokenInfo(Record):
    """A token. `token`, its secret, is there once, when it was made. `tenant` None: of all tenants."""

    CALLED = ("token", "id")
    id: str
    name: str
    user: str
    tenant: str | None
    role: str
    own: bool = False
    created_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    token: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class AuditInfo(Record):
    """A record of the audit log."""

    sequence: int
    at: datetime
    actor: str
    action: str
    task_id: str | None
    detail: Any
    hash: str
    origin: Any = None
    change: Any = None


@attrs.frozen(kw_only=True)
class VerifiedInfo(Record):
    """Whether the audit log is as it was written. `seal` is kept elsewhere, and given to the next verification."""

    intact: bool
    records: int
    faults: tuple[str, ...]
    seal: str


@attrs.frozen(kw_only=True)
class JobInfo(Record):
    """A job that a worker has."""

    job: str
    lease: str = attrs.field(repr=False)
    lease_seconds: float
    fence: int
    attempt: int
    task_id: str
    task: str
    type: str
    parameters: dict[str, Any]
    checkpoint: Any = None
    idempotency_key: str = ""
    nominal: datetime | None = None


@attrs.frozen(kw_only=True)
class JobState(Record):
    """What a worker hears about his job. `cancel`: why he shall stop, None to go on; `lease_seconds` None: it has ended."""

    job: str
    state: str
    cancel: str | None = None
    lease_seconds: float | None = None


@attrs.frozen
class Page(Generic[T]):
    """A page of a list. `total`: how many there are in all, also beyond the end."""

    items: tuple[T, ...]
    offset: int
    total: int


def _reader() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook(datetime, lambda value, _: datetime.fromisoformat(value))

    def structure(kind: type[Any]) -> Callable[[Any, Any], Any]:
        renamed = {
            field.name: override(rename=field.metadata.get("key", _camel(field.name)), omit=field.name == "raw")
            for field in attrs.fields(kind)
        }
        plain = make_dict_structure_fn(kind, converter, **renamed)  # type: ignore[arg-type]
        return lambda value, given: attrs.evolve(plain(value, given), raw=value)

    converter.register_structure_hook_factory(
        lambda kind: isinstance(kind, type) and issubclass(kind, Record), structure
    )
    return converter


_READER: Final = _reader()


def reader(kind: type[T]) -> Callable[[Any], T]:
    """A function that makes such a record of JSON. It raises InternalError for what a node does not answer."""

    def read(value: Any) -> T:
        try:
            return _READER.structure(value, kind)
        except (ValueError, TypeError, KeyError, AttributeError, cattrs.BaseValidationError) as error:
            raise InternalError(f"the answer is no {kind.__name__}: {type(error).__name__}: {error}") from None

    return read


def list_reader(kind: type[T]) -> Callable[[Any], tuple[T, ...]]:
    """A function that makes records of the JSON of a list."""
    read = reader(kind)
    return lambda value: tuple(read(one) for one in value["list"])


def page_reader(kind: type[T]) -> Callable[[Any], Page[T]]:
    """A function that makes a page of the JSON of one."""
    read = list_reader(kind)
    return lambda value: Page(read(value), value["offset"], value["totalSize"])


# -- records in place of ids

TaskRef = TaskInfo | str
ExecutionRef = ExecutionInfo | str
NodeRef = NodeInfo | str
CalendarRef = CalendarInfo | str
TokenRef = TokenInfo | str
"""What a thing is called by: what a node answered, or its id or name."""
