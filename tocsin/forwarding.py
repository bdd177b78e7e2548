"""What other nodes of the cluster may ask of this one: operations of the table that concern the node itself."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final

from actors.peer_messages import Call as Asked
from actors.peer_messages import Result
from runtime.errors import Forbidden, InvalidRequest, TocsinError

from .calls import Call
from .context_tools import read_arguments
from .error_table import INTERNAL, row_of
from .operations import BY_NAME
from .services import SERVICES

if TYPE_CHECKING:
    from actors.node import Node

logger = logging.getLogger(__name__)

CHANNEL: Final = "node"
"""How an execution that another node asked for came to be."""

FORWARDED: Final = frozenset("drain_node switch_executor".split())
"""What nodes ask of each other."""


async def answer(node: Node, boot: str, asked: Asked) -> Result:
    """Carry out what the node with this boot id asks for; an error travels as its title and text."""
    try:
        return Result(json.dumps(await _carry_out(node, asked)))
    except TocsinError as error:
        return Result(title=row_of(error).title, message=str(error))
    except Exception:
        logger.exception("operation %r, asked for by the node with the boot id %s, failed", asked.operation, boot)
        return Result(title=INTERNAL.title, message="the log of that node says more")


async def _carry_out(node: Node, asked: Asked) -> object:
    if asked.operation not in FORWARDED:
        raise Forbidden(f"no node asks another one for {asked.operation!r}")
    try:
        given = json.loads(asked.arguments)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise InvalidRequest("arguments: a JSON object")
    arguments = read_arguments(BY_NAME[asked.operation].arguments, given)
    if arguments["node"] != node.config.name:
        raise InvalidRequest(f"node: this one is {node.config.name!r}, not {arguments['node']!r}")
    return await SERVICES[asked.operation](node, Call(arguments, asked.actor, CHANNEL))
