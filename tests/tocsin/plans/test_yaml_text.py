"""YAML is read as plain values that know their lines, and what is written is read back as the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InvalidRequest, TooLarge
from tocsin.plans.yaml_text import read_yaml, write_yaml

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text(
    "0123456789.eE+-:_~xo <=#\n", max_size=8
)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | st.just("<<"), inner, max_size=4),
    max_leaves=10,
)


@given(JSON)
def test_what_is_written_is_read_back(value: Any) -> None:
    [piece] = read_yaml(write_yaml({"value": value}), "f")
    assert json.dumps(piece.value) == json.dumps({"value": value})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[on, no, yes, off, y]", ["on", "no", "yes", "off", "y"]),
        ("[12:30, 2026-01-01, 0o7, 0x1F, 1_000, .inf]", ["12:30", "2026-01-01", "0o7", "0x1F", "1_000", ".inf"]),
        ("[010, -7, +3, 1e3, .5, 6.]", [10, -7, 3, 1000.0, 0.5, 6.0]),
        ("[~, null, '', true, 'true']", [None, None, "", True, "true"]),
        ("on: 1\n2: x\ntrue: y", {"on": 1, "2": "x", "true": "y"}),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}", {"a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 2}}),
        ("a: &x {b: 1}\nd: {<<: [*x, {e: 5}]}", {"a": {"b": 1}, "d": {"b": 1, "e": 5}}),
    ],
)
def test_scalars_and_keys_by_the_rules_of_yaml_1_2(text: str, value: Any) -> None:
    [piece] = read_yaml(text, "f")
    assert piece.value == value


def test_documents_and_lines() -> None:
    first, second = read_yaml("a:\n  - x\n  - y: 1\n    z: 2\n---\nb: 3\n", "f")
    assert [first.line_of("a"), first.line_of("a", 0), first.line_of("a", 1, "z"), second.line_of("b")] == [1, 2, 4, 6]
    assert first.line_of("nothing") == 1
    assert first.line_of("a", 1, "z", "deeper") == 4


BOMB = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (BOMB, TooLarge, r"f:\d+: more than 2000000 values"),
        ("a: &a [*a]", InvalidRequest, r"f:1: \*a is within what it stands for"),
        ("a: *b", InvalidRequest, r"f:1: "),
        ("a: 1\nb: 2\na: 3", InvalidRequest, "f:3: the key 'a' is there twice, first in line 1"),
        ("a: !!python/object:os.system x", InvalidRequest, "f:1: tags are not read"),
        ("!x a: 1", InvalidRequest, "f:1: a key is a text"),
        ("? [1]\n: 2", InvalidRequest, "f:1: a key is a text"),
        ("a: {<<: 1}", InvalidRequest, "f:1: << takes objects"),
        ("[" * 100_000, InvalidRequest, "f:1: nested more than 64 levels deep"),
        ("a: 1e999", InvalidRequest, "f:1: the number '1e999' is too large"),
        ("a: " + "9" * 500, InvalidRequest, "f:1: a number of 500 digits"),
        ("a: \x07", InvalidRequest, "f: not YAML"),
        ("a:\n\t- b", InvalidRequest, "f:2: not YAML"),
    ],
)
def test_what_is_refused_has_its_line(text: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        read_yaml(text, "f")
