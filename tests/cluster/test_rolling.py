"""Every node is restarted in order, then every ZooKeeper server, under load: nothing lost, nothing doubled, balance is back."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.cluster import chaos, judge
from tests.cluster.harness import PARTITIONS
from tests.cluster.test_chaos import postgres, zookeeper
from tests.cluster.workload import tasks
from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.zookeeper import EmbeddedZooKeeper

__all__ = ["postgres", "zookeeper"]

BETWEEN_SECONDS = 3.0
"""Of undisturbed work between two restarts."""


@pytest.mark.timeout(1200)
def test_a_rolling_restart(
    tmp_path: Path, run_seed: int, postgres: EmbeddedPostgres, zookeeper: EmbeddedZooKeeper
) -> None:
    with chaos.start(tmp_path, postgres, zookeeper, tasks(), random.Random(run_seed)) as run:
        for name in sorted(run.cluster.nodes):
            run.nemesis.restart(name, BETWEEN_SECONDS)
        shares = run.cluster.wait_balanced()
        for server in zookeeper.servers:
            run.nemesis.restart_server(server, BETWEEN_SECONDS)
        verdict = judge.judge(chaos.finish(run))
    chaos.tell(run, verdict)
    assert not verdict.violations, verdict.report()
    assert sum(shares.values()) == PARTITIONS
    assert verdict.verdict.statistics.due > 2_000
    assert verdict.verdict.statistics.crashed == 0, "a node that stops in order leaves nothing behind"
