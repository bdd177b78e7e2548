"""What one node has another do is done for the caller: with his role, and for his part of the tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors.model.scope import Scope
from actors.peer_messages import Call as Asked
from runtime.errors import Forbidden, NotFound
from tests.tocsin.test_memory_tasks import Nodes, three
from tocsin.access.caller import Caller, Role, caller_text
from tocsin.operations.calls import Call
from tocsin.operations.table import BY_NAME

ADA = Caller("ada", Scope("acme"), Role.OPERATOR)
EVE = Caller("eve", Scope("globex"), Role.ADMINISTRATOR)
BOB = Caller("bob", Scope("acme", "bob"), Role.OPERATOR)


async def ask(nodes: Nodes, on: str, caller: Caller, operation: str, **given: Any) -> Any:
    known = {argument.name: given.get(argument.name, argument.default) for argument in BY_NAME[operation].arguments}
    return await nodes.dispatchers[on](operation, Call(known, caller.user, "rest", caller))


async def add(nodes: Nodes, on: str, caller: Caller, name: str) -> str:
    body = {"name": name, "taskType": "note", "trigger": {"after": "1h"}, "persistent": False}
    return str((await ask(nodes, on, caller, "add_task", body=body))["itemId"])


async def test_memory_tasks_elsewhere_are_those_of_the_tenant(tmp_path: Path) -> None:
    async with three(tmp_path) as nodes:
        mine = await add(nodes, "b", ADA, "cache")
        others = await add(nodes, "c", EVE, "cache")
        assert (await ask(nodes, "a", ADA, "show_task", task="cache"))["itemId"] == mine
        assert (await ask(nodes, "a", EVE, "show_task", task="cache"))["itemId"] == others
        # Where a name led somebody else is no hint for this caller.
        assert (await ask(nodes, "a", ADA, "pause_task", task="cache"))["itemId"] == mine
        for caller, hidden in ((ADA, others), (EVE, mine), (BOB, mine)):
            for reference in (hidden, hidden[:24]):
                for operation in ("show_task", "cancel_task", "list_executions", "why"):
                    with pytest.raises(NotFound):
                        await ask(nodes, "a", caller, operation, task=reference)
        for caller, seen in ((ADA, [mine]), (EVE, [others]), (BOB, [])):
            page = await ask(nodes, "a", caller, "list_tasks")
            assert ([row["itemId"] for row in page["list"]], page["totalSize"]) == (seen, len(seen))


async def test_executions_elsewhere_are_those_of_the_tenant(tmp_path: Path) -> None:
    async with three(tmp_path) as nodes:
        task = await add(nodes, "b", ADA, "cache")
        run = (await ask(nodes, "a", ADA, "run_task", task=task))["id"]
        assert (await ask(nodes, "c", ADA, "show_execution", execution=run))["id"] == run
        for operation in ("show_execution", "cancel_execution", "release_execution", "list_logs"):
            with pytest.raises(NotFound):
                await ask(nodes, "c", EVE, operation, execution=run)


@pytest.mark.parametrize(
    "caller", [EVE, BOB, Caller("vera", Scope("acme"), Role.VIEWER), Caller("w", Scope(), Role.WORKER)]
)
async def test_a_node_that_is_asked_checks_again(tmp_path: Path, caller: Caller) -> None:
    async with three(tmp_path) as nodes:
        await add(nodes, "b", ADA, "cache")
        for operation, arguments in (("pause_task", '{"task": "cache"}'), ("drain_node", '{"node": "b"}')):
            asked = Asked(operation, arguments, caller.user, "rest", caller_text(caller))
            result = await nodes.links.answers["b"]("boot of a", asked)
            assert result.title in ("Not allowed", "Not found"), result
        assert (await ask(nodes, "b", ADA, "show_task", task="cache"))["status"] == "SCHEDULED"


async def test_what_is_malformed_is_nobody(tmp_path: Path) -> None:
    async with three(tmp_path) as nodes:
        await add(nodes, "b", ADA, "cache")
        for text in ("null", '["ada", null, null, "root", null]', "{"):
            result = await nodes.links.answers["b"](
                "boot of a", Asked("show_task", '{"task": "cache"}', "x", "y", text)
            )
            assert result.title == "Invalid request"


async def test_tasks_are_made_in_the_own_tenant_and_under_the_own_name(tmp_path: Path) -> None:
    async with three(tmp_path) as nodes:
        made = await ask(
            nodes, "a", BOB, "add_task", body={"name": "x", "taskType": "note", "trigger": {"after": "1h"}}
        )
        assert (made["tenant"], made["owner"]) == ("acme", "bob")
        seen = nodes.nodes["a"].inner.seen_by(EVE.scope)
        stored = await nodes.nodes["a"].inner.task(made["itemId"])
        with pytest.raises(Forbidden):
            await seen.create([stored.definition], "eve")
        for question in (seen.revisions, seen.task):
            with pytest.raises(NotFound):
                await question(made["itemId"])
