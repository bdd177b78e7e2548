"""The executor's shell: async handlers in virtual time, before a keeper that only listens."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

import pytest
import trio

from actors.executor import Executor
from actors.executor_messages import Drain, Resync
from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context
from actors.handling.payload import decode_json
from actors.keeper_messages import AttemptsEnded, Interrupt, Start
from actors.keeper_messages import Event as KeeperEvent
from actors.model.lifecycle import State
from actors.model.policy import Policies, Retry
from runtime.clock import SECOND, Micros
from runtime.mailbox import Mailbox, ask
from runtime.records import evolve
from runtime.simulation import SimulatedWorld
from tests.actors.executor_kit import no_checkpoint, running, start


async def work(ctx: Context, *, answer: int = 42) -> dict[str, int]:
    await trio.sleep(1)
    return {"answer": answer}


async def test_a_handler_runs_and_its_result_is_told(autojump_clock: trio.testing.MockClock) -> None:
    async with running(work) as (executor, keeper):
        await executor.mailbox.tell(start(parameters='{"answer":7}'))
        end = await keeper.end()
        assert (end.state, end.result, end.failure) == (State.COMPLETED, '{"answer":7}', None)
        assert end.ended_at - end.started_at == SECOND
        await trio.testing.wait_all_tasks_blocked()
        assert executor.core.unrecorded == 0


async def test_the_parameters_of_a_run_come_before_those_of_its_task(autojump_clock: trio.testing.MockClock) -> None:
    async with running(work) as (executor, keeper):
        message = start(parameters='{"answer":7}')
        run = evolve(message.execution, parameters='{"answer":8}')
        await executor.mailbox.tell(Start(message.definition, run))
        assert (await keeper.end()).result == '{"answer":8}'


async def test_an_executor_tells_its_slots_when_it_starts_and_when_asked(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(work, slots=3) as (executor, keeper):
        await keeper.until(lambda keeper: keeper.syncs)
        await executor.mailbox.tell(start())
        await executor.mailbox.tell(Resync())
        syncs = await keeper.until(lambda keeper: keeper.syncs[1:])
        assert keeper.syncs[0].slots == 3
        assert (syncs[0].slots, syncs[0].running) == (2, {("e1", 1)})


async def test_ends_are_told_again_until_they_are_recorded(autojump_clock: trio.testing.MockClock) -> None:
    async with running(work) as (executor, keeper):
        keeper.recording = False
        await executor.mailbox.tell(start())
        first = await keeper.end()
        await executor.mailbox.tell(Resync())
        again = await keeper.until(lambda keeper: keeper.ends[1:])
        assert again == [first]
        assert keeper.syncs[-1].running == {("e1", 1)}


async def test_ends_of_one_moment_go_in_one_message(autojump_clock: trio.testing.MockClock) -> None:
    async with running(work, slots=100) as (executor, keeper):
        for number in range(100):
            await executor.mailbox.tell(start(number))
        await keeper.until(lambda keeper: len(keeper.ends) == 100)
        assert sum(isinstance(message, AttemptsEnded) for message in keeper.heard) == 1


async def test_tasks_are_used_again_and_share_nothing(autojump_clock: trio.testing.MockClock) -> None:
    seen: contextvars.ContextVar[int] = contextvars.ContextVar("seen", default=0)
    found = []

    async def handler(ctx: Context) -> None:
        found.append((trio.lowlevel.current_task(), seen.get()))
        seen.set(1)

    async with running(handler) as (executor, keeper):
        for number in range(3):
            await executor.mailbox.tell(start(number))
            await keeper.until(lambda keeper, number=number: len(keeper.ends) == number + 1)
    assert [value for _, value in found] == [0, 0, 0]
    assert len({task for task, _ in found}) == 1


async def test_a_deadline_left_behind_does_not_reach_the_next_attempt(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context, *, leave: bool) -> None:
        if leave:
            trio.move_on_after(3).__enter__()
        else:
            await trio.sleep(10)

    async with running(handler) as (executor, keeper):
        await executor.mailbox.tell(start(1, parameters='{"leave":true}'))
        await keeper.until(lambda keeper: keeper.ends)
        await executor.mailbox.tell(start(2, parameters='{"leave":false}'))
        await keeper.until(lambda keeper: keeper.ends[1:])
        assert [end.state for end in keeper.ends] == [State.FAILED, State.COMPLETED]
        assert "stack corrupted" in str(keeper.ends[0].failure)


async def test_an_unknown_type_fails_the_attempt(autojump_clock: trio.testing.MockClock) -> None:
    async with running(work) as (executor, keeper):
        await executor.mailbox.tell(start(type="nonsense"))
        end = await keeper.end()
        assert end.failure is not None
        assert (end.state, end.failure.type, end.retryable) == (State.FAILED, "UnknownTaskType", True)
        assert "'nonsense'" in end.failure.message
        assert "work" in end.failure.message


class Odd(BaseException):
    pass


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


async def leak_cancelled(ctx: Context) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep(1)
        except trio.Cancelled as error:
            leaked = error
    raise leaked


def raiser(error: Callable[[], BaseException]) -> Callable[[Context], Any]:
    async def handler(ctx: Context) -> None:
        raise error()

    return handler


def returner(value: object) -> Callable[[Context], Any]:
    async def handler(ctx: Context) -> object:
        return value

    return handler


circle: list[Any] = []
circle.append(circle)


@pytest.mark.parametrize(
    ("handler", "name", "message"),
    [
        (raiser(lambda: ValueError("bad 7")), "ValueError", "bad 7"),
        (raiser(lambda: ExceptionGroup("many", [KeyError("k")])), "ExceptionGroup", "KeyError"),
        (raiser(lambda: BaseExceptionGroup("many", [Odd()])), "BaseExceptionGroup", "Odd"),
        (raiser(lambda: Odd("odd")), "Odd", "odd"),
        (raiser(lambda: KeyboardInterrupt()), "KeyboardInterrupt", ""),
        (raiser(lambda: SystemExit(3)), "SystemExit", "3"),
        (raiser(lambda: GeneratorExit()), "GeneratorExit", ""),
        (raiser(lambda: StopIteration()), "RuntimeError", "StopIteration"),
        (raiser(lambda: Unspeakable()), "Unspeakable", "RuntimeError"),
        (raiser(lambda: ValueError("x" * 100_000)), "ValueError", "..."),
        (leak_cancelled, "Cancelled", ""),
        (returner({1, 2}), "InvalidRequest", "set"),
        (returner(object()), "InvalidRequest", "object"),
        (returner(float("nan")), "InvalidRequest", "Out of range"),
        (returner(circle), "InvalidRequest", "Circular"),
        (returner("x" * 300_000), "TooLarge", "262144"),
    ],
)
async def test_a_bad_handler_ends_its_attempt_only(
    handler: Any, name: str, message: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with running(task_type("bad", handler), work) as (executor, keeper):
        await executor.mailbox.tell(start(1, type="bad"))
        end = await keeper.end()
        assert end.failure is not None
        assert (end.state, end.failure.type) == (State.FAILED, name)
        assert message in end.failure.message
        assert len(end.failure.message) <= 4096
        assert len(end.failure.traceback) <= 16384
        await executor.mailbox.tell(start(2))
        await keeper.until(lambda keeper: keeper.ends[1:])
        assert keeper.ends[1].state is State.COMPLETED


async def test_texts_that_no_store_can_hold_are_escaped(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context) -> None:
        ctx.log.info("reading %s", "a\udcff.txt")
        raise ValueError("a\udcff.txt" * 1_000)

    async with running(handler) as (executor, keeper):
        await executor.mailbox.tell(start())
        end = await keeper.end()
        assert end.failure is not None
        assert end.failure.message.startswith("a\\udcff.txt")
        assert len(end.failure.message.encode()) <= 4096
        assert "a\\udcff.txt" in end.failure.traceback
        assert len(end.failure.traceback.encode()) <= 16384
        assert keeper.lines == ["reading a\\udcff.txt"]


async def test_values_with_half_a_surrogate_pair_go_there_and_back(autojump_clock: trio.testing.MockClock) -> None:
    value = {"é a\udcff.txt": ["\ud800", "\U0001f600"]}

    async def handler(ctx: Context) -> Any:
        ctx.progress(step="a\udcff.txt", **value)
        await ctx.checkpoint(value)
        return value

    async with running(handler) as (executor, keeper):
        await executor.mailbox.tell(start())
        end = await keeper.end()
        assert (end.state, decode_json(end.result)) == (State.COMPLETED, value)
        assert [decode_json(text) for text in keeper.checkpoints] == [value]
        assert keeper.figures[0] == {"step": "a\udcff.txt", "details": value}
        assert all(text.isascii() for text in [end.result or "", *keeper.checkpoints, *keeper.progress])


async def test_the_traceback_names_the_place(autojump_clock: trio.testing.MockClock) -> None:
    async with running(raiser(lambda: ValueError("bad"))) as (executor, keeper):
        await executor.mailbox.tell(start())
        end = await keeper.end()
        assert end.failure is not None
        assert "raise error()" in end.failure.traceback


async def test_runaway_recursion_is_bounded(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context) -> None:
        def deeper() -> None:
            deeper()

        deeper()

    async with running(handler) as (executor, keeper):
        await executor.mailbox.tell(start())
        end = await keeper.end()
        assert end.failure is not None
        assert end.failure.type == "RecursionError"
        assert len(end.failure.traceback) <= 16384


async def test_the_retry_policy_sees_the_bases_of_the_exception(autojump_clock: trio.testing.MockClock) -> None:
    policies = Policies(retry=Retry(give_up_on=("OSError",)))
    async with running(raiser(lambda: ConnectionResetError())) as (executor, keeper):
        await executor.mailbox.tell(start(policies=policies))
        assert (await keeper.end()).retryable is False


async def test_a_cancelled_handler_sees_why(autojump_clock: trio.testing.MockClock) -> None:
    seen = []

    async def handler(ctx: Context) -> None:
        try:
            await trio.sleep_forever()
        finally:
            seen.append((ctx.cancelled, ctx.cancellation_reason, ctx.interrupted.is_set()))

    async with running(handler) as (executor, keeper):
        await executor.mailbox.tell(start())
        await trio.sleep(1)
        await executor.mailbox.tell(Interrupt("e1", 1, "cancelled by anna"))
        end = await keeper.end()
        assert (end.state, end.reason) == (State.CANCELLED, "cancelled by anna")
        assert seen == [(True, "cancelled by anna", True)]


async def test_a_cancel_that_overtakes_the_first_step(autojump_clock: trio.testing.MockClock) -> None:
    async with running(work) as (executor, keeper):
        await executor.mailbox.tell(start())
        await executor.mailbox.tell(Interrupt("e1", 1, "cancelled"))
        assert (await keeper.end()).state is State.CANCELLED


async def test_a_timeout_cancels(autojump_clock: trio.testing.MockClock) -> None:
    async with running(work) as (executor, keeper):
        await executor.mailbox.tell(start(policies=Policies(timeout=Micros(SECOND // 2))))
        end = await keeper.end()
        assert (end.state, end.reason, end.ended_at - end.started_at) == (State.TIMED_OUT, "timeout", SECOND // 2)


async def test_time_that_is_left_out_counts_for_what_runs(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context) -> None:
        await trio.sleep_forever()

    async with running(handler) as (executor, keeper):
        assert (executor.busy, executor.deadline) == (0, float("inf"))
        began = trio.current_time()
        await executor.mailbox.tell(start(policies=Policies(timeout=Micros(60 * SECOND))))
        await trio.sleep(1)
        assert (executor.busy, executor.deadline) == (1, began + 60)
        executor.pass_over(49)
        assert executor.deadline == began + 11
        end = await keeper.end()
        assert (end.state, trio.current_time()) == (State.TIMED_OUT, began + 11)


async def test_a_heartbeat_keeps_an_attempt_alive(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context) -> None:
        for say in (ctx.heartbeat, lambda: ctx.progress(done=1), ctx.heartbeat):
            await trio.sleep(1.5)
            say()
        await ctx.checkpoint(1)
        await trio.sleep_forever()

    async with running(handler) as (executor, keeper):
        await executor.mailbox.tell(start(policies=Policies(heartbeat_timeout=Micros(2 * SECOND))))
        end = await keeper.end()
        assert (end.state, end.reason) == (State.TIMED_OUT, "heartbeat_timeout")
        assert end.ended_at - end.started_at == 6.5 * SECOND


async def test_a_handler_that_swallows_its_cancellation_is_reported_as_stuck(
    autojump_clock: trio.testing.MockClock,
) -> None:
    release = trio.Event()

    async def handler(ctx: Context) -> str:
        with trio.CancelScope(shield=True):
            await release.wait()
        return "late"

    async with running(handler) as (executor, keeper):
        await executor.mailbox.tell(start())
        await executor.mailbox.tell(Interrupt("e1", 1, "cancelled"))
        end = await keeper.end()
        assert end.failure is not None
        assert (end.state, end.failure.type, end.holds_slot) == (State.CANCELLED, "Stuck", True)
        assert keeper.freed == 0
        release.set()
        await keeper.until(lambda keeper: keeper.freed == 1)


async def test_a_drain_lets_handlers_save_themselves_and_interrupts_the_rest(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def careful(ctx: Context) -> None:
        await ctx.interrupted.wait()
        await ctx.checkpoint({"at": 3})
        await trio.sleep_forever()

    async def quick(ctx: Context) -> None:
        await ctx.interrupted.wait()

    async with running(task_type("careful", careful), task_type("quick", quick)) as (executor, keeper):
        await executor.mailbox.tell(start(1, type="careful"))
        await executor.mailbox.tell(start(2, type="quick"))
        await ask(executor.mailbox, lambda reply: Drain(5.0, reply), 60)
        await keeper.until(lambda keeper: len(keeper.ends) == 2)
        ends = {end.execution_id: (end.state, end.reason) for end in keeper.ends}
        assert ends == {"e1": (State.WAITING, "drain"), "e2": (State.COMPLETED, None)}
        assert keeper.checkpoints == ['{"at":3}']


async def test_a_crash_of_the_executor_interrupts_what_ran_and_tells_it_after_the_restart(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(work) as (executor, keeper), trio.open_nursery() as nursery:
        executor.stop()
        await trio.testing.wait_all_tasks_blocked()
        keeper.heard.clear()

        async def run_twice() -> None:
            with pytest.raises(BaseExceptionGroup):
                await executor.run()
            await executor.run()

        nursery.start_soon(run_twice)
        await trio.testing.wait_all_tasks_blocked()
        await executor.mailbox.tell(start(1))
        await executor.mailbox.tell("no message")  # type: ignore[arg-type]
        await executor.mailbox.tell(start(2))
        await keeper.until(lambda keeper: any(end.execution_id == "e2" for end in keeper.ends))
        states = {end.execution_id: (end.state, end.reason) for end in keeper.ends}
        assert states == {"e1": (State.WAITING, "stopped"), "e2": (State.COMPLETED, None)}
        assert [sync.running for sync in keeper.syncs] == [frozenset(), {("e1", 1)}]
        nursery.cancel_scope.cancel()


async def test_starting_and_stopping_a_hundred_times(autojump_clock: trio.testing.MockClock) -> None:
    async with running(work) as (executor, keeper), trio.open_nursery() as nursery:
        for _ in range(100):
            executor.stop()
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(executor.run)
            await trio.testing.wait_all_tasks_blocked()
        await executor.mailbox.tell(start())
        assert (await keeper.end()).state is State.COMPLETED
        nursery.cancel_scope.cancel()


async def test_orderly_stop_tells_what_was_interrupted(autojump_clock: trio.testing.MockClock) -> None:
    async with running(work) as (executor, keeper):
        await executor.mailbox.tell(start())
        executor.stop()
        end = await keeper.end()
        assert (end.state, end.reason) == (State.WAITING, "stopped")


async def test_a_checkpoint_is_told_again_to_a_keeper_that_crashed(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context) -> None:
        await ctx.checkpoint(1)

    async with running(handler) as (executor, keeper):
        keeper.crashes = 2
        await executor.mailbox.tell(start())
        assert (await keeper.end()).state is State.COMPLETED
        assert (keeper.crashes, keeper.checkpoints) == (0, ["1"])


async def test_a_keeper_that_crashes_for_ever_fails_the_checkpoint(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context) -> None:
        await ctx.checkpoint(1)

    async with running(handler) as (executor, keeper):
        keeper.crashes = 1_000_000
        await executor.mailbox.tell(start())
        end = await keeper.end()
        assert end.failure is not None
        assert (end.state, end.failure.type) == (State.FAILED, "ActorCrashed")
        assert end.ended_at - end.started_at < 31 * SECOND


async def test_a_full_keeper_holds_up_nothing_and_loses_no_end(autojump_clock: trio.testing.MockClock) -> None:
    keeper: Mailbox[KeeperEvent] = Mailbox("keeper", capacity=1)
    executor = Executor(SimulatedWorld(), Catalogue([task_type("work", work)]), keeper, no_checkpoint)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executor.run)
        for number in range(20):
            await executor.mailbox.tell(start(number))
            await trio.sleep(2)
        assert (executor.core.running, executor.core.unrecorded, len(keeper)) == (0, 20, 1)
        executor.stop()
    told = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executor.run)
        while len(told) < 20:
            for message in await keeper.receive(10):
                told += message.ends if isinstance(message, AttemptsEnded) else []
        nursery.cancel_scope.cancel()
    assert {end.execution_id for end in told} == {f"e{number}" for number in range(20)}
