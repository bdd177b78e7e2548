"""What a node needs to know to be one of a cluster."""

from __future__ import annotations

from pathlib import Path

import attrs

from .model.placement import LEAST_LOADED
from .rhythm import Rhythm
from .rules.placing import Rule


@attrs.frozen
class TlsFiles:
    """Files in PEM format: whom to trust, and who we are, which a client may leave out."""

    ca: Path
    certificate: Path | None = None
    key: Path | None = None


@attrs.frozen
class ClusterConfig:
    """See the module's docstring. Times are seconds.

    `name`: unique among live nodes. `servers`: HOST:PORT of the coordination servers. `store_url`: of the PostgreSQL database
    that all nodes share, with its password. `session_seconds`: after this without a word a node counts as gone. `root`: the
    path below which the cluster keeps everything at the servers; `credentials`: user and password there; `coordination_tls`:
    for the way there. `min_nodes`, `gate_seconds`: a cold cluster owns nothing before so many nodes are there, or so long.
    `listen`: HOST:PORT for links from other nodes; `advertise`: what they connect to, empty: the address that is listened on.
    `key`: the shared secret by which nodes know each other; `also`: those that others may have while it is changed; `tls`: mutual
    TLS of the links. `labels`: pairs that placement can ask for. `executor`: whether the node takes executions. `lease_seconds`:
    how long attempts count as alive after the node was last able to renew its lease. `store_grace_seconds`: who cannot commit for
    so long gives its partitions up. `offer_seconds`: after this an execution that nobody took is open to every node that may run
    it. `strategy`: how a node is chosen where the task does not say; `rules`: for the strategy of that name. `rhythm`: of what is
    done regularly.
    """

    name: str
    servers: tuple[str, ...]
    store_url: str = attrs.field(repr=False)
    session_seconds: float = 5.0
    root: str = "/tocsin"
    credentials: tuple[str, str] | None = attrs.field(default=None, repr=False)
    coordination_tls: TlsFiles | None = None
    min_nodes: int = 1
    gate_seconds: float = 60.0
    listen: str = "127.0.0.1:7401"
    advertise: str = ""
    key: bytes | None = attrs.field(default=None, repr=False)
    also: tuple[bytes, ...] = attrs.field(default=(), repr=False)
    tls: TlsFiles | None = None
    labels: tuple[tuple[str, str], ...] = ()
    executor: bool = True
    lease_seconds: float = 5.0
    store_grace_seconds: float = 2.0
    offer_seconds: float = 1.0
    strategy: str = LEAST_LOADED
    rules: tuple[Rule, ...] = ()
    rhythm: Rhythm = attrs.field(factory=Rhythm)
