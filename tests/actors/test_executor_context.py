"""What handlers say and learn through their context, seen by the keeper."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.handling.context import Context
from actors.handling.facts import Described
from actors.handling.logbook import MAX_LOG_LINES, TRUNCATED
from actors.keeper_messages import Start
from actors.model.execution import Kind
from actors.model.lifecycle import State
from actors.model.task import Extra
from actors.model.trigger import CalendarInterval, Cron, Interval, Once, Trigger, Union
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import StaleFence, StoreUnavailable, TooLarge
from runtime.records import evolve
from tests.actors.executor_kit import NOMINAL, running, start


async def test_checkpoints_are_durable_bounded_and_fenced(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context) -> None:
        await ctx.checkpoint({"n": 1})
        with pytest.raises(TooLarge, match="262144"):
            await ctx.checkpoint("x" * 300_000)
        keeper.stale.add(1)
        with pytest.raises(StaleFence):
            await ctx.checkpoint({"n": 2})

    async with running(handler) as (executor, keeper):
        await executor.mailbox.tell(start())
        assert (await keeper.end()).state is State.COMPLETED
        assert keeper.checkpoints == ['{"n":1}']


async def test_a_resumed_attempt_is_given_the_last_checkpoint(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context) -> Any:
        return ctx.resumed_from

    async def load(execution_id: str) -> str:
        return json.dumps({"of": execution_id})

    async with running(handler, load_checkpoint=load) as (executor, keeper):
        await executor.mailbox.tell(start(1, checkpoints=2))
        await executor.mailbox.tell(start(2, checkpoints=0))
        await keeper.until(lambda keeper: len(keeper.ends) == 2)
        assert {end.execution_id: end.result for end in keeper.ends} == {"e1": '{"of":"e1"}', "e2": None}


async def test_progress_is_merged_throttled_and_the_newest_is_told(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context) -> None:
        for done in range(1000):
            ctx.progress(done=done, total=1000, file=f"f{done}")
            await trio.sleep(0.001)
        ctx.progress(step="last", size=3)

    async with running(handler) as (executor, keeper):
        await executor.mailbox.tell(start())
        await keeper.end()
        assert 2 <= len(keeper.progress) <= 6
        assert json.loads(keeper.progress[-1]) == {
            "done": 999,
            "total": 1000,
            "step": "last",
            "details": {"file": "f999", "size": 3},
            "at": "2026-01-01T00:00:01Z",
            "eta": "2026-01-01T00:00:01.001Z",
        }


async def test_lines_are_told_in_batches_before_the_end(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context) -> None:
        ctx.log.info("file %s of %d", "a", 3)
        ctx.log.warning("100 %")
        await trio.sleep(1)
        ctx.log.error("last %d", "no number")

    async with running(handler) as (executor, keeper):
        await executor.mailbox.tell(start())
        await keeper.end()
        assert keeper.lines == ["file a of 3", "100 %", "last %d ('no number',)"]
        assert [type(message).__name__ for message in keeper.heard] == ["InSync", "Logged", "Logged", "AttemptsEnded"]


async def test_logging_without_end_is_cut_off(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context) -> None:
        ctx.log.debug("x" * 100_000)
        for number in range(3 * MAX_LOG_LINES):
            ctx.log.debug(number)

    async with running(handler) as (executor, keeper):
        await executor.mailbox.tell(start())
        await keeper.end()
        assert len(keeper.lines) == MAX_LOG_LINES + 1
        assert keeper.lines[-1] == TRUNCATED
        assert len(keeper.lines[0]) <= 8 * 1024
        assert keeper.lines[0].endswith(TRUNCATED)


async def test_a_context_tells_the_facts(autojump_clock: trio.testing.MockClock) -> None:
    seen: list[Context] = []

    async def handler(ctx: Context, **everything: Any) -> None:
        seen.append(ctx)

    message = start(
        3,
        parameters='{"a":1}',
        fence=9,
        attempt=2,
        channel="cli",
        correlation="c-1",
        extra=Extra(b"\x00\xff", "image/png"),
    )
    async with running(handler) as (executor, keeper):
        await executor.mailbox.tell(message)
        await keeper.end()
    ctx = seen[0]
    assert (ctx.task_id, ctx.task, ctx.type, ctx.execution_id) == ("t3", "task 3", "work", "e3")
    assert (ctx.attempt, ctx.fence, ctx.channel, ctx.kind, ctx.correlation_id) == (2, 9, "cli", "occurrence", "c-1")
    assert (ctx.parameters, ctx.extra, ctx.extra_type, ctx.node) == ({"a": 1}, b"\x00\xff", "image/png", "node-1")
    assert ctx.nominal == ctx.assigned == datetime(2026, 1, 1, tzinfo=UTC)
    assert ctx.actual >= ctx.assigned
    assert (ctx.resumed_from, ctx.cancelled, ctx.cancellation_reason) == (None, False, None)


@pytest.mark.parametrize(
    ("trigger", "kind"),
    [
        (Once(NOMINAL), "once"),
        (Interval(Micros(SECOND), NOMINAL), "interval"),
        (Cron("* * * * *"), "cron"),
        (CalendarInterval(1, "month", 739_000, Micros(0)), "calendar"),
        (Union((Once(NOMINAL), Cron("* * * * *"))), "union"),
    ],
)
async def test_a_context_tells_what_fired(trigger: Trigger, kind: str, autojump_clock: trio.testing.MockClock) -> None:
    seen: list[str] = []

    async def handler(ctx: Context) -> None:
        seen.append(ctx.trigger_kind)

    message = start()
    manual = evolve(message.execution, id="e2", kind=Kind.MANUAL, nominal=None)
    async with running(handler) as (executor, keeper):
        await executor.mailbox.tell(Start(evolve(message.definition, trigger=trigger), message.execution))
        await executor.mailbox.tell(Start(evolve(message.definition, trigger=trigger), manual))
        await keeper.until(lambda keeper: len(keeper.ends) == 2)
    assert sorted(seen) == sorted([kind, "manual"])


async def test_times_of_a_context(autojump_clock: trio.testing.MockClock) -> None:
    seen: dict[str, tuple[Any, ...]] = {}

    async def handler(ctx: Context) -> None:
        seen[ctx.execution_id] = (ctx.nominal, ctx.assigned, ctx.actual)

    async with running(handler) as (executor, keeper):
        await executor.mailbox.tell(start(1))
        await executor.mailbox.tell(start(2, assigned=Instant(NOMINAL + 30 * SECOND)))
        await executor.mailbox.tell(start(3, nominal=None))
        await keeper.until(lambda keeper: len(keeper.ends) == 3)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert seen["e1"][:2] == (at, at)
    assert seen["e2"][:2] == (at, at + timedelta(seconds=30))
    assert seen["e3"][:2] == (None, at), "a manual run is due when it is asked for"
    assert all(actual >= at for _, _, actual in seen.values())


@given(st.integers(0, 3), st.integers(1, 3), st.integers(1, 5), st.text("{}", max_size=2), st.booleans())
def test_24_the_idempotency_key_stays_over_attempts_and_differs_over_occurrences(
    slot: int, revision: int, attempt: int, parameters: str, manual: bool
) -> None:
    def key(**fields: Any) -> str:
        nominal = None if manual else Instant(NOMINAL + slot * SECOND)
        message = start(1, **({"nominal": nominal, "revision": revision} | fields))
        return Described(message.definition, message.execution, NOMINAL, "node", None).idempotency_key

    assert key() == key(attempt=attempt, fence=attempt + 7, parameters=f'{{"edited":"{len(parameters)}"}}')
    assert key() != key(revision=revision + 1)
    assert key() != key(nominal=Instant(NOMINAL + (slot + 1) * SECOND))


async def test_the_idempotency_key_is_the_occurrences(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context) -> str:
        return ctx.idempotency_key

    async with running(handler) as (executor, keeper):
        for message in (
            start(1, fence=1),
            start(1, fence=2, attempt=2),
            start(1, fence=3, nominal=NOMINAL + SECOND),
            start(1, fence=4, nominal=None),
            start(2, fence=1),
        ):
            await executor.mailbox.tell(message)
            told = len(keeper.ends)
            await keeper.until(lambda keeper, told=told: len(keeper.ends) > told)
        keys = [end.result for end in keeper.ends]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


async def test_datetimes_are_given_as_datetimes(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context, *, since: datetime, until: datetime | None = None) -> list[Any]:
        return [since.year, until is None]

    async with running(handler) as (executor, keeper):
        await executor.mailbox.tell(start(parameters='{"since":"2026-05-01T00:00:00Z","until":null}'))
        assert (await keeper.end()).result == "[2026,true]"


async def test_a_store_that_does_not_answer_for_a_while_costs_no_attempt(
    autojump_clock: trio.testing.MockClock,
) -> None:
    answers: list[Any] = [StoreUnavailable("busy"), StoreUnavailable("busy"), '{"at":3}']

    async def load(_: str) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    async def handler(ctx: Context) -> Any:
        return ctx.resumed_from

    async with running(handler, load_checkpoint=load) as (executor, keeper):
        await executor.mailbox.tell(start(1, checkpoints=1))
        assert (await keeper.end()).result == '{"at":3}'
