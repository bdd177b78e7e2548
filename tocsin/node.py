"""A node inside the user's program: `open_node`, and what can be asked of it from Python."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import trio

from actors import composition
from actors.command_messages import (
    ActivateTask,
    CancelTask,
    Command,
    DeleteTask,
    EditTask,
    PauseTask,
    ResumeTask,
    RetryTask,
    RunTask,
)
from actors.handling.catalogue import Catalogue
from actors.herald_messages import TopicMessage
from actors.model.calendar import Calendar
from actors.model.execution import Execution
from actors.model.lifecycle import Phase
from actors.model.policy import Policies
from actors.model.task import Definition, Task
from actors.model.trigger import Interval
from actors.node import Node
from actors.store.answers import ExecutionDetail, TaskFilter
from actors.store.port import DeliveryWrite
from actors.tracing import asked_here
from runtime.errors import Conflict, InvalidRequest, NotFound
from runtime.mailbox import Reply
from runtime.world import RealWorld, World

from .actions import actions_of
from .building.builder import ACTOR, TaskBuilder, add_many
from .channels.amqp import open_amqp
from .development import with_servers
from .durations import Duration
from .handlers.dead_man import dead_man
from .loading import load_catalogue
from .node_control import NodeControl
from .operations.context_tools import ContextTools
from .peers.forwarding import Answers
from .settings.config import SETTINGS, Config, load_config, suggestion
from .settings.node_settings import node_config
from .tasks import DECLARED_TASKS, DeclaredTask
from .tracing.opening import open_tracing
from .tracing.settings import TRACES
from .vocabulary.checks import (
    check_editable,
    check_note,
    check_run_id,
    check_when,
    known_type,
    parameters_text,
    parse_status,
)
from .vocabulary.definitions import definition_from_json
from .vocabulary.fields import show
from .vocabulary.references import references_in, resolve
from .vocabulary.triggers import seeded, trigger_from_json

logger = logging.getLogger(__name__)

T = TypeVar("T")

DECLARATION: Final = "code"
"""Who makes and changes declared tasks, as their owner and the audit log name it."""

_PAGE: Final = 200
"""Tasks fetched at a time by the iterator: some 100 kB."""


class LocalNode(NodeControl):
    """A node running in this program. Get it from `open_node`."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def inner(self) -> Node:
        """The node of the floor below, for servers and tests."""
        return self._node

    @property
    def catalogue(self) -> Catalogue:
        """The task types."""
        return self._node.catalogue

    @property
    def world(self) -> World:
        """Time and identity."""
        return self._node.world

    async def calendar(self, name: str, version: int | None = None, *, tenant: str = "") -> Calendar | None:
        """A stored calendar, in this version or the newest one; None if there is none."""
        return await self._node.calendar(name, version, tenant=tenant)

    async def create(self, definitions: Sequence[Definition], actor: str) -> list[Task | Exception]:
        """Make the tasks durable; for each the task or the error."""
        return await self._node.create(definitions, actor)

    def new_task(self, type_name: str) -> TaskBuilder:
        """Begin a task of this type; end with `await ....schedule()`."""
        return TaskBuilder(self, type_name)

    async def add_many(self, builders: Iterable[TaskBuilder]) -> list[Task | Exception]:
        """Make many tasks with one call: for each builder the task, or the error that refused it."""
        return await add_many(self, builders)

    async def every(
        self, period: Duration, type_name: str, *, name: str | None = None, persistent: bool = True, **parameters: Any
    ) -> Task:
        """A task that fires at a fixed rate, in one line. Raises InvalidRequest or Conflict."""
        return await self._one(self.new_task(type_name).with_period(period), name, persistent, parameters)

    async def cron(
        self,
        expression: str,
        type_name: str,
        *,
        timezone: str = "UTC",
        name: str | None = None,
        persistent: bool = True,
        **parameters: Any,
    ) -> Task:
        """A task that fires by a cron expression, in one line. Raises InvalidRequest or Conflict."""
        return await self._one(
            self.new_task(type_name).with_cron(expression, timezone=timezone), name, persistent, parameters
        )

    async def when(
        self,
        trigger: Mapping[str, Any],
        type_name: str,
        *,
        name: str | None = None,
        persistent: bool = True,
        **parameters: Any,
    ) -> Task:
        """A task with any trigger, written as in JSON, in one line: `{"everyMonths": 1, "day": "last", "at": "18:00"}`.

        Raises InvalidRequest or Conflict.
        """
        return await self._one(self.new_task(type_name).with_trigger(trigger), name, persistent, parameters)

    async def once(
        self,
        when: datetime | Duration,
        type_name: str,
        *,
        name: str | None = None,
        persistent: bool = True,
        **parameters: Any,
    ) -> Task:
        """A task that fires once, at an aware datetime or after a delay. Raises InvalidRequest or Conflict."""
        builder = self.new_task(type_name)
        builder = builder.at(when) if isinstance(when, datetime) else builder.after(when)
        return await self._one(builder, name, persistent, parameters)

    async def _one(self, builder: TaskBuilder, name: str | None, persistent: bool, parameters: dict[str, Any]) -> Task:
        if name is not None:
            builder.named(name)
        if not isinstance(persistent, bool):
            raise InvalidRequest(f"persistent: true or false, not {show(persistent)}")
        if not persistent:
            builder.non_persistent()
        return await builder.with_parameters(parameters).schedule()

    async def tasks(
        self, *, status: str | None = None, type_name: str | None = None, text: str | None = None
    ) -> AsyncIterator[Task]:
        """Every task that fits, stored and in memory, in order of id."""
        wanted = TaskFilter(
            status=None if status is None else parse_status(status), type=type_name, text=text, limit=_PAGE
        )
        while True:
            page = await self._node.page(wanted)
            for task in page.tasks:
                yield task
            if len(page.tasks) < _PAGE:
                return
            wanted = attrs.evolve(wanted, offset=wanted.offset + _PAGE)

    async def run(
        self, reference: str, parameters: Mapping[str, Any] | None = None, *, execution_id: str | None = None
    ) -> Execution:
        """Run a task now, whatever its trigger says.

        execution_id: that the execution shall have; who asks again with the same one, because an answer was lost, gets the same
        execution, ended or not, for as long as it is kept. Raises Conflict when overlap forbids it, and when the id is that of
        another run.
        """
        wanted = check_run_id(execution_id)
        task = await self.task(reference)
        text = None
        if parameters is not None:
            text = parameters_text(parameters)
            known_type(self.catalogue, task.definition.type).check_parameters(dict(parameters))
        return await self._ask(
            task, lambda reply: RunTask(task.id, asked_here(text), "task", None, ACTOR, reply, wanted)
        )

    async def execution(self, execution_id: str) -> ExecutionDetail:
        """One execution with attempts, result, checkpoint and progress. Raises NotFound."""
        return await self._node.execution(execution_id)

    async def executions(self, reference: str, *, offset: int = 0, limit: int = 50) -> list[Execution]:
        """A task's executions, newest first."""
        rows, _ = await self._node.executions((await self.task(reference)).id, offset=offset, limit=limit)
        return rows

    async def deliveries(self, reference: str, *, offset: int = 0, limit: int = 50) -> list[DeliveryWrite]:
        """What became of what a task's event triggers wanted done, newest first."""
        rows, _ = await self._node.deliveries((await self.task(reference)).id, offset=offset, limit=limit)
        return rows

    def watch_topic(self, name: str) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[TopicMessage]]:
        """What event triggers tell a topic from now on: `async with node.watch_topic("alarms") as messages: ...`."""
        return self._node.watch_topic(name)

    async def pause(self, reference: str, note: str | None = None) -> Task:
        """Fire no more until activated."""
        check_note(note)
        task = await self.task(reference)
        return await self._ask(task, lambda reply: PauseTask(task.id, note, ACTOR, reply))

    async def activate(self, reference: str, trigger: Mapping[str, Any] | None = None) -> Task:
        """Go on after a pause, or begin anew, with another trigger if one is given, written as in JSON."""
        task = await self.task(reference)
        if trigger is None:
            return await self._ask(task, lambda reply: ActivateTask(task.id, None, None, ACTOR, reply))
        known = await resolve(self, references_in({"trigger": trigger}), task.definition.tenant)
        found, bounds = trigger_from_json(trigger, self.world.now(), known=known)
        found = seeded(found, task.id)
        check_when(found, bounds, self.world.now())
        return await self._ask(task, lambda reply: ActivateTask(task.id, found, bounds, ACTOR, reply))

    async def edit(self, reference: str, changes: Mapping[str, Any]) -> Task:
        """Change a task's definition: fields as in JSON, `{"policies": {"timeout": "5m"}}`; what is not named stays.

        Raises InvalidRequest, NotFound, and StaleVersion when somebody else edited it meanwhile.
        """
        task = await self.task(reference)
        check_editable(task.definition)
        known = await resolve(self, references_in(changes), task.definition.tenant)
        definition = definition_from_json(
            changes,
            self.catalogue,
            self.world.now(),
            task_id=task.id,
            owner=task.definition.owner,
            base=task.definition,
            known=known,
        )
        return await self._ask(task, lambda reply: EditTask(definition, None, ACTOR, reply, task.definition))

    async def retry(self, reference: str, *, reset: bool = False) -> Task:
        """Run the last execution again, which has failed; `reset` counts failures from 0."""
        task = await self.task(reference)
        last = task.state.last_execution
        execution = None if last is None else (await self.execution(last)).execution
        return await self._ask(task, lambda reply: RetryTask(task.id, execution, reset, ACTOR, reply))

    async def resume(self, reference: str) -> Task:
        """Go on with the execution that is held after a crash."""
        task = await self.task(reference)
        return await self._ask(task, lambda reply: ResumeTask(task.id, ACTOR, reply))

    async def cancel(self, reference: str) -> Task:
        """End a task and what it runs; its record stays."""
        task = await self.task(reference)
        return await self._ask(task, lambda reply: CancelTask(task.id, ACTOR, reply))

    async def delete(self, reference: str) -> Task:
        """Remove a task with its history."""
        task = await self.task(reference)
        return await self._ask(task, lambda reply: DeleteTask(task.id, ACTOR, reply))

    async def _ask(self, task: Task, make: Callable[[Reply[T]], Command]) -> T:
        return await self._node.command(task.id, make)

    def health(self) -> list[str]:
        """What is wrong with the node; empty when nothing is."""
        return self._node.health()

    async def drain(self, grace_seconds: float | None = None) -> None:
        """Take no new work, and let what runs come to an end within the drain timeout, or within `grace_seconds`."""
        await self._node.drain(grace_seconds)


