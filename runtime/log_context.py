"""What the lines of a log belong to: facts that hold for everything that is logged in the course of something.

They follow trio's tasks and the threads that these start. What tells the facts is asked only when a line is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

Facts = Callable[[], Mapping[str, str]]

_NOTHING: Final[Mapping[str, str]] = {}
_FACTS: Final[ContextVar[tuple[Facts, ...]]] = ContextVar("facts of log lines", default=())


@contextmanager
def logged_with(facts: Facts) -> Iterator[None]:
    """Inside, lines of the log belong to what `facts` tells, beside what held before."""
    token = _FACTS.set((*_FACTS.get(), facts))
    try:
        yield
    finally:
        _FACTS.reset(token)


def log_from_here_with(facts: Facts) -> None:
    """As `logged_with`, for good: for who has this context to himself, as a trio task or one attempt of a handler has."""
    _FACTS.set((*_FACTS.get(), facts))


def log_facts() -> Mapping[str, str]:
    """What a line that is written now belongs to; empty where nothing is known."""
    found = _FACTS.get()
    if not found:
        return _NOTHING
    return {name: value for facts in found for name, value in facts().items()}
