"""One handler, unaware: whoever has it run, it sees the same, but for `ctx.channel`."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio

from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context, SyncContext
from tests.tocsin.channels.test_websocket import HANG_SECONDS, connected, hear, of, say
from tests.tocsin.cli.kit import Shell
from tests.tocsin.conftest import Running, settings

SEEN: list[dict[str, Any]] = []
BYTES = b"\x00\xff\r\n"
EXTRA = {"data": base64.b64encode(BYTES).decode(), "contentType": "application/x-own"}


async def unaware(ctx: Context, *, region: str, count: int = 1) -> dict[str, Any]:
    """Notes all that it is given."""
    SEEN.append(
        {
            "region": region,
            "count": count,
            "parameters": ctx.parameters,
            "extra": ctx.extra,
            "extra_type": ctx.extra_type,
            "type": ctx.type,
            "attempt": ctx.attempt,
            "checkpoint": ctx.resumed_from,
            "cancelled": ctx.cancelled,
            "node": ctx.node,
            "channel": ctx.channel,
        }
    )
    return {"region": region}


def in_thread(ctx: SyncContext, *, region: str) -> Any:
    """A handler that has the other one run."""
    return ctx.invoke("with extra", {"region": region})


TYPES = Catalogue([task_type("unaware", unaware), task_type("in_thread", in_thread)])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("node")
    node = Running(data, catalogue=TYPES)
    node.start(attrs.evolve(settings(data)))
    yield node
    node.stop()
    assert node.error is None


def scheduled(http: httpx.Client) -> None:
    body = {"taskType": "unaware", "parameters": {"region": "eu"}, "extra": EXTRA, "trigger": {"after": "0s"}}
    assert http.post("/tasks", json={"name": "with extra", **body}).status_code == 201
    until = time.monotonic() + HANG_SECONDS
    while not SEEN:
        assert time.monotonic() < until
        time.sleep(0.02)


def over_websocket(running: Running) -> Any:
    async def main() -> Any:
        async with connected(running) as socket:
            await say(socket, type="invoke", id="1", taskType="unaware", parameters={"region": "eu"}, extra=EXTRA)
            return (await hear(socket, of("result")))["result"]

    return trio.run(main)


def test_only_the_channel_differs(running: Running, shell: Shell, tmp_path: Path) -> None:
    SEEN.clear()
    headers = {"Authorization": f"Bearer {running.token}"}
    with httpx.Client(base_url=f"{running.url}/api", headers=headers, timeout=60.0) as http:
        scheduled(http)
        told = http.post("/services/unaware", json={"parameters": {"region": "eu"}, "extra": EXTRA})
        assert told.json()["result"] == {"region": "eu"}
        assert over_websocket(running) == {"region": "eu"}
        (tmp_path / "extra").write_bytes(BYTES)
        options = ("--extra", f"@{tmp_path / 'extra'}", "--extra-type", EXTRA["contentType"])
        code, out, err = shell("invoke", "unaware", "--param", "region=eu", *options)
        assert (code, json.loads(out)) == (0, {"region": "eu"}), err
        told = http.post("/services/in_thread", json={"parameters": {"region": "eu"}})
        assert told.json()["result"] == {"region": "eu"}
    assert [seen.pop("channel") for seen in SEEN] == ["scheduler", "rest", "websocket", "cli", "task"]
    assert SEEN[1:] == SEEN[:1] * 4
    assert (SEEN[0]["extra"], SEEN[0]["parameters"], SEEN[0]["count"]) == (BYTES, {"region": "eu"}, 1)
