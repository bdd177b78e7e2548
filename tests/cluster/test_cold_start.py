"""A cluster that starts cold with `min_nodes`: nobody owns anything before so many are there, or the time limit has passed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from runtime.errors import StoreUnavailable
from tests.cluster.drills import Drill, drill
from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.zookeeper import EmbeddedZooKeeper

LIMIT_SECONDS = 6

pytestmark = pytest.mark.timeout(600)


def gate_of(made: Drill, name: str) -> str | None:
    gate: str | None = made.coordination(name)["gate"]
    return gate


def taken(made: Drill) -> int:
    """Partitions that anybody has ever taken, by the store."""
    return int(made.query("SELECT count(*) FROM partitions WHERE epoch > 0")[0][0])


def test_nothing_is_owned_before_all_are_there(
    tmp_path: Path, postgres_server: EmbeddedPostgres, zookeeper_server: EmbeddedZooKeeper
) -> None:
    with drill(tmp_path, postgres_server, zookeeper_server, TOCSIN_COORDINATION_MIN_NODES="3") as made:
        made.cluster.start("n1", "n2")
        made.wait(
            lambda: all("2 of 3" in str(gate_of(made, name)) for name in ("n1", "n2")), "both to wait at the gate"
        )
        until = time.monotonic() + 4.0
        while time.monotonic() < until:
            assert not made.shares("n1") and not made.shares("n2")
            time.sleep(0.1)
        assert taken(made) == 0
        listed = made.cluster.command("n2", "node", "list")
        assert "Gate: cold start: 2 of 3 nodes are here" in listed, listed
        with pytest.raises(StoreUnavailable, match="2 of 3 nodes"):
            made.client("n1").call("ready")
        made.cluster.start("n3")
        shares = made.wait_shares()
        assert shares.keys() == {"n1", "n2", "n3"}
        made.wait(lambda: gate_of(made, "n1") is None, "the gate to open")
        assert made.client("n1").call("ready")["status"] == "ok"
        # Only a cold cluster waits: who is left goes on.
        made.kill("n3")
        made.wait_shares("n1", "n2")
        assert gate_of(made, "n1") is None


def test_the_gate_has_a_time_limit(
    tmp_path: Path, postgres_server: EmbeddedPostgres, zookeeper_server: EmbeddedZooKeeper
) -> None:
    gate = {"TOCSIN_COORDINATION_MIN_NODES": "3", "TOCSIN_COORDINATION_GATE_TIMEOUT": f"{LIMIT_SECONDS}s"}
    with drill(tmp_path, postgres_server, zookeeper_server, number=2, **gate) as made:
        begun = time.monotonic()
        made.cluster.start()
        made.wait(lambda: sum(made.shares("n1").values()) > 0, "partitions to be taken")
        assert time.monotonic() - begun > LIMIT_SECONDS
        made.wait_shares("n1", "n2")
