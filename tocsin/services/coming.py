"""What the operation that looks at the time to come does: the fires of all tasks in one order.

Tasks are taken in the order of what is due of them, a slice at a time, and each is expanded from its trigger. As soon as as many
rows are known as are wanted and the next task is due behind them, no further task is looked at: a look costs what it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import trio

from actors.lanes import COMPUTED
from actors.model.lifecycle import Phase
from actors.model.system import is_system
from actors.model.task import Task, partition_of, spread_offset
from actors.when.calendars import excluded_by
from actors.when.triggers import upcoming as nominal_times
from runtime.clock import DAY, HOUR, Instant, Micros
from runtime.errors import InvalidRequest

from ..durations import format_duration
from ..operations.calls import Call
from ..vocabulary.fields import show_instant
from ..vocabulary.views import Json, named_view
from .cluster_view import facade_of
from .triggers import is_fixed_delay

if TYPE_CHECKING:
    from actors.node import Node

USUAL_WINDOW: Final = HOUR
"""How far a look goes that does not say."""

LONGEST_WINDOW: Final = Micros(31 * DAY)
"""A month: what is shown of a page is at most a thousand rows."""

TASKS_LOOKED_AT: Final = 10_000
"""Tasks of one look: about a second of reading and arithmetic."""

SLICE: Final = 100
"""Tasks that are read and expanded at a time, in a thread: some milliseconds."""

LOOK_SECONDS: Final = 5.0
"""How long one look may take, far below every client's patience; what is known by then is answered."""


@attrs.frozen
class Window:
    """What is looked for: places in [begin, end], of each task at most `each`, `limit` in all."""

    begin: Instant
    end: Instant
    each: int
    limit: int


@attrs.frozen(order=True)
class Fire:
    """One nominal time to come. `at`: its place in the spread window, which is the nominal time where there is none."""

    at: Instant
    task_id: str
    nominal: Instant = attrs.field(order=False)


@attrs.frozen
class Expanded:
    """A task with its fires in a window, and the first one beyond those that are shown of each task."""

    task: Task
    fires: tuple[Fire, ...]
    beyond: Fire | None = None


def expand(task: Task, window: Window) -> Expanded:
    """The fires of one task in a window."""
    state, bounds = task.state, task.definition.bounds
    if state.phase is not Phase.ACTIVE or state.next_fire is None:
        return Expanded(task, ())
    offset = spread_offset(bounds, task.id)
    if is_fixed_delay(task.definition.trigger):
        nominal = [state.next_fire]
    else:
        left = None if bounds.max_runs is None else max(bounds.max_runs - state.runs, 0)
        begin = Instant(max(state.settled_through, window.begin - offset - 1))
        # A limit counts from the next fire on, wherever the window begins.
        after = begin if left is None else Instant(max(state.settled_through, state.next_fire - 1))
        wanted = window.each + 1 if left is None else left
        nominal = nominal_times(task.definition.trigger, bounds, after, min(wanted, MAX_LIMITED))
    fires = [Fire(Instant(one + offset), task.id, one) for one in nominal]
    fires = [fire for fire in fires if window.begin <= fire.at <= window.end][: window.each + 1]
    beyond = fires[window.each] if len(fires) > window.each else None
    return Expanded(task, tuple(fires[: window.each]), beyond)


MAX_LIMITED: Final = 1_001
"""Fires of a task with a run limit that are gone through from its next one."""


async def upcoming(node: Node, call: Call) -> Json:
    """The coming fires of all tasks, or of one."""
    window = _window(node, call)
    if call["task"] is not None:
        tasks = [await node.task(call["task"])]
        found, complete = await _expanded(node, tasks, window), True
    else:
        found, complete = await _look(node, window)
    fires = sorted(fire for one in found for fire in one.fires)
    shown = fires[: window.limit]
    by_id = {one.task.id: one for one in found}
    last = shown[-1].at if len(fires) > window.limit else window.end
    places = _Places(node)
    return {
        "list": [places.fire_view(by_id[fire.task_id].task, fire) for fire in shown],
        "folded": [_folded_view(one) for one in found if one.beyond is not None and one.beyond.at <= last],
        "more": len(fires) > window.limit,
        "complete": complete,
        "tasks": sum(1 for one in found if one.fires),
        "from": show_instant(window.begin),
        "until": show_instant(window.end),
        "schedulerPaused": await node.control.scheduler_pause() is not None,
    }


def _window(node: Node, call: Call) -> Window:
    begin = node.world.now() if call["from"] is None else call["from"]
    end = Instant(begin + USUAL_WINDOW) if call["until"] is None else call["until"]
    if not begin <= end <= begin + LONGEST_WINDOW:
        raise InvalidRequest(
            f"until: at most {LONGEST_WINDOW // DAY} days after from, {show_instant(begin)}, not {show_instant(end)}"
        )
    return Window(begin, end, call["each"], call["limit"])


async def _look(node: Node, window: Window) -> tuple[list[Expanded], bool]:
    """The tasks that fire in a window as far as they are needed, and whether all that are needed were looked at."""
    due = await node.control.due(window.end, TASKS_LOOKED_AT)
    stop = trio.current_time() + LOOK_SECONDS
    found: list[Expanded] = []
    places: list[Instant] = []
    for start in range(0, len(due), SLICE):
        if len(places) > window.limit and places[window.limit] < due[start][0]:
            return found, True
        if trio.current_time() > stop:
            return found, False
        listed = await node.control.tasks([task_id for _, task_id in due[start : start + SLICE]])
        # As in all lists: the node's own tasks are nobody's plan.
        tasks = [task for task in listed if not is_system(task.definition)]
        some = await _expanded(node, tasks, window)
        found += some
        places = sorted([*places, *(fire.at for one in some for fire in one.fires)])[: window.limit + 1]
    return found, len(due) < TASKS_LOOKED_AT


async def _expanded(node: Node, tasks: Sequence[Task], window: Window) -> list[Expanded]:
    return await node.world.blocking(partial(_expand_all, tasks, window), lane=COMPUTED)


def _expand_all(tasks: Sequence[Task], window: Window) -> list[Expanded]:
    return [expand(task, window) for task in tasks]


class _Places:
    """Which partition and which node each task belongs to at this moment."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._owners = facade_of(node).coordination().owners

    def fire_view(self, task: Task, fire: Fire) -> Json:
        definition, node = task.definition, self._node
        partition = partition_of(task.id, node.identity.partitions) if definition.persistent else None
        owner = node.config.name if partition is None else self._owners.get(partition)
        excluded = excluded_by(definition.bounds, fire.nominal) if definition.bounds.calendars else None
        return named_view(task) | {
            "nominal": show_instant(fire.nominal),
            "assigned": show_instant(fire.at),
            "excludedBy": excluded,
            "partition": partition,
            "owner": owner,
            "persistent": definition.persistent,
        }


def _folded_view(one: Expanded) -> Json:
    assert one.beyond is not None
    last = one.fires[-1]
    gap = format_duration(Micros(one.beyond.at - last.at))
    return named_view(one.task) | {
        "shown": len(one.fires),
        "after": show_instant(last.at),
        "next": show_instant(one.beyond.at),
        "every": gap,
    }
