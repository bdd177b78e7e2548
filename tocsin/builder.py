"""The fluent builder: one task described verb by verb, then scheduled.

Building is on the way of every task that a program adds, so a verb stores what it is given and `build` checks everything once;
equal cron triggers are one object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import trio

from actors.model.policy import DEFAULT_POLICIES
from actors.model.task import Definition, Extra, Task
from actors.model.trigger import UNBOUNDED, Bounds, Cron, Fold, Gap, Interval, Once, Trigger
from runtime.clock import Instant, Micros
from runtime.errors import InvalidRequest, TocsinError

from .checks import known_type
from .definitions import make_definition
from .durations import Duration, parse_duration
from .fields import one_of, parse_instant, show, whole_number
from .policies import Retry, changed_policies
from .triggers import anchor_of
from .vocabulary import MAX_RUNS

if TYPE_CHECKING:
    from actors.handling.catalogue import Catalogue
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

    async def create(self, definitions: Sequence[Definition], actor: str) -> list[Task | Exception]:
        """Make the tasks durable; for each the task or the error."""
        ...


@lru_cache(maxsize=4_096)
def _cron(expression: str, timezone: str, gap: Gap, fold: Fold) -> Cron:
    """A checked trigger; a value that cannot be hashed comes out as TypeError."""
    one_of(gap, "gap", ("shift", "skip"))
    one_of(fold, "fold", ("first", "last", "both"))
    _check_type(expression, str, "cron")
    _check_type(timezone, str, "timezone")
    return Cron(expression, timezone, gap, fold)


def _check_type(value: object, wanted: type, field: str) -> None:
    if not isinstance(value, wanted):
        raise InvalidRequest(f"{field}: {wanted.__name__}, not {show(value)}")


class TaskBuilder:
    """A task in the making. Every verb answers the builder; `schedule` makes the task.

    Raises InvalidRequest, naming field and value, at the verb or in `schedule`.
    """

    __slots__ = (
        "_changes",
        "_delay",
        "_end",
        "_every",
        "_extra",
        "_fixed_delay",
        "_max_runs",
        "_name",
        "_node",
        "_parameters",
        "_persistent",
        "_start",
        "_tags",
        "_trigger",
        "_type",
    )

    def __init__(self, node: Scheduler, type_name: str) -> None:
        self._node = node
        self._type = type_name
        self._name: str | None = None
        self._parameters: dict[str, Any] | None = None
        self._trigger: Trigger | None = None
        self._every: Micros | None = None
        self._delay: Micros | None = None
        self._fixed_delay = False
        self._start: Instant | None = None
        self._end: Instant | None = None
        self._max_runs: int | None = None
        self._changes: dict[str, object] | None = None
        self._tags: tuple[str, ...] = ()
        self._extra: Extra | None = None
        self._persistent = True

    def named(self, name: str) -> TaskBuilder:
        """The task's name, unique on the node; without one it is made from type and id."""
        self._name = name
        return self

    def with_parameters(self, parameters: Mapping[str, Any] | None = None, /, **named: Any) -> TaskBuilder:
        """The handler's parameters: JSON values by name."""
        if parameters is not None and not isinstance(parameters, Mapping):
            raise InvalidRequest(f"parameters: values by name, not {show(parameters)}")
        self._parameters = {**(self._parameters or {}), **(parameters or {}), **named}
        return self

    def with_cron(
        self, expression: str, *, timezone: str = "UTC", gap: Gap = "shift", fold: Fold = "first"
    ) -> TaskBuilder:
        """Fire by a cron expression in a time zone. `gap` and `fold`: what to do when the clock is changed."""
        self._no_trigger_yet()
        try:
            self._trigger = _cron(expression, timezone, gap, fold)
        except TypeError:
            raise InvalidRequest(f"cron: an expression, not {show(expression)} in zone {show(timezone)}") from None
        return self

    def with_period(self, every: Duration) -> TaskBuilder:
        """Fire at a fixed rate: on a grid that begins at the start, or now."""
        self._no_trigger_yet()
        self._every = parse_duration(every, "every")
        return self

    def with_fixed_delay(self, delay: Duration) -> TaskBuilder:
        """Fire so long after the end of the execution before."""
        self.with_period(delay)
        self._fixed_delay = True
        return self

    def at(self, moment: datetime) -> TaskBuilder:
        """Fire once, at an aware datetime."""
        self._no_trigger_yet()
        self._trigger = Once(parse_instant(moment, "at"))
        return self

    def after(self, delay: Duration) -> TaskBuilder:
        """Fire once, so long after now."""
        self._no_trigger_yet()
        self._delay = parse_duration(delay, "after")
        return self

    def _no_trigger_yet(self) -> None:
        if self._trigger is not None or self._every is not None or self._delay is not None:
            raise InvalidRequest(f"trigger: given twice for a task of type {self._type!r}")

    def starting(self, moment: datetime | Duration) -> TaskBuilder:
        """No fire before this datetime, or before so long from now."""
        self._start = self._moment(moment, "start")
        return self

    def ending(self, moment: datetime | Duration) -> TaskBuilder:
        """No fire after this datetime, or after so long from now."""
        self._end = self._moment(moment, "end")
        return self

    def _moment(self, moment: object, field: str) -> Instant:
        if isinstance(moment, datetime):
            return parse_instant(moment, field)
        return Instant(self._node.world.now() + parse_duration(moment, field))

    def times(self, limit: int) -> TaskBuilder:
        """At most so many executions by the trigger."""
        self._max_runs = whole_number(limit, "times", 1, MAX_RUNS)
        return self

    def non_persistent(self) -> TaskBuilder:
        """Keep it in the node's memory only: faster, and gone with the node."""
        self._persistent = False
        return self

    def retry(self, policy: Retry) -> TaskBuilder:
        """How often and how soon a failed execution is tried again."""
        return self._policy("retry", policy)

    def timeout(self, limit: Duration) -> TaskBuilder:
        """How long an attempt may take."""
        return self._policy("timeout", limit)

    def heartbeat_timeout(self, limit: Duration) -> TaskBuilder:
        """How long an attempt may be without a sign of life."""
        return self._policy("heartbeat_timeout", limit)

    def lateness_limit(self, limit: Duration) -> TaskBuilder:
        """How late an occurrence may still be run."""
        return self._policy("lateness_limit", limit)

    def catch_up(
        self, policy: Literal["latest", "skip", "earliest", "all"], *, limit: int | None = None
    ) -> TaskBuilder:
        """What is done about occurrences missed while the node was down; `limit`: how many `all` runs at most."""
        if limit is not None:
            self._policy("catch_up_limit", limit)
        return self._policy("catch_up", policy)

    def overlap(self, policy: Literal["skip", "allow", "queue"]) -> TaskBuilder:
        """What is done when the former execution still runs."""
        return self._policy("overlap", policy)

    def on_crash(self, policy: Literal["resume", "rerun", "hold"]) -> TaskBuilder:
        """What is done about an execution whose process died."""
        return self._policy("on_crash", policy)

    def priority(self, number: int) -> TaskBuilder:
        """0 runs first, 9 last; 5 unless said."""
        return self._policy("priority", number)

    def _policy(self, name: str, value: object) -> TaskBuilder:
        if value is None:
            raise InvalidRequest(f"{name}: a value, not None")
        if self._changes is None:
            self._changes = {}
        self._changes[name] = value
        return self

    def tags(self, *tags: str | Sequence[str]) -> TaskBuilder:
        """Labels for people, as arguments or in a list."""
        found: list[Any] = [tag for entry in tags for tag in (entry if isinstance(entry, list | tuple) else [entry])]
        for tag in found:
            _check_type(tag, str, "tags")
        self._tags = tuple(found)
        return self

    def extra(self, data: bytes, content_type: str = "application/octet-stream") -> TaskBuilder:
        """Opaque bytes, given to the handler exactly so."""
        _check_type(data, bytes, "extra")
        _check_type(content_type, str, "extra")
        self._extra = Extra(data, content_type)
        return self

    def build(self) -> Definition:
        """The checked definition, with an id of its own."""
        node = self._node
        world, catalogue = node.world, node.catalogue
        now, task_id = world.now(), world.new_id()
        policies = None
        if self._changes is not None:
            base = known_type(catalogue, self._type).policies
            policies = changed_policies(DEFAULT_POLICIES if base is None else base, self._changes)
        bounds = UNBOUNDED
        if self._start is not None or self._end is not None or self._max_runs is not None:
            bounds = Bounds(self._start, self._end, self._max_runs)
        return make_definition(
            catalogue,
            now,
            task_id=task_id,
            name=f"{self._type} {task_id[-12:]}" if self._name is None else self._name,
            type_name=self._type,
            trigger=self._when(now),
            bounds=bounds,
            parameters=self._parameters,
            extra=self._extra,
            policies=policies,
            tags=self._tags,
            persistent=self._persistent,
            owner=ACTOR,
        )

    def _when(self, now: Instant) -> Trigger:
        if self._every is not None:
            return Interval(self._every, anchor_of(now, self._start), self._fixed_delay)
        if self._trigger is not None:
            return self._trigger
        if self._delay is not None:
            return Once(Instant(now + self._delay))
        raise InvalidRequest(f"trigger: a task of type {self._type!r} needs one, for example .with_period('5m')")

    async def schedule(self) -> Task:
        """Make the task; durable when this returns (a non-persistent one: held). Raises Conflict for a name in use."""
        [made] = await self._node.create((self.build(),), ACTOR)
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
    built = [_built(builder) for builder in builders]
    good = [definition for definition in built if isinstance(definition, Definition)]
    try:
        made = iter(await node.create(good, ACTOR) if good else [])
        answers.extend(next(made) if isinstance(entry, Definition) else entry for entry in built)
    except TocsinError as error:
        answers.extend(error if isinstance(entry, Definition) else entry for entry in built)
    finally:
        room.release()


def _built(builder: TaskBuilder) -> Definition | Exception:
    try:
        return builder.build()
    except InvalidRequest as error:
        return error
