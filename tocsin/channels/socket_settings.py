"""The settings of the WebSocket channel."""

from __future__ import annotations

from typing import Final

import attrs

from ..settings.setting_readers import about, whole
from ..tracing.settings import TracingSettings

FRAME_BYTES: Final = 16 * 1024
"""Of one message that a client sends: parameters of an ordinary invocation; larger data belongs where they can point to."""

CONNECTIONS: Final = 256
"""Connections to one node: each holds some 100 kB with its buffers."""

CONNECTIONS_PER_USER: Final = 16
"""Of them by one user: his consoles and programs, and a program that opens ever more is stopped."""

INVOCATIONS: Final = 64
"""Invocations of one connection that may be under way: each is looked at a few times a second."""


@attrs.frozen
class SocketLimits:
    """How many connections there may be, in all and by one user; how many invocations each has; bytes of a message."""

    connections: int = CONNECTIONS
    per_user: int = CONNECTIONS_PER_USER
    invocations: int = INVOCATIONS
    frame_bytes: int = FRAME_BYTES


DEFAULT_SOCKET_LIMITS: Final = SocketLimits()


@attrs.frozen
class SocketSettings(TracingSettings):
    """See the module's docstring. `Config` adds those of any node."""

    socket_connections: int = attrs.field(
        default=CONNECTIONS,
        metadata=about(
            "websocket.connections",
            whole(0, 100_000),
            "connections",
            "who invokes over a WebSocket of this node; each holds some memory",
        ),
    )
    socket_connections_per_user: int = attrs.field(
        default=CONNECTIONS_PER_USER,
        metadata=about(
            "websocket.per_user",
            whole(0, 100_000),
            "connections",
            "of them by one user: a program that opens ever more does not take the place of the others",
        ),
    )
    socket_invocations: int = attrs.field(
        default=INVOCATIONS,
        metadata=about(
            "websocket.invocations",
            whole(1, 10_000),
            "invocations",
            "of one connection, under way at once; each is looked at a few times a second",
        ),
    )
    socket_frame: int = attrs.field(
        default=FRAME_BYTES,
        metadata=about(
            "websocket.frame",
            whole(1_024, 4 * 1024 * 1024),
            "bytes",
            "of one message of a client: parameters of an ordinary invocation; a larger one ends the connection",
        ),
    )

    @property
    def socket_limits(self) -> SocketLimits:
        """These settings together."""
        return SocketLimits(
            self.socket_connections, self.socket_connections_per_user, self.socket_invocations, self.socket_frame
        )
