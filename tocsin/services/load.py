"""What the operations about the load to come do: how many tasks start in each minute, and how to move a crowd apart.

Tasks are read and counted in slices, in a thread, until all are or the time is over; what is missing then is told.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import attrs
import trio

from actors.lanes import COMPUTED
from actors.model.task import Task
from runtime.clock import MINUTE, Instant, Micros
from runtime.errors import InvalidRequest
from runtime.records import evolve

from ..durations import format_duration
from ..load.counting import Group, Minutes, fires_in, group_of, run_lengths
from ..load.spreading import Left, Move, propose
from ..operations.calls import Call
from ..operations.overviews import MAX_SPREAD
from ..plans.documents import FORM
from ..plans.exporting import task_json
from ..plans.yaml_text import write_yaml
from ..telling.why import trigger_words
from ..vocabulary.fields import Fields, show, show_instant
from ..vocabulary.triggers import trigger_json
from ..vocabulary.views import Json, named_view

if TYPE_CHECKING:
    from actors.node import Node

T = TypeVar("T")

TASKS_COUNTED: Final = 200_000
"""Tasks of one count: twice what a cluster is measured with."""

SLICE: Final = 500
"""Tasks that are read at a time, and triggers that are counted: some tens of milliseconds."""

COUNT_SECONDS: Final = 15.0
"""How long one count may take, below every client's patience."""

PEAKS: Final = 10
"""Minutes that are told with their tasks, and tasks that are told of each."""

USUAL_WITHIN: Final = Micros(10 * MINUTE)
LONGEST_WITHIN: Final = Micros(1_440 * MINUTE)
"""How much later a task may be moved: a day is another time."""


@attrs.define
class Load:
    """What is known of the load: groups of tasks with equal times, and the counts. `missing`: what is not counted, to read."""

    minutes: Minutes
    groups: dict[Group, list[Task]]
    missing: list[str]

    @property
    def truncated(self) -> str | None:
        return "; ".join(self.missing) or None


async def show_load(node: Node, call: Call) -> Json:
    """How many tasks start in each minute."""
    begin = _whole_minute(node.world.now() if call["from"] is None else call["from"])
    number = call["days"] * 1_440
    load = await count_load(node, begin, number)
    counts = load.minutes.counts()
    peaks = await node.world.blocking(partial(_peaks, load, counts), lane=COMPUTED)
    return {
        "from": show_instant(begin),
        "until": show_instant(load.minutes.end),
        "minutes": number,
        "total": sum(counts),
        "tasks": sum(map(len, load.groups.values())),
        "triggers": len(load.groups),
        "counts": run_lengths(counts),
        "peaks": peaks,
        "truncated": load.truncated,
    }


