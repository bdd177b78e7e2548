"""System tasks: work that a node does for itself, as tasks that people can see, pause and run."""

from __future__ import annotations

from typing import Final

from runtime.errors import InvalidRequest

from .retention import SYSTEM
from .task import Definition

PURGE_TYPE: Final = "system.purge"
FOLD_TYPE: Final = "system.fold"
COUNT_TYPE: Final = "system.count"

SYSTEM_TYPES: Final = (PURGE_TYPE, FOLD_TYPE, COUNT_TYPE)
"""Their types; there is one task of each, and its name is that of the type."""

CANARY_TYPE: Final = "system.canary"
WATCH_TYPE: Final = "system.canary_watch"

OWN_TYPES: Final = (*SYSTEM_TYPES, CANARY_TYPE, WATCH_TYPE)
"""All types that only the system makes tasks of: there are canaries if they are configured, and as many as are."""


class Actor(str):
    """The name of who acts, and from where: what the audit log keeps beside the name, as JSON text."""

    origin: str

    def __new__(cls, name: str, origin: str) -> Actor:
        """`origin` is a JSON text."""
        made = super().__new__(cls, name)
        made.origin = origin
        return made


def actor_of(name: str) -> str:
    """The name under which a person or program acts: never that of the system, which may do more."""
    if name != SYSTEM:
        return name
    return Actor(f"'{SYSTEM}'", origin_of(name))


def origin_of(actor: str) -> str:
    """From where somebody acts, '' if that is not known."""
    return actor.origin if isinstance(actor, Actor) else ""


def refuse_type(name: str) -> None:
    """Raise InvalidRequest if only the system makes tasks of this type."""
    if name in OWN_TYPES:
        raise InvalidRequest(f"taskType: only the system makes tasks of type {name!r}")


def is_system(definition: Definition) -> bool:
    """Whether a task is one of the node's own."""
    return definition.owner == SYSTEM and definition.type in OWN_TYPES
