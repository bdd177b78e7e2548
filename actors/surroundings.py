"""What a node of a cluster stands on in production: PostgreSQL, ZooKeeper and TCP, as configured."""

from __future__ import annotations

import attrs

from runtime.tcp import TcpNetwork
from runtime.world import World
from runtime.zookeeper import ZooKeeperRegistry
from runtime.zookeeper_settings import ClientTls, Credentials, ZooKeeperSettings

from .cluster import Surroundings
from .cluster_config import ClusterConfig
from .lanes import NodeConfig
from .store.postgres import PostgresStore
from .store.postgres_link import PostgresLimits


def real_surroundings(config: NodeConfig, cluster: ClusterConfig, world: World) -> Surroundings:
    """PostgreSQL, ZooKeeper and TCP, as configured."""
    usual = PostgresLimits()
    # A node that hangs in a transaction must have let go of its rows before another one takes its partitions.
    limits = attrs.evolve(usual, wait=min(usual.wait, cluster.session_seconds / 2))
    store = PostgresStore(cluster.store_url, deliveries_kept=config.deliveries_kept, limits=limits)
    settings = ZooKeeperSettings(
        cluster.servers,
        root=cluster.root,
        session_seconds=cluster.session_seconds,
        credentials=None if cluster.credentials is None else Credentials(*cluster.credentials),
        tls=_client_tls(cluster),
    )
    return Surroundings(store, ZooKeeperRegistry(world, settings), TcpNetwork())


def _client_tls(cluster: ClusterConfig) -> ClientTls | None:
    files = cluster.coordination_tls
    return None if files is None else ClientTls(files.ca, files.certificate, files.key)
