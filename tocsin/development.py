"""The development cluster: ZooKeeper, PostgreSQL and some nodes on this machine, as children of one process."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from runtime.errors import Conflict, InvalidRequest
from runtime.processes import Child, describe_exit, start_child
from runtime.world import World, termination_signals

from .client import NODE_FILE, TOKEN_FILE
from .embedded.ports import LOOPBACK, free_port
from .embedded.postgres import EmbeddedPostgres, let_enter
from .embedded.zookeeper import EmbeddedZooKeeper
from .settings.config import Config, variable_of
from .settings.secret_files import read_or_make
from .settings.setting_readers import StoreUrl

logger = logging.getLogger(__name__)

MAX_NODES: Final = 32
"""On one machine: each is a process of some 60 MB."""

READY_SECONDS: Final = 60.0
"""How long a node may take to answer: it starts within a second or two, many at once on a busy machine within some more."""

POLL_SECONDS: Final = 0.1

STOP_SECONDS: Final = 60.0
"""What a node gets to drain before it is killed; a second signal makes it hurry."""

_LINE: Final = 64 * 1024
"""Bytes of a log line that are shown together."""

_PIECE: Final = 16 * 1024


# -- servers


@attrs.frozen
class Servers:
    """Running servers: HOST:PORT of each of ZooKeeper's, the URL of the store with its password."""

    coordination: tuple[str, ...]
    store_url: str


@asynccontextmanager
async def open_servers(
    directory: Path, world: World, *, zookeeper_servers: int = 1, store_url: str = ""
) -> AsyncIterator[Servers]:
    """ZooKeeper and PostgreSQL while the block runs; their files are under `directory`. store_url: use this store instead.

    The directory exists, and is ours. Raises NotFound if packages are missing, Conflict if a server does not start.
    """
    zookeeper = EmbeddedZooKeeper(directory / "zookeeper", zookeeper_servers)
    postgres = None if store_url else EmbeddedPostgres(directory / "postgres")
    if postgres is not None:
        let_enter(directory)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(world.blocking, zookeeper.start, lane="zookeeper"))
            if postgres is not None:
                nursery.start_soon(partial(world.blocking, postgres.start, lane="postgres"))
        yield Servers(zookeeper.addresses, store_url if postgres is None else postgres.dsn)
    finally:
        with trio.CancelScope(shield=True):
            await world.blocking(zookeeper.stop, lane="zookeeper")
            if postgres is not None:
                await world.blocking(postgres.stop, lane="postgres")


@asynccontextmanager
async def with_servers(config: Config, world: World) -> AsyncIterator[Config]:
    """The configuration, with the addresses of the servers that the node starts for itself, if so. They end with the block."""
    if not config.coordination_embedded:
        yield config
        return
    directory = config.data / "servers"
    let_enter(config.data)
    with world.lock_directory(directory):
        async with open_servers(directory, world, store_url=config.store_url.text) as servers:
            logger.info("ZooKeeper listens on %s", ", ".join(servers.coordination))
            yield attrs.evolve(
                config,
                coordination_enabled=True,
                coordination_embedded=False,
                coordination_servers=servers.coordination,
                store_url=StoreUrl(servers.store_url),
            )


# -- nodes


@attrs.frozen
class Plan:
    """A development cluster. `port`: of the first node's API, the others follow. `arguments`: for every `tocsin up`."""

    directory: Path
    nodes: int = 3
    port: int = 7400
    zookeeper_servers: int = 1
    arguments: tuple[str, ...] = ()


