"""Zones answer from the pinned database, and where offsets change is found exactly."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from actors.when.zones import FOREVER, Change, Zone, database_version, zone, zone_names
from runtime.errors import InternalError, InvalidRequest
from tests.actors.cron_reference import changes_of_offset, distinct_zones, reference_zone

HOUR = 3_600


def second(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def test_the_database_is_the_pinned_one() -> None:
    assert database_version() == "2026f"
    assert len(zone_names()) > 500


def test_the_systems_database_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class FromFileOnly:
        from_file = ZoneInfo.from_file

    monkeypatch.setattr("actors.when.zones.ZoneInfo", FromFileOnly)
    assert zone.__wrapped__("America/Edmonton").offset(second("2026-12-01T00:00:00Z")) == -6 * HOUR


def test_a_zone_is_one_object() -> None:
    assert zone("Europe/Berlin") is zone("Europe/Berlin")
    assert repr(zone("Europe/Berlin")) == "Zone('Europe/Berlin')"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("berlin", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("Asia/Tokio", "Asia/Tokyo"),
    ],
)
def test_an_unknown_zone_is_refused_with_a_near_one(name: str, meant: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"{name!r}; did you mean {meant!r}"):
        zone(name)


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", "/etc/localtime", "posix/Europe/Berlin", "Mars/Base", "x" * 10_000]
)
def test_what_is_like_no_zone_is_refused_shortly(name: str) -> None:
    with pytest.raises(InvalidRequest, match="unknown time zone") as caught:
        zone(name)
    assert len(str(caught.value)) < 200


def test_utc_is_one_stretch() -> None:
    stretch = zone("UTC").stretch(0)
    assert (stretch.start, stretch.end, stretch.offset) == (-FOREVER, FOREVER, 0)
    assert zone("UTC").next_changes(0, 3) == []


def test_the_next_changes_of_a_zone() -> None:
    assert zone("Europe/Berlin").next_changes(second("2026-11-21T00:00:00Z"), 2) == [
        Change(second("2027-03-28T01:00:00Z"), HOUR, 2 * HOUR),
        Change(second("2027-10-31T01:00:00Z"), 2 * HOUR, HOUR),
    ]


def test_next_changes_begin_after_the_instant() -> None:
    change = second("2027-03-28T01:00:00Z")
    assert zone("Europe/Berlin").next_changes(change - 1, 1)[0].at == change
    assert zone("Europe/Berlin").next_changes(change, 1)[0].at > change


@pytest.mark.parametrize(
    ("name", "at", "before", "after"),
    [
        ("Pacific/Apia", "2011-12-30T10:00:00Z", -10 * HOUR, 14 * HOUR),
        ("Antarctica/Casey", "2009-10-17T18:00:00Z", 8 * HOUR, 11 * HOUR),
        ("Australia/Lord_Howe", "2026-10-03T15:30:00Z", 10 * HOUR + 1_800, 11 * HOUR),
        ("Pacific/Chatham", "2026-09-26T14:00:00Z", 12 * HOUR + 2_700, 13 * HOUR + 2_700),
        ("Africa/Casablanca", "2026-02-15T02:00:00Z", HOUR, 0),
        ("Europe/Dublin", "2026-10-25T01:00:00Z", HOUR, 0),
        ("America/New_York", "2040-03-11T07:00:00Z", -5 * HOUR, -4 * HOUR),
        ("Asia/Pyongyang", "2018-05-04T15:00:00Z", 8 * HOUR + 1_800, 9 * HOUR),
    ],
)
def test_odd_changes_bound_their_stretches(name: str, at: str, before: int, after: int) -> None:
    found = zone(name).stretch(second(at))
    assert (found.start, found.before, found.offset) == (second(at), before, after)
    earlier = zone(name).stretch(second(at) - 1)
    assert (earlier.end, earlier.offset, earlier.after) == (second(at), before, after)
    assert zone(name).to_local(second(at)) == second(at) + after


def test_every_change_from_2007_to_2037_is_found() -> None:
    begin, end = second("2007-01-01T00:00:00Z"), second("2038-01-01T00:00:00Z")
    for name in random.Random(2026).sample(distinct_zones(), 60):
        found = [(change.at, change.before, change.after) for change in zone(name).changes(begin, end)]
        assert found == list(changes_of_offset(name)), name


def test_offsets_are_those_of_the_database_in_every_zone() -> None:
    rng = random.Random(7)
    for name in distinct_zones():
        for _ in range(20):
            at = rng.randint(second("1850-01-01T00:00:00Z"), second("2150-01-01T00:00:00Z"))
            expected = datetime.fromtimestamp(at, UTC).astimezone(reference_zone(name)).utcoffset()
            assert expected is not None
            assert zone(name).offset(at) == expected.total_seconds(), (name, at)


def test_stretches_join_without_holes() -> None:
    for name in ("Europe/Berlin", "Asia/Tokyo", "Africa/Casablanca", "America/Sao_Paulo"):
        at, end = second("1990-01-01T00:00:00Z"), second("2120-01-01T00:00:00Z")
        stretch = zone(name).stretch(at)
        while stretch.end < end:
            following = zone(name).stretch(stretch.end)
            assert following.start <= stretch.end
            assert following.offset == stretch.after
            assert following.start < stretch.end or following.before == stretch.offset
            stretch = following


def test_kept_buckets_are_bounded() -> None:
    berlin = zone.__wrapped__("Europe/Berlin")
    for bucket in range(60, 60 + 1_100):
        berlin.stretch(bucket << 25)
    assert len(berlin._buckets) <= 1_024


def test_a_damaged_database_is_noticed() -> None:
    with pytest.raises(InternalError, match="begins b'Junk'"):
        Zone("Europe/Berlin", b"Junk" * 50)
