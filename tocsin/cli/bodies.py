"""Request bodies from what was typed."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from runtime.errors import InvalidRequest

from ..shown import show
from .next_steps import as_json_object
from .options import Beside, How, When

OPTIONS: Final[Mapping[str, str]] = {
    "trigger.every": "--every",
    "trigger.everyDays": "--every-days",
    "trigger.everyWeeks": "--every-weeks",
    "trigger.everyMonths": "--every-months",
    "trigger.everyYears": "--every-years",
    "trigger.day": "--day",
    "trigger.weekday": "--weekday",
    "trigger.month": "--month",
    "trigger.missing": "--missing",
    "trigger.cron": "--cron",
    "trigger.at": "--at",
    "trigger.after": "--in",
    "trigger.anchor": "--anchor",
    "trigger.fixedDelay": "--fixed-delay",
    "trigger.timezone": "--timezone",
    "trigger.gap": "--gap",
    "trigger.fold": "--fold",
    "trigger.start": "--start",
    "trigger.end": "--end",
    "trigger.maxRuns": "--times",
    "trigger.spread": "--spread",
    "trigger.calendars": "--exclude, --include",
    "policies.retry.maxRetries": "--retries",
    "policies.retry.delay": "--retry-delay",
    "policies.retry.backoff": "--backoff",
    "policies.retry.factor": "--backoff-factor",
    "policies.retry.cap": "--retry-cap",
    "policies.retry.jitter": "--retry-jitter",
    "policies.retry.retryOn": "--retry-on",
    "policies.retry.giveUpOn": "--give-up-on",
    "policies.onExhausted": "--on-exhausted",
    "policies.timeout": "--timeout",
    "policies.heartbeatTimeout": "--heartbeat-timeout",
    "policies.overlap": "--overlap",
    "policies.overlapLimit": "--overlap-limit",
    "policies.catchUp": "--catch-up",
    "policies.catchUpLimit": "--catch-up-limit",
    "policies.catchUpRate": "--catch-up-rate",
    "policies.latenessLimit": "--lateness-limit",
    "policies.maxWait": "--max-wait",
    "policies.onCrash": "--on-crash",
    "policies.priority": "--priority",
    "policies.queue": "--queue",
    "policies.concurrency.key": "--concurrency-key",
    "policies.concurrency.limit": "--concurrency-limit",
    "policies.ttl": "--ttl",
    "parameters": "--params",
    "tags": "--tag",
    "labels": "--label",
    "dependencies.parents": "--depends-on",
    "dependencies.mode": "--depends-mode",
    "dependencies.failFast": "--fail-fast",
    "placement.on": "--on",
    "placement.nodes": "--on",
    "placement.labels": "--on",
    "placement.strategy": "--strategy",
    "events": "--events",
    "extra": "--extra",
    "extra.contentType": "--extra-type",
    "taskType": "--type",
    "sortBy": "--sort",
}
"""Field of the API -> the option that fills it."""

_UNSET: Final = {
    option.removeprefix("--"): field
    for field, option in OPTIONS.items()
    if field
    in (
        "policies.timeout",
        "policies.heartbeatTimeout",
        "policies.latenessLimit",
        "policies.maxWait",
        "policies.overlapLimit",
        "policies.catchUpLimit",
        "policies.catchUpRate",
        "policies.ttl",
        "placement.strategy",
        "extra",
    )
} | {"concurrency": "policies.concurrency", "depends-on": "dependencies"}
"""What `--unset` takes away, by the name of the option -> the field that becomes null."""

_CALENDAR: Final = {
    "everyDays": "every_days",
    "everyWeeks": "every_weeks",
    "everyMonths": "every_months",
    "everyYears": "every_years",
}
_SHIFTS: Final = ("skip", "next", "previous")


class FilesRefused(InvalidRequest):
    """What files say is refused: the fields that the refusal names are those of the files, and no options."""


def with_option(message: str) -> str:
    """A node's refusal, naming the option that was typed instead of the field that it filled."""
    field, colon, rest = message.partition(":")
    # A field of one trigger of a union, or of one calendar, has an option for all of them.
    plain = re.sub(r"(any)\[\d+\]\.|(calendars)\[\d+\].*", lambda match: match[2] or "", field)
    # What a value shows was typed, and is not to be changed; only whole names of fields are.
    rest = re.sub(
        r"(?<![\w.'\"])(?:trigger|policies|placement)(?:\.\w+)+", lambda match: OPTIONS.get(match[0], match[0]), rest
    )
    return f"{OPTIONS.get(plain, field)}{colon}{rest}{_no_shift(rest)}"


