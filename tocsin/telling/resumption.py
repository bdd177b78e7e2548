"""What an attempt began with: the checkpoint of those before it, or nothing.

A store keeps the last checkpoint of an execution and how many there were, not which attempt stored which. What follows from
that is told: a crash is forgiven by the next checkpoint, and counts as a failure only where there was none (see
actors/rules/attempts.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

LONGEST_SHOWN: Final = 200
"""Characters of a checkpoint in a sentence; `tocsin execution show` has it whole."""


def resumption(
    state: str, number: int, former: Sequence[str], *, failures: int, crashes: int, checkpoints: int, last: str | None
) -> str | None:
    """What the newest attempt began with, or the next one will, as a sentence; None if there is nothing to tell.

    state: the execution's. number: of its newest attempt, 0 for none. former: the states in which the attempts before that one
    ended, as far as they are kept. failures, crashes, checkpoints: the execution's counts. last: the last checkpoint, JSON text.
    """
    if number == 0:
        return None
    shown = None if last is None else last if len(last) <= LONGEST_SHOWN else f"{last[: LONGEST_SHOWN - 3]}..."
    if state == "WAITING":
        return _ahead("The next attempt", shown)
    if state == "CRASHED":
        return _ahead("An attempt after this crash", shown)
    kept = "" if shown is None else f"The last checkpoint is {shown}."
    if number == 1:
        return kept or None
    if checkpoints == 0:
        # What was tried again after a failure, and has ended, is not asked where it began.
        lost = state == "RUNNING" or (former and former[-1] != "FAILED")
        return f"Attempt {number} began from the beginning: there was no checkpoint." if lost else None
    if state == "RUNNING" and crashes > 0 and shown is not None:
        return f"Attempt {number} went on from the checkpoint {shown}."
    began = _after_crashes(number, former, failures)
    return " ".join(text for text in (began, kept) if text) or None


def _ahead(which: str, shown: str | None) -> str:
    if shown is None:
        return f"{which} begins from the beginning: there is no checkpoint."
    return f"{which} goes on from the checkpoint {shown}."


def _after_crashes(number: int, former: Sequence[str], failures: int) -> str:
    """What is known of an attempt after others that crashed or were interrupted, in an execution that has stored checkpoints."""
    if len(former) != number - 1 or former[-1] != "CRASHED" or not set(former) <= {"CRASHED", "CANCELLED"}:
        return ""
    with_one = former.count("CRASHED") > failures
    whose = "attempt 1" if number == 2 else "the attempts before it"
    if with_one:
        return f"Attempt {number} went on from a checkpoint of {whose}."
    return f"Attempt {number} began from the beginning: {whose} had stored no checkpoint."
