"""What the operations about calendars do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from actors.lanes import COMPUTED
from runtime.errors import InvalidRequest

from ..operations.calls import Call
from ..vocabulary.calendar_json import calendar_from_json, calendar_json, drop_version
from ..vocabulary.fields import show
from ..vocabulary.views import Json

if TYPE_CHECKING:
    from actors.node import Node


async def list_calendars(node: Node, _call: Call) -> Json:
    """The newest version of every calendar."""
    return {"list": [calendar_json(calendar) for calendar in await node.calendars.all(node.scope.home)]}


async def show_calendar(node: Node, call: Call) -> Json:
    """One calendar."""
    return calendar_json(await node.calendars.get(node.scope.home, call["calendar"], call["version"]))


async def put_calendar(node: Node, call: Call) -> Json:
    """Keep a calendar. What a calendar shows can be sent back: its name and version are those that are asked for anyway."""
    body = dict(call["body"]) if isinstance(call["body"], dict) else call["body"]
    if isinstance(body, dict):
        named = body.pop("name", call["calendar"])
        if named != call["calendar"]:
            raise InvalidRequest(f"name: {show(call['calendar'])}, as in the path, not {show(named)}")
        drop_version(body)
    # Recurring events of a file take up to seconds.
    read = partial(calendar_from_json, call["calendar"], body, node.world.now(), node.scope.home)
    calendar = await node.world.blocking(read, lane=COMPUTED)
    return calendar_json(await node.calendars.put(calendar, call.actor))


async def delete_calendar(node: Node, call: Call) -> None:
    """Remove a calendar."""
    await node.calendars.delete(node.scope.home, call["calendar"], call.actor)
