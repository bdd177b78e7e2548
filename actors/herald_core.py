"""The herald's decisions: whether an event trigger acts on an outcome, what a try of an action leads to, what is tried next.

Theory of operation. The outbox holds two kinds of entries. The keeper writes the first, an outcome and an event trigger that
looks at it. Judging it takes one commit: the entry leaves the outbox, what the trigger remembers is stored, and if it acts there
is an entry of the second kind for each of its actions, with an id of its own. So the decision is made exactly once, whatever
crashes, and each action has its own tries. An action is done first and recorded then: at least once, always under the same id.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final, assert_never

from runtime.clock import SECOND, Instant, Micros
from runtime.errors import StoreDamaged
from runtime.records import evolve, record

from .herald_messages import Delivery, DeliveryFailed
from .model.event import Action, Email, EventTrigger, RunTask, Topic, Webhook, action_document, action_from, event_from
from .store.port import DeliveryWrite, EventState, OutboxEntry

MAX_TRIES: Final = 8
"""Tries of an action: with the delays below they span an hour and a half, a longer outage is a person's business."""

FIRST_DELAY: Final = Micros(5 * SECOND)
"""Before the second try; every further delay is three times as long."""

LONGEST_DELAY: Final = Micros(3_600 * SECOND)
"""Between two tries."""

PER_TARGET: Final = 4
"""Requests to one receiver at a time, and mails: a slow receiver holds up nobody else's. What stays in the node is quick."""

AT_ONCE: Final = 64
"""Actions under way at a time."""

JUDGED: Final = 50
"""Outcomes judged in one commit: with the bound of a condition, a second at the worst."""

READ: Final = 200
"""Entries read at a time: some megabytes at the most, and usually kilobytes."""

MOST_READ: Final = 2_000
"""Entries read at a time while many wait for a slow receiver."""

MAX_DETAIL: Final = 500
"""Characters of what is kept about a try."""


@record
class Verdict:
    """What the condition said: `holds`, or None with the `problem` for one that has no answer."""

    holds: bool | None
    problem: str = ""


@record
class Outcome:
    """An entry of the first kind, read. `fence`: of the attempt that ended, to tell its result from a later one's."""

    entry: OutboxEntry
    event: EventTrigger
    facts: dict[str, Any]
    counts: dict[str, int]
    fence: int


@record
class Judgement:
    """What follows from an outcome: see the module's docstring. `state` None: nothing new to remember."""

    write: DeliveryWrite
    entries: tuple[OutboxEntry, ...] = ()
    state: EventState | None = None


def judge(
    outcome: Outcome, verdict: Verdict, memory: EventState | None, now: Instant, new_id: Callable[[], str]
) -> Judgement:
    """Whether the event trigger acts. The throttle looks at the instants of outcomes, so a late herald changes nothing.

    An edge that the throttle swallows is gone: the condition has to be false before the next one.
    """
    entry, event = outcome.entry, outcome.event
    if verdict.holds is None:
        return Judgement(_write(entry, now, "given_up", f"condition: {verdict.problem}"))
    before = memory or EventState(entry.task_id, event.name)
    after = evolve(before, held=verdict.holds)
    changed = after if after != memory else None
    if not verdict.holds:
        return Judgement(_write(entry, now, "suppressed", "the condition is false"), state=changed)
    if event.mode == "edge" and before.held:
        return Judgement(_write(entry, now, "suppressed", "the condition was true before"), state=changed)
    if before.delivered_at is not None and 0 <= entry.at - before.delivered_at < event.throttle:
        return Judgement(_write(entry, now, "suppressed", "throttled"), state=changed)
    entries = tuple(_action_entry(outcome, action, now, new_id()) for action in event.actions)
    write = _write(entry, now, "fired", " ".join(one.id for one in entries))
    return Judgement(write, entries, evolve(after, delivered_at=entry.at))


def _action_entry(outcome: Outcome, action: Action, now: Instant, new_id: str) -> OutboxEntry:
    entry = outcome.entry
    payload = json.dumps({"action": action_document(action), "facts": outcome.facts})
    return OutboxEntry(new_id, entry.task_id, entry.execution_id, entry.event, entry.at, now, payload)


