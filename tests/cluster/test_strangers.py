"""Who does not belong, or does not agree: refused or limited with one clear line in the log, and the cluster goes on unharmed."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.errors import StoreUnavailable
from tests.cluster import takeover
from tests.cluster.drills import BENT, TASKS, Drill, drill, now, twice_started
from tests.cluster.takeover import Pulse
from tests.e2e.harness import NodeProcess
from tests.servers import server_directory
from tocsin.embedded.ports import free_port
from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.zookeeper import EmbeddedZooKeeper

CONNECTIONS = 10_000 if os.environ.get("TOCSIN_FULL") else 2_000
FUTURE = "2031z"
"""A version of the time zone database."""

QUIET_SECONDS = 3.0
"""For which it is looked whether something stays as it is."""

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def pulse(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedPostgres, zookeeper_server: EmbeddedZooKeeper
) -> Iterator[Pulse]:
    """Three nodes, and a few tasks that go on all the while."""
    with drill(tmp_path_factory.mktemp("strangers"), postgres_server, zookeeper_server, bent=True) as made:
        made.cluster.start()
        made.wait_shares()
        yield takeover.begin_pulse(made, 6, 500)


@pytest.fixture
def cluster(pulse: Pulse) -> Iterator[Drill]:
    """The three nodes; afterwards they own everything, have lost nothing, and nothing was started twice."""
    pulse.settle()
    yield pulse.drill
    for name, node in list(pulse.drill.cluster.nodes.items()):
        if name not in ("n1", "n2", "n3"):
            node.clean_up()
            del pulse.drill.cluster.nodes[name]
    pulse.settle()
    _, lost, doubled = takeover.verdict(pulse)
    assert not lost and not doubled, (lost[:10], doubled[:10], pulse.drill.cluster.logs())


def stranger(cluster: Drill, name: str, **changes: str) -> NodeProcess:
    """A node as n1 is, but for these variables; not started yet. `name` is that of its directory."""
    own = {"TOCSIN_NAME": name, "TOCSIN_CLUSTER_LISTEN": f"127.0.0.1:{free_port()}"}
    usual = cluster.cluster.nodes["n1"].environment
    node = NodeProcess(cluster.cluster.directory / name, (str(BENT), str(TASKS)), usual | own | changes)
    cluster.cluster.nodes[name] = node
    return node


def lines(node: NodeProcess, *words: str) -> list[str]:
    """The lines of warnings and errors in a node's log with all of these words."""
    found = node.log_path.read_text("utf-8", "replace").splitlines()
    return [
        line for line in found if (" WARNING " in line or " ERROR " in line) and all(word in line for word in words)
    ]


def all_alive(cluster: Drill, name: str) -> bool:
    """Whether one of the three nodes has a link to the others."""
    found = cluster.nodes(name)
    return all(found[one]["state"] == "alive" for one in ("n1", "n2", "n3"))


def owns_nothing(cluster: Drill, name: str, seconds: float = QUIET_SECONDS) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert name not in cluster.shares("n1")
        time.sleep(0.1)


# -- another time zone database


def test_a_node_with_other_time_zones_executes_and_owns_nothing_until_all_have_them(cluster: Drill) -> None:
    node = stranger(cluster, "n4", E2E_ZONES=FUTURE)
    cluster.cluster.start("n4")
    cluster.wait(lambda: cluster.nodes("n1").get("n4", {}).get("timezoneDatabase") == FUTURE, "n4 to join")
    assert cluster.nodes("n1")["n4"]["state"] == "alive"
    owns_nothing(cluster, "n4")
    assert len(lines(node, "owns nothing", FUTURE)) == 1
    assert FUTURE in cluster.coordination("n4")["problem"]
    with pytest.raises(StoreUnavailable, match=FUTURE):
        cluster.client("n4").call("ready")
    cluster.add("over there", "brief", {"after": "1ms"}, placement={"nodes": ["n4"]})
    cluster.wait(
        lambda: any(m.task == "over there" and m.pid == node.pid for m in cluster.marks("end")), "n4 to execute"
    )
    for name in ("n1", "n2", "n3"):
        cluster.cluster.nodes[name].environment["E2E_ZONES"] = FUTURE
        assert cluster.cluster.nodes[name].terminate() == 0
        cluster.cluster.start(name)
    cluster.wait_shares("n1", "n2", "n3", "n4")
    assert cluster.coordination("n4")["problem"] is None
    [(version,)] = cluster.query("SELECT value FROM meta WHERE key = 'timezone_database'")
    assert version == FUTURE
    assert node.terminate() == 0


