"""What each error class is to a caller over HTTP and on the command line: the one table."""

from __future__ import annotations

from typing import Final

import attrs

from runtime import errors
from runtime.registry_messages import RegistryUnavailable

from ..access.limits_core import TooManyRequests


@attrs.frozen
class ErrorRow:
    """An error class, its HTTP status, the exit code of the command line, and its title for people."""

    error: type[BaseException]
    status: int
    exit_code: int
    title: str


ERRORS: Final = (
    ErrorRow(errors.TooLarge, 413, 7, "Too large"),
    ErrorRow(errors.InvalidRequest, 400, 2, "Invalid request"),
    ErrorRow(errors.Unauthenticated, 401, 3, "Not authenticated"),
    ErrorRow(errors.Forbidden, 403, 4, "Not allowed"),
    ErrorRow(errors.NoSuchTask, 404, 5, "Task not found"),
    ErrorRow(errors.NoSuchRoute, 404, 5, "No such route"),
    ErrorRow(errors.NotFound, 404, 5, "Not found"),
    ErrorRow(errors.Conflict, 409, 6, "Conflict"),
    ErrorRow(errors.StaleVersion, 409, 6, "Changed meanwhile"),
    ErrorRow(errors.MailboxFull, 429, 8, "Too busy"),
    ErrorRow(TooManyRequests, 429, 8, "Too many requests"),
    ErrorRow(errors.StoreUnavailable, 503, 9, "Store unavailable"),
    ErrorRow(errors.ReplyTimeout, 503, 10, "No answer in time"),
    ErrorRow(errors.ActorStopped, 503, 10, "Not available"),
    ErrorRow(errors.ActorCrashed, 503, 10, "Not available"),
    ErrorRow(errors.OwnershipLost, 503, 10, "Not available"),
    ErrorRow(errors.StaleEpoch, 503, 10, "Not available"),
    ErrorRow(errors.LeaseLost, 503, 10, "Not available"),
    ErrorRow(errors.LimitReached, 503, 10, "Not available"),
    ErrorRow(errors.AuthorityLost, 503, 14, "Authority lost"),
    ErrorRow(errors.PeerUnreachable, 503, 10, "Node not reachable"),
    ErrorRow(RegistryUnavailable, 503, 10, "Coordination unavailable"),
    ErrorRow(errors.StaleFence, 409, 6, "Superseded"),
    ErrorRow(errors.CheckpointMismatch, 409, 6, "Checkpoint does not fit"),
    ErrorRow(errors.InvocationFailed, 500, 20, "Invoked task did not complete"),
    ErrorRow(errors.StoreDamaged, 500, 11, "Store damaged"),
    ErrorRow(errors.AlreadyRunning, 409, 12, "Already running"),
    ErrorRow(errors.TocsinError, 500, 1, "Internal error"),
)
"""The first row whose class fits is the answer, so a special class stands before its base."""

INTERNAL: Final = ErrorRow(Exception, 500, 1, "Internal error")
"""Anything that is not ours: a bug. Its text stays in the log."""

UNREACHABLE_EXIT: Final = 13
"""Exit code: no node answers at the address."""

OUTCOME_EXITS: Final = {"COMPLETED": 0, "FAILED": 20, "CANCELLED": 21, "CRASHED": 22, "TIMED_OUT": 23}
"""Exit code of a followed execution by its state at the end."""


def row_of(error: BaseException) -> ErrorRow:
    """The row of an error."""
    return next((row for row in ERRORS if isinstance(error, row.error)), INTERNAL)


def rows_of_status(status: int) -> list[ErrorRow]:
    """The rows that are answered with this status."""
    return [row for row in (*ERRORS, INTERNAL) if row.status == status]


def row_titled(title: str) -> ErrorRow:
    """The row with this title."""
    return next((row for row in ERRORS if row.title == title), INTERNAL)


def error_of(title: object, status: int, message: str) -> Exception:
    """The error class that a node answered with, so that a client raises what the node raised.

    title, status: of the answer. Errors share a status, so the title decides; a status alone stands for the first class that has
    it, but 500 for an internal error: nobody knows more about it.
    """
    named = [row.error for row in ERRORS if (row.title, row.status) == (title, status)]
    likely = [row.error for row in ERRORS if row.status == status != INTERNAL.status]
    raised = next((error for error in named + likely if error is not errors.TocsinError), errors.InternalError)(message)
    assert isinstance(raised, Exception)
    return raised


def title_of_status(status: int) -> str:
    """The title of a status that did not come from one of our errors (a wrong path, a wrong method)."""
    if status == INTERNAL.status:
        return INTERNAL.title
    return next((row.title for row in ERRORS if row.status == status), "Request refused")
