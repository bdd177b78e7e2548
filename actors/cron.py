"""The one door to croniter, and the search for the next fire by the rule of Debian's cron.

Theory of operation. An expression is checked here field by field, then croniter expands each field to its values, and
these become bit masks: one of the 1,440 minutes of a day, one of the 60 seconds of a minute, one of the months, and for
each weekday on which a month can begin one of its days. The search runs over a zone's stretches of constant offset.
Inside a stretch the wall clock is plain arithmetic, so the next match is the lowest bit of a shifted mask. What is
special happens at the stretch's ends only:

- A *wildcard job*, whose minute or hour begins with `*`, runs whenever the wall clock matches: in both passes of an
  overlap, never for a wall time that a gap swallowed. The policies `gap` and `fold` do not touch it.
- A *fixed-time job*, any other, runs in the first pass of an overlap only (`fold`), and if a gap swallowed one or more
  of its wall times, once at the instant the gap ends (`gap`). That holds for gaps under three hours and overlaps up to
  three hours; a larger change is a move of the zone, where swallowed times are lost and repeated ones run again.

Day of month and day of week: if the text of either begins with `*` (so `*/2` counts) both must match, else one of them.
The rule is that of cron 3.0pl1 as Debian ships it (main loop of cron.c, flags of entry.c, man page cron(8)). Its
defects are not copied: integer overflow in 2038, trailing junk in a field, reversed ranges that never fire.

Work is bounded by construction: a search ends at `HORIZON`, and takes one step per month and per stretch until there.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Final, Literal

import attrs
from croniter import CroniterError, croniter

from runtime.clock import DAY, SECOND, Instant, Micros
from runtime.errors import InvalidRequest

from .zones import Stretch, Zone

Gap = Literal["shift", "skip"]
"""What a fixed-time job does for a wall time that a gap swallowed: run when the gap ends, or not at all."""

Fold = Literal["first", "last", "both"]
"""In which pass of an overlap a fixed-time job runs."""

HORIZON: Final = Micros(50 * 36_525 * DAY // 100)
"""How far ahead a search looks. The rarest day, 29 February on one weekday, comes at the latest after 40 years."""

LATEST_FIRST_FIRE: Final = Micros(10 * 36_525 * DAY // 100)
"""A trigger that first fires later than this, ten years, is refused: far more often a mistake than a plan."""

LONGEST_EXPRESSION: Final = 256
"""Characters; croniter takes 165 ms for a list of 80 kB, and no real expression is near this."""

_ZONE_MOVE: Final = 3 * 3_600
"""Seconds. Debian's cron catches up over forward changes under this, and holds back over backward ones up to it."""

_LISTED_TIMES: Final = 6
"""Times of day that an explanation lists one by one; more are told by their fields."""

_DAY: Final = 86_400
_EPOCH_ORDINAL: Final = 719_163
_EARLIEST: Final = -62_135_596_800 + 3 * _DAY
_LATEST: Final = 253_402_300_799 - 3 * _DAY
_EVERY_DAY: Final = (1 << 32) - 2
_FIVE_WEEKS: Final = sum(2 << 7 * week for week in range(5))
_MONTH_DAYS: Final = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_WEEKDAY_OF_EPOCH: Final = 4

_ALIASES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_ITEM: Final = re.compile(r"(?:(\*)|([0-9]+|[a-z]+)(?:-([0-9]+|[a-z]+))?)(?:/([0-9]+))?")
_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@attrs.frozen
class _Field:
    """One field of an expression: its bounds, how many different values it has, its unit, and names from `low` on."""

    name: str
    low: int
    high: int
    width: int
    unit: str
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int | None:
        """The value of a number or of a three-letter name; None if it is neither."""
        if text.isdigit():
            return int(text)
        short = [name[:3].lower() for name in self.names]
        return self.low + short.index(text) if text in short else None


_FIELDS: Final = (
    _Field("second", 0, 59, 60, "second"),
    _Field("minute", 0, 59, 60, "minute"),
    _Field("hour", 0, 23, 24, "hour"),
    _Field("day of month", 1, 31, 31, "day"),
    _Field("month", 1, 12, 12, "month", _MONTHS),
    _Field("day of week", 0, 7, 7, "day", _WEEKDAYS),
)


