"""What handlers invoke: other tasks and task types, at most once for each attempt's need, and never longer than they live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from actors.handling.tools import Asker
from actors.model.execution import Execution
from actors.model.invocation import invoked_execution_id, is_for_invocations
from actors.model.lifecycle import OPEN_STATES, State
from actors.model.scope import Scope
from actors.model.task import Task
from actors.store.answers import ExecutionDetail
from runtime.errors import InvalidRequest, NotFound, ReplyTimeout, TocsinError

from ..access.caller import Caller, Role
from ..vocabulary.checks import known_type
from .invoking import MAX_CORRELATION, Wanted, cancel, result_of, run, task_of_type, until_ended

if TYPE_CHECKING:
    from actors.node import Node

CHANNEL: Final = "task"
"""How an execution that a handler asked for came to be."""

MAX_DEPTH: Final = 16
"""Handlers that wait for one another: each holds a slot, and what goes deeper is a recursion that does not end."""

LAST_SECONDS: Final = 5.0
"""What there is time for when a handler is interrupted: as long as its hooks have."""

_GONE_FOR_GOOD: Final = ("timeout", "heartbeat_timeout")
"""Reasons to end an attempt after which nobody waits for what it has invoked; that somebody cancelled it stands in its row."""


def handlers_caller(asker: Asker) -> Caller:
    """A handler may do what operators may, to the tasks of its tenant."""
    return Caller(asker.name, Scope(asker.tenant), Role.OPERATOR)


@attrs.frozen
class _Asked:
    """One invocation."""

    node: Node
    asker: Asker
    target: Task
    wanted: Wanted

    async def begin(self) -> Execution:
        """The execution, which a former attempt may have begun."""
        return await self._begun_before() or await self._run(self.asker.attempt)

    async def _begun_before(self) -> Execution | None:
        """What the newest attempt that got so far has begun, if it goes on or has completed."""
        for attempt in range(self.asker.attempt - 1, 0, -1):
            try:
                detail = await self.node.execution(invoked_execution_id(self.target.id, self._key(attempt)))
            except NotFound:
                continue
            if detail.execution.state in OPEN_STATES or detail.execution.state is State.COMPLETED:
                # Asked for again, so that another request under a key of one's own is refused.
                return await self._run(attempt)
            return None
        return None

    def _key(self, attempt: int) -> str:
        return f"{self.wanted.key}:{attempt}"

    async def _run(self, attempt: int) -> Execution:
        wanted = attrs.evolve(self.wanted, key=self._key(attempt))
        caller = handlers_caller(self.asker)
        # What a handler runs its code says, which may do all that the node may.
        caller = attrs.evolve(caller, role=Role.ADMINISTRATOR, narrowed=True)
        return await run(self.node, caller, self.target, wanted, channel=CHANNEL, actor=self.asker.name)


async def invoke_for(
    node: Node,
    asker: Asker,
    task: str,
    parameters: dict[str, Any] | None,
    wait: bool,
    timeout: float,
    key: str,
) -> Any:
    """Run a task or task type; see `Context.invoke`. `key`: the same for every attempt that asks for the same."""
    seen = node.seen_by(Scope(asker.tenant))
    target = await _target(seen, asker, task)
    if wait and target.id == asker.task_id:
        raise InvalidRequest(
            f"invoke: task {asker.task!r} cannot wait for itself; without waiting it can run itself again"
        )
    depth = asker.depth + 1 if wait else 0
    if depth > MAX_DEPTH:
        raise InvalidRequest(f"invoke: {asker.depth} handlers wait for this one already, at most {MAX_DEPTH} may")
    if parameters is not None or is_for_invocations(target.definition):
        known_type(node.catalogue, target.definition.type).check_parameters(parameters or {})
    asked = _Asked(seen, asker, target, Wanted(parameters, None, None, asker.correlation[:MAX_CORRELATION], key, depth))
    if not wait:
        return (await asked.begin()).id
    return await _waited(asked, timeout)


async def _waited(asked: _Asked, timeout: float) -> Any:
    name = asked.target.definition.name
    execution: Execution | None = None
    try:
        with trio.move_on_after(timeout):
            execution = await asked.begin()
            detail: ExecutionDetail = await until_ended(asked.node, execution.id, timeout)
            if detail.execution.state not in OPEN_STATES:
                return result_of(detail, f"task {name!r}")
    except trio.Cancelled:
        if execution is not None:
            await _leave(asked, execution)
        raise
    what = "was not begun" if execution is None else f"still goes on as execution {execution.id}"
    raise ReplyTimeout(f"invoke: task {name!r} {what} after {timeout:g} s")


async def _leave(asked: _Asked, execution: Execution) -> None:
    """The handler is interrupted: what it waited for ends with it, unless another attempt goes on and waits for it again."""
    asker = asked.asker
    with trio.move_on_after(LAST_SECONDS, shield=True):
        try:
            if asker.reason() in _GONE_FOR_GOOD or await _is_cancelled(asked):
                await cancel(asked.node, execution, asker.name)
        except TocsinError:
            # It has ended, or cannot be reached now; then it ends by itself.
            return


async def _is_cancelled(asked: _Asked) -> bool:
    try:
        detail = await asked.node.execution(asked.asker.execution_id)
    except NotFound:
        return True
    return detail.execution.cancel_reason is not None


async def _target(seen: Node, asker: Asker, reference: str) -> Task:
    try:
        return await seen.task(reference)
    except NotFound as error:
        if reference not in seen.catalogue:
            raise NotFound(f"{error}, and no task type of that name") from None
    return await task_of_type(seen, known_type(seen.catalogue, reference), owner="", actor=asker.name)
