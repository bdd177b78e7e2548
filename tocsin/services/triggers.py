"""What the operations about times to come do: of a task, of a trigger that nobody saved, of a cron expression."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from actors.lanes import COMPUTED
from actors.model.task import Task, assigned
from actors.model.trigger import UNBOUNDED, Bounds, Cron, Interval, Trigger
from actors.when.calendars import excluded_by
from actors.when.cron import parse
from actors.when.cron_words import explain
from actors.when.dst import ClockChange, dst_card
from actors.when.triggers import check_trigger, upcoming
from actors.when.zones import zone
from runtime.clock import SECOND, Instant, to_datetime
from runtime.errors import InvalidRequest
from runtime.records import evolve

from ..operations.calls import Call
from ..operations.table import MAX_PREVIEW
from ..telling.why import trigger_words
from ..vocabulary.checks import check_when
from ..vocabulary.fields import Fields, parse_instant, show_instant
from ..vocabulary.references import references_in, resolve
from ..vocabulary.triggers import seeded, trigger_from_json, trigger_json
from ..vocabulary.views import Json

if TYPE_CHECKING:
    from actors.node import Node

USUAL_PREVIEW: Final = 10
"""Instants of a preview that does not say how many."""


@attrs.frozen
class Plan:
    """A trigger whose next times are wanted. `task`: whose place in a spread window it has; None: nobody's yet.

    `left`: how many runs its limit still allows, None for no limit.
    """

    trigger: Trigger
    bounds: Bounds
    after: Instant
    count: int
    now: Instant
    task: Task | None = None
    left: int | None = None


def preview(plan: Plan) -> Json:
    """The next times of a plan, in words too, and what it does when clocks change. Milliseconds of arithmetic, seconds at worst.

    `list` has the times that run, `fires` as many nominal times with those among them that a calendar excludes.
    """
    wanted = plan.count if plan.left is None else min(plan.count, plan.left)
    running = _running(plan, wanted)
    if running and is_fixed_delay(plan.trigger):
        fires = running = running[:1]
    else:
        fires = [] if wanted == 0 else upcoming(plan.trigger, plan.bounds, plan.after, plan.count)
    if plan.left is not None and len(running) == plan.left:
        fires = [at for at in fires if not running or at <= running[-1]]
    return {
        "list": [show_instant(at) for at in running],
        "fires": [_fire_view(plan, at) for at in fires],
        "trigger": trigger_words(plan.trigger, plan.bounds),
        "clockChanges": [change_view(change, plan.bounds) for change in dst_card(plan.trigger, plan.bounds, plan.now)],
    }


def _running(plan: Plan, wanted: int) -> list[Instant]:
    return upcoming(plan.trigger, plan.bounds, plan.after, wanted, allowed_only=True)


def is_fixed_delay(trigger: Trigger) -> bool:
    """Whether its next time is known only when the run before has ended."""
    return isinstance(trigger, Interval) and trigger.fixed_delay


def _fire_view(plan: Plan, at: Instant) -> Json:
    """One nominal time. `assigned`: where the task stands in its spread window, null while nobody knows."""
    place: Instant | None = at
    if plan.bounds.spread:
        place = None if plan.task is None else assigned(evolve(plan.task.definition, bounds=plan.bounds), at)
    return {
        "nominal": show_instant(at),
        "assigned": show_instant(place),
        "excludedBy": excluded_by(plan.bounds, at) if plan.bounds.calendars else None,
    }


def change_view(change: ClockChange, bounds: Bounds) -> Json:
    """A change of offset and what becomes of the local times that it swallows or repeats. `around`: those that run."""
    return {
        "timezone": change.timezone,
        "at": show_instant(change.at),
        "before": offset_words(change.before),
        "after": offset_words(change.after),
        "kind": "gap" if change.after > change.before else "overlap",
        "effect": change.effect,
        "around": [show_instant(at) for at in change.around if excluded_by(bounds, at) is None],
    }


def offset_words(seconds: int) -> str:
    """An offset from UTC in seconds as `+02:00`."""
    sign, minutes = "-" if seconds < 0 else "+", abs(seconds) // 60
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}"


async def next_fires(node: Node, call: Call) -> Json:
    """The next nominal times of a task."""
    return await next_of(node, await node.task(call["task"]), call["count"])


async def next_of(node: Node, task: Task, count: int) -> Json:
    """The next `count` times of a task that is active; of any other none. Under a pause of the scheduler those to come only."""
    definition, state, now = task.definition, task.state, node.world.now()
    trigger, bounds, following = definition.trigger, definition.bounds, state.next_fire
    left = None if bounds.max_runs is None else max(bounds.max_runs - state.runs, 0)
    paused = await node.control.scheduler_pause() is not None
    fixed_delay = is_fixed_delay(trigger)
    if following is None or (paused and fixed_delay and following <= now):
        plan = Plan(trigger, bounds, now, 0, now)
    elif fixed_delay:
        plan = Plan(evolve(trigger, anchor=following), bounds, Instant(following - 1), min(count, 1), now, task, left)
    else:
        # What a calendar excludes between now and the next fire is told too.
        after = max(state.settled_through, now if paused else min(now, Instant(following - 1)))
        plan = Plan(trigger, bounds, after, count, now, task, left)
    shown = await node.world.blocking(partial(preview, plan), lane=COMPUTED)
    return shown | {"phase": state.phase.value, "schedulerPaused": paused}


async def preview_trigger(node: Node, call: Call) -> Json:
    """The next times of a trigger that is not saved; nothing is stored."""
    fields = Fields(call["body"])
    value, reference = fields.take("trigger"), fields.text("task")
    after, count = fields.instant("after"), fields.whole("count", 1, MAX_PREVIEW)
    fields.finish()
    if value is None:
        raise InvalidRequest("trigger: required")
    task = None if reference is None else await node.task(reference)
    tenant = node.scope.home if task is None else task.definition.tenant
    now = node.world.now()
    known = await resolve(node, references_in({"trigger": value}), tenant)
    trigger, bounds = trigger_from_json(value, now, known=known)
    trigger = seeded(trigger, node.world.new_id() if task is None else task.id)
    check_when(trigger, bounds, now)
    plan = Plan(trigger, bounds, now if after is None else after, count or USUAL_PREVIEW, now, task, bounds.max_runs)
    shown = await node.world.blocking(partial(preview, plan), lane=COMPUTED)
    return shown | {"parsed": trigger_json(trigger, bounds)}


async def preview_cron(node: Node, call: Call) -> Json:
    """The next times of an expression; nothing is stored."""
    fields = Fields(call["body"])
    expression, timezone = fields.text("expression"), fields.text("timezone") or "UTC"
    after, count = fields.instant("after", timezone), fields.whole("count", 1, MAX_PREVIEW)
    gap, fold = fields.choice("gap", ("shift", "skip")), fields.choice("fold", ("first", "last", "both"))
    fields.finish()
    if expression is None:
        raise InvalidRequest("expression: required")
    start = node.world.now() if after is None else after
    trigger = Cron(expression, timezone, gap or "shift", fold or "first")  # type: ignore[arg-type]
    return cron_preview(trigger, start, count or USUAL_PREVIEW)


def cron_preview(trigger: Cron, after: Instant, count: int) -> Json:
    """The next `count` times of a cron trigger after an instant, the trigger in words, and what it does when clocks change."""
    check_trigger(trigger, UNBOUNDED, after)
    fires = upcoming(trigger, UNBOUNDED, after, count)
    return {
        "list": [show_instant(instant) for instant in fires],
        "words": explain(parse(trigger.expression, trigger.seed)),
        "clockChanges": [change_view(change, UNBOUNDED) for change in dst_card(trigger, UNBOUNDED, after)],
    }


def wall_clock(instant: str, timezone: str) -> str:
    """A shown instant as the clock on the wall of a zone has it, with the offset from UTC."""
    at = parse_instant(instant, "instant")
    offset = zone(timezone).offset(at // SECOND)
    local = to_datetime(Instant(at + offset * SECOND))
    return f"{local:%Y-%m-%d %H:%M:%S} {offset_words(offset)}"
