"""How ZooKeeper's servers are reached; apart from the door, so that reading it loads no client."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

import attrs

from .errors import InvalidRequest

DEFAULT_SESSION_SECONDS: Final = 4.0
"""Session timeout: short enough for a takeover in six seconds, long enough for an election."""


@attrs.frozen
class Credentials:
    """What the `digest` scheme asks for. All nodes of a cluster share them: what one creates, all may change, and nobody else."""

    user: str
    password: str = attrs.field(repr=False)


@attrs.frozen
class ClientTls:
    """TLS to the servers. `ca` signs theirs; `certificate` and `key` are shown to them. Files in PEM.

    check_host: the certificate must name the host that was asked for.
    """

    ca: Path
    certificate: Path | None = None
    key: Path | None = None
    check_host: bool = True

    def context(self) -> ssl.SSLContext:
        """What connections are made with: this authority alone is trusted. InvalidRequest if a file cannot be used."""
        try:
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=self.ca)
            context.check_hostname = self.check_host
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except OSError as error:
            raise InvalidRequest(f"tls: {self.ca}, {self.certificate} or {self.key} cannot be used: {error}") from None
        return context


@attrs.frozen
class ZooKeeperSettings:
    """How the servers are reached.

    servers: HOST:PORT of each. root: everything is kept below it, made if missing. session_seconds: the timeout asked for; the
    servers grant between 2 and 20 of their ticks. credentials: without them everybody who reaches the servers may read and
    change what is kept (ACL `world:anyone`); with them only who has the same (ACL `auth`).
    """

    servers: tuple[str, ...]
    root: str = "/tocsin"
    session_seconds: float = DEFAULT_SESSION_SECONDS
    credentials: Credentials | None = None
    tls: ClientTls | None = None

    def __attrs_post_init__(self) -> None:
        if not self.servers or any("/" in server or "," in server for server in self.servers):
            raise InvalidRequest(f"servers: one HOST:PORT each, not {self.servers!r}")
        if not self.root.startswith("/") or self.root.endswith("/") or "//" in self.root:
            raise InvalidRequest(f"root: a path like /tocsin, not {self.root!r}")
