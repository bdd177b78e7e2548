"""The tasks that run while the node is killed. Each writes what really happened to the record that `E2E_RECORD` names."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

import trio

import tocsin
from tests.e2e.record import note
from tocsin.tasks import DECLARED_TASKS

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "tasks.py"


def load_examples() -> Any:
    """The example tasks' module, without making its tasks run here by themselves."""
    specification = importlib.util.spec_from_file_location("e2e_examples", EXAMPLES)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["e2e_examples"] = module
    specification.loader.exec_module(module)
    DECLARED_TASKS.clear()
    return module


examples = load_examples()


class Recording:
    """A context that records the work begun and the checkpoints tried and kept. `rest`: seconds that each work lasts longer."""

    def __init__(self, ctx: tocsin.SyncContext, rest: float) -> None:
        self._ctx = ctx
        self._rest = rest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)

    def progress(self, *, done: int, total: int, step: str, **details: Any) -> None:
        if step != "comparing":
            note("work", self._ctx, item=step)
            time.sleep(self._rest)
        self._ctx.progress(done=done, total=total, step=step, **details)

    def checkpoint(self, state: dict[str, Any]) -> None:
        note("trying", self._ctx, position=state["files"])
        self._ctx.checkpoint(state)
        note("kept", self._ctx, position=state["files"])


@tocsin.task("scan", retry=tocsin.Retry(delay="100ms"))
def scan(ctx: tocsin.SyncContext, *, root: str, manifest: str, rest: float) -> dict[str, Any]:
    """The integrity scan of the examples, recorded."""
    note("start", ctx, position=None if ctx.resumed_from is None else ctx.resumed_from["files"])
    result: dict[str, Any] = examples.integrity_scan(Recording(ctx, rest), root=root, manifest=manifest, rest=rest)
    note("end", ctx)
    return result


def brief(ctx: tocsin.Context) -> None:
    """Start and end with nothing between."""
    note("start", ctx)
    note("end", ctx)


async def lasting(ctx: tocsin.Context, seconds: float) -> None:
    """Start and end with some time between."""
    note("start", ctx)
    await trio.sleep(seconds)
    note("end", ctx)


@tocsin.task("fast", every="100ms")
async def fast(ctx: tocsin.Context) -> None:
    """Ten times a second; the newest of what was missed runs."""
    brief(ctx)


@tocsin.task("each second", cron="* * * * * *", catch_up="earliest")
async def each_second(ctx: tocsin.Context) -> None:
    """By cron; the oldest of what was missed runs."""
    brief(ctx)


@tocsin.task("dropping", every="700ms", catch_up="skip")
async def dropping(ctx: tocsin.Context) -> None:
    """What was missed is dropped."""
    brief(ctx)


@tocsin.task("complete", every="2s", catch_up="all")
async def complete(ctx: tocsin.Context) -> None:
    """All that was missed runs."""
    await lasting(ctx, 0.02)


@tocsin.task("queued", every="300ms", overlap="queue", retry=tocsin.Retry(max_retries=3, delay="50ms"))
async def queued(ctx: tocsin.Context) -> None:
    """Takes longer than its interval: one waits, others are skipped."""
    await lasting(ctx, 0.4)


@tocsin.task("many", every="500ms", overlap="allow")
async def many(ctx: tocsin.Context) -> None:
    """Takes longer than its interval, and several run at once."""
    await lasting(ctx, 0.8)


@tocsin.task("in a thread", every="400ms")
def in_a_thread(ctx: tocsin.SyncContext) -> None:
    """A plain function."""
    note("start", ctx)
    time.sleep(0.05)
    note("end", ctx)


@tocsin.task("failing", every="1s", overlap="queue", retry=tocsin.Retry(max_retries=2, delay="100ms"))
async def failing(ctx: tocsin.Context) -> None:
    """Fails at its first attempt."""
    note("start", ctx)
    if ctx.attempt == 1:
        note("end", ctx)
        raise RuntimeError("the first attempt fails")
    note("end", ctx)


@tocsin.task("single")
async def single(ctx: tocsin.Context) -> None:
    """For tasks that run once."""
    brief(ctx)
