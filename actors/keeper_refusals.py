"""Whom a refused commit concerns, what they are told, and what is decided again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeGuard

from runtime.errors import Conflict, LeaseLost, LimitReached, StaleEpoch, StaleFence, StaleVersion, TocsinError
from runtime.records import evolve

from .command_messages import EditTask, RetryTask, RunTask
from .keeper_messages import AttemptEnd, AttemptsEnded, Checkpoint, Directive, Event, Recorded, Refuse
from .keeper_staging import Staged


def what_follows(
    staged: Staged, error: TocsinError, ends: tuple[AttemptEnd, ...]
) -> tuple[list[Directive], list[Event]]:
    """What is told, and what is decided again on fresh rows: all of it if a row was stale, else what did not cause it.

    Who made a task that is there already is told by itself; what others wanted of it in the same batch is meant for the one that
    is there.
    """
    carried: list[Event] = [AttemptsEnded(ends)] if ends else []
    made_again = staged.original is None and isinstance(error, Conflict)
    if made_again or isinstance(error, StaleVersion | StaleEpoch | LimitReached | LeaseLost):
        return [], [*carried, *staged.messages]
    if causes := [message for message in staged.messages if can_cause(message, error)]:
        rest = [message for message in staged.messages if not can_cause(message, error)]
        return [Refuse(message.reply, again(error)) for message in causes], [*carried, *rest]
    told: list[Directive] = [Refuse(reply, again(error)) for reply in staged.replies()]
    return [*told, Recorded(tuple((end.execution_id, end.fence) for end in ends))], []


def without_slots(ends: Iterable[AttemptEnd]) -> tuple[AttemptEnd, ...]:
    """Ends to be decided again: their slots were given back the first time."""
    return tuple(evolve(end, counted=True) for end in ends)


def can_cause(message: Event, error: TocsinError) -> TypeGuard[EditTask | RunTask | RetryTask | Checkpoint]:
    """Whether the store may have refused a task for this message: for a name or id that is taken, or what the asker had read."""
    if isinstance(message, RunTask) and message.execution_id is None:
        return False
    kinds = EditTask | RunTask if isinstance(error, Conflict) else RetryTask | Checkpoint
    return isinstance(error, Conflict | StaleFence) and isinstance(message, kinds)


def again(error: TocsinError) -> TocsinError:
    """The same error as an object of its own: every asker raises his own."""
    return type(error)(*error.args)
