"""A slow, plain statement of the cron rule to compare the real search with: it looks at every minute of a window.

It shares nothing with the real one: its own parser, its own use of `zoneinfo`, and no notion of transitions. A wall time
is *repeated* if it was also shown at most three hours before, and *swallowed* if the wall clock stepped over it by less than
three hours. `python -m tests.actors.cron_reference --full` compares around every change of offset from 2007 to 2037.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import random
import sys
import time
import zlib
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

import attrs

from actors.model.trigger import Fold, Gap
from actors.when import cron, cron_search, zones
from runtime.clock import Instant

MINUTE = 60
HOUR = 3_600
DAY = 86_400
MICRO = 1_000_000
FIRST_YEAR, LAST_YEAR = 2007, 2037
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
WEEKDAYS = "sun mon tue wed thu fri sat".split()
HASHED = (
    ("second", 0, 59),
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 28),
    ("month", 1, 12),
    ("day of week", 0, 6),
)
GAPS: tuple[Gap, ...] = ("shift", "skip")
FOLDS: tuple[Fold, ...] = ("first", "last", "both")


class Expression:
    """The rule of an expression in sets of numbers."""

    def __init__(self, text: str, seed: int = 0) -> None:
        fields = text.lower().split()
        if len(fields) == 5:
            fields = ["0", *fields]
        fields = [_chosen(field, *place, seed) for field, place in zip(fields, HASHED, strict=True)]
        self.day_forms = [item for item in fields[3].split(",") if "l" in item or "w" in item]
        self.weekday_forms = [item for item in fields[5].split(",") if "l" in item or "#" in item]
        fields[3] = ",".join(item for item in fields[3].split(",") if item not in self.day_forms)
        fields[5] = ",".join(item for item in fields[5].split(",") if item not in self.weekday_forms)
        self.second = _values(fields[0], 0, 59)
        self.minute = _values(fields[1], 0, 59)
        self.hour = _values(fields[2], 0, 23)
        self.day = _values(fields[3], 1, 31)
        self.month = _values(fields[4], 1, 12, MONTHS)
        self.weekday = {value % 7 for value in _values(fields[5], 0, 7, WEEKDAYS)}
        self.both = text.split()[-3][0] == "*" or text.split()[-1][0] == "*"
        self.wildcard = fields[1][0] == "*" or fields[2][0] == "*"

    def matches_day(self, day: date) -> bool:
        by_day = day.day in self.day or any(_is_day_form(form, day) for form in self.day_forms)
        by_weekday = day.isoweekday() % 7 in self.weekday or any(_is_weekday_form(f, day) for f in self.weekday_forms)
        return day.month in self.month and (by_day and by_weekday if self.both else by_day or by_weekday)

    def matches(self, wall: datetime) -> bool:
        in_time = wall.second in self.second and wall.minute in self.minute and wall.hour in self.hour
        return in_time and self.matches_day(wall.date())


def _is_day_form(form: str, day: date) -> bool:
    """Whether a date is what `l`, `lw` or `15w` means in its month: every date of the month is tried."""
    month = [date(day.year, day.month, number) for number in range(1, monthrange(day.year, day.month)[1] + 1)]
    if form == "l":
        return day == month[-1]
    work = [one for one in month if one.isoweekday() <= 5]
    if form == "lw":
        return day == work[-1]
    wanted = int(form[:-1])
    if wanted > len(month):
        return False
    # As far before as after cannot be: a weekend is two days. A Saturday looks back first, a Sunday forward.
    return day == min(work, key=lambda one: abs(one.day - wanted))


def _is_weekday_form(form: str, day: date) -> bool:
    """Whether a date is what `5l`, `l5` or `1#2` means in its month."""
    word, _, week = form.partition("#")
    word = word.strip("l") if not week else word
    number = WEEKDAYS.index(word) if word in WEEKDAYS else int(word) % 7
    if day.isoweekday() % 7 != number:
        return False
    if week:
        return (day.day - 1) // 7 + 1 == int(week)
    return day.day + 7 > monthrange(day.year, day.month)[1]


def _chosen(field: str, name: str, low: int, high: int, seed: int) -> str:
    """The field with what the seed chooses in place of `h`."""
    items = []
    for item in field.split(","):
        span, _, step = item.partition("/")
        if span == "h" or span.startswith("h("):
            first, last = (int(end) for end in span[2:-1].split("-")) if span != "h" else (low, high)
            choice = zlib.crc32(f"{seed} {name}".encode())
            values = (
                range(first + choice % int(step), last + 1, int(step))
                if step
                else [first + choice % (last - first + 1)]
            )
            items += [str(value) for value in values]
        else:
            items.append(item)
    return ",".join(items)


def _values(text: str, low: int, high: int, names: list[str] | None = None) -> set[int]:
    def number(word: str) -> int:
        return names.index(word) + low if names and word in names else int(word)

    found: set[int] = set()
    for item in text.split(",") if text else ():
        span, _, step = item.partition("/")
        ends = [low, high] if span == "*" else [number(word) for word in span.split("-")]
        found |= set(range(ends[0], ends[-1] + 1, int(step or 1)))
    return found


@attrs.frozen
class Tick:
    """One look at the clock: the instant, the time of day of the wall, whether this wall time was or will be shown too."""

    at: int
    hour: int
    minute: int
    second: int
    shown_before: bool
    shown_again: bool


class Window:
    """Every look at a zone's wall clock with `begin < instant <= end`, one each `step` seconds."""

    def __init__(self, zone: str, begin: int, end: int, step: int = MINUTE) -> None:
        self.begin, self.end = begin, end
        self.days: dict[date, list[Tick]] = {}
        self.steps: list[tuple[int, list[datetime]]] = []
        info, around = reference_zone(zone), 3 * HOUR + step
        ats = range(begin - begin % step - around, end + around + 1, step)
        walls = [datetime.fromtimestamp(at, info).replace(tzinfo=None, fold=0) for at in ats]
        before, again = _shown_before(ats, walls), _shown_before(ats[::-1], walls[::-1])
        for at, wall in zip(ats, walls, strict=True):
            if begin < at <= end:
                tick = Tick(at, wall.hour, wall.minute, wall.second, at in before, at in again)
                self.days.setdefault(wall.date(), []).append(tick)
        for at, (earlier, later) in zip(ats[1:], itertools.pairwise(walls), strict=True):
            swallowed = (later - earlier) // timedelta(seconds=step) - 1
            if begin < at <= end and 0 < swallowed * step < 3 * HOUR:
                self.steps.append((at, [earlier + timedelta(seconds=step) * n for n in range(1, swallowed + 1)]))

    def fires(self, text: str, gap: Gap = "shift", fold: Fold = "first", seed: int = 0) -> list[int]:
        """The seconds at which the expression fires in the window."""
        expression = Expression(text, seed)
        found = set(self._shifted(expression)) if gap == "shift" and not expression.wildcard else set()
        for day, ticks in self.days.items():
            if expression.matches_day(day):
                found.update(tick.at for tick in ticks if _runs(expression, tick, fold))
        return sorted(found)

    def _shifted(self, expression: Expression) -> list[int]:
        return [at for at, swallowed in self.steps if any(expression.matches(wall) for wall in swallowed)]


