"""The checks that every definition passes, whichever interface it came through.

They are on the way of every task that is added, so each costs a microsecond or two; what is shared by many tasks (policies,
triggers, tags) is checked once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from actors.handling.catalogue import Catalogue, TaskType
from actors.model.invocation import MARK
from actors.model.lifecycle import Status
from actors.model.system import OWN_TYPES, is_system
from actors.model.task import MAX_EXTRA, MAX_NAME, MAX_PARAMETERS, Definition, Extra
from actors.model.trigger import (
    LONGEST_INTERVAL,
    SHORTEST_INTERVAL,
    UNBOUNDED,
    Bounds,
    Cron,
    Interval,
    Once,
    Trigger,
)
from actors.when.cron_search import LATEST_FIRST_FIRE
from actors.when.triggers import check_trigger
from runtime.clock import Instant
from runtime.errors import Conflict, InvalidRequest, TooLarge

from ..settings.config import suggestion
from .fields import canonical_json, proper_text, show, show_instant
from .words import MAX_CONTENT_TYPE, MAX_TAG, MAX_TAGS

MAX_NOTE: Final = 500
"""Characters of a pause's note: a sentence, not a document."""

_ID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ID_LENGTH: Final = 36

_NAMES_SHOWN: Final = 10


def known_type(catalogue: Catalogue, name: object) -> TaskType:
    """The task type of that name. Raises InvalidRequest, with the nearest known one, if this node has none.

    Types of system tasks are the node's own: nobody else makes a task of them.
    """
    if name in OWN_TYPES:
        raise InvalidRequest(f"taskType: only the system makes tasks of type {show(name)}")
    found = catalogue.get(name) if isinstance(name, str) else None
    if found is None:
        names = catalogue.names()
        raise InvalidRequest(f"taskType: unknown type {show(name)}{suggestion(str(name), names)}; known: {_few(names)}")
    return found


def _few(names: list[str]) -> str:
    more = "" if len(names) <= _NAMES_SHOWN else f" and {len(names) - _NAMES_SHOWN} more"
    return (", ".join(names[:_NAMES_SHOWN]) or "none") + more


def check_editable(definition: Definition) -> None:
    """Raise Conflict for a task of the node itself: reading the edit would only find that nobody makes such a task."""
    if is_system(definition):
        raise Conflict(
            f"{definition.name} is a task of the node itself: it can be paused and run, its definition is configured"
        )


def parse_status(text: str) -> Status:
    """A status in any letter case."""
    try:
        return Status(text.upper())
    except ValueError:
        near = suggestion(text.upper(), list(Status))
        raise InvalidRequest(f"status: one of {', '.join(Status)}, not {show(text)}{near}") from None


def check_name(name: object) -> str:
    """A task's name: 1 to 128 printable characters without leading or trailing space, and no id."""
    if not isinstance(name, str):
        raise InvalidRequest(f"name: a text, not {show(name)}")
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidRequest(f"name: 1 to {MAX_NAME} characters, not {len(name)}: {show(name)}")
    if not name.isprintable() or name[0] == " " or name[-1] == " ":
        raise InvalidRequest(f"name: printable characters, no leading or trailing space, not {show(name)}")
    if len(name) == _ID_LENGTH and _ID.fullmatch(name):
        raise InvalidRequest(f"name: looks like an id, which would be mistaken for it: {show(name)}")
    return name


def parameters_text(parameters: object) -> str:
    """The parameters as canonical JSON, at most 256 KiB."""
    if type(parameters) is not dict and not isinstance(parameters, Mapping):
        raise InvalidRequest(f"parameters: an object, not {show(parameters)}")
    if not parameters:
        return "{}"
    for name in parameters:
        if not isinstance(name, str):
            raise InvalidRequest(f"parameters: values by name, not by {show(name)}")
    if MARK in parameters:
        raise InvalidRequest(f"parameters: {MARK} is the name of what the scheduler adds, and of no parameter")
    text = canonical_json(parameters if isinstance(parameters, dict) else dict(parameters), "parameters")
    # One character is at most four bytes, so most texts need no second encoding to be known as small.
    if len(text) * 4 > MAX_PARAMETERS and (size := len(text.encode())) > MAX_PARAMETERS:
        raise TooLarge(f"parameters: {size} bytes of JSON, at most {MAX_PARAMETERS}")
    return text


