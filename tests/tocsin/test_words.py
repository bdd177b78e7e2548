"""What people read: errors that name what they typed, facts in words."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from actors.model.trigger import UNBOUNDED, Bounds, Interval, Once
from actors.when.triggers import check_trigger
from runtime.clock import HOUR, Instant, Micros
from runtime.errors import InvalidRequest
from tests.tocsin.cli.kit import Shell
from tests.tocsin.clients.kit import Gone
from tests.tocsin.conftest import Running
from tests.tocsin.test_cli import until
from tocsin.api.requests import read_body
from tocsin.cli.follow import follow
from tocsin.client import Client, NodeUnreachable

WHAT = ("--type", "greet")


def test_a_constant_that_json_lacks_is_refused_once() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_body(b'{"a": NaN}', True)
    assert str(caught.value) == "body: NaN is not JSON"


def test_triggers_are_refused_with_times_that_people_read() -> None:
    late, early = Instant(7_200_000_000), Instant(3_600_000_000)
    for trigger, bounds in ((Once(late), Bounds(end=early)), (Interval(Micros(HOUR), early), Bounds(late, early))):
        with pytest.raises(InvalidRequest, match="1970-01-01T02:00:00Z is after the end 1970-01-01T01:00:00Z"):
            check_trigger(trigger, bounds, early)
    assert check_trigger(Once(late), UNBOUNDED, early) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--in", "soon", *WHAT], "--in: 'soon'"),
        (["--every", "1ms", *WHAT], "--every: from 10 ms"),
        (["--every", "1h", "--times", "0", *WHAT], "--times: a whole number"),
        (["--every", "1h", "--retry-delay", "x", *WHAT], "--retry-delay: 'x'"),
        (["--every", "1h", "--on-crash", "x", *WHAT], "--on-crash: one of"),
        (
            ["--every", "1h", "--at", "2030-01-01", *WHAT],
            "exactly one of --every, --cron, --at, --in, not --every and --at",
        ),
        (["--every", "1h", "--type", "gret"], "--type: unknown type"),
        (["--every", "1h", "--params", "region=eu", *WHAT], "'region=eu'"),
    ],
)
def test_errors_name_the_option(shell: Shell, arguments: list[str], words: str) -> None:
    code, _, err = shell("task", "add", "x", *arguments)
    assert code == 2
    assert words in err


def test_show_tells_trigger_failure_and_retry_in_words(shell: Shell) -> None:
    shell.json("task", "add", "worded", "--every", "1h", "--type", "fail", "--retries", "2", "--retry-delay", "1h")
    shell.json("task", "run", "worded")
    until(lambda: shell("task", "show", "worded", "--utc")[1], lambda out: "waiting for a retry at 2" in out)
    out = shell("task", "show", "worded")[1]
    assert "every 1h, counted from" in out
    assert "ValueError: boom" in out


def test_a_follower_that_loses_its_node_says_how_to_go_on() -> None:
    with (
        Client("http://node", "t", wire=Gone()) as client,
        pytest.raises(NodeUnreachable, match="tocsin task logs e1 --follow"),
    ):
        follow(client, "e1", False, True)


def test_anybody_may_ask_whether_the_node_is_ready_but_not_why(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(**headers: str) -> tuple[int, dict[str, Any]]:
        answer = httpx.get(f"{running.url}/api/health/ready", headers=headers, trust_env=False)
        return answer.status_code, json.loads(answer.content)

    assert ask() == (200, {"status": "ok"})
    monkeypatch.setattr("actors.node.Node.health", lambda node: ["the servers are late"])
    assert ask() == (200, {"status": "ok"})
    assert ask(Authorization=f"Bearer {running.token}") == (200, {"status": "ok", "health": ["the servers are late"]})
    monkeypatch.setattr("actors.node.Node.hindrances", lambda node: ["the timer is late"])
    status, body = ask()
    assert (status, "late" in body["message"]) == (503, False)
    assert "late" in ask(Authorization=f"Bearer {running.token}")[1]["message"]


def test_reasons_of_settings_are_shown_whole(shell: Shell) -> None:
    out = shell("config")[1]
    assert "…" not in out
    assert "what `command` tasks may run when" in out