def _no_shift(refusal: str) -> str:
    """A calendar that is not there, typed with a colon, may have been another one with a shift misspelt."""
    typed = re.fullmatch(r" no calendar '.+:([^:']*)'", refusal)
    return f", nor a shift: one of {', '.join(_SHIFTS)}, not {show(typed[1])}" if typed else ""


def local_time(text: str | None, timezone: str | None, option: str) -> str | None:
    """A time for the API: one without an offset stays so where a zone was named, and is local otherwise.

    Raises InvalidRequest, which names the option, for what is no time.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(
            f"{option}: a time such as '2026-03-01 12:00' or 2026-03-01T12:00:00Z, not {text!r}{_span_hint(text, option)}"
        ) from None
    if moment.tzinfo is None and timezone is None:
        moment = moment.astimezone()
    return moment.isoformat()


def _span_hint(text: str, option: str) -> str:
    """How a time from now on is written, for who writes one as a time."""
    span = re.fullmatch(r"\s*(?:in|\+|now\s*\+)?\s*((?:\d+\s*[a-z]+\s*)+)", text)
    return f"; a time from now on is --in {span[1].replace(' ', '')}" if span and option == "--at" else ""


def _time_or_span(text: str | None, timezone: str | None, option: str) -> str | None:
    """A bound: a time as above, or a duration from now, which the node reads."""
    return (
        text if text is not None and re.match(r"\s*(P|[0-9.]+\s*[a-z])", text) else local_time(text, timezone, option)
    )


def trigger_body(when: When) -> dict[str, Any] | None:
    """A trigger, or None when nothing was said about when. Raises InvalidRequest for bounds without a trigger."""
    bounds = _given(
        timezone=when.timezone,
        start=_time_or_span(when.start, when.timezone, "--start"),
        end=_time_or_span(when.end, when.timezone, "--end"),
        maxRuns=when.max_runs,
        spread=when.spread,
        calendars=_calendars(when),
    )
    details = _given(
        day=_day(when.day),
        weekday=when.weekday,
        month=when.month,
        missing=when.missing,
        fixedDelay=True if when.fixed_delay else None,
        gap=when.gap,
        fold=when.fold,
        anchor=when.anchor,
    )
    singles = _singles(when)
    if not singles:
        if bounds or details:
            raise InvalidRequest("say when: one of --every, --cron, --at, --in, --every-days and its kin")
        return None
    _place(singles, details, when.timezone)
    return (singles[0] if len(singles) == 1 else {"any": singles}) | bounds


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _day(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 4 else text


def _singles(when: When) -> list[dict[str, Any]]:
    """The triggers that were typed, each by itself. One that fires once goes with nothing else."""
    calendar = [{key: count} for key, name in _CALENDAR.items() if (count := getattr(when, name)) is not None]
    kinds: dict[str, list[dict[str, Any]]] = {
        "--every": [{"every": text} for text in when.every or ()],
        "--cron": [{"cron": text} for text in when.cron or ()],
        "--every-days and its kin": calendar,
        "--at": [] if calendar else [{"at": local_time(text, when.timezone, "--at")} for text in when.at or ()],
        "--in": [] if when.in_ is None else [{"after": when.in_}],
    }
    given = [option for option, found in kinds.items() if found]
    if len(given) > 1 and ("--at" in given or "--in" in given):
        raise InvalidRequest(f"exactly one of --every, --cron, --at, --in, not {' and '.join(given)}")
    if calendar and when.at is not None:
        if len(when.at) > 1 or len(calendar) > 1:
            raise InvalidRequest(f"--at: one time of day, not {' and '.join(when.at)}")
        calendar[0]["at"] = when.at[0]
    return [single for found in kinds.values() for single in found]


_TAKES: Final = {"fixedDelay": ("every",), "gap": ("cron", *_CALENDAR), "fold": ("cron", *_CALENDAR)}


def _place(singles: list[dict[str, Any]], details: dict[str, Any], timezone: str | None) -> None:
    """Put each detail with the triggers that take it; with the first one if none does, so that the node refuses it."""
    for key, value in details.items():
        takes = _TAKES.get(key, ("every", *_CALENDAR) if key == "anchor" else tuple(_CALENDAR))
        fitting = [single for single in singles if any(kind in single for kind in takes)] or singles[:1]
        for single in fitting:
            single[key] = local_time(value, timezone, "--anchor") if key == "anchor" and "every" in single else value


def _calendars(when: When) -> list[dict[str, str]] | None:
    rules = []
    for mode, names in (("exclude", when.exclude), ("include", when.include)):
        for text in names or ():
            name, colon, shift = text.rpartition(":")
            known = bool(colon) and shift in _SHIFTS
            rules.append({"calendar": name if known else text, "mode": mode} | ({"shift": shift} if known else {}))
    return rules or None


def parameters_body(text: str | None, option: str = "--params") -> Any:
    """Parameters given as JSON, or as `@FILE` that holds it."""
    if text is None:
        return None
    if text.startswith("@"):
        text = _text(Path(text[1:]), option)
    try:
        return json.loads(text)
    except RecursionError:
        raise InvalidRequest(f"{option}: nested too deeply") from None
    except ValueError as error:
        meant = as_json_object(text)
        hint = "" if meant is None else f"; write {option} {shlex.quote(meant)}"
        raise InvalidRequest(f"{option}: not JSON: {error}: {show(text)}{hint}") from None


def extra_body(path: Path | None, content_type: str | None) -> dict[str, str] | None:
    """A file's bytes."""
    if path is None:
        if content_type is not None:
            raise InvalidRequest(f"--extra-type: goes with --extra, not alone: {show(content_type)}")
        return None
    body = {"data": base64.b64encode(_read(path)).decode()}
    return body | ({"contentType": content_type} if content_type is not None else {})