def _whole_minute(at: Instant) -> Instant:
    return Instant(at // MINUTE * MINUTE)


async def count_load(node: Node, begin: Instant, number: int) -> Load:
    """The load of so many minutes from an instant on."""
    stop = trio.current_time() + COUNT_SECONDS
    load = Load(Minutes(begin, number), {}, [])
    due = await node.control.due(Instant(load.minutes.end - 1), TASKS_COUNTED)
    if len(due) == TASKS_COUNTED:
        load.missing.append(f"only the {TASKS_COUNTED} tasks that are due first are counted")
    for some in _in_time(due, stop, load, "tasks"):
        for task in await node.control.tasks([task_id for _, task_id in some]):
            if (group := group_of(task)) is not None:
                load.groups.setdefault(group, []).append(task)
    for groups in _in_time(list(load.groups.items()), stop, load, "triggers"):
        await node.world.blocking(partial(_count, load, groups), lane=COMPUTED)
    return load


def _in_time(everything: Sequence[T], stop: float, load: Load, what: str) -> Iterator[Sequence[T]]:
    """Slice by slice until the time is over; then it is noted what is left."""
    for start in range(0, len(everything), SLICE):
        if trio.current_time() > stop:
            left = f"{len(everything) - start} of {len(everything)} {what}"
            load.missing.append(f"{left} are not counted: it took more than {COUNT_SECONDS:.0f} s")
            return
        yield everything[start : start + SLICE]


def _count(load: Load, groups: Sequence[tuple[Group, list[Task]]]) -> None:
    for group, tasks in groups:
        if not load.minutes.add(group, len(tasks)):
            name = tasks[0].definition.name
            load.missing.append(f"the first times only are counted of {show(name)}, which fires too often")


def _peaks(load: Load, counts: Sequence[int]) -> list[Json]:
    worst = heapq.nsmallest(PEAKS, range(len(counts)), key=lambda place: (-counts[place], place))
    return [_peak(load, place, counts[place]) for place in worst if counts[place]]


def _peak(load: Load, place: int, fires: int) -> Json:
    begin = Instant(load.minutes.begin + place * MINUTE)
    found = tasks_in(load, begin)
    top = heapq.nsmallest(PEAKS, found, key=lambda one: (-one[0], one[1].definition.name))
    tasks = [named_view(task) | {"fires": number} for number, task in top]
    return {
        "minute": show_instant(begin),
        "fires": fires,
        "tasks": tasks,
        "others": max(0, fires - sum(number for number, _ in top)),
    }


def tasks_in(load: Load, begin: Instant) -> list[tuple[int, Task]]:
    """The tasks that start in a minute, and how often each does."""
    end = Instant(begin + MINUTE)
    found = ((fires_in(group, begin, end), tasks) for group, tasks in load.groups.items())
    return [(number, task) for number, tasks in found if number for task in tasks]


# -- spreading


async def spread_load(node: Node, call: Call) -> Json:
    """How to move the tasks of a minute, or those named, apart. Changes nothing."""
    fields = Fields(call["body"])
    at, references = fields.instant("minute"), fields.take("tasks")
    within = fields.duration("within")
    fields.finish()
    within = USUAL_WITHIN if within is None else within
    if not 2 * MINUTE <= within <= LONGEST_WITHIN:
        raise InvalidRequest(f"within: from 2m to {format_duration(LONGEST_WITHIN)}, not {format_duration(within)}")
    if at is None and references is None:
        raise InvalidRequest("minute, tasks: at least one of them")
    begin = _whole_minute(node.world.now() if at is None else at)
    load = await count_load(node, begin, within // MINUTE + 1)
    if references is None:
        among = await node.world.blocking(partial(tasks_in, load, begin), lane=COMPUTED)
        tasks = [task for _, task in among]
    else:
        tasks = await _named(node, references)
    moves, left = await node.world.blocking(partial(propose, tasks[:MAX_SPREAD], begin, within), lane=COMPUTED)
    left += [Left(task, f"at most {MAX_SPREAD} tasks are moved at a time") for task in tasks[MAX_SPREAD:]]
    after = await node.world.blocking(partial(_counts_after, load, moves), lane=COMPUTED)
    document = {"tocsin": FORM, "tasks": [_moved_json(move) for move in moves]}
    return {
        "minute": show_instant(begin),
        "proposals": [_move_view(move) for move in moves],
        "left": [named_view(one.task) | {"why": one.why} for one in left],
        "files": [{"name": "spread.yaml", "text": write_yaml(document)}] if moves else [],
        "worstBefore": max(load.minutes.counts()),
        "worstAfter": max(after),
        "truncated": load.truncated,
    }


async def _named(node: Node, references: object) -> list[Task]:
    if not isinstance(references, list) or not all(isinstance(one, str) for one in references):
        raise InvalidRequest(f"tasks: a list of ids or names, not {show(references)}")
    if not 1 <= len(references) <= MAX_SPREAD:
        raise InvalidRequest(f"tasks: 1 to {MAX_SPREAD} of them, not {len(references)}")
    return [await node.task(reference) for reference in dict.fromkeys(references)]


def _counts_after(load: Load, moves: Sequence[Move]) -> list[int]:
    """The counts if these tasks were moved."""
    before, after = load.minutes, Minutes(load.minutes.begin, (load.minutes.end - load.minutes.begin) // MINUTE)
    moved = {move.task.id for move in moves}
    for group, tasks in load.groups.items():
        if staying := sum(task.id not in moved for task in tasks):
            after.add(group, staying)
    for move in moves:
        if (moved_to := group_of(_moved(move))) is not None:
            after.add(moved_to)
    assert len(after.counts()) == len(before.counts())
    return after.counts()


def _moved(move: Move) -> Task:
    return evolve(move.task, definition=evolve(move.task.definition, bounds=move.bounds))


def _moved_json(move: Move) -> Json:
    return task_json(_moved(move), {})


def _move_view(move: Move) -> Json:
    definition = move.task.definition
    return named_view(move.task) | {
        "before": trigger_json(definition.trigger, definition.bounds),
        "after": trigger_json(definition.trigger, move.bounds),
        "words": trigger_words(definition.trigger, move.bounds),
        "moves": f"{format_duration(move.later // 1_000_000 * 1_000_000) or '0s'} later",
    }
