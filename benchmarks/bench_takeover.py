"""Takeover: how long nobody acts for the partitions of a node that is gone, and what becomes of the work meanwhile.

Three node processes on three ZooKeeper servers (tick 0.5 s) and PostgreSQL, sessions and leases of 4 s; tasks at a
fixed rate are spread over all partitions. `kill -9`: from the kill to when every task of the victim has started
again. `graceful`: how much longer than its interval a task of a node that stops was silent. `frozen`: SIGSTOP instead
of the kill, then its return. Lateness is that of starts against nominal times, with the ZooKeeper leader killed
meanwhile; `usual` is that of the same length before. Then all ZooKeeper servers are frozen for 10 s and stopped for
60 s, while executions run. At the end every nominal time of every task is looked for in the ledger and in the
handlers' own record.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import Any, Final

import attrs

from benchmarks.process import resident_megabytes
from tests.cluster import takeover
from tests.cluster.drills import drill
from tests.cluster.takeover import Pulse
from tests.servers import server_directory
from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.zookeeper import EmbeddedZooKeeper

MEDIAN_SECONDS: Final = 4.5
WORST_SECONDS: Final = 6.0
GRACEFUL_SECONDS: Final = 0.3
LATENESS_SECONDS: Final = 0.1


@attrs.frozen
class Size:
    """How much is done. `interval`: of the tasks, in milliseconds; 0 kills and the like leave a scene out."""

    tasks: int
    interval: int
    kills: int
    stops: int
    freezes: int
    leaders: int
    silence: tuple[float, float, int] | None


SMALL: Final = Size(tasks=6, interval=500, kills=1, stops=1, freezes=0, leaders=0, silence=None)
FULL: Final = Size(tasks=15, interval=100, kills=20, stops=5, freezes=5, leaders=3, silence=(10.0, 60.0, 50))


def run(full: bool) -> dict[str, Any]:
    size = FULL if full else SMALL
    servers = 3 if full else 1
    with (
        server_directory("postgres") as first,
        server_directory("zookeeper") as second,
        tempfile.TemporaryDirectory() as third,
        EmbeddedPostgres(first / "server") as postgres,
        EmbeddedZooKeeper(second, servers=servers) as zookeeper,
        drill(Path(third), postgres, zookeeper) as made,
    ):
        made.cluster.start()
        made.wait_shares()
        return measure(takeover.begin_pulse(made, size.tasks, size.interval), size)


def measure(pulse: Pulse, size: Size) -> dict[str, Any]:
    figures: dict[str, float] = {}
    ratios: dict[str, float] = {}

    def note(what: str, seconds: float, target: float | None = None) -> None:
        figures[f"{what}, s"] = seconds
        if target is not None:
            ratios[f"{what}, to the target"] = seconds / target

    killed = [takeover.kill_owner(pulse, takeover.victim_of(pulse, turn)) for turn in range(size.kills)]
    note("kill -9, median", median(killed), MEDIAN_SECONDS)
    note("kill -9, worst", max(killed), WORST_SECONDS)
    stopped = [takeover.stop_owner(pulse, takeover.victim_of(pulse, turn)) for turn in range(size.stops)]
    note("graceful stop, median", median(one["silence"] for one in stopped))
    note("graceful stop, worst", max(one["silence"] for one in stopped), GRACEFUL_SECONDS)
    if size.freezes:
        frozen = [takeover.freeze_owner(pulse, takeover.victim_of(pulse, turn), 12.0) for turn in range(size.freezes)]
        note("frozen, median", median(frozen), MEDIAN_SECONDS)
        note("frozen, worst", max(frozen), WORST_SECONDS)
    lost_sessions = interrupted = 0
    if size.leaders:
        found = [takeover.kill_leader(pulse) for _ in range(size.leaders)]
        lost_sessions = sum(one["sessions lost"] for one in found)
        note("lateness, usual", max(one["usual"] for one in found))
        note("lateness, ZooKeeper leader killed", max(one["lateness"] for one in found), LATENESS_SECONDS)
    if size.silence is not None:
        silent = takeover.lose_zookeeper(pulse, *size.silence)
        interrupted = silent["interrupted"] + silent["started again"]
    due, lost, doubled = takeover.verdict(pulse)
    figures["nominal times"] = due
    living = [pulse.drill.cluster.nodes[name].pid for name in pulse.drill.living()]
    figures["resident MB of a node"] = max(map(resident_megabytes, living))
    return {
        "name": "takeover",
        "figures": figures,
        "ratios": ratios,
        "check": {
            "expected": {"lost": 0, "doubled": 0, "sessions lost": 0, "interrupted": 0},
            "actual": {
                "lost": len(lost),
                "doubled": len(doubled),
                "sessions lost": lost_sessions,
                "interrupted": interrupted,
            },
        },
    }
