"""Kinds of values: what they read from JSON and Python, and that what they show is read back as the same."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.clock import DAY, HOUR, MINUTE, SECOND, Micros
from runtime.errors import InvalidRequest, TooLarge
from tocsin.durations import LONGEST
from tocsin.shown import show
from tocsin.vocabulary import kinds
from tocsin.vocabulary.fields import one_of, real_number
from tocsin.vocabulary.words import EXTRA, RETRY

JUNE = datetime(2027, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "given", "read"),
    [
        (kinds.Moment(), JUNE, JUNE),
        (kinds.Moment(), "2027-06-01T12:00:00Z", JUNE),
        (kinds.Moment(relative=True), timedelta(weeks=2), 14 * DAY),
        (kinds.Moment(relative=True), " 2w ", 14 * DAY),
        (kinds.Moment(relative=True), "PT1H", HOUR),
        (kinds.Moment(relative=True), "10000s", 10_000 * SECOND),
        (kinds.Day(), date(2027, 6, 1), date(2027, 6, 1).toordinal()),
        (kinds.ClockTime(), time(9, 30), 9 * HOUR + 30 * MINUTE),
        (kinds.ClockTime(), "9:30", 9 * HOUR + 30 * MINUTE),
        (kinds.ClockTime(), "23:59:59.000001", DAY - SECOND + 1),
        (kinds.Rate(), "10/m", 6 * SECOND),
        (kinds.Rate(), "1/30s", 30 * SECOND),
        (kinds.Rate(), " 2 / 1h ", 30 * MINUTE),
        (kinds.Rate(), "7/M", 8_571_429),
        (kinds.DayOfMonth(), "last", "last"),
        (kinds.Base64(), "AP8=", b"\x00\xff"),
        (kinds.Span(), timedelta(minutes=5), 5 * MINUTE),
        (kinds.Prose(10), "a\nb\t", "a\nb\t"),
        (kinds.Text(5, 0), "", ""),
    ],
)
def test_a_value_is_read(kind: kinds.Kind, given: object, read: object) -> None:
    assert kind.read(given, "field") == read


@pytest.mark.parametrize(
    ("kind", "given", "complaint"),
    [
        (kinds.Moment(), timedelta(1), "a time such as 2026-03-01T12:00:00Z, not"),
        (kinds.Moment(), "2w", "a time such as 2026-03-01T12:00:00Z, not '2w'"),
        (kinds.Moment(relative=True), "soon", "or a duration from now such as 2w, not 'soon'"),
        (kinds.Moment(relative=True), "2 fortnights", "is no duration"),
        (kinds.Day(), JUNE, "a date such as 2026-03-01, not datetime"),
        (kinds.Day(), "2027-02-30", "a date such as 2026-03-01, not '2027-02-30'"),
        (kinds.Day(), "1969-12-31", "from 1970 to 2200, not '1969-12-31'"),
        (kinds.ClockTime(), "24:00", "a time of day such as 09:30, not '24:00'"),
        (kinds.ClockTime(), time(9, tzinfo=UTC), "a time of day such as 09:30, not datetime.time"),
        (kinds.Rate(), "0/m", "a rate above 0"),
        (kinds.Rate(), "1/0s", "a rate above 0"),
        (kinds.Rate(), "10/min", "'min' is no duration"),
        (kinds.Span(longest=DAY), "2d", "at most 1d, not '2d'"),
        (kinds.Span(positive=True), "0s", "longer than 0"),
        (kinds.Prose(3), "abcd", "at most 3 bytes, not 4: 'abcd'"),
        (kinds.DayOfMonth(), "first", "from 1 to 31, or last, not 'first'"),
        (kinds.Flag(), 1, "true or false, not 1"),
        pytest.param(kinds.Whole(1, 2), 10**5_000, "a whole number from 1 to 2, not a huge int", id="huge"),
        (kinds.Pairs(kinds.Text(5), kinds.Text(5), 1), {"a": "b", "c": "d"}, "at most 1, not 2"),
        (kinds.Pairs(kinds.Text(5), kinds.Text(5), 1), {"a": 5}, "field.a: a text, not 5"),
        (kinds.ListOf(kinds.Text(5), 2, "words", least=1), [], "at least 1 words, not 0: []"),
        (kinds.ListOf(kinds.Text(5), 2, "words", plain=False), ["a", 5], r"field\[1\]: a text, not 5"),
        (kinds.Object(EXTRA), [], "field: an object, not"),
        (kinds.Object(EXTRA), {"dta": ""}, "unknown field 'field.dta'; did you mean 'data'"),
        (kinds.Object(EXTRA), {5: ""}, "unknown field 'field.5'"),
    ],
)
def test_a_wrong_value_is_named_and_shown(kind: kinds.Kind, given: object, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint.replace("[]", r"\[\]")):
        kind.read(given, "field")


def test_a_json_object_has_its_canonical_text() -> None:
    kind = kinds.JsonObject(13)
    assert kind.read({"b": 1, "a": 2}, "f") == '{"a":2,"b":1}'
    assert kind.show('{"a":2}') == {"a": 2}
    with pytest.raises(TooLarge, match="f: 13 bytes of JSON, at most 9"):
        kinds.JsonObject(9).read({"b": 1, "a": 2}, "f")


@given(st.integers(1, LONGEST))
def test_a_rate_that_is_shown_is_read_back(spacing: int) -> None:
    shown = kinds.Rate().show(spacing)
    assert shown is not None
    assert kinds.Rate().read(shown, "rate") == spacing
    assert kinds.Rate().show(0) is None


@given(st.integers(0, DAY - 1))
def test_a_time_of_day_that_is_shown_is_read_back(at: int) -> None:
    assert kinds.ClockTime().read(kinds.ClockTime().show(Micros(at)), "at") == at


@given(st.binary(max_size=50))
def test_bytes_that_are_shown_are_read_back(data: bytes) -> None:
    assert kinds.Base64().read(kinds.Base64().show(data), "data") == data


def test_a_value_that_cannot_be_written_out_is_named_by_its_type() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert show(nested) == "a deeply nested list"
    assert show(10**5_000) == "a huge int"
    assert show("x" * 100).endswith("...")
    assert len(show("x" * 100)) == 83


def test_a_field_knows_what_null_means() -> None:
    fields = {one.key: one for one in RETRY}
    assert not fields["delay"].nullable
    with pytest.raises(InvalidRequest, match="delay: a duration is a text with units"):
        fields["delay"].read(None, "delay")
    assert kinds.field("x", kinds.Flag(), "about", null=5).read(None, "x") == 5


def test_numbers_of_python_are_numbers() -> None:
    assert real_number(5, "x", 0, 10) == 5.0
    assert one_of("a", "x", ["a", "b"]) == "a"
