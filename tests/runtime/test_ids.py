"""Ids: UUIDv7 that grow."""

from __future__ import annotations

from random import Random
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from runtime.ids import IdSource, made_at


@given(st.lists(st.integers(0, 2**50), min_size=2, max_size=50), st.integers())
def test_ids_grow_whatever_the_clock_does(times: list[int], seed: int):
    source = IdSource(Random(seed))
    made = [source.next(at) for at in times]
    assert made == sorted(set(made))


def test_an_id_is_a_uuid_of_version_7_with_its_time():
    made = UUID(IdSource(Random(1)).next(1_767_225_600_123_456))
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == 1_767_225_600_123


def test_a_full_counter_borrows_the_next_millisecond():
    source = IdSource(Random(1))
    made = [source.next(5_000) for _ in range(5_000)]
    assert made == sorted(set(made))
    assert UUID(made[4095]).int >> 80 == 5
    assert UUID(made[4096]).int >> 80 == 6


def test_an_id_tells_when_it_was_made():
    assert made_at(IdSource(Random(1)).next(1_767_225_600_123_456)) == 1_767_225_600_123_000
