"""A look at one ZooKeeper server from outside: whether it answers, what it is among the others, what time it has."""

from __future__ import annotations

import logging
import re
from typing import Final

import attrs
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.security import Permissions

from .clock import MILLISECOND, Micros
from .registry_messages import RegistryUnavailable
from .zookeeper_settings import ZooKeeperSettings

PROBE: Final = "doctor-"
"""Name of the node that is made below the root, and gone at once: its time of creation is the servers' clock."""

_CHANGES: Final = {
    "write": Permissions.WRITE,
    "create": Permissions.CREATE,
    "delete": Permissions.DELETE,
    "admin": Permissions.ADMIN,
}
"""Rights that change something -> their bits in an ACL."""

_silent = logging.getLogger("tocsin.zookeeper.check")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


@attrs.frozen
class ServerFacts:
    """What a server tells. `mode`: standalone, leader, follower, or empty if it does not say; `now`: its clock, or None.

    `open_to_all`: what anybody who reaches the servers may do to the root, of create, delete, write and admin.
    """

    mode: str
    version: str
    now: Micros | None
    rooted: bool
    open_to_all: tuple[str, ...] = ()


def look(server: str, settings: ZooKeeperSettings, seconds: float) -> ServerFacts:
    """Ask one server, with the settings that nodes use. seconds: for the connection. Raises RegistryUnavailable."""
    tls, credentials = settings.tls, settings.credentials
    client = KazooClient(
        hosts=server,
        timeout=seconds,
        logger=_silent,
        auth_data=None if credentials is None else [("digest", f"{credentials.user}:{credentials.password}")],
        use_ssl=tls is not None,
        ca=None if tls is None else str(tls.ca),
        certfile=None if tls is None or tls.certificate is None else str(tls.certificate),
        keyfile=None if tls is None or tls.key is None else str(tls.key),
        verify_certs=tls is not None,
    )
    try:
        client.start(timeout=seconds)
        said = client.command(b"srvr")
        rooted = client.exists(settings.root) is not None
        return ServerFacts(
            _told(said, "Mode"),
            _told(said, "Zookeeper version"),
            _clock(client, settings.root, rooted),
            rooted,
            _open_to_all(client, settings.root) if rooted else (),
        )
    except (KazooException, KazooTimeoutError, OSError) as error:
        raise RegistryUnavailable(f"{server}: {str(error) or type(error).__name__}") from None
    finally:
        client.stop()
        client.close()


def _told(said: str, what: str) -> str:
    found = re.search(rf"^{what}: ([^\s,-]+)", said, re.MULTILINE)
    return found[1] if found else ""


def _open_to_all(client: KazooClient, root: str) -> tuple[str, ...]:
    """What anybody may do to the root, beyond reading it; nothing where that cannot be told."""
    try:
        acls, _ = client.get_acls(root)
    except KazooException:
        return ()
    granted = 0
    for acl in acls:
        if acl.id.scheme == "world":
            granted |= acl.perms
    return tuple(name for name, bit in _CHANGES.items() if granted & bit)


def _clock(client: KazooClient, root: str, rooted: bool) -> Micros | None:
    """The time at which the servers make something now; None where nothing can be made."""
    if not rooted:
        return None
    try:
        path, stat = client.create(f"{root}/{PROBE}", ephemeral=True, sequence=True, include_data=True)
        client.delete(path)
    except KazooException:
        return None
    return Micros(stat.ctime * MILLISECOND)
