"""The server: the application on Hypercorn, inside the node's loop."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Final

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from runtime.errors import Conflict, InvalidRequest

from ..settings.setting_readers import Address
from .app import Api
from .entrance import ApiSettings

if TYPE_CHECKING:
    from actors.node import Node

_log = logging.getLogger("tocsin.api.server")
# Below that it tells where it listens, which the one who started it tells better.
_log.setLevel(logging.WARNING)

GRACE_SECONDS: Final = 3.0
"""What an open request gets to end when the server stops; the longest operation is an answer within 10 s of a busy keeper."""

KEEP_ALIVE_SECONDS: Final = 30.0
"""An idle connection is closed after this: long enough for a person at a prompt, short enough to hold few."""

MAX_HEADER_BYTES: Final = 32 * 1024
"""Request line and headers; ours have less than 1 kB."""


async def serve_api(
    node: Node,
    listen: Address,
    token: str,
    settings: ApiSettings,
    stop: trio.Event,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` is set, then finish what is open. Reports its URL as started.

    Raises Conflict when the address is taken, InvalidRequest when this machine does not have it.
    """
    api = Api(node, token, settings)
    application = api.application()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(api.hub.run, stop)
            nursery.start_soon(api.sockets.run, stop)
            binds: list[str] = await nursery.start(_serve, application, _settings(listen, settings), stop)
            task_status.started(binds[0])
    except BaseExceptionGroup as group:
        refusal = _address_error(group, listen)
        if refusal is None:
            raise
        raise refusal from None


async def _serve(
    application: object, settings: Config, stop: trio.Event, *, task_status: trio.TaskStatus[list[str]]
) -> None:
    await serve(application, settings, shutdown_trigger=stop.wait, task_status=task_status)  # type: ignore[arg-type]


def _settings(listen: Address, api: ApiSettings) -> Config:
    settings = Config()
    if api.is_secure:
        settings.certfile, settings.keyfile = api.certificate, api.key
    settings.bind = [str(listen)]
    settings.errorlog = _log
    settings.accesslog = None
    settings.graceful_timeout = GRACE_SECONDS
    settings.keep_alive_timeout = KEEP_ALIVE_SECONDS
    settings.h11_max_incomplete_size = MAX_HEADER_BYTES
    settings.include_server_header = False
    settings.websocket_max_message_size = api.sockets.frame_bytes
    return settings


def _address_error(group: BaseExceptionGroup[BaseException], listen: Address) -> Exception | None:
    """The failure to listen, where it is nothing else."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup) and len(found.exceptions) == 1:
        found = found.exceptions[0]
    if not isinstance(found, OSError):
        return None
    if found.errno == errno.EADDRINUSE:
        return Conflict(f"listen: {listen} is taken by another program; give another one with --listen HOST:PORT")
    return InvalidRequest(f"listen: cannot listen on {listen}: {found.strerror or found}")
