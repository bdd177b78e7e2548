"""The WebSocket channel: invocations side by side, and nobody let in who may not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream

from tests.tocsin.conftest import Running, settings
from tocsin.api.websocket import PROOF, PROTOCOL
from tocsin.node import single_error

HANG_SECONDS = 30
Json = dict[str, Any]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    node = Running(tmp_path_factory.mktemp("node"))
    node.start(
        attrs.evolve(settings(node.data), socket_connections_per_user=3, socket_invocations=2, socket_frame=2048)
    )
    yield node
    node.stop()
    assert node.error is None


@asynccontextmanager
async def connected(
    running: Running, headers: Mapping[str, str] | None = None, protocols: tuple[str, ...] = ()
) -> AsyncIterator[WebSocketConnection]:
    given = {"Authorization": f"Bearer {running.token}"} if headers is None else headers
    extra = [(name.encode(), value.encode()) for name, value in given.items()]
    host, port = running.url.removeprefix("http://").split(":")
    stream = await trio.open_tcp_stream(host, int(port))
    try:
        with trio.fail_after(HANG_SECONDS), single_error():
            async with trio.open_nursery() as nursery:
                socket = await wrap_client_stream(
                    nursery, stream, f"{host}:{port}", "/api/ws", subprotocols=protocols, extra_headers=extra
                )
                yield socket
                await socket.aclose()
                nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(stream)


async def say(socket: WebSocketConnection, **message: Any) -> None:
    await socket.send_message(json.dumps(message))


async def hear(socket: WebSocketConnection, wanted: Callable[[Json], bool]) -> Json:
    """The next message that is wanted."""
    while True:
        found: Json = json.loads(await socket.get_message())
        if wanted(found):
            return found


def of(kind: str, own: str | None = None) -> Callable[[Json], bool]:
    return lambda told: told["type"] == kind and (own is None or told["id"] == own)


async def test_several_are_invoked_at_a_time(running: Running) -> None:
    async with connected(running) as socket:
        await say(socket, type="invoke", id="slow", taskType="wait")
        accepted = await hear(socket, of("accepted", "slow"))
        assert (await hear(socket, of("progress", "slow")))["execution"] == accepted["execution"]
        shown = await hear(socket, lambda told: told["type"] == "progress" and told["progress"] is not None)
        assert (shown["id"], shown["state"], shown["progress"]["done"]) == ("slow", "RUNNING", 500)
        await say(socket, type="invoke", id="quick", taskType="greet", parameters={"region": "us"})
        result = await hear(socket, of("result"))
        assert (result["id"], result["state"], result["result"]) == ("quick", "COMPLETED", {"region": "us", "count": 1})
        await say(socket, type="ping", id="x")
        assert await hear(socket, of("pong")) == {"type": "pong", "id": "x"}
        await say(socket, type="cancel", id="slow")
        ending = await hear(socket, of("error", "slow"))
        assert (ending["state"], ending["execution"]) == ("CANCELLED", accepted["execution"])


async def test_a_failure_has_the_words_of_rest(running: Running) -> None:
    async with connected(running) as socket:
        await say(socket, type="invoke", id="1", taskType="fail")
        told = await hear(socket, of("error"))
        assert (told["error"], told["code"], told["state"]) == ("Invoked task did not complete", "500", "FAILED")
        assert told["message"].endswith("ValueError: boom")


async def test_a_key_gives_the_same_over_another_connection(running: Running) -> None:
    executions = []
    for parameters in ({"count": 2}, {"count": 2}, {"count": 3}):
        async with connected(running) as socket:
            await say(socket, type="invoke", id="1", taskType="greet", key="order", parameters=parameters)
            executions.append(await hear(socket, lambda told: told["type"] in ("accepted", "error")))
    assert executions[0]["execution"] == executions[1]["execution"]
    assert executions[2]["code"] == "409"


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        ("no json", "400", "not JSON"),
        ("[1]", "400", "an object"),
        ('{"type": "nonsense", "id": "7"}', "400", "one of invoke, cancel, ping"),
        ('{"type": "invoke", "taskType": "greet"}', "400", "id: 1 to 64"),
        ('{"type": "invoke", "id": "7"}', "400", "taskType"),
        ('{"type": "invoke", "id": "7", "taskType": "greet", "wait": 1}', "400", "unknown field 'wait'"),
        ('{"type": "invoke", "id": "7", "taskType": "nobody"}', "400", "unknown type"),
        ('{"type": "cancel", "id": "7"}', "404", "nothing that was invoked"),
    ],
)
async def test_what_makes_no_sense_is_said_and_ends_nothing(
    running: Running, message: str, code: str, words: str
) -> None:
    async with connected(running) as socket:
        await socket.send_message(message)
        told = await hear(socket, of("error"))
        assert (told["code"], words in told["message"]) == (code, True), told
        await say(socket, type="ping")
        assert (await hear(socket, of("pong")))["id"] is None


async def test_there_are_limits(running: Running) -> None:
    async with connected(running) as socket:
        for own in ("1", "2", "3"):
            await say(socket, type="invoke", id=own, taskType="wait")
        assert (await hear(socket, of("error", "3")))["code"] == "429"
        await say(socket, type="invoke", id="2", taskType="greet")
        assert (await hear(socket, of("error", "2")))["code"] == "409"
        async with connected(running), connected(running):
            with pytest.raises(ConnectionRejected) as refused:
                async with connected(running):
                    pass
            assert refused.value.status_code == 429
        await say(socket, type="invoke", id="4", taskType="greet", parameters={"region": "x" * 3000})
        with pytest.raises(ConnectionClosed) as closed:
            await hear(socket, of("result"))
        assert closed.value.reason is not None
        assert closed.value.reason.code == 1009


def cookie_of(running: Running) -> tuple[str, str]:
    """A session's cookie and its proof."""
    told = httpx.post(f"{running.url}/api/session", headers={"Authorization": f"Bearer {running.token}"})
    [(name, value)] = told.cookies.items()
    return f"{name}={value}", told.json()["csrf"]


