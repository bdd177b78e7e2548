"""Event triggers: what a person wants done when something has become of an occurrence or a run."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Literal

import attrs

from runtime.clock import Micros
from runtime.records import record

MAX_EVENTS: Final = 16
"""Event triggers of one task: more belong into one receiver that decides."""

MAX_ACTIONS: Final = 8
"""Actions of one event trigger."""

MAX_CONDITION: Final = 1_000
"""Characters of a condition: longer than what a person reads at a glance, short enough to bound its cost."""

MAX_TEMPLATE: Final = 16 * 1024
"""Bytes of the text an action sends instead of the standard one."""

MAX_RECIPIENTS: Final = 20
"""Addressees of one e-mail; a list server serves more."""

MAX_HEADERS: Final = 32
"""Headers of its own that a webhook sends."""

MAX_HEADER: Final = 4 * 1024
"""Bytes of one header's value, as of a long token."""

MAX_URL: Final = 2_000
"""Characters of a webhook's URL; many servers refuse longer ones."""

Mode = Literal["level", "edge"]
"""`level`: whenever the condition is true. `edge`: when it is true and was false, or unknown, the time before."""


class On(StrEnum):
    """What an event trigger looks at: the ways in which an execution ends, and what becomes of slots that do not run."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    CRASHED = "CRASHED"
    CANCELLED = "CANCELLED"
    COALESCED = "coalesced"
    MISSED = "missed"
    SKIPPED = "skipped"


@record
class Webhook:
    """Send a request to a URL. `body`: a text with placeholders like `{task.name}`; None for the standard JSON.

    `secret`: the name of what it is signed with; None for unsigned.
    """

    url: str
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    secret: str | None = None


@record
class Email:
    """Send a mail. `subject` and `body` may hold placeholders like `{task.name}`; None for the standard texts."""

    to: tuple[str, ...]
    subject: str | None = None
    body: str | None = None


@record
class Topic:
    """Tell those who watch the topic now."""

    name: str


@record
class RunTask:
    """Run another task, named by its name or id. `parameters`: JSON text of an object, None for the task's own."""

    task: str
    parameters: str | None = None


Action = Webhook | Email | Topic | RunTask


@record
class EventTrigger:
    """What follows an outcome in `on` when `condition` is true of it (language: `actors/rules/conditions.py`).

    `name` is unique in the task. `throttle`, microseconds: after it has acted it does not act for so long.
    """

    name: str
    actions: tuple[Action, ...]
    on: tuple[On, ...] = (On.FAILED, On.TIMED_OUT, On.CRASHED)
    condition: str = "true"
    mode: Mode = "level"
    throttle: Micros = Micros(0)


KINDS: Final[dict[str, type[Action]]] = {"webhook": Webhook, "email": Email, "topic": Topic, "run_task": RunTask}
"""Actions by the name that documents give them."""

_NAMES: Final = {kind: name for name, kind in KINDS.items()}


def event_document(trigger: EventTrigger) -> dict[str, Any]:
    """An event trigger as JSON values, in full."""
    return {
        "name": trigger.name,
        "actions": [action_document(action) for action in trigger.actions],
        "on": [str(one) for one in trigger.on],
        "condition": trigger.condition,
        "mode": trigger.mode,
        "throttle": trigger.throttle,
    }


def event_from(document: dict[str, Any]) -> EventTrigger:
    """The event trigger of such a document. Raises ValueError, TypeError or KeyError for what this version does not know."""
    values = dict(document)
    values["actions"] = tuple(action_from(one) for one in values["actions"])
    values["on"] = tuple(On(one) for one in values["on"])
    return EventTrigger(**values)


def action_document(action: Action) -> dict[str, Any]:
    """An action as JSON values, in full."""
    return {"kind": _NAMES[type(action)], **attrs.asdict(action)}


def action_from(document: dict[str, Any]) -> Action:
    """The action of such a document. Raises as `event_from`."""
    values = dict(document)
    kind = KINDS[values.pop("kind")]
    if "headers" in values:
        values["headers"] = tuple((name, value) for name, value in values["headers"])
    if "to" in values:
        values["to"] = tuple(values["to"])
    return kind(**values)