def _write(
    entry: OutboxEntry | Delivery, now: Instant, state: str, detail: str, due: Instant | None = None
) -> DeliveryWrite:
    shown = detail if len(detail) <= MAX_DETAIL else f"{detail[: MAX_DETAIL - 3]}..."
    return DeliveryWrite(entry.id, entry.task_id, entry.execution_id, entry.event, now, state, shown, due)


def after_try(entry: OutboxEntry | Delivery, outcome: str | DeliveryFailed, now: Instant) -> DeliveryWrite:
    """What a try of an action leads to. `outcome`: what it answered, or how it failed."""
    if isinstance(outcome, str):
        return _write(entry, now, "delivered", outcome)
    if outcome.permanent or entry.tries + 1 >= MAX_TRIES:
        return _write(entry, now, "given_up", str(outcome))
    delay = min(LONGEST_DELAY, FIRST_DELAY * 3**entry.tries)
    return _write(entry, now, "retry", str(outcome), Instant(now + delay))


# -- entries


def read_entry(entry: OutboxEntry) -> Outcome | Delivery:
    """An entry's payload. Raises StoreDamaged."""
    try:
        payload = json.loads(entry.payload)
        if "action" in payload:
            action = action_from(payload["action"])
            return Delivery(
                entry.id,
                entry.task_id,
                entry.execution_id,
                entry.event,
                entry.at,
                action,
                payload["facts"],
                entry.tries,
            )
        event, counts, fence = event_from(payload.pop("event")), payload.pop("counts"), payload.pop("fence")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreDamaged(f"entry {entry.id} of the outbox is none of this version: {error!r}") from error
    return Outcome(entry, event, payload, counts, fence)


def target_of(action: Action) -> str:
    """Whom an action is for: those for one receiver are not all done at the same time."""
    match action:
        case Webhook(url=url):
            return url.split("?", 1)[0]
        case Email():
            return "mail"
        case Topic():
            return "topic"
        case RunTask(task=task):
            return f"task {task}"
        case _:
            assert_never(action)


class Queue:
    """The actions that are due, as they were read, and those under way.

    What was read waits here, so that the end of one action begins the next without another look into the outbox. `running`:
    entry ids under way with their targets.
    """

    def __init__(self) -> None:
        self.running: dict[str, str] = {}
        self._waiting: dict[str, Delivery] = {}
        self._recorded: set[str] = set()

    @property
    def limit(self) -> int:
        """How many due entries should be read: those that cannot be taken now must not hide what is behind them."""
        return min(MOST_READ, READ + len(self.running) + len(self._waiting))

    @property
    def is_empty(self) -> bool:
        """Whether nothing that was read waits."""
        return not self._waiting

    def begin(self) -> None:
        """The outbox is going to be read: what was recorded before will not be in it any more."""
        self._recorded.clear()

    def fresh(self, due: Iterable[OutboxEntry]) -> list[OutboxEntry]:
        """What was read and is not known yet. What waits here and was not read is gone from the outbox, or read later."""
        found = {entry.id: entry for entry in due}
        self._waiting = {key: delivery for key, delivery in self._waiting.items() if key in found}
        known = self.running.keys() | self._waiting.keys() | self._recorded
        return [entry for key, entry in found.items() if key not in known]

    def add(self, opened: Iterable[Outcome | Delivery]) -> list[Outcome]:
        """Keep the actions; answers the outcomes to be judged now."""
        outcomes: list[Outcome] = []
        for entry in opened:
            if isinstance(entry, Outcome):
                outcomes.append(entry)
            else:
                self._waiting[entry.id] = entry
        # In the order in which they were made: what an edge is depends on it.
        return sorted(outcomes, key=lambda outcome: outcome.entry.id)[:JUDGED]

    def take(self) -> list[Delivery]:
        """The actions to be begun now; they are counted as running until `done`."""
        busy = Counter(self.running.values())
        taken: list[Delivery] = []
        for delivery in self._waiting.values():
            if len(self.running) >= AT_ONCE:
                break
            target = target_of(delivery.action)
            if not isinstance(delivery.action, Webhook | Email) or busy[target] < PER_TARGET:
                busy[target] += 1
                self.running[delivery.id] = target
                taken.append(delivery)
        for delivery in taken:
            del self._waiting[delivery.id]
        return taken

    def done(self, entry_id: str) -> None:
        """An action's try has been recorded. What is being read may still show it as it was."""
        self.running.pop(entry_id, None)
        self._recorded.add(entry_id)
