"""The development cluster as a person starts it: real servers, real nodes, one terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
import trio

from actors.handling.catalogue import Catalogue
from runtime.errors import AlreadyRunning, Conflict, InvalidRequest
from runtime.world import RealWorld
from tests.servers import server_directory
from tests.source import ROOT
from tocsin.client import Client
from tocsin.development import Plan, run_cluster, with_servers
from tocsin.embedded.ports import is_free
from tocsin.embedded.process import lives
from tocsin.node import open_node, single_error
from tocsin.settings.config import load_config

HANG_SECONDS = 240.0


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + HANG_SECONDS
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


@attrs.frozen
class Terminal:
    """A running `tocsin cluster`, and what it has shown."""

    process: subprocess.Popen[bytes]
    shown: Path

    def text(self) -> str:
        return self.shown.read_text("utf-8", "replace")


@pytest.fixture
def folder() -> Iterator[Path]:
    with server_directory("cluster") as directory:
        yield directory


@pytest.fixture
def cluster(folder: Path) -> Iterator[Terminal]:
    (folder / "mine.py").write_text("print('the handlers are loaded')\n")
    argv = ["-m", "tocsin", "cluster", "mine.py", "--nodes", "2", "--port", "0", "--data", "d"]
    with (folder / "shown").open("wb") as shown:
        process = subprocess.Popen(
            [sys.executable, *argv], cwd=folder, stdout=shown, stderr=shown, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        try:
            yield Terminal(process, folder / "shown")
        finally:
            process.kill()
            process.wait()


def children(pid: int) -> list[int]:
    lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    found = [int(child) for text in lists for child in text.split()]
    return found + [deeper for child in found for deeper in children(child)]


def test_a_cluster_comes_up_is_shown_and_stops_in_order(cluster: Terminal, folder: Path) -> None:
    stop = f"stop        Ctrl-C, or SIGTERM to process {cluster.process.pid}"
    assert eventually(lambda: stop in cluster.text()), cluster.text()
    text = cluster.text()
    assert "The cluster is up: 2 nodes" in text
    assert {"node-1 | the handlers are loaded", "node-2 | the handlers are loaded"} <= set(text.splitlines())
    assert re.search(r"ZooKeeper listens on 127.0.0.1:\d+, PostgreSQL on postgresql://tocsin:\*\*\*@127", text)
    for number in (1, 2):
        data = folder / "d" / f"node-{number}"
        assert f"node-{number}  {json.loads((data / 'node.json').read_text())['url']}" in text
        with Client(data=data) as client:
            assert client.call("show_node")["name"] == f"node-{number}"
    started = children(cluster.process.pid)
    assert len(started) >= 4
    cluster.process.send_signal(signal.SIGINT)
    assert cluster.process.wait(HANG_SECONDS) == 0
    assert cluster.text().rstrip().endswith("The cluster has stopped.")
    assert "node-1 has ended: exit code 0" in cluster.text()
    assert eventually(lambda: not any(map(lives, started)))


def test_a_killed_node_is_told_and_the_others_go_on(cluster: Terminal, folder: Path) -> None:
    assert eventually(lambda: "The cluster is up" in cluster.text())
    os.kill(json.loads((folder / "d" / "node-2" / "node.json").read_text())["pid"], signal.SIGKILL)
    assert eventually(lambda: "node-2 has ended: signal 9 (SIGKILL)" in cluster.text())
    with Client(data=folder / "d" / "node-1") as client:
        assert client.call("live") == {"status": "ok"}
    started = children(cluster.process.pid)
    cluster.process.kill()
    assert eventually(lambda: not any(map(lives, started)))


async def test_a_cluster_whose_nodes_do_not_come_up_ends(folder: Path) -> None:
    said: list[str] = []
    plan = Plan(folder / "d", nodes=1, port=0, arguments=("no_such_module",))
    with pytest.raises(Conflict, match="node-1 did not come up"), single_error():
        await run_cluster(plan, RealWorld(), said.append)
    assert any("no_such_module" in line for line in said)
    assert (folder / "d" / "key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [
        (Plan(Path("d"), nodes=0), "nodes: from 1 to 32, not 0"),
        (Plan(Path("d"), nodes=33), "nodes: from 1 to 32, not 33"),
        (Plan(Path("d"), port=65_535), "port: from 0 to 65533, not 65535"),
    ],
)
async def test_a_cluster_that_cannot_be_is_refused(plan: Plan, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        await run_cluster(plan, RealWorld(), print)


async def test_two_clusters_do_not_share_a_directory(folder: Path) -> None:
    world = RealWorld()
    with world.lock_directory(folder / "d"), pytest.raises(AlreadyRunning):
        await run_cluster(Plan(folder / "d"), world, print)


async def test_a_node_brings_its_servers_when_told_to(folder: Path) -> None:
    world = RealWorld()
    (folder / "data").mkdir(mode=0o700)
    config = load_config({}, None, {"coordination.embedded": True, "data": folder / "data"}).config
    async with with_servers(config, world) as found:
        assert found.coordination_enabled and found.clustered and not found.coordination_embedded
        [address] = found.coordination_servers
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"ruok")
            assert connection.recv(16) == b"imok"
        assert found.store_url.text.startswith("postgresql://tocsin:") and "***" in str(found.store_url)
    assert is_free(port)
    assert (folder / "data").stat().st_mode & 0o067 == 0


async def test_a_node_with_its_own_servers_is_one_of_a_cluster(folder: Path) -> None:
    settings = {"coordination_embedded": True, "cluster_listen": "127.0.0.1:0", "data": str(folder / "data")}
    async with open_node(catalogue=Catalogue(), **settings) as node:
        for _ in range(round(HANG_SECONDS / 0.1)):
            if node.inner.cluster.status().owners:
                break
            await trio.sleep(0.1)
        assert set(node.inner.cluster.status().owners.values()) == {"node-1"}
        assert [peer.name for peer in node.inner.cluster.peers()] == ["node-1"]


async def test_a_node_keeps_the_store_that_it_is_given(folder: Path) -> None:
    (folder / "data").mkdir()
    url = "postgresql://elsewhere/tocsin"
    flags = {"coordination.embedded": True, "store.url": url, "data": folder / "data"}
    async with with_servers(load_config({}, None, flags).config, RealWorld()) as found:
        assert found.store_url.text == url and len(found.coordination_servers) == 1
    assert not (folder / "data" / "servers" / "postgres").exists()
    plain = load_config({}).config
    async with with_servers(plain, RealWorld()) as found:
        assert found is plain
