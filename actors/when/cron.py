"""The one door to croniter: cron expressions checked, and made into the bit masks that `cron_search` looks through.

An expression is checked here field by field, what croniter has no sound definition for is taken out, and croniter expands
the rest to its values. These become masks: of the 1,440 minutes of a day, the 60 seconds of a minute, the months, and of the
days of a month for each of its lengths and each weekday on which it can begin.

Day of month and day of week: if the text of either begins with `*` (so `*/2` counts) both must match, else one of them. That
is Debian's rule, and it holds for the forms below too: `0 0 1 * 1#1` is the first of the month or its first Monday.

| in the field | form | means |
| --- | --- | --- |
| day of month | `L` | the last day of the month |
| day of month | `LW` | the last day from Monday to Friday of the month |
| day of month | `15W` | the day from Monday to Friday nearest to the 15th, in the same month; none where there is no such day |
| day of week | `5L`, `L5`, `friL` | the last Friday of the month |
| day of week | `1#2`, `mon#2` | the second Monday of the month; none in a month without a fifth for `#5` |
| any | `H`, `H(0-29)`, `H/15`, `H(0-29)/10` | a value, or where a step begins: the task's id chooses; days up to 28 |

The rest of the syntax is that of cron 3.0pl1 as Debian ships it. Its defects are not copied: trailing junk in a field is
refused, and so are reversed ranges, which never fire.
"""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from typing import Final

import attrs
from croniter import CroniterError, croniter

from runtime.errors import InvalidRequest

LONGEST_EXPRESSION: Final = 256
"""Characters; croniter takes 165 ms for a list of 80 kB, and no real expression is near this."""

_FIVE_WEEKS: Final = sum(2 << 7 * week for week in range(5))
_WORKDAYS: Final = range(1, 6)

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
_HASHED: Final = re.compile(r"h(?:\(([0-9]+)-([0-9]+)\))?(?:/([0-9]+))?")
_DAY_FORM: Final = re.compile(r"(l)|(lw)|([0-9]+)w")
_WEEKDAY_FORM: Final = re.compile(r"([0-9]+|[a-z]{3})(?:#([0-9]+)|l)|l([0-9]+|[a-z]{3})")
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
class Field:
    """One field of an expression: its bounds, how many different values it has, its unit, and names from `low` on.

    `hashed_high` is the highest value that `H` may choose.
    """

    name: str
    low: int
    high: int
    width: int
    unit: str
    hashed_high: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int | None:
        """The value of a number or of a three-letter name; None if it is neither."""
        if text.isdigit():
            return int(text)
        short = [name[:3].lower() for name in self.names]
        return self.low + short.index(text) if text in short else None


SECONDS: Final = Field("second", 0, 59, 60, "second", 59)
MINUTES: Final = Field("minute", 0, 59, 60, "minute", 59)
HOURS: Final = Field("hour", 0, 23, 24, "hour", 23)
DAYS: Final = Field("day of month", 1, 31, 31, "day", 28)
MONTHS: Final = Field("month", 1, 12, 12, "month", 12, _MONTHS)
WEEKDAYS: Final = Field("day of week", 0, 7, 7, "day", 6, _WEEKDAYS)
_FIELDS: Final = (SECONDS, MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS)


@attrs.frozen
class CronSpec:
    """A parsed expression; equal and hashed by its text and its fields.

    `fields` are the texts of six fields, seconds first, names as numbers and `H` as what it chose. `minutes` has a bit for
    each minute of the day, `seconds` for each second of the minute, `months` for 1 to 12, and `days[7 * (n - 28) + w]` for
    the days of a month that has n days and begins on weekday w (0 is Sunday). `first` is the first matching second of a
    matching day. `wildcard`: minute or hour begins with `*`.
    """

    text: str
    fields: tuple[str, ...] = attrs.field(repr=False)
    wildcard: bool = attrs.field(eq=False)
    minutes: int = attrs.field(eq=False, repr=False)
    seconds: int = attrs.field(eq=False, repr=False)
    months: int = attrs.field(eq=False, repr=False)
    days: tuple[int, ...] = attrs.field(eq=False, repr=False)
    first: int = attrs.field(eq=False, repr=False)


@attrs.frozen
class _Text:
    """What is being parsed: the expression as given, for messages, and the seed of `H`."""

    expression: str
    seed: int | None

    def refuse(self, field: Field, item: str, reason: str) -> InvalidRequest:
        return InvalidRequest(f"cron field {field.name!r}: {item!r} {reason} (in {self.expression!r})")


