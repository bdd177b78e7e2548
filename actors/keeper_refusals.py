"""Whom a refused commit concerns, and what they are told."""

from __future__ import annotations

from typing import TypeGuard

from runtime.errors import Conflict, StaleFence, TocsinError

from .keeper_messages import Checkpoint, EditTask, Event, RetryTask


def can_cause(message: Event, error: TocsinError) -> TypeGuard[EditTask | RetryTask | Checkpoint]:
    """Whether the store may have refused a task for this message: for a name that is taken, or what the asker had read."""
    kinds = EditTask if isinstance(error, Conflict) else RetryTask | Checkpoint
    return isinstance(error, Conflict | StaleFence) and isinstance(message, kinds)


def again(error: TocsinError) -> TocsinError:
    """The same error as an object of its own: every asker raises his own."""
    return type(error)(*error.args)
