"""The settings that make a node one of a cluster, what must hold between them, and how they go to the floor below."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from actors.cluster_config import ClusterConfig, TlsFiles
from actors.model.placement import LEAST_LOADED, STRATEGIES
from runtime.clock import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Micros
from runtime.errors import InvalidRequest

from .placement_rules import parse_rules, read_rules
from .setting_readers import (
    Address,
    StoreUrl,
    about,
    optional,
    read_address,
    read_flag,
    read_labels,
    read_modules,
    read_root,
    read_server,
    read_servers,
    read_store_url,
    read_strategy,
    read_text,
    span,
    whole,
)

SHORTEST_KEY: Final = 16
"""Characters of a shared key: what `openssl rand -hex 16` writes is twice as long."""

MOST_KEYS: Final = 2
"""In the file of the shared key: a change from one to another."""

EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


def _file(key: str, reason: str) -> Any:
    return attrs.field(default="", metadata=about(key, optional(read_text), "file", reason))


@attrs.frozen
class ClusterSettings:
    """See the module's docstring. `Config` adds those of any node."""

    coordination_enabled: bool = attrs.field(
        default=False,
        metadata=about(
            "coordination.enabled",
            read_flag,
            "true or false",
            "one node needs no servers; true makes it one of a cluster",
        ),
    )
    coordination_servers: tuple[str, ...] = attrs.field(
        default=(),
        metadata=about(
            "coordination.servers",
            read_servers,
            "HOST:PORT, ...",
            "the ZooKeeper servers; any of them will do at a time",
        ),
    )
    coordination_embedded: bool = attrs.field(
        default=False,
        metadata=about(
            "coordination.embedded",
            read_flag,
            "true or false",
            "for development: the node starts ZooKeeper, and PostgreSQL unless store.url names one, as its children",
        ),
    )
    session_timeout: Micros = attrs.field(
        default=Micros(5 * SECOND),
        metadata=about(
            "coordination.session_timeout",
            span(SECOND, MINUTE),
            "duration",
            "a node that is silent for so long is gone; 4 to 6 s: shorter takes a stall for a death, longer delays takeover",
        ),
    )
    coordination_root: str = attrs.field(
        default="/tocsin",
        metadata=about("coordination.root", read_root, "path", "clusters that share servers take roots of their own"),
    )
    min_nodes: int = attrs.field(
        default=1,
        metadata=about(
            "coordination.min_nodes",
            whole(1, 1_000),
            "nodes",
            "a cold cluster owns nothing until so many are there, so that the first one does not take all",
        ),
    )
    gate_timeout: Micros = attrs.field(
        default=MINUTE,
        metadata=about(
            "coordination.gate_timeout",
            span(Micros(0), HOUR),
            "duration",
            "how long a cold cluster waits for min_nodes: a node that does not come must not stop the others for ever",
        ),
    )
    coordination_credentials_file: str = _file(
        "coordination.credentials_file",
        "USER:PASSWORD in its first line; then only this user may read and write below the root",
    )
    coordination_ca: str = _file("coordination.tls.ca", "who signs the servers' certificates; makes connections TLS")
    coordination_certificate: str = _file("coordination.tls.certificate", "who we are, if the servers ask")
    coordination_key: str = _file("coordination.tls.key", "belongs to the certificate")
    store_url: StoreUrl = attrs.field(
        default=StoreUrl(""),
        metadata=about(
            "store.url",
            read_store_url,
            "postgresql://...",
            "empty: SQLite in the data directory, for one node; a cluster shares a PostgreSQL database",
        ),
    )
    store_grace: Micros = attrs.field(
        default=Micros(2 * SECOND),
        metadata=about(
            "store.grace",
            span(SECOND, MINUTE),
            "duration",
            "a node that cannot commit for so long gives its partitions to others; a restart of PostgreSQL is shorter",
        ),
    )
    cluster_listen: Address = attrs.field(
        default=Address("127.0.0.1", 7401),
        metadata=about(
            "cluster.listen", read_address, "HOST:PORT", "for links from other nodes; beside the API's port"
        ),
    )
    cluster_advertise: str = attrs.field(
        default="",
        metadata=about(
            "cluster.advertise",
            optional(read_server),
            "HOST:PORT",
            "what other nodes connect to; empty: as cluster.listen, which will not do where that means every address",
        ),
    )
    cluster_key_file: str = _file(
        "cluster.key_file",
        f"the secret that all nodes share, {SHORTEST_KEY} characters or more, in its first line: who does not know it is no "
        "node; a second line is another key that others may show while the key is changed",
    )
    cluster_ca: str = _file(
        "cluster.tls.ca", "who signs the certificates of all nodes; with both below links are mutual TLS"
    )
    cluster_certificate: str = _file("cluster.tls.certificate", "this node's, for both ends of a link")
    cluster_key: str = _file("cluster.tls.key", "belongs to the certificate")
    lease: Micros = attrs.field(
        default=Micros(5 * SECOND),
        metadata=about(
            "cluster.lease",
            span(Micros(3 * SECOND), DAY),
            "duration",
            "renewed every second in the store; after it what a dead node ran is taken up again, at two thirds of it a node "
            "that cannot renew interrupts what it runs",
        ),
    )
    labels: Mapping[str, str] = attrs.field(
        factory=dict,
        metadata=about("node.labels", read_labels, "name=value", "what placement can ask for, such as zone or disk"),
    )
    executor: bool = attrs.field(
        default=True,
        metadata=about(
            "node.executor",
            read_flag,
            "true or false",
            "false: it keeps time and runs no stored tasks, until switched on",
        ),
    )
    strategy: str = attrs.field(
        default=LEAST_LOADED,
        metadata=about(
            "placement.strategy",
            read_strategy,
            "name",
            "which of the nodes that may run a task is asked, where the task does not say; or a plug-in's class path",
        ),
    )
    placement_plugins: tuple[str, ...] = attrs.field(
        default=(),
        metadata=about(
            "placement.plugins",
            read_modules,
            "package.module:Class, ...",
            "strategies of your own that tasks may name, beside those of installed packages: a task must not load any class",
        ),
    )
    placement_rules: tuple[str, ...] = attrs.field(
        default=(),
        metadata=about(
            "placement.rules",
            read_rules,
            "rules",
            "for the strategy rules, the first that fits and has room: 'type=video.* tag=gpu queue=q label.team=a -> disk=ssd'",
        ),
    )
    offer_timeout: Micros = attrs.field(
        default=SECOND,
        metadata=about(
            "placement.offer_timeout",
            span(Micros(100 * MILLISECOND), MINUTE),
            "duration",
            "an execution that was offered and not taken is then open to every node that may run it",
        ),
    )

    @property
    def own_placements(self) -> tuple[str, ...]:
        """The users' strategies that the node needs."""
        usual = () if self.strategy in STRATEGIES else (self.strategy,)
        return tuple(dict.fromkeys((*self.placement_plugins, *usual)))

    @property
    def clustered(self) -> bool:
        """Whether the node is to be one of a cluster."""
        return self.coordination_enabled or self.coordination_embedded