@attrs.frozen
class ClusterNode:
    """One node's process, and where its files are."""

    name: str
    data: Path
    child: Child
    ended: trio.Event = attrs.field(factory=trio.Event)

    def url(self) -> str | None:
        """Where its API answers; None while it does not."""
        try:
            found = json.loads((self.data / NODE_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return str(found["url"]) if found["pid"] == self.child.pid else None


Say = Callable[[str], None]


async def run_cluster(plan: Plan, world: World, say: Say) -> int:
    """Run a cluster until SIGTERM or SIGINT, or until its last node has ended; then end everything in order.

    say: shows a line, of the cluster or of one of its nodes. Answers the exit code. Raises as `open_servers`, InvalidRequest
    for a plan that cannot be, AlreadyRunning if the directory is another cluster's, Conflict if a node does not come up.
    """
    if not 1 <= plan.nodes <= MAX_NODES:
        raise InvalidRequest(f"nodes: from 1 to {MAX_NODES}, not {plan.nodes}")
    if not 0 <= plan.port <= 65_536 - plan.nodes:
        raise InvalidRequest(f"port: from 0 to {65_536 - plan.nodes}, not {plan.port}")
    with world.lock_directory(plan.directory):
        read_or_make(plan.directory / "key", world)
        async with open_servers(plan.directory, world, zookeeper_servers=plan.zookeeper_servers) as servers:
            say(f"ZooKeeper listens on {', '.join(servers.coordination)}, PostgreSQL on {StoreUrl(servers.store_url)}")
            return await _run_nodes(plan, world, servers, say)


async def _run_nodes(plan: Plan, world: World, servers: Servers, say: Say) -> int:
    nodes: list[ClusterNode] = []
    told = trio.Event()
    try:
        for number in range(1, plan.nodes + 1):
            nodes += [await _start_node(plan, number, servers, world)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_when_told, nodes, told)
            async with trio.open_nursery() as shown:
                shown.start_soon(_tell_ready, plan, nodes, told, say)
                for node in nodes:
                    shown.start_soon(_show_lines, node.name, node.child.stdout, say)
                    shown.start_soon(_show_lines, node.name, node.child.stderr, say)
                    shown.start_soon(_tell_end, node, say)
            nursery.cancel_scope.cancel()
    finally:
        for node in nodes:
            await node.child.end(0.0)
    return 0 if told.is_set() else 1


async def _start_node(plan: Plan, number: int, servers: Servers, world: World) -> ClusterNode:
    name = f"node-{number}"
    data = plan.directory / name
    data.mkdir(exist_ok=True, mode=0o700)
    port = plan.port + number - 1 if plan.port else 0
    argv = [sys.executable, "-m", "tocsin", "up", *plan.arguments]
    flags = ["--data", str(data), "--listen", f"{LOOPBACK}:{port}", "--name", name]
    environment = {**world.environment(), **_variables(plan, servers)}
    return ClusterNode(name, data, await start_child(world, [*argv, *flags], environment=environment))


def _variables(plan: Plan, servers: Servers) -> Mapping[str, str]:
    """The settings of a node that make it one of this cluster, as variables of its process."""
    settings = {
        "coordination.enabled": "true",
        "coordination.embedded": "false",
        "coordination.servers": ",".join(servers.coordination),
        "coordination.min_nodes": str(plan.nodes),
        "store.url": servers.store_url,
        "cluster.listen": f"{LOOPBACK}:{free_port()}",
        "cluster.key_file": str(plan.directory / "key"),
    }
    return {variable_of(key): value for key, value in settings.items()}


async def _show_lines(name: str, stream: trio.abc.ReceiveStream, say: Say) -> None:
    rest = b""
    while piece := await stream.receive_some(_PIECE):
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _LINE:
            lines, rest = [*lines, rest], b""
        for line in lines:
            say(f"{name} | {line.decode('utf-8', 'replace')}")
    if rest:
        say(f"{name} | {rest.decode('utf-8', 'replace')}")


async def _tell_end(node: ClusterNode, say: Say) -> None:
    code = await node.child.wait()
    node.ended.set()
    say(f"{node.name} has ended: {describe_exit(code)}")


async def _tell_ready(plan: Plan, nodes: Sequence[ClusterNode], told: trio.Event, say: Say) -> None:
    deadline = trio.current_time() + READY_SECONDS
    while None in (urls := [node.url() for node in nodes]):
        if told.is_set():
            return
        missing = [node for node, url in zip(nodes, urls, strict=True) if url is None]
        if any(node.ended.is_set() for node in missing) or trio.current_time() > deadline:
            raise Conflict(f"the cluster is not complete: {', '.join(node.name for node in missing)} did not come up")
        await trio.sleep(POLL_SECONDS)
    say(f"The cluster is up: {plan.nodes} nodes, data in {plan.directory}")
    for node, url in zip(nodes, urls, strict=True):
        say(f"  {node.name}  {url}   (the token for other programs: {node.data / TOKEN_FILE})")
    say(f"  look at it  TOCSIN_DATA={nodes[0].data} tocsin node list")
    say(f"  stop        Ctrl-C, or SIGTERM to process {os.getpid()}")


async def _stop_when_told(nodes: Sequence[ClusterNode], told: trio.Event) -> None:
    async with trio.open_nursery() as nursery:
        async for _ in termination_signals():
            told.set()
            for node in nodes:
                nursery.start_soon(node.child.terminate, STOP_SECONDS)
