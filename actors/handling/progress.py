"""How far a handler is: what it said, merged, and when it will be done if it goes on like that."""

from __future__ import annotations

import math
from typing import Any, Final

import attrs

from runtime.clock import DAY, SECOND, Instant, timestamp
from runtime.errors import InvalidRequest

from .payload import MAX_PROGRESS, encode_json


def merged_progress(
    former: dict[str, Any] | None, done: float | None, total: float | None, step: str | None, details: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """Progress with what was said now, and its JSON text. Raises InvalidRequest for a number or a text that is none, TooLarge."""
    figures = dict(former or {})
    for name, number in (("done", done), ("total", total)):
        if number is not None and not _is_number(number):
            raise InvalidRequest(f"progress: {name} must be a number, not {number!r}")
    if step is not None and not isinstance(step, str):
        raise InvalidRequest(f"progress: step must be a text, not {step!r}")
    said = {"done": done, "total": total, "step": step}
    figures.update((name, value) for name, value in said.items() if value is not None)
    if details:
        figures["details"] = {**figures.get("details", {}), **details}
    return figures, encode_json(figures, MAX_PROGRESS, "progress")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@attrs.define
class Pace:
    """How fast the work goes, by the monotonic clock, from `began` on.

    `base`: what was done then; None where it is not known (an attempt that goes on from a checkpoint): the first figure is the
    base. A figure that goes down begins anew: the work was changed, and what was measured before says nothing about it.
    """

    began: float
    base: float | None = 0.0
    done: float = 0.0

    def note(self, done: float, at: float) -> None:
        """So much is done at this monotonic time, seconds."""
        if self.base is None or done < self.done:
            self.base, self.began = done, at
        self.done = done

    def seconds_left(self, total: float, at: float) -> float | None:
        """Seconds until `total` is reached; None while nothing can be said about it."""
        if self.base is None or self.done >= total or self.done <= self.base or at <= self.began:
            return None
        left = (total - self.done) * ((at - self.began) / (self.done - self.base))
        return left if math.isfinite(left) and left <= FARTHEST_SECONDS else None


FARTHEST_SECONDS: Final = 3650.0 * DAY / SECOND
"""An end farther away than ten years is no forecast."""


def shown_progress(figures: dict[str, Any], pace: Pace, now: Instant, at: float) -> str:
    """JSON text of progress with `at`, the instant it was said, and `eta`, the instant of the end where one can be foretold."""
    shown = {**figures, "at": timestamp(now)}
    total = figures.get("total")
    left = None if total is None or "done" not in figures else pace.seconds_left(total, at)
    if left is not None:
        shown["eta"] = timestamp(Instant(now + round(left * SECOND)))
    return encode_json(shown, 2 * MAX_PROGRESS, "progress")