def check_cluster(settings: ClusterSettings) -> None:
    """What must hold between settings. Raises InvalidRequest that says what to change."""
    if settings.coordination_embedded and settings.coordination_servers:
        raise InvalidRequest("coordination.embedded and coordination.servers: one of them, not both")
    if settings.clustered:
        _check_complete(settings)
    elif settings.store_url:
        raise InvalidRequest(
            "store.url: a PostgreSQL store is shared, and without coordination two nodes on it would both own everything: "
            "set coordination.enabled and coordination.servers, or leave store.url empty for SQLite"
        )
    _check_tls("coordination.tls", _coordination_files(settings), certificate_needed=False)
    _check_tls("cluster.tls", _link_files(settings), certificate_needed=True)


def _check_complete(settings: ClusterSettings) -> None:
    if not settings.coordination_servers and not settings.coordination_embedded:
        raise InvalidRequest(
            "coordination.servers: coordination.enabled needs them, for example zk1:2181,zk2:2181,zk3:2181"
        )
    if not settings.store_url and not settings.coordination_embedded:
        raise InvalidRequest(
            "store.url: a cluster needs a store that all of its nodes reach, postgresql://...; SQLite is for one node, "
            "which needs no coordination"
        )
    secured = settings.cluster_key_file or settings.cluster_ca
    if not settings.cluster_listen.is_loopback and not secured:
        raise InvalidRequest(
            f"cluster.listen: {settings.cluster_listen} can be reached from other machines, so nodes must know each other: "
            "set cluster.key_file or cluster.tls"
        )
    if settings.cluster_listen.host in EVERYWHERE and not settings.cluster_advertise:
        raise InvalidRequest(
            f"cluster.advertise: cluster.listen {settings.cluster_listen} is every address of this machine; say the one that "
            "other nodes can connect to"
        )


