"""What all channels stand on: a task type run once for a caller, whatever happens in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context, SyncContext
from actors.model.execution import Execution
from actors.model.invocation import MARK, Invocation, is_for_invocations, unwrapped, wrapped
from actors.model.lifecycle import Phase, State
from actors.model.policy import Policies, Retry
from actors.model.scope import Scope
from actors.model.task import Extra
from runtime.clock import MINUTE, Micros
from runtime.errors import Conflict, Forbidden, InvalidRequest, InvocationFailed, TooLarge, Unauthenticated
from tests.tocsin.conftest import CATALOGUE
from tocsin import testing
from tocsin.access.caller import FIRST_ADMINISTRATOR, NOBODY, Caller, Role
from tocsin.channels.invoking import Wanted, begin, cancel, invoke, result_of, until_ended
from tocsin.node import LocalNode
from tocsin.plans.exporting import export_text
from tocsin.testing import VirtualCluster

ROOT = FIRST_ADMINISTRATOR
STARTS: list[str] = []


async def told(ctx: Context, *, words: str = "") -> Any:
    """Says what it was given."""
    STARTS.append(ctx.execution_id)
    extra = None if ctx.extra is None else ctx.extra.decode()
    return {"words": words, "extra": extra, "type": ctx.extra_type, "channel": ctx.channel, "id": ctx.correlation_id}


def threaded(ctx: SyncContext, *, words: str = "") -> Any:
    """The same in a thread."""
    return {"words": words, "extra": ctx.extra and ctx.extra.decode(), "parameters": ctx.parameters}


TYPES = Catalogue([*CATALOGUE, task_type("told", told), task_type("threaded", threaded)])


@asynccontextmanager
async def opened(path: Path, catalogue: Catalogue = TYPES) -> AsyncIterator[LocalNode]:
    async with tocsin.open_node(data=path, catalogue=catalogue, synchronous="NORMAL", drain_timeout="0s") as node:
        yield node


async def test_a_type_is_run_and_its_result_comes_back(tmp_path: Path) -> None:
    wanted = Wanted({"words": "hello"}, Extra(b"\x00bytes", "text/plain"), correlation="abc")
    async with opened(tmp_path) as node:
        detail = await invoke(node.inner, ROOT, "told", wanted, channel="broker", wait=30)
        assert result_of(detail, "it") == {
            "words": "hello", "extra": "\x00bytes", "type": "text/plain", "channel": "broker", "id": "abc",
        }  # fmt: skip
        assert detail.execution.fence == 1
        detail = await invoke(node.inner, ROOT, "threaded", attrs_of(wanted), channel="rest", wait=30)
        assert result_of(detail, "it") == {"words": "hello", "extra": "\x00bytes", "parameters": {"words": "hello"}}


def attrs_of(wanted: Wanted) -> Wanted:
    return Wanted(wanted.parameters, wanted.extra)


async def test_all_of_a_type_belong_to_one_task(tmp_path: Path) -> None:
    async with opened(tmp_path) as node:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(begin_one, node)
        task = await node.task("invoke told")
        assert (await node.inner.executions(task.id, offset=0, limit=10))[1] == 5
        assert is_for_invocations(task.definition)
        assert (task.definition.tags, task.state.phase.value, task.definition.persistent) == (
            ("invoke",),
            "paused",
            True,
        )
    async with opened(tmp_path) as node:
        await begin_one(node)
        assert (await node.inner.executions(task.id, offset=0, limit=10))[1] == 6


async def test_who_comes_while_the_task_of_a_type_is_being_made_gets_it(tmp_path: Path) -> None:
    async def nothing(ctx: Context) -> None: ...

    catalogue = Catalogue([task_type(f"late.{number}", nothing) for number in range(40)])

    async def begin_after(node: LocalNode, name: str, passes: int) -> None:
        for _ in range(passes):
            await trio.lowlevel.checkpoint()
        await begin(node.inner, ROOT, name, Wanted(), channel="rest")

    async with tocsin.open_node(data=tmp_path, catalogue=catalogue) as node:
        for number in range(40):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(begin_after, node, f"late.{number}", 0)
                nursery.start_soon(begin_after, node, f"late.{number}", number)
            task = await node.task(f"invoke late.{number}")
            assert (await node.inner.executions(task.id, offset=0, limit=10))[1] == 2


async def begin_one(node: LocalNode, **more: Any) -> Execution:
    return await begin(node.inner, ROOT, "told", Wanted(**more), channel="rest")


async def test_a_key_stands_for_one_execution_also_after_a_restart(tmp_path: Path) -> None:
    STARTS.clear()
    wanted = Wanted({"words": "once"}, key="order 7")
    async with opened(tmp_path) as node:
        first = await invoke(node.inner, ROOT, "told", wanted, channel="rest", wait=30)
    async with opened(tmp_path) as node:
        again = await invoke(node.inner, ROOT, "told", wanted, channel="rest", wait=30)
        assert (again.execution.id, again.result) == (first.execution.id, first.result)
        for other in (Wanted({"words": "twice"}, key="order 7"), Wanted({"words": "once"}, Extra(b"x"), key="order 7")):
            with pytest.raises(Conflict, match="idempotency key 'order 7' stands for another request"):
                await begin(node.inner, ROOT, "told", other, channel="rest")
        assert (await begin(node.inner, ROOT, "greet", Wanted(key="order 7"), channel="rest")).id != first.execution.id
    assert [first.execution.id] == STARTS


async def test_a_failure_is_told_at_once_unless_the_type_wants_retries(tmp_path: Path) -> None:
    tries: list[int] = []

    async def flaky(ctx: Context) -> int:
        tries.append(ctx.attempt)
        if ctx.attempt < 3:
            raise ConnectionResetError
        return ctx.attempt

    patient = task_type("flaky", flaky, policies=Policies(retry=Retry(max_retries=5, delay=Micros(10_000))))
    async with opened(tmp_path, Catalogue([*TYPES, patient])) as node:
        detail = await invoke(node.inner, ROOT, "fail", Wanted(), channel="rest", wait=30)
        assert (detail.execution.state, detail.execution.attempt) == (State.FAILED, 1)
        with pytest.raises(InvocationFailed, match="it is FAILED in execution"):
            result_of(detail, "it")
        assert result_of(await invoke(node.inner, ROOT, "flaky", Wanted(), channel="rest", wait=30), "it") == 3


async def test_what_the_code_says_anew_holds_for_what_is_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as node:
        await begin_one(node)
    changed = task_type("told", told, policies=Policies(timeout=MINUTE))
    async with opened(tmp_path, Catalogue([changed])) as node:
        await begin_one(node)
        assert (await node.task("invoke told")).definition.policies.timeout == MINUTE
        assert (await node.task("invoke told")).state.revision == 2


async def test_a_time_limit_ends_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as node:
        detail = await invoke(node.inner, ROOT, "wait", Wanted(timeout=Micros(50_000)), channel="rest", wait=30)
        assert detail.execution.state is State.TIMED_OUT
        running = await invoke(node.inner, ROOT, "wait", Wanted(), channel="rest", wait=0.05)
        assert running.execution.is_open
        await cancel(node.inner, running.execution, "ada")
        assert (await until_ended(node.inner, running.execution.id, 30)).execution.state is State.CANCELLED


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        (Wanted({"nope": 1}), InvalidRequest, "unknown parameter 'nope'"),
        (Wanted({MARK: 1}), InvalidRequest, "parameter"),
        (Wanted(key=""), InvalidRequest, "key: 1 to 128"),
        (Wanted(correlation="x" * 129), InvalidRequest, "correlation: 1 to 128"),
        (Wanted(timeout=Micros(0)), InvalidRequest, "timeout"),
        (Wanted(extra=Extra(b"x" * 300_000)), TooLarge, "extra: 300000 bytes"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    tmp_path: Path, wanted: Wanted, error: type[Exception], words: str
) -> None:
    async with opened(tmp_path) as node:
        with pytest.raises(error, match=words):
            await begin(node.inner, ROOT, "told", wanted, channel="rest")
        with pytest.raises(InvalidRequest, match="unknown type 'tolt'; did you mean 'told'"):
            await begin(node.inner, ROOT, "tolt", Wanted(), channel="rest")
        with pytest.raises(InvalidRequest, match="only the system"):
            await begin(node.inner, ROOT, "system.purge", Wanted(), channel="rest")


async def test_it_needs_an_operator_and_stays_in_his_tenant(tmp_path: Path) -> None:
    eve = Caller("eve", Scope("acme"), Role.OPERATOR)
    mine = Caller("bob", Scope("acme", "bob"), Role.OPERATOR)
    async with opened(tmp_path) as node:
        for caller, error in ((NOBODY, Unauthenticated), (Caller("v", role=Role.VIEWER), Forbidden)):
            with pytest.raises(error):
                await begin(node.inner, caller, "told", Wanted(), channel="rest")
        found = [await begin(node.inner, one, "told", Wanted(key="k"), channel="rest") for one in (ROOT, eve, mine)]
        assert len({one.task_id for one in found}) == 3
        assert len({one.id for one in found}) == 3
        owners = [(await node.inner.task(one.task_id)).definition for one in found]
        assert [(one.tenant, one.owner) for one in owners] == [("", ""), ("acme", ""), ("acme", "bob")]
        seen = node.inner.seen_by(mine.scope)
        assert (await seen.execution(found[2].id)).execution.id == found[2].id
        with pytest.raises(tocsin.NotFound):
            await seen.execution(found[1].id)


async def test_a_name_that_a_person_has_taken_is_left_to_him(tmp_path: Path) -> None:
    async with opened(tmp_path) as node:
        await node.every("1h", "greet", name="invoke told")
        execution = await begin_one(node)
        assert (await node.task(execution.task_id)).definition.name.startswith("invoke told (")


@testing.simulated(nodes=3, catalogue=TYPES)
async def test_a_key_stands_for_one_execution_on_all_nodes(cluster: VirtualCluster) -> None:
    STARTS.clear()
    found: list[Execution] = []
    wanted = Wanted({"words": "once"}, key="order 7")

    async def ask(name: str) -> None:
        found.append(await begin(cluster.node(name).inner, ROOT, "told", wanted, channel="rest"))

    async with trio.open_nursery() as nursery:
        for name in cluster.nodes * 3:
            nursery.start_soon(ask, name)
        await cluster.advance("10s")
    assert len(found) == 9
    assert len({one.id for one in found}) == 1
    task = await cluster.task("invoke told")
    assert [run.state for run in await cluster.runs(task.id)] == ["COMPLETED"]
    assert [found[0].id] == STARTS
    cluster.kill("n1")
    await cluster.advance("1m")
    again = await invoke(cluster.node("n2").inner, ROOT, "told", wanted, channel="rest")
    assert (again.execution.id, again.execution.state) == (found[0].id, State.COMPLETED)
    with pytest.raises(Conflict, match="stands for another request"):
        await begin(cluster.node("n3").inner, ROOT, "told", Wanted(key="order 7"), channel="rest")


@pytest.mark.parametrize(
    "one",
    [
        Invocation(),
        Invocation('{"a":1}'),
        Invocation('{"a":"ü"}', Extra(b"", "a/b")),
        Invocation(None, Extra(b"\xff", "a/b"), Micros(5), 3),
        Invocation("{}", None, None, 1),
    ],
)
def test_what_is_kept_of_it_comes_back(one: Invocation) -> None:
    assert unwrapped(wrapped(one)) == one


async def test_a_service_is_turned_off_by_cancelling_its_task(tmp_path: Path) -> None:
    async with opened(tmp_path) as node:
        await begin_one(node)
        await node.cancel("invoke told")
        with pytest.raises(Conflict, match="activate it first"):
            await begin_one(node)
        await node.activate("invoke told", {"after": "520w"})
        assert (await begin_one(node)).task_id == (await node.task("invoke told")).id
        assert (await node.task("invoke told")).state.phase is Phase.PAUSED


async def test_its_task_is_in_no_file_of_definitions(tmp_path: Path) -> None:
    async with opened(tmp_path) as node:
        await begin_one(node)
        assert (await export_text(node.inner, "yaml"))["tasks"] == 0
