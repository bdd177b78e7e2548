from __future__ import annotations

from typing import Any

import pytest

from tocsin.telling.resumption import LONGEST_SHOWN, resumption

LAST = '{"done": 17}'


def told(state: str, number: int, *former: str, **more: Any) -> str | None:
    values: dict[str, Any] = {"failures": 0, "crashes": 0, "checkpoints": 0, "last": None}
    return resumption(state, number, former, **(values | more))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (told("WAITING", 0), None),
        (told("RUNNING", 1), None),
        (told("COMPLETED", 1, checkpoints=3), None),
        (told("RUNNING", 1, checkpoints=3, last=LAST), f"The last checkpoint is {LAST}."),
        (
            told("RUNNING", 2, "CRASHED", failures=1, crashes=1),
            "Attempt 2 began from the beginning: there was no checkpoint.",
        ),
        (
            told("RUNNING", 2, "CRASHED", crashes=1, checkpoints=17, last=LAST),
            f"Attempt 2 went on from the checkpoint {LAST}.",
        ),
        (
            told("RUNNING", 2, "CRASHED", checkpoints=30, last=LAST),
            f"Attempt 2 went on from a checkpoint of attempt 1. The last checkpoint is {LAST}.",
        ),
        (
            told("COMPLETED", 3, "CANCELLED", "CRASHED", checkpoints=30),
            "Attempt 3 went on from a checkpoint of the attempts before it.",
        ),
        (
            told("COMPLETED", 2, "CRASHED", failures=1, checkpoints=30),
            "Attempt 2 began from the beginning: attempt 1 had stored no checkpoint.",
        ),
        (told("COMPLETED", 2, "FAILED", failures=1, checkpoints=30), None),
        (told("COMPLETED", 2, "FAILED", failures=1), None),
        (told("COMPLETED", 2, "CANCELLED"), "Attempt 2 began from the beginning: there was no checkpoint."),
        (told("COMPLETED", 3, "CRASHED", checkpoints=30), None),
        (
            told("WAITING", 1, checkpoints=3, failures=1, last=LAST),
            f"The next attempt goes on from the checkpoint {LAST}.",
        ),
        (told("WAITING", 1, failures=1), "The next attempt begins from the beginning: there is no checkpoint."),
        (
            told("CRASHED", 1, checkpoints=3, crashes=1, last=LAST),
            f"An attempt after this crash goes on from the checkpoint {LAST}.",
        ),
    ],
)
def test_what_an_attempt_began_with_is_told_as_far_as_it_is_known(found: str | None, words: str | None) -> None:
    assert found == words


def test_a_long_checkpoint_is_cut() -> None:
    words = told("WAITING", 1, checkpoints=1, last=f'"{"x" * 1000}"') or ""
    assert "..." in words
    assert len(words) < LONGEST_SHOWN + 100
