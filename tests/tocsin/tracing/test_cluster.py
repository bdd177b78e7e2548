"""Traces over several nodes, in virtual clusters: a run that a node leaves behind is told of by the one that finds it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import attrs
import trio

import tocsin.testing
from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context
from runtime.trace_context import outgoing, within
from runtime.traceparent import read_traceparent
from tests.tocsin.tracing.kit import ABOVE, TRACE
from tocsin.testing import VirtualCluster
from tocsin.tracing.settings import TracingSettings
from tocsin.tracing.spans_core import Span
from tocsin.tracing.tracer import NodeTracer


async def slow(ctx: Context) -> str:
    """Takes a minute, and tells where it stood."""
    await trio.sleep(60)
    return outgoing()["traceparent"]


TYPES = Catalogue([task_type("slow", slow, source="")])


@attrs.define
class Kept:
    """Sends nothing."""

    def export(self, spans: Any) -> bool:
        raise AssertionError("nobody sends")

    def attached(self, context: object) -> AbstractContextManager[None]:
        return nullcontext()

    def close(self) -> None:
        raise AssertionError("nobody closes")


def watch(cluster: VirtualCluster, name: str) -> NodeTracer:
    node = cluster.node(name).inner
    tracer = NodeTracer(TracingSettings(), Kept(), node.world)
    node.trace(tracer)
    return tracer


def runs(tracer: NodeTracer) -> list[Span]:
    return [span for span in tracer._queue if span.name == "run slow"]


@tocsin.testing.simulated(nodes=3, start="2026-03-01T00:00:00Z", catalogue=TYPES)
async def test_a_retry_on_another_node_is_in_the_trace_of_the_request(cluster: VirtualCluster) -> None:
    tracers = {name: watch(cluster, name) for name in ("n1", "n2", "n3")}
    task = await cluster.node("n1").new_task("slow").named("s").after("30d").schedule()
    above = read_traceparent(ABOVE)
    assert above is not None
    with within(above):
        run = await cluster.node("n1").run(task.id)
    await cluster.advance("20s")
    first = (await cluster.execution(run.id)).execution.node
    assert first is not None
    cluster.kill(first)
    await cluster.advance("5m")
    ended = await cluster.execution(run.id)
    assert (ended.execution.state, ended.execution.attempt) == ("COMPLETED", 2)
    assert runs(tracers.pop(first)) == []
    crashed, completed = sorted((span for one in tracers.values() for span in runs(one)), key=lambda span: span.start)
    assert (crashed.attributes["tocsin.state"], crashed.attributes["tocsin.node"]) == ("CRASHED", first)
    assert crashed.error is not None and crashed.error.startswith("NodeCrashed")
    assert completed.attributes["tocsin.state"] == "COMPLETED" and completed.attributes["tocsin.node"] != first
    assert {span.context.trace_id for span in (crashed, completed)} == {TRACE}
    assert crashed.parent == completed.parent
    [whole] = [span for one in tracers.values() for span in one._queue if span.name == "enqueue slow"]
    assert (whole.context.span_id, whole.parent) == (crashed.parent, "b7ad6b7169203331")
    assert ended.result == f'"{completed.context.header}"'
