"""Event triggers as JSON gives them, and as they are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from actors.herald_text import check_template
from actors.model.event import KINDS, Action, Email, EventTrigger, RunTask, Topic, Webhook
from actors.rules.conditions import parse_condition
from runtime.errors import InvalidRequest

from ..settings.config import suggestion
from .fields import show
from .kinds import read_object, show_object
from .words import ACTIONS, EVENT, EVENTS

_ADDRESS: Final = re.compile(r"[^\s@<>,;:\"]+@[^\s@<>,;:\"]+")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS: Final = ("content-length", "host", "transfer-encoding", "connection")
"""Headers that say how a request is framed, which is the client's business."""

_SECRET: Final = re.compile(r"(?!whsec_)[A-Za-z0-9._-]{1,128}")
_NAME_OF_ONE: Final = "the name of a secret in the file that webhooks.secrets_file names (letters, digits, . _ -)"
_SHOWN: Final = 6
"""Characters: who put the secret itself there must not find it in every log."""

_KIND_OF: Final = {kind: name for name, kind in KINDS.items()}
_ACTION_FIELD: Final = "actions"


def read_events(value: object, path: str = "events") -> tuple[EventTrigger, ...]:
    """The event triggers that JSON describes. Raises InvalidRequest that names the field and shows the value."""
    found = tuple(_event(values, f"{path}[{index}]") for index, values in enumerate(EVENTS.read(value, path)))
    names = [event.name for event in found]
    if double := [name for name in names if names.count(name) > 1]:
        raise InvalidRequest(f"{path}: each name only once, not twice {show(double[0])}")
    return found


def _event(values: dict[str, Any], path: str) -> EventTrigger:
    for key in ("name", _ACTION_FIELD):
        if key not in values:
            raise InvalidRequest(f"{path}.{key}: required")
    if "condition" in values:
        parse_condition(values["condition"], f"{path}.condition")
    values[_ACTION_FIELD] = tuple(
        _action(action, f"{path}.{_ACTION_FIELD}[{index}]") for index, action in enumerate(values[_ACTION_FIELD])
    )
    return EventTrigger(**values)


def _action(value: Mapping[str, Any], path: str) -> Action:
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in ACTIONS:
        near = suggestion(kind, list(ACTIONS)) if isinstance(kind, str) else ""
        raise InvalidRequest(f"{path}.kind: one of {', '.join(ACTIONS)}, not {show(kind)}{near}")
    values = read_object({key: entry for key, entry in value.items() if key != "kind"}, ACTIONS[kind], path)
    for required in ("url", "to", "name", "task"):
        if required not in values and any(one.key == required for one in ACTIONS[kind]):
            raise InvalidRequest(f"{path}.{required}: required")
    action = KINDS[kind](**values)
    _check_action(action, path)
    return action


def _check_action(action: Action, path: str) -> None:
    match action:
        case Webhook(url=url, headers=headers, body=body, secret=secret):
            _check_url(url, f"{path}.url")
            _check_headers(headers, f"{path}.headers")
            if secret is not None and not _SECRET.fullmatch(secret):
                raise InvalidRequest(f"{path}.secret: {_NAME_OF_ONE}, not {show(secret[:_SHOWN])}")
            _check_texts(path, body=body)
        case Email(to=to, subject=subject, body=body):
            for address in to:
                if not _ADDRESS.fullmatch(address):
                    raise InvalidRequest(f"{path}.to: an address such as ops@example.com, not {show(address)}")
            _check_texts(path, subject=subject, body=body)
        case Topic() | RunTask():
            pass


def _check_texts(path: str, **texts: str | None) -> None:
    for name, text in texts.items():
        if text is not None:
            check_template(text, f"{path}.{name}")


def _check_url(url: str, field: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and " " not in url
    except ValueError:
        good = False
    if not good:
        raise InvalidRequest(f"{field}: a URL such as https://example.com/hook, not {show(url)}")


def _check_headers(headers: tuple[tuple[str, str], ...], field: str) -> None:
    names = [name.lower() for name, _ in headers]
    for name in names:
        if not _HEADER.fullmatch(name) or name in _OWN_HEADERS:
            raise InvalidRequest(f"{field}: the name of a header that may be set, not {show(name)}")
        if names.count(name) > 1:
            raise InvalidRequest(f"{field}: each only once, not twice {show(name)}")


def event_json(event: EventTrigger) -> dict[str, Any]:
    """An event trigger in full."""
    plain = show_object(event, tuple(one for one in EVENT if one.key != _ACTION_FIELD))
    return plain | {
        "throttle": plain["throttle"] if event.throttle else None,
        _ACTION_FIELD: [*map(action_json, event.actions)],
    }


def action_json(action: Action) -> dict[str, Any]:
    """An action in full, with its kind."""
    kind = _KIND_OF[type(action)]
    return {"kind": kind} | show_object(action, ACTIONS[kind])
