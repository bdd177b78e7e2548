"""`tocsin drill` on a cluster of processes, with real servers: each kind by the command line, what an interrupt leaves.

Nothing is asserted about how long things take, except that they come to an end.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.drills import Drill, drill
from tests.e2e.harness import TOCSIN, environment
from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.zookeeper import EmbeddedZooKeeper

pytestmark = pytest.mark.timeout(300)

SMALL = ("--seconds", "2", "--canaries", "24", "--every", "500ms", "--yes", "--json")

END_SECONDS = 60.0


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedPostgres, zookeeper_server: EmbeddedZooKeeper
) -> Iterator[Drill]:
    """Three nodes that have canaries of their own besides."""
    settings = {"TOCSIN_CANARY_ENABLED": "true", "TOCSIN_CANARY_EVERY": "1s"}
    with drill(tmp_path_factory.mktemp("drill"), postgres_server, zookeeper_server, **settings) as made:
        made.cluster.start()
        made.wait_shares()
        yield made


def left(made: Drill) -> list[Any]:
    """Canaries of drills."""
    return list(made.client().tasks(type="canary"))


def checked(made: Drill, text: str, kind: str, node: str) -> dict[str, Any]:
    """What holds of every report."""
    report: dict[str, Any] = json.loads(text)
    assert (report["drill"], report["good"], report["notes"]) == (kind, True, []), (report, made.cluster.logs())
    assert (report["missed"], report["doubled"], report["violations"]) == (0, 0, 0)
    [one] = report["rounds"]
    assert (one["node"], one["canaries"]) == (node, 24)
    assert one["takeover"]["canaries"] >= 4 and one["takeover"]["silent"] == []
    assert all(one["lateness"][phase]["starts"] for phase in ("before", "during", "after"))
    assert left(made) == []
    return dict(one)


def test_a_drain(cluster: Drill) -> None:
    found = checked(cluster, cluster.cluster.command("n1", "drill", "drain", "--node", "n2", *SMALL), "drain", "n2")
    assert found["afterwards"] == "n2 is alive"
    assert found["takeover"]["handoverMs"] is not None
    cluster.wait_shares()
    assert cluster.nodes()["n2"]["state"] == "alive"


def test_a_freeze(cluster: Drill) -> None:
    words = ("drill", "freeze", "--node", "n3", "--hold", "8", *SMALL)
    found = checked(cluster, cluster.cluster.command("n1", *words), "freeze", "n3")
    assert found["takeover"]["handoverMs"] is not None
    cluster.wait_shares()


def test_an_interrupted_freeze_leaves_nothing_behind(cluster: Drill) -> None:
    node = cluster.cluster.nodes["n2"]
    started = subprocess.Popen(
        [*TOCSIN, "drill", "freeze", "--node", "n2", "--hold", "60", *SMALL],
        env=environment(TOCSIN_DATA=str(cluster.cluster.nodes["n1"].data)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        cluster.wait(lambda: is_stopped(node.pid), "the node to be frozen")
        assert left(cluster)
        started.send_signal(signal.SIGTERM)
        started.communicate(timeout=END_SECONDS)
    finally:
        started.kill()
    assert started.returncode == 130
    assert not is_stopped(node.pid)
    assert left(cluster) == []
    cluster.wait_shares()


def is_stopped(pid: int) -> bool:
    """Whether SIGSTOP holds a process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_what_is_refused_harms_nobody(cluster: Drill) -> None:
    words = ("drill", "kill-owner", "--node")
    cluster.cluster.command("n1", *words, "n1", "--yes", expect=6)
    cluster.cluster.command("n1", *words, "n9", "--yes", expect=5)
    # Nobody is there to be asked.
    cluster.cluster.command("n1", *words, "n2", expect=6)
    assert cluster.living() == ["n1", "n2", "n3"] and left(cluster) == []
    assert {node["state"] for node in cluster.nodes().values()} == {"alive"}


def test_the_cluster_has_its_own_canaries_once(cluster: Drill) -> None:
    cluster.wait(lambda: cluster.client().call("show_canaries")["well"] == 8, "the canaries to be well")
    for name in ("n1", "n2", "n3"):
        assert cluster.client(name).call("show_canaries")["canaries"] == 8
    assert "8 of 8 on time" in cluster.cluster.command("n3", "status")


def test_the_owner_is_killed(cluster: Drill) -> None:
    words = ("drill", "kill-owner", "--node", "n3", "--with", "kill -{signal} {pid}", *SMALL)
    found = checked(cluster, cluster.cluster.command("n1", *words), "kill-owner", "n3")
    cluster.cluster.nodes["n3"].reap()
    assert "n3 is gone" in found["afterwards"]
    assert found["takeover"]["worstMs"] is not None and found["takeover"]["handoverMs"] is not None
    cluster.wait_shares("n1", "n2")
