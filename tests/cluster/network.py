"""The proxies between the processes of a cluster, run in a thread of their own, so that plain code can cut and heal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal, TypeVar

import attrs
import trio

from tests.cluster.harness import Cluster, cluster
from tests.proxy import Proxy

T = TypeVar("T")

Kind = Literal["zookeeper", "store", "links"]
Way = Literal["both", "up", "down"]


class Network:
    """Proxies by target. Every method may be called from any thread but that of the proxies."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,), name="proxies", daemon=True)
        self._token: trio.lowlevel.TrioToken
        self._nursery: trio.Nursery

    def __enter__(self) -> Network:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._call(lambda: self._nursery.cancel_scope.cancel())
        self._thread.join(10)

    def proxy(self, target: str) -> Proxy:
        """A way to HOST:PORT that can be cut."""
        made = Proxy(target)
        trio.from_thread.run(partial(self._nursery.start, made.run), trio_token=self._token)
        return made

    def cut(self, proxies: Iterable[Proxy], way: Way) -> None:
        """Hold back what passes through these, in one direction or in both."""
        self._call(lambda: [_cut(proxy, way) for proxy in proxies])

    def heal(self, proxies: Iterable[Proxy]) -> None:
        """Let everything pass."""
        self._call(lambda: [proxy.heal() for proxy in proxies])

    def _call(self, function: Callable[[], T]) -> T:
        return trio.from_thread.run_sync(function, trio_token=self._token)

    async def _run(self) -> None:
        async with trio.open_nursery() as self._nursery:
            self._token = trio.lowlevel.current_trio_token()
            self._ready.set()
            await trio.sleep_forever()


def _cut(proxy: Proxy, way: Way) -> None:
    if way in ("both", "up"):
        proxy.up.hold()
    if way in ("both", "down"):
        proxy.down.hold()


@attrs.frozen
class Wired:
    """A cluster all of whose ways go through proxies: by kind and node. `links` are the ways that others take to a node."""

    cluster: Cluster
    network: Network
    ways: dict[tuple[Kind, str], list[Proxy]]

    def cut(self, kind: Kind, node: str, way: Way) -> None:
        """Let nothing pass between a node and the servers or nodes of this kind."""
        self.network.cut(self.ways[kind, node], way)

    def heal(self, kind: Kind, node: str) -> None:
        """And again."""
        self.network.heal(self.ways[kind, node])


@contextmanager
def wire(made: Cluster) -> Iterator[Wired]:
    """Put proxies between the processes of a cluster that was not started yet."""
    with Network() as network:
        ways: dict[tuple[Kind, str], list[Proxy]] = {}
        store = f"127.0.0.1:{made.postgres.port}"
        for name, node in made.nodes.items():
            own = node.environment
            ways["zookeeper", name] = [network.proxy(address) for address in made.zookeeper.addresses]
            ways["store", name] = [network.proxy(store)]
            ways["links", name] = [network.proxy(own["TOCSIN_CLUSTER_LISTEN"])]
            own["TOCSIN_COORDINATION_SERVERS"] = ",".join(proxy.address for proxy in ways["zookeeper", name])
            own["TOCSIN_STORE_URL"] = made.url.replace(store, ways["store", name][0].address)
            own["TOCSIN_CLUSTER_ADVERTISE"] = ways["links", name][0].address
        yield Wired(made, network, ways)


__all__ = ["Kind", "Network", "Way", "Wired", "cluster", "wire"]