@asynccontextmanager
async def open_node(
    file: str | Path | None = None, *, catalogue: Catalogue | None = None, world: World | None = None, **settings: Any
) -> AsyncIterator[LocalNode]:
    """Run a node in this program while the block runs: its store is SQLite in the data directory.

    file: a TOML file; without it `tocsin.toml` of the current directory if there is one. settings: values over it, named as
    in `Config`: `data=`, `slots=`, ... catalogue: the task types; without it the built-in ones and those that decorators
    declared. The end of the block drains the node. A cancelled block interrupts handlers at once, at no cost to their
    executions, records that, and ends the node in order, within 15 seconds at most.
    Raises InvalidRequest for a wrong setting and outside trio, AlreadyRunning when another node has the data directory.
    """
    if not trio.lowlevel.in_trio_run():
        raise InvalidRequest(
            "a node runs in trio: start the program with trio.run(main), not with asyncio or without a loop"
        )
    flags = {_key_of(name): value for name, value in settings.items()}
    environment = (world or RealWorld()).environment()
    config = load_config(environment, None if file is None else Path(file), flags).config
    world = world or composition.real_world(node_config(config))
    if catalogue is None:
        catalogue = load_catalogue(config.tasks, world, placements=config.own_placements, reachable=config.http_allowed)
    with single_error():
        async with open_configured(config, catalogue, world) as node:
            yield node


