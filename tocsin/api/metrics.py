"""`GET /metrics`: figures in the text format of Prometheus, those of canaries.

What is of the whole cluster (how many canaries are well, what was missed) comes from the store and is the same from every node;
runs and their lateness are of this node, to be summed. No figure has a label for a task.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from actors.canaries import Canaries
from actors.canaries_core import BUCKETS, CanaryFigures

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(canaries: Canaries, found: CanaryFigures) -> str:
    """The figures as a scraper reads them."""
    return "\n".join([*_cluster(found), *_node(canaries)]) + "\n"


def _cluster(found: CanaryFigures) -> Iterator[str]:
    yield from _one("tocsin_canaries", "gauge", "Canaries that the cluster has.", found.canaries)
    yield from _one("tocsin_canaries_well", "gauge", "Canaries that run on time.", found.well)
    yield from _one("tocsin_canary_due_total", "counter", "Nominal times of all present canaries so far.", found.due)
    yield from _one(
        "tocsin_canary_missed_total", "counter", "Those of them for which nothing ran.", found.missed
    )  # fmt: skip


def _node(canaries: Canaries) -> Iterator[str]:
    name = "tocsin_canary_lateness_seconds"
    yield from _head(name, "histogram", "From nominal time to start, of canaries that ran on this node.")
    within = list(accumulate(canaries.buckets))
    for bound, count in zip(BUCKETS, within, strict=False):
        yield f'{name}_bucket{{le="{bound:g}"}} {count}'
    yield f'{name}_bucket{{le="+Inf"}} {within[-1]}'
    yield f"{name}_sum {canaries.late_seconds:.6f}"
    yield f"{name}_count {canaries.runs}"


def _one(name: str, kind: str, about: str, value: int) -> Iterator[str]:
    yield from _head(name, kind, about)
    yield f"{name} {value}"


def _head(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
