"""Clusters for tests: node processes that share a PostgreSQL database and a root at ZooKeeper servers."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from tests.e2e.harness import NodeProcess, tocsin, wait_for
from tests.e2e.record import VARIABLE
from tocsin.client import Client, NodeUnreachable
from tocsin.embedded.ports import free_port
from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.zookeeper import EmbeddedZooKeeper

PARTITIONS = 256

SETTLE_SECONDS = 120.0
"""A bound against hanging: a cluster is balanced within some seconds."""


@attrs.define
class Cluster:
    """Nodes n1, n2, ... that are started and stopped by the test. `record`: the file in which handlers write what they do."""

    directory: Path
    postgres: EmbeddedPostgres
    zookeeper: EmbeddedZooKeeper
    nodes: dict[str, NodeProcess]
    record: Path
    url: str

    def start(self, *names: str) -> None:
        """Begin lives of these nodes (of all without names) and wait until they answer."""
        chosen = [self.nodes[name] for name in names or self.nodes]
        for node in chosen:
            node.start()
        for node in chosen:
            node.wait_ready()

    def client(self, name: str) -> Client:
        """Speaks to one node."""
        return Client(data=self.nodes[name].data)

    def living(self) -> list[str]:
        """The nodes whose processes run."""
        return [name for name, node in self.nodes.items() if node.process is not None]

    def command(self, name: str, *arguments: str, expect: int | None = 0) -> str:
        """Run the command line against one node; answers what it wrote."""
        return tocsin(self.nodes[name].data, *arguments, expect=expect).stdout

    def partitions(self, name: str) -> list[dict[str, Any]]:
        """The partitions with their owners, as one node sees them."""
        with self.client(name) as client:
            return list(client.call("list_partitions")["list"])

    def shares(self, name: str) -> dict[str, int]:
        """How many partitions each node owns, as one node sees it."""
        shares: dict[str, int] = {}
        for partition in self.partitions(name):
            if owner := partition["owner"]:
                shares[owner] = shares.get(owner, 0) + 1
        return shares

    def wait_balanced(self, seconds: float = SETTLE_SECONDS) -> dict[str, int]:
        """Wait until every partition has an owner and all living nodes have their shares. Answers them."""
        names = self.living()

        def balanced() -> bool:
            try:
                shares = self.shares(names[0])
            except NodeUnreachable:
                return False
            fair = PARTITIONS / len(names)
            whole = sum(shares.values()) == PARTITIONS and set(shares) == set(names)
            return whole and all(abs(share - fair) <= 0.1 * fair for share in shares.values())

        wait_for(balanced, seconds, f"all partitions to be divided among {names}", self.nodes[names[0]], poll=0.1)
        return self.shares(names[0])

    def freeze(self, name: str) -> None:
        """SIGSTOP."""
        os.kill(self.nodes[name].pid, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        os.kill(self.nodes[name].pid, signal.SIGCONT)

    def logs(self) -> str:
        """The ends of all logs, for messages."""
        return "\n".join(f"--- {name}\n{node.log()}" for name, node in self.nodes.items() if node.log_path.exists())


@contextmanager
def cluster(
    directory: Path,
    postgres: EmbeddedPostgres,
    zookeeper: EmbeddedZooKeeper,
    *modules: Path,
    number: int = 3,
    servers: tuple[str, ...] | None = None,
    **variables: str,
) -> Iterator[Cluster]:
    """A cluster whose processes do not outlive the block; nothing is started yet. variables: for every node, over the usual."""
    name = f"c{secrets.token_hex(6)}"
    url = postgres.create_database(name)
    key = directory / "key"
    key.write_text(secrets.token_hex(16))
    key.chmod(0o600)
    record = directory / "record.jsonl"
    record.touch()
    common = {
        "TOCSIN_COORDINATION_ENABLED": "true",
        "TOCSIN_COORDINATION_SERVERS": ",".join(servers or zookeeper.addresses),
        "TOCSIN_COORDINATION_ROOT": f"/{name}",
        "TOCSIN_COORDINATION_SESSION_TIMEOUT": "4s",
        "TOCSIN_CLUSTER_LEASE": "4s",
        "TOCSIN_CLUSTER_KEY_FILE": str(key),
        "TOCSIN_STORE_URL": url,
        # Judges want every row of the ledger.
        "TOCSIN_RETENTION_COMPLETED_LAST": "0",
        "TOCSIN_RETENTION_MISSED_LAST": "0",
        VARIABLE: str(record),
    }
    nodes = {}
    for which in range(1, number + 1):
        own = {"TOCSIN_NAME": f"n{which}", "TOCSIN_CLUSTER_LISTEN": f"127.0.0.1:{free_port()}"}
        nodes[f"n{which}"] = NodeProcess(
            directory / f"n{which}", tuple(str(module) for module in modules), common | own | variables
        )
    made = Cluster(directory, postgres, zookeeper, nodes, record, url)
    try:
        yield made
    finally:
        for node in nodes.values():
            if node.process is not None:
                # One that has ended by itself stays there until it is reaped.
                node.process.send_signal(signal.SIGCONT)
            node.clean_up()