@asynccontextmanager
async def open_configured(config: Config, catalogue: Catalogue, world: World | None = None) -> AsyncIterator[LocalNode]:
    """`open_node` with settings that are read already: makes the data directory, its own servers, and the declared tasks."""
    try:
        config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidRequest(f"data: cannot make the directory {str(config.data)!r}: {error.strerror}") from None
    world = world or composition.real_world(node_config(config))
    actions = actions_of(config, world)
    ping = dead_man(config.dead_man_url.text) if config.dead_man_url else None
    async with (
        with_servers(config, world) as config,
        open_tracing(config, world) as tracer,
        composition.open_node(
            node_config(config), catalogue, world, tools=ContextTools, actions=actions, ping=ping, tracer=tracer
        ) as node,
    ):
        if tracer is not None:
            node.tallies[TRACES] = tracer.told
        if node.cluster is not None:
            node.cluster.answer = Answers(node)
        face = LocalNode(node)
        await make_declared(face, DECLARED_TASKS.values())
        async with open_amqp(node, config):
            yield face


def _key_of(name: str) -> str:
    keys: dict[str, str] = {field.name: key for key, field in SETTINGS.items()}
    if name not in keys:
        raise InvalidRequest(f"unknown setting {name!r}{suggestion(name, keys)}")
    return keys[name]