def _text(path: Path, option: str) -> str:
    try:
        return _read(path).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{option}: {str(path)!r} is not UTF-8 at byte {error.start}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"cannot read {str(path)!r}: {error.strerror}") from None


def policies_body(how: How) -> dict[str, Any] | None:
    """Policies, without those that nothing was said about."""
    retry = _given(
        maxRetries=how.retries,
        delay=how.retry_delay,
        backoff=how.backoff,
        factor=how.backoff_factor,
        cap=how.retry_cap,
        jitter=how.retry_jitter,
        retryOn=how.retry_on,
        giveUpOn=how.give_up_on,
    )
    concurrency = _given(key=how.concurrency_key, limit=how.concurrency_limit)
    body = _given(
        onExhausted=how.on_exhausted,
        timeout=how.timeout,
        heartbeatTimeout=how.heartbeat_timeout,
        overlap=how.overlap,
        overlapLimit=how.overlap_limit,
        catchUp=how.catch_up,
        catchUpLimit=how.catch_up_limit,
        catchUpRate=how.catch_up_rate,
        latenessLimit=how.lateness_limit,
        maxWait=how.max_wait,
        onCrash=how.on_crash,
        priority=how.priority,
        queue=how.queue,
        ttl=how.ttl,
        retry=retry or None,
        concurrency=concurrency or None,
    )
    return body or None


def beside_body(beside: Beside) -> dict[str, Any]:
    """What belongs to the task beside its schedule, but for its parameters."""
    dependencies = _given(
        parents=beside.depends_on, mode=beside.depends_mode, failFast=True if beside.fail_fast else None
    )
    return _given(
        tags=beside.tag,
        labels=_labels(beside.label),
        dependencies=dependencies or None,
        placement=_placement(beside.on, beside.strategy),
        events=parameters_body(beside.events, "--events"),
        extra=extra_body(beside.extra, beside.extra_type),
    )


def _labels(texts: list[str] | None) -> dict[str, str] | None:
    if texts is None:
        return None
    labels: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name in labels:
            raise InvalidRequest(f"--label: a value by name such as team=billing, each name once, not {show(text)}")
        labels[name] = value
    return labels


_ON: Final = "--on: any, all, node=NAME,NAME or label=NAME:VALUE,NAME:VALUE"


def _placement(on: str | None, strategy: str | None) -> dict[str, Any] | None:
    """Where it runs: a word, or what the nodes are called or labelled."""
    body = _given(strategy=strategy)
    if on is not None:
        kind, _, rest = on.partition("=")
        if on in ("any", "all"):
            body["on"] = on
        elif kind == "node" and rest:
            body |= {"on": "nodes", "nodes": rest.split(",")}
        elif kind == "label":
            body |= {"on": "selector", "labels": _node_labels(rest)}
        else:
            raise InvalidRequest(f"{_ON}, not {show(on)}")
    return body or None


def _node_labels(text: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    for part in text.split(","):
        name, colon, value = part.partition(":")
        if not colon or name in labels:
            raise InvalidRequest(f"{_ON}, each name once, not {show(part)}")
        labels[name] = value
    return labels


def unset_body(body: dict[str, Any], names: list[str] | None) -> dict[str, Any]:
    """The body with null for what `--unset` names."""
    for name in names or ():
        field = _UNSET.get(name.removeprefix("--"))
        if field is None:
            raise InvalidRequest(f"--unset: one of {', '.join(sorted(_UNSET))}, not {show(name)}")
        outer, _, inner = field.partition(".")
        if inner:
            body[outer] = body.get(outer, {}) | {inner: None}
        else:
            body[outer] = None
    return body
