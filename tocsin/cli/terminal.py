"""What tables do to fit into a terminal: ids and times that are only as long as they must be, cells that are cut."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final

SHORTEST_ID: Final = 8
"""Characters of an id at least: as many as a prefix must have to be looked for."""

WHEN_MADE: Final = 13
"""Characters of an id that say in which millisecond it was made: with fewer, others that are not shown often begin alike."""

MOST_SHOWN: Final = 8
"""Tasks, or executions, that are named of those that may be meant: what a look takes in."""

NARROWEST: Final = 8
"""Characters that a cell keeps at least, however narrow the terminal."""

_TIME_OF_DAY: Final = re.compile(r"\d{1,2}:\d\d(:\d\d(\.\d+)?)?", re.ASCII)

_BETWEEN: Final = 3
"""Characters between two columns."""


def has_terminal() -> bool:
    """Whether people look at what is printed, and no program reads it."""
    return sys.stdout.isatty()


def short_ids(ids: Sequence[str]) -> list[str]:
    """The ids, cut to as few characters as tell these from one another, and from those of another millisecond."""
    length, distinct = WHEN_MADE, len(set(ids))
    while len({one[:length] for one in ids}) < distinct:
        length += 1
    return [one[:length] for one in ids]


def brief_time(text: str | None, utc: bool) -> str:
    """A time of the API as short as it can be: `08:31:25` today, `02-12 08:31` this year, else the day."""
    if text is None:
        return "-"
    zone = UTC if utc else None
    moment, now = datetime.fromisoformat(text).astimezone(zone), datetime.now(UTC).astimezone(zone)
    if moment.date() == now.date():
        return f"{moment:%H:%M:%S}"
    return f"{moment:%m-%d %H:%M}" if moment.year == now.year else f"{moment:%Y-%m-%d}"


def of_today(text: str | None) -> str | None:
    """A time as it was typed; one without a day is that of today."""
    if text is None or _TIME_OF_DAY.fullmatch(text) is None:
        return text
    return f"{datetime.now(UTC).astimezone():%Y-%m-%d} {text if text[1].isdigit() else f'0{text}'}"


def fitting(widths: Sequence[int], cut: Collection[int]) -> list[int]:
    """The widths, those columns of `cut` made narrower, the widest first, until a row fits into the terminal."""
    found = list(widths)
    room = shutil.get_terminal_size().columns
    while cut and sum(found) + _BETWEEN * (len(found) - 1) > room:
        widest = max(cut, key=lambda index: found[index])
        if found[widest] <= NARROWEST:
            break
        found[widest] -= 1
    return found
