"""What a file set wants, read against what is stored: a definition for each task, and every problem with its file and line.

What a file does not say about a task is as for a new one. Applying a file twice changes nothing, so what would be counted from
"now" is not: the grid of an interval without an anchor begins when the task was made, or stays where it is as long as the
rest of the trigger does; `after` and a relative start or end are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from actors.handling.catalogue import Catalogue, TaskType
from actors.lanes import COMPUTED
from actors.model.calendar import EPOCH_DAY, Calendar
from actors.model.lifecycle import Phase
from actors.model.system import is_system
from actors.model.task import Definition, Task, TaskState
from actors.model.trigger import CalendarInterval, Interval, Once, Trigger, Union
from actors.when.triggers import next_allowed
from actors.when.zones import zone
from runtime.clock import DAY, SECOND, Instant
from runtime.errors import InvalidRequest, NotFound, TocsinError
from runtime.records import evolve
from runtime.turns import CHANGES

from ..vocabulary.calendar_json import calendar_from_json
from ..vocabulary.checks import check_note, check_when, known_type
from ..vocabulary.definitions import definition_from_json, definition_json
from ..vocabulary.fields import parse_instant, show
from ..vocabulary.references import CalendarName, Known, References, references_in, resolve
from .documents import Entry, FileSet, Problems
from .pieces import COMPARED_AT_ONCE, LOOKED_THROUGH_AT_ONCE, in_turns

if TYPE_CHECKING:
    from actors.node import Node

OWNERSHIP: Final = "tocsin.owner"
"""The label that says which file set a task belongs to: the one of them that prunes it."""


@attrs.frozen(eq=False)
class Target:
    """What one task shall be. `task`: as it is stored, None for one that is not there. `known`: this node has its type."""

    entry: Entry
    definition: Definition
    task: Task | None
    known: bool = True

    @property
    def same(self) -> bool:
        """Whether the stored definition says the same. Which version of a calendar it was settled under is no difference."""
        return self.task is not None and shown(self.task.definition) == shown(self.definition)

    @property
    def same_times(self) -> bool:
        """Whether the stored definition names the same times."""
        return self.task is not None and shown(self.task.definition)["trigger"] == shown(self.definition)["trigger"]


@attrs.frozen(eq=False)
class CalendarTarget:
    """What one calendar shall be. `stored` None: there is none of the name."""

    entry: Entry
    calendar: Calendar
    stored: Calendar | None

    @property
    def same(self) -> bool:
        """Whether the stored one holds the same."""
        return self.stored is not None and evolve(self.calendar, version=self.stored.version) == self.stored


@attrs.frozen(eq=False)
class Wanted:
    """What a file set wants, all of it checked."""

    tasks: tuple[Target, ...]
    calendars: tuple[CalendarTarget, ...]


def shown(definition: Definition) -> dict[str, Any]:
    """A definition as it is compared: what a person wrote, and whose it is."""
    return definition_json(definition) | {"owner": definition.owner}


async def read_targets(node: Node, files: FileSet, *, owner: str, label: str | None) -> Wanted:
    """What the files want. owner: whose new tasks are. label: the ownership label that each gets; None: as the file says.

    Raises InvalidRequest with every problem. Writes nothing.
    """
    problems = Problems()
    calendars = await _calendars(node, files.calendars, problems)
    there: set[str] = set()
    for start in range(0, len(files.tasks), COMPARED_AT_ONCE):
        await node.turns.take(CHANGES)
        there |= await node.control.names_there([one.name for one in files.tasks[start : start + COMPARED_AT_ONCE]])
    stored = [await _stored(node, entry, entry.name in there, problems) for entry in files.tasks]
    known = await _known(node, files.tasks, stored, calendars)
    reading = _Reading(node, known, owner, label)

    def read(place: int) -> Target | None:
        entry, task = files.tasks[place], stored[place]
        try:
            return reading.target(entry, task, known.tasks[entry.name].id)
        except TocsinError as error:
            problems.add(entry.problem(error))
            return None

    found = await in_turns(node, read, range(len(stored)))
    problems.refuse()
    tasks = [target for target in found if target is not None]
    await _check_cycles(node, tasks, problems)
    problems.refuse()
    return Wanted(tuple(tasks), tuple(calendars))


async def _calendars(node: Node, entries: Iterable[Entry], problems: Problems) -> list[CalendarTarget]:
    found = []
    for entry in entries:
        read = partial(calendar_from_json, entry.name, entry.body, node.world.now(), node.scope.home)
        try:
            calendar = await node.world.blocking(read, lane=COMPUTED)
        except TocsinError as error:
            problems.add(entry.problem(error))
        else:
            found.append(CalendarTarget(entry, calendar, await node.calendar(entry.name)))
    return found


async def _stored(node: Node, entry: Entry, is_there: bool, problems: Problems) -> Task | None:
    """The task that an entry is about: the one of its id, else the one of its name, if that is there."""
    by_name = await _named(node, entry.name) if is_there else None
    by_id = None if entry.id is None else await _of_id(node, entry.id)
    if by_id is not None and by_name is not None and by_id.id != by_name.id:
        problems.add(f"{entry.file}:{entry.line}: {entry.name}: is the name of another task, {by_name.id}")
    return by_id or by_name


async def _named(node: Node, name: str) -> Task | None:
    try:
        task = await node.task(name)
    except NotFound:
        return None
    return task if task.definition.name == name else None


async def _of_id(node: Node, task_id: str) -> Task | None:
    try:
        return await node.task(task_id)
    except NotFound:
        return None


async def _known(
    node: Node, entries: Sequence[Entry], stored: Sequence[Task | None], calendars: Iterable[CalendarTarget]
) -> Known:
    own: dict[str, Task] = {}

    def name(place: int) -> References:
        entry, task = entries[place], stored[place]
        task_id = task.id if task is not None else entry.id or node.world.new_id()
        stands_for = Definition(
            task_id, entry.name, str(entry.body.get("taskType")), Once(Instant(0)),
            persistent=entry.body.get("persistent") is not False, tenant=node.scope.home,
        )  # fmt: skip
        own[entry.name] = own[task_id] = Task(stands_for, TaskState())
        if entry.id is not None:
            own[entry.id] = own[entry.name]
        return references_in(entry.body)

    named_there = await in_turns(node, name, range(len(entries)), LOOKED_THROUGH_AT_ONCE)
    found = [
        await resolve(node, References(one.calendars, one.tasks - own.keys()), node.scope.home)
        for one in dict.fromkeys(named_there)
    ]
    named: dict[CalendarName, Calendar] = {}
    for one in found:
        named |= one.calendars
    named |= {(target.calendar.name, None): target.stored if target.same and target.stored else target.calendar
              for target in calendars}  # fmt: skip
    return Known(named, {name: task for one in found for name, task in one.tasks.items()} | own)


@attrs.frozen(eq=False)
class _Reading:
    """What all entries are read with."""

    node: Node
    known: Known
    owner: str
    label: str | None

    def target(self, entry: Entry, task: Task | None, task_id: str) -> Target:
        if task is not None and is_system(task.definition):
            raise InvalidRequest(f"is a task of the node itself, {show(entry.name)}: its definition is configured")
        check_note(entry.note)
        _check_absolute(entry.body.get("trigger"), "trigger")
        now = self.node.world.now()
        if task is None:
            definition = self._definition(entry, None, task_id, now)
            _check_times(definition, now, entry.paused is True, new=True)
            return Target(entry, definition, None)
        known = task.definition.type in self.node.catalogue
        found = Target(entry, self._on_its_grid(entry, task), task, known)
        if found.definition.persistent is not task.definition.persistent:
            raise InvalidRequest(
                f"persistent: cannot be changed to {show(found.definition.persistent)}; make a new task"
            )
        if found.same:
            return Target(entry, evolve(task.definition, bounds=found.definition.bounds), task, known)
        known_type(self.node.catalogue, found.definition.type)
        if not found.same_times:
            check_when(found.definition.trigger, found.definition.bounds, now)
            _check_times(found.definition, now, stays_quiet(found), new=False)
        return found

    def _definition(self, entry: Entry, task: Task | None, task_id: str, now: Instant) -> Definition:
        return definition_from_json(
            self._labelled(entry, task),
            self._catalogue(task),
            now,
            task_id=task_id,
            owner=self._owner(entry, task),
            tenant=self.node.scope.home if task is None else task.definition.tenant,
            known=self.known,
        )

    def _catalogue(self, task: Task | None) -> Catalogue:
        """The task types of this node, and that of the stored task: what is written as it is stored needs no handler here."""
        known = self.node.catalogue
        if task is None or task.definition.type in known:
            return known
        return Catalogue([TaskType(task.definition.type, _not_here, "async")], base=known)

    def _on_its_grid(self, entry: Entry, task: Task) -> Definition:
        """The definition, with the stored trigger if that is what the file's comes to where the stored one began."""
        stored = task.definition
        found = self._definition(entry, task, task.id, stored.created_at)
        for begin in _beginnings(stored.trigger):
            if found.trigger == stored.trigger:
                break
            if self._definition(entry, task, task.id, begin).trigger == stored.trigger:
                found = evolve(found, trigger=stored.trigger)
        return found

    def _owner(self, entry: Entry, task: Task | None) -> str:
        stored = self.owner if task is None else task.definition.owner
        wanted = stored if entry.owner is None else entry.owner
        if wanted != stored and self.node.scope.owner is not None:
            raise InvalidRequest(f"owner: {show(stored)}, and only who sees the tasks of all users may say another")
        return wanted

    def _labelled(self, entry: Entry, task: Task | None) -> dict[str, Any]:
        """The body, with the label of ownership."""
        given = entry.body.get("labels")
        if given is not None and not isinstance(given, Mapping):
            return dict(entry.body)
        labels = dict(given or {})
        has = None if task is None else dict(task.definition.labels).get(OWNERSHIP)
        says = labels.get(OWNERSHIP)
        for other in (has, says):
            if self.label is not None and other is not None and other != self.label:
                raise InvalidRequest(
                    f"labels.{OWNERSHIP}: belongs to the file set {show(other)}, not to {show(self.label)}"
                )
        label = self.label or says or has
        if label is not None:
            labels[OWNERSHIP] = label
        return {**entry.body, "labels": labels}


