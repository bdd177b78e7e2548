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
    from actors.model.execution import Execution as Execution
    from actors.model.task import Task as Task
    from runtime.errors import AlreadyRunning as AlreadyRunning
    from runtime.errors import Conflict as Conflict
    from runtime.errors import InvalidRequest as InvalidRequest
    from runtime.errors import MailboxFull as MailboxFull
    from runtime.errors import NotFound as NotFound
    from runtime.errors import ReplyTimeout as ReplyTimeout
    from runtime.errors import StaleVersion as StaleVersion
    from runtime.errors import StoreUnavailable as StoreUnavailable
    from runtime.errors import TocsinError as TocsinError
    from runtime.errors import TooLarge as TooLarge

    from .builder import TaskBuilder as TaskBuilder
    from .client import Client as Client
    from .node import LocalNode as LocalNode
    from .node import open_node as open_node
    from .policies import Retry as Retry
    from .tasks import declare as declare
    from .tasks import task as task

_PLACES = {
    "AlreadyRunning": "runtime.errors",
    "Client": "tocsin.client",
    "Conflict": "runtime.errors",
    "Context": "actors.handling.context",
    "Execution": "actors.model.execution",
    "HandlerInterrupted": "actors.handling.context",
    "InvalidRequest": "runtime.errors",
    "LocalNode": "tocsin.node",
    "MailboxFull": "runtime.errors",
    "NotFound": "runtime.errors",
    "ReplyTimeout": "runtime.errors",
    "Retry": "tocsin.policies",
    "StaleVersion": "runtime.errors",
    "StoreUnavailable": "runtime.errors",
    "SyncContext": "actors.handling.context",
    "Task": "actors.model.task",
    "TaskBuilder": "tocsin.builder",
    "TocsinError": "runtime.errors",
    "TooLarge": "runtime.errors",
    "declare": "tocsin.tasks",
    "open_node": "tocsin.node",
    "task": "tocsin.tasks",
}

__all__ = [
    "AlreadyRunning",
    "Client",
    "Conflict",
    "Context",
    "Execution",
    "HandlerInterrupted",
    "InvalidRequest",
    "LocalNode",
    "MailboxFull",
    "NotFound",
    "ReplyTimeout",
    "Retry",
    "StaleVersion",
    "StoreUnavailable",
    "SyncContext",
    "Task",
    "TaskBuilder",
    "TocsinError",
    "TooLarge",
    "declare",
    "open_node",
    "task",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'tocsin' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value
