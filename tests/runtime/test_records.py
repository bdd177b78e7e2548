"""Records are changed by copies."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.records import evolve, record


@record
class Point:
    x: int
    y: int = 0


@given(st.integers(), st.integers(), st.integers())
def test_evolve_is_the_same_as_attrs(x: int, y: int, z: int):
    point = Point(x, y)
    assert evolve(point, y=z) == attrs.evolve(point, y=z) == Point(x, z)
    assert point == Point(x, y)
    assert hash(evolve(point)) == hash(point)


def test_an_unknown_field_is_named():
    with pytest.raises(KeyError, match="z"):
        evolve(Point(1), z=2)
