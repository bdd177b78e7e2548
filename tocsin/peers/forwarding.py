"""What other nodes of the cluster may ask of this one: what concerns the node itself, or what it alone has in memory."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import attrs

from actors.peer_messages import Call as Asked
from actors.peer_messages import Result
from runtime.errors import Forbidden, InvalidRequest, NotFound, TocsinError, TooLarge

from ..access.caller import Caller, Role, read_caller
from ..access.origin import acting
from ..live.told import TOLD as OF_EVENTS
from ..operations.calls import Call
from ..operations.context_tools import read_arguments
from ..operations.dispatch import perform
from ..operations.error_table import INTERNAL, row_of
from ..operations.table import BY_NAME
from ..queue.workers import TOLD as OF_QUEUE
from ..services.memory_tasks import TOLD
from .peer_calls import MORE
from .places import REFERENCES

if TYPE_CHECKING:
    from actors.node import Node

logger = logging.getLogger(__name__)

SWITCHES: Final = frozenset("drain_node switch_executor show_process show_tree".split())
"""Operations on a node, which only that node carries out, or answers."""

FORWARDED: Final = SWITCHES | REFERENCES.keys()
"""Operations of the table that nodes ask of each other. They are carried out where they arrive, and never passed on."""

ALL_TOLD: Final = {**TOLD, **OF_QUEUE, **OF_EVENTS}
"""What nodes ask each other that is no operation of the table, by name."""

PART: Final = 180_000
"""Characters of an answer in one message, which may have 256 KiB with what is around them; all of them are ASCII."""

LONGEST: Final = 8_000_000
"""Characters of a whole answer: 5,000 log lines of some size. Who gets more asks for less."""

HELD: Final = 16
"""Long answers of which a part has not been fetched yet; the oldest is given up for a new one."""


@attrs.define(eq=False)
class Answers:
    """Carries out what other nodes ask for, and holds long answers until they were fetched."""

    node: Node
    _held: OrderedDict[str, str] = attrs.field(factory=OrderedDict, init=False)

    async def __call__(self, boot: str, asked: Asked) -> Result:
        """The answer to the node with this boot id; an error travels as its title and text."""
        try:
            if asked.operation == MORE:
                return self._more(_object(asked.arguments))
            return self._first(json.dumps(await self._carry_out(asked)))
        except TocsinError as error:
            return Result(title=row_of(error).title, message=str(error))
        except Exception:
            logger.exception("operation %r, asked for by the node with the boot id %s, failed", asked.operation, boot)
            return Result(title=INTERNAL.title, message="the log of that node says more")

    async def _carry_out(self, asked: Asked) -> object:
        node, operation = self.node, asked.operation
        if (told := ALL_TOLD.get(operation)) is not None:
            return await told(node.seen_by(_caller(asked).scope), _object(asked.arguments))
        if operation not in FORWARDED:
            raise Forbidden(f"no node asks another one for {operation!r}")
        arguments = read_arguments(BY_NAME[operation].arguments, _object(asked.arguments))
        if operation in SWITCHES and arguments["node"] != node.config.name:
            raise InvalidRequest(f"node: this one is {node.config.name!r}, not {arguments['node']!r}")
        caller = _caller(asked)
        actor = acting(asked.actor, asked.channel, token=caller.token)
        return await perform(node, operation, Call(arguments, actor, asked.channel, caller))

    def _first(self, text: str) -> Result:
        if len(text) <= PART:
            return Result(text)
        if len(text) > LONGEST:
            raise TooLarge(f"an answer of {len(text)} characters; nodes tell each other {LONGEST}: ask for fewer rows")
        key = self.node.world.new_id()
        self._held[key] = text
        if len(self._held) > HELD:
            self._held.popitem(last=False)
        return Result(text[:PART], more=key)

    def _more(self, arguments: dict[str, Any]) -> Result:
        key, begin = arguments.get("key"), arguments.get("from")
        if not isinstance(begin, int) or not isinstance(key, str) or key not in self._held:
            raise NotFound("the rest of that answer is not there any more")
        part = self._held[key][begin : begin + PART]
        if begin + PART < len(self._held[key]):
            return Result(part, more=key)
        del self._held[key]
        return Result(part)


def _caller(asked: Asked) -> Caller:
    """On whose behalf a node asks. One of the version before tells a name only, and had only the one administrator."""
    return read_caller(asked.caller) if asked.caller else Caller(asked.actor, role=Role.ADMINISTRATOR)


def _object(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise InvalidRequest("arguments: a JSON object")
    return given