def _shown_before(ats: range, walls: list[datetime]) -> set[int]:
    last: dict[datetime, int] = {}
    found = set()
    for at, wall in zip(ats, walls, strict=True):
        if wall in last and abs(at - last[wall]) <= 3 * HOUR:
            found.add(at)
        last[wall] = at
    return found


def _runs(expression: Expression, tick: Tick, fold: Fold) -> bool:
    if not (tick.hour in expression.hour and tick.minute in expression.minute and tick.second in expression.second):
        return False
    if expression.wildcard or fold == "both":
        return True
    return not (tick.shown_before if fold == "first" else tick.shown_again)


@lru_cache(maxsize=1_000)
def reference_zone(name: str) -> ZoneInfo:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def distinct_zones() -> list[str]:
    """One name for each different zone file: links are left out."""
    root = resources.files("tzdata")
    kept: dict[bytes, str] = {}
    for name in sorted(root.joinpath("zones").read_text(encoding="ascii").split()):
        kept.setdefault(root.joinpath("zoneinfo", *name.split("/")).read_bytes(), name)
    return sorted(kept.values())


def changes_of_offset(zone: str) -> Iterator[tuple[int, int, int]]:
    """Each change from 2007 to 2037: instant in Unix seconds, offset before and after; found by looking day by day."""
    info = reference_zone(zone)

    def offset(at: int) -> timedelta:
        return datetime.fromtimestamp(at, info).utcoffset() or timedelta()

    begin = int(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp())
    before = offset(begin)
    for day in range(begin + DAY, end, DAY):
        after = offset(day)
        if after != before:
            at = next(at for at in range(day - DAY, day + 1, MINUTE) if offset(at) != before)
            yield at, int(before.total_seconds()), int(after.total_seconds())
        before = after


def one_of_each_shape() -> list[tuple[str, int]]:
    """A zone and an instant for each different shape of change: how far, and at which time of the wall clock."""
    shapes: dict[tuple[int, int], tuple[str, int]] = {}
    for zone in distinct_zones():
        for at, before, after in changes_of_offset(zone):
            shapes.setdefault((after - before, (at + before) % DAY), (zone, at))
    return list(shapes.values())


