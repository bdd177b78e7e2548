"""What nodes say in their logs during a rehearsal, counted by text: it tells of decisions that leave no other trace."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

LOGGERS: Final = ("actors", "runtime")


class _Counting(logging.Handler):
    """Counts everything, and passes on what was asked for before."""

    def __init__(self, said: Counter[str], wanted: int) -> None:
        super().__init__(logging.INFO)
        self._said = said
        self._wanted = wanted

    def emit(self, record: logging.LogRecord) -> None:
        self._said[str(record.msg)] += 1
        if record.levelno >= self._wanted:
            logging.getLogger().handle(record)


@contextmanager
def listening() -> Iterator[Counter[str]]:
    """Answers the counts, by the text without its values. Loggers are as they were afterwards."""
    said: Counter[str] = Counter()
    with ExitStack() as stack:
        for name in LOGGERS:
            stack.enter_context(_counting(logging.getLogger(name), said))
        yield said


@contextmanager
def _counting(logger: logging.Logger, said: Counter[str]) -> Iterator[None]:
    level, propagate, wanted = logger.level, logger.propagate, logger.getEffectiveLevel()
    handler = _Counting(said, wanted)
    logger.addHandler(handler)
    logger.setLevel(min(wanted, logging.INFO))
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
