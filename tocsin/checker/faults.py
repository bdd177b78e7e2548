"""What the makers of faults wrote down, as answers to what a judge asks: was this process stopped, dead, cut off?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from .history import Bounds, Span

PAUSED: Final = "paused"
BUSY: Final = "busy"
_STOPS: Final = frozenset({"frozen", "asleep"})


class Faults:
    """The spans of a history. nodes: process -> its node, as far as it is known."""

    def __init__(self, spans: Iterable[Span], nodes: Mapping[str, str], bounds: Bounds, ended_at: int) -> None:
        self._nodes = nodes
        self._bounds = bounds
        self._paused: list[tuple[str, int, int]] = []
        self._spans: list[Span] = []
        self._by_subject: dict[str, list[Span]] = defaultdict(list)
        self._ends: dict[int, int] = {}
        for span in sorted(spans, key=lambda one: one.begin):
            self._ends[id(span)] = ended_at if span.end is None else span.end
            if span.kind == PAUSED:
                self._paused.append((span.subject, span.begin, self._ends[id(span)]))
            else:
                self._spans.append(span)
                self._by_subject[span.subject].append(span)

    def deaths(self) -> list[tuple[int, str]]:
        """When which process died."""
        return [(span.begin, span.subject) for span in self._spans if span.kind == "dead"]

    def died_at(self, process: str) -> int | None:
        """When the process died, None if it did not."""
        return next((span.begin for span in self._by_subject[process] if span.kind == "dead"), None)

    def thaw(self, process: str, at: int) -> int | None:
        """When the process went on that stood still at this instant, or had gone on not longer than the zombies' bound before."""
        for span in self._of(process):
            end = self._ends[id(span)]
            if span.kind in _STOPS and span.begin <= at <= end + self._bounds.zombie:
                return end
        return None

    def gone(self, process: str | None, node: str | None, begin: int, end: int) -> Span | None:
        """What can have ended the lease under which a process worked in [begin, end]: its death, a stop, a cut, a lost store.

        A process that is not known is one of its node's; if that is not known either, it is any. What concerns the process
        itself is a better proof than what concerns everybody.
        """
        own = (process, node, self._nodes.get(process or "", node))
        lives = {life for life, of in self._nodes.items() if of == node} if process is None else set()
        found = [
            span
            for span in self._spans
            if span.kind != BUSY and span.begin <= end and self._ends[id(span)] + self._bounds.heal >= begin
            if span.subject in ("", *own) or span.subject in lives or (process is None and node is None)
        ]
        return min(found, key=lambda span: (span.subject == "", -span.begin), default=None)

    def is_untold(self, ended: int, at: int) -> bool:
        """Whether what had ended may not have been written down by an instant: the store could not be reached, or not written."""
        return any(
            span.kind.endswith("store") and span.begin <= at and self._ends[id(span)] >= ended for span in self._spans
        )

    def near(self, begin: int, end: int) -> Span | None:
        """The newest fault that can still have had an effect in [begin, end]: healing takes its time."""
        for span in reversed(self._spans):
            if span.begin <= end and self._ends[id(span)] + self._bounds.heal >= begin:
                return span
        return None

    def paused(self, task: str, begin: int, end: int) -> bool:
        """Whether an operator had paused the task, or everything, at some time in [begin, end]."""
        return any(subject in (task, "") and since <= end and until >= begin for subject, since, until in self._paused)

    def all_paused(self, begin: int, end: int) -> bool:
        """Whether everything was paused at some time in [begin, end], or so shortly before that it had to be caught up."""
        heal = self._bounds.heal
        return any(not subject and since <= end and until + heal >= begin for subject, since, until in self._paused)

    def pauses(self, task: str) -> list[tuple[int, int]]:
        """When an operator had paused this task."""
        return [(since, until) for subject, since, until in self._paused if subject == task]

    def _of(self, process: str) -> Iterable[Span]:
        yield from self._by_subject[process]
        node = self._nodes.get(process)
        if node is not None and node != process:
            yield from self._by_subject[node]
