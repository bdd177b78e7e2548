"""What the operation `invoke` does: a task type called as a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from actors.model.task import Extra
from runtime.clock import SECOND, Micros
from runtime.errors import InvalidRequest, NotFound

from ..durations import parse_duration
from ..operations.calls import Answer, Call
from ..operations.channels import IDEMPOTENCY_KEY
from ..settings.config import suggestion
from ..vocabulary.fields import Fields, show
from ..vocabulary.kinds import read_object
from ..vocabulary.views import detail_view
from ..vocabulary.words import EXTRA
from .invoking import Wanted, has_ended, result_of
from .invoking import invoke as run_once

if TYPE_CHECKING:
    from actors.node import Node

LONGEST_WAIT: Final = Micros(30 * SECOND)
"""The longest wait for one answer: shorter than clients and what stands between wait for one."""


async def invoke(node: Node, call: Call) -> Answer:
    """Run a task type once. Answers the execution, which has ended (200) or not yet (202)."""
    if call["taskType"] not in node.catalogue:
        raise NotFound(f"no task type {show(call['taskType'])}{suggestion(call['taskType'], node.catalogue.names())}")
    wanted = attrs.evolve(wanted_of(call["body"] or {}), key=call[IDEMPOTENCY_KEY])
    wait = wait_of(call["wait"])
    detail = await run_once(
        node, call.caller, call["taskType"], wanted, channel=call.channel, wait=wait, actor=call.actor
    )
    if has_ended(detail):
        result_of(detail, f"task type {show(call['taskType'])}")
        return Answer(detail_view(detail))
    return Answer(detail_view(detail), 202, {"Location": f"/api/executions/{detail.execution.id}"})


def wanted_of(body: Any) -> Wanted:
    """What a request wants run: parameters, extra, timeout, correlation. Raises InvalidRequest, TooLarge."""
    fields = Fields(body)
    parameters, extra = fields.take("parameters"), fields.take("extra")
    timeout, correlation = fields.duration("timeout"), fields.text("correlation")
    fields.finish()
    return Wanted(parameters, None if extra is None else _extra(extra), timeout, correlation)


def _extra(value: Any) -> Extra:
    values = read_object(value, EXTRA, "extra")
    return Extra(values.get("data", b""), values.get("content_type", "application/octet-stream"))


def wait_of(value: object) -> float:
    """How long to wait, in seconds. Raises InvalidRequest."""
    wait = parse_duration(value, "wait")
    if wait > LONGEST_WAIT:
        raise InvalidRequest(f"wait: up to {LONGEST_WAIT // SECOND}s, not {show(value)}")
    return wait / SECOND
