"""What runs in a rehearsal in place of handlers, built-in types and the actions of event triggers: nothing leaves the process."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from actors.handling.catalogue import TaskType, task_type
from actors.handling.context import Context
from actors.herald_messages import Delivery, Perform
from actors.model.event import Action, Email, Webhook
from runtime.clock import SECOND, Instant

from ..record import Record
from .assumptions import Assumption

Until = Callable[[Instant], Awaitable[None]]
"""Waits for an instant of the true wall clock."""


class RehearsedFailure(Exception):
    """An attempt that was drawn to fail."""


def stand_in(
    name: str,
    assumption: Assumption,
    record: Record,
    until: Until,
    seed: int,
    former: TaskType | None = None,
) -> TaskType:
    """A type of that name that only takes time, and fails now and then. former: what it stands for: its policies and its
    placement are kept, its handler is not called. How long a run takes does not depend on which attempt does it, or where."""

    async def handler(ctx: Context, **_parameters: Any) -> dict[str, Any]:
        total = assumption.draw(random.Random(f"{seed}:{ctx.execution_id}:duration"))
        chance = random.Random(f"{seed}:{ctx.execution_id}:{ctx.attempt}:failure")
        fails = chance.random() < assumption.failures
        step = assumption.checkpoint
        resumed = ctx.resumed_from
        position = int(resumed["position"]) if isinstance(resumed, dict) else None
        with record.attempt(ctx, position):
            begun = record.now()
            done = 0.0 if position is None or step is None else min(total, position * step)
            ends = done + (total - done) * chance.random() if fails else total
            number = position or 0
            while step is not None and (number + 1) * step < ends:
                number += 1
                await until(Instant(begun + round((number * step - done) * SECOND)))
                record.write("trying", ctx, number)
                await ctx.checkpoint({"position": number, "fence": ctx.fence})
                record.write("kept", ctx, number)
            await until(Instant(begun + round((ends - done) * SECOND)))
            if fails:
                raise _failure(ctx._definition.policies.retry.retry_on)("drawn to fail")
            return {"fence": ctx.fence}

    if former is None:
        return task_type(name, handler, source="")
    return task_type(name, handler, policies=former.policies, source="", placement=former.placement)


def _failure(retried: tuple[str, ...]) -> type[Exception]:
    """One that is tried again, where the task says which ones are."""
    return type(retried[0].rpartition(".")[2], (RehearsedFailure,), {}) if retried else RehearsedFailure


def counting(counts: Counter[str]) -> Mapping[type[Action], Perform]:
    """In place of requests and mails: they are counted, by what they would have been."""

    async def webhook(delivery: Delivery) -> str:
        assert isinstance(delivery.action, Webhook)
        counts[f"webhook {delivery.action.method} {delivery.action.url}"] += 1
        return "rehearsed, not sent"

    async def mail(delivery: Delivery) -> str:
        assert isinstance(delivery.action, Email)
        counts[f"mail to {', '.join(delivery.action.to)}"] += 1
        return "rehearsed, not sent"

    return {Webhook: webhook, Email: mail}
