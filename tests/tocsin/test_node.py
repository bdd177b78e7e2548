"""A node inside a program: what the README shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

import tocsin
from actors.command_messages import ConfigureTask
from actors.handling.catalogue import Catalogue, task_type
from actors.model.execution import Execution
from actors.model.lifecycle import State
from runtime.clock import HOUR, MINUTE
from tests.tocsin.conftest import CATALOGUE
from tocsin.node import LocalNode, make_declared
from tocsin.tasks import DECLARED_TASKS, DeclaredTask
from tocsin.vocabulary.policies import changed_policies

QUICK: dict[str, Any] = {"catalogue": CATALOGUE, "synchronous": "NORMAL", "drain_timeout": "0s"}


async def ended(node: LocalNode, execution: Execution) -> Execution:
    with trio.fail_after(20):
        while True:
            found = (await node.execution(execution.id)).execution
            if not found.is_open:
                return found
            await trio.sleep(0.005)


async def test_a_program_schedules_and_runs(tmp_path: Path) -> None:
    async with tocsin.open_node(data=tmp_path, **QUICK) as node:
        task = await node.new_task("greet").named("eu").with_parameters(region="eu").with_cron("0 0 1 1 *").schedule()
        held = await node.every("5m", "greet", persistent=False)
        later = await node.once("2h", "greet", name="later", region="us")
        nightly = await node.cron("30 2 * * *", "greet", timezone="Europe/Berlin")
        found = {one.id async for one in node.tasks(type_name="greet")}
        assert found == {task.id, held.id, later.id, nightly.id}
        execution = await ended(node, await node.run("eu", {"region": "us"}))
        assert execution.state is State.COMPLETED
        assert (await node.execution(execution.id)).result == '{"region":"us","count":1}'
        assert [one.id for one in await node.executions("eu")] == [execution.id]
        again = await node.run("eu", {"region": "us"}, execution_id=execution.id)
        assert again == execution, "the same run under its id: it is not made again"
        with pytest.raises(tocsin.Conflict, match="in another way"):
            await node.run("eu", {"region": "eu"}, execution_id=execution.id)
        with pytest.raises(tocsin.Conflict):
            await node.new_task("greet").named("eu").with_period("1h").schedule()
        with pytest.raises(tocsin.InvalidRequest, match="region"):
            await node.run("eu", {"region": 5})
        assert (await node.pause("eu", "holiday")).state.note == "holiday"
        assert (await node.activate("eu")).state.note is None
        with pytest.raises(tocsin.Conflict):
            await node.resume("eu")
        with pytest.raises(tocsin.Conflict):
            await node.retry("eu")
        await node.cancel("eu")
        await node.delete("eu")
        with pytest.raises(tocsin.NotFound):
            await node.task("eu")
        assert node.health() == []


async def test_the_built_in_types_are_there(tmp_path: Path) -> None:
    async with tocsin.open_node(data=tmp_path, synchronous="NORMAL") as node:
        await node.every("1h", "command", name="true", argv=["true"])
        assert (await ended(node, await node.run("true"))).state is State.COMPLETED
        with pytest.raises(tocsin.InvalidRequest, match="missing parameter 'argv'"):
            await node.every("1h", "command")


async def test_many_are_made_with_one_call(tmp_path: Path) -> None:
    async with tocsin.open_node(data=tmp_path, **QUICK) as node:
        made = await node.add_many(
            node.new_task("greet").named(f"t{number % 90}").with_period("1h") for number in range(100)
        )
        assert sum(isinstance(entry, tocsin.Task) for entry in made) == 90
        assert all(isinstance(entry, tocsin.Conflict) for entry in made[90:])


async def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(tocsin.InvalidRequest, match="unknown setting 'slotz'; did you mean 'slots'"):
        async with tocsin.open_node(data=tmp_path, slotz=5):
            raise AssertionError
    with pytest.raises(tocsin.InvalidRequest, match=r"executor\.slots"):
        async with tocsin.open_node(data=tmp_path, slots=0):
            raise AssertionError


async def test_a_directory_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for wrong in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(tocsin.InvalidRequest, match="data: cannot make the directory"):
            async with tocsin.open_node(data=wrong, **QUICK):
                raise AssertionError


async def test_a_second_node_on_the_directory_is_refused(tmp_path: Path) -> None:
    async with tocsin.open_node(data=tmp_path, **QUICK):
        with pytest.raises(tocsin.AlreadyRunning, match=str(tmp_path)):
            async with tocsin.open_node(data=tmp_path, **QUICK):
                raise AssertionError


async def test_the_programs_own_error_comes_out_as_itself(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with tocsin.open_node(data=tmp_path, **QUICK):
            raise ZeroDivisionError


async def test_a_declared_task_follows_its_code(tmp_path: Path) -> None:
    def declared(every: str | None, cron: str | None = None) -> DeclaredTask:
        return DeclaredTask("greet", "greet", every, cron, "UTC", {"region": "eu"}, True, ())

    async with tocsin.open_node(data=tmp_path, **QUICK) as node:
        await make_declared(node, [declared("5m")])
        first = await node.task("greet")
        await make_declared(node, [declared("5m")])
        assert (await node.task("greet")).state.version == first.state.version
        await make_declared(node, [declared(None, "0 0 * * *")])
        changed = await node.task("greet")
        assert (changed.id, changed.state.revision) == (first.id, 2)
        await node.cancel("greet")
        await make_declared(node, [declared("1h")])
        assert (await node.task("greet")).definition.trigger == changed.definition.trigger


async def test_a_persons_task_of_a_declared_name_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with tocsin.open_node(data=tmp_path, **QUICK) as node:
        mine = await node.every("2h", "greet", name="greet", region="us")
        await node.every("2h", "wait", name="other")
        for name in ("greet", "other"):
            await make_declared(node, [DeclaredTask(name, "greet", "5m", None, "UTC", {"region": "eu"}, True, ())])
        assert await node.task("greet") == mine
        assert (await node.task("other")).definition.type == "wait"
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert any("'greet'" in line and mine.id in line and "declare" in line for line in said), said
    assert any("'other'" in line for line in said), said


async def test_retry_numbers_that_a_person_set_outlive_the_declaration(tmp_path: Path) -> None:
    declared = DeclaredTask("greet", "greet", "5m", None, "UTC", {"region": "eu"}, True, ())
    async with tocsin.open_node(data=tmp_path, **QUICK) as node:
        await make_declared(node, [declared])
        task = await node.task("greet")
        await node.inner.command(task.id, lambda reply: ConfigureTask(task.id, 9, 7_000_000, "ann", reply))
    async with tocsin.open_node(data=tmp_path, **QUICK) as node:
        await make_declared(node, [declared])
        retry = (await node.task("greet")).definition.policies.retry
        assert (retry.max_retries, retry.delay) == (9, 7_000_000)
        await make_declared(node, [attrs.evolve(declared, every="6m")])
        changed = (await node.task("greet")).definition
        assert (changed.policies.retry.max_retries, changed.trigger.every) == (9, 6 * MINUTE)  # type: ignore[union-attr]


def test_the_decorator_registers_type_policies_and_task(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Catalogue()
    monkeypatch.setattr("tocsin.tasks.DECLARED", catalogue)
    monkeypatch.setattr("tocsin.tasks.DECLARED_TASKS", {})

    @tocsin.task("t", retry=tocsin.Retry(5, delay="30s"), timeout="1m", overlap="queue", priority=2, every="5m")
    async def handler(ctx: tocsin.Context) -> None: ...

    found = catalogue.get("t")
    assert found is not None
    assert found.function is handler
    assert found.policies is not None
    assert (found.policies.timeout, found.policies.priority, found.policies.retry.max_retries) == (MINUTE, 2, 5)
    for wrong in ({"every": "5m", "cron": "* * * * *"}, {"timeout": 5}, {"overlap": "x"}, {"priority": 99}):
        with pytest.raises(tocsin.InvalidRequest):
            tocsin.task("u", **wrong)
    assert "u" not in catalogue
    assert "t" not in DECLARED_TASKS


def test_a_wrong_declaration_says_what_to_write() -> None:
    async def handler(ctx: tocsin.Context) -> None: ...

    with pytest.raises(tocsin.InvalidRequest, match=r'write @tocsin\.task\("name"\)'):
        tocsin.task(handler)  # type: ignore[arg-type]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"every": "5m", "timezone": "Europe/Berlin"}, "timezone"),
        ({"every": "5m", "persistent": "no"}, "persistent"),
        ({"every": "5m", "tags": "nightly"}, "tags"),
        ({"every": "5m", "parameters": "eu"}, "parameters"),
    ]
    for more, word in wrong:
        with pytest.raises(tocsin.InvalidRequest, match=f"'w'.*{word}"):
            tocsin.task("w", **more)
        with pytest.raises(tocsin.InvalidRequest, match=f"'w'.*{word}"):
            tocsin.declare("w", "command", **more)


async def test_the_error_of_a_declared_task_names_task_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared: dict[str, DeclaredTask] = {}
    monkeypatch.setattr("tocsin.tasks.DECLARED_TASKS", declared)
    tocsin.declare("wrong", "greet", every="5m", parameters={"regio": "eu"})
    async with tocsin.open_node(data=tmp_path, **QUICK) as node:
        with pytest.raises(tocsin.InvalidRequest, match=r"task 'wrong' .*test_node\.py.*regio"):
            await make_declared(node, declared.values())


async def test_wrong_arguments_of_a_node_are_refused(tmp_path: Path) -> None:
    async with tocsin.open_node(data=tmp_path, **QUICK) as node:
        tagged = await node.new_task("greet").with_period("1h").tags(["a", "b"]).schedule()
        assert tagged.definition.tags == ("a", "b")
        with pytest.raises(tocsin.InvalidRequest, match="tags"):
            node.new_task("greet").tags([["a"]])  # type: ignore[list-item]
        with pytest.raises(tocsin.InvalidRequest, match="None"):
            await node.task(None)  # type: ignore[arg-type]
        with pytest.raises(tocsin.InvalidRequest, match="persistent: true or false, not 'no'"):
            await node.every("1h", "greet", persistent="no")  # type: ignore[arg-type]
        with pytest.raises(tocsin.InvalidRequest, match="parameters"):
            node.new_task("greet").with_parameters("eu")  # type: ignore[arg-type]


def test_a_node_outside_trio_is_refused(tmp_path: Path) -> None:
    opening = tocsin.open_node(data=tmp_path, **QUICK).__aenter__()
    with pytest.raises(tocsin.InvalidRequest, match=r"trio\.run"):
        opening.send(None)  # type: ignore[attr-defined]


def test_policies_are_remembered_but_never_confused() -> None:
    async def handler(ctx: Any) -> None: ...

    base = task_type("x", handler).policies
    assert base is None
    from actors.model.policy import DEFAULT_POLICIES, Policies

    other = Policies(priority=1)
    first = changed_policies(DEFAULT_POLICIES, {"timeout": "1h"})
    assert changed_policies(DEFAULT_POLICIES, {"timeout": "1h"}) is first
    assert changed_policies(other, {"timeout": "1h"}) == Policies(priority=1, timeout=HOUR)
