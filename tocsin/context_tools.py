"""What handlers ask of their node: `ctx.tasks` and `ctx.invoke`, carried out by the functions that serve every other channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import trio

from actors.command_messages import PauseTask, RunTask
from actors.handling.payload import decode_json
from actors.handling.tools import INVOKE, Asker
from actors.model.execution import Execution
from actors.model.lifecycle import OPEN_STATES, State
from actors.model.policy import DEFAULT_POLICIES, Overlap
from actors.model.scope import Scope
from actors.model.task import MAX_NAME, Definition, Task
from actors.model.trigger import Once
from actors.node import Node
from actors.store.answers import ExecutionDetail
from runtime.clock import DAY, Instant
from runtime.errors import Conflict, InvalidRequest, InvocationFailed, NotFound, ReplyTimeout
from runtime.records import evolve

from .access.caller import Caller, Role
from .calls import Call
from .checks import known_type, parameters_text
from .config import suggestion
from .dispatch import Dispatcher
from .fields import parse_instant, show, whole_number
from .operations import BY_NAME, Argument

CHANNEL: Final = "task"
"""How an execution that a handler asked for came to be."""

ALLOWED: Final = frozenset(
    "add_task find_task list_tasks edit_task pause_task activate_task cancel_task run_task".split()
)
"""What handlers may ask for, of the table of operations."""

LOOK_SECONDS: Final = 5.0
"""How often a waiting handler's node looks into the store by itself: a watcher who is slow may miss a change."""

FAR: Final = 3_650 * DAY
"""A nominal time ten years away, for a task that is paused at once and runs only when it is invoked."""

MAX_CORRELATION: Final = 128
"""Characters of a correlation id."""


class ContextTools:
    """See `Tools`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._dispatch = Dispatcher(node)

    async def call(self, asker: Asker, operation: str, arguments: dict[str, Any]) -> Any:
        if operation == INVOKE:
            return await self._invoke(asker, **arguments)
        if operation not in ALLOWED:
            raise InvalidRequest(f"a handler cannot ask for {operation!r}")
        found = read_arguments(BY_NAME[operation].arguments, arguments)
        if operation == "run_task":
            found["body"] = {"correlation": asker.correlation[:MAX_CORRELATION], **(found["body"] or {})}
        return await self._dispatch(operation, Call(found, asker.name, CHANNEL, _caller(asker)))

    async def _invoke(
        self, asker: Asker, task: str, parameters: dict[str, Any] | None, wait: bool, timeout: float
    ) -> Any:
        target = await self._target(asker, task)
        if wait and target.id == asker.task_id:
            raise InvalidRequest(
                f"invoke: task {asker.task!r} cannot wait for itself; without waiting it can run itself again"
            )
        if not wait:
            return (await self._run(asker, target, parameters)).id
        execution: Execution | None = None
        with trio.move_on_after(timeout):
            async with self._node.herald.watch() as changes:
                execution = await self._run(asker, target, parameters)
                detail = await self._until_ended(execution.id, changes)
            return _result(target, detail)
        what = "was not begun" if execution is None else f"still goes on as execution {execution.id}"
        raise ReplyTimeout(f"invoke: task {target.definition.name!r} {what} after {timeout:g} s")

    async def _run(self, asker: Asker, target: Task, parameters: dict[str, Any] | None) -> Execution:
        text = None
        if parameters is not None:
            text = parameters_text(parameters)
        if parameters is not None or _is_for_invocations(target):
            known_type(self._node.catalogue, target.definition.type).check_parameters(parameters or {})
        correlation = asker.correlation[:MAX_CORRELATION]
        return await self._node.command(
            target.id, lambda reply: RunTask(target.id, text, CHANNEL, correlation, asker.name, reply)
        )

    async def _until_ended(self, execution_id: str, changes: trio.MemoryReceiveChannel[Any]) -> ExecutionDetail:
        while True:
            detail = await self._node.execution(execution_id)
            if detail.execution.state not in OPEN_STATES:
                return detail
            with trio.move_on_after(LOOK_SECONDS):
                async for happened in changes:
                    if any(one.id == execution_id for one in happened.executions):
                        break

    async def _target(self, asker: Asker, reference: str) -> Task:
        try:
            return await self._node.seen_by(Scope(asker.tenant)).task(reference)
        except NotFound as error:
            if reference not in self._node.catalogue:
                raise NotFound(f"{error}, and no task type of that name") from None
        return await self._of_type(asker, reference)

    async def _of_type(self, asker: Asker, type_name: str) -> Task:
        """The task through which a type is invoked that has been made into no task: in memory, paused, kept for the next time."""
        entry = known_type(self._node.catalogue, type_name)
        now = self._node.world.now()
        definition = Definition(
            id=self._node.world.new_id(),
            name=_name_for(type_name),
            type=type_name,
            trigger=Once(Instant(now + FAR)),
            policies=evolve(entry.policies or DEFAULT_POLICIES, overlap=Overlap.ALLOW),
            tags=(INVOKE,),
            persistent=False,
            tenant=asker.tenant,
            owner=asker.name,
            created_at=now,
        )
        try:
            return await self._node.task(definition.name, asker.tenant)
        except NotFound:
            [made] = await self._node.create([definition], asker.name)
        if isinstance(made, Conflict):
            return await self._node.task(definition.name, asker.tenant)
        if isinstance(made, Exception):
            raise made
        note = "runs when handlers invoke its type"
        return await self._node.command(made.id, lambda reply: PauseTask(made.id, note, asker.name, reply))


def _caller(asker: Asker) -> Caller:
    """A handler may do what operators may, to the tasks of its tenant."""
    return Caller(asker.name, Scope(asker.tenant), Role.OPERATOR)


def _name_for(type_name: str) -> str:
    return f"{INVOKE} {type_name}"[:MAX_NAME].rstrip()


def _is_for_invocations(task: Task) -> bool:
    return INVOKE in task.definition.tags and task.definition.name == _name_for(task.definition.type)


def _result(task: Task, detail: ExecutionDetail) -> Any:
    execution = detail.execution
    if execution.state is State.COMPLETED:
        return decode_json(detail.result)
    failure = execution.failure
    why = f": {failure.type}: {failure.message}" if failure is not None else ""
    raise InvocationFailed(f"task {task.definition.name!r} is {execution.state} in execution {execution.id}{why}")


def read_arguments(wanted: tuple[Argument, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an operation by name, defaults filled in. Raises InvalidRequest naming argument and value."""
    names = [argument.name for argument in wanted]
    for name in given:
        if name not in names:
            raise InvalidRequest(f"unknown argument {show(name)}{suggestion(str(name), names)}")
    return {argument.name: _checked(argument, given.get(argument.name)) for argument in wanted}


def _checked(argument: Argument, value: Any) -> Any:
    if value is None:
        if argument.required:
            raise InvalidRequest(f"{argument.name}: required")
        return argument.default
    match argument.kind:
        case "whole":
            return whole_number(value, argument.name, argument.low, argument.high)
        case "flag" if not isinstance(value, bool):
            raise InvalidRequest(f"{argument.name}: true or false, not {show(value)}")
        case "instant":
            return parse_instant(value, argument.name)
        case "text" if not isinstance(value, str):
            raise InvalidRequest(f"{argument.name}: a text, not {show(value)}")
    return value
