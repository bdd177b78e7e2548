"""What the operations about the node itself do: its types, totals, actors, versions and health."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

import attrs

from actors.handling.catalogue import TaskType, signature_of
from actors.handling.parameter_schema import parameters_schema
from actors.when.zones import database_version
from runtime.errors import StoreUnavailable

from ..operations.calls import Call
from ..vocabulary.views import Json
from .scheduler import pause_view

if TYPE_CHECKING:
    from actors.node import Node


async def list_types(node: Node, _call: Call) -> Json:
    """The task types of this node."""
    return {"list": [_type_view(entry) for entry in node.catalogue]}


def _type_view(entry: TaskType) -> Json:
    signature = signature_of(entry.function)
    parameters = [
        {
            "name": one.name,
            "required": one.required,
            "annotation": getattr(one.annotation, "__name__", str(one.annotation)),
        }
        for one in signature.parameters
    ]
    return {
        "name": entry.name,
        "isolation": entry.isolation,
        "description": entry.description,
        "parameters": parameters,
        "open": signature.open,
        "schema": parameters_schema(entry.function),
    }


async def counts(node: Node, call: Call) -> Json:
    """Totals; the system's own tasks are counted if that is said."""
    found = await node.counts()
    if not call["system"]:
        found = found.without_system()
    return {
        "tasks": found.tasks,
        "byStatus": dict(found.by_status),
        "byOutcome": dict(found.by_outcome),
        "byReason": dict(found.by_reason),
    }


async def show_node(node: Node, _call: Call) -> Json:
    """The tree of actors with their statistics."""
    pause = pause_view(await node.control.scheduler_pause())
    return {"name": node.config.name, "health": node.health(), "scheduler": pause, "tree": plain(node.snapshot())}


def plain(value: Any) -> Any:
    """Records, enumerations and collections as JSON."""
    if attrs.has(type(value)):
        return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | frozenset):
        return [plain(entry) for entry in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)


async def version(_node: Node, _call: Call) -> Json:
    """What runs here."""
    return versions()


def versions() -> Json:
    """The versions of what decides how a node behaves."""
    return {
        "tocsin": metadata.version("tocsin"),
        "python": platform.python_version(),
        "timezoneDatabase": database_version(),
    }


async def live(_node: Node, _call: Call) -> Json:
    """The process answers; it tells nothing else, because anybody may ask."""
    return {"status": "ok"}


async def ready(node: Node, call: Call) -> Json:
    """The node keeps time. Raises StoreUnavailable when it does not, and says why to those who have a token.

    What is not well although it keeps time stands in the answer: that the coordination servers are away, above all. A node that
    was taken out of service for it would leave nobody to ask.
    """
    if hindrances := node.hindrances():
        raise StoreUnavailable("; ".join(hindrances) if call.actor else "the node is not ready; a token tells why")
    answer: dict[str, Any] = {"status": "ok"}
    if not call.actor:
        return answer
    if complaints := node.health():
        answer["health"] = complaints
    # Paused is what its operator wants, so it is no complaint; but whoever looks shall see it.
    if await node.control.scheduler_pause() is not None:
        answer["scheduler"] = "paused"
    return answer
