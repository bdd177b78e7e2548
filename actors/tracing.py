"""The port to whoever makes traces of what the node does. A node without one does nothing for it: see `Tracer`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import Literal, Protocol

import attrs

from runtime.trace_context import current_trace
from runtime.traceparent import TraceContext

from .herald_messages import Perform
from .keeper_messages import Happened
from .model.execution import Execution
from .model.invocation import traced
from .store.answers import ExecutionDetail

Executions = Callable[[str], Awaitable[ExecutionDetail]]
"""Reads an execution. Raises NotFound."""


Kind = Literal["internal", "server", "client", "producer", "consumer"]
"""What kind of span it is, as OpenTelemetry divides them."""

Value = str | int | float | bool


@attrs.define
class Open:
    """A span that goes on. `error`: what went wrong, None if nothing did."""

    name: str
    attributes: dict[str, Value]
    error: str | None = None


class Tracer(Protocol):
    """Hears what happens, and says where in a trace it stands.

    Off is None in its place: the executor asks once for each attempt whether there is one, the keeper once for each task of a
    commit, and nothing is made for it.
    """

    def hear(self, happened: Happened) -> None:
        """Take up what a commit has changed, with every attempt that ended. Raises nothing: it is called by the keeper."""
        ...

    def running(self, execution: Execution) -> AbstractContextManager[None]:
        """Around a handler: what it does stands below the execution's newest attempt."""
        ...

    def delivering(self, perform: Perform, executions: Executions) -> Perform:
        """The same action, below the execution whose outcome it follows."""
        ...

    def span(
        self, name: str, kind: Kind, above: TraceContext | None, said: Mapping[str, Value]
    ) -> AbstractContextManager[Open]:
        """A span around the block, below another one, or the first of a new trace. What is asked for inside belongs to it."""
        ...


def asked_here(text: str | None) -> str | None:
    """The text of an execution's parameters with the place in a trace from which it is asked for now, if there is one."""
    context = current_trace()
    return text if context is None else traced(text, context.header)
