"""A long answer is made JSON in pieces, and is the same text as at one go."""

from __future__ import annotations

import pytest

from tocsin.api.answering import ENCODED_AT_ONCE, encoded, encoded_in_turns

ROW: dict[str, object] = {"name": "Glöckner \ud800", "at": None, "numbers": [1, 2.5, True], "more": {"a": []}}


@pytest.mark.parametrize(
    ("value", "turns"),
    [
        ({"list": [ROW] * (2 * ENCODED_AT_ONCE + 1), "total": 3, "empty": [], "words": ["x"] * 1_000}, 4),
        ({"one": [ROW] * (ENCODED_AT_ONCE + 1), "other": [ROW] * (ENCODED_AT_ONCE + 1)}, 5),
        ({"list": [ROW] * ENCODED_AT_ONCE}, 1),
        ([ROW] * (2 * ENCODED_AT_ONCE), 1),
        ({}, 1),
        ("text", 1),
        (None, 1),
    ],
)
async def test_pieces_make_the_same_text(value: object, turns: int) -> None:
    taken: list[None] = []

    async def turn() -> None:
        taken.append(None)

    assert await encoded_in_turns(value, turn) == encoded(value)
    assert len(taken) == turns
