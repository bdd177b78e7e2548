"""Instants and durations at the border."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.clock import (
    LAST_INSTANT,
    Instant,
    Micros,
    from_datetime,
    from_timedelta,
    isoformat,
    timestamp,
    to_datetime,
    to_timedelta,
)


@given(st.integers(-(10**15), LAST_INSTANT))
def test_an_instant_survives_the_border(at: int):
    assert from_datetime(to_datetime(Instant(at))) == at


@given(st.integers(-(10**15), 10**15))
def test_a_duration_survives_the_border(by: int):
    assert from_timedelta(to_timedelta(Micros(by))) == by


def test_zones_do_not_matter_and_naive_ones_are_refused():
    moment = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert from_datetime(moment) == from_datetime(datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="names no instant"):
        from_datetime(moment.replace(tzinfo=None))


def test_texts():
    assert isoformat(Instant(0)) == "1970-01-01T00:00:00Z"
    assert isoformat(Instant(1_500_000)) == "1970-01-01T00:00:01.500000Z"
    assert isoformat(LAST_INSTANT) == "9999-12-31T23:59:59Z"


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_500_000, "1970-01-01T00:00:01.500Z"),
        (1_000_400, "1970-01-01T00:00:01Z"),
        (1_001_999, "1970-01-01T00:00:01.001Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (LAST_INSTANT, "9999-12-31T23:59:59Z"),
    ],
)
def test_what_happened_is_told_to_the_millisecond(instant: int, text: str) -> None:
    assert timestamp(Instant(instant)) == text
