"""The herald's vocabulary. `Happened`, which it hears beside `Noted`, is the keeper's word."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from runtime.clock import Instant
from runtime.records import record

from .keeper_messages import Happened
from .model.event import Action
from .model.task import Task
from .store.port import Audit


@record
class Noted:
    """What else a commit made known: who changed which tasks and how, and the progress of attempts by execution, JSON texts."""

    changes: tuple[tuple[Audit, Task], ...]
    progress: Mapping[str, str]


Event = Happened | Noted


@record
class Delivery:
    """One action that a fired event trigger wants done.

    `id` is the same over all tries of it: whoever receives it can tell a repetition by it. `tries`: those made before. `facts`:
    what the condition saw, as JSON values. `at`: the instant of the outcome.
    """

    id: str
    task_id: str
    execution_id: str | None
    event: str
    at: Instant
    action: Action
    facts: Mapping[str, Any]
    tries: int = 0


class DeliveryFailed(Exception):
    """An action was not done. `permanent`: another try cannot help."""

    def __init__(self, detail: str, *, permanent: bool = False) -> None:
        super().__init__(detail)
        self.permanent = permanent


Perform = Callable[[Delivery], Awaitable[str]]
"""Does an action, and answers what a person should know of it in some words. Raises DeliveryFailed."""


@record
class TopicMessage:
    """What watchers of a topic are told."""

    topic: str
    body: Mapping[str, Any]
