"""A task type as a service: over REST, from the clients, from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

import tocsin
from runtime.errors import Conflict, InvocationFailed, ReplyTimeout
from tests.tocsin.cli.kit import Shell
from tests.tocsin.conftest import Running


@pytest.fixture
def http(running: Running) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {running.token}"}
    with httpx.Client(base_url=f"{running.url}/api", headers=headers, timeout=60.0) as found:
        yield found


def test_what_ends_in_time_is_answered_at_once(http: httpx.Client) -> None:
    told = http.post("/services/greet", json={"parameters": {"region": "us"}, "correlation": "abc"})
    assert told.status_code == 200, told.text
    found = told.json()
    assert found["result"] == {"region": "us", "count": 1}
    assert (found["channel"], found["correlation"], found["state"]) == ("rest", "abc", "COMPLETED")
    assert found["parameters"] == {"region": "us"}
    assert http.post("/services/greet").json()["result"]["region"] == "eu"


def test_what_goes_on_has_a_location(http: httpx.Client) -> None:
    told = http.post("/services/wait?wait=50ms", json={"timeout": "1h"})
    assert told.status_code == 202
    assert told.headers["location"] == f"/api/executions/{told.json()['id']}"
    shown = http.get(told.headers["location"].removeprefix("/api"))
    assert shown.json()["state"] == "RUNNING"
    assert http.post(f"/executions/{told.json()['id']}/cancel").status_code == 200


def test_a_failure_is_an_error_with_its_execution(http: httpx.Client) -> None:
    told = http.post("/services/fail")
    assert (told.status_code, told.json()["error"], told.json()["code"]) == (
        500, "Invoked task did not complete", "500",
    )  # fmt: skip
    assert "task type 'fail' is FAILED in execution" in told.json()["message"]
    assert told.json()["message"].endswith(": ValueError: boom")


def test_a_key_is_a_header(http: httpx.Client) -> None:
    def ask(**body: Any) -> httpx.Response:
        return http.post("/services/greet", json=body, headers={"Idempotency-Key": "order 7"})

    first = ask(parameters={"region": "us"})
    assert ask(parameters={"region": "us"}).json() == first.json()
    assert ask(parameters={"region": "eu"}).status_code == 409


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/services/greet", {"parameters": {"nope": 1}}, 400, "unknown parameter 'nope'"),
        ("/services/nobody", {}, 404, "no task type 'nobody'"),
        ("/services/greet?wait=31s", {}, 400, "wait: up to 30s"),
        ("/services/greet", {"extra": {"data": "?"}}, 400, "extra"),
        ("/services/greet", {"more": 1}, 400, "unknown field 'more'"),
        ("/services/greet", {"timeout": "0s"}, 400, "timeout"),
    ],
)
def test_what_makes_no_sense_is_refused(http: httpx.Client, path: str, body: Any, status: int, words: str) -> None:
    told = http.post(path, json=body)
    assert (told.status_code, words in told.json()["message"]) == (status, True), told.text


def test_both_clients_invoke(running: Running) -> None:
    with tocsin.SyncClient(running.url, running.token) as client:
        assert client.invoke("greet", {"region": "us"}) == {"region": "us", "count": 1}
        first = client.call_type("greet", key="again", extra=b"\x00")
        assert client.call_type("greet", key="again", extra=b"\x00").id == first.id
        with pytest.raises(Conflict):
            client.call_type("greet", key="again", extra=b"\x01")
        with pytest.raises(InvocationFailed, match="ValueError: boom"):
            client.invoke("fail")
        with pytest.raises(ReplyTimeout):
            client.invoke("wait", wait_for=0.05)

    async def main() -> Any:
        async with tocsin.Client(running.url, running.token) as loop_client:
            return await loop_client.invoke("greet", {"count": 3})

    assert trio.run(main) == {"region": "eu", "count": 3}


def test_the_command_line_invokes(shell: Shell, tmp_path: Path) -> None:
    code, out, err = shell("invoke", "greet", "--param", "region=us", "--param", "count=3")
    assert code == 0, err
    assert "hello us" in out
    assert '"count": 3' in out
    assert "COMPLETED after 1 attempt" in err
    code, _, err = shell("invoke", "fail")
    assert (code, "ValueError: boom" in err) == (20, True)
    code, _, err = shell("invoke", "wait", "--wait", "100ms")
    assert (code, "to follow it: tocsin task logs" in err) == (10, True)
    (tmp_path / "data").write_bytes(b"\x00\xff")
    *_, last = shell("invoke", "greet", "--extra", f"@{tmp_path / 'data'}", "--key", "k", "--json")[1].splitlines()
    assert '"channel": "cli"' in last
    again = shell("invoke", "greet", "--extra", f"@{tmp_path / 'data'}", "--key", "k", "--json")[1].splitlines()
    assert again[-1] == last
    for wrong in (["--param", "x"], ["--param", "a=1", "--params", "{}"], ["--extra", "file"], ["--wait", "soon"]):
        assert shell("invoke", "greet", *wrong)[0] == 2
