"""Handlers in threads and in processes: real ones, by the real clock. Nothing here waits for time to pass, only for events."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.executor_core import ABANDON_SECONDS
from actors.executor_messages import Drain
from actors.handling.catalogue import DECLARED, TaskType, task_type
from actors.handling.context import Context, HandlerInterrupted, SyncContext
from actors.handling.frames import MAX_FRAME, FrameTooLarge, Unpacker, pack
from actors.handling.lines import LONGEST, cut
from actors.handling.logbook import MAX_LOG_LINES, TRUNCATED
from actors.handling.runners import process
from actors.handling.runners.thread import lane_of
from actors.keeper_messages import Interrupt
from actors.model.lifecycle import State
from actors.model.policy import Policies
from actors.model.task import Extra
from runtime.clock import MILLISECOND, Micros
from runtime.errors import StaleFence, TooLarge
from runtime.mailbox import ask
from runtime.simulation import SimulatedWorld
from runtime.world import RealWorld
from tests.actors import process_handlers
from tests.actors.executor_kit import real_world, running, start

# -- threads


async def test_a_function_runs_in_a_thread_and_can_say_everything() -> None:
    def handler(ctx: SyncContext, *, answer: int) -> dict[str, Any]:
        ctx.log.info("in a thread")
        ctx.progress(done=1, total=2)
        ctx.heartbeat()
        ctx.checkpoint({"n": 1})
        with pytest.raises(TooLarge):
            ctx.checkpoint("x" * 300_000)
        keeper.stale.add(1)
        with pytest.raises(StaleFence):
            ctx.checkpoint({"n": 2})
        return {"answer": answer, "thread": threading.current_thread() is threading.main_thread(), "name": ctx.task}

    async with running(handler, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(parameters='{"answer":5}'))
        end = await keeper.end()
        assert (end.state, end.failure) == (State.COMPLETED, None)
        assert json.loads(end.result or "") == {"answer": 5, "thread": False, "name": "task 1"}
        assert (keeper.lines, keeper.checkpoints) == (["in a thread"], ['{"n":1}'])
        assert keeper.figures == [{"done": 1, "total": 2}]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_what_a_thread_raises_ends_its_attempt_only(error: type[BaseException]) -> None:
    def handler(ctx: SyncContext) -> None:
        raise error("bad")

    async with running(handler, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start())
        end = await keeper.end()
        assert end.failure is not None
        assert (end.state, end.failure.type) == (State.FAILED, error.__name__)


async def test_a_thread_that_looks_gives_way() -> None:
    began = threading.Event()

    def handler(ctx: SyncContext) -> None:
        began.set()
        pause = threading.Event()
        while True:
            pause.wait(0.005)
            with suppress(Exception):
                ctx.raise_if_cancelled()

    async with running(handler, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start())
        await trio.to_thread.run_sync(began.wait)
        await executor.mailbox.tell(Interrupt("e1", 1, "cancelled by anna"))
        end = await keeper.end()
        assert end.failure is not None
        assert (end.state, end.failure.type) == (State.CANCELLED, HandlerInterrupted.__name__)
        assert end.failure.message == "cancelled by anna"


async def test_a_thread_that_gives_way_to_a_drain_has_not_failed() -> None:
    async with running(process_handlers.obeys_the_drain, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start())
        await keeper.until(lambda keeper: "ready" in keeper.lines)
        await ask(executor.mailbox, lambda reply: Drain(30.0, reply), 60)
        end = await keeper.end()
        assert (end.state, end.reason, end.failure) == (State.WAITING, "drain", None)


async def test_a_handler_that_blocks_the_loop_beyond_its_timeout_has_timed_out() -> None:
    async def handler(ctx: Context) -> int:
        time.sleep(0.05)  # noqa: ASYNC251
        return 3

    async with running(handler, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(policies=Policies(timeout=Micros(10 * MILLISECOND))))
        end = await keeper.end()
        assert (end.state, end.reason, end.result) == (State.TIMED_OUT, "timeout", None)


async def test_a_deaf_thread_is_abandoned_and_keeps_its_slot_until_it_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.executor_core.ABANDON_SECONDS", 0.05)
    release = threading.Event()

    def handler(ctx: SyncContext) -> None:
        release.wait()

    async with running(handler, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(policies=Policies(timeout=Micros(10 * MILLISECOND))))
        end = await keeper.end()
        assert (end.state, end.reason, end.holds_slot) == (State.TIMED_OUT, "timeout", True)
        assert (executor.core.abandoned, keeper.freed) == (1, 0)
        release.set()
        await keeper.until(lambda keeper: keeper.freed == 1)
        assert executor.core.abandoned == 0


async def test_an_executor_does_not_wait_for_threads_when_it_ends() -> None:
    began, release = threading.Event(), threading.Event()

    def handler(ctx: SyncContext) -> None:
        began.set()
        release.wait()

    async with running(handler, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start())
        await trio.to_thread.run_sync(began.wait)
        executor.stop()
        assert (await keeper.end()).state is State.WAITING
    release.set()


async def test_a_thread_that_logs_without_end_is_cut_off() -> None:
    def handler(ctx: SyncContext) -> None:
        for number in range(3 * MAX_LOG_LINES):
            ctx.log.info(number)

    async with running(handler, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start())
        await keeper.end()
        assert len(keeper.lines) == MAX_LOG_LINES + 1
        assert keeper.lines[-1] == TRUNCATED


async def test_a_pool_of_its_own_is_not_held_up_by_the_others() -> None:
    began, release = threading.Event(), threading.Event()

    def blocks(ctx: SyncContext) -> None:
        began.set()
        release.wait()

    def quick(ctx: SyncContext) -> int:
        return 1

    types = (task_type("blocks", blocks), task_type("quick", quick), task_type("aside", quick, pool="io"))
    world = RealWorld({"handlers": 1, lane_of("io"): 1})
    async with running(*types, world=world) as (executor, keeper):
        await executor.mailbox.tell(start(1, type="blocks"))
        await trio.to_thread.run_sync(began.wait)
        await executor.mailbox.tell(start(2, type="quick"))
        await executor.mailbox.tell(start(3, type="aside"))
        await keeper.until(lambda keeper: keeper.ends)
        assert [end.execution_id for end in keeper.ends] == ["e3"]
        release.set()
        await keeper.until(lambda keeper: len(keeper.ends) == 3)


async def test_who_is_cancelled_while_it_waits_for_a_thread_never_begins() -> None:
    began, release = threading.Event(), threading.Event()
    runs: list[str] = []

    def blocks(ctx: SyncContext) -> None:
        began.set()
        release.wait()

    def quick(ctx: SyncContext) -> None:
        runs.append(ctx.execution_id)

    types = (task_type("blocks", blocks), task_type("quick", quick))
    async with running(*types, world=RealWorld({"handlers": 1})) as (executor, keeper):
        await executor.mailbox.tell(start(1, type="blocks"))
        await trio.to_thread.run_sync(began.wait)
        await executor.mailbox.tell(start(2, type="quick"))
        await executor.mailbox.tell(start(3, type="quick"))
        await executor.mailbox.tell(Interrupt("e2", 1, "cancelled"))
        end = await keeper.end()
        assert (end.execution_id, end.state, end.holds_slot) == ("e2", State.CANCELLED, False)
        release.set()
        await keeper.until(lambda keeper: len(keeper.ends) == 3)
    assert runs == ["e3"]


async def test_a_function_that_returns_an_awaitable_is_told_off() -> None:
    async def inner() -> None:
        """Never awaited."""

    def handler(ctx: SyncContext) -> Any:
        return inner()

    async with running(handler, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start())
        end = await keeper.end()
        assert end.failure is not None
        assert "async function" in end.failure.message


async def test_functions_run_in_the_simulated_world_too(autojump_clock: trio.testing.MockClock) -> None:
    def handler(ctx: SyncContext) -> int:
        ctx.log.info("inline")
        return 3

    async with running(handler, world=SimulatedWorld()) as (executor, keeper):
        await executor.mailbox.tell(start())
        assert (await keeper.end()).result == "3"
        assert keeper.lines == ["inline"]


# -- processes


def in_process(name: str) -> TaskType:
    entry = DECLARED.get(name)
    assert entry is not None
    assert entry.source == f"module:{process_handlers.__name__}"
    return entry


async def load_seven(execution_id: str) -> str:
    return "7"


async def test_a_process_handler_can_say_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_TOKEN", "secret")
    message = start(
        type="everything", parameters='{"size":3}', checkpoints=1, extra=Extra(b"\x00\xff", "x/y"), fence=4, attempt=2
    )
    async with running(in_process("everything"), world=real_world(), load_checkpoint=load_seven) as (executor, keeper):
        await executor.mailbox.tell(message)
        end = await keeper.end()
    assert (end.state, end.failure) == (State.COMPLETED, None)
    found = json.loads(end.result or "")
    assert found.pop("pid") != os.getpid()
    assert len(found.pop("key")) == 32
    assert found == {
        "resumed": 7,
        "extra": "00ff",
        "facts": ["t1", "task 1", "everything", "e1", 2, 4, "node-1", "occurrence"],
        "times": ["2026-01-01 00:00:00+00:00", "2026-01-01 00:00:00+00:00"],
        "secret": None,
    }
    assert sorted(keeper.lines) == ["complained", "logged 3", "printed"]
    assert keeper.checkpoints == ['{"size":3}']
    assert keeper.figures == [{"done": 1, "total": 2}]


async def test_an_async_handler_runs_in_a_process() -> None:
    async with running(in_process("asynchronous"), world=real_world(), load_checkpoint=load_seven) as (
        executor,
        keeper,
    ):
        await executor.mailbox.tell(start(type="asynchronous", parameters='{"size":3}', checkpoints=1))
        end = await keeper.end()
        assert (end.state, end.failure) == (State.COMPLETED, None)
        assert json.loads(end.result or "")["resumed"] == 7
        assert (keeper.lines, keeper.checkpoints, keeper.figures) == (["logged 3"], ['{"size":3}'], [{"done": 1}])


@pytest.mark.parametrize(
    ("name", "parameters", "raised", "message"),
    [
        ("fail", "{}", "ConnectionResetError", "no line"),
        ("fail_async", "{}", "ConnectionResetError", "no line"),
        ("return_set", "{}", "InvalidRequest", "set"),
        ("exit_now", '{"code":3}', "WorkerDied", "exit code 3"),
        ("exit_now", '{"code":0}', "WorkerDied", "exit code 0"),
        ("kill_itself", "{}", "WorkerDied", "signal 9 (SIGKILL)"),
        ("fail", '{"surprise":1}', "TypeError", "surprise"),
    ],
)
async def test_what_a_process_does_wrong_ends_its_attempt_only(
    name: str, parameters: str, raised: str, message: str
) -> None:
    async with running(in_process(name), world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type=name, parameters=parameters))
        end = await keeper.end()
        assert end.failure is not None
        assert (end.state, end.failure.type) == (State.FAILED, raised)
        assert message in end.failure.message


async def test_a_checkpoint_that_is_too_large_is_refused_in_the_process() -> None:
    async with running(in_process("checkpoint_too_much"), world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type="checkpoint_too_much"))
        end = await keeper.end()
        assert (end.state, end.result) == (State.COMPLETED, '"TooLarge"')
        assert keeper.checkpoints == []


async def test_the_retry_policy_sees_the_bases_of_a_remote_exception() -> None:
    from actors.model.policy import Retry

    async with running(in_process("fail"), world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type="fail", policies=Policies(retry=Retry(give_up_on=("OSError",)))))
        end = await keeper.end()
        assert end.failure is not None
        assert (end.retryable, "process_handlers.py" in end.failure.traceback) == (False, True)


async def test_a_cancelled_process_gives_way_and_can_still_checkpoint() -> None:
    async with running(in_process("gives_way"), world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type="gives_way"))
        await keeper.until(lambda keeper: "ready" in keeper.lines)
        await executor.mailbox.tell(Interrupt("e1", 1, "cancelled"))
        end = await keeper.end()
        assert (end.state, end.reason) == (State.CANCELLED, "cancelled")
        assert keeper.checkpoints == ['["HandlerInterrupted","cancelled"]']


async def test_a_cancelled_async_process_ends() -> None:
    async with running(in_process("gives_way_async"), world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type="gives_way_async"))
        await keeper.until(lambda keeper: "ready" in keeper.lines)
        await executor.mailbox.tell(Interrupt("e1", 1, "lost_lease"))
        end = await keeper.end()
        assert (end.state, end.reason) == (State.WAITING, "lost_lease")
        assert set(keeper.lines) == {"ready", "given way", "finally: lost_lease"}


@pytest.mark.parametrize("name", ["finishes_anyway", "finishes_anyway_async"])
@pytest.mark.parametrize(
    ("reason", "state", "result"),
    [("lost_lease", State.COMPLETED, '"done"'), ("cancelled", State.CANCELLED, None)],
)
async def test_a_process_that_returns_although_it_was_interrupted_has_done_its_work(
    name: str, reason: str, state: State, result: str | None
) -> None:
    async with running(in_process(name), world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type=name))
        await keeper.until(lambda keeper: "ready" in keeper.lines)
        await executor.mailbox.tell(Interrupt("e1", 1, reason))
        end = await keeper.end()
        assert (end.state, end.result) == (state, result)


async def test_a_deaf_process_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.handling.runners.process.KILL_SECONDS", 0.1)
    async with running(in_process("deaf"), world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type="deaf"))
        line = await keeper.until(lambda keeper: [line for line in keeper.lines if line.startswith("ready")])
        await executor.mailbox.tell(Interrupt("e1", 1, "cancelled"))
        assert (await keeper.end()).state is State.CANCELLED
        with pytest.raises(ProcessLookupError):
            os.kill(int(line[0].split()[1]), 0)


def test_a_process_is_killed_before_it_is_abandoned() -> None:
    assert process.SEND_SECONDS + process.KILL_SECONDS + process.LAST_WORDS_SECONDS < ABANDON_SECONDS


async def test_a_timeout_ends_a_process() -> None:
    async with running(in_process("gives_way"), world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type="gives_way", policies=Policies(timeout=Micros(50 * MILLISECOND))))
        end = await keeper.end()
        assert (end.state, end.reason) == (State.TIMED_OUT, "timeout")


async def test_a_draining_node_is_seen_in_the_process() -> None:
    async with running(in_process("sees_the_drain"), world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type="sees_the_drain"))
        await keeper.until(lambda keeper: "ready" in keeper.lines)
        await ask(executor.mailbox, lambda reply: Drain(30.0, reply), 60)
        end = await keeper.end()
        assert (end.state, end.result) == (State.COMPLETED, '"drain"')


@pytest.mark.parametrize("name", ["obeys_the_drain", "obeys_the_drain_async"])
async def test_a_process_that_gives_way_to_a_drain_has_not_failed(name: str) -> None:
    async with running(in_process(name), world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type=name))
        await keeper.until(lambda keeper: "ready" in keeper.lines)
        await ask(executor.mailbox, lambda reply: Drain(30.0, reply), 60)
        end = await keeper.end()
        assert (end.state, end.reason, end.failure) == (State.WAITING, "drain", None)


async def test_a_handler_whose_source_is_gone_fails(tmp_path: Path) -> None:
    entry = TaskType("lost", process_handlers.fail, "process", source=f"file:{tmp_path / 'gone.py'}")
    async with running(entry, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type="lost"))
        end = await keeper.end()
        assert end.failure is not None
        assert (end.failure.type, "gone.py" in end.failure.message) == ("InvalidRequest", True)


# -- frames and lines


def test_frames_come_out_as_they_went_in_however_they_are_cut() -> None:
    data = pack("log", level="info", text="é") + pack("beat") + pack("done", result=None)
    expected = [{"kind": "log", "level": "info", "text": "é"}, {"kind": "beat"}, {"kind": "done", "result": None}]
    for size in (1, 3, 7, len(data)):
        unpacker = Unpacker()
        found = [frame for at in range(0, len(data), size) for frame in unpacker.feed(data[at : at + size])]
        assert found == expected


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(FrameTooLarge, match=str(MAX_FRAME)):
        Unpacker().feed(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("data", "last", "lines", "rest"),
    [
        (b"a\nb", False, ["a"], b"b"),
        (b"a\nb", True, ["a", "b"], b""),
        (b"a\r\n\nb\n", True, ["a", "", "b"], b""),
        (b"\xff\n", False, ["\ufffd"], b""),
        (b"", True, [], b""),
        (b"x" * (LONGEST + 1), False, ["x" * LONGEST], b"x"),
        (b"x" * (LONGEST + 1) + b"\n", False, ["x" * LONGEST, "x"], b""),
    ],
)
def test_lines_are_cut(data: bytes, last: bool, lines: list[str], rest: bytes) -> None:
    assert cut(bytearray(data), last=last) == (lines, bytearray(rest))
