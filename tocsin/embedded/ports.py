"""Free loopback ports for servers that are stopped and started again."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path
from typing import Final

from runtime.errors import Conflict

LOOPBACK: Final = "127.0.0.1"

_LOWEST: Final = 15_000
"""Below it are the ports of services that machines are likely to run."""

_RANGE_FILE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUAL_EPHEMERAL: Final = 32_768
_TRIES: Final = 200

_given: set[int] = set()


def free_port() -> int:
    """A port that nothing listens on and that this process has not given out before.

    It lies below the range from which the system takes ports for outgoing connections: else one of those could have it
    while its server is down.
    """
    highest = _lowest_ephemeral()
    for _ in range(_TRIES):
        port = _LOWEST + secrets.randbelow(highest - _LOWEST)
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise Conflict(f"no free port from {_LOWEST} to {highest} on {LOOPBACK}")


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _lowest_ephemeral() -> int:
    try:
        lowest = int(_RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _USUAL_EPHEMERAL
    return lowest if lowest > _LOWEST + 1_000 else 65_536
