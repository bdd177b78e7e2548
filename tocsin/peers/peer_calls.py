"""Asking other nodes of the cluster: one of them, or all at the same time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import trio

from actors.lanes import ASK_SECONDS
from actors.model.peer import Peer
from actors.peer_messages import Call as Asked
from actors.peer_messages import Result
from runtime.clock import Instant, to_datetime
from runtime.errors import PeerUnreachable, TocsinError
from runtime.fabric_messages import PeerFailed

from ..access.caller import caller_text
from ..operations.calls import Call
from ..operations.error_table import error_of, row_titled
from ..operations.table import Operation

if TYPE_CHECKING:
    from actors.cluster import Cluster

ALL_SECONDS: Final = 1.0
"""How long the nodes of a cluster have to answer what all of them are asked: who does not is named, and the others are shown."""

FORWARD_SECONDS: Final = ASK_SECONDS + 5.0
"""How long a node has for what it is asked: longer than it waits for its own commits, shorter than a client's patience."""

MORE: Final = "more"
"""The operation that asks for the rest of an answer."""


async def ask_node(
    cluster: Cluster,
    peer: Peer,
    operation: str,
    arguments: Mapping[str, object],
    *,
    call: Call,
    seconds: float = FORWARD_SECONDS,
) -> Any:
    """Have a node carry out an operation; answers its JSON. Raises what it raised, PeerUnreachable, ReplyTimeout.

    call: on whose behalf, and through which channel it came.
    """
    until = trio.current_time() + seconds
    text, key, asked = "", None, asked_of(operation, arguments, call)
    while True:
        result = value_of(await _ask(cluster, peer, asked, until - trio.current_time()))
        text += result.value or ""
        key = result.more
        if key is None:
            return json.loads(text or "null")
        asked = asked_of(MORE, {"key": key, "from": len(text)}, call)


def asked_of(operation: str, arguments: Mapping[str, object], call: Call) -> Asked:
    """What another node is asked for, on behalf of the caller of a call."""
    return Asked(operation, json.dumps(arguments), str(call.actor), call.channel, caller_text(call.caller))


async def _ask(cluster: Cluster, peer: Peer, call: Asked, seconds: float) -> Result:
    try:
        return await cluster.ask(peer.boot, call, max(seconds, 0.0))
    except PeerFailed as error:
        raise PeerUnreachable(f"{peer.name}: {error}") from None


def value_of(result: Result) -> Result:
    """The result, if it is no error. Raises the error if it is one."""
    if result.title is not None:
        raise error_of(result.title, row_titled(result.title).status, result.message)
    return result


async def ask_nodes(
    cluster: Cluster, asked: Iterable[tuple[Peer, Mapping[str, object]]], operation: str, call: Call
) -> dict[str, Any]:
    """Ask several nodes at the same time, each with its arguments.

    Answers what they said, by boot id, without those that did not in time.
    """
    told: dict[str, Any] = {}

    async def ask(peer: Peer, arguments: Mapping[str, object]) -> None:
        # Whoever asks says which nodes are missing.
        with suppress(TocsinError):
            told[peer.boot] = await ask_node(cluster, peer, operation, arguments, call=call, seconds=ALL_SECONDS)

    async with trio.open_nursery() as nursery:
        for peer, arguments in asked:
            nursery.start_soon(ask, peer, arguments)
    return told


def arguments_of(operation: Operation, call: Call) -> dict[str, Any]:
    """The arguments of a call as they travel: what was read can be read once more, and comes out the same."""
    found = {argument.name: call[argument.name] for argument in operation.arguments}
    for argument in operation.arguments:
        if argument.kind == "instant" and found[argument.name] is not None:
            found[argument.name] = to_datetime(Instant(found[argument.name])).isoformat()
    return found
