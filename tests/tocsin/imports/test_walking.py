"""The walkers are right: cron's against what cron itself does, the others against what was measured of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runtime.clock import DAY, SECOND, Instant, from_datetime, to_datetime
from tocsin.imports.crontab import parse_fields
from tocsin.imports.walking import Pattern, grid, walk, walk_cron

DATA = Path(__file__).parents[2] / "data" / "cron_vectors.json"
VECTORS = [one for one in json.loads(DATA.read_text())["vectors"] if one["tzdata"] == "2026f" and one["expected"]]


def instant(text: str) -> Instant:
    return from_datetime(datetime.fromisoformat(text))


def shown(times: list[Instant]) -> list[str]:
    return [to_datetime(at).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in times]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_the_walk_of_cron_is_that_of_cron(vector: dict[str, Any]) -> None:
    end = instant(vector["expected"][-1])
    start = instant(vector["start"])
    if end - start > 800 * DAY:
        start = Instant(end - 2 * DAY)
    expected = [text for text in dict.fromkeys(vector["expected"]) if instant(text) > start]
    assert shown(walk_cron(parse_fields(vector["expr"]), vector["tz"], start, end)) == expected


def any_day(hours: set[int], minutes: set[int]) -> Pattern:
    return Pattern(frozenset(minutes), frozenset(hours), lambda day: True)


SPRING = (instant("2026-03-28T23:30:00Z"), instant("2026-03-29T12:00:00Z"))
AUTUMN = (instant("2026-10-24T22:10:00Z"), instant("2026-10-25T04:00:00Z"))


@pytest.mark.parametrize(
    ("hours", "minutes", "span", "gap", "fold", "expected"),
    [
        ({2}, {30}, SPRING, "none", "both", []),
        ({2}, {30}, SPRING, "first", "both", ["01:30"]),
        ({2}, {0, 20, 40}, SPRING, "first", "both", ["01:00"]),
        ({2}, {10, 50}, SPRING, "first", "both", ["01:10"]),
        ({2, 4}, {50}, SPRING, "first", "both", ["01:50", "02:50"]),
        ({2, 3}, {0, 20, 40}, SPRING, "first", "both", ["01:00", "01:20", "01:40"]),
        ({2}, {30}, AUTUMN, "first", "both", ["00:30", "01:30"]),
        ({2}, {30}, AUTUMN, "first", "first", ["00:30"]),
        (set(range(24)), {30}, AUTUMN, "first", "first", ["22:30", "23:30", "00:30", "02:30", "03:30"]),
        ({2, 4}, {50}, AUTUMN, "first", "first", ["00:50", "03:50"]),
    ],
)
def test_what_was_measured_of_systems_that_look_at_the_wall_clock(
    hours: set[int], minutes: set[int], span: Any, gap: Any, fold: Any, expected: list[str]
) -> None:
    found = walk(any_day(hours, minutes), "Europe/Berlin", *span, gap, fold)
    assert [text[11:16] for text in shown(found)] == expected


def test_a_grid_begins_at_its_anchor() -> None:
    anchor = instant("2026-01-01T00:00:10Z")
    begin, end = Instant(anchor - 5 * SECOND), Instant(anchor + 20 * SECOND)
    assert [(at - anchor) // SECOND for at in grid(10 * SECOND, anchor, begin, end)] == [0, 10, 20]
    assert [(at - anchor) // SECOND for at in grid(10 * SECOND, anchor, anchor, end)] == [10, 20]


def test_a_zone_of_the_job_is_matched_but_does_not_move_the_loop() -> None:
    pattern = parse_fields("30 2 * * *")
    found = walk_cron(pattern, "UTC", *SPRING, job_timezone="Europe/Berlin")
    assert found == []
    twice = walk_cron(pattern, "UTC", *AUTUMN, job_timezone="Europe/Berlin")
    assert [text[11:16] for text in shown(twice)] == ["00:30", "01:30"]