# -- who does not belong


def test_a_second_node_of_the_same_name_is_refused(cluster: Drill) -> None:
    session, boot = cluster.coordination("n2")["session"], cluster.nodes("n2")["n2"]["boot"]
    twin = stranger(cluster, "twin", TOCSIN_NAME="n2")
    twin.start()
    cluster.wait(lambda: lines(twin, "n2", "in use"), "the second to be refused")
    time.sleep(QUIET_SECONDS)
    assert len(lines(twin, "in use")) == 1, lines(twin)
    assert cluster.coordination("n2")["session"] == session
    assert cluster.nodes("n1")["n2"]["boot"] == boot
    assert cluster.shares("n1")["n2"] > 0


def test_a_node_of_another_cluster_is_refused(cluster: Drill) -> None:
    other = cluster.cluster.postgres.create_database(f"other{now()}")
    node = stranger(cluster, "foreign", TOCSIN_STORE_URL=other)
    node.start()
    cluster.wait(lambda: lines(node, "belongs to cluster"), "it to be refused")
    time.sleep(QUIET_SECONDS)
    assert len(lines(node, "belongs to cluster")) == 1, lines(node)
    assert "foreign" not in cluster.nodes("n1")


def test_a_node_with_another_key_gets_no_link(cluster: Drill) -> None:
    key = cluster.cluster.directory / "other key"
    key.write_text("not the key of this cluster")
    node = stranger(cluster, "keyless", TOCSIN_CLUSTER_KEY_FILE=str(key))
    node.start()
    cluster.wait(lambda: lines(node, "link to n1"), "it to be refused")
    time.sleep(QUIET_SECONDS)
    assert len(lines(node, "link to n1")) == 1, lines(node)
    assert "key" in lines(node, "link to n1")[0]
    assert not [line for line in node.log_path.read_text().splitlines() if "linked with" in line]
    cluster.wait(lambda: all_alive(cluster, "n1"), "the links of n1 to live")


# -- the port for links


def port_of(cluster: Drill, name: str) -> int:
    return int(cluster.cluster.nodes[name].environment["TOCSIN_CLUSTER_LISTEN"].rpartition(":")[2])


