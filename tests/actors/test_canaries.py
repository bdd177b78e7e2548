"""Canaries stand for partitions: ids are made until they do, and their times share the period."""

from __future__ import annotations

from random import Random

import pytest

from actors.model.canary import first_of, ids_in, spread_over
from actors.model.task import partition_of
from runtime.clock import MILLISECOND, SECOND, Instant, Micros
from runtime.ids import IdSource


def test_every_partition_gets_one() -> None:
    source = IdSource(Random(1))
    ids = ids_in(spread_over(256, None), 256, lambda: source.next(1_000))
    assert [partition_of(one, 256) for one in ids] == list(range(256))
    assert len(set(ids)) == 256


@pytest.mark.parametrize(
    ("partitions", "number", "wanted"),
    [(8, 2, [0, 4]), (8, 3, [0, 2, 5]), (2, 4, [0, 0, 1, 1]), (3, None, [0, 1, 2])],
)
def test_a_few_are_spread_evenly(partitions: int, number: int | None, wanted: list[int]) -> None:
    assert spread_over(partitions, number) == wanted
    source = IdSource(Random(2))
    ids = ids_in(wanted, partitions, lambda: source.next(1_000))
    assert [partition_of(one, partitions) for one in ids] == wanted


def test_they_share_the_period_and_keep_to_milliseconds() -> None:
    firsts = [first_of(index, 3, SECOND, Instant(1_234)) for index in range(3)]
    assert firsts == sorted(set(firsts))
    assert all(first % MILLISECOND == 0 for first in firsts)
    assert firsts[0] >= 1_234 + SECOND
    assert firsts[-1] < 1_234 + 2 * SECOND + Micros(MILLISECOND)