def viewers_token(running: Running) -> str:
    told = httpx.post(
        f"{running.url}/api/tokens",
        headers={"Authorization": f"Bearer {running.token}"},
        json={"name": "v", "role": "viewer"},
    )
    return str(told.json()["token"])


async def test_who_may_not_is_told_before_it_is_accepted(running: Running) -> None:
    cookie, proof = cookie_of(running)
    viewer = viewers_token(running)
    bearer = {"Authorization": f"Bearer {running.token}"}
    own = {"Origin": running.url, "Cookie": cookie}
    for headers, protocols, status in (
        ({}, (), 401),
        ({"Authorization": "Bearer nonsense"}, (), 401),
        ({"Authorization": f"Bearer {viewer}"}, (), 403),
        (bearer | {"Origin": "http://evil.example"}, (), 403),
        ({"Cookie": cookie}, (PROTOCOL, PROOF + proof), 403),
        ({"Cookie": cookie, "Origin": "http://evil.example"}, (PROTOCOL, PROOF + proof), 403),
        (own, (PROTOCOL,), 403),
        (own, (PROTOCOL, PROOF + "guess"), 403),
        (own, (PROOF + proof, PROOF + proof), 400),
    ):
        with pytest.raises(ConnectionRejected) as refused:
            async with connected(running, headers, protocols):
                pass
        assert refused.value.status_code == status, (headers, protocols)
        assert json.loads(refused.value.body or b"")["code"] == str(status)
    async with connected(running, own, (PROTOCOL, PROOF + proof)) as socket:
        assert socket.subprotocol == PROTOCOL
        await say(socket, type="invoke", id="1", taskType="greet")
        assert (await hear(socket, of("result")))["result"]["region"] == "eu"


def test_a_plain_request_is_told_what_is_there(running: Running) -> None:
    bearer = {"Authorization": f"Bearer {running.token}"}
    for headers, status in (({}, 401), ({"Authorization": f"Bearer {viewers_token(running)}"}, 403), (bearer, 426)):
        told = httpx.get(f"{running.url}/api/ws", headers=headers)
        assert (told.status_code, told.json()["code"]) == (status, str(status))


async def test_a_node_that_stops_says_goodbye(tmp_path: Any) -> None:
    node = Running(tmp_path)
    await trio.to_thread.run_sync(node.start, settings(tmp_path))
    try:
        async with connected(node) as socket:
            await say(socket, type="invoke", id="1", taskType="wait")
            await hear(socket, of("accepted"))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, node.stop)
                with pytest.raises(ConnectionClosed) as closed:
                    await hear(socket, of("result"))
            assert closed.value.reason is not None
            assert closed.value.reason.code == 1001
    finally:
        assert node.error is None
