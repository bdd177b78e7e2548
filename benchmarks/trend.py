"""Whether what is sampled again and again grows: a robust line through the second half of the samples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import Final

import attrs

SMALL_SHARE: Final = 0.02
"""Growth over the whole second half, of the level, that counts as none: what an allocator or a file of pages does."""

WITHIN_NOISE: Final = 3.0
"""Growth of so many typical distances from the line says nothing."""


@attrs.frozen
class Trend:
    """A line. `level`: the median. `slope`: for one unit of time. `growth`: of the line over the second half. `noise`: the median
    distance of a sample from it."""

    level: float
    slope: float
    growth: float
    noise: float

    @property
    def is_flat(self) -> bool:
        """Whether the slope counts as zero: it adds less than `SMALL_SHARE` of the level, or no more than noise does."""
        return self.growth <= max(SMALL_SHARE * self.level, WITHIN_NOISE * self.noise)

    @property
    def percent(self) -> float:
        """The growth, of the level."""
        return 100 * self.growth / self.level if self.level else 0.0


def trend(times: Sequence[float], values: Sequence[float]) -> Trend:
    """The line of Theil and Sen, whose slope is the median of those between all pairs: a few wild samples do not turn it.

    The first half is for what fills up to its size and stays. Raises ValueError for less than four samples.
    """
    if len(times) < 4 or len(times) != len(values):
        raise ValueError(f"{len(times)} times and {len(values)} values: a line needs four samples")
    middle = (times[0] + times[-1]) / 2
    late = [(time, value) for time, value in zip(times, values, strict=True) if time >= middle]
    slope = median((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(late, 2))
    start = median(value - slope * time for time, value in late)
    noise = median(abs(value - start - slope * time) for time, value in late)
    return Trend(median(value for _, value in late), slope, slope * (late[-1][0] - late[0][0]), noise)