async def _not_here(context: Any, **parameters: Any) -> None:
    raise NotImplementedError("a node that has the type does it")


def stays_quiet(target: Target) -> bool:
    """Whether the task will not fire by itself when the file set has been applied."""
    entry, phase = target.entry, None if target.task is None else target.task.state.phase
    return entry.paused is True or (entry.paused is None and phase is Phase.PAUSED)


def _beginnings(trigger: Trigger) -> Iterator[Instant]:
    """Instants at which a trigger that names no anchor may have been read, so that it became this one."""
    for member in trigger.triggers if isinstance(trigger, Union) else (trigger,):
        match member:
            case Interval(anchor=anchor):
                yield anchor
            case CalendarInterval(anchor_day=day, time_of_day=time, timezone=timezone):
                midnight = (day - EPOCH_DAY) * DAY
                offset = zone(timezone).offset(midnight // SECOND) * SECOND
                yield Instant(midnight - offset)
                yield Instant(midnight - offset + time - 1)
            case _:
                pass


def _check_absolute(trigger: object, path: str) -> None:
    """Raise InvalidRequest for a trigger that is counted from now."""
    if not isinstance(trigger, Mapping):
        return
    if trigger.get("after") is not None:
        raise InvalidRequest(f"{path}.after: a file says when, not how long after it is read: write at, with a time")
    for key in ("start", "end"):
        if trigger.get(key) is not None:
            parse_instant(trigger[key], f"{path}.{key}", "UTC")
    members = trigger.get("any")
    for index, member in enumerate(members if isinstance(members, list) else ()):
        _check_absolute(member, f"{path}.any[{index}]")


def _check_times(definition: Definition, now: Instant, quiet: bool, *, new: bool) -> None:
    """Raise InvalidRequest for times that the store would refuse: none is left."""
    if quiet or (new and isinstance(definition.trigger, Once)):
        return
    if next_allowed(definition.trigger, definition.bounds, now) is None:
        raise InvalidRequest("trigger: has no time left")


async def _check_cycles(node: Node, targets: Iterable[Target], problems: Problems) -> None:
    """Note each task of the files that would wait for itself."""
    parents = {target.definition.id: _parents(target.definition) for target in targets}
    for target in targets:
        seen: set[str] = set()
        waiting = list(parents[target.definition.id])
        while waiting:
            one = waiting.pop()
            if one in seen:
                continue
            seen.add(one)
            if one not in parents:
                task = await _of_id(node, one)
                parents[one] = () if task is None else _parents(task.definition)
            waiting += parents[one]
        if target.definition.id in seen:
            problems.add(target.entry.problem(InvalidRequest("dependencies: waits for itself in the end")))


def _parents(definition: Definition) -> tuple[str, ...]:
    return () if definition.dependencies is None else definition.dependencies.parents