@contextmanager
def single_error() -> Iterator[None]:
    """A single error that the node's nursery wrapped in a group comes out as itself."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if error is group:
            raise
        raise error from None


async def make_declared(node: LocalNode, declared: Iterable[DeclaredTask]) -> None:
    """Make the tasks that stand beside their handlers; change one whose code says something else than the store.

    A task follows its declaration if a declaration made it and its type is still the same; of any other task of that name a
    warning tells, and it stays as it is. Of such a task the trigger, parameters, tags and policies are the code's, but for two
    numbers that are the operator's once the task is made: retries and the time between them, which `configure` sets. What was
    cancelled stays cancelled. Raises InvalidRequest for a declaration that is wrong.
    """
    for entry in declared:
        if entry.type not in node.catalogue:
            continue
        definition = await _declared_definition(node, entry, node.world.new_id())
        made: Task | Exception = Conflict(f"there is a task {entry.name!r} already")
        if not await _is_there(node, definition):
            [made] = await node.create((definition,), DECLARATION)
        if isinstance(made, Conflict):
            await _bring_up_to_date(node, entry, definition)
        elif isinstance(made, Exception):
            raise made


async def _is_there(node: LocalNode, wanted: Definition) -> bool:
    """Whether such a task was made before: asking costs less than being refused, most of all where many nodes start at once."""
    try:
        return (await node.task(wanted.name)).definition.persistent is wanted.persistent
    except NotFound:
        return False


async def _declared_definition(node: LocalNode, entry: DeclaredTask, task_id: str) -> Definition:
    """What the declaration says. task_id: its relative times count from when this id was made."""
    try:
        builder = _declared_builder(node, entry)
        return attrs.evolve(builder.build(await resolve(node, builder.references()), task_id), owner=DECLARATION)
    except InvalidRequest as error:
        raise InvalidRequest(f"task {entry.name!r} declared in {entry.place}: {error}") from None


def _declared_builder(node: LocalNode, entry: DeclaredTask) -> TaskBuilder:
    builder = node.new_task(entry.type).named(entry.name).with_parameters(entry.parameters).tags(*entry.tags)
    if not entry.persistent:
        builder.non_persistent()
    if entry.trigger is not None:
        return builder.with_trigger(entry.trigger)
    return (
        builder.with_cron(entry.cron, timezone=entry.timezone) if entry.cron else builder.with_period(entry.every or "")
    )


async def _bring_up_to_date(node: LocalNode, entry: DeclaredTask, wanted: Definition) -> None:
    task = await node.task(wanted.name)
    former = task.definition
    if (former.owner, former.type, former.persistent) != (DECLARATION, wanted.type, wanted.persistent):
        logger.warning(
            "task %r is declared in code with type %r, but task %s of type %r made by %r has the name: it is left as it is",
            wanted.name,
            wanted.type,
            former.id,
            former.type,
            former.owner,
        )
        return
    if task.state.phase not in (Phase.ACTIVE, Phase.PAUSED):
        # Somebody cancelled it: a person's decision stands.
        return
    if entry.trigger is not None:
        # What is relative in it counts from when the task's id was made, or each start would move it.
        wanted = await _declared_definition(node, entry, former.id)
    trigger = seeded(wanted.trigger, former.id)
    if isinstance(trigger, Interval) and isinstance(former.trigger, Interval) and trigger.every == former.trigger.every:
        trigger = former.trigger
    definition = attrs.evolve(
        former,
        trigger=trigger,
        bounds=wanted.bounds,
        parameters=wanted.parameters,
        policies=_operators(wanted.policies, former.policies),
        tags=wanted.tags,
    )
    if definition != former:
        logger.info("task %r is changed to what its code declares", wanted.name)
        await node._ask(task, lambda reply: EditTask(definition, None, DECLARATION, reply, former))


def _operators(declared: Policies, present: Policies) -> Policies:
    """The declared policies with the retry numbers that the task has."""
    retry = attrs.evolve(declared.retry, max_retries=present.retry.max_retries, delay=present.retry.delay)
    return attrs.evolve(declared, retry=retry)
