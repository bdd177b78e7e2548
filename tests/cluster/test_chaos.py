"""Faults of every kind over a cluster of real processes under load, judged from outside; and the judge is no rubber stamp."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import chaos, judge
from tests.cluster.workload import slowness, tasks
from tests.servers import server_directory
from tocsin.checker.verdict import Kind
from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.zookeeper import EmbeddedZooKeeper

MINUTES = 4.0
ROUNDS = 3


@pytest.fixture
def postgres() -> Iterator[EmbeddedPostgres]:
    """Of its own: it is restarted under load."""
    with server_directory("postgres") as directory, EmbeddedPostgres(directory / "server") as server:
        yield server


@pytest.fixture
def zookeeper() -> Iterator[EmbeddedZooKeeper]:
    """Of its own: its leaders are killed."""
    with server_directory("ensemble") as directory, EmbeddedZooKeeper(directory, servers=3) as ensemble:
        yield ensemble


@pytest.mark.timeout(900)
def test_a_storm_loses_nothing_and_doubles_nothing(
    tmp_path: Path, run_seed: int, postgres: EmbeddedPostgres, zookeeper: EmbeddedZooKeeper
) -> None:
    rng, scale = random.Random(run_seed), slowness()
    chaos.say(f"intervals are {scale:.1f} times as long as usual")
    with chaos.start(tmp_path, postgres, zookeeper, tasks(scale), rng) as run:
        verdict = judge.judge(chaos.storm(run, rng, 60 * MINUTES, ROUNDS))
    chaos.tell(run, verdict)
    assert not verdict.violations, verdict.report()
    assert set(run.nemesis.done) == {*chaos.PROCESSES, *chaos.CUTS}
    assert min(run.nemesis.done.values()) >= ROUNDS
    assert verdict.verdict.statistics.due > 5_000
    assert verdict.verdict.statistics.resumed > 0
    assert verdict.verdict.statistics.crashed > 0


@pytest.mark.timeout(600)
def test_without_the_fence_check_the_judge_finds_it(
    tmp_path: Path, run_seed: int, postgres: EmbeddedPostgres, zookeeper: EmbeddedZooKeeper
) -> None:
    rng = random.Random(run_seed)
    with chaos.start(tmp_path, postgres, zookeeper, tasks(), rng, chaos.UNFENCED) as run:
        run.nemesis.run([chaos.Fault("freeze a node", 3 * chaos.SESSION, 4.0)] * 2, [])
        verdict = judge.judge(chaos.finish(run, drain_seconds=10.0))
    telling = {Kind.DUPLICATE, Kind.STALE_WRITE, Kind.OVERLAP, Kind.ZOMBIE_EFFECT}
    assert telling & verdict.verdict.kinds.keys(), (
        "acts under stale fences were accepted, and the judge has not seen it"
    )
