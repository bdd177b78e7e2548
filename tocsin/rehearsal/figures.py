"""The figures of many seeds, and a report for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from .marks import MARKS, RESUMED, STALE_WRITE_REFUSED, TAKEOVER
from .outcome import Outcome

FAILED_SHOWN: Final = 5
"""Failed seeds that are shown with everything; of the others their numbers."""

TAIL_SHOWN: Final = 25
"""Of the last events, of each failed seed that is shown."""


@attrs.frozen
class Figures:
    """Of seeds that are over. twice: each was carried out again and its trace compared."""

    outcomes: Sequence[Outcome]
    twice: bool = False

    @property
    def failed(self) -> list[Outcome]:
        """Seeds that are not as they should be."""
        return [one for one in self.outcomes if not one.is_good]

    @property
    def marks(self) -> dict[str, int]:
        """In how many seeds each rare situation was reached, those that never were included."""
        reached = Counter(name for one in self.outcomes for name in one.marks)
        return {mark.name: reached[mark.name] for mark in MARKS}

    @property
    def missing(self) -> list[str]:
        """Situations that no seed reached."""
        return [name for name, seeds in self.marks.items() if not seeds]

    @property
    def speed(self) -> float:
        """Simulated seconds in one second of a core, everything that a seed was carried out for counted."""
        return _part(sum(one.simulated * max(1, len(one.traces)) for one in self.outcomes), self._sum("cpu"))

    def share(self, mark: str) -> float:
        """Of the seeds that reached a situation."""
        return _part(self.marks[mark], len(self.outcomes))

    def _sum(self, name: str) -> Any:
        return sum(getattr(one, name) for one in self.outcomes)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        values: dict[str, Any] = {
            "seeds": len(self.outcomes),
            "occurrences": self._sum("due"),
            "starts": self._sum("starts"),
            "violations": sum(sum(one.kinds.values()) for one in self.outcomes),
            "kinds": _added(one.kinds for one in self.outcomes),
            "failed_seeds": [one.seed for one in self.failed],
            "errors": {str(one.seed): one.error.strip().splitlines()[-1] for one in self.outcomes if one.error.strip()},
            "simulated_seconds": round(self._sum("simulated"), 1),
            "cpu_seconds": round(self._sum("cpu"), 1),
            "speed": round(self.speed, 1),
            "takeovers": self._sum("takeovers"),
            "takeover_share": round(self.share(TAKEOVER), 3),
            "refused_stale_write_share": round(self.share(STALE_WRITE_REFUSED), 3),
            "resumed_checkpoint_share": round(self.share(RESUMED), 3),
            "excused": _added(one.excused for one in self.outcomes),
            "faults": _added(one.faults for one in self.outcomes),
            "marks": self.marks,
        }
        if self.twice:
            values["deterministic"] = all(one.is_deterministic for one in self.outcomes)
        return values

    def report(self) -> str:
        """For people; the failed seeds are told by `failure`."""
        found = self.as_json()
        lines = [
            f"{found['seeds']} seeds: {found['occurrences']} nominal times, {found['starts']} starts in "
            f"{found['simulated_seconds'] / 3600:.1f} simulated hours, "
            f"{found['speed']:.0f} times as fast as real time on one core",
            f"a takeover in {_percent(found['takeover_share'])} of them, a refused stale write in "
            f"{_percent(found['refused_stale_write_share'])}, a resumed checkpoint in "
            f"{_percent(found['resumed_checkpoint_share'])}",
            f"faults: {_listed(found['faults'])}",
            f"excused, with proof: {_listed(found['excused'])}",
            "situations, and the seeds that reached them:",
            *(f"  {seeds:>6}  {name}" for name, seeds in sorted(self.marks.items(), key=lambda one: -one[1])),
        ]
        if self.twice:
            lines.append("twice the same" if found["deterministic"] else "not the same twice")
        lines.append(f"violations: {_listed(found['kinds'])}")
        if self.failed:
            lines.append(f"failed seeds: {', '.join(str(one.seed) for one in self.failed)}")
        return "\n".join(lines)


def failure(one: Outcome, replay: str) -> str:
    """What is wrong with a seed, and how to see it again."""
    lines = [f"seed {one.seed} failed; again: {replay}"]
    if not one.is_deterministic:
        lines.append(f"  not the same twice: {', '.join(one.traces)}")
    lines += [f"  {text}" for text in one.violations]
    if one.tail:
        lines += ["  the last events:", *(f"    {text}" for text in one.tail[-TAIL_SHOWN:])]
    lines += [f"  {text}" for text in one.error.strip().splitlines()]
    return "\n".join(lines)


def _part(one: float, of: float) -> float:
    return one / of if of else 0.0


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items()) or "none"
