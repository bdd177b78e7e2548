"""Every error class of Tocsin, cut by what the catcher does about it.

One root; nobody raises the root itself. Floor 3 maps these classes to HTTP statuses and exit codes in one table.
"""

from __future__ import annotations


class TocsinError(Exception):
    """The root: catch it to catch all of ours."""


class InvalidRequest(TocsinError, ValueError):
    """The caller's mistake: the message names the field and shows the value. Fix the call."""


class Unauthenticated(TocsinError):
    """Nobody said who is asking, or the token is unknown or expired."""


class Forbidden(TocsinError):
    """The caller is known and may not do this."""


class NotFound(TocsinError, LookupError):
    """No such thing, or it is gone. Look again."""


class NoSuchTask(NotFound):
    """No task has the id that was given."""


class NoSuchRoute(NotFound):
    """The interface has nothing under this method and path."""


class Conflict(TocsinError):
    """The thing exists and its state does not allow this; the message tells the state. Nothing was changed."""


class TooLarge(InvalidRequest):
    """A payload over its limit; the message tells size and limit."""


class MailboxFull(TocsinError):
    """The receiver is slow: back off or shed."""


class ActorStopped(TocsinError):
    """The receiver is gone: look the address up anew."""


class ActorCrashed(TocsinError):
    """The receiver crashed on the batch that held this question; what was committed before stays. Ask again."""


class ReplyTimeout(TocsinError, TimeoutError):
    """No answer within the deadline: the outcome is unknown. Ask what became of it, do not repeat blindly."""


class StaleVersion(TocsinError):
    """The row changed since it was read: read again and decide again."""


class StaleEpoch(TocsinError):
    """Another owner's epoch holds now: stop at once, no retry."""


class StaleFence(TocsinError):
    """A newer attempt of the task exists, or this one has ended: drop the write."""


class OwnershipLost(TocsinError):
    """This node no longer acts for the partition."""


class LeaseLost(TocsinError):
    """This process counts as dead since its lease lapsed: end what runs and begin anew under another boot id."""


class LimitReached(TocsinError):
    """As many executions hold the concurrency key as may: wait until one has ended."""


class AuthorityLost(TocsinError):
    """The coordination service or the store is not the one that the fences came from. An operator must raise the fence."""


class PeerUnreachable(TocsinError):
    """There is no link to the node now. Whether it heard what was told before is not known."""


class StoreUnavailable(TocsinError):
    """The store cannot commit now (disk full, busy, gone): nothing was changed. Try again later."""


class StoreDamaged(TocsinError):
    """The store holds what we never wrote, or belongs to another cluster or a newer Tocsin. A person must look."""


class CheckpointMismatch(TocsinError):
    """A checkpoint of another class, a newer version, or a shape that does not fit. It is kept for a release that reads it."""


class InvocationFailed(TocsinError):
    """The task that was invoked did not complete; the message tells its execution, how that ended and why."""


class AlreadyRunning(TocsinError):
    """Another node holds the data directory."""


class RestartIntensityExceeded(TocsinError):
    """Children of a supervisor crashed more often than its intensity allows: it gives up and its parent decides."""


class InternalError(TocsinError):
    """Our own broken invariant: crash the actor and let the supervisor act."""
