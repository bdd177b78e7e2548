"""Request bodies from what was typed."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from runtime.errors import InvalidRequest

from ..fields import show
from .options import How, When

_OPTIONS: Final = {
    "trigger.every": "--every",
    "trigger.cron": "--cron",
    "trigger.at": "--at",
    "trigger.after": "--in",
    "trigger.timezone": "--timezone",
    "trigger.start": "--start",
    "trigger.end": "--end",
    "trigger.maxRuns": "--times",
    "policies.retry.maxRetries": "--retries",
    "policies.retry.delay": "--retry-delay",
    "policies.retry.backoff": "--backoff",
    "policies.timeout": "--timeout",
    "policies.overlap": "--overlap",
    "policies.catchUp": "--catch-up",
    "policies.latenessLimit": "--lateness-limit",
    "policies.onCrash": "--on-crash",
    "policies.priority": "--priority",
    "parameters": "--params",
    "tags": "--tag",
    "extra.contentType": "--extra-type",
    "taskType": "--type",
    "sortBy": "--sort",
}
"""Field of the API -> the option that fills it."""


def with_option(message: str) -> str:
    """A node's refusal, naming the option that was typed instead of the field that it filled."""
    field, colon, rest = message.partition(":")
    return f"{_OPTIONS.get(field, field)}{colon}{rest}"


def local_time(text: str | None, timezone: str | None) -> str | None:
    """A time for the API: one without an offset stays so where a zone was named, and is local otherwise."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"a time such as '2026-03-01 12:00' or 2026-03-01T12:00:00Z, not {text!r}") from None
    if moment.tzinfo is None and timezone is None:
        moment = moment.astimezone()
    return moment.isoformat()


def trigger_body(when: When) -> dict[str, Any] | None:
    """A trigger, or None when nothing was said about when. Raises InvalidRequest for bounds without a trigger."""
    kinds = {"every": when.every, "cron": when.cron, "at": local_time(when.at, when.timezone), "after": when.in_}
    more = {
        "timezone": when.timezone,
        "start": local_time(when.start, when.timezone),
        "end": local_time(when.end, when.timezone),
        "maxRuns": when.times,
        "fixedDelay": True if when.fixed_delay else None,
    }
    given = [_OPTIONS.get(f"trigger.{key}", key) for key, value in kinds.items() if value is not None]
    if len(given) > 1:
        raise InvalidRequest(f"exactly one of --every, --cron, --at, --in, not {' and '.join(given)}")
    body = {key: value for key, value in (kinds | more).items() if value is not None}
    if body and not any(value is not None for value in kinds.values()):
        raise InvalidRequest("say when: one of --every, --cron, --at, --in")
    return body or None


def parameters_body(text: str | None) -> Any:
    """Parameters given as JSON, or as `@FILE` that holds it."""
    if text is None:
        return None
    if text.startswith("@"):
        text = _text(Path(text[1:]))
    try:
        return json.loads(text)
    except RecursionError:
        raise InvalidRequest("--params: nested too deeply") from None
    except ValueError as error:
        raise InvalidRequest(f"--params: not JSON: {error}: {show(text)}") from None


def extra_body(path: Path | None, content_type: str | None) -> dict[str, str] | None:
    """A file's bytes."""
    if path is None:
        return None
    body = {"data": base64.b64encode(_read(path)).decode()}
    return body | ({"contentType": content_type} if content_type is not None else {})


def _text(path: Path) -> str:
    try:
        return _read(path).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"--params: {str(path)!r} is not UTF-8 at byte {error.start}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"cannot read {str(path)!r}: {error.strerror}") from None


def policies_body(how: How) -> dict[str, Any] | None:
    """Policies, without those that nothing was said about."""
    retry = {"maxRetries": how.retries, "delay": how.retry_delay, "backoff": how.backoff}
    plain = {
        "timeout": how.timeout,
        "overlap": how.overlap,
        "catchUp": how.catch_up,
        "latenessLimit": how.lateness_limit,
        "onCrash": how.on_crash,
        "priority": how.priority,
    }
    given = {key: value for key, value in retry.items() if value is not None}
    body: dict[str, Any] = {key: value for key, value in plain.items() if value is not None}
    return (body | ({"retry": given} if given else {})) or None
