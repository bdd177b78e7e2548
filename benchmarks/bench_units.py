"""Unit costs: what a fire, a task, an execution and a node cost the store, ZooKeeper and the links.

`scale_model` computes from these what a size of cluster would use, and `docs/explanation/scale.md` tells it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

from benchmarks import unit_cluster, unit_store
from tests.servers import server_directory
from tocsin.embedded.postgres import EmbeddedPostgres

SMALL: Final = unit_store.Size(burst=300, steady=100, rounds=1, seconds=0.3)
FULL: Final = unit_store.Size(burst=10_000, steady=1_000, rounds=6, seconds=2.0)


def run(full: bool) -> dict[str, Any]:
    """All unit costs; the check is that everything that was due fired, and that all partitions found owners."""
    size = FULL if full else SMALL
    with (
        tempfile.TemporaryDirectory() as name,
        server_directory("postgres") as place,
        EmbeddedPostgres(place / "server") as server,
    ):
        store = unit_store.measure(server, Path(name), size)
    done, wanted = int(store.pop("done")), int(store.pop("wanted"))
    figures = store | unit_cluster.measure((3, 10, 100) if full else (3,), 10.0 if full else 2.0)
    return {
        "name": "units",
        "figures": figures,
        "ratios": {
            "a fire a second in each of many tasks / all at once, server CPU": figures["server CPU us, steady"]
            / figures["server CPU us, all at once"],
        },
        "check": {"expected": wanted, "actual": min(done, wanted)},
    }
