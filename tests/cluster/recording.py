"""What the handlers of the cluster's tests write: start and end of each attempt, to the record that `E2E_RECORD` names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tocsin
from tests.e2e.record import VARIABLE, line_of

NODE = "E2E_NODE_PID"
os.environ.setdefault(NODE, str(os.getpid()))  # a handler in a process of its own inherits it

_RECORD = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

Context = tocsin.Context | tocsin.SyncContext


def mark(kind: str, ctx: Context, **more: Any) -> None:
    """One write to the record. Processes die here, never the machine: the kernel has it, that is enough."""
    os.write(_RECORD, json.dumps(line_of(kind, ctx, int(os.environ[NODE])) | more).encode() + b"\n")


@contextmanager
def recorded(ctx: Context, **more: Any) -> Iterator[None]:
    """Start and end, however it ends."""
    mark("start", ctx, **more)
    try:
        yield
    except BaseException:
        mark("cut", ctx)
        raise
    mark("end", ctx)
