"""The fluent builder: one task described verb by verb, then scheduled.

Building is on the way of every task that a program adds, so a verb stores what it is given and `build` checks everything once;
equal cron triggers are one object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self

import trio

from actors.model.calendar import Calendar
from actors.model.task import Definition, Extra, Task
from runtime.errors import InvalidRequest, TocsinError
from runtime.ids import made_at

from ..durations import Duration
from ..vocabulary.checks import known_type
from ..vocabulary.definitions import check_dependencies, make_definition, read_dependencies
from ..vocabulary.event_triggers import read_events
from ..vocabulary.fields import show
from ..vocabulary.placements import read_placement
from ..vocabulary.references import NOTHING, Known, References, references_in, resolve
from ..vocabulary.words import LABELS, OWNER, TENANT
from .when import TriggerVerbs, check_type

if TYPE_CHECKING:
    from actors.handling.catalogue import Catalogue
    from actors.model.placement import Placement
    from runtime.world import World

ACTOR = "program"
"""Who changes things through the Python interface, as the audit log names it."""


class Scheduler(Protocol):
    """What the builder needs of a node."""

    @property
    def catalogue(self) -> Catalogue:
        """The task types."""
        ...

    @property
    def world(self) -> World:
        """Time and identity."""
        ...

    async def task(self, reference: str) -> Task:
        """The task of this id, prefix or name. Raises NotFound."""
        ...

    async def calendar(self, name: str, version: int | None = None, *, tenant: str = "") -> Calendar | None:
        """The calendar in this version, or the newest; None if there is none."""
        ...

    async def create(self, definitions: Sequence[Definition], actor: str) -> list[Task | Exception]:
        """Make the tasks durable; for each the task or the error."""
        ...


class TaskBuilder(TriggerVerbs):
    """A task in the making. Every verb answers the builder; `schedule` makes the task.

    Raises InvalidRequest, naming field and value, at the verb or in `schedule`.
    """

    __slots__ = (
        "_dependencies",
        "_events",
        "_extra",
        "_labels",
        "_name",
        "_node",
        "_owner",
        "_parameters",
        "_persistent",
        "_placement",
        "_tags",
        "_tenant",
        "_type",
    )

    def __init__(self, node: Scheduler, type_name: str) -> None:
        super().__init__(node.world)
        self._node = node
        self._type = type_name
        self._name: str | None = None
        self._parameters: dict[str, Any] | None = None
        self._tags: tuple[str, ...] = ()
        self._labels: dict[str, str] | None = None
        self._extra: Extra | None = None
        self._persistent = True
        self._owner, self._tenant = ACTOR, ""
        self._dependencies: dict[str, Any] | None = None
        self._events: list[dict[str, Any]] | None = None
        self._placement: dict[str, Any] | None = None

    def named(self, name: str) -> Self:
        """The task's name, unique on the node; without one it is made from type and id."""
        self._name = name
        return self

    def with_parameters(self, parameters: Mapping[str, Any] | None = None, /, **named: Any) -> Self:
        """The handler's parameters: JSON values by name."""
        if parameters is not None and not isinstance(parameters, Mapping):
            raise InvalidRequest(f"parameters: values by name, not {show(parameters)}")
        self._parameters = {**(self._parameters or {}), **(parameters or {}), **named}
        return self

    def non_persistent(self) -> Self:
        """Keep it in the node's memory only: faster, and gone with the node."""
        self._persistent = False
        return self

    def owned_by(self, owner: str, *, tenant: str = "") -> Self:
        """The user, and the tenant, that the task belongs to; the program itself if not said."""
        self._owner = OWNER.read(owner, "owner")
        self._tenant = TENANT.read(tenant, "tenant")
        return self

    def tags(self, *tags: str | Sequence[str]) -> Self:
        """Words for people, as arguments or in a list."""
        found: list[Any] = [tag for entry in tags for tag in (entry if isinstance(entry, list | tuple) else [entry])]
        for tag in found:
            check_type(tag, str, "tags")
        self._tags = tuple(found)
        return self

    def labels(self, labels: Mapping[str, str] | None = None, /, **named: str) -> Self:
        """Values by name, for people and programs."""
        if labels is not None and not isinstance(labels, Mapping):
            raise InvalidRequest(f"labels: texts by name, not {show(labels)}")
        self._labels = {**(self._labels or {}), **(labels or {}), **named}
        return self

    def extra(self, data: bytes, content_type: str = "application/octet-stream") -> Self:
        """Opaque bytes, given to the handler exactly so."""
        check_type(data, bytes, "extra")
        check_type(content_type, str, "extra")
        self._extra = Extra(data, content_type)
        return self

    def depends_on(self, *parents: str, mode: Literal["all", "any"] = "all", fail_fast: bool = False) -> Self:
        """Wait until these tasks, by name or id, have completed; with `fail_fast` no longer than they can."""
        self._dependencies = {"parents": list(parents), "mode": mode, "failFast": fail_fast}
        return self

    def on_event(
        self,
        name: str,
        *actions: Mapping[str, Any],
        on: Sequence[str] | None = None,
        condition: str | None = None,
        mode: Literal["level", "edge"] | None = None,
        throttle: Duration | None = None,
    ) -> Self:
        """What follows an outcome in `on` when the condition is true.

        An action is an object as in JSON: `{"kind": "webhook", "url": ...}`; the kinds are webhook, email, topic and run_task.
        """
        said = {"on": on, "condition": condition, "mode": mode, "throttle": throttle}
        event = {"name": name, "actions": list(actions)} | {
            key: value for key, value in said.items() if value is not None
        }
        self._events = [*(self._events or []), event]
        return self

    def on_all_nodes(self) -> Self:
        """Run on each executor that has the task type."""
        return self._placed(on="all")

    def on_nodes(self, *names: str) -> Self:
        """Run on one of the nodes with these names."""
        return self._placed(on="nodes", nodes=list(names))

    def on_nodes_with(self, labels: Mapping[str, str] | None = None, /, **named: str) -> Self:
        """Run on one of the nodes that have all these labels."""
        if labels is not None and not isinstance(labels, Mapping):
            raise InvalidRequest(f"labels: texts by name, not {show(labels)}")
        return self._placed(on="selector", labels={**(labels or {}), **named})

    def placed(self, *, strategy: str) -> Self:
        """How one of the nodes is chosen: least_loaded, round_robin, random, pinned, rules, or a plug-in of the node."""
        self._placement = {**(self._placement or {}), "strategy": strategy}
        return self

    def _placed(self, **where: Any) -> Self:
        """The last verb that says where counts."""
        said = self._placement or {}
        self._placement = where | {key: value for key, value in said.items() if key == "strategy"}
        return self

    @property
    def tenant(self) -> str:
        """The tenant that the task belongs to."""
        return self._tenant

    def references(self) -> References:
        """What the task names and the node has to look for: calendars and other tasks."""
        return references_in({"trigger": self.named_by_trigger(), "dependencies": self._dependencies})

    def build(self, known: Known = NOTHING, task_id: str | None = None) -> Definition:
        """The checked definition.

        known: what `references` named. task_id: relative times of the trigger count from when this id was made, so that they
        come out the same whenever it is asked; without it the task gets a new id, and they count from now.
        """
        node = self._node
        world, catalogue = node.world, node.catalogue
        now = world.now() if task_id is None else made_at(task_id)
        task_id = world.new_id() if task_id is None else task_id
        trigger, bounds = self.when(now, self._type, known)
        definition = make_definition(
            catalogue,
            now,
            task_id=task_id,
            name=f"{self._type} {task_id[-12:]}" if self._name is None else self._name,
            type_name=self._type,
            trigger=trigger,
            bounds=bounds,
            parameters=self._parameters,
            extra=self._extra,
            policies=self.how(catalogue, self._type),
            tags=self._tags,
            persistent=self._persistent,
            owner=self._owner,
            tenant=self._tenant,
            labels=() if self._labels is None else LABELS.read(self._labels, "labels"),
            dependencies=read_dependencies(self._dependencies, None, known),
            events=() if self._events is None else read_events(self._events),
            placement=None if self._placement is None else self._where(catalogue),
        )
        if definition.dependencies is not None:
            check_dependencies(definition, known)
        return definition

    def _where(self, catalogue: Catalogue) -> Placement:
        return read_placement(self._placement, known_type(catalogue, self._type).placement)

    async def schedule(self) -> Task:
        """Make the task; durable when this returns (a non-persistent one: held). Raises Conflict for a name in use."""
        known = await resolve(self._node, self.references(), self._tenant)
        [made] = await self._node.create((self.build(known),), ACTOR)
        if isinstance(made, Exception):
            raise made
        return made