UPGRADE = (
    b"GET /link HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
OVERSIZED = b"\x82\xff" + (1 << 40).to_bytes(8) + b"mask" + b"x" * 100_000
CORRUPTED = b"\x82\x88mask" + b"\xff" * 8
"""Binary frames: one that says that it is a tebibyte long, and eight bytes that mean nothing."""


@pytest.mark.parametrize("frame", [OVERSIZED, CORRUPTED, b"\xff" * 1_000], ids=["oversized", "corrupted", "no frame"])
def test_a_bad_frame_ends_its_connection_alone(cluster: Drill, frame: bytes) -> None:
    node = cluster.cluster.nodes["n1"]
    before = len(lines(node, "link from"))
    with socket.create_connection(("127.0.0.1", port_of(cluster, "n1")), timeout=20.0) as connection:
        connection.sendall(UPGRADE)
        assert b" 101 " in connection.recv(4096).split(b"\r\n")[0]
        sent_all(connection, frame)
        drained(connection)
    assert len(lines(node, "link from")) <= before + 1, lines(node)
    # A busy machine may have made one of the nodes suspect the others for a moment, which this has nothing to do with.
    cluster.wait(lambda: all_alive(cluster, "n1"), "the links of n1 to live")


def sent_all(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except OSError:
        return


def drained(connection: socket.socket) -> None:
    """Read until the other end closes; hangs up with an error if it does not."""
    while True:
        try:
            if not connection.recv(65_536):
                return
        except ConnectionError:
            return


def test_a_flood_of_connections_is_limited(cluster: Drill) -> None:
    node = cluster.cluster.nodes["n1"]
    begun, since = lines(node, "too many"), time.monotonic()
    kept: list[socket.socket] = []
    try:
        for _ in range(CONNECTIONS):
            connection = socket.socket()
            connection.settimeout(5.0)
            try:
                connection.connect(("127.0.0.1", port_of(cluster, "n1")))
            except OSError:
                connection.close()
            else:
                kept.append(connection)
            if len(kept) > 500:
                kept.pop(0).close()
        cluster.wait(lambda: len(lines(node, "too many")) > len(begun), "the flood to be noticed")
        cluster.wait(lambda: all_alive(cluster, "n2"), "the links of n2 to live")
    finally:
        for connection in kept:
            connection.close()
    # One line a minute about one host.
    assert len(lines(node, "too many")) <= len(begun) + 2 + (time.monotonic() - since) / 60


# -- authority lost


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedPostgres) -> Iterator[Pulse]:
    """Two nodes on a ZooKeeper server of their own."""
    with (
        server_directory("fragile") as directory,
        EmbeddedZooKeeper(directory) as zookeeper,
        drill(tmp_path_factory.mktemp("fragile"), postgres_server, zookeeper, number=2) as made,
    ):
        made.cluster.start()
        made.wait_shares()
        yield takeover.begin_pulse(made, 4, 500)


def says_why(made: Drill, word: str) -> bool:
    """Nothing is owned, and every node tells why, in the list of nodes and in its health."""
    if made.shares("n1") or any(word not in str(made.coordination(name)["problem"]) for name in made.living()):
        return False
    for name in made.living():
        with pytest.raises(StoreUnavailable, match=word):
            made.client(name).call("ready")
    return f"Problem: {made.coordination('n1')['problem']}" in made.cluster.command("n1", "node", "list")


def stays_so_until_the_fence_is_raised(made: Drill, word: str) -> None:
    made.wait(lambda: says_why(made, word), f"everybody to say {word}", 60.0)
    until = time.monotonic() + QUIET_SECONDS
    fence = made.query("SELECT id, epoch FROM partitions ORDER BY id")
    while time.monotonic() < until:
        assert not made.shares("n1")
        time.sleep(0.1)
    assert made.query("SELECT id, epoch FROM partitions ORDER BY id") == fence
    assert "was raised" in made.cluster.command("n2", "fence", "raise", "--yes")


def test_a_coordination_service_without_memory_is_not_believed(fragile: Pulse) -> None:
    made = fragile.drill
    zookeeper = made.cluster.zookeeper
    zookeeper.stop()
    for server in zookeeper.directory.glob("server-*"):
        for data in (server / "data").glob("version-*"):
            shutil.rmtree(data)
    zookeeper.start()
    stays_so_until_the_fence_is_raised(made, "coordination service does not know")
    fragile.settle()
    _, lost, doubled = takeover.verdict(fragile)
    assert not lost and not doubled, (lost[:10], doubled[:10])


def test_a_store_that_was_restored_is_not_believed(fragile: Pulse) -> None:
    made = fragile.drill
    postgres, name = made.cluster.postgres, made.cluster.url.rpartition("/")[2]
    restart(made, lambda: postgres.execute(f'CREATE DATABASE "{name} old" TEMPLATE "{name}"', "postgres"))
    fragile.settle()
    before = restart(made, lambda: restore(postgres, name))
    stays_so_until_the_fence_is_raised(made, "epochs of")
    fragile.settle()
    # What ran between copy and restore is not in the ledger any more; nothing is started twice by what the ledger knows.
    assert not twice_started(made.marks()[before:])
    made.wait(fragile.caught_up, "every nominal time to be settled")


def restore(postgres: EmbeddedPostgres, name: str) -> None:
    postgres.drop_database(name)
    postgres.execute(f'CREATE DATABASE "{name}" TEMPLATE "{name} old"', "postgres")


def restart(made: Drill, meanwhile: Any) -> int:
    """Stop all nodes, do something, and start them again; how long the record was."""
    for name in made.living():
        assert made.cluster.nodes[name].terminate() == 0
    before = len(made.marks())
    meanwhile()
    made.cluster.start()
    return before
