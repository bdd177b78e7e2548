"""`tocsin up`: read the configuration, load the handlers, run the node."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import attrs
import trio

from actors.composition import real_world

from ..allowed import allowed_commands
from ..api.openapi import DOCS_PATH
from ..live.logs import set_up_logging
from ..loading import load_catalogue
from ..node import single_error
from ..serving import Serving, serve_node
from ..settings.config import Config, load_config
from ..settings.node_settings import node_config


def run_node(file: Path | None, flags: Mapping[str, object], verbose: bool) -> int:
    """Run a node until it is told to stop. Answers the exit code; errors of the table are raised as themselves."""
    config = load_config(os.environ, file, flags).config
    set_up_logging(config.log_format, "DEBUG" if verbose else config.log_level)
    config = attrs.evolve(config, data=config.data.absolute())
    world = real_world(node_config(config))
    catalogue = load_catalogue(
        config.tasks,
        world,
        commands=allowed_commands(config),
        placements=config.own_placements,
        reachable=config.http_allowed,
    )
    with single_error():
        trio.run(serve_node, config, catalogue, partial(_welcome, config), world)
    print("The node has stopped.", file=sys.stderr)
    return 0


def _welcome(config: Config, serving: Serving) -> None:
    names = serving.node.catalogue.names()
    tocsin = f"{_prefix(serving.data)}{_program()}"
    print(
        f"Tocsin is up: {config.name}\n"
        f"  console     {serving.url}/console   (logged in: {tocsin} console)\n"
        f"  REST        {serving.url}/api   (described at {serving.url}{DOCS_PATH})\n"
        f"  data in     {serving.data}   (the token for other programs: {serving.data / 'token'})\n"
        f"  task types  {', '.join(names) or 'none'}\n"
        f"  list tasks  {tocsin} task list\n"
        f"  add one     {tocsin} task add hello --every 10s -- echo hello\n"
        f"  stop        Ctrl-C, or SIGTERM to process {os.getpid()}",
        flush=True,
    )


def _program() -> str:
    """What another terminal calls this command: its name if that is found, else where it is."""
    if shutil.which("tocsin"):
        return "tocsin"
    return sys.argv[0] if Path(sys.argv[0]).name == "tocsin" else f"{sys.executable} -m tocsin"


def _prefix(data: Path) -> str:
    """What another terminal needs to find the node: nothing where it is in the usual place."""
    return "" if data == Path(".tocsin").absolute() else f"TOCSIN_DATA={data} "
