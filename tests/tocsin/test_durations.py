from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InvalidRequest
from tocsin.durations import LONGEST, delay_words, format_duration, parse_duration, rough_duration

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("30s", 30 * SECOND),
        ("5m", 300 * SECOND),
        ("1h30m", 5400 * SECOND),
        ("250ms", 250_000),
        ("2w", 1_209_600 * SECOND),
        ("1d 2h", 93_600 * SECOND),
        ("1.5s", 1_500_000),
        ("0s", 0),
        ("PT1H30M", 5400 * SECOND),
        ("P2W", 1_209_600 * SECOND),
        ("P1DT0.5S", 86_400_500_000),
        (timedelta(minutes=5), 300 * SECOND),
    ],
)
def test_what_people_write_is_read(text: object, micros: int) -> None:
    assert parse_duration(text, "every") == micros


@pytest.mark.parametrize(
    "wrong",
    ["", "5", "5 parsecs", "-5s", "5m5m", "s", "P", "PT", "1e3s", "\u0665s", "5s!", 5, 5.0, None, True, "9" * 80 + "s", "200000w",
     timedelta(seconds=-1)],
)  # fmt: skip
def test_anything_else_is_refused_by_name(wrong: object) -> None:
    with pytest.raises(InvalidRequest, match="every"):
        parse_duration(wrong, "every")


@given(st.integers(min_value=0, max_value=LONGEST))
def test_what_is_shown_is_read_back_exactly(micros: int) -> None:
    assert parse_duration(format_duration(micros), "x") == micros


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0s"),
        (1, "1us"),
        (1_250_000, "1s250ms"),
        (3_600_000_000, "1h"),
        (694_861_000_000, "1w1d"),
        (90_061_000_000, "1d1h"),
    ],
)
def test_long_durations_are_shown_with_two_units(amount: int, text: str) -> None:
    assert rough_duration(amount) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 ms"),
        (60, "less than 0.1 ms"),
        (416, "0.4 ms"),
        (1_943, "1.9 ms"),
        (250_999, "250 ms"),
        (1_943_000, "1.9 s"),
        (59_999_999, "59.9 s"),
        (61_000_000, "1m1s"),
    ],
)
def test_lateness_is_told_as_people_say_it(amount: int, text: str) -> None:
    assert delay_words(amount) == text