def random_expression(
    rng: random.Random, around: int, *, seconds: bool = False, forms: bool = False, hashed: bool = False
) -> str:
    """An expression that is likely to fire near a wall time, given as seconds since 1970 of the wall clock.

    `forms`: some of the days are `L`, `W` and `#`. `hashed`: some of the fields are `H`.
    """
    wall = datetime.fromtimestamp(around, UTC) + timedelta(minutes=rng.randint(-200, 200))
    fields = [
        _random_field(rng, wall.minute, 0, 59, stars=0.25),
        _random_field(rng, wall.hour, 0, 23, stars=0.3),
        _random_field(rng, wall.day, 1, 31, stars=0.6),
        _random_field(rng, wall.month, 1, 12, stars=0.75),
        _random_field(rng, wall.isoweekday(), 0, 7, stars=0.6),
    ]
    if forms:
        fields[2] = _random_form(rng, fields[2], ["L", "LW", "lw", f"{wall.day}W", f"{rng.randint(1, 31)}W"])
        weekday = wall.isoweekday()
        week = (wall.day + 6) // 7
        near = [f"{weekday}L", f"L{weekday}", f"{weekday}#{week}", f"{WEEKDAYS[weekday % 7]}#{rng.randint(1, 5)}"]
        fields[4] = _random_form(rng, fields[4], near)
    if hashed:
        fields[0] = rng.choice((fields[0], "H", "H/7", "H(10-40)", "H(0-29)/10"))
        fields[1] = rng.choice((fields[1], "H", "H/3", "H(0-4)"))
        fields[2] = rng.choice((fields[2], fields[2], "H", "H/2"))
        fields[4] = rng.choice((fields[4], fields[4], "H", "H(1-5)"))
    return " ".join([_random_field(rng, wall.second, 0, 59, stars=0.3), *fields] if seconds else fields)


def _random_form(rng: random.Random, field: str, forms: list[str]) -> str:
    """A field of days, sometimes with one of the forms instead of it or beside it."""
    return rng.choice((field, rng.choice(forms), f"{field},{rng.choice(forms)}"))


def _random_field(rng: random.Random, near: int, low: int, high: int, stars: float) -> str:
    if rng.random() < stars:
        return "*" if rng.random() < 0.7 else f"*/{rng.randint(1, min(high, 7))}"
    return ",".join(_random_item(rng, near, low, high) for _ in range(rng.choice((1, 1, 1, 2, 3))))


def _random_item(rng: random.Random, near: int, low: int, high: int) -> str:
    first = near if rng.random() < 0.6 else rng.randint(low, high)
    last = rng.randint(first, high)
    if last == first or rng.random() < 0.5:
        return str(first)
    return f"{first}-{last}" if rng.random() < 0.6 else f"{first}-{last}/{rng.randint(1, min(high, 7))}"


def difference(
    window: Window, zone: str, text: str, gap: Gap = "shift", fold: Fold = "first", seed: int = 0
) -> str | None:
    """What the real search does otherwise than the reference in a window; None if nothing."""
    expected = window.fires(text, gap, fold, seed)
    spec, begin, end = cron.parse(text, seed), Instant(window.begin * MICRO), Instant(window.end * MICRO)
    found = cron_search.fires(spec, zones.zone(zone), begin, end, limit=len(expected) + 2, gap=gap, fold=fold)
    counted = cron_search.count_fires(spec, zones.zone(zone), begin, end, gap=gap, fold=fold)
    got = [instant // MICRO for instant in found]
    if got == expected and counted == len(expected):
        return None
    odd = sorted(set(got) ^ set(expected))[:3]
    return (
        f"{zone} {text!r} gap={gap} fold={fold} after {window.begin}: {counted=} of {len(expected)}, differs at {odd}"
    )


def compare_zone(zone: str, expressions: int, days: int) -> tuple[int, list[str]]:
    """Compares around every change of one zone; how many comparisons, and the differences."""
    count, differences = 0, []
    for at, before, _ in changes_of_offset(zone):
        window, rng = Window(zone, at - days * DAY, at + days * DAY), random.Random(f"{zone}{at}")
        for number in range(expressions):
            gap, fold = (rng.choice(GAPS), rng.choice(FOLDS)) if number % 4 == 3 else ("shift", "first")
            text = random_expression(rng, at + before, forms=number % 2 == 1, hashed=number % 5 == 4)
            found = difference(window, zone, text, gap, fold, seed=number)
            count += 1
            differences += [found] if found else []
    return count, differences


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares the cron search with the plain rule.")
    parser.add_argument("--full", action="store_true", help="20 expressions a change, 3 days around; else 2 and 1")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    jobs = [(zone, 20, 3) if options.full else (zone, 2, 1) for zone in distinct_zones()]
    random.Random(0).shuffle(jobs)
    total, differing, begun, report = 0, 0, time.monotonic(), sys.stdout
    with multiprocessing.Pool(options.processes) as pool:
        for done, (count, differences) in enumerate(pool.imap_unordered(_compare, jobs), start=1):
            total, differing = total + count, differing + len(differences)
            report.writelines(f"{line}\n" for line in differences)
            if done % 20 == 0 or done == len(jobs):
                seconds = time.monotonic() - begun
                report.write(f"{done}/{len(jobs)} zones, {total} comparisons, {differing} differ, {seconds:.0f} s\n")
                report.flush()
    return 1 if differing else 0


def _compare(job: tuple[str, int, int]) -> tuple[int, list[str]]:
    return compare_zone(*job)


if __name__ == "__main__":
    sys.exit(main())
