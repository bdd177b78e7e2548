"""The handlers' own record: an append-only file outside the store, of what really happened."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import tocsin

VARIABLE = "E2E_RECORD"
"""The environment variable that names the file for handlers."""


def append(path: Path, line: dict[str, Any]) -> None:
    """One write, so that lines of several threads do not mix, and fsync, so that nothing later happened before it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def line_of(kind: str, ctx: tocsin.Context | tocsin.SyncContext, pid: int) -> dict[str, Any]:
    """Where a handler's attempt is; the fields are those of `checker.Line`."""
    return {
        "kind": kind,
        "pid": pid,
        "task": ctx.task,
        "nominal": None if ctx.nominal is None else round(ctx.nominal.timestamp() * 1_000_000),
        "execution": ctx.execution_id,
        "attempt": ctx.attempt,
        "fence": ctx.fence,
        "at": time.time_ns() // 1_000,
    }


def note(kind: str, ctx: tocsin.Context | tocsin.SyncContext, **more: Any) -> None:
    """In a handler: record where its attempt is."""
    append(Path(os.environ[VARIABLE]), line_of(kind, ctx, os.getpid()) | more)
