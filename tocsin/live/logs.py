"""The node's log: as lines for people, or as one JSON object in each line, with what the line belongs to.

Inside an execution that is its id, its task, tenant, node and correlation id; inside a request the request's id.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

from runtime.log_context import log_facts

FORMAT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

QUIET: Final = ("httpx", "httpcore")
"""Loggers of libraries that tell every request they make: below warnings nobody wants them."""


class TextFormatter(logging.Formatter):
    """Lines for people. What they belong to stands at the end, in brackets."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line without a traceback."""
        line = super().formatMessage(record)
        facts = " ".join(f"{name}={value}" for name, value in log_facts().items())
        return f"{line} [{facts}]" if facts else line


class JsonFormatter(logging.Formatter):
    """One JSON object in each line: `at` in UTC, `level`, `logger`, `message`, `exception` if there is one, and the facts."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, Any] = {
            "at": at,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **log_facts(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up_logging(kind: str, level: str) -> None:
    """Have everything that is logged written to the error stream. kind: TEXT or JSON; level: the least that is written."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if kind == "JSON" else TextFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