@lru_cache(maxsize=4_096)
def parse(expression: str, seed: int | None = None) -> CronSpec:
    """Parses five fields, six with seconds first, or one of the names `@hourly`, `@daily`, `@midnight`, `@weekly`,
    `@monthly`, `@yearly`, `@annually`. `seed` is what `H` chooses by; without one `H` is refused.

    Raises InvalidRequest that names the field and shows the value for everything else. An expression that parses may
    still never fire: see `cron_search.check_fires`.
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
    whole = _Text(expression, seed)
    return _spec(expression, tuple(_numeric(whole, field, text) for field, text in zip(_FIELDS, texts, strict=True)))


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


def _numeric(whole: _Text, field: Field, text: str) -> str:
    """The field checked and written in numbers only, a range of one value as that value (croniter reads it as all)."""
    return ",".join(_numeric_item(whole, field, item) for item in text.split(","))


def _numeric_item(whole: _Text, field: Field, item: str) -> str:
    lowered = item.lower()
    hashed = _HASHED.fullmatch(lowered)
    if hashed is not None:
        return _hashed_item(whole, field, item, hashed)
    form = _form_item(whole, field, item)
    if form is not None:
        return form
    plain = _ITEM.fullmatch(lowered)
    if plain is None:
        raise whole.refuse(field, item, _reason(lowered))
    return _plain_item(whole, field, item, plain)


def _plain_item(whole: _Text, field: Field, item: str, match: re.Match[str]) -> str:
    star, low_text, high_text, step = match.groups()
    if step is not None and not 1 <= int(step) <= field.width:
        raise whole.refuse(field, item, f"has a step outside 1-{field.width}")
    suffix = "" if step is None else f"/{int(step)}"
    if star:
        return f"*{suffix}"
    low, high = field.number(low_text), field.number(high_text or low_text)
    if low is None or high is None:
        raise whole.refuse(field, item, _reason(item.lower()))
    if step is not None and high_text is None:
        raise whole.refuse(field, item, "has a step after a single value; write it after * or a range")
    if not (field.low <= low <= field.high and field.low <= high <= field.high):
        raise whole.refuse(field, item, f"is out of range {field.low}-{field.high}")
    if low > high:
        raise whole.refuse(
            field, item, "is a range that runs backwards; split it in two, or write 7 for a Sunday at its end"
        )
    if low == high and step is not None:
        raise whole.refuse(field, item, "has a step over a range of one value")
    return str(low) if low == high else f"{low}-{high}{suffix}"


def _hashed_item(whole: _Text, field: Field, item: str, match: re.Match[str]) -> str:
    """What `H` chose, as plain numbers."""
    low_text, high_text, step_text = match.groups()
    low, high = (field.low, field.hashed_high) if low_text is None else (int(low_text), int(high_text))
    if not field.low <= low <= high <= field.high:
        raise whole.refuse(field, item, f"is out of range {field.low}-{field.high}, or runs backwards")
    if whole.seed is None:
        raise whole.refuse(field, item, "spreads by the id of the task and has no value without one")
    choice = zlib.crc32(f"{whole.seed} {field.name}".encode())
    if step_text is None:
        return str(low + choice % (high - low + 1))
    step = int(step_text)
    if not 1 <= step <= high - low + 1:
        raise whole.refuse(field, item, f"has a step outside 1-{high - low + 1}")
    first = low + choice % step
    return f"{first}-{high}/{step}" if first < high else str(first)


def _form_item(whole: _Text, field: Field, item: str) -> str | None:
    """`L`, `LW`, `15W` of a day of month, `5L` and `1#2` of a weekday, in numbers; None for what is none of these."""
    if field is DAYS and (day := _DAY_FORM.fullmatch(item.lower())):
        if day[3] is not None and not field.low <= int(day[3]) <= field.high:
            raise whole.refuse(field, item, f"is out of range {field.low}-{field.high}")
        return item.upper() if day[3] is None else f"{int(day[3])}W"
    if field is WEEKDAYS and (weekday := _WEEKDAY_FORM.fullmatch(item.lower())):
        number = field.number(weekday[1] or weekday[3])
        if number is None or number > field.high:
            raise whole.refuse(field, item, f"is no weekday {field.low}-{field.high} or name")
        if weekday[2] is None:
            return f"{number % 7}L"
        if not 1 <= int(weekday[2]) <= 5:
            raise whole.refuse(field, item, "is no week of a month: 1 to 5")
        return f"{number % 7}#{int(weekday[2])}"
    return None


def _reason(item: str) -> str:
    if item == "l":
        return "names no weekday; write 6 for Saturday, or 5L for the last Friday of the month"
    if re.fullmatch(r"l?w|[0-9]*(lw|[lw])|l-?[0-9]+|[0-9a-z]+#.*", item):
        return "is not a form of this field: L, LW and 15W are days of the month, 5L and 1#2 are weekdays"
    if item == "?":
        return "is not supported; write *"
    return "is not a number, name, range, * or step" if item else "is empty"


# ---- masks


def _spec(text: str, fields: tuple[str, ...]) -> CronSpec:
    plain = tuple(",".join(item for item in field.split(",") if not _is_form(item)) for field in fields)
    expanded = _expand(tuple(field or "*" for field in plain))
    masks = [_mask(field, values) if kept else 0 for field, values, kept in zip(_FIELDS, expanded, plain, strict=True)]
    seconds, minutes, hours, days, months, weekdays = masks
    minutes_of_day = sum(minutes << (60 * hour) for hour in range(24) if hours >> hour & 1)
    rule = _DayRule(
        days,
        weekdays,
        tuple(item for item in fields[3].split(",") if _is_form(item)),
        tuple(item for item in fields[5].split(",") if _is_form(item)),
        both=fields[3].startswith("*") or fields[5].startswith("*"),
    )
    return CronSpec(
        text=text,
        fields=fields,
        wildcard=fields[1].startswith("*") or fields[2].startswith("*"),
        minutes=minutes_of_day,
        seconds=seconds,
        months=months,
        days=_days(rule),
        first=lowest(minutes_of_day) * 60 + lowest(seconds),
    )


@lru_cache(maxsize=256)
def _days(rule: _DayRule) -> tuple[int, ...]:
    return tuple(rule.matching(length, first) for length in range(28, 32) for first in range(7))


def _is_form(item: str) -> bool:
    return item[-1] in "LW" or "#" in item


def _expand(fields: tuple[str, ...]) -> list[list[int | str]]:
    try:
        expanded, _ = croniter.expand(" ".join(fields), second_at_beginning=True)
    except CroniterError as error:
        raise InvalidRequest(f"cron expression {' '.join(fields)!r} is refused: {error}") from error
    return [*expanded[5:], *expanded[:5]]


def _mask(field: Field, values: list[int | str]) -> int:
    if "*" in values:
        return sum(1 << value for value in range(field.low, field.low + field.width))
    return sum(1 << value for value in {int(value) for value in values})


@attrs.frozen
class _DayRule:
    """Day of month and day of week together: masks of plain values, forms, and whether both fields must match."""

    days: int
    weekdays: int
    day_forms: tuple[str, ...]
    weekday_forms: tuple[str, ...]
    both: bool

    def matching(self, length: int, first: int) -> int:
        """The matching days, bits 1 to 31, of a month of `length` days that begins on weekday `first`."""
        by_day = self.days
        for form in self.day_forms:
            by_day |= 1 << _day_of_form(form, length, first)
        week = (self.weekdays >> first | self.weekdays << (7 - first)) & 0b1111111
        by_weekday = week * _FIVE_WEEKS
        for form in self.weekday_forms:
            by_weekday |= 1 << _weekday_of_form(form, length, first)
        return (by_day & by_weekday if self.both else by_day | by_weekday) & (2 << length) - 2


def _day_of_form(form: str, length: int, first: int) -> int:
    """The day of the month that `L`, `LW` or `15W` means; 0 for none."""
    day = length if form[0] == "L" else int(form[:-1])
    if form == "L" or day > length:
        return day if day <= length else 0
    near = (day, day - 1, day + 1, day - 2, day + 2)
    return next(other for other in near if 1 <= other <= length and (first + other - 1) % 7 in _WORKDAYS)


def _weekday_of_form(form: str, length: int, first: int) -> int:
    """The day of the month that `5L` or `1#2` means, which may lie beyond the month's end."""
    day = 1 + (int(form[0]) - first) % 7
    if form[1] == "L":
        return day + 7 * ((length - day) // 7)
    return day + 7 * (int(form[2]) - 1)


def lowest(mask: int) -> int:
    """The position of the lowest bit."""
    return (mask & -mask).bit_length() - 1