def _coordination_files(settings: ClusterSettings) -> tuple[str, str, str]:
    return settings.coordination_ca, settings.coordination_certificate, settings.coordination_key


def _link_files(settings: ClusterSettings) -> tuple[str, str, str]:
    return settings.cluster_ca, settings.cluster_certificate, settings.cluster_key


def _check_tls(group: str, files: tuple[str, str, str], *, certificate_needed: bool) -> None:
    ca, certificate, key = files
    if not any(files):
        return
    if not ca or bool(certificate) is not bool(key) or (certificate_needed and not certificate):
        needed = "ca, certificate and key belong together" if certificate_needed else "ca, and certificate with key"
        raise InvalidRequest(f"{group}: {needed}; it has {', '.join(_named(files))}")


def _named(files: tuple[str, str, str]) -> list[str]:
    return [name for name, file in zip(("ca", "certificate", "key"), files, strict=True) if file]


def cluster_config(settings: ClusterSettings, name: str) -> ClusterConfig:
    """The settings of a clustered node as the floor below takes them, with the secrets read from their files.

    name: the node's. Raises InvalidRequest for a file that cannot be read or holds something else.
    """
    check_cluster(settings)
    keys = _shared_keys(settings.cluster_key_file)
    return ClusterConfig(
        name=name,
        servers=settings.coordination_servers,
        store_url=settings.store_url.text,
        session_seconds=settings.session_timeout / SECOND,
        root=settings.coordination_root,
        credentials=_credentials(settings.coordination_credentials_file),
        coordination_tls=_tls(_coordination_files(settings)),
        min_nodes=settings.min_nodes,
        gate_seconds=settings.gate_timeout / SECOND,
        listen=str(settings.cluster_listen),
        advertise=settings.cluster_advertise,
        key=next(iter(keys), None),
        also=keys[1:],
        tls=_tls(_link_files(settings)),
        labels=tuple(sorted(settings.labels.items())),
        executor=settings.executor,
        lease_seconds=settings.lease / SECOND,
        store_grace_seconds=settings.store_grace / SECOND,
        offer_seconds=settings.offer_timeout / SECOND,
        strategy=settings.strategy,
        rules=parse_rules(settings.placement_rules),
    )


def _tls(files: tuple[str, str, str]) -> TlsFiles | None:
    ca, certificate, key = files
    if not ca:
        return None
    return TlsFiles(Path(ca), Path(certificate) if certificate else None, Path(key) if key else None)


def _credentials(file: str) -> tuple[str, str] | None:
    if not file:
        return None
    user, colon, password = first_line("coordination.credentials_file", file).partition(":")
    if not colon or not user or not password:
        raise InvalidRequest(f"coordination.credentials_file: USER:PASSWORD in the first line of {file}")
    return user, password


def _shared_keys(file: str) -> tuple[bytes, ...]:
    """The key of the cluster, and one that other nodes may have while it is changed."""
    if not file:
        return ()
    first, *others = [line.strip() for line in _text("cluster.key_file", file).split("\n")]
    keys = [first, *filter(None, others)]
    if len(keys) > MOST_KEYS:
        raise InvalidRequest(
            f"cluster.key_file: {file} has {len(keys)} lines; the key, and while it is changed another one"
        )
    for place, key in zip(("first", "second"), keys, strict=False):
        if len(key) < SHORTEST_KEY:
            raise InvalidRequest(
                f"cluster.key_file: {SHORTEST_KEY} characters or more in the {place} line of {file}, it has {len(key)}"
            )
    return tuple(key.encode("utf-8") for key in keys)


def first_line(field: str, file: str) -> str:
    """The first line of a file that holds a secret, without the blanks around it."""
    return _text(field, file).split("\n", 1)[0].strip()


def _text(field: str, file: str) -> str:
    try:
        return Path(file).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidRequest(f"{field}: {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidRequest(f"{field}: {file} is no text") from None
