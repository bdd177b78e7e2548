"""What the command line says about times to come: of a task, of a trigger, of a cron expression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from .output import printable, show_time

SHOWN_CHANGES: Final = 2
"""Changes of the clock that are told: where there is daylight saving time, one in either direction."""

EFFECTS: Final = {
    "moved": "times that it leaves out run when the gap ends",
    "lost": "times that it leaves out do not run",
    "twice": "times that come twice run twice",
    "first": "times that come twice run the first time",
    "last": "times that come twice run the second time",
    "none": "nothing changes for these times",
}
"""What becomes of local times that a change of offset swallows or repeats."""


def print_fires(found: dict[str, Any], utc: bool) -> None:
    """The next times: those that a calendar excludes marked with its name, then more that run where those are too few."""
    for fire in found["fires"]:
        print(printable(_fire_line(fire, utc)))
    last = found["fires"][-1]["nominal"] if found["fires"] else None
    running = {fire["nominal"] for fire in found["fires"]}
    later = [instant for instant in found["list"] if instant not in running]
    if later and last is not None:
        print("... the next that run:")
    for instant in later:
        print(show_time(instant, utc, exact=True))


def _fire_line(fire: dict[str, Any], utc: bool) -> str:
    line = show_time(fire["nominal"], utc, exact=True)
    if fire["excludedBy"] is not None:
        return f"{line}  not in calendar {fire['excludedBy']!r}"
    if fire["assigned"] is None:
        return f"{line}  at a place in its window that the task gets when it is saved"
    moved = fire["assigned"] != fire["nominal"]
    return f"{line}  at {show_time(fire['assigned'], utc, exact=True)}" if moved else line


def print_changes(changes: Sequence[dict[str, Any]], show: Callable[[str], str]) -> None:
    """What becomes of the times when the clocks change. show: how an instant is written."""
    for change in changes[:SHOWN_CHANGES]:
        what = f"Clocks in {change['timezone']} change at {show(change['at'])} from {change['before']} to {change['after']}"
        print(printable(f"{what}: {EFFECTS[change['effect']]}."))
        if change["effect"] != "none":
            print(
                printable(
                    f"  Around it: {', '.join(show(at) for at in change['around']) or 'no run, by its calendars'}"
                )
            )
