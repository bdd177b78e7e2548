"""Running task types at once: one function for each way to ask for it. Both clients have these as methods."""

from __future__ import annotations

import base64
import uuid
from typing import Any, Final

from runtime.errors import InvalidRequest, InvocationFailed

from .asking_core import Ask, Script, Session, Steps
from .asks import EXECUTION, wait
from .giving import Json, body_of
from .records import ExecutionInfo

LONGEST_SECONDS: Final = 30.0
"""How long one request waits; whoever waits longer looks at the execution."""


def call_type(
    task_type: str,
    parameters: Json | None = None,
    *,
    wait: float = 10.0,
    key: str | None = None,
    extra: bytes | None = None,
    content_type: str = "application/octet-stream",
    timeout: str | None = None,
    correlation: str | None = None,
) -> Ask[ExecutionInfo]:
    """Run a task type once and answer its execution, which may go on after `wait` seconds (30 at most).

    key: whoever asks again with the same one gets the same execution; without one it is made up here, for repetitions of this
    request. extra: bytes for the handler. timeout: how long an attempt may run, such as `30s`.
    Raises InvocationFailed when it has ended and did not complete, Conflict for a key that stands for another request.
    """
    if not 0 <= wait <= LONGEST_SECONDS:
        raise InvalidRequest(f"wait: 0 to {LONGEST_SECONDS:g} seconds, not {wait!r}")
    data = None if extra is None else {"data": base64.b64encode(extra).decode(), "contentType": content_type}
    body = body_of(parameters=parameters, extra=data, timeout=timeout, correlation=correlation)
    arguments = {
        "taskType": task_type,
        "wait": f"{round(wait * 1000)}ms",
        "Idempotency-Key": key or str(uuid.uuid4()),
        "body": body,
    }
    return Ask("invoke", arguments, EXECUTION, repeatable=True)


def invoke(
    task_type: str,
    parameters: Json | None = None,
    *,
    wait_for: float | None = None,
    key: str | None = None,
    extra: bytes | None = None,
    content_type: str = "application/octet-stream",
    timeout: str | None = None,
    correlation: str | None = None,
) -> Script[Any]:
    """Run a task type once and answer what its handler returned: `invoke("greet", {"region": "eu"})`.

    wait_for: at most so many seconds, as long as it takes if None; other arguments as for `call_type`. Raises InvocationFailed
    when it did not complete, ReplyTimeout when it still goes on, Conflict.
    """

    def play(session: Session) -> Steps[Any]:
        first = LONGEST_SECONDS if wait_for is None else min(wait_for, LONGEST_SECONDS)
        began = session.clock()
        asked = call_type(
            task_type, parameters, wait=first, key=key, extra=extra, content_type=content_type, timeout=timeout,
            correlation=correlation,
        )  # fmt: skip
        found = yield from asked.steps(session)
        if not found.ended:
            left = None if wait_for is None else max(0.0, wait_for - (session.clock() - began))
            found = yield from wait(found.id, timeout=left).steps(session)
        return _result(task_type, found)

    return Script(play)


def _result(task_type: str, found: ExecutionInfo) -> Any:
    if found.state == "COMPLETED":
        return found.result
    failure = found.failure
    why = f": {failure.type}: {failure.message}" if failure is not None else ""
    raise InvocationFailed(f"task type {task_type!r} is {found.state} in execution {found.id}{why}")
