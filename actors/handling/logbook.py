"""The lines of an attempt: how a handler writes them, and how many of them are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from runtime.clock import Instant

from .lines import storable

MAX_LOG_LINES: Final = 10_000
"""Lines kept of one attempt; a handler that logs without end shall fill neither the memory nor the store."""

MAX_LOG_LINE: Final = 8 * 1024
"""Characters kept of one line; a stack trace fits."""

MAX_LOG_CHARACTERS: Final = 4 * 1024 * 1024
"""Characters kept of all lines of one attempt: some hundred ordinary characters each for the lines that may be kept."""

TRUNCATED: Final = "... truncated"
"""The last line of an attempt that logged too much, and the end of a line that was too long."""

LINES_AT_ONCE: Final = 100
"""Lines that are sent on without waiting for more."""

Line = tuple[Instant, str, str]
"""Instant, level, text."""


class Log:
    """Lines that are kept with the execution. Texts may hold `%` placeholders for the arguments, as in `logging`."""

    __slots__ = ("_write",)

    def __init__(self, write: Callable[[str, str], None]) -> None:
        self._write = write

    def debug(self, text: object, *arguments: object) -> None:
        """Write a line of level debug."""
        self._write("debug", _formatted(text, arguments))

    def info(self, text: object, *arguments: object) -> None:
        """Write a line of level info."""
        self._write("info", _formatted(text, arguments))

    def warning(self, text: object, *arguments: object) -> None:
        """Write a line of level warning."""
        self._write("warning", _formatted(text, arguments))

    def error(self, text: object, *arguments: object) -> None:
        """Write a line of level error."""
        self._write("error", _formatted(text, arguments))


def _formatted(text: object, arguments: tuple[object, ...]) -> str:
    line = str(text)
    if arguments:
        try:
            line = line % arguments
        except (TypeError, ValueError):
            line = f"{line} {arguments!r}"
    line = storable(line)
    return line if len(line) <= MAX_LOG_LINE else line[: MAX_LOG_LINE - len(TRUNCATED)] + TRUNCATED


@attrs.define
class Meter:
    """How much of an attempt's lines was let through. Both ends of a bridge have one, so that neither side keeps more."""

    lines: int = 0
    characters: int = 0

    def lets_pass(self, text: str) -> bool:
        """Count a line; False when there were too many before it."""
        if self.lines >= MAX_LOG_LINES or self.characters >= MAX_LOG_CHARACTERS:
            return False
        self.lines += 1
        self.characters += len(text)
        return True


@attrs.define
class LogBook:
    """The lines of one attempt that wait to be sent on, and how many there were."""

    waiting: list[Line] = attrs.field(factory=list)
    full: bool = False
    _meter: Meter = attrs.field(factory=Meter)

    def add(self, at: Instant, level: str, text: str) -> bool:
        """Keep a line, or the marker in place of the first that is too many. False when nothing was kept."""
        if self.full:
            return False
        if not self._meter.lets_pass(text):
            self.full = True
            level, text = "warning", TRUNCATED
        self.waiting.append((at, level, text))
        return True
