"""The diff of fire times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.clock import HOUR, Instant
from tocsin.plans.fires import compare_fires


def hours(*numbers: int) -> list[Instant]:
    return [Instant(number * HOUR) for number in numbers]


@pytest.mark.parametrize(
    ("old", "new", "kept", "appear", "disappear", "moved"),
    [
        ((2, 26, 50), (2, 26, 50), 3, (), (), ()),
        ((2, 26, 50), (3, 27, 51), 0, (), (), ((2, 3), (26, 27), (50, 51))),
        ((2, 26, 50), (), 0, (), (2, 26, 50), ()),
        ((), (2, 26), 0, (2, 26), (), ()),
        ((2, 26, 50), (0, 2, 4), 1, (0, 4), (), ()),
        ((5,), (900,), 0, (), (), ((5, 900),)),
        ((2, 26, 50), (26, 50), 2, (), (2,), ()),
    ],
)
def test_what_stays_appears_disappears_and_moves(
    old: tuple[int, ...],
    new: tuple[int, ...],
    kept: int,
    appear: tuple[int, ...],
    disappear: tuple[int, ...],
    moved: tuple[tuple[int, int], ...],
) -> None:
    found = compare_fires(hours(*old), hours(*new), 3)
    assert found.kept == kept
    assert list(found.appear) == hours(*appear)
    assert list(found.disappear) == hours(*disappear)
    assert [(one, other) for one, other in found.moved] == [(one * HOUR, other * HOUR) for one, other in moved]
    assert found.differs is bool(appear or disappear or moved)


TIMES = st.sets(st.integers(1, 500), max_size=12).map(lambda found: hours(*sorted(found)))


@given(TIMES, TIMES)
def test_every_time_is_accounted_for_once(old: list[Instant], new: list[Instant]) -> None:
    found = compare_fires(old, new, 1_000)
    assert sorted([*found.disappear, *(one for one, _ in found.moved)]) == sorted(set(old) - set(new))
    assert sorted([*found.appear, *(other for _, other in found.moved)]) == sorted(set(new) - set(old))
    assert found.kept == len(set(old) & set(new))
