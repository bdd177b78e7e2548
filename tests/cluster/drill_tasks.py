"""The task types of the drills. Each handler writes start and end to the record that `E2E_RECORD` names, in one write a line."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

import tocsin
from tests.e2e.record import VARIABLE

NODE = "E2E_NODE_PID"
os.environ.setdefault(NODE, str(os.getpid()))  # a handler in a process of its own inherits it

_RECORD = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

Context = tocsin.Context | tocsin.SyncContext


def mark(kind: str, ctx: Context, **more: Any) -> None:
    """One line. Processes die in these tests, never the machine, so the kernel's word is enough."""
    line = {
        "kind": kind,
        "pid": int(os.environ[NODE]),
        "task": ctx.task,
        "nominal": None if ctx.nominal is None else round(ctx.nominal.timestamp() * 1_000_000),
        "execution": ctx.execution_id,
        "attempt": ctx.attempt,
        "fence": ctx.fence,
        "at": time.time_ns() // 1_000,
    }
    os.write(_RECORD, json.dumps(line | more).encode() + b"\n")


@contextmanager
def recorded(ctx: Context, **more: Any) -> Iterator[None]:
    """Start and end; `cut` where it is interrupted."""
    mark("start", ctx, **more)
    try:
        yield
    except BaseException:
        mark("cut", ctx)
        raise
    mark("end", ctx)


@tocsin.task("brief")
async def brief(ctx: tocsin.Context, *, note: str | None = None) -> None:
    """Start and end with nothing between."""
    with recorded(ctx, **({} if note is None else {"note": note})):
        pass


@tocsin.task("lasting")
async def lasting(ctx: tocsin.Context, *, seconds: float) -> None:
    """Start and end with some time between."""
    with recorded(ctx):
        await trio.sleep(seconds)


@tocsin.task("deadly")
async def deadly(ctx: tocsin.Context) -> None:
    """Takes its node with it."""
    mark("start", ctx)
    os.kill(os.getpid(), 9)


@tocsin.task("deadly in a process", isolation="process")
def deadly_in_a_process(ctx: tocsin.SyncContext) -> None:
    """Takes the process with it that it has for itself."""
    mark("start", ctx)
    os.kill(os.getpid(), 9)
