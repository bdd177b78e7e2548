"""What the operations about canaries do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.model.canary import CANARY, DRILL_POLICIES, SHORTEST_PERIOD, first_of, ids_in, spread_over
from actors.model.task import Task, partition_of
from actors.model.trigger import Bounds, Interval
from runtime.clock import HOUR, MILLISECOND, SECOND, Instant, Micros
from runtime.errors import InvalidRequest

from ..durations import format_duration
from ..operations.calls import Call
from ..vocabulary.definitions import make_definition
from ..vocabulary.fields import Fields, show_instant
from ..vocabulary.views import Json

if TYPE_CHECKING:
    from actors.node import Node

MAX_CANARIES: Final = 4_096
"""Of one drill: some for each of a large cluster's partitions."""

LONGEST_DRILL: Final = HOUR
"""How far ahead canaries may go on if nobody removes them."""

_LABEL: Final = "drill"
_NAME_LENGTH: Final = 40


async def show_canaries(node: Node, _call: Call) -> Json:
    """How the canaries are that run all the time, over the whole cluster, from what the store has of them."""
    canaries = node.canaries
    if canaries is None or canaries.config is None:
        return {"enabled": False}
    found = await canaries.figures()
    late = {name: found.percentile(share) for name, share in (("p50Ms", 0.5), ("p99Ms", 0.99), ("worstMs", 1.0))}
    return {
        "enabled": True,
        "canaries": found.canaries,
        "well": found.well,
        "due": found.due,
        "missed": found.missed,
        "lateness": {name: None if value is None else value / MILLISECOND for name, value in late.items()},
        "troubles": list(found.troubles),
    }


async def add_canaries(node: Node, call: Call) -> Json:
    """Make canaries, evenly spread over the partitions."""
    fields = Fields(call["body"])
    drill = fields.text("drill") or ""
    every = fields.duration("every") or SECOND
    number = fields.whole("number", 1, MAX_CANARIES)
    until = fields.instant("until")
    fields.finish()
    now = node.world.now()
    _check(drill, every, until, now)
    partitions = node.identity.partitions
    wanted = spread_over(partitions, number)
    ids = ids_in(wanted, partitions, node.world.new_id)
    definitions = [
        make_definition(
            node.catalogue,
            now,
            task_id=task_id,
            name=f"canary {drill} {index}",
            type_name=CANARY,
            trigger=Interval(every, first_of(index, len(ids), every, now)),
            bounds=Bounds(end=until if until is not None else Instant(now + LONGEST_DRILL)),
            policies=DRILL_POLICIES,
            tags=(CANARY,),
            labels=((_LABEL, drill),),
            owner=str(call.actor),
        )
        for index, task_id in enumerate(ids)
    ]
    made = await node.create(definitions, call.actor)
    for one in made:
        if isinstance(one, Exception):
            raise one
    return {"list": [_view(one, partitions) for one in made if isinstance(one, Task)]}


def _check(drill: str, every: Micros, until: Instant | None, now: Instant) -> None:
    if not 1 <= len(drill) <= _NAME_LENGTH or not drill.isprintable():
        raise InvalidRequest(f"drill: a name of 1 to {_NAME_LENGTH} characters")
    if every < SHORTEST_PERIOD:
        raise InvalidRequest(f"every: {format_duration(SHORTEST_PERIOD)} or more, not {format_duration(every)}")
    if until is not None and not now < until <= now + LONGEST_DRILL:
        raise InvalidRequest(f"until: within {format_duration(LONGEST_DRILL)} from now, not {show_instant(until)}")


def _view(task: Task, partitions: int) -> Json:
    trigger = task.definition.trigger
    assert isinstance(trigger, Interval), "canaries have a fixed rate"
    return {
        "id": task.id,
        "name": task.definition.name,
        "partition": partition_of(task.id, partitions),
        "every": format_duration(trigger.every),
        "anchor": show_instant(trigger.anchor),
        "createdAt": show_instant(task.definition.created_at),
    }
