"""Event triggers as a user writes them, on a real node with a real web server and a real mail server beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.handling.catalogue import Catalogue, task_type
from runtime.errors import InvalidRequest
from tests.tocsin.mail_kit import mail_server
from tests.tocsin.test_webhook import receiving
from tocsin.node import LocalNode, open_node


async def report(ctx: Any, *, rows: int = 0) -> dict[str, int]:
    """Counts rows."""
    if rows < 0:
        raise ValueError("no rows")
    return {"rows": rows}


async def note(ctx: Any, *, text: str = "") -> str:
    """Keeps what it is told."""
    return text


CATALOGUE = Catalogue([task_type("report", report), task_type("note", note)])


async def recorded(node: LocalNode, task_id: str, count: int) -> list[Any]:
    """What became of so many deliveries, oldest first."""
    with trio.fail_after(20):
        while True:
            found = await node.deliveries(task_id)
            if len(found) >= count:
                return found[::-1]
            await trio.sleep(0.02)


@pytest.mark.parametrize("persistent", [True, False], ids=["durable", "memory"])
async def test_everything_that_can_follow_an_outcome(persistent: bool, tmp_path: Path) -> None:
    with receiving() as web, mail_server() as mails:
        settings = {
            "webhooks_allowed": ["127.0.0.0/8"],
            "mail_server": f"127.0.0.1:{mails.port}",
            "mail_encryption": "NONE",
        }
        async with (
            open_node(data=tmp_path, catalogue=CATALOGUE, **settings) as node,
            node.watch_topic("reports") as topic,
        ):
            await node.new_task("note").named("notes").after("1d").schedule()
            builder = (
                node.new_task("report")
                .named("nightly")
                .after("1d")
                .with_parameters({"rows": 3})
                .on_event(
                    "few rows",
                    {"kind": "webhook", "url": web.url, "body": '{"text": "{task.name}: {result.rows} rows"}'},
                    {"kind": "email", "to": ["ops@example.org"], "subject": "{event}: {result.rows}"},
                    {"kind": "topic", "name": "reports"},
                    {"kind": "run_task", "task": "notes", "parameters": {"text": "{result.rows} rows"}},
                    on=["COMPLETED"],
                    condition="result.rows < 10 and input.rows == 3",
                )
            )
            task = await (builder if persistent else builder.non_persistent()).schedule()
            await node.run(task.id)
            with trio.fail_after(60):
                heard = await topic.receive()
            found = await recorded(node, task.id, 5)
            notes = await node.task("notes")
            executions, _ = await node.inner.executions(notes.id, offset=0, limit=10)
    assert sorted(one.state for one in found) == ["delivered"] * 4 + ["fired"]
    ((_, headers, body),) = web.requests
    assert json.loads(body) == {"text": "nightly: 3 rows"}
    ((_, to, mail),) = mails.mails
    assert (to, mail["Subject"]) == (["ops@example.org"], "few rows: 3")
    assert heard.body["result"] == {"rows": 3}
    assert [(one.channel, one.parameters) for one in executions] == [("task", '{"text":"3 rows"}')]
    ids = {headers["Tocsin-Delivery"], mail["Tocsin-Delivery"], heard.body["delivery"], executions[0].id}
    assert ids == set(found[0].detail.split())


async def test_a_node_reaches_no_private_address_and_sends_no_mail_unless_it_is_configured(tmp_path: Path) -> None:
    with receiving() as web:
        async with open_node(data=tmp_path, catalogue=CATALOGUE) as node:
            task = await (
                node.new_task("report")
                .named("nightly")
                .after("1d")
                .on_event(
                    "done",
                    {"kind": "webhook", "url": web.url},
                    {"kind": "email", "to": ["ops@example.org"]},
                    on=["COMPLETED"],
                )
                .schedule()
            )
            await node.run(task.id)
            found = await recorded(node, task.id, 3)
    assert web.requests == []
    assert [one.state for one in found] == ["fired", "given_up", "given_up"]
    details = sorted(one.detail for one in found[1:])
    assert details[0].startswith("'127.0.0.1' is 127.0.0.1, which is not public and not in webhooks.allowed")
    assert details[1] == "mail.server of the configuration names no server"


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ("result.rows <", "at character 14: invalid syntax"),
        ("rows < 3", "at character 1: unknown name 'rows'"),
        ("open('/etc/passwd')", "unknown function 'open'"),
    ],
)
async def test_a_condition_that_is_wrong_is_refused_when_it_is_saved(
    condition: str, problem: str, tmp_path: Path
) -> None:
    async with open_node(data=tmp_path, catalogue=CATALOGUE) as node:
        builder = node.new_task("report").after("1d")
        with pytest.raises(InvalidRequest, match=problem):
            await builder.on_event("x", {"kind": "topic", "name": "t"}, condition=condition).schedule()
