"""Cron expressions: what is taken and refused, the checked vectors, the policies at changes of offset, the words."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

import pytest
from croniter import CroniterError

from actors.model.trigger import Fold, Gap
from actors.when.cron import CronSpec, parse
from actors.when.cron_search import check_fires, count_fires, fires, next_fire
from actors.when.cron_words import explain
from actors.when.zones import database_version, zone
from runtime.clock import DAY, LAST_INSTANT, SECOND, Instant, from_datetime, isoformat
from runtime.errors import InvalidRequest
from tests.source import ROOT

DATABASE = "2026f"
VECTORS: list[dict[str, Any]] = [
    vector
    for vector in json.loads((ROOT / "tests/data/cron_vectors.json").read_text(encoding="utf-8"))["vectors"]
    if vector["tzdata"] == DATABASE
]
NOW = from_datetime(datetime.fromisoformat("2026-11-21T12:00:00Z"))


def instant(text: str) -> Instant:
    return from_datetime(datetime.fromisoformat(text))


def following(
    expression: str, zone_name: str, start: str, count: int, gap: Gap = "shift", fold: Fold = "first"
) -> list[str]:
    spec = parse(expression)
    found = fires(spec, zone(zone_name), instant(start), LAST_INSTANT, count, gap=gap, fold=fold)
    return [isoformat(moment) for moment in found]


def test_the_vectors_are_for_this_database() -> None:
    assert database_version() == DATABASE
    assert len(VECTORS) == 70


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vector(vector: dict[str, Any]) -> None:
    expected = vector["expected"]
    assert following(vector["expr"], vector["tz"], vector["start"], len(expected)) == expected, vector["note"]


def test_what_the_seed_chooses() -> None:
    assert parse("H H * * *", 7).fields[1:3] == parse("H H * * *", 7).fields[1:3]
    assert parse("H * * * *", 7) != parse("H * * * *", 8)
    minutes = {parse("H * * * *", seed).fields[1] for seed in range(2_000)}
    assert len(minutes) == 60
    assert {parse("0 0 H * *", seed).fields[3] for seed in range(999)} == {str(day) for day in range(1, 29)}
    assert {parse("H(58-59)/2 * * * *", seed).fields[1] for seed in range(99)} == {"58-59/2", "59"}
    for expression in ("H/0 * * * *", "H/61 * * * *", "H(0-9)/11 * * * *"):
        with pytest.raises(InvalidRequest, match="step outside 1-"):
            parse(expression, 7)


def test_what_croniter_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise CroniterError("no such thing")

    monkeypatch.setattr("actors.when.cron.croniter.expand", refuse)
    with pytest.raises(InvalidRequest, match="is refused: no such thing"):
        parse("1 2 3 4 *", 12_345)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 0 L * *", "2028-01-31T12:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 LW * *", "2026-05-01T00:00:00Z", "2026-05-29T00:00:00Z"),
        ("0 0 1W * *", "2026-07-31T00:00:00Z", "2026-08-03T00:00:00Z"),
        ("0 0 31W * *", "2026-05-01T00:00:00Z", "2026-05-29T00:00:00Z"),
        ("0 0 31W * *", "2026-05-30T00:00:00Z", "2026-07-31T00:00:00Z"),
        ("0 0 15W * *", "2026-08-01T00:00:00Z", "2026-08-14T00:00:00Z"),
        ("0 0 * * 5L", "2026-11-21T00:00:00Z", "2026-11-27T00:00:00Z"),
        ("0 0 * * monL", "2026-11-21T00:00:00Z", "2026-11-30T00:00:00Z"),
        ("0 0 * * 1#5", "2026-11-01T00:00:00Z", "2026-11-30T00:00:00Z"),
        ("0 0 * * 0#5", "2026-09-01T00:00:00Z", "2026-11-29T00:00:00Z"),
        # Day of month or weekday, as in all of cron: no star in front means either.
        ("0 0 1 * 1#1", "2026-11-21T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("0 0 1 * 1#1", "2026-12-01T00:00:00Z", "2026-12-07T00:00:00Z"),
        ("0 0 29 2 1#5", "2026-11-21T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 */1 2 2#5", "2026-11-21T00:00:00Z", "2028-02-29T00:00:00Z"),
    ],
)
def test_forms_of_days(expression: str, after: str, expected: str) -> None:
    assert following(expression, "UTC", after, 1) == [expected]


# ---- accept and refuse

ACCEPTED = [
    "* * * * *",
    "*/60 * * * *",
    "*/24 * * * *",
    "* */24 * * *",
    "0 0 */31 * *",
    "0 0 * */12 *",
    "0 0 * * */7",
    "00 3-6 * * 1-5",
    "  0\t0  * * *  ",
    "0 0 1 jan,JUL Mon-fri",
    "0 0 * * 0-7",
    "0 0 * * 5-7",
    "0-59/60 * * * *",
    "1,2,3,58 22-23 * * *",
    "*,5 * * * *",
    "0 0 1-1 1-1 *",
    "0 0 0 * * *",
    "*/10 * * * * *",
    "@hourly",
    "@daily",
    "@midnight",
    "@weekly",
    "@monthly",
    "@yearly",
    " @annually ",
    "0 0 31 2 0",
    "0 0 L * *",
    "0 0 lw * *",
    "0 0 1W,15W,L * *",
    "0 0 * * 5L",
    "0 0 * * L7,sunL",
    "0 0 * * 1#2,mon#4",
    "0 0 1,L * fri,1#1",
    ",".join(["0"] * 123) + " * * * *",
]

REFUSED = {
    "": "0 field",
    "   ": "0 field",
    "*": "1 field",
    "* * * *": "4 field",
    "* * * * * * *": "7 field",
    "60 * * * *": "'minute': '60' is out of range 0-59",
    "* 24 * * *": "'hour': '24' is out of range 0-23",
    "* * 0 * *": "'day of month': '0' is out of range 1-31",
    "* * 32 * *": "'day of month': '32' is out of range",
    "* * * 0 *": "'month': '0' is out of range 1-12",
    "* * * 13 *": "'month': '13' is out of range",
    "* * * * 8": "'day of week': '8' is out of range 0-7",
    "60 * * * * *": "'second': '60' is out of range",
    "* * 30 * * *": "'hour': '30' is out of range",
    "0-60 * * * *": "'minute': '0-60' is out of range",
    "*/0 * * * *": "'minute': '\\*/0' has a step outside 1-60",
    "5-5/0 * * * *": "step",
    "5-5/2 * * * *": "range of one value",
    "*/61 * * * *": "step outside 1-60",
    "* */25 * * *": "step outside 1-24",
    "* * */32 * *": "step outside 1-31",
    "* * * */13 *": "step outside 1-12",
    "* * * * */8": "step outside 1-7",
    "*/99999999999999999999 * * * *": "step outside 1-60",
    "50-10 * * * *": "'minute': '50-10' is a range that runs backwards",
    "0 0 * * fri-sun": "'fri-sun' is a range that runs backwards.*7 for a Sunday",
    "0 0 * * 6/1": "step after a single value",
    "5/10 * * * *": "step after a single value",
    "59/60 * * * *": "step after a single value",
    "R * * * *": "'R' is not a number",
    "R R * * *": "'R' is not a number",
    "R(0-5) * * * *": "is not a number",
    "H * * * *": "'minute': 'H' spreads by the id of the task",
    "H/5 * * * *": "'H/5' spreads by",
    "H(0-5) * * * *": "spreads by",
    "0 0 H(0-5) * *": "out of range 1-31",
    "H(5-1) * * * *": "out of range 0-59, or runs backwards",
    "H(0-60) * * * *": "out of range 0-59",
    "* H/0 * * *": "spreads by",
    "H5 * * * *": "'H5' is not a number",
    "H-5 * * * *": "'H-5' is not a number",
    "H() * * * *": "is not a number",
    "L * * * *": "'minute': 'L' names no weekday",
    "0 0 L-3 * *": "'day of month': 'L-3' is not a form of this field",
    "0 0 L/2 * *": "'L/2' is not a number",
    "0 0 W * *": "'W' is not a form of this field",
    "0 0 WL * *": "'WL' is not",
    "0 0 0W * *": "'0W' is out of range 1-31",
    "0 0 32W * *": "'32W' is out of range 1-31",
    "0 0 1-15W * *": "'1-15W' is not",
    "0 0 5L * *": "'day of month': '5L' is not a form of this field",
    "0 0 1#2 * *": "'day of month': '1#2' is not a form of this field",
    "0 0 * * L": "'day of week': 'L' names no weekday; write 6 for Saturday",
    "0 0 * * LW": "'LW' is not a form of this field",
    "0 0 * * 15W": "'15W' is not a form of this field",
    "0 0 * * 8L": "'8L' is no weekday",
    "0 0 * * 9#1": "'9#1' is no weekday",
    "0 0 * * fun#1": "'fun#1' is no weekday",
    "0 0 * * 1#0": "'1#0' is no week of a month",
    "0 0 * * 1#6": "'1#6' is no week of a month",
    "0 0 * * 1#": "'1#' is not a form of this field",
    "0 0 * * 1-3#2": "'1-3#2' is not",
    "? * * * *": "write \\*",
    "0 0 ? * *": "'day of month': '\\?'",
    "@reboot": "'@reboot' is not known",
    "@every 5m": "is not known",
    "@Daily": "is not known",
    "@": "is not known",
    "@daily *": "is not known",
    "0 0 * foo *": "'month': 'foo' is not a number, name",
    "0 0 * * someday": "'day of week': 'someday'",
    "0 0 * * monday": "'monday' is not",
    "0 0 mon * *": "'day of month': 'mon' is not",
    "jan 0 * * *": "'minute': 'jan' is not",
    "1, * * * *": "'minute': '' is empty",
    ",1 * * * *": "is empty",
    "1,,2 * * * *": "is empty",
    "1-5-9 * * * *": "'1-5-9' is not",
    "*5 * * * *": "'\\*5' is not",
    "1.5 * * * *": "'1.5' is not",
    "-1 * * * *": "'-1' is not",
    "+1 * * * *": "'\\+1' is not",
    "1- * * * *": "'1-' is not",
    "*/ * * * *": "'\\*/' is not",
    "*/-5 * * * *": "is not",
    "*-5 * * * *": "is not",
    "0x10 * * * *": "is not",
    "1_0 * * * *": "is not",
    "** * * * *": "is not",
    "$(id) * * * *": "is not",
    "0\n0 * * *": "holds '\\\\n'",
    "0 0 * * *\n": "holds '\\\\n'",
    "0 0 * * *\r": "holds '\\\\r'",
    "0 0 * * *\x0b": "holds",
    "0 0 * * *\x00": "holds",
    "\x1b[31m0 0 * * *": "holds",
    "0\u00a00 * * *": "holds",
    "0\u30000 * * *": "holds",
    "\u0661 * * * *": "only plain ASCII",
    "\uff11 * * * *": "only plain ASCII",
    "0 0 * * m\u00f6n": "only plain ASCII",
    "0 0 * * *" + " " * 248: "257 characters, limit 256",
    "0," * 40_000 + "0 * * * *": "characters, limit 256",
}


@pytest.mark.parametrize("expression", ACCEPTED)
def test_accepted(expression: str) -> None:
    spec = parse(expression)
    assert spec.text == expression
    assert next_fire(spec, zone("UTC"), NOW) is not None


@pytest.mark.parametrize(("expression", "message"), REFUSED.items(), ids=lambda text: ascii(text[:30]))
def test_refused(expression: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        parse(expression)
    shown = str(caught.value)
    assert shown.isprintable()
    assert len(shown) < 600


@pytest.mark.parametrize(
    "expression",
    ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 31 4 *", "* * * 30 2 *", "0 0 31 2 */7"],
)
@pytest.mark.parametrize("zone_name", ["UTC", "Europe/Berlin"])
def test_what_never_fires_is_refused(expression: str, zone_name: str) -> None:
    with pytest.raises(InvalidRequest, match="never fires"):
        check_fires(parse(expression), zone(zone_name), NOW)


def test_what_fires_too_late_is_refused_with_the_year() -> None:
    with pytest.raises(InvalidRequest, match="not fire within ten years, first in 2060"):
        check_fires(parse("0 0 29 2 */7"), zone("UTC"), instant("2033-01-01T00:00:00Z"))


@pytest.mark.parametrize("expression", ["0 0 29 2 *", "0 0 31 2 0", "0 12 30 12 *", "@yearly"])
def test_what_fires_within_ten_years_is_taken(expression: str) -> None:
    check_fires(parse(expression), zone("Pacific/Apia"), NOW)
    assert next_fire(parse(expression), zone("Pacific/Apia"), NOW) is not None


def test_february_29_across_a_century_without_one() -> None:
    assert following("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1) == ["2104-02-29T00:00:00Z"]


def test_a_spec_is_its_text() -> None:
    assert parse("0 0 * * *") == parse("0 0 * * *")
    assert len({parse("0 0 * * *"), parse("0 0 * * *"), parse("@daily")}) == 2
    assert isinstance(parse("@daily"), CronSpec)


# ---- which fields mean what


def test_a_range_of_one_value_is_that_value() -> None:
    assert following("0 0 1 1-1 *", "UTC", "2026-01-01T00:00:00Z", 2) == [
        "2027-01-01T00:00:00Z",
        "2028-01-01T00:00:00Z",
    ]
    assert following("59-59 * * * *", "UTC", "2026-01-01T00:00:00Z", 1) == ["2026-01-01T00:59:00Z"]


def test_leading_zeros_and_ranges() -> None:
    found = following("00 3-6 * * 1-5", "UTC", "2026-11-20T05:30:00Z", 3)
    assert found == ["2026-11-20T06:00:00Z", "2026-11-23T03:00:00Z", "2026-11-23T04:00:00Z"]


@pytest.mark.parametrize(
    ("expression", "wildcard"),
    [
        ("@hourly", True),
        ("*/30 2 * * *", True),
        ("*,5 2 * * *", True),
        ("0 */2 * * *", True),
        ("@daily", False),
        ("@weekly", False),
        ("@monthly", False),
        ("@yearly", False),
        ("0 0-23 * * *", False),
        ("* 30 2 * * *", False),
        ("0 */5 2 * * *", True),
    ],
)
def test_which_jobs_are_wildcard_jobs(expression: str, wildcard: bool) -> None:
    assert parse(expression).wildcard is wildcard


def test_seconds_come_first() -> None:
    found = following("*/20 59 23 * * *", "UTC", "2026-11-20T00:00:00Z", 4)
    assert found[:2] == ["2026-11-20T23:59:00Z", "2026-11-20T23:59:20Z"]
    assert found[2:] == ["2026-11-20T23:59:40Z", "2026-11-21T23:59:00Z"]


def test_the_next_is_strictly_later_to_the_microsecond() -> None:
    spec, slot = parse("0 12 * * *"), instant("2026-11-20T12:00:00Z")
    assert next_fire(spec, zone("UTC"), Instant(slot - 1)) == slot
    assert next_fire(spec, zone("UTC"), slot) == slot + DAY
    assert next_fire(spec, zone("UTC"), Instant(slot + 1)) == slot + DAY


# ---- gaps and overlaps


@pytest.mark.parametrize(
    ("gap", "first"),
    [("shift", "2026-03-08T07:00:00Z"), ("skip", "2026-03-09T06:30:00Z")],
)
def test_gap_policies(gap: Gap, first: str) -> None:
    assert following("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", 1, gap=gap) == [first]


@pytest.mark.parametrize(
    ("fold", "expected"),
    [
        ("first", ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]),
        ("last", ["2026-11-01T06:30:00Z", "2026-11-02T06:30:00Z"]),
        ("both", ["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"]),
    ],
)
def test_fold_policies(fold: Fold, expected: list[str]) -> None:
    assert following("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 2, fold=fold) == expected


@pytest.mark.parametrize("fold", ["first", "last", "both"])
@pytest.mark.parametrize("gap", ["shift", "skip"])
def test_policies_do_not_touch_wildcard_jobs(gap: Gap, fold: Fold) -> None:
    found = following("*/30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 4, gap=gap, fold=fold)
    assert found == [f"2026-11-01T0{hour}:{minute}:00Z" for hour in (5, 6) for minute in ("00", "30")]
    assert following("*/30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", 1, gap=gap) == ["2026-03-09T06:00:00Z"]


def test_many_swallowed_times_are_one_fire() -> None:
    found = following("5,10,15,20 2,3 * * *", "America/New_York", "2026-03-08T00:00:00Z", 3)
    assert found == ["2026-03-08T07:00:00Z", "2026-03-08T07:05:00Z", "2026-03-08T07:10:00Z"]


def test_seconds_in_a_gap_are_one_fire_at_its_end() -> None:
    found = following("*/15 30 2 * * *", "America/New_York", "2026-03-08T00:00:00Z", 2)
    assert found == ["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"]


def test_an_overlap_of_more_than_three_hours_runs_twice() -> None:
    found = following("0 20 * * *", "Antarctica/Vostok", "1994-01-31T00:00:00Z", 2)
    assert found == ["1994-01-31T13:00:00Z", "1994-01-31T20:00:00Z"]


def test_the_clock_of_2038_is_as_any_other() -> None:
    found = following("0 2 * * *", "UTC", "2038-01-18T12:00:00Z", 3)
    assert found == [f"2038-01-{day}T02:00:00Z" for day in (19, 20, 21)]


def test_instants_far_out_answer_or_end() -> None:
    for zone_name in ("UTC", "Europe/Berlin", "Asia/Tokyo"):
        assert next_fire(parse("* * * * *"), zone(zone_name), Instant(-(1 << 70))) is not None
        assert next_fire(parse("* * * * *"), zone(zone_name), LAST_INSTANT) is None
        assert next_fire(parse("0 0 1 1 *"), zone(zone_name), Instant(LAST_INSTANT - 400 * DAY)) is not None


# ---- bounds


HOSTILE = ["* * * 30 * *", "0 0 30 2 *", "0 0 29 2 */7", "59 59 23 31 12 *", "0 0 31 2-2 */7", "* * 30 12 *"]


@pytest.mark.parametrize("zone_name", ["Pacific/Apia", "Africa/Casablanca", "Antarctica/Troll", "Pacific/Kwajalein"])
@pytest.mark.parametrize("expression", HOSTILE)
def test_every_evaluation_is_short(expression: str, zone_name: str) -> None:
    spec, odd = parse(expression), zone(zone_name)
    start = instant("2011-12-29T10:00:00Z")
    next_fire(spec, odd, start)
    lines = 0

    def count(frame: object, event: str, argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        next_fire(spec, odd, start)
    finally:
        sys.settrace(before)
    assert 0 < lines < 100_000


def test_fires_stops_at_its_limit_and_at_until() -> None:
    spec, begin = parse("* * * * * *"), NOW
    assert len(fires(spec, zone("UTC"), begin, Instant(begin + DAY), 10)) == 10
    assert fires(spec, zone("UTC"), begin, Instant(begin + 2 * SECOND), 10) == [begin + SECOND, begin + 2 * SECOND]
    assert fires(spec, zone("UTC"), begin, begin, 10) == []
    assert fires(spec, zone("UTC"), begin, Instant(begin + DAY), 0) == []


def test_counting_does_not_list() -> None:
    ten_years = Instant(NOW + 3_652 * DAY)
    assert count_fires(parse("* * * * * *"), zone("UTC"), NOW, ten_years) == 3_652 * 86_400
    assert count_fires(parse("0 0 * * *"), zone("Europe/Berlin"), NOW, ten_years) == 3_652
    assert count_fires(parse("0 0 * * *"), zone("UTC"), NOW, NOW) == 0


# ---- in words


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 0 * * *", "at 00:00, every day"),
        ("*/5 * * * *", "every 5th minute of every hour"),
        ("* * * * *", "every minute"),
        ("* * * * * *", "every second of every minute"),
        ("30 2 * * mon-fri", "at 02:30, on Monday to Friday"),
        ("0,30 8,18 * * *", "at 08:00, 08:30, 18:00 and 18:30, every day"),
        ("5 0 12 * * *", "at 12:00:05, every day"),
        ("0 0 13 * 5", "at 00:00, on day 13 of the month or on Friday"),
        ("0 0 */2 * 1", "at 00:00, on every 2nd day of the month and only on Monday"),
        ("00 3-6 * * 1-5", "at minute 0 of hour 3 to 6, on Monday to Friday"),
        ("0 */2 1,15 jan,jul *", "at minute 0 of every 2nd hour, on day 1 and 15 of the month, in January and July"),
        ("0-59/23 * * */3 *", "every 23rd minute from 0 to 59 of every hour, in every 3rd month"),
        ("*/11 * * * */2", "every 11th minute of every hour, on every 2nd day of the week"),
        ("@weekly", "at 00:00, on Sunday"),
    ],
)
def test_explained(expression: str, words: str) -> None:
    assert explain(parse(expression)) == words
