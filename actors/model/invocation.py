"""What an execution has of its own when somebody invoked it: parameters, data, a time limit, how deep in a chain it is, and from
where in a trace it was asked for.

It is kept in the text of the execution's parameters: that text is what is compared when the same is asked for again, so all of
it is but for the place in a trace, and it travels wherever an execution does. The text of parameters alone stays as it is.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, Final

from runtime.clock import Micros
from runtime.records import evolve, record

from .execution import Execution
from .policy import Policies
from .task import Definition, Extra

MARK: Final = "$invocation"
"""The key of what is not parameters alone; no parameter may have this name."""

MAX_INVOKED_EXTRA: Final = 256 * 1024
"""Bytes of data of one execution: as much as parameters may have, for open executions are read with their task's row."""

TAG: Final = "invoke"
"""The tag of tasks that exist for invocations only."""

_PREFIX: Final = f'{{"{MARK}":'


@record
class Invocation:
    """`parameters`: JSON text, None for those of the task. `extra`, `timeout`: None as the task has it. `depth`: how many
    handlers that wait for one another stand above it. `trace`: the `traceparent` of whoever asked, None outside of any trace.
    """

    parameters: str | None = None
    extra: Extra | None = None
    timeout: Micros | None = None
    depth: int = 0
    trace: str | None = None


def wrapped(invocation: Invocation) -> str | None:
    """What the execution keeps as its parameters. The same for equal invocations."""
    if invocation == Invocation(invocation.parameters):
        return invocation.parameters
    extra = invocation.extra
    rest = {
        "extra": None if extra is None else base64.b64encode(extra.data).decode(),
        "contentType": None if extra is None else extra.content_type,
        "timeout": invocation.timeout,
        "depth": invocation.depth,
        "trace": invocation.trace,
    }
    given = {key: value for key, value in rest.items() if value}
    return f'{_PREFIX}{json.dumps(given)},"parameters":{invocation.parameters or "null"}}}'


def unwrapped(text: str | None) -> Invocation:
    """What an execution keeps as its parameters, taken apart."""
    if text is None or not text.startswith(_PREFIX):
        return Invocation(text)
    found = json.loads(text)
    own: dict[str, Any] = found[MARK]
    parameters = found["parameters"]
    extra = None
    if "contentType" in own:
        extra = Extra(base64.b64decode(own.get("extra", "")), own["contentType"])
    timeout = own.get("timeout")
    return Invocation(
        None if parameters is None else json.dumps(parameters, separators=(",", ":"), ensure_ascii=False),
        extra,
        None if timeout is None else Micros(timeout),
        own.get("depth", 0),
        own.get("trace"),
    )


def traced(text: str | None, trace: str) -> str | None:
    """What an execution keeps as its parameters when it was asked for from there in a trace."""
    return wrapped(evolve(unwrapped(text), trace=trace))


def untraced(text: str | None) -> str | None:
    """The same without the place in a trace: what is compared when something is asked for again."""
    return text if trace_of(text) is None else wrapped(evolve(unwrapped(text), trace=None))


def trace_of(text: str | None) -> str | None:
    """From where in a trace the execution was asked for that keeps this as its parameters."""
    return unwrapped(text).trace if text is not None and text.startswith(_PREFIX) else None


def policies_of(definition: Definition, execution: Execution) -> Policies:
    """The policies that an execution runs under: the task's, with its own time limit if it has one."""
    if execution.parameters is None or not execution.parameters.startswith(_PREFIX):
        return definition.policies
    timeout = unwrapped(execution.parameters).timeout
    return definition.policies if timeout is None else evolve(definition.policies, timeout=timeout)


def invoked_task_id(tenant: str, owner: str, type_name: str) -> str:
    """The id of the one task through which a type is invoked: the same on every node, so that there is one.

    owner: the user, where he sees nothing but what is his own; else empty.
    """
    return _id("task", tenant, owner, type_name)


def invoked_execution_id(task_id: str, key: str) -> str:
    """The id of the execution that an idempotency key stands for."""
    return _id("execution", task_id, key)


def is_for_invocations(definition: Definition) -> bool:
    """Whether a task exists for invocations only."""
    return definition.id == invoked_task_id(definition.tenant, definition.owner, definition.type)


def _id(*parts: str) -> str:
    """A UUID (version 8: made in a way of its own) that stands for these texts."""
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"
