"""Figures as text in the format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Final, Literal

import attrs

from actors.live.figures import Histogram

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

NO_LABELS: Final[Mapping[str, str]] = {}


@attrs.frozen
class Family:
    """Figures of one name. `about`: what they are, for people."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    about: str

    def of(self, value: float, **labels: str) -> Iterable[str]:
        """The family with one figure."""
        return self.all([(labels, value)])

    def by(self, label: str, values: Mapping[str, float]) -> Iterable[str]:
        """The family with a figure for each value of a label."""
        return self.all([({label: name}, value) for name, value in sorted(values.items())])

    def all(self, samples: Iterable[tuple[Mapping[str, str], float]]) -> Iterable[str]:
        """The family with these figures."""
        yield from self._head()
        for labels, value in samples:
            yield f"{self.name}{_labels(labels)} {_number(value)}"

    def histograms(self, found: Mapping[str, Histogram], label: str) -> Iterable[str]:
        """The family with a histogram for each value of a label; under the label '' it is the only one."""
        yield from self._head()
        for name, histogram in sorted(found.items()):
            labels = {label: name} if label else NO_LABELS
            within = list(accumulate(histogram.counts))
            for bound, count in zip((*histogram.bounds, None), within, strict=True):
                limit = "+Inf" if bound is None else f"{bound:g}"
                yield f"{self.name}_bucket{_labels({**labels, 'le': limit})} {count}"
            yield f"{self.name}_sum{_labels(labels)} {_number(histogram.total)}"
            yield f"{self.name}_count{_labels(labels)} {within[-1]}"

    def _head(self) -> Iterable[str]:
        yield f"# HELP {self.name} {self.about}"
        yield f"# TYPE {self.name} {self.kind}"


def _labels(labels: Mapping[str, str]) -> str:
    shown = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{shown}}}" if shown else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return f"{value:d}" if isinstance(value, int) else f"{value:.6g}" if abs(value) < 1e5 else f"{value:.3f}"
