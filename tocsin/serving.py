"""A node as a program of its own: node, server and signals in one loop. This is what `tocsin up` runs."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs
import trio

from actors.composition import real_world
from actors.handling.catalogue import Catalogue
from runtime.clock import Instant
from runtime.errors import TocsinError
from runtime.world import World, termination_signals

from .access.authentication import SessionLimits
from .access.settings import check_access
from .api.entrance import ApiSettings
from .api.server import serve_api
from .client import NODE_FILE, TOKEN_FILE
from .lifetime.files import LOOK_SECONDS, LoadedFiles, handler_files
from .lifetime.runs import Run, counted, described, going_on, how_they_go_on, left_behind, listed
from .lifetime.types import orphaned_tasks
from .live.settings import FollowerLimits
from .node import LocalNode, open_configured
from .settings.config import Config
from .settings.node_settings import node_config
from .settings.secret_files import read_or_make, write_private

logger = logging.getLogger(__name__)

TELL_SECONDS: Final = 5.0
"""How often a node that stops tells what it still waits for: seldom enough to be read, often enough not to look hung."""


@attrs.frozen
class Serving:
    """What is known when everything is up. `began`: when the node was about to start."""

    url: str
    data: Path
    node: LocalNode
    began: Instant


async def serve_node(
    config: Config, catalogue: Catalogue, ready: Callable[[Serving], None], world: World | None = None
) -> None:
    """Run node and server until SIGTERM or SIGINT, then drain and stop in order. A second signal
    interrupts the handlers at once.

    ready: called once everything is up. Raises AlreadyRunning when another node has the data directory, Conflict when the
    address is taken.
    """
    async with open_serving(config, catalogue, world) as serving:
        ready(serving)
        await _until_signalled(serving)


@asynccontextmanager
async def open_serving(config: Config, catalogue: Catalogue, world: World | None = None) -> AsyncIterator[Serving]:
    """Node and server while the block runs; `node.json` in the data directory tells the command line where."""
    check_access(config, config.listen)
    world = world or real_world(node_config(config))
    began = world.now()
    async with open_configured(config, catalogue, world) as node, trio.open_nursery() as nursery:
        stop = trio.Event()
        token = read_or_make(config.data / TOKEN_FILE, node.world)
        if not config.listen.is_loopback:
            logger.warning(
                "listening on %s, beyond this machine: %scommands run %s",
                config.listen,
                "" if config.tls_certificate else "the token travels unencrypted, and ",
                ", ".join(config.commands_allowed) or "nothing, because commands.allowed is empty",
            )
        settings = ApiSettings(
            config.body_limit,
            config.tls_certificate,
            config.tls_key,
            config.cors_origins,
            config.rate,
            config.burst,
            config.failed_logins,
            FollowerLimits(config.event_followers, config.event_followers_per_token, config.event_rate),
            config.socket_limits,
            tenant_rate=config.tenant_rate,
            tenant_burst=config.tenant_burst,
            sessions=SessionLimits(config.session_lifetime, config.session_idle),
            listen=config.listen,
            hosts=config.hosts,
        )
        url = await nursery.start(serve_api, node.inner, config.listen, token, settings, stop)
        node_file = config.data / NODE_FILE
        write_private(node_file, json.dumps(_told(config, url, node.inner.boot)))
        try:
            yield Serving(url, config.data, node, began)
        finally:
            with suppress(OSError):
                node_file.unlink()
            node.inner.outside.send_away()
            stop.set()


def _told(config: Config, url: str, boot: str) -> dict[str, object]:
    """What programs on this machine are told of the node."""
    told: dict[str, object] = {"url": url, "pid": os.getpid(), "boot": boot}
    if config.tls_certificate:
        told["certificate"] = str(Path(config.tls_certificate).absolute())
    return told


async def _tell_left_behind(serving: Serving) -> None:
    node = serving.node.inner
    with _telling("what the former life left behind"):
        if found := await left_behind(node, serving.began):
            told = listed(await how_they_go_on(node, found))
            logger.warning("When this node last stopped, it interrupted %s: %s", counted(len(found)), told)


async def _tell_orphaned(node: LocalNode) -> None:
    with _telling("which tasks have no node"):
        if found := await orphaned_tasks(node.inner):
            told = listed(found, ", ")
            logger.warning("No node has the type of: %s. Was its file not given to 'tocsin up'?", told)


async def _tell_changes(node: LocalNode) -> None:
    loaded = LoadedFiles(handler_files(node.catalogue))
    while True:
        await trio.sleep(LOOK_SECONDS)
        for file in loaded.changed():
            logger.warning("%s has changed since the node loaded it: restart the node to use it", file)


async def _until_signalled(serving: Serving) -> None:
    node = serving.node
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_tell_left_behind, serving)
        nursery.start_soon(_tell_orphaned, node)
        nursery.start_soon(_tell_changes, node)
        count = 0
        async for number in termination_signals():
            count += 1
            if count == 1:
                logger.info("%s: draining; once more interrupts the handlers at once", number.name)
                nursery.start_soon(_drain, node, nursery.cancel_scope)
            else:
                logger.info("%s: interrupting the handlers", number.name)
                nursery.start_soon(node.drain, 0.0)


async def _drain(node: LocalNode, done: trio.CancelScope) -> None:
    runs = await _going_on(node)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_tell_waiting, node)
        await node.drain()
        nursery.cancel_scope.cancel()
    with _telling("what was interrupted"):
        if told := await how_they_go_on(node.inner, runs):
            logger.warning("%s interrupted: at the next start %s", counted(len(told)), listed(told))
    done.cancel()


async def _tell_waiting(node: LocalNode) -> None:
    grace = node.inner.config.drain_seconds
    waits = f"waiting for up to {grace:g} s, then they are interrupted"
    while runs := await _going_on(node):
        logger.info("%s; %s", described(runs, node.world.now()), waits)
        await trio.sleep(TELL_SECONDS)
        waits = "still waiting"


async def _going_on(node: LocalNode) -> list[Run]:
    with _telling("what goes on"):
        return await going_on(node.inner)
    return []


@contextmanager
def _telling(what: str) -> Iterator[None]:
    """What cannot be told hinders nothing: a store that does not answer does not keep a node from its start or end."""
    try:
        yield
    except TocsinError as error:
        logger.warning("cannot tell %s: %s", what, error)