@attrs.frozen
class CronSpec:
    """A parsed expression; equal and hashed by its text.

    `fields` are the texts of six fields, seconds first, names as numbers. `minutes` has a bit for each minute of the
    day, `seconds` for each second of the minute, `months` for 1 to 12, and `days[w]` for the days 1 to 31 of a month
    that begins on weekday `w` (0 is Sunday). `first` is the first matching second of a matching day.
    """

    text: str
    fields: tuple[str, ...] = attrs.field(eq=False, repr=False)
    wildcard: bool = attrs.field(eq=False)
    minutes: int = attrs.field(eq=False, repr=False)
    seconds: int = attrs.field(eq=False, repr=False)
    months: int = attrs.field(eq=False, repr=False)
    days: tuple[int, ...] = attrs.field(eq=False, repr=False)
    first: int = attrs.field(eq=False, repr=False)


# ---- parsing


@lru_cache(maxsize=4_096)
def parse(expression: str) -> CronSpec:
    """Parses five fields, six with seconds first, or one of the names `@hourly`, `@daily`, `@midnight`, `@weekly`,
    `@monthly`, `@yearly`, `@annually`.

    Raises InvalidRequest that names the field and shows the value for everything else. An expression that parses may
    still never fire: see `check_fires`.
    """
    _check_text(expression)
    texts = _ALIASES.get(expression.strip(" \t"), expression).split()
    if len(texts) not in (5, 6):
        raise InvalidRequest(
            f"cron expression {expression!r} has {len(texts)} field(s); "
            "it needs 5 (minute hour day-of-month month day-of-week), or 6 with seconds first"
        )
    if len(texts) == 5:
        texts.insert(0, "0")
    fields = tuple(_numeric(field, text, expression) for field, text in zip(_FIELDS, texts, strict=True))
    return _spec(expression, fields)


def _check_text(expression: str) -> None:
    if len(expression) > LONGEST_EXPRESSION:
        raise InvalidRequest(
            f"cron expression {expression[:40]!r}... has {len(expression)} characters, limit {LONGEST_EXPRESSION}"
        )
    odd = [character for character in expression if character != "\t" and not " " <= character <= "~"]
    if odd:
        raise InvalidRequest(f"cron expression {expression!r} holds {odd[0]!r}; only plain ASCII is allowed")
    if expression.lstrip(" \t").startswith("@") and expression.strip(" \t") not in _ALIASES:
        raise InvalidRequest(f"cron expression {expression!r} is not known; names are {', '.join(_ALIASES)}")


def _numeric(field: _Field, text: str, expression: str) -> str:
    """The field checked and written in numbers only, a range of one value as that value (croniter reads it as all)."""
    return ",".join(_numeric_item(field, item, expression) for item in text.split(","))


def _numeric_item(field: _Field, item: str, expression: str) -> str:
    def refuse(reason: str) -> InvalidRequest:
        return InvalidRequest(f"cron field {field.name!r}: {item!r} {reason} (in {expression!r})")

    match = _ITEM.fullmatch(item.lower())
    if match is None:
        raise refuse(_reason(item.lower()))
    star, low_text, high_text, step = match.groups()
    if step is not None and not 1 <= int(step) <= field.width:
        raise refuse(f"has a step outside 1-{field.width}")
    suffix = "" if step is None else f"/{int(step)}"
    if star:
        return f"*{suffix}"
    low, high = field.number(low_text), field.number(high_text or low_text)
    if low is None or high is None:
        raise refuse(_reason(item.lower()))
    if step is not None and high_text is None:
        raise refuse("has a step after a single value; write it after * or a range")
    if not (field.low <= low <= field.high and field.low <= high <= field.high):
        raise refuse(f"is out of range {field.low}-{field.high}")
    if low > high:
        raise refuse("is a range that runs backwards; split it in two, or write 7 for a Sunday at the end")
    if low == high and step is not None:
        raise refuse("has a step over a range of one value")
    return str(low) if low == high else f"{low}-{high}{suffix}"


