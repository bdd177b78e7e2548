"""An exception of a handler as a record: bounded, and made without trusting anything in it."""

from __future__ import annotations

import traceback
from typing import Final

from ..model.execution import Failure
from .lines import storable

MAX_MESSAGE: Final = 4 * 1024
"""Characters kept of an exception's text."""

MAX_TRACEBACK: Final = 16 * 1024
"""Characters kept of a traceback, from its end, where the cause is."""

MAX_FRAMES: Final = 50
"""Frames of one traceback that are formatted: a runaway recursion has a thousand, all alike."""


class RemoteFailure(Exception):
    """What a handler in another process raised."""

    def __init__(self, failure: Failure, names: tuple[str, ...]) -> None:
        super().__init__(f"{failure.type}: {failure.message}")
        self.failure = failure
        self.names = names


def failure_of(error: BaseException) -> Failure:
    """The failure record of an exception."""
    if isinstance(error, RemoteFailure):
        return error.failure
    return Failure(type(error).__name__, _message(error), _traceback(error))


def names_of(error: BaseException) -> tuple[str, ...]:
    """The class names of an exception and its bases, for the retry policy; of a group also those of what it holds."""
    if isinstance(error, RemoteFailure):
        return error.names
    names = [base.__name__ for base in type(error).__mro__]
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            names.extend(names_of(inner))
    return tuple(dict.fromkeys(names))


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as broken:
        text = f"(its text cannot be had: {type(broken).__name__})"
    if isinstance(error, BaseExceptionGroup):
        text = f"{text}: {', '.join(type(inner).__name__ for inner in error.exceptions)}"
    text = storable(text)
    return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE - 3]}..."


def _traceback(error: BaseException) -> str:
    try:
        text = storable("".join(traceback.format_exception(error, limit=-MAX_FRAMES)))
    except Exception as broken:
        return f"(the traceback cannot be had: {type(broken).__name__})"
    return text if len(text) <= MAX_TRACEBACK else f"...{text[3 - MAX_TRACEBACK :]}"
