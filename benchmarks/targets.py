"""What Tocsin is to reach, row by row: the figure or ratio of which benchmark, and its bound.

Bounds are for a machine of two cores that does nothing else. Where a target compares with another scheduler, both are measured
side by side by `./dev bench --peers`; of these the benchmark is called `peers` and the name of the workload.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs


@attrs.frozen
class Target:
    """One line of the table. `label`: of a figure or ratio of the benchmark. `at_least`: whether more is better."""

    row: str
    what: str
    benchmark: str
    label: str
    bound: float
    unit: str = ""
    at_least: bool = False

    @property
    def wanted(self) -> str:
        """For reading."""
        bound = f"{self.bound:,.0f}" if abs(self.bound) >= 1000 else f"{self.bound:g}"
        return f"{'at least' if self.at_least else 'at most'} {bound}{self.unit and ' ' + self.unit}"

    def value_in(self, result: Mapping[str, Any]) -> float | None:
        """What a result of the benchmark says; None if it says nothing of it."""
        value: float | None = {**result["figures"], **result.get("ratios", {})}.get(self.label)
        return value

    def is_met(self, value: float) -> bool:
        """Whether a value is within the bound."""
        return value >= self.bound if self.at_least else value <= self.bound

    def missed_by(self, value: float) -> float:
        """How far outside of the bound a value is, as a share of it; of a bound of nothing the value itself."""
        return abs(value - self.bound) / (abs(self.bound) or 1)


def _least(row: str, what: str, benchmark: str, label: str, bound: float, unit: str = "") -> Target:
    return Target(row, what, benchmark, label, bound, unit, at_least=True)


_most = Target

PEERS: Final = "peers "
"""What the names of benchmarks begin with that are workloads of the peers."""


def times_as_good(ours: str, other: str, figure: str) -> str:
    """The label of a ratio between two contenders of a workload: above 1 where ours is better."""
    return f"{ours} / {other}, {figure}"


def _ahead(row: str, workload: str, ours: str, other: str, figure: str, bound: float) -> Target:
    label = times_as_good(ours, other, figure)
    return Target(row, f"{workload}: {label}", f"{PEERS}{workload}", label, bound, "x", at_least=True)


TARGETS: Final = (
    _least("P1", "tell, to a raw trio channel", "mailbox", "tell in batches, to a raw channel", 5, "x"),
    _ahead("P1", "messages", "Tocsin, in batches", "pykka, threads", "tells/s", 5),
    _most("P1", "ask p50, to a bare drained mailbox", "mailbox", "ask p50, to a bare drained mailbox", 1.5, "x"),
    _least("P2", "durable adds, 100 callers one by one", "adds", "adds/s, 100 callers one by one", 30_000, "/s"),
    _least("P2", "durable adds, many with one call", "adds", "adds/s, 1000 with one call", 50_000, "/s"),
    _ahead("P2", "adds", "Tocsin, 100 callers", "APScheduler 3, SQLite", "per second", 30),
    _least("P3", "due tasks, every outcome durable, SQLite", "fires", "fires/s, SQLite", 30_000, "/s"),
    _least("P3", "due tasks, every outcome durable, PostgreSQL", "fires", "fires/s, PostgreSQL", 25_000, "/s"),
    _ahead("P3", "fires-sqlite", "Tocsin, SQLite", "APScheduler 3, SQLite", "per second", 30),
    _ahead("P3", "fires-sqlite", "Tocsin, SQLite", "APScheduler 4, SQLite", "per second", 250),
    _ahead("P3", "fires-sqlite", "Tocsin, SQLite", "Celery, 2 processes, Redis", "per second", 30),
    _ahead("P3", "fires-postgres", "Tocsin, PostgreSQL", "pgqueuer, batches of 100", "per second", 1),
    _ahead("P3", "fires-postgres", "Tocsin, PostgreSQL", "pgqueuer, batches of 1,000", "per second", 1),
    _most("P4", "lateness p50, phases spread", "lateness", "durable, spread: p50 ms", 1, "ms"),
    _most("P4", "lateness p99, phases spread, 1,000 fires/s", "lateness", "durable, spread: p99 ms", 3, "ms"),
    _most("P4", "last start of 1,000 at one instant", "lateness", "durable, at one instant: worst ms", 60, "ms"),
    _most("P4", "lateness p50, memory tasks spread", "lateness", "memory, spread: p50 ms", 0.2, "ms"),
    _most("P4", "lateness p99, memory tasks spread", "lateness", "memory, spread: p99 ms", 0.4, "ms"),
    _ahead("P4", "lateness-spread", "Tocsin, memory tasks", "APScheduler 3, threads, memory", "p50 ms", 1),
    _ahead("P4", "lateness-spread", "Tocsin, memory tasks", "APScheduler 3, threads, memory", "p99 ms", 1),
    _most("P4b", "lateness p99 while the node serves", "served", "loaded: p99 ms", 25, "ms"),
    _most("P5", "idle with 1,000,000 tasks: share of a core", "idle", "core %, many tasks", 1, "%"),
    _most("P5", "idle with 1,000,000 tasks: resident memory", "idle", "resident MB, many tasks", 120, "MB"),
    _most("P5", "ready after a start with 1,000,000 tasks", "idle", "ready s, many tasks", 1, "s"),
    _most("P5", "add, to that with 1,000 tasks", "idle", "add ms", 2, "x"),
    _most("P5", "list, to that with 1,000 tasks", "idle", "page of 50 ms", 2, "x"),
    _most("P5", "next, to that with 1,000 tasks", "idle", "next ms", 2, "x"),
    _most("P6", "next fire of a cron expression, to the floor", "cron", "next fire, to the floor", 3, "x"),
    _least("P7", "three nodes, rate per core to one node's", "cluster", "per core used: three nodes / one", 0.8, "x"),
    _ahead("P7", "fires-postgres", "Tocsin, PostgreSQL", "pgqueuer, 2 workers", "per second", 1),
    _most("P7", "ZooKeeper writes per fire", "cluster", "ZooKeeper writes per fire, three nodes", 0.001),
    _most("P8", "takeover after kill -9, p50", "takeover", "kill -9, median, s", 4.5, "s"),
    _most("P8", "takeover after kill -9, worst of 20", "takeover", "kill -9, worst, s", 6, "s"),
    _most("P8", "takeover from a node that stops, worst", "takeover", "graceful stop, worst, s", 0.3, "s"),
    _least("P9", "messages over mutual TLS", "links", "messages per second, mutual TLS", 250_000, "/s"),
    _most("P9", "one small message, p50", "links", "ms for a message, p50 (half of an ask)", 1, "ms"),
    _least(
        "P10", "rehearsal with framing, to real time", "rehearsal", "simulated seconds in a second of a core", 100, "x"
    ),
    _most("P11", "first paint of the list of 10,000 tasks", "console", "first paint of the list, ms", 300, "ms"),
    _most("P11", "page of 50 of 1,000,000, the slowest p99", "pages", "slowest page: p99 ms", 15, "ms"),
    _most("P11", "with the exact total of a search, p99", "pages", "slowest search: p99 ms", 200, "ms"),
    _most("P12", "CPU per fire, 10^6 stored to 10^3", "growth", "CPU us per fire", 2, "x"),
    _most("P12", "seconds per fire, 10^6 stored to 10^3", "growth", "us per fire", 2, "x"),
    _most("P12", "seconds per add, 10^6 stored to 10^3", "growth", "us per add, one by one", 2, "x"),
    _most("P12", "lateness p50, 10^6 stored to 10^3", "growth", "lateness p50 ms", 2, "x"),
    _most("P12", "page p99, 10^6 stored to 10^3", "growth", "page p99 ms, the slowest", 2, "x"),
    _most("P13", "24 simulated hours: quantities that grow", "soak", "simulated: quantities that grow", 0),
    _most("P13", "one real hour: quantities that grow", "soak", "real: quantities that grow", 0),
)

ROWS: Final = tuple(dict.fromkeys(target.row for target in TARGETS))

ONCE: Final = frozenset({"soak"})
"""Benchmarks that are run in the first round only: an hour says what three would."""
