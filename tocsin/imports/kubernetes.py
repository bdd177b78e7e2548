"""CronJobs of Kubernetes, by the rules of the library that its controller uses (robfig/cron 3).

| there | here |
| --- | --- |
| `concurrencyPolicy: Forbid` | overlap `queue`: the newest time that was missed runs when the former Job has ended |
| `concurrencyPolicy: Replace`, `Allow` | overlap `replace`, `allow` |
| `startingDeadlineSeconds` | `latenessLimit` and `maxWait`; of several missed times the newest runs (`catchUp: latest`) |
| `suspend` | `paused` |

What the task runs is `kubectl create job --from=cronjob/...`, so that image, volumes and the rest stay where they are; the
CronJob stays in the cluster, suspended.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

from actors.when.zones import zone
from runtime.clock import SECOND, Instant
from runtime.errors import InvalidRequest

from ..plans.yaml_text import Piece, read_yaml
from ..vocabulary.fields import parse_instant
from .found import (
    WEEKDAYS,
    Found,
    Reading,
    Rules,
    Times,
    either_day,
    field_text,
    show,
    task_name,
    with_own_names,
    without_nothing,
)
from .walking import Pattern, grid, walk

_NAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_BOUNDS: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_MONTHS: Final = dict(zip("jan feb mar apr may jun jul aug sep oct nov dec".split(), range(1, 13), strict=True))
_WEEKDAYS: Final = dict(zip("sun mon tue wed thu fri sat".split(), range(7), strict=True))
_WORDS: Final[tuple[Mapping[str, int], ...]] = ({}, {}, {}, _MONTHS, _WEEKDAYS)
_ITEM: Final = re.compile(r"(?:([*?])|(\w+)(?:-(\w+))?)(?:/(\d+))?")
_EVERY: Final = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_UNITS: Final = {"h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}

_RULES: Final = Rules(
    "Kubernetes does not run a time that is left out; Tocsin runs it once, at the end of what is left out "
    "(trigger.gap: skip does as Kubernetes does)",
    "Kubernetes runs a time that comes twice twice; Tocsin runs it once, the first time "
    "(trigger.fold: both does as Kubernetes does)",
)

_OVERLAPS: Final = {"Allow": "allow", "Forbid": "queue", "Replace": "replace"}
_SYNC_SECONDS: Final = 10
"""The controller looks at a CronJob every so often: with a shorter deadline it may never start one."""


def read_cronjobs(text: str, file: str, *, timezone: str = "UTC", keep: bool = False) -> Reading:
    """The CronJobs of a YAML file, of lists too. timezone: of the controller, for those that name none.

    keep: do as Kubernetes does when clocks change. Raises InvalidRequest for what is no YAML.
    """
    zone(timezone)
    said: list[str] = []
    jobs: list[Found] = []
    for document in read_yaml(text, file):
        for piece in _objects(document):
            kind = piece.value.get("kind") if isinstance(piece.value, Mapping) else None
            if kind == "CronJob":
                jobs.append(_job(piece, f"{file}:{piece.line}", timezone, keep))
            elif piece.value is not None:
                said.append(f"{file}:{piece.line}: {show(kind)} is no CronJob: passed over")
    return Reading(with_own_names(jobs), (), tuple(said))


def _objects(document: Piece) -> Iterator[Piece]:
    items = document.parts.get("items")
    if items is None:
        yield document
    else:
        yield from items.parts.values()


def _job(piece: Piece, place: str, default: str, keep: bool) -> Found:
    metadata, spec = _part(piece.value, "metadata"), _part(piece.value, "spec")
    plain, space = str(metadata.get("name") or "cronjob"), str(metadata.get("namespace") or "")
    name = task_name(f"{space}/{plain}" if space else plain)
    schedule = str(spec.get("schedule") or "").strip()
    timezone = str(spec.get("timeZone") or default)
    said: list[str] = []
    if not spec.get("timeZone"):
        said.append(f"no timeZone: it runs by the controller's, which is taken to be {default}")
    if schedule.startswith(("TZ=", "CRON_TZ=")):
        prefix, _, schedule = schedule.partition(" ")
        timezone, schedule = prefix.partition("=")[2], schedule.strip()
        said.append(f"{prefix} in the schedule, which Kubernetes refuses by now, is the task's timezone")
    try:
        zone(timezone)
        if schedule.startswith("@every "):
            trigger, times, because = _interval(schedule, metadata, said)
            literal = rewritten = None
        else:
            pattern, expression, both = parse_fields(schedule)
            trigger = {"cron": expression, "timezone": timezone}
            trigger |= {"gap": "skip", "fold": "both"} if keep else {}
            times, because = _walk(pattern, timezone), None
            literal, rewritten = _literally(schedule, expression, trigger, both=both)
    except InvalidRequest as error:
        return Found(name, place, schedule, None, (*said, str(error)))
    if rewritten:
        said.append(rewritten)
    policies = _policies(spec, said)
    body = without_nothing({
        "name": name,
        "taskType": "command",
        "trigger": trigger,
        "parameters": {"argv": ["/bin/sh", "-c", _kubectl(plain, space)]},
        "policies": policies,
        "labels": {key: value for key, value in (("namespace", space),) if value},
        "paused": True if spec.get("suspend") in (True, "yes") else None,
    })  # fmt: skip
    _say_what_stays(spec, said)
    return Found(
        name, place, schedule, body, tuple(said), times, (timezone,), _RULES, because, literal, rewritten
    )  # fmt: skip


def _part(value: object, key: str) -> Mapping[str, Any]:
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _kubectl(name: str, space: str) -> str:
    """Make a Job of the CronJob under a name of its own, and wait for its end."""
    kubectl = "kubectl" + (f" -n {shlex.quote(space)}" if space else "")
    job = f'{shlex.quote(name)}-"$TOCSIN_FENCE"'
    return (
        f"{kubectl} create job --from=cronjob/{shlex.quote(name)} {job} && "
        f"{kubectl} wait --for=condition=complete --timeout=24h job/{job}"
    )


def _policies(spec: Mapping[str, Any], said: list[str]) -> dict[str, Any]:
    policy = str(spec.get("concurrencyPolicy") or "Allow")
    if policy not in _OVERLAPS:
        said.append(f"concurrencyPolicy: {show(policy)} is none that is known: taken as Allow")
        policy = "Allow"
    policies: dict[str, Any] = {
        "overlap": _OVERLAPS[policy],
        "catchUp": "latest",
        "retry": {"maxRetries": 0},
    }
    if policy == "Forbid":
        said.append("concurrencyPolicy Forbid: one run waits until the former has ended, as there")
    deadline = spec.get("startingDeadlineSeconds")
    if isinstance(deadline, int) and not isinstance(deadline, bool) and deadline > 0:
        policies["latenessLimit"] = f"{deadline}s"
        if policy == "Forbid":
            policies["maxWait"] = f"{deadline}s"
        if deadline < _SYNC_SECONDS:
            said.append(
                f"startingDeadlineSeconds {deadline}: there a deadline below {_SYNC_SECONDS} s may let nothing start; "
                "here what is late by more is not run"
            )
    else:
        said.append(
            "no startingDeadlineSeconds: there more than 100 missed times stop the CronJob; here the newest is run"
        )
    return policies


def _say_what_stays(spec: Mapping[str, Any], said: list[str]) -> None:
    said.append(
        "the Job is made from the CronJob, which has to stay in the cluster, suspended; kubectl runs on the node"
    )
    job = _part(_part(spec, "jobTemplate"), "spec")
    of_job = ("backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished", "completions", "parallelism")
    said += [f"{key}: {job[key]} stays with the Job" for key in of_job if key in job]
    said += [
        f"{key}: Jobs that the task makes are not removed by it; set ttlSecondsAfterFinished"
        for key in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit")
        if key in spec
    ]


def _interval(schedule: str, metadata: Mapping[str, Any], said: list[str]) -> tuple[dict[str, Any], Times | None, str]:
    text = schedule.removeprefix("@every ").strip()
    parts = _EVERY.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InvalidRequest(f"{show(schedule)}: no duration")
    seconds = max(1, int(sum(float(number) * _UNITS[unit] for number, unit in parts)))
    trigger: dict[str, Any] = {"every": f"{seconds}s"}
    made = metadata.get("creationTimestamp")
    because = "Kubernetes counts from the Job before, or from when the CronJob was made"
    if not isinstance(made, str):
        said.append(f"{because}: without creationTimestamp there are no times to compare")
        return trigger, None, because
    anchor = parse_instant(made, "creationTimestamp")
    trigger["anchor"] = made

    def times(start: Instant, end: Instant) -> list[Instant]:
        return grid(seconds * SECOND, anchor, start, end)

    return trigger, times, because


def _walk(pattern: Pattern, timezone: str) -> Times:
    def times(start: Instant, end: Instant) -> list[Instant]:
        return walk(pattern, timezone, start, end, "none", "both")

    return times


def parse_fields(schedule: str) -> tuple[Pattern, str, bool]:
    """A schedule by the rules of robfig/cron 3, the expression that means the same to Tocsin, and whether day of month and
    day of week must both match. Raises InvalidRequest."""
    if schedule.startswith("@") and schedule not in _NAMES:
        raise InvalidRequest(f"{show(schedule)} is no name that Kubernetes knows")
    texts = _NAMES.get(schedule, schedule).split()
    if len(texts) != 5:
        raise InvalidRequest(f"five fields, not {len(texts)}: {show(schedule)}")
    sets, stars = [], []
    for text, bounds, words in zip(texts, _BOUNDS, _WORDS, strict=True):
        values, star = _values(text, bounds, words)
        sets.append(values)
        stars.append(star)
    minutes, hours, days, months, weekdays = sets
    both = stars[2] or stars[4]

    def on(day: date) -> bool:
        by_day, by_weekday = day.day in days, day.isoweekday() % 7 in weekdays
        return day.month in months and ((by_day and by_weekday) if both else (by_day or by_weekday))

    if not both:
        day_text, weekday_text = either_day(days, weekdays)
    else:
        day_text = field_text(days, 1, 31)
        weekday_text = "*" if weekdays == WEEKDAYS else field_text(weekdays, 0, 6)
    expression = " ".join(
        (field_text(minutes, 0, 59), field_text(hours, 0, 23), day_text, field_text(months, 1, 12), weekday_text)
    )
    return Pattern(minutes, hours, on), expression, both


def _values(text: str, bounds: tuple[int, int], words: Mapping[str, int]) -> tuple[frozenset[int], bool]:
    """The values of a field, and whether one of its items is a star, which one with a step above 1 is not."""
    found: set[int] = set()
    starred = False
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise InvalidRequest(f"{show(item)} is no number, name, range, * or step")
        star, first, last, step_text = match.groups()
        step = int(step_text) if step_text else 1
        low = bounds[0] if star else _number(first, bounds, words)
        high = (
            bounds[1] if star or (step_text and last is None) else low if last is None else _number(last, bounds, words)
        )
        if low > high or step == 0:
            raise InvalidRequest(f"{show(item)}: Kubernetes refuses a range that runs backwards and a step of 0")
        starred = starred or (bool(star) and step == 1)
        found.update(range(low, high + 1, step))
    return frozenset(found), starred


def _number(text: str, bounds: tuple[int, int], words: Mapping[str, int]) -> int:
    value = int(text) if text.isdigit() else words.get(text.lower(), -1)
    if not bounds[0] <= value <= bounds[1]:
        raise InvalidRequest(f"{show(text)} is out of range {bounds[0]}-{bounds[1]}")
    return value


def _literally(
    schedule: str, expression: str, trigger: Mapping[str, Any], *, both: bool
) -> tuple[Mapping[str, Any] | None, str | None]:
    """The trigger with the schedule's own text, and why another is written; nothing where days are meant alike."""
    texts = _NAMES.get(schedule, schedule).split()
    if both or not any(text.startswith(("*", "?")) for text in (texts[2], texts[4])):
        return None, None
    why = (
        f"day of month {show(texts[2])} and day of week {show(texts[4])}: to Kubernetes a star with a step is no star, so "
        f"one of the two is enough; to cron, and Tocsin, both must match. Written as {show(expression)}"
    )
    return {**trigger, "cron": " ".join(texts).replace("?", "*")}, why
