"""Tocsin: a cluster-aware task scheduler. Everything a program needs is imported from here.

The names are loaded when they are first used, so that a command line that only prints its help does not load a server.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.handling.context import Context as Context
    from actors.handling.context import HandlerInterrupted as HandlerInterrupted
    from actors.handling.context import SyncContext as SyncContext
    from actors.handling.hooks import Ended as Ended
    from actors.handling.hooks import Settled as Settled
    from actors.handling.typed import checkpointed as checkpointed
    from actors.model.execution import Execution as Execution
    from actors.model.task import Task as Task
    from runtime.errors import ActorStopped as ActorStopped
    from runtime.errors import AlreadyRunning as AlreadyRunning
    from runtime.errors import AuthorityLost as AuthorityLost
    from runtime.errors import CheckpointMismatch as CheckpointMismatch
    from runtime.errors import Conflict as Conflict
    from runtime.errors import Forbidden as Forbidden
    from runtime.errors import InternalError as InternalError
    from runtime.errors import InvalidRequest as InvalidRequest
    from runtime.errors import InvocationFailed as InvocationFailed
    from runtime.errors import MailboxFull as MailboxFull
    from runtime.errors import NoSuchRoute as NoSuchRoute
    from runtime.errors import NoSuchTask as NoSuchTask
    from runtime.errors import NotFound as NotFound
    from runtime.errors import PeerUnreachable as PeerUnreachable
    from runtime.errors import ReplyTimeout as ReplyTimeout
    from runtime.errors import StaleFence as StaleFence
    from runtime.errors import StaleVersion as StaleVersion
    from runtime.errors import StoreDamaged as StoreDamaged
    from runtime.errors import StoreUnavailable as StoreUnavailable
    from runtime.errors import TocsinError as TocsinError
    from runtime.errors import TooLarge as TooLarge
    from runtime.errors import Unauthenticated as Unauthenticated
    from runtime.registry_messages import RegistryUnavailable as RegistryUnavailable

    from .access.limits_core import TooManyRequests as TooManyRequests
    from .building.builder import TaskBuilder as TaskBuilder
    from .clients.address import NodeUnreachable as NodeUnreachable
    from .clients.sync_client import SyncClient as SyncClient
    from .clients.trio_client import Client as Client
    from .node import LocalNode as LocalNode
    from .node import open_node as open_node
    from .tasks import after as after
    from .tasks import before as before
    from .tasks import declare as declare
    from .tasks import on_outcome as on_outcome
    from .tasks import task as task
    from .vocabulary.policies import Retry as Retry

_PLACES = {
    "ActorStopped": "runtime.errors",
    "AlreadyRunning": "runtime.errors",
    "AuthorityLost": "runtime.errors",
    "CheckpointMismatch": "runtime.errors",
    "Client": "tocsin.clients.trio_client",
    "Conflict": "runtime.errors",
    "Context": "actors.handling.context",
    "Ended": "actors.handling.hooks",
    "Execution": "actors.model.execution",
    "Forbidden": "runtime.errors",
    "HandlerInterrupted": "actors.handling.context",
    "InternalError": "runtime.errors",
    "InvalidRequest": "runtime.errors",
    "InvocationFailed": "runtime.errors",
    "LocalNode": "tocsin.node",
    "MailboxFull": "runtime.errors",
    "NoSuchRoute": "runtime.errors",
    "NoSuchTask": "runtime.errors",
    "NodeUnreachable": "tocsin.clients.address",
    "NotFound": "runtime.errors",
    "PeerUnreachable": "runtime.errors",
    "RegistryUnavailable": "runtime.registry_messages",
    "ReplyTimeout": "runtime.errors",
    "Retry": "tocsin.vocabulary.policies",
    "Settled": "actors.handling.hooks",
    "StaleFence": "runtime.errors",
    "StaleVersion": "runtime.errors",
    "StoreDamaged": "runtime.errors",
    "StoreUnavailable": "runtime.errors",
    "SyncClient": "tocsin.clients.sync_client",
    "SyncContext": "actors.handling.context",
    "Task": "actors.model.task",
    "TaskBuilder": "tocsin.building.builder",
    "TocsinError": "runtime.errors",
    "TooLarge": "runtime.errors",
    "TooManyRequests": "tocsin.access.limits_core",
    "Unauthenticated": "runtime.errors",
    "after": "tocsin.tasks",
    "before": "tocsin.tasks",
    "checkpointed": "actors.handling.typed",
    "declare": "tocsin.tasks",
    "on_outcome": "tocsin.tasks",
    "open_node": "tocsin.node",
    "task": "tocsin.tasks",
}

__all__ = [
    "ActorStopped",
    "AlreadyRunning",
    "AuthorityLost",
    "CheckpointMismatch",
    "Client",
    "Conflict",
    "Context",
    "Ended",
    "Execution",
    "Forbidden",
    "HandlerInterrupted",
    "InternalError",
    "InvalidRequest",
    "InvocationFailed",
    "LocalNode",
    "MailboxFull",
    "NoSuchRoute",
    "NoSuchTask",
    "NodeUnreachable",
    "NotFound",
    "PeerUnreachable",
    "RegistryUnavailable",
    "ReplyTimeout",
    "Retry",
    "Settled",
    "StaleFence",
    "StaleVersion",
    "StoreDamaged",
    "StoreUnavailable",
    "SyncClient",
    "SyncContext",
    "Task",
    "TaskBuilder",
    "TocsinError",
    "TooLarge",
    "TooManyRequests",
    "Unauthenticated",
    "after",
    "before",
    "checkpointed",
    "declare",
    "on_outcome",
    "open_node",
    "task",
]


def __dir__() -> list[str]:
    """What completion offers: the names that are loaded when they are used, as if they were there."""
    return sorted({*__all__, "testing", *(name for name in globals() if name.startswith("__"))})


def __getattr__(name: str) -> Any:
    if name == "testing":
        return importlib.import_module("tocsin.testing")
    if name not in _PLACES:
        raise AttributeError(f"module 'tocsin' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value