def _reason(item: str) -> str:
    if re.fullmatch(r"[0-9]*(l|lw|w|[0-9]+w)|l-?[0-9]+|[0-9a-z]+#.*|h(\(.*\))?(/.*)?", item):
        return "uses H, L, W or #, which are not supported"
    if item == "?":
        return "is not supported; write *"
    return "is not a number, name, range, * or step" if item else "is empty"


def _spec(text: str, fields: tuple[str, ...]) -> CronSpec:
    masks = [_mask(field, values) for field, values in zip(_FIELDS, _expand(fields), strict=True)]
    seconds, minutes, hours, days, months, weekdays = masks
    star = fields[3].startswith("*") or fields[5].startswith("*")
    minutes_of_day = sum(minutes << (60 * hour) for hour in range(24) if hours >> hour & 1)
    return CronSpec(
        text=text,
        fields=fields,
        wildcard=fields[1].startswith("*") or fields[2].startswith("*"),
        minutes=minutes_of_day,
        seconds=seconds,
        months=months,
        days=tuple(_days(days, weekdays, first, star) for first in range(7)),
        first=_lowest(minutes_of_day) * 60 + _lowest(seconds),
    )


def _expand(fields: tuple[str, ...]) -> list[list[int | str]]:
    try:
        expanded, _ = croniter.expand(" ".join(fields), second_at_beginning=True)
    except CroniterError as error:
        raise InvalidRequest(f"cron expression {' '.join(fields)!r} is refused: {error}") from error
    return [*expanded[5:], *expanded[:5]]


def _mask(field: _Field, values: list[int | str]) -> int:
    if "*" in values:
        return sum(1 << value for value in range(field.low, field.low + field.width))
    return sum(1 << value for value in {int(value) for value in values})


def _days(days: int, weekdays: int, first: int, star: bool) -> int:
    """The matching days, bits 1 to 31, of a month that begins on weekday `first`."""
    week = (weekdays >> first | weekdays << (7 - first)) & 0b1111111
    by_weekday = week * _FIVE_WEEKS & _EVERY_DAY
    return days & by_weekday if star else days | by_weekday


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


# ---- the search


