"""Canaries that run all the time, as they are configured and seen from outside: the ping, the status, the metrics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from actors.canaries_core import CanaryConfig
from runtime.clock import MILLISECOND, SECOND, Micros
from runtime.errors import InvalidRequest
from tests.tocsin.conftest import Running, settings
from tocsin.client import Client
from tocsin.handlers.dead_man import PingFailed, dead_man
from tocsin.settings.canary_config import PingUrl, canary_config
from tocsin.settings.config import Config, load_config, shown

HANG_SECONDS = 60.0


@attrs.define
class Listener:
    """Somebody who waits for pings."""

    url: str
    heard: list[str] = attrs.field(factory=list)
    status: int = 200


@pytest.fixture
def listener() -> Iterator[Listener]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.heard.append(self.path)
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Listener(f"http://127.0.0.1:{server.server_port}/ping/secret")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def watched(listener: Listener, tmp_path: Path) -> Iterator[Running]:
    node = Running(tmp_path / "node")
    node.start(
        attrs.evolve(
            settings(node.data),
            canary_enabled=True,
            canary_every=Micros(200 * MILLISECOND),
            canary_late_after=Micros(20 * SECOND),
            dead_man_url=PingUrl(listener.url),
            dead_man_every=SECOND,
        )
    )
    yield node
    node.stop()
    assert node.error is None


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def withheld(client: Client) -> int:
    """How often the watch has told nobody."""
    rows = client.call("list_executions", task="system.canary_watch", limit=1_000)["list"]
    found = [client.call("show_execution", execution=row["id"])["result"] for row in rows]
    return sum(result is not None and not result["pinged"] for result in found)


def test_pings_come_while_the_canaries_run_and_silence_when_one_stops(watched: Running, listener: Listener) -> None:
    with Client(watched.url, watched.token) as client:
        wait(lambda: len(listener.heard) >= 2)
        assert set(listener.heard) == {"/ping/secret"}
        client.call("pause_task", task="system.canary 5")
        # A ping may be on its way.
        wait(lambda: withheld(client) >= 1)
        heard = len(listener.heard)
        wait(lambda: withheld(client) >= 3)
        assert len(listener.heard) == heard
        shown_now = client.call("show_canaries")
        assert (shown_now["canaries"], shown_now["well"]) == (8, 7)
        assert shown_now["troubles"] == ["system.canary 5: is paused"]
        client.call("activate_task", task="system.canary 5")
        wait(lambda: len(listener.heard) > heard)


def test_what_is_shown_of_them(watched: Running, listener: Listener) -> None:
    with Client(watched.url, watched.token) as client:
        wait(lambda: client.call("show_canaries")["lateness"]["worstMs"] is not None)
        found = client.call("show_canaries")
        assert (found["enabled"], found["canaries"], found["well"]) == (True, 8, 8)
    address = f"{watched.url}/metrics"
    assert httpx.get(address, trust_env=False).status_code == 401
    answer = httpx.get(address, headers={"Authorization": f"Bearer {watched.token}"}, trust_env=False)
    assert "system.canary" not in answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    values = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    assert values["tocsin_canaries"] == values["tocsin_canaries_well"] == "8"
    assert int(values["tocsin_canary_lateness_seconds_count"]) >= 1
    assert values['tocsin_canary_lateness_seconds_bucket{le="+Inf"}'] == values["tocsin_canary_lateness_seconds_count"]


def test_a_node_without_canaries_says_so(client: Client, running: Running) -> None:
    assert client.call("show_canaries") == {"enabled": False}
    answer = httpx.get(f"{running.url}/metrics", headers={"Authorization": f"Bearer {running.token}"}, trust_env=False)
    assert answer.status_code == 200 and "\ntocsin_canaries 0\n" in answer.text


async def test_a_ping_that_reaches_nobody_is_no_ping(listener: Listener) -> None:
    ping = dead_man(listener.url)
    await ping()
    listener.status = 500
    with pytest.raises(PingFailed, match="HTTP 500"):
        await ping()
    with pytest.raises(PingFailed) as raised:
        await dead_man("http://127.0.0.1:1/secret")()
    assert "secret" not in str(raised.value)


def test_the_settings() -> None:
    assert canary_config(Config()) is None
    variables = {
        "TOCSIN_CANARY_ENABLED": "true",
        "TOCSIN_CANARY_EVERY": "5s",
        "TOCSIN_CANARY_PER_PARTITION": "true",
        "TOCSIN_CANARY_LATE_AFTER": "9s",
        "TOCSIN_CANARY_DEAD_MAN_URL": "https://ping.example.org/a-secret",
        "TOCSIN_CANARY_DEAD_MAN_EVERY": "2m",
    }
    found = load_config(variables).config
    assert canary_config(found) == CanaryConfig(
        Micros(5 * SECOND), per_partition=True, late_after=Micros(9 * SECOND), ping_every=Micros(120 * SECOND)
    )
    assert found.dead_man_url.text == "https://ping.example.org/a-secret"
    assert "a-secret" not in shown("canary.dead_man_url", found) + repr(found)


@pytest.mark.parametrize("address", ["ping.example.org", "ftp://host/", "https://", "http://a b/", "http://h:99999/"])
def test_addresses_that_are_none_are_refused(address: str) -> None:
    with pytest.raises(InvalidRequest, match=r"canary\.dead_man_url"):
        load_config({"TOCSIN_CANARY_ENABLED": "true", "TOCSIN_CANARY_DEAD_MAN_URL": address})


def test_a_ping_without_canaries_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"without canary\.enabled"):
        load_config({"TOCSIN_CANARY_DEAD_MAN_URL": "https://ping.example.org/"})