SLICE: Final = 500
"""Tasks that `add_many` builds and sends at once: some 5 ms of the loop, and half a commit's worth."""

SLICES_UNDER_WAY: Final = 4
"""Slices sent and not answered: enough that the keeper never waits for the next one."""


async def add_many(node: Scheduler, builders: Iterable[TaskBuilder]) -> list[Task | Exception]:
    """Make many tasks with one call, in slices, so that nothing else waits long.

    Answers for each builder the task, or the error that refused it.
    """
    answers: list[list[Task | Exception]] = []
    room = trio.Semaphore(SLICES_UNDER_WAY)
    waiting = iter(builders)
    async with trio.open_nursery() as nursery:
        while some := list(islice(waiting, SLICE)):
            await room.acquire()
            answers.append([])
            nursery.start_soon(_add_slice, node, some, answers[-1], room)
    return [answer for part in answers for answer in part]


async def _add_slice(
    node: Scheduler, builders: list[TaskBuilder], answers: list[Task | Exception], room: trio.Semaphore
) -> None:
    built = [await _built(node, builder) for builder in builders]
    good = [definition for definition in built if isinstance(definition, Definition)]
    try:
        made = iter(await node.create(good, ACTOR) if good else [])
        answers.extend(next(made) if isinstance(entry, Definition) else entry for entry in built)
    except TocsinError as error:
        answers.extend(error if isinstance(entry, Definition) else entry for entry in built)
    finally:
        room.release()


async def _built(node: Scheduler, builder: TaskBuilder) -> Definition | Exception:
    try:
        return builder.build(await resolve(node, builder.references(), builder.tenant))
    except InvalidRequest as error:
        return error
