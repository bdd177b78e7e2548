"""Running a task type once for a caller: what all channels stand on.

An invocation is an execution like any other, with fence, limits, attempts and history. All those of a type belong to one task,
which the first of them makes: paused, so that no trigger runs it, tagged `invoke`, and with an id that every node computes alike.
An idempotency key becomes the id of the execution, so that the store itself knows whether it is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from actors.command_messages import CancelExecution, EditTask, PauseTask, RunTask
from actors.handling.payload import decode_json
from actors.model.execution import Execution
from actors.model.invocation import (
    MAX_INVOKED_EXTRA,
    TAG,
    Invocation,
    invoked_execution_id,
    invoked_task_id,
    is_for_invocations,
    wrapped,
)
from actors.model.lifecycle import OPEN_STATES, Phase, State
from actors.model.placement import ANYWHERE, Where
from actors.model.policy import DEFAULT_POLICIES, Overlap, Policies, Retry
from actors.model.task import MAX_NAME, Definition, Extra, Task
from actors.model.trigger import Once
from actors.store.answers import ExecutionDetail
from actors.tracing import asked_here
from runtime.clock import DAY, Instant, Micros
from runtime.errors import Conflict, Forbidden, InvalidRequest, InvocationFailed, NotFound, TooLarge
from runtime.records import evolve

from ..access.caller import Caller
from ..access.commands import check_parameters
from ..access.permissions import check
from ..allowed import COMMAND
from ..operations.table import BY_NAME
from ..vocabulary.checks import check_extra, known_type, parameters_text
from ..vocabulary.fields import show

if TYPE_CHECKING:
    from actors.handling.catalogue import TaskType
    from actors.node import Node

FAR: Final = 3_650 * DAY
"""A nominal time ten years away, for a task that is paused at once and runs only when it is invoked."""

NOTE: Final = "runs when its type is invoked"
"""Why such a task is paused."""

LABEL: Final = "policies"
"""The label that says which policies of the code a task for invocations was made with."""

FIRST_LOOK_SECONDS: Final = 0.05
LOOK_SECONDS: Final = 1.0
"""How often it is looked whether an execution has ended: soon at first, then every second. What ends on this node is heard of
at once; what ends on another one is found so."""

MAKE_SECONDS: Final = 2.0
"""How long the task of a type is waited for that somebody else makes at the same time: some commits of a busy store."""

MAX_KEY: Final = 128
"""Characters of an idempotency key."""

MAX_CORRELATION: Final = 128
"""Characters of a correlation id."""

LONGEST_TIMEOUT: Final = 7 * DAY
"""The longest time limit of one invocation; what takes longer is a task."""

AFTER_CRASHES: Final = Retry(max_retries=3, retry_on=("NodeCrashed",), give_up_on=("TimedOut",))
"""Retries of a type that says nothing of them: who invokes hears of a failure at once, but need not know of a node that died."""


@attrs.frozen
class Wanted:
    """What is to be run. `parameters` None: those of the task, of a type none at all.

    timeout: the time limit of an attempt in microseconds, as the type has it if None. key: whoever asks again with the same one
    gets the same execution. depth: how many handlers wait above it.
    """

    parameters: Mapping[str, Any] | None = None
    extra: Extra | None = None
    timeout: Micros | None = None
    correlation: str | None = None
    key: str | None = None
    depth: int = 0

    def text(self) -> str | None:
        """What the execution keeps of it, with the place in a trace from where it is asked. Raises InvalidRequest, TooLarge."""
        text = None if self.parameters is None else parameters_text(self.parameters)
        return asked_here(wrapped(Invocation(text, self.extra, self.timeout, self.depth)))


async def invoke(
    node: Node,
    caller: Caller,
    type_name: str,
    wanted: Wanted,
    *,
    channel: str,
    wait: float = 0.0,
    actor: str | None = None,
) -> ExecutionDetail:
    """Run a task type once, and wait up to `wait` seconds for its end; answers the execution as it is then.

    channel: what the handler sees as `ctx.channel`. actor: who stands in the audit log, the caller's user if None.
    Raises InvalidRequest for an unknown type and for parameters that it does not take, Conflict for a key that stands for
    another request, Forbidden, TooLarge, and what a store that is away raises.
    """
    execution = await begin(node, caller, type_name, wanted, channel=channel, actor=actor)
    return await until_ended(node.seen_by(caller.scope), execution.id, wait)


async def begin(
    node: Node, caller: Caller, type_name: str, wanted: Wanted, *, channel: str, actor: str | None = None
) -> Execution:
    """As `invoke`, without waiting."""
    check(BY_NAME["invoke"], caller)
    seen = node.seen_by(caller.scope)
    entry = known_type(node.catalogue, type_name)
    check_wanted(wanted)
    if type_name == COMMAND and not caller.is_root:
        raise Forbidden(f"only an administrator of all tenants may say what a task of type {COMMAND!r} runs")
    # A service has no parameters but those that it is called with.
    wanted = attrs.evolve(wanted, parameters={} if wanted.parameters is None else wanted.parameters)
    entry.check_parameters(dict(wanted.parameters or {}))
    who = caller.user if actor is None else actor
    task = await task_of_type(seen, entry, owner=caller.scope.owner or "", actor=who)
    return await run(seen, caller, task, wanted, channel=channel, actor=who)


async def run(seen: Node, caller: Caller, task: Task, wanted: Wanted, *, channel: str, actor: str) -> Execution:
    """Run a task once; `seen` is the node as the caller sees it. Raises as `invoke`."""
    if wanted.parameters is not None:
        check_parameters(caller, task.definition)
    text = wanted.text()
    execution_id = None if wanted.key is None else invoked_execution_id(task.id, wanted.key)
    try:
        return await seen.command(
            task.id,
            lambda reply: RunTask(task.id, text, channel, wanted.correlation, actor, reply, execution_id),
        )
    except Conflict as error:
        raise await _told_of_key(seen, error, wanted.key, execution_id) from None


async def _told_of_key(seen: Node, error: Conflict, key: str | None, execution_id: str | None) -> Conflict:
    """The same refusal; where the key is what is in the way, in its words."""
    if key is None or execution_id is None:
        return error
    try:
        await seen.execution(execution_id)
    except NotFound:
        return error
    return Conflict(
        f"the idempotency key {show(key)} stands for another request, which led to execution {execution_id}"
    )


def check_wanted(wanted: Wanted) -> None:
    """Raise InvalidRequest or TooLarge for what no execution can have."""
    for name, text, most in (("correlation", wanted.correlation, MAX_CORRELATION), ("key", wanted.key, MAX_KEY)):
        if text is not None and not (1 <= len(text) <= most and text.isprintable()):
            raise InvalidRequest(f"{name}: 1 to {most} printable characters, not {show(text)}")
    if wanted.timeout is not None and not 0 < wanted.timeout <= LONGEST_TIMEOUT:
        raise InvalidRequest(f"timeout: more than nothing, up to {LONGEST_TIMEOUT // DAY} d")
    check_extra(wanted.extra)
    if wanted.extra is not None and len(wanted.extra.data) > MAX_INVOKED_EXTRA:
        raise TooLarge(f"extra: {len(wanted.extra.data)} bytes, at most {MAX_INVOKED_EXTRA} with an invocation")


async def until_ended(seen: Node, execution_id: str, wait: float) -> ExecutionDetail:
    """The execution once it has ended, or as it is after `wait` seconds. Raises NotFound."""
    detail = await seen.execution(execution_id)
    if wait <= 0:
        return detail
    with trio.move_on_after(wait):
        async with seen.herald.watch() as changes:
            pause = FIRST_LOOK_SECONDS
            # What ended before there was a watcher is found by this look.
            detail = await seen.execution(execution_id)
            while detail.execution.state in OPEN_STATES:
                with trio.move_on_after(pause):
                    async for happened in changes:
                        if any(one.id == execution_id for one in happened.executions):
                            break
                pause = min(2 * pause, LOOK_SECONDS)
                detail = await seen.execution(execution_id)
    return detail


def has_ended(detail: ExecutionDetail) -> bool:
    """Whether it is known what became of an execution."""
    return detail.execution.state not in OPEN_STATES


def result_of(detail: ExecutionDetail, what: str) -> Any:
    """What the handler returned. Raises InvocationFailed for one that did not complete; `what` names it."""
    execution = detail.execution
    if execution.state is State.COMPLETED:
        return None if detail.result is None else decode_json(detail.result)
    failure = execution.failure
    why = f": {failure.type}: {failure.message}" if failure is not None else ""
    raise InvocationFailed(f"{what} is {execution.state} in execution {execution.id}{why}")


async def cancel(seen: Node, execution: Execution, actor: str) -> None:
    """End an execution. Raises Conflict if it has ended."""
    await seen.command(execution.task_id, lambda reply: CancelExecution(execution.task_id, execution.id, actor, reply))


# -- the task of a type


async def task_of_type(seen: Node, entry: TaskType, *, owner: str, actor: str) -> Task:
    """The task through which a type is invoked, made if there is none. `owner`: see `invoked_task_id`."""
    tenant = seen.scope.home
    task_id = invoked_task_id(tenant, owner, entry.name)
    wanted = _policies(entry)
    # A service is called once, wherever, even if its tasks run everywhere.
    placement = ANYWHERE if entry.placement.where is Where.ALL else entry.placement
    label = (LABEL, hashlib.sha256(repr((wanted, placement)).encode()).hexdigest()[:16])
    found = await _made(seen, task_id)
    if found is None:
        definition = Definition(
            id=task_id,
            name=_name(entry.name, owner, ""),
            type=entry.name,
            trigger=Once(Instant(seen.world.now() + FAR)),
            policies=wanted,
            tags=(TAG,),
            labels=(label,),
            tenant=tenant,
            owner=owner,
            created_at=seen.world.now(),
            placement=placement,
        )
        found = await _make(seen, definition, actor)
    if label not in found.definition.labels:
        found = await _renewed(
            seen, found, evolve(found.definition, policies=wanted, placement=placement), label, actor
        )
    if found.state.phase is Phase.ACTIVE:
        # Somebody else may have done so first.
        with suppress(Conflict):
            await seen.command(task_id, lambda reply: PauseTask(task_id, NOTE, actor, reply))
    return found


async def _made(seen: Node, task_id: str) -> Task | None:
    try:
        return await seen.task(task_id)
    except NotFound:
        return None


async def _make(seen: Node, definition: Definition, actor: str) -> Task:
    """Make the task; those who do so at the same time get the same one. Raises what refused it."""
    deadline = seen.world.monotonic() + MAKE_SECONDS
    while True:
        found = await _try_to_make(seen, definition, actor)
        if isinstance(found, Task):
            return found
        if not isinstance(found, Conflict) or seen.world.monotonic() >= deadline:
            raise found
        # Somebody else is making it: what is in the way cannot be seen before it is stored.
        await trio.sleep(FIRST_LOOK_SECONDS)


async def _try_to_make(seen: Node, definition: Definition, actor: str) -> Task | Exception:
    [made] = await seen.create([definition], actor)
    if isinstance(made, Conflict) and (found := await _made(seen, definition.id)) is not None:
        return found
    if isinstance(made, Conflict):
        # Somebody has made a task with this very name.
        second = evolve(definition, name=_name(definition.type, definition.owner, f" ({definition.id[:8]})"))
        [made] = await seen.create([second], actor)
    return made


async def _renewed(seen: Node, task: Task, wanted: Definition, label: tuple[str, str], actor: str) -> Task:
    """The task with the policies that the code has now. What people changed of it since stays until the code changes again."""
    kept = [pair for pair in task.definition.labels if pair[0] != LABEL]
    definition = evolve(wanted, labels=tuple(sorted([*kept, label])))
    try:
        edited: Task = await seen.command(
            task.id, lambda reply: EditTask(definition, None, actor, reply, task.definition)
        )
    except Conflict:
        return await seen.task(task.id)
    return edited


def _policies(entry: TaskType) -> Policies:
    """As the type has them, but any number at a time."""
    policies = entry.policies or DEFAULT_POLICIES
    retry = AFTER_CRASHES if policies.retry == DEFAULT_POLICIES.retry else policies.retry
    return evolve(policies, overlap=Overlap.ALLOW, retry=retry)


def _name(type_name: str, owner: str, end: str) -> str:
    whose = f" for {owner}" if owner else ""
    return f"{f'{TAG} {type_name}{whose}'[: MAX_NAME - len(end)].rstrip()}{end}"


__all__ = [
    "Wanted",
    "begin",
    "cancel",
    "check_wanted",
    "has_ended",
    "invoke",
    "is_for_invocations",
    "result_of",
    "run",
    "task_of_type",
    "until_ended",
]
