"""Crontabs, of users and of the system, as Debian's cron and cronie read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final, Literal

import attrs

from actors.when.zones import zone
from runtime.clock import Instant
from runtime.errors import InvalidRequest

from .found import Found, Reading, Rules, Times, show, task_name, with_own_names
from .walking import Pattern, walk_cron

Flavour = Literal["cronie", "debian"]

NAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_BOUNDS: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS: Final = dict(zip("jan feb mar apr may jun jul aug sep oct nov dec".split(), range(1, 13), strict=True))
_WEEKDAYS: Final = dict(zip("sun mon tue wed thu fri sat".split(), range(7), strict=True))
_WORDS: Final[tuple[Mapping[str, int], ...]] = ({}, {}, {}, _MONTHS, _WEEKDAYS)
_ITEM: Final = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?")
_VARIABLE: Final = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z_][A-Za-z0-9_]*))\s*=\s*(.*)""")
_FIELD: Final = re.compile(r"\S+")

_ZONED: Final = Rules(
    "cron goes by the clock of its machine, so a time that CRON_TZ's clock leaves out is not run; "
    "Tocsin runs it once, at the end of what is left out",
    "cron goes by the clock of its machine, so a time that CRON_TZ's clock has twice is run twice; "
    "Tocsin runs it once, the first time",
)
_SAME: Final = Rules(
    "cron and Tocsin make up for times that are left out when the clock has gone forward",
    "cron and Tocsin run times that come twice once, the first time",
)

_NOT_CARRIED: Final = {
    "MAILTO": "output is not mailed: it is in the execution's log, and an event trigger can send a mail",
    "MAILFROM": "output is not mailed: it is in the execution's log",
    "CONTENT_TYPE": "output is not mailed: it is in the execution's log",
    "CONTENT_TRANSFER_ENCODING": "output is not mailed: it is in the execution's log",
    "LOGNAME": "who the node runs as is not changed",
    "USER": "who the node runs as is not changed",
}


def parse_fields(expression: str) -> Pattern:
    """Five fields or a name as cron 3.0 takes them. Raises InvalidRequest for what it refuses.

    A range that runs backwards has no value, and what follows a single number, like the step of `5/10`, is passed over.
    """
    texts = NAMES.get(expression.strip(), expression).split()
    seconds = _values(texts.pop(0), (0, 59), {}) if len(texts) == 6 else frozenset({0})
    if len(texts) != 5:
        raise InvalidRequest(f"five fields, not {len(texts)}: {show(expression)}")
    minutes, hours, days, months, weekdays = (
        _values(text, bounds, words) for text, bounds, words in zip(texts, _BOUNDS, _WORDS, strict=True)
    )
    both = texts[2].startswith("*") or texts[4].startswith("*")

    def on(day: date) -> bool:
        by_day, by_weekday = day.day in days, day.isoweekday() % 7 in {one % 7 for one in weekdays}
        return day.month in months and ((by_day and by_weekday) if both else (by_day or by_weekday))

    wildcard = texts[0].startswith("*") or texts[1].startswith("*")
    return Pattern(minutes, hours, on, wildcard, tuple(sorted(seconds)))


