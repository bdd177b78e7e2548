"""What the command line shows of one execution: its facts, its attempts, and where its newest failure came from."""

from __future__ import annotations

import json
from typing import Any

from ..telling.frames import own_frames, place_of
from ..telling.resumption import resumption
from .output import print_facts, print_table, printable, show_failure, show_time, took


def print_execution(found: dict[str, Any], utc: bool, *, all_frames: bool = False) -> None:
    """An execution in full, with its attempts, and where its newest failure came from.

    all_frames: the frames of Tocsin and of libraries too.
    """
    failure = found["failure"]
    print_facts(
        [
            ("Execution", found["id"]),
            ("Task", found["taskId"]),
            ("State", found["state"] + (", and its abandoned handler has not returned" if found["lingers"] else "")),
            ("Nominal", found["nominal"] and show_time(found["nominal"], utc)),
            ("Assigned", found["assigned"] and show_time(found["assigned"], utc)),
            ("Outcome", found["outcome"]),
            ("Reason", found["reason"]),
            ("Attempt", found["attempt"]),
            ("Waits for", found["waitsFor"]),
            ("Retry at", found["retryAt"] and show_time(found["retryAt"], utc)),
            (
                "Given up at",
                (found["expiresAt"] and found["attempt"] == 0 and show_time(found["expiresAt"], utc)) or None,
            ),
            ("Holds key", found["concurrencyKey"]),
            ("For node", found["target"]),
            ("Node", found["node"]),
            ("Started", show_time(found["startedAt"], utc)),
            ("Ended", show_time(found["endedAt"], utc)),
            ("Because", found["cancelReason"]),
            ("Error", failure and show_failure(failure)),
            ("Parameters", found["parameters"]),
            ("Result", found["result"]),
            ("Progress", found["progress"]),
            ("Checkpoint", found["checkpoint"]),
            ("Resumption", resumption_words(found)),
        ]
    )
    if found["attempts"]:
        print()
        print_table(("Attempt", "State", "Node", "Started", "Took", "Error", "At"), _attempt_rows(found, utc))
    told = [one["failure"] for one in found["attempts"] if one["failure"] is not None and one["failure"]["traceback"]]
    if told:
        _print_frames(told[-1], all_frames)


def resumption_words(found: dict[str, Any]) -> str | None:
    """What the newest attempt of an execution began with, or the next one will."""
    checkpoint = found["checkpoint"]
    return resumption(
        found["state"],
        found["attempt"],
        [one["state"] for one in found["attempts"] if one["number"] < found["attempt"]],
        failures=found["failures"],
        crashes=found["crashes"],
        checkpoints=found["checkpoints"],
        last=None if checkpoint is None else json.dumps(checkpoint, ensure_ascii=False),
    )


def _attempt_rows(found: dict[str, Any], utc: bool) -> list[tuple[object, ...]]:
    return [
        (
            one["number"],
            one["state"],
            one["node"],
            show_time(one["startedAt"], utc),
            took(one["startedAt"], one["endedAt"]),
            show_failure(one["failure"]) if one["failure"] else None,
            one["failure"] and place_of(one["failure"]["traceback"], one["failure"]["message"]),
        )
        for one in found["attempts"]
    ]


def _print_frames(failure: dict[str, str], all_frames: bool) -> None:
    """Where a failure came from, as Python shows it."""
    frames = own_frames(failure["traceback"], failure["message"])
    if not all_frames and not frames:
        return
    print()
    if all_frames:
        print(printable(failure["traceback"].rstrip()))
        return
    for frame in frames:
        print(printable(f'File "{frame.file}", line {frame.line}, in {frame.function}'))
        if frame.code is not None:
            print(printable(f"    {frame.code}"))
    print(printable(show_failure(failure)))
