"""Retry, cancel and resume on virtual time, each case under its own name.

The numbers are those of the catalogue of behavioural cases: plain ones of the retry and cancel sections, R37, R40 and R36 of the
section on execution, retry and checkpoint.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tocsin.testing
from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context
from runtime.errors import Conflict
from tocsin.testing import VirtualNode
from tocsin.vocabulary.policies import Retry

SIMULATED = {"start": "2026-01-01T00:00:00Z"}


class Work:
    """A handler that fails so many times, then sleeps so long, and writes down when it was called."""

    def __init__(self, fails: int = 0, seconds: float = 0.0) -> None:
        self.fails = fails
        self.seconds = seconds
        self.calls: list[float] = []
        self.reasons: list[str | None] = []
        self.keys: list[str] = []

    async def __call__(self, ctx: Context) -> Any:
        self.calls.append(round(trio.current_time() - self.began, 3))
        self.keys.append(ctx.idempotency_key)
        if len(self.calls) <= self.fails:
            raise ConnectionResetError(f"call {len(self.calls)}")
        try:
            await trio.sleep(self.seconds)
        except trio.Cancelled:
            self.reasons.append(ctx.cancellation_reason)
            raise
        return None

    def run(self, test: Any) -> None:
        async def on(node: VirtualNode) -> None:
            self.began = trio.current_time()
            await test(node)

        tocsin.testing.run(on, catalogue=Catalogue([task_type("work", self)]), **SIMULATED)


def state(task: Any) -> str:
    return str(task.state.status.value)


# -- retry


def test_22_the_retry_delay_is_respected() -> None:
    work = Work(fails=1)

    async def test(node: VirtualNode) -> None:
        await node.new_task("work").named("one").after("1s").retry(Retry(3, delay="60s")).schedule()
        await node.advance("60s")
        assert work.calls == [1.0]
        await node.advance("2s")

    work.run(test)
    assert work.calls == [1.0, 61.0]


def test_23_an_exhausted_one_time_task_is_failed_and_never_run_again_by_itself() -> None:
    work = Work(fails=100)

    async def test(node: VirtualNode) -> None:
        await node.new_task("work").named("one").after("1s").retry(Retry(0)).schedule()
        await node.advance("30d")
        task = await node.task("one")
        assert (state(task), task.state.failure_count) == ("FAILED", 1)

    work.run(test)
    assert work.calls == [1.0]


def test_25_every_occurrence_has_a_fresh_budget() -> None:
    work = Work(fails=3)

    async def test(node: VirtualNode) -> None:
        # Two failures of the first occurrence use its one retry up; the third call fails, and is retried all the same.
        builder = node.new_task("work").named("one").with_period("10m")
        await builder.retry(Retry(1, delay="10s")).schedule()
        await node.advance("21m")

    work.run(test)
    first = work.calls[0]
    assert [round(call - first, 3) for call in work.calls][:4] == [0, 10, 600, 610]


def test_26_a_retry_does_not_move_the_series() -> None:
    work = Work(fails=1)

    async def test(node: VirtualNode) -> None:
        await node.new_task("work").named("one").with_period("1m").retry(Retry(3, delay="7s")).schedule()
        await node.advance("3m")
        nominal = [slot.nominal.timestamp() % 60 for slot in await node.slots("one")]
        assert len(set(nominal)) == 1

    work.run(test)
    first = work.calls[0]
    assert [round(call - first, 3) for call in work.calls][:3] == [0, 7, 60]


@pytest.mark.parametrize("reset", [False, True])
def test_28_a_manual_retry_keeps_the_count_unless_it_is_reset(reset: bool) -> None:
    work = Work(fails=2)

    async def test(node: VirtualNode) -> None:
        await node.new_task("work").named("one").after("1s").retry(Retry(0)).schedule()
        await node.advance("2s")
        assert (await node.task("one")).state.failure_count == 1
        await node.retry("one", reset=reset)
        await node.advance("1s")
        task = await node.task("one")
        assert (state(task), task.state.failure_count) == ("FAILED", 1 if reset else 2)
        await node.retry("one")
        await node.advance("1s")
        assert state(await node.task("one")) == "COMPLETED"

    work.run(test)
    assert len(work.calls) == 3


def test_29_a_manual_retry_in_the_wrong_state_is_a_conflict_and_changes_nothing() -> None:
    work = Work(seconds=100)

    async def test(node: VirtualNode) -> None:
        await node.new_task("work").named("one").after("1s").schedule()
        for wait, expected in (("5s", "RUNNING"), ("200s", "COMPLETED")):
            await node.advance(wait)
            before = await node.task("one")
            assert state(before) == expected
            with pytest.raises(Conflict):
                await node.retry("one")
            assert await node.task("one") == before
        await node.cancel("one")
        with pytest.raises(Conflict):
            await node.retry("one")

    work.run(test)
    assert work.calls == [1.0]


def test_31_a_retry_survives_the_death_of_its_node_and_keeps_its_instant() -> None:
    work = Work(fails=1)

    async def test(node: VirtualNode) -> None:
        await node.new_task("work").named("one").after("1s").retry(Retry(3, delay="10m")).schedule()
        await node.advance("1m")
        await node.crash(down="2m")
        await node.advance("10m")
        assert state(await node.task("one")) == "COMPLETED"

    work.run(test)
    assert work.calls == [1.0, 601.0]


# -- cancel and late results


def test_32_a_cancel_while_it_runs_ends_the_work_and_the_task() -> None:
    work = Work(seconds=1_000)

    async def test(node: VirtualNode) -> None:
        await node.new_task("work").named("one").with_period("1h").schedule()
        await node.run("one")
        await node.advance("5s")
        assert state(await node.cancel("one")) == "CANCELLED"
        await node.advance("3d")
        task = await node.task("one")
        assert (state(task), task.state.next_fire) == ("CANCELLED", None)
        assert [run.state for run in await node.runs("one")] == ["CANCELLED"]

    work.run(test)
    assert len(work.calls) == 1
    assert work.reasons[0] is not None
    assert work.reasons[0].startswith("cancel")


def test_34_a_periodic_task_is_cancelled_between_its_runs() -> None:
    work = Work()

    async def test(node: VirtualNode) -> None:
        await node.new_task("work").named("one").with_period("1h").schedule()
        await node.advance("90m")
        ran = len(work.calls)
        assert state(await node.cancel("one")) == "CANCELLED"
        await node.advance("3d")
        assert len(work.calls) == ran >= 1
        assert state(await node.task("one")) == "CANCELLED"

    work.run(test)


def test_35_what_a_handler_returns_after_its_cancellation_is_dropped() -> None:
    async def stubborn(ctx: Context) -> str:
        with trio.CancelScope(shield=True):
            await trio.sleep(5)
        return "late"

    async def test(node: VirtualNode) -> None:
        await node.new_task("stubborn").named("one").with_period("1h").schedule()
        execution = await node.run("one")
        await node.advance("1s")
        await node.cancel("one")
        await node.advance("10s")
        detail = await node.execution(execution.id)
        assert (detail.execution.state.value, detail.result) == ("CANCELLED", None)

    tocsin.testing.run(test, catalogue=Catalogue([task_type("stubborn", stubborn)]), **SIMULATED)


def test_40_a_handler_that_returns_nothing_has_completed() -> None:
    work = Work()

    async def test(node: VirtualNode) -> None:
        await node.new_task("work").named("one").after("1s").schedule()
        await node.advance("2s")
        assert state(await node.task("one")) == "COMPLETED"

    work.run(test)


# -- execution, retry, checkpoint


def test_r36_work_that_must_not_run_twice_is_held_after_a_crash() -> None:
    work = Work(seconds=3_600)

    async def test(node: VirtualNode) -> None:
        await node.new_task("work").named("one").after("1s").on_crash("hold").schedule()
        await node.advance("1m")
        await node.crash()
        await node.advance("1d")
        assert state(await node.task("one")) == "CRASHED"
        assert len(work.calls) == 1
        await node.resume("one")
        await node.advance("2h")
        assert state(await node.task("one")) == "COMPLETED"

    work.run(test)
    assert len(work.calls) == 2


def test_r37_a_second_start_after_a_crash_has_the_same_idempotency_key() -> None:
    work = Work(seconds=600)

    async def test(node: VirtualNode) -> None:
        await node.new_task("work").named("one").with_period("1h").schedule()
        await node.advance("61m")
        await node.crash()
        await node.advance("90m")

    work.run(test)
    effects = set(work.keys)
    assert len(work.keys) > len(effects), "an occurrence was started twice"
    assert work.keys[0] == work.keys[1] != work.keys[-1]


ITEMS, EACH = 10_000, 100


def gets_on(kills: list[float]) -> bool:
    """Whether of two attempts in a row one comes to a checkpoint: after three crashes since the last one, it is held."""
    return all(max(two) > 5 for two in pairwise(kills))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0.5, 60), min_size=1, max_size=5).filter(gets_on))
@example([0.5, 6.0, 0.5, 6.0, 0.5])
def test_r40_after_each_kill_at_most_one_interval_of_items_is_done_again(kills: list[float]) -> None:
    done: list[int] = []
    resumed: list[tuple[Any, int]] = []

    async def scan(ctx: Context) -> int:
        first = ctx.resumed_from or 0
        resumed.append((ctx.resumed_from, max(done, default=-1) + 1))
        for item in range(first, ITEMS):
            done.append(item)
            if item % EACH == EACH - 1:
                await trio.sleep(1)
                await ctx.checkpoint(item + 1)
        return first

    async def test(node: VirtualNode) -> None:
        await node.new_task("scan").named("one").after("1s").schedule()
        for seconds in kills:
            await node.advance(f"{seconds:.3f}s")
            await node.crash()
        await node.advance("1h")
        assert state(await node.task("one")) == "COMPLETED"

    tocsin.testing.run(test, catalogue=Catalogue([task_type("scan", scan)]), **SIMULATED)
    assert set(done) == set(range(ITEMS))
    assert len(done) - ITEMS <= EACH * len(kills)
    assert all(reached - (begun or 0) <= EACH for begun, reached in resumed)