def _values(text: str, bounds: tuple[int, int], words: Mapping[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise InvalidRequest(f"{show(item)} is no number, name, range, * or step")
        star, first, last, step = match.groups()
        low = bounds[0] if star else _number(first, bounds, words)
        high = bounds[1] if star else low if last is None else _number(last, bounds, words)
        # Day of week */2 counts from 0 to 7, and 7 is Sunday again.
        single = not star and last is None
        found.update(range(low, high + 1, 1 if single or step is None else max(1, int(step))))
    return frozenset(found)


def _number(text: str, bounds: tuple[int, int], words: Mapping[str, int]) -> int:
    value = int(text) if text.isdigit() else words.get(text[:3].lower(), -1)
    if not bounds[0] <= value <= bounds[1]:
        raise InvalidRequest(f"{show(text)} is out of range {bounds[0]}-{bounds[1]}")
    return value


@attrs.define
class _State:
    """What the lines above have set."""

    variables: dict[str, str] = attrs.field(factory=dict)
    timezone: str | None = None
    delay: int = 0


def read_crontab(
    text: str, file: str, *, timezone: str = "UTC", system: bool = False, flavour: Flavour = "cronie"
) -> Reading:
    """A crontab. timezone: of the machine it is from. system: its lines name a user, as in /etc/crontab.

    flavour: cronie goes by CRON_TZ, Debian's cron does not.
    """
    zone(timezone)
    state = _State()
    jobs: list[Found] = []
    said: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        place = f"{file}:{number}"
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if (variable := _VARIABLE.fullmatch(line)) is not None and not stripped.startswith("@"):
            told = _set(state, variable, flavour)
            said += [f"{place}: {told}"] if told else []
            continue
        jobs.append(_job(stripped, place, state, timezone, system))
    return Reading(with_own_names(jobs), (), tuple(said))


def _set(state: _State, variable: re.Match[str], flavour: Flavour) -> str | None:
    """Take a line that sets a variable. Answers what there is to say about it."""
    name = variable[1] or variable[2] or variable[3]
    value = variable[4].strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    if name == "CRON_TZ":
        if flavour == "debian":
            return "CRON_TZ: Debian's cron does not go by it, and neither do the tasks"
        try:
            zone(value)
        except InvalidRequest as error:
            return f"CRON_TZ: {error}"
        state.timezone = value
        return None
    if name == "RANDOM_DELAY" and value.isdigit():
        state.delay = int(value)
        return f"RANDOM_DELAY: each task has a place of its own, always the same, in a window of {value} minutes"
    if name in _NOT_CARRIED:
        return f"{name}: {_NOT_CARRIED[name]}"
    state.variables[name] = value
    return None


def _job(line: str, place: str, state: _State, timezone: str, system: bool) -> Found:
    many = 1 if line.startswith("@") else 5
    words = list(_FIELD.finditer(line))
    needed = many + (2 if system else 1)
    if len(words) < needed:
        return Found(
            task_name(line), place, line, None, ("is no line of a crontab: fields or the command are missing",)
        )
    schedule = line[words[0].start() : words[many - 1].end()]
    said: list[str] = []
    if system:
        said.append(f"the user {words[many].group()} is not carried over: the command runs as whoever the node runs as")
    command = line[words[needed - 1].start() :]
    name = task_name(command)
    schedule = " ".join(schedule.split())
    if schedule.lower() == "@reboot":
        told = "@reboot: nothing runs when a machine starts; start it with the node's service, or run the task by hand"
        return Found(name, place, schedule, None, (*said, told))
    if schedule.startswith("@") and schedule.lower() not in NAMES:
        return Found(name, place, schedule, None, (*said, f"{show(schedule)} is no name that cron knows"))
    schedule = schedule.lower() if schedule.startswith("@") else schedule
    try:
        pattern = parse_fields(schedule)
    except InvalidRequest as error:
        return Found(name, place, schedule, None, (*said, str(error)))
    here = state.timezone or timezone
    expression, told_too = _expression(schedule)
    said += told_too
    trigger: dict[str, Any] = {"cron": expression, "timezone": here}
    if state.delay:
        trigger["spread"] = f"{state.delay}m"
    body = {
        "name": name,
        "taskType": "command",
        "trigger": trigger,
        "parameters": _parameters(command, state.variables),
        "policies": {"overlap": "allow", "catchUp": "skip", "retry": {"maxRetries": 0}},
    }
    return Found(
        name, place, schedule, body, tuple(said), _times(pattern, timezone, state.timezone),
        (timezone, here), _SAME if state.timezone is None else _ZONED,
    )  # fmt: skip


def _times(pattern: Pattern, timezone: str, job_timezone: str | None) -> Times:
    def times(start: Instant, end: Instant) -> list[Instant]:
        return walk_cron(pattern, timezone, start, end, job_timezone=job_timezone)

    return times


def _expression(schedule: str) -> tuple[str, list[str]]:
    """The schedule as Tocsin takes it, and what was changed for that."""
    fields = schedule.split()
    said = []
    for index, field in enumerate(fields if len(fields) == 5 else []):
        items = [re.sub(r"^(\w+)/\d+$", r"\1", item) for item in field.split(",")]
        if (plain := ",".join(items)) != field:
            said.append(f"{show(field)}: cron passes over a step after a single value, so {show(plain)} is written")
        fields[index] = plain
    return " ".join(fields), said


def _parameters(command: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """The command as cron has its shell run it: what follows the first `%` is its input, other `%` are new lines."""
    parts = re.split(r"(?<!\\)%", command)
    texts = [part.replace("\\%", "%") for part in parts]
    shell = variables.get("SHELL", "/bin/sh")
    environment = {name: value for name, value in variables.items() if name != "HOME"}
    parameters: dict[str, Any] = {"argv": [shell, "-c", texts[0].rstrip()]}
    if environment:
        parameters["env"] = environment
    if "HOME" in variables:
        parameters |= {"cwd": variables["HOME"], "env": environment | {"HOME": variables["HOME"]}}
    if len(texts) > 1:
        parameters["stdin"] = "\n".join(texts[1:]) + "\n"
    return parameters
