"""Hooks around attempts, seen by the keeper: they run for what they match, and change nothing."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import tocsin
from actors.executor_messages import Resync
from actors.handling.catalogue import DECLARED, Catalogue, task_type
from actors.handling.context import Context, SyncContext
from actors.handling.hooks import HOOK_SECONDS, Ended, Hook, Hooks, settled_of
from actors.keeper_messages import Interrupt
from actors.model.lifecycle import State
from actors.model.policy import Policies
from actors.model.task import Task, TaskState
from runtime.clock import SECOND, Micros
from runtime.errors import InvalidRequest
from tests.actors.executor_kit import real_world, running, start
from tests.actors.test_runners import in_process


class Diary:
    """Hooks that write down what they hear."""

    def __init__(self, **matching: Any) -> None:
        self.pages: list[Any] = []

        async def before(ctx: Context) -> None:
            self.pages.append(("before", ctx.task))

        async def after(ctx: Context, ended: Ended) -> None:
            await trio.sleep(0.1)
            self.pages.append(("after", ended.state, ended.result, type(ended.error).__name__, ended.reason))

        self.hooks = (Hook("before", before, **matching), Hook("after", after, **matching))


async def completes(ctx: Context) -> dict[str, int]:
    return {"n": 1}


async def fails(ctx: Context) -> None:
    raise ConnectionResetError("no line")


async def sleeps(ctx: Context) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize(
    ("handler", "cancel", "heard"),
    [
        (completes, None, (State.COMPLETED, {"n": 1}, "NoneType", None)),
        (fails, None, (State.FAILED, None, "ConnectionResetError", None)),
        (sleeps, "cancelled", (State.CANCELLED, None, "Cancelled", "cancelled")),
        (sleeps, "superseded", (State.WAITING, None, "Cancelled", "superseded")),
    ],
)
async def test_after_hears_every_end_that_the_keeper_hears(
    handler: Any, cancel: str | None, heard: tuple[Any, ...], autojump_clock: trio.testing.MockClock
) -> None:
    diary = Diary()
    async with running(handler, hooks=diary.hooks) as (executor, keeper):
        await executor.mailbox.tell(start())
        if cancel is not None:
            await trio.sleep(1)
            await executor.mailbox.tell(Interrupt("e1", 1, cancel))
        assert (await keeper.end()).state is heard[0]
    assert diary.pages == [("before", "task 1"), ("after", *heard)]


async def test_after_hears_of_a_timeout(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    async with running(sleeps, hooks=diary.hooks) as (executor, keeper):
        await executor.mailbox.tell(start(policies=Policies(timeout=Micros(SECOND))))
        assert (await keeper.end()).state is State.TIMED_OUT
    assert diary.pages[-1][:2] == ("after", State.TIMED_OUT)


@pytest.mark.parametrize("matching", [{"type": "other"}, {"task": "task 2"}, {"type": "work", "task": "task 2"}])
async def test_hooks_never_run_for_what_they_do_not_match(
    matching: dict[str, str], autojump_clock: trio.testing.MockClock
) -> None:
    diary = Diary(**matching)
    async with running(completes, hooks=diary.hooks) as (executor, keeper):
        await executor.mailbox.tell(start())
        await keeper.end()
    assert diary.pages == []


@pytest.mark.parametrize("matching", [{}, {"type": "work"}, {"task": "task 1"}, {"type": "work", "task": "task 1"}])
async def test_hooks_run_for_a_type_a_name_or_everything(
    matching: dict[str, str], autojump_clock: trio.testing.MockClock
) -> None:
    diary = Diary(**matching)
    async with running(completes, hooks=diary.hooks) as (executor, keeper):
        await executor.mailbox.tell(start())
        await keeper.end()
    assert [page[0] for page in diary.pages] == ["before", "after"]


@pytest.mark.parametrize("error", [RuntimeError("bad"), SystemExit(3), KeyboardInterrupt()])
async def test_an_error_in_a_hook_is_recorded_and_changes_no_outcome(
    error: BaseException, autojump_clock: trio.testing.MockClock
) -> None:
    async def broken(ctx: Context, *ended: Ended) -> None:
        raise error

    diary = Diary()
    hooks = (Hook("before", broken), Hook("after", broken), *diary.hooks)
    async with running(completes, hooks=hooks) as (executor, keeper):
        await executor.mailbox.tell(start())
        end = await keeper.end()
        assert (end.state, end.result) == (State.COMPLETED, '{"n":1}')
        assert executor.hook_errors == 2
        assert [type(error).__name__ in line and "broken" in line for line in keeper.lines] == [True, True]
    assert [page[0] for page in diary.pages] == ["before", "after"], "the next hook runs all the same"


async def test_a_hook_that_does_not_end_is_cut_off(autojump_clock: trio.testing.MockClock) -> None:
    async def endless(ctx: Context, *ended: Ended) -> None:
        await trio.sleep_forever()

    async with running(completes, hooks=(Hook("before", endless), Hook("after", endless))) as (executor, keeper):
        began = trio.current_time()
        await executor.mailbox.tell(start())
        assert (await keeper.end()).state is State.COMPLETED
        assert trio.current_time() - began == pytest.approx(2 * HOOK_SECONDS, abs=0.5)
        assert [f"within {HOOK_SECONDS:g} s" in line for line in keeper.lines] == [True, True]


async def test_an_attempt_that_is_cancelled_in_its_before_hook_does_not_start(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def slow(ctx: Context) -> None:
        await trio.sleep(3)

    diary = Diary()
    async with running(fails, hooks=(Hook("before", slow), *diary.hooks)) as (executor, keeper):
        await executor.mailbox.tell(start())
        await trio.sleep(1)
        await executor.mailbox.tell(Interrupt("e1", 1, "cancelled"))
        assert (await keeper.end()).state is State.CANCELLED
    assert [page[0] for page in diary.pages] == ["after"]


async def test_plain_functions_run_in_a_thread_with_a_context_of_their_own() -> None:
    heard: list[Any] = []

    def before(ctx: SyncContext) -> None:
        ctx.log.info("before %s", ctx.task)
        heard.append(type(ctx))

    def after(ctx: SyncContext, ended: Ended) -> None:
        ctx.log.info("after: %s", ended.state)
        heard.append(ended.state)

    hooks = (Hook("before", before), Hook("after", after))
    async with running(completes, hooks=hooks, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start())
        await keeper.end()
        assert keeper.lines == ["before task 1", "after: COMPLETED"]
    assert heard == [SyncContext, State.COMPLETED]


async def test_hooks_of_a_thread_and_of_a_process_run_in_the_node() -> None:
    def in_thread(ctx: SyncContext) -> int:
        return 1

    diary = Diary()
    async with running(task_type("threaded", in_thread), in_process("fail"), world=real_world(), hooks=diary.hooks) as (
        executor,
        keeper,
    ):
        await executor.mailbox.tell(start(1, type="threaded"))
        await keeper.until(lambda keeper: keeper.ends)
        await executor.mailbox.tell(start(2, type="fail"))
        await keeper.until(lambda keeper: len(keeper.ends) == 2)
        await executor.mailbox.tell(Resync())
    assert [page[:2] for page in diary.pages] == [
        ("before", "task 1"),
        ("after", State.COMPLETED),
        ("before", "task 2"),
        ("after", State.FAILED),
    ]


def test_a_catalogue_names_the_outcome_hooks_of_a_task() -> None:
    catalogue = Catalogue()
    hook = Hook("on_outcome", completes, type="mail")
    catalogue.hooks.add(hook)
    catalogue.hooks.add(hook)
    assert catalogue.outcome_hooks("mail", "nightly") == (hook,)
    assert catalogue.outcome_hooks("other", "nightly") == ()
    assert catalogue.hooks.around("mail", "nightly") is None
    with pytest.raises(InvalidRequest, match="must be a function, not 3"):
        Hook("before", 3)  # type: ignore[arg-type]


def test_what_an_outcome_hook_hears() -> None:
    message = start(7)
    task = Task(message.definition, TaskState())
    heard = settled_of(task, message.execution)
    assert (heard.task_id, heard.task, heard.execution_id, heard.state) == ("t7", "task 7", "e7", State.RUNNING)
    assert str(heard.nominal) == "2026-01-01 00:00:00+00:00"


def test_the_decorators_declare_hooks() -> None:
    @tocsin.before
    def first(ctx: Any) -> None: ...

    @tocsin.after(type_name="mail")
    def second(ctx: Any, ended: tocsin.Ended) -> None: ...

    @tocsin.on_outcome(task="nightly")
    def third(settled: tocsin.Settled) -> None: ...

    try:
        mine = [hook for hook in DECLARED.hooks if hook.function in (first, second, third)]
        assert [(hook.when, hook.type, hook.task) for hook in mine] == [
            ("before", None, None),
            ("after", "mail", None),
            ("on_outcome", None, "nightly"),
        ]
    finally:
        for function in (first, second, third):
            DECLARED.hooks.remove(function)
    assert not {first, second, third} & {hook.function for hook in DECLARED.hooks}
    with pytest.raises(InvalidRequest, match="before: task: a text, not 3"):
        tocsin.before(task=3)  # type: ignore[arg-type]


def test_hooks_keep_their_order() -> None:
    hooks = Hooks()
    many = [Hook("before", lambda ctx, n=n: n) for n in range(5)]
    hooks.extend(many)
    assert hooks.matching("before", "any", "task") == tuple(many)
