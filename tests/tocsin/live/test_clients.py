"""Following with the clients and on the command line."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import trio

from runtime.errors import InvalidRequest, StoreUnavailable
from tests.tocsin.cli.kit import Shell
from tests.tocsin.conftest import Running
from tests.tocsin.live.kit import following
from tocsin.clients.address import NodeUnreachable
from tocsin.clients.asking_core import Session, Silence
from tocsin.clients.following_core import Following
from tocsin.clients.requests_core import Reply
from tocsin.clients.sync_client import SyncClient
from tocsin.clients.trio_client import Client


def test_a_plain_program_follows(running: Running) -> None:
    with SyncClient(running.url, running.token) as client, following(running.url, running.token) as stream:
        task = client.add_task("followed plainly", "greet", trigger={"after": "1h"}).id
        before = stream.next().id
        run = client.run_task(task).id
        states = []
        for event in client.events(kinds=["execution"], task=task, after=before):
            assert event.data["execution"]["id"] == run
            states.append(event.data["execution"]["state"])
            if states[-1] == "COMPLETED":
                break
        assert states[-2:] == ["RUNNING", "COMPLETED"]
        with pytest.raises(InvalidRequest, match="kind"):
            next(client.events(kinds=["wrong"]))


async def test_a_program_with_a_loop_follows(running: Running) -> None:
    async with Client(running.url, running.token) as client:
        seen: list[Any] = []

        async def follow() -> None:
            async with client.events(kinds=["task"], tag="of the loop") as events:
                async for event in events:
                    seen.append(event.data["change"]["action"])
                    if len(seen) == 2:
                        return

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(follow)
                for number in range(100):
                    await client.add_task(
                        f"of the loop {number}", "greet", trigger={"after": "1h"}, tags=["of the loop"]
                    )
                    if len(seen) >= 2:
                        break
                    await trio.sleep(0.2)
        assert seen == ["CreateTask", "CreateTask"]
        async with client.events(kinds=["wrong"]) as events:
            with pytest.raises(InvalidRequest, match="kind"):
                await anext(events)


class Times:
    def __init__(self) -> None:
        self.now = 0.0

    def session(self, retry_for: float = 30.0) -> Session:
        return Session(retry_for, lambda: self.now, random.Random(1))


def refusal(status: int) -> Reply:
    body = {"error": "Store unavailable", "code": str(status), "message": "away"}
    return Reply(status, "", json.dumps(body).encode(), 2.0)


def test_it_goes_on_where_it_was() -> None:
    following = Following(Times().session(), kinds=["task"], task="x", after="1_a.1")
    assert following.request().headers["Last-Event-ID"] == "1_a.1"
    assert following.request().query == {"kind": "task", "task": "x"}
    told = ["retry: 2000", ": nothing new", "id: 1_a.1", "", "id: 2_a.2", "event: task", 'data: {"at": 1}', ""]
    found = [event for line in told if (event := following.line(line)) is not None]
    assert [(event.id, event.kind, event.data) for event in found] == [("2_a.2", "task", {"at": 1})]
    assert [following.line(line) for line in ("event: end", 'data: {"reason": "the node stops"}', "")] == [None] * 3
    assert following.ended() > 0
    assert following.line("event: task") is None
    assert following.request().headers["Last-Event-ID"] == "2_a.2", "half an event is asked for again"


def test_it_is_tried_again_as_long_as_it_may_be() -> None:
    times = Times()
    following = Following(times.session())
    silence = Silence(NodeUnreachable("gone"), sent=False)
    assert following.refused(refusal(503)) >= 2.0
    times.now = 29.0
    following.line(": nothing new")
    assert following.refused(silence) < 1.0
    times.now = 60.0
    with pytest.raises(NodeUnreachable):
        following.refused(silence)
    with pytest.raises(StoreUnavailable):
        following.refused(refusal(503))
    with pytest.raises(InvalidRequest):
        Following(Times().session()).refused(
            Reply(400, "", b'{"error": "Invalid request", "code": "400", "message": "kind"}', None)
        )


def test_the_command_line_follows(running: Running, shell: Shell) -> None:
    with SyncClient(running.url, running.token) as client, following(running.url, running.token) as stream:
        before = stream.id
        made = client.add_task("on the line", "greet", trigger={"after": "1h"})
        client.run_task(made.id)
        while stream.until("execution").data["execution"]["state"] != "COMPLETED":
            continue
    _, shown, _ = shell("events", "--after", before, "--task", "on the line", "--kind", "task", "--number", "2")
    assert [line.split("task      ")[1] for line in shown.splitlines()] == [
        "on the line: CreateTask by administrator, is active",
        "on the line: RunTask by administrator, is active",
    ]
    _, shown, _ = shell(
        "events", "--after", before, "--task", made.id, "--kind", "execution", "--number", "2", "--json"
    )
    states = [json.loads(line)["execution"]["state"] for line in shown.splitlines()]
    assert "RUNNING" in states