def check_extra(extra: Extra | None) -> None:
    """At most 1 MiB, with a plausible content type."""
    if extra is None:
        return
    if not isinstance(extra.data, bytes):
        raise InvalidRequest(f"extra: bytes, not {show(extra.data)}")
    if len(extra.data) > MAX_EXTRA:
        raise TooLarge(f"extra: {len(extra.data)} bytes, at most {MAX_EXTRA}")
    content_type: object = extra.content_type
    if not isinstance(content_type, str):
        raise InvalidRequest(f"extra.contentType: a text, not {show(content_type)}")
    if not 1 <= len(content_type) <= MAX_CONTENT_TYPE or not content_type.isprintable() or "/" not in content_type:
        raise InvalidRequest(f"extra.contentType: a content type such as text/plain, not {show(content_type)}")


def check_run_id(value: str | None, field: str = "executionId") -> str | None:
    """The id that somebody chose for an execution or a task, so that he can ask again: a UUID; None for none."""
    if value is not None and not _ID.fullmatch(value):
        raise InvalidRequest(f"{field}: a UUID, not {show(value)}")
    return None if value is None else value.lower()


def check_note(note: object) -> str | None:
    """Why a task is paused, in at most 500 printable characters; None for no note."""
    if note is None:
        return None
    text = proper_text(note, "note")
    if len(text) > MAX_NOTE:
        raise InvalidRequest(f"note: at most {MAX_NOTE} characters, not {len(text)}")
    if not text.isprintable():
        raise InvalidRequest(f"note: printable characters, not {show(text)}")
    return text


@lru_cache(maxsize=4_096)
def check_tags(tags: tuple[str, ...]) -> None:
    """At most 32 different tags of 1 to 64 printable characters."""
    if len(tags) > MAX_TAGS:
        raise InvalidRequest(f"tags: at most {MAX_TAGS}, not {len(tags)}")
    for tag in tags:
        if not 1 <= len(tag) <= MAX_TAG or not tag.isprintable() or tag != tag.strip():
            raise InvalidRequest(f"tags: 1 to {MAX_TAG} printable characters each, not {show(tag)}")
    if len(dict.fromkeys(tags)) < len(tags):
        raise InvalidRequest(f"tags: each only once, not {show(list(tags))}")


def check_when(trigger: Trigger, bounds: Bounds, now: Instant) -> None:
    """The trigger can be evaluated and fires at all. A cron expression is judged once per distinct one."""
    if (
        isinstance(trigger, Interval)
        and bounds is UNBOUNDED
        and trigger.anchor <= now
        and SHORTEST_INTERVAL <= trigger.every <= LONGEST_INTERVAL
    ):
        # The usual case, on the way of every task: a grid that has begun goes on.
        return
    if isinstance(trigger, Once) and trigger.at > now + LATEST_FIRST_FIRE:
        raise InvalidRequest(
            f"trigger: fires once, at {show_instant(trigger.at)}, which is more than ten years from now"
        )
    try:
        if isinstance(trigger, Cron) and bounds is UNBOUNDED:
            _check_cron(trigger, now // _CRON_REMEMBERED)
        else:
            check_trigger(trigger, bounds, now)
    except InvalidRequest as error:
        raise InvalidRequest(_placed(str(error))) from None


def _placed(message: str) -> str:
    """The refusal of a part of a trigger, under the name that the part has in a definition."""
    if message.startswith("trigger"):
        return message
    if message.startswith("cron "):
        return f"trigger.cron: {message}"
    return f"trigger.timezone: {message}" if message.startswith("unknown time zone") else f"trigger.{message}"


_CRON_REMEMBERED: Final = 86_400_000_000
"""A day in microseconds: whether an expression fires within ten years may change from one day to the next."""


@lru_cache(maxsize=4_096)
def _check_cron(trigger: Cron, day: int) -> None:
    check_trigger(trigger, UNBOUNDED, Instant(day * _CRON_REMEMBERED))
