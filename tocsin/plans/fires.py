"""The diff of fire times: which of the next times stay, appear, disappear or move."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import attrs

from runtime.clock import Instant, Micros


@attrs.frozen
class FireDiff:
    """Two lists of next times compared, up to where both are known.

    `before`, `after`: the next time under either, None for none. `through`: up to here they were compared, None if both
    lists end there for good. `moved` holds pairs of the old and the new instant.
    """

    before: Instant | None
    after: Instant | None
    through: Instant | None
    kept: int
    appear: tuple[Instant, ...]
    disappear: tuple[Instant, ...]
    moved: tuple[tuple[Instant, Instant], ...]

    @property
    def differs(self) -> bool:
        """Whether any time is another."""
        return bool(self.appear or self.disappear or self.moved)


def compare_fires(old: Sequence[Instant], new: Sequence[Instant], count: int) -> FireDiff:
    """What becomes of the next times; each list holds at most `count`, and one that is shorter has no further time.

    A time has moved if the one that disappears and the one that appears lie nearer to each other than half of what usually
    lies between two times, or if there is only one of each.
    """
    through = min([times[-1] for times in (old, new) if len(times) >= count > 0], default=None)
    gone, come = sorted(set(old) - set(new)), sorted(set(new) - set(old))
    # A time just before the end may have moved beyond it, so pairs are looked for in all that is known.
    moved = _moved(gone, come, _near(old, new))
    paired_old, paired_new = {one for one, _ in moved}, {other for _, other in moved}

    def counts(at: Instant) -> bool:
        return through is None or at <= through

    return FireDiff(
        old[0] if old else None,
        new[0] if new else None,
        through,
        sum(map(counts, set(old) & set(new))),
        tuple(at for at in come if counts(at) and at not in paired_new),
        tuple(at for at in gone if counts(at) and at not in paired_old),
        tuple(pair for pair in moved if counts(min(pair))),
    )


def _near(old: Sequence[Instant], new: Sequence[Instant]) -> Micros | None:
    """So near two times are taken for one that has moved; None: however far."""
    gaps = [median(b - a for a, b in pairwise(times)) for times in (old, new) if len(times) > 1]
    return Micros(int(min(gaps)) // 2) if gaps else None


def _moved(gone: Sequence[Instant], come: Sequence[Instant], near: Micros | None) -> list[tuple[Instant, Instant]]:
    """Pairs of neighbours, the nearest first, no time in two of them."""
    pairs = []
    first = 0
    for at in gone:
        while near is not None and first < len(come) and come[first] < at - near:
            first += 1
        for other in come[first:]:
            if near is not None and other > at + near:
                break
            pairs.append((abs(other - at), at, other))
    taken: set[Instant] = set()
    found = []
    for _, at, other in sorted(pairs):
        if at not in taken and other not in taken:
            taken |= {at, other}
            found.append((at, other))
    return sorted(found)
