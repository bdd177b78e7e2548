"""What an examination finds."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import attrs

UNWELL_EXIT: Final = 15
"""Exit code when something was found to be bad."""


class Level(StrEnum):
    """How a finding is. `BAD` keeps a node from its work or its promises; `WARNING` may."""

    GOOD = "good"
    NOTE = "note"
    WARNING = "warning"
    BAD = "bad"


@attrs.frozen
class Finding:
    """One thing that was looked at: how it is, and unless it is good why that matters and what to do."""

    subject: str
    level: Level
    what: str
    why: str = ""
    advice: str = ""


def good(subject: str, what: str) -> Finding:
    """Nothing to do."""
    return Finding(subject, Level.GOOD, what)


def note(subject: str, what: str) -> Finding:
    """Nothing wrong, and worth to know."""
    return Finding(subject, Level.NOTE, what)


def warning(subject: str, what: str, why: str, advice: str) -> Finding:
    """What may become a trouble. why: what comes of it; advice: what to do."""
    return Finding(subject, Level.WARNING, what, why, advice)


def bad(subject: str, what: str, why: str, advice: str) -> Finding:
    """What is one. why: what comes of it; advice: what to do."""
    return Finding(subject, Level.BAD, what, why, advice)


def exit_code(findings: Iterable[Finding]) -> int:
    """The exit code that tells how it is."""
    return UNWELL_EXIT if any(one.level is Level.BAD for one in findings) else 0
