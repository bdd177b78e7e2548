"""Calling hooks: whatever they raise, and however long they take, is a complaint and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from runtime.world import World

from ...model.lifecycle import State
from ..catalogue import is_async
from ..context import Context, HandlerInterrupted
from ..failures import failure_of
from ..hooks import HOOK_SECONDS, HOOKS_LANE, Around, Ended, Hook
from ..payload import decode_json
from .thread import outside

Complain = Callable[[str], None]


async def call_hooks(
    world: World,
    hooks: Sequence[Hook],
    arguments: Sequence[object],
    complain: Complain,
    *,
    outer: Sequence[object] | None = None,
    shield: bool = False,
) -> None:
    """Call hooks one after the other, all within HOOK_SECONDS.

    outer: what plain functions, which run in a thread, are given instead of `arguments`. complain: gets one line for each hook
    that raised or took too long. shield: they run although the caller has been cancelled.
    """
    deadline = trio.current_time() + HOOK_SECONDS
    for hook in hooks:
        with trio.CancelScope(deadline=deadline, shield=shield) as scope:
            try:
                if is_async(hook.function):
                    await hook.function(*arguments)
                else:
                    given = arguments if outer is None else outer
                    await world.blocking(hook.function, *given, lane=HOOKS_LANE, abandon=True)
            except trio.Cancelled:
                raise
            except BaseException as error:
                # A hook may raise what a handler may, and ends nothing with it.
                failure = failure_of(error)
                complain(f"hook {hook.name} ({hook.when}) failed: {failure.type}: {failure.message}")
        if scope.cancelled_caught:
            complain(f"hook {hook.name} ({hook.when}) did not end within {HOOK_SECONDS:g} s")


async def run_hooked(
    world: World, around: Around, context: Context, run: Callable[[], Awaitable[str | None]], complain: Complain
) -> str | None:
    """Run a handler between its hooks: what it returns (JSON text) and raises passes through unchanged."""
    inner, bridge = outside(world, context)
    text: str | None = None
    failed: BaseException | None = None
    try:
        await call_hooks(world, around.before, (context,), complain, outer=(inner,))
        text = await run()
    except BaseException as error:
        failed = error
        raise
    finally:
        ended = _ended(context, text, failed)
        await call_hooks(world, around.after, (context, ended), complain, outer=(inner, ended), shield=True)
        bridge.fetch()
    return text


def _ended(context: Context, text: str | None, error: BaseException | None) -> Ended:
    """How the attempt ends, as the executor will see it unless its time runs out meanwhile."""
    reason = context.cancellation_reason
    state = _state(reason, error)
    return Ended(state, decode_json(text) if state is State.COMPLETED else None, error, reason)


def _state(reason: str | None, error: BaseException | None) -> State:
    if reason is not None and reason.startswith("cancel"):
        return State.CANCELLED
    if reason in ("timeout", "heartbeat_timeout"):
        return State.TIMED_OUT
    if error is None:
        return State.COMPLETED
    gave_way = isinstance(error, trio.Cancelled) or (reason is not None and isinstance(error, HandlerInterrupted))
    return State.WAITING if gave_way else State.FAILED