def next_fire(
    spec: CronSpec, zone: Zone, after: Instant, *, gap: Gap = "shift", fold: Fold = "first"
) -> Instant | None:
    """The first instant strictly later than `after` at which `spec` fires by the clock of `zone`.

    None if there is none within `HORIZON`. `gap` and `fold` touch fixed-time jobs only, at changes of offset that are
    no move of the zone (see the module's text).
    """
    begin = max(after // SECOND + 1, _EARLIEST)
    limit = min(begin + HORIZON // SECOND, _LATEST)
    while begin < limit:
        stretch = zone.stretch(begin)
        if begin == stretch.start and _shifts(spec, stretch, gap):
            return Instant(begin * SECOND)
        low, high = begin, min(stretch.end, limit)
        if not spec.wildcard:
            low, high = _first_passes(stretch, low, high, fold)
        found = _next_local(spec, low + stretch.offset, high + stretch.offset)
        if found is not None:
            return Instant((found - stretch.offset) * SECOND)
        begin = stretch.end
    return None


def fires(
    spec: CronSpec, zone: Zone, after: Instant, until: Instant, limit: int, *, gap: Gap = "shift", fold: Fold = "first"
) -> list[Instant]:
    """The instants of firing with `after < instant <= until`, in order, no more than the first `limit` of them."""
    found: list[Instant] = []
    instant = next_fire(spec, zone, after, gap=gap, fold=fold)
    while instant is not None and instant <= until and len(found) < limit:
        found.append(instant)
        instant = next_fire(spec, zone, instant, gap=gap, fold=fold)
    return found


def count_fires(
    spec: CronSpec, zone: Zone, after: Instant, until: Instant, *, gap: Gap = "shift", fold: Fold = "first"
) -> int:
    """How many instants of firing have `after < instant <= until`; costs a step per month, not per instant."""
    begin, limit = max(after // SECOND + 1, _EARLIEST), min(until // SECOND + 1, _LATEST)
    count = 0
    while begin < limit:
        stretch = zone.stretch(begin)
        low, high = begin, min(stretch.end, limit)
        if not spec.wildcard:
            low, high = _first_passes(stretch, low, high, fold)
        if begin == stretch.start and _shifts(spec, stretch, gap):
            count += 1
            low = max(low, begin + 1)
        if low < high:
            count += _count_local(spec, low + stretch.offset, high + stretch.offset)
        begin = stretch.end
    return count


def check_fires(spec: CronSpec, zone: Zone, after: Instant, *, gap: Gap = "shift", fold: Fold = "first") -> None:
    """Raises InvalidRequest if `spec` never fires after `after`, or not within ten years of it."""
    today = max(after // DAY, _EARLIEST // _DAY)
    never = _next_day(spec, today - 1, today + HORIZON // DAY) is None
    instant = None if never else next_fire(spec, zone, after, gap=gap, fold=fold)
    if instant is None:
        raise InvalidRequest(f"cron expression {spec.text!r} never fires")
    if instant > after + LATEST_FIRST_FIRE:
        year = date.fromordinal(instant // DAY + _EPOCH_ORDINAL).year
        raise InvalidRequest(f"cron expression {spec.text!r} does not fire within ten years, first in {year}")


def _shifts(spec: CronSpec, stretch: Stretch, gap: Gap) -> bool:
    """Whether a run that the gap before this stretch swallowed moves to its start."""
    if spec.wildcard or gap != "shift" or not 0 < stretch.offset - stretch.before < _ZONE_MOVE:
        return False
    return _next_local(spec, stretch.start + stretch.before, stretch.start + stretch.offset) is not None


def _first_passes(stretch: Stretch, low: int, high: int, fold: Fold) -> tuple[int, int]:
    """The part of `low <= second < high` where a fixed-time job may run: without the other pass of an overlap."""
    if fold == "first" and 0 < stretch.before - stretch.offset <= _ZONE_MOVE:
        return max(low, stretch.start + stretch.before - stretch.offset), high
    if fold == "last" and 0 < stretch.offset - stretch.after <= _ZONE_MOVE:
        return low, min(high, stretch.end + stretch.after - stretch.offset)
    return low, high


def _next_local(spec: CronSpec, low: int, high: int) -> int | None:
    """The first matching second of the wall clock with `low <= second < high`."""
    if low >= high:
        return None
    day, second = divmod(low, _DAY)
    last = (high - 1) // _DAY
    matching = _next_day(spec, day, last)
    if matching == day:
        in_day = _next_in_day(spec, second)
        if in_day is not None:
            found = day * _DAY + in_day
            return found if found < high else None
        matching = _next_day(spec, day + 1, last)
    if matching is None:
        return None
    found = matching * _DAY + spec.first
    return found if found < high else None


def _next_in_day(spec: CronSpec, second: int) -> int | None:
    minute, second = divmod(second, 60)
    rest = spec.minutes >> minute
    if rest & 1:
        seconds = spec.seconds >> second
        if seconds:
            return minute * 60 + second + _lowest(seconds)
        rest -= 1
    return (minute + _lowest(rest)) * 60 + _lowest(spec.seconds) if rest else None


def _next_day(spec: CronSpec, day: int, last: int) -> int | None:
    """The first matching day with `day <= matching <= last`, in days since 1970-01-01."""
    moment = date.fromordinal(day + _EPOCH_ORDINAL)
    year, month, day_of_month = moment.year, moment.month, moment.day
    first = day - day_of_month
    while first < last:
        if spec.months >> month & 1:
            rest = spec.days[(first + 1 + _WEEKDAY_OF_EPOCH) % 7] >> day_of_month
            if rest:
                found = day_of_month + (rest & -rest).bit_length() - 1
                if found <= 28 or found <= _days_in(year, month):
                    return first + found if first + found <= last else None
        first += _days_in(year, month)
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        day_of_month = 1
    return None


def _days_in(year: int, month: int) -> int:
    if month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
        return 29
    return _MONTH_DAYS[month]


def _count_local(spec: CronSpec, low: int, high: int) -> int:
    """How many matching seconds of the wall clock have `low <= second < high`."""
    (first, low_second), (last, high_second) = divmod(low, _DAY), divmod(high, _DAY)
    count = _count_days(spec, first, last) * spec.minutes.bit_count() * spec.seconds.bit_count()
    count -= _count_days(spec, first, first + 1) * _count_before(spec, low_second)
    return count + _count_days(spec, last, last + 1) * _count_before(spec, high_second)


def _count_before(spec: CronSpec, second: int) -> int:
    minute, second = divmod(second, 60)
    whole = (spec.minutes & ((1 << minute) - 1)).bit_count() * spec.seconds.bit_count()
    return whole + (spec.minutes >> minute & 1) * (spec.seconds & ((1 << second) - 1)).bit_count()


def _count_days(spec: CronSpec, day: int, end: int) -> int:
    """How many matching days have `day <= matching < end`, month by month."""
    moment = date.fromordinal(day + _EPOCH_ORDINAL)
    year, month = moment.year, moment.month
    first = day - moment.day
    count = 0
    while first + 1 < end:
        length = _days_in(year, month)
        if spec.months >> month & 1:
            from_day, to_day = max(day - first, 1), min(end - first - 1, length)
            span = (2 << to_day) - (1 << from_day) if to_day >= from_day else 0
            count += (spec.days[(first + 1 + _WEEKDAY_OF_EPOCH) % 7] & span).bit_count()
        first += length
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return count


# ---- in words


def explain(spec: CronSpec) -> str:
    """The trigger in plain English, e.g. `at 02:30, on Monday to Friday`."""
    parts = [_explain_time(spec), _explain_days(spec)]
    if spec.fields[4] != "*":
        parts.append("in " + _explain_items(_FIELDS[4], spec.fields[4]))
    return ", ".join(part for part in parts if part)


def _explain_time(spec: CronSpec) -> str:
    second, minute, hour = spec.fields[:3]
    if all(part.isdigit() for part in [second, *minute.split(","), *hour.split(",")]):
        tail = "" if second == "0" else f":{int(second):02}"
        times = sorted({(int(h), int(m)) for h in hour.split(",") for m in minute.split(",")})
        if len(times) <= _LISTED_TIMES:
            return "at " + _join([f"{h:02}:{m:02}{tail}" for h, m in times])
    units = [] if second == "0" else [_explain_unit(_FIELDS[0], second)]
    units.append(_explain_unit(_FIELDS[1], minute))
    if hour != "*" or minute != "*":
        units.append(_explain_unit(_FIELDS[2], hour))
    words = " of ".join(units)
    return words if words.startswith("every") else "at " + words


def _explain_days(spec: CronSpec) -> str:
    day, weekday = spec.fields[3], spec.fields[5]
    by_day = f"on {_explain_unit(_FIELDS[3], day)} of the month"
    by_weekday = "on " + _explain_items(_FIELDS[5], weekday)
    if day == weekday == "*":
        return "" if spec.wildcard else "every day"
    if day == "*" or weekday == "*":
        return by_weekday if day == "*" else by_day
    both = day.startswith("*") or weekday.startswith("*")
    return f"{by_day} {'and only' if both else 'or'} {by_weekday}"


def _explain_unit(field: _Field, text: str) -> str:
    words = _explain_items(field, text)
    return words if words.startswith("every") else f"{field.unit} {words}"


def _explain_items(field: _Field, text: str) -> str:
    return _join([_explain_item(field, item) for item in text.split(",")])


def _explain_item(field: _Field, item: str) -> str:
    span, _, step = item.partition("/")
    every = f"every {_ordinal(int(step))} {field.unit}" if step and step != "1" else f"every {field.unit}"
    if span == "*":
        return f"{every} of the week" if field.names is _WEEKDAYS else every
    ends = " to ".join(field.names[int(end) - field.low] if field.names else end for end in span.split("-"))
    return f"{every} from {ends}" if step else ends


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _join(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]
