"""Makes spans of what the node does, and has them sent: from a bounded queue, by a thread of its own, and never in anybody's way.

What waits for whom: nobody for this. A span is put into the queue or dropped; a thread sends what has gathered, and what a
collector does not take within the timeout is dropped too. `figures` says how many.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import Final, Protocol

import attrs
import trio

from actors.herald_messages import Delivery, Perform
from actors.keeper_messages import Happened
from actors.model.execution import Execution
from actors.model.system import is_system
from actors.tracing import Executions, Kind, Open, Value
from runtime.clock import SECOND
from runtime.errors import NotFound
from runtime.trace_context import within
from runtime.traceparent import TraceContext, chosen
from runtime.world import World

from .settings import TRACES, TracingSettings
from .spans_core import Span, attempt_spans, place_of, place_of_attempt

logger = logging.getLogger(__name__)


class Exporter(Protocol):
    """See `otel.Exporter`."""

    def export(self, spans: Sequence[Span]) -> bool:
        """In a thread: whether they were taken."""
        ...

    def attached(self, context: TraceContext) -> AbstractContextManager[None]:
        """Around what the user's code may make spans in."""
        ...

    def close(self) -> None:
        """Have an export come to its end."""
        ...


@attrs.define
class Figures:
    """What became of the spans since the node started. `dropped`: found the queue full; `failed`: no collector took them."""

    sent: int = 0
    dropped: int = 0
    failed: int = 0


class NodeTracer:
    """See the module's docstring, and `actors.tracing.Tracer` for what the node asks of it."""

    def __init__(self, settings: TracingSettings, exporter: Exporter, world: World) -> None:
        self.figures: Final = Figures()
        self._settings = settings
        self._ratio = settings.tracing_ratio
        self._exporter = exporter
        self._world = world
        self._rng = world.rng("tracing")
        self._queue: deque[Span] = deque()
        self._enough = trio.Event()
        self._away = False

    def told(self) -> Mapping[str, int]:
        """What became of the spans since the node started."""
        return attrs.asdict(self.figures)

    # -- what the node asks

    def hear(self, happened: Happened) -> None:
        """Take up the attempts that have ended."""
        if not happened.ended:
            return
        try:
            self._ended(happened)
        except Exception:
            # Whatever is wrong with a span, no run is to suffer from it.
            logger.exception("there are no spans of %d attempts", len(happened.ended))

    def _ended(self, happened: Happened) -> None:
        definitions = {task.id: task.definition for task in happened.tasks}
        executions = {execution.id: execution for execution in happened.executions}
        for attempt in happened.ended:
            execution = executions[attempt.execution_id]
            definition = definitions[execution.task_id]
            if not is_system(definition):
                for span in attempt_spans(definition, execution, attempt, self._ratio):
                    self._add(span)

    @contextmanager
    def running(self, execution: Execution) -> Iterator[None]:
        """Around a handler: what it does stands below its attempt, whose span is made when its end is recorded."""
        place = place_of_attempt(execution, execution.fence, self._ratio)
        with within(place), self._exporter.attached(place):
            yield

    def delivering(self, perform: Perform, executions: Executions) -> Perform:
        """The same action, below the attempt whose outcome it follows."""

        async def traced(delivery: Delivery) -> str:
            kind = type(delivery.action).__name__.lower()
            said: dict[str, Value] = {
                "tocsin.delivery.id": delivery.id,
                "tocsin.event": delivery.event,
                "tocsin.tries": delivery.tries + 1,
            }
            with self.span(f"deliver {kind}", "producer", await self._source(delivery, executions), said):
                return await perform(delivery)

        return traced

    async def _source(self, delivery: Delivery, executions: Executions) -> TraceContext | None:
        """The last attempt of the execution of an outcome; None where there is none, or none any more."""
        if delivery.execution_id is None:
            return None
        try:
            execution = (await executions(delivery.execution_id)).execution
        except NotFound:
            return None
        if not execution.fence:
            return place_of(execution, self._ratio)
        return place_of_attempt(execution, execution.fence, self._ratio)

    # -- what goes on while it is told of

    @contextmanager
    def span(self, name: str, kind: Kind, above: TraceContext | None, said: Mapping[str, Value]) -> Iterator[Open]:
        """A span around the block, below another one, or the first of a new trace. What is asked for inside belongs to it."""
        trace_id = f"{self._rng.getrandbits(128) or 1:032x}" if above is None else above.trace_id
        sampled = chosen(trace_id, self._ratio) if above is None else above.sampled
        place = TraceContext(trace_id, f"{self._rng.getrandbits(64) or 1:016x}", sampled)
        opened, start = Open(name, dict(said)), self._world.now()
        try:
            with within(place), self._exporter.attached(place):
                yield opened
        except BaseException as error:
            opened.error = opened.error or f"{type(error).__name__}: {error}"
            raise
        finally:
            if sampled:
                parent = None if above is None else above.span_id
                end = max(start, self._world.now())
                self._add(Span(opened.name, kind, place, parent, start, end, opened.attributes, (), opened.error))

    # -- sending

    def _add(self, span: Span) -> None:
        if len(self._queue) >= self._settings.tracing_queue:
            self.figures.dropped += 1
            return
        self._queue.append(span)
        if len(self._queue) >= self._settings.tracing_batch:
            self._enough.set()

    async def run(self) -> None:
        """Send what gathers, until cancelled."""
        while True:
            with trio.move_on_after(self._settings.tracing_interval / SECOND):
                await self._enough.wait()
            await self.send()
            self._enough = trio.Event()

    async def send(self) -> None:
        """Send everything that is there."""
        while self._queue:
            batch = list(islice(self._queue, self._settings.tracing_batch))
            for _ in batch:
                self._queue.popleft()
            await self._send(batch)

    async def _send(self, batch: Sequence[Span]) -> None:
        taken = False
        try:
            taken = await self._world.blocking(self._exporter.export, batch, lane=TRACES, abandon=True)
        except Exception:
            # Whatever a library does, the node goes on.
            logger.exception("spans cannot be sent to %s", self._settings.tracing_endpoint)
        if taken:
            self.figures.sent += len(batch)
        else:
            self.figures.failed += len(batch)
        if taken is self._away:
            self._away = not taken
            told = "takes spans again" if taken else "takes no spans: they are dropped, and counted"
            logger.log(logging.INFO if taken else logging.WARNING, "%s %s", self._settings.tracing_endpoint, told)

    def close(self) -> None:
        """Give up what is being sent."""
        self._exporter.close()
