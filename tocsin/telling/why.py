"""The answer to "why?": the causal chain of one occurrence, in plain words.

A pure function of what the store knows. An occurrence is, in this order: a row of the ledger; still to come; owed and not settled
yet; taken away by an edit; lost to a pause, a cancel or a finish; or no nominal time of the task at all.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from actors.model.execution import Execution, WaitsFor
from actors.model.lifecycle import FAILED_STATES, OPEN_STATES, Phase, State
from actors.model.occurrence import Outcome, Reason
from actors.model.task import Definition, Task, assigned
from actors.model.trigger import Bounds, CalendarInterval, Cron, Interval, Once, Trigger, Union
from actors.store.answers import ExecutionDetail, OutcomeRow, Revision
from actors.when.calendar_intervals import explain as explain_interval
from actors.when.cron import parse
from actors.when.cron_words import explain
from actors.when.triggers import last_through, next_after
from runtime.clock import MILLISECOND, SECOND, Instant, to_datetime

from ..durations import delay_words, format_duration
from ..vocabulary.fields import show_instant
from .attempts import attempt_lines, brief_error

POISON: Final = "Poison"
"""The type in the failure of an execution that crashed its node again and again."""


MIXED: Final = "mixed"
"""The verdict about a nominal time that had different outcomes on the nodes that were to run it."""


@attrs.frozen
class Case:
    """What is known about one asked instant.

    `row` and `detail`: the ledger's row that touches it, and its execution. `blocker`: the execution that held back the slots
    of the row, or stands for them. `pause`: the pause that it was lost to, if it is known.
    """

    task: Task
    at: Instant
    now: Instant
    row: OutcomeRow | None
    detail: ExecutionDetail | None
    revisions: Sequence[Revision]
    blocker: Execution | None = None
    pause: Paused | None = None


@attrs.frozen
class Paused:
    """Who paused what the row blames, and when, as the audit log has it; `until`: when it went on, if it has."""

    actor: str
    since: Instant
    until: Instant | None = None


@attrs.frozen
class Answer:
    """The verdict as one word, the nominal time meant, and the chain as lines to read.

    `nodes`: the verdict of each node, of a nominal time at which each of them has an execution of its own.
    """

    verdict: str
    nominal: Instant | None
    lines: tuple[str, ...]
    nodes: tuple[tuple[str, str], ...] = ()

    def view(self) -> dict[str, Any]:
        """As JSON."""
        told = {"verdict": self.verdict, "nominal": show_instant(self.nominal), "lines": list(self.lines)}
        return told | {"nodes": dict(self.nodes)} if self.nodes else told

    def told(self) -> Told:
        """As a program reads it."""
        return Told(self.verdict, None if self.nominal is None else to_datetime(self.nominal), self.lines)


@attrs.frozen
class Told:
    """An answer as a program reads it: the verdict, the nominal time meant in UTC, and the lines."""

    verdict: str
    nominal: datetime | None
    lines: tuple[str, ...]


def trigger_words(trigger: Trigger, bounds: Bounds) -> str:
    """A trigger and its bounds in words."""
    words = _when_words(trigger)
    if bounds.start is not None:
        words += f", from {show_instant(bounds.start)}"
    if bounds.end is not None:
        words += f", until {show_instant(bounds.end)}"
    if bounds.spread:
        words += f", at a place of its own in the {format_duration(bounds.spread)} after"
    for rule in bounds.calendars:
        words += f", {'not' if rule.mode == 'exclude' else 'only'} in {rule.calendar.name!r}"
        words += "" if rule.shift == "skip" else f" but on the {rule.shift} day instead"
    return words if bounds.max_runs is None else f"{words}, {bounds.max_runs} times at most"


def _when_words(trigger: Trigger) -> str:
    match trigger:
        case Interval(fixed_delay=True):
            return f"{format_duration(trigger.every)} after the end of the execution before"
        case Interval():
            return f"every {format_duration(trigger.every)}, counted from {show_instant(trigger.anchor)}"
        case Cron():
            return f"{explain(parse(trigger.expression, trigger.seed))} ({trigger.expression!r}, {trigger.timezone})"
        case Once():
            return f"once, at {show_instant(trigger.at)}"
        case CalendarInterval():
            return f"{explain_interval(trigger)} ({trigger.timezone})"
        case Union():
            return "; ".join(_when_words(member) for member in trigger.triggers)


def is_nominal(trigger: Trigger, bounds: Bounds, at: Instant) -> bool:
    """Whether the trigger names this instant. A fixed delay has no grid: only its ledger knows."""
    return next_after(trigger, bounds, Instant(at - 1)) == at


def width_of(at: Instant) -> int:
    """How much time an instant stands for as people write it: a second, a millisecond, or itself alone."""
    return SECOND if at % SECOND == 0 else MILLISECOND if at % MILLISECOND == 0 else 1


def meant(trigger: Trigger, bounds: Bounds, at: Instant, place: int = 0) -> Instant:
    """The nominal time that an instant means: the first one within the second or millisecond that it stands for.

    place: how far behind its nominal times the task has its place in the spread window, microseconds: such a time is meant too.
    """
    for offset in dict.fromkeys((0, place)):
        # A shown place is cut to the millisecond.
        begin = Instant(at - offset - (MILLISECOND if offset else 0))
        found = next_after(trigger, bounds, Instant(begin - 1))
        if found is not None and found < at - offset + width_of(at):
            return found
    return at


def of_nodes(told: Sequence[tuple[str, Answer]]) -> Answer:
    """One answer of several, each about the execution that a node has for the same nominal time: "mixed" where they differ."""
    (_, first), *_ = told
    verdicts = {answer.verdict for _, answer in told}
    lines = [f"{name}: {line}" for name, answer in told for line in answer.lines[1:]]
    return Answer(
        first.verdict if len(verdicts) == 1 else MIXED,
        first.nominal,
        (first.lines[0], *lines),
        tuple((name, answer.verdict) for name, answer in told),
    )


def nothing_ahead(task: Task) -> Answer:
    """What there is to say about a task that has no row at its newest settled time, and no time ahead."""
    definition, phase = task.definition, task.state.phase
    head = f"{definition.name!r} runs {trigger_words(definition.trigger, definition.bounds)}."
    return Answer(phase.value, None, (head, *(phase_lines(task) or (f"The task is {phase}: no fire is planned.",))))


def phase_lines(task: Task) -> tuple[str, ...]:
    """What keeps a task from firing that somebody has paused or cancelled, and how to go on."""
    state, name = task.state, shlex.quote(task.definition.name)
    note = f" ({state.note})" if state.note else ""
    if state.phase is Phase.PAUSED:
        return (f"The task is paused{note}; to go on: tocsin task activate {name}",)
    if state.phase is Phase.CANCELLED:
        return (f"The task is cancelled{note}: it fires no more unless it is activated with a trigger.",)
    return ()


def answer(case: Case) -> Answer:
    """What became of the instant, and why."""
    definition = case.task.definition
    head = f"{definition.name!r} runs {trigger_words(definition.trigger, definition.bounds)}."
    if case.row is not None:
        found = _from_row(case, case.row)
    elif case.at > case.now:
        found = _future(case)
    else:
        found = _past(case)
    return attrs.evolve(found, lines=(head, *found.lines))


_REASONS: Final = {
    "downtime": "nobody could fire it in time: the node that kept its time was down",
    "queue": "it waited for a free slot",
    "catch_up": "the catch-up run of another nominal time stands for it",
    "overlap": "the former execution still ran",
    "paused": "the task, or the whole scheduler, was paused",
    "calendar": "a calendar excludes it",
    "too_late": "it was later than its lateness limit allows",
    "limit": "the run limit was reached",
    "no_node": "no node could run it",
    "node_lost": "the node that it was for is gone",
    "dependency": "what it depends on had not completed",
    "cancelled": "it was cancelled before it started",
}


def reason_words(reason: str) -> str:
    """What a reason of the ledger means."""
    return _REASONS.get(reason, reason)


def _from_row(case: Case, row: OutcomeRow) -> Answer:
    if case.detail is not None and row.first == row.last and row.count != 0 and row.state is not None:
        told = _ran(case.task, case.detail)
        return attrs.evolve(told, lines=(*told.lines, *_pause_lines(case)))
    if row.folded and _was_nominal(case):
        return _folded(case, row)
    if not _covers(case, row):
        return _nearest(case)
    because = _because(case.task, case.at, row.reason, row.outcome)
    verdict = row.outcome.value if row.outcome else "open"
    lines = [f"The occurrence of {show_instant(case.at)} has the outcome {verdict}: {because}."]
    if row.first != row.last:
        many = "a range whose slots are not counted yet" if row.count is None else f"one of {row.count} such slots"
        lines.append(f"It is {many}, from {show_instant(row.first)} to {show_instant(row.last)}.")
    if row.execution_id is not None:
        lines += _other_lines(row, case.blocker)
    lines += _pause_lines(case)
    if row.reason == Reason.CALENDAR:
        lines += _calendar_lines(_definition_of(case, row), case.at)
    lines.append(f"It was settled under revision {row.revision} of the task.")
    return Answer(verdict, case.at, tuple(lines))


def _definition_of(case: Case, row: OutcomeRow) -> Definition:
    """The definition under which a row was settled, or the present one if that is no longer known."""
    found = [one.definition for one in case.revisions if one.revision == row.revision]
    return found[0] if found else case.task.definition


def _covers(case: Case, row: OutcomeRow) -> bool:
    """Whether the row is about the instant: a range also touches what lies between its slots."""
    if case.at in (row.first, row.last):
        return True
    under = _definition_of(case, row)
    return is_nominal(under.trigger, under.bounds, case.at)


def _was_nominal(case: Case) -> bool:
    """Whether any definition that the task ever had names the instant."""
    known = [one.definition for one in case.revisions] or [case.task.definition]
    return any(is_nominal(one.trigger, one.bounds, case.at) for one in known)


def _folded(case: Case, row: OutcomeRow) -> Answer:
    """A row of counts is all that is left of the hour: which slot had which outcome is not known any more."""
    verdict = row.outcome.value if row.outcome else "open"
    reason = "" if row.reason is None else f" ({_REASONS.get(row.reason, row.reason)})"
    line = (
        f"Its row was folded with others of the same hour: {row.count} slots between {show_instant(row.first)} and "
        f"{show_instant(row.last)} have the outcome {verdict}{reason}."
    )
    return Answer("folded", case.at, (line, "Which of them it was among is not kept so long."))


def _blocker_line(blocker: Execution) -> str:
    """How the execution stands that held a slot back."""
    if blocker.lingers:
        return f"That one has ended {blocker.state}, but its abandoned handler has not returned."
    started, ended = show_instant(blocker.first_started_at), show_instant(blocker.ended_at)
    if blocker.state in OPEN_STATES:
        return f"That one is {blocker.state}" + (f", first started {started}." if started else ".")
    return f"That one first started {started} and ended {blocker.state} at {ended}."


def _pause_lines(case: Case) -> list[str]:
    """Who paused what the row blames, and from when to when, if that is known."""
    if case.pause is None:
        return []
    until = "" if case.pause.until is None else f" until {show_instant(case.pause.until)}"
    return [f"The pause was from {show_instant(case.pause.since)}{until}, by {case.pause.actor}."]


def _other_lines(row: OutcomeRow, other: Execution | None) -> list[str]:
    """The execution that held the slots of a row back, or ran for them."""
    if row.outcome is not Outcome.COALESCED:
        held = f"It was held back by execution {row.execution_id}."
        return [held] if other is None else [held, _blocker_line(other)]
    if other is None:
        return [f"Execution {row.execution_id} stands for it."]
    which = f"Execution {other.id}" + (f", of {show_instant(other.nominal)}," if other.nominal is not None else "")
    started = show_instant(other.first_started_at)
    if started is None:
        return [f"{which} stands for it: it is {other.state}."]
    return [
        f"{which} {'runs' if other.state in OPEN_STATES else 'ran'} for it: first started {started}, {other.state}."
    ]


def _calendar_lines(definition: Definition, at: Instant) -> list[str]:
    """Which calendars exclude an instant, in the version that the task kept to then."""
    return [
        f"Calendar {rule.calendar.name!r}, version {rule.calendar.version}, excludes it."
        for rule in definition.bounds.calendars
        if rule.excludes(at)
    ]


def _because(task: Task, at: Instant, reason: str | None, outcome: Outcome | None) -> str:
    if reason == Reason.PAUSED:
        return "the task was paused" if outcome is Outcome.SKIPPED else "the whole scheduler was paused"
    if reason == "downtime" and at < task.definition.created_at:
        return "its time had already passed when the task was made"
    return _REASONS.get(reason or "", reason or "no reason was kept")


def of_execution(task: Task, detail: ExecutionDetail) -> Answer:
    """What became of one execution, and why: of an occurrence or of a run by hand."""
    definition = task.definition
    told = _ran(task, detail)
    words = trigger_words(definition.trigger, definition.bounds)
    return attrs.evolve(told, lines=(f"{definition.name!r} runs {words}.", *told.lines))


def _ran(task: Task, detail: ExecutionDetail) -> Answer:
    execution = detail.execution
    made = show_instant(execution.created_at)
    if execution.nominal is None:
        lines = [f"Somebody ran it by hand at {made}: execution {execution.id}."]
    else:
        nominal = show_instant(execution.nominal)
        lines = [f"The occurrence of {nominal} was settled at {made}: execution {execution.id}."]
        if execution.assigned is not None:
            lines.append(f"Its place in the task's window after that time is {show_instant(execution.assigned)}.")
        lines += _outcome_lines(task, execution, execution.nominal)
    lines += attempt_lines(detail)
    if (waiting := _waiting_line(execution)) is not None:
        lines.append(waiting)
    if execution.cancel_reason is not None:
        lines.append(f"It was cancelled: {execution.cancel_reason}.")
    verdict = "manual" if execution.nominal is None else "open"
    return Answer(
        execution.outcome.value if execution.outcome is not None else verdict, execution.nominal, tuple(lines)
    )


def _outcome_lines(task: Task, execution: Execution, nominal: Instant) -> list[str]:
    if execution.outcome is None:
        return []
    because = "" if execution.reason is None else f" ({_because(task, nominal, execution.reason, execution.outcome)})"
    started = execution.first_started_at
    if started is None:
        return [f"Its outcome is {execution.outcome}{because}."]
    due = nominal if execution.assigned is None else execution.assigned
    delay = "" if started < due else f", {delay_words(started - due)} after its time"
    return [f"Its outcome is {execution.outcome}{because}: first started {show_instant(started)}{delay}."]


def newest_lines(task: Task, execution: Execution) -> tuple[str, ...]:
    """What stands between a task and its next success: its newest execution, if that is open, held or failed."""
    name = shlex.quote(task.definition.name)
    if execution.state is State.CRASHED:
        return (f"Execution {execution.id} is held after a crash; to go on with it: tocsin task resume {name}",)
    if execution.state in FAILED_STATES:
        ended = f"Its last execution {execution.id} ended {execution.state}{brief_error(execution.failure)}"
        return (f"{ended}; to run it again: tocsin task retry {name}",)
    if execution.state is State.CANCELLED and execution.cancel_reason is not None:
        return (f"Its last execution {execution.id} ended CANCELLED: {execution.cancel_reason}.",)
    if execution.state in OPEN_STATES:
        waiting = _waiting_line(execution)
        return (f"Execution {execution.id} is {execution.state}.", *([] if waiting is None else [waiting]))
    return ()


WAITS_FOR_PARENTS: Final = "It waits for the tasks that it depends on."

_WAITS: Final = {
    WaitsFor.SLOT: "It waits for a free slot of the executor.",
    WaitsFor.OVERLAP: "It waits for the former execution of the task to end.",
    WaitsFor.NODE: "It waits for a node that can run it.",
    WaitsFor.QUEUE: "It waits for room in its queue.",
    WaitsFor.KEY: "It waits for its concurrency key.",
    WaitsFor.DEPENDENCY: WAITS_FOR_PARENTS,
    WaitsFor.GOVERNOR: "It waits for its turn among those that are caught up.",
}


def _waiting_line(execution: Execution) -> str | None:
    if execution.state is State.CRASHED:
        poison = execution.failure is not None and execution.failure.type == POISON
        again = ": it brought its process down too often to be tried again by itself" if poison else ""
        return f"It is held after a crash until somebody resumes it{again}."
    if execution.waits_for is WaitsFor.RETRY:
        return f"It waits for its retry at {show_instant(execution.due)} (failure {execution.failures})."
    return None if execution.waits_for is None else _WAITS[execution.waits_for]


def _future(case: Case) -> Answer:
    state, definition = case.task.state, case.task.definition
    if state.phase is not Phase.ACTIVE:
        return Answer(
            state.phase.value,
            case.at,
            (f"{show_instant(case.at)} is in the future, and the task is {state.phase}: it will not fire.",),
        )
    if isinstance(definition.trigger, Interval) and definition.trigger.fixed_delay:
        return Answer(
            "future", None, (_next_line(case), "A fixed delay is counted from the end of the execution before.")
        )
    if is_nominal(definition.trigger, definition.bounds, case.at):
        if excluding := _calendar_lines(definition, case.at):
            return Answer(
                "excluded",
                case.at,
                (
                    f"{show_instant(case.at)} is in the future, and the task will not fire then.",
                    *excluding,
                    _next_line(case),
                ),
            )
        return Answer("future", case.at, _ahead(case))
    return _nearest(case)


def _ahead(case: Case) -> tuple[str, ...]:
    """That the task will fire at the asked time, and when it does so next if that is another time."""
    fires = assigned(case.task.definition, case.at)
    when = "then" if fires == case.at else f"at {show_instant(fires)}"
    line = f"{show_instant(case.at)} is in the future: the task will fire {when}."
    return (line,) if case.task.state.next_fire in (case.at, fires) else (line, _next_line(case))


def _next_line(case: Case) -> str:
    next_fire = case.task.state.next_fire
    if next_fire is None:
        return "No fire is planned."
    if next_fire <= case.now:
        return f"The fire of {show_instant(next_fire)} is owed: its time has come."
    return f"The next fire is at {show_instant(next_fire)}."


def _past(case: Case) -> Answer:
    state, definition = case.task.state, case.task.definition
    if case.at < definition.created_at:
        return Answer("before", case.at, (f"The task was made at {show_instant(definition.created_at)}, after that.",))
    if (superseded := _superseded(case)) is not None:
        return superseded
    if not is_nominal(definition.trigger, definition.bounds, case.at):
        return _nearest(case)
    if case.at <= state.settled_through:
        line = f"It was settled (all is, through {show_instant(state.settled_through)}), and its row is gone: purged or folded."
        return Answer("purged", case.at, (line,))
    if state.phase is Phase.PAUSED:
        note = f" ({state.note})" if state.note else ""
        return Answer(
            "paused", case.at, (f"The task is paused{note}; what the pause covers is settled when it is activated.",)
        )
    if state.phase is not Phase.ACTIVE:
        return Answer(state.phase.value, case.at, (f"The task is {state.phase}, and this time came after that.",))
    more = () if state.next_fire == case.at else (_next_line(case),)
    return Answer("open", case.at, ("It is owed and not settled yet.", *more))


def _superseded(case: Case) -> Answer | None:
    """An edit took the slot away: a revision named it, and the next one began before it came."""
    for former, later in zip(case.revisions, case.revisions[1:], strict=False):
        named = is_nominal(former.definition.trigger, former.definition.bounds, case.at)
        if named and former.began_at <= case.at and later.began_at <= case.at and later.revision == former.revision + 1:
            still = is_nominal(case.task.definition.trigger, case.task.definition.bounds, case.at)
            if not still:
                words = trigger_words(former.definition.trigger, former.definition.bounds)
                line = f"Revision {former.revision} named it ({words}); revision {later.revision} replaced it at "
                return Answer("superseded", case.at, (f"{line}{show_instant(later.began_at)}, before it came.",))
    return None


def _nearest(case: Case) -> Answer:
    definition = case.task.definition
    before = last_through(definition.trigger, definition.bounds, Instant(definition.created_at - 1), case.at)
    after = next_after(definition.trigger, definition.bounds, case.at)
    near = [f"{word} {show_instant(at)}" for word, at in (("before it", before), ("after it", after)) if at is not None]
    line = f"{show_instant(case.at)} is no nominal time of this task."
    return Answer("not_nominal", None, (line, f"The nearest are: {', '.join(near)}." if near else "It has none."))
