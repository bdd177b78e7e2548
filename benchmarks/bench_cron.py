"""The next fire of cron expressions in zones, beside croniter and the floor.

The floor is what nobody gets around: an instant becomes a wall time of the zone, and a minute later one becomes an instant.
Each expression is walked fire by fire from one start, as a timer does it; offsets are known from a first walk. croniter
walks a fiftieth of that; the ratio says how many times longer it takes for one fire.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter

from actors.when.cron import CronSpec, parse
from actors.when.cron_search import count_fires, next_fire
from actors.when.zones import Zone, zone
from runtime.clock import SECOND, Instant

from .process import measured

EXPRESSIONS = ("0 12 * * *", "30 2 * * 1-5", "*/5 * * * *", "0 0 1 * *", "0 0 13 * 5", "15,45 8-18 * * mon-fri")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
START = Instant(int(datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()) * SECOND)
NEVER = "0 0 30 2 *"


def run(full: bool) -> dict[str, Any]:
    walks, laps = 500, 40 if full else 1
    pairs = [(parse(expression), zone(name)) for expression in EXPRESSIONS for name in ZONES]
    ends = [_walk(spec, place, walks) for spec, place in pairs]
    with measured() as used:
        for _ in range(laps):
            for spec, place in pairs:
                _walk(spec, place, walks)
    ours = used.seconds / (laps * walks * len(pairs))
    theirs, floor = _croniter(laps * walks // 50), _floor(laps * walks)
    counted = sum(count_fires(spec, place, START, end) for (spec, place), end in zip(pairs, ends, strict=True))
    return {
        "name": "cron",
        "figures": {
            "us for the next fire": ours * 1e6,
            "us for the next fire, croniter": theirs * 1e6,
            "us for the next fire, the floor": floor * 1e6,
            **used.figures(laps * walks * len(pairs), "next fire"),
            "us for the first fire of a new zone": _first_in_new_zone() * 1e6,
            "us to parse": _parse(walks) * 1e6,
            "us to find that nothing fires in 50 years": _never() * 1e6,
        },
        "ratios": {"croniter's time for the next fire": theirs / ours, "next fire, to the floor": ours / floor},
        "check": {"expected": walks * len(pairs), "actual": counted},
    }


def _walk(spec: CronSpec, place: Zone, fires: int) -> Instant:
    moment = START
    for _ in range(fires):
        moment = next_fire(spec, place, moment) or START
    return moment


def _croniter(fires: int) -> float:
    start = datetime.fromtimestamp(START // SECOND, UTC)
    walkers = [
        croniter(expression, start.astimezone(ZoneInfo(name)), ret_type=datetime)
        for expression in EXPRESSIONS
        for name in ZONES
    ]
    begun = time.perf_counter()
    for walker in walkers:
        for _ in range(fires):
            walker.get_next()
    return (time.perf_counter() - begun) / (fires * len(walkers))


def _floor(fires: int) -> float:
    begun = time.perf_counter()
    for name in ZONES:
        place, moment = ZoneInfo(name), START / SECOND
        for _ in range(fires):
            wall = datetime.fromtimestamp(moment, place)
            after = datetime(wall.year, wall.month, wall.day, wall.hour, wall.minute, tzinfo=place) + timedelta(
                minutes=1
            )
            moment = after.timestamp()
    return (time.perf_counter() - begun) / (fires * len(ZONES))


def _first_in_new_zone() -> float:
    names, spec = ("Europe/Oslo", "Asia/Beirut", "America/Toronto", "Africa/Cairo"), parse("30 2 * * *")
    begun = time.perf_counter()
    for name in names:
        next_fire(spec, zone.__wrapped__(name), START)
    return (time.perf_counter() - begun) / len(names)


def _parse(count: int) -> float:
    texts = [f"{number % 60} {number % 24} * * {number % 7}" for number in range(count)]
    begun = time.perf_counter()
    for text in texts:
        parse.__wrapped__(text)
    return (time.perf_counter() - begun) / count


def _never() -> float:
    spec, place = parse(NEVER), zone("Europe/Paris")
    next_fire(spec, place, START)
    begun = time.perf_counter()
    next_fire(spec, place, START)
    return time.perf_counter() - begun
