"""The facts of an attempt: who asked for what, when, for the which time. The same for every kind of handler."""

from __future__ import annotations

import builtins
import hashlib
from datetime import datetime
from typing import Any, Final, TypeVar

from runtime.clock import Instant, to_datetime

from ..model.execution import Execution, Kind
from ..model.invocation import Invocation, policies_of, unwrapped
from ..model.policy import Policies
from ..model.task import Definition, Extra
from ..model.trigger import Trigger
from . import typed
from .payload import decode_json

T = TypeVar("T")

FACTS: Final = (
    "id", "task_id", "kind", "state", "created_at", "nominal", "assigned", "attempt", "fence", "channel", "correlation",
    "checkpoints", "revision",
)  # fmt: skip
"""The fields of an execution that a handler can see."""


class Described:
    """The facts of an attempt, for both contexts."""

    __slots__ = (
        "_definition", "_execution", "_invocation", "_node", "_parameters", "_reason", "_resumed", "_started_at", "_trigger",
    )  # fmt: skip

    def __init__(
        self, definition: Definition, execution: Execution, started_at: Instant, node: str, resumed: str | None
    ) -> None:
        self._definition = definition
        self._execution = execution
        self._started_at = started_at
        self._node = node
        self._resumed = resumed
        self._reason: str | None = None
        self._parameters: dict[str, Any] | None = None
        self._invocation: Invocation | None = None
        self._trigger: str | None = None

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self._definition.id

    @property
    def task(self) -> str:
        """The task's name."""
        return self._definition.name

    @property
    def type(self) -> str:
        """The task type's name."""
        return self._definition.type

    @property
    def execution_id(self) -> str:
        """The execution's id: the same for all attempts of one occurrence."""
        return self._execution.id

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of this execution."""
        if self._parameters is None:
            text = self._definition.parameters if self._execution.parameters is None else self.parameters_text
            self._parameters = {} if text == "{}" else decode_json(text)
        return self._parameters

    @property
    def parameters_text(self) -> str:
        """The parameters as JSON text."""
        given = self.invocation.parameters
        return self._definition.parameters if given is None else given

    @property
    def invocation(self) -> Invocation:
        """What this execution was given beside what the task has."""
        if self._invocation is None:
            self._invocation = unwrapped(self._execution.parameters)
        return self._invocation

    @property
    def policies(self) -> Policies:
        """The policies under which this execution runs."""
        return policies_of(self._definition, self._execution)

    @property
    def extra(self) -> bytes | None:
        """The opaque data of the execution, or else of the task, exactly as given."""
        extra = self._extra
        return None if extra is None else extra.data

    @property
    def extra_type(self) -> str | None:
        """The content type of `extra`."""
        extra = self._extra
        return None if extra is None else extra.content_type

    @property
    def _extra(self) -> Extra | None:
        own = self.invocation.extra
        return self._definition.extra if own is None else own

    @property
    def nominal(self) -> datetime | None:
        """The time this occurrence stands for, in UTC; None for a manual run."""
        nominal = self._execution.nominal
        return None if nominal is None else to_datetime(nominal)

    @property
    def assigned(self) -> datetime:
        """When it was due, in UTC: inside the spread window, else the nominal time; of a manual run when it was asked for."""
        execution = self._execution
        chosen = execution.nominal if execution.assigned is None else execution.assigned
        return to_datetime(execution.created_at if chosen is None else chosen)

    @property
    def actual(self) -> datetime:
        """When this attempt started, in UTC."""
        return to_datetime(self._started_at)

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._execution.attempt

    @property
    def fence(self) -> int:
        """Grows with every attempt of the task: whoever guards a resource refuses a lower one than it has seen."""
        return self._execution.fence

    @property
    def channel(self) -> str:
        """Who asked for the execution: scheduler, rest, websocket, cli, task, broker."""
        return self._execution.channel

    @property
    def kind(self) -> str:
        """`occurrence` or `manual`."""
        return self._execution.kind.value

    @property
    def trigger_kind(self) -> str:
        """What fired: `once`, `interval`, `calendar`, `cron`, `union`, or `manual` for a run that somebody asked for."""
        if self._trigger is None:
            manual = self._execution.kind is Kind.MANUAL
            self._trigger = "manual" if manual else _kind_of(self._definition.trigger)
        return self._trigger

    def told_trigger(self, kind: str) -> None:
        """Set the trigger's kind, for a context that is made without the trigger."""
        self._trigger = kind

    @property
    def correlation_id(self) -> str | None:
        """The id by which the asker knows this execution."""
        return self._execution.correlation

    @property
    def node(self) -> str:
        """The name of the node that runs this attempt."""
        return self._node

    @property
    def has_checkpoint(self) -> bool:
        """Whether the store holds a checkpoint of this execution."""
        return self._execution.checkpoints > 0

    def resume_from(self, checkpoint: str | None) -> None:
        """Set the last checkpoint, JSON text."""
        self._resumed = checkpoint

    @property
    def resumed_text(self) -> str | None:
        """The last checkpoint, JSON text."""
        return self._resumed

    @property
    def started_at(self) -> Instant:
        """When this attempt started."""
        return self._started_at

    def facts(self) -> dict[str, Any]:
        """What a worker process needs to know of the execution, to be written as JSON."""
        execution = self._execution
        return {name: getattr(execution, name) for name in FACTS}

    @property
    def resumed_from(self) -> Any:
        """The last checkpoint of this execution as JSON, None if there is none."""
        return typed.plain(self._resumed)

    def resume(self, cls: builtins.type[T]) -> T | None:
        """The last checkpoint of this execution as an instance of a class declared with `checkpointed`, None if there is none.

        One that an older version of the class wrote is migrated. Raises CheckpointMismatch for one that a newer version wrote
        or that does not fit; it is kept for a release that can read it.
        """
        return typed.typed(self._resumed, cls)

    @property
    def cancelled(self) -> bool:
        """Whether this attempt has been asked to end; while its node drains, before it is interrupted."""
        return self._reason is not None

    @property
    def cancellation_reason(self) -> str | None:
        """Why it has been asked to end."""
        return self._reason

    def log_facts(self) -> dict[str, str]:
        """What lines of the node's log belong to that are written in the course of this attempt."""
        return {
            "execution": self.execution_id,
            "correlation": self.correlation_id or self.execution_id,
            "attempt": str(self.attempt),
            "task": self.task_id,
            "tenant": self._definition.tenant,
            "node": self._node,
        }

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt at the same occurrence, and for no other: for calls that must not be doubled.

        A hash of task, nominal time (of a manual run: its execution) and the revision under which it was admitted.
        """
        execution = self._execution
        occurrence = execution.id if execution.nominal is None else str(execution.nominal)
        text = f"{self._definition.id}:{occurrence}:{execution.revision}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _kind_of(trigger: Trigger) -> str:
    return _KINDS.get(type(trigger).__name__, type(trigger).__name__.lower())


_KINDS: Final = {"CalendarInterval": "calendar"}
"""Names of triggers that are not those of their classes."""
