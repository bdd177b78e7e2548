"""The wire of the command line, against a server that does what servers do and should not."""

from __future__ import annotations

import socket

import pytest

from runtime.errors import InternalError, InvalidRequest, TooLarge, Unauthenticated
from tests.tocsin.clients.kit import Answering, answering
from tocsin.client import Client, NodeUnreachable
from tocsin.operations.channels import IDEMPOTENCY_KEY


def test_a_request_has_token_channel_query_and_body() -> None:
    answer = Answering(body=b'{"list": []}')
    with answering(answer) as url, Client(f"{url}/below/", "secret", channel="cli") as client:
        assert client.call("list_tasks", text="a b&c/é", limit=2) == {"list": []}
        client.call("add_task", body={"name": "é"})
    (method, path, headers, _), (_, second, more, body) = answer.asked
    assert (method, path) == ("GET", "/below/api/tasks?text=a+b%26c%2F%C3%A9&limit=2")
    assert (headers["Authorization"], headers["Tocsin-Channel"]) == ("Bearer secret", "cli")
    assert (second, body, more["Content-Type"]) == ("/below/api/tasks", '{"name": "é"}'.encode(), "application/json")


def test_an_answer_that_breaks_off_is_no_answer() -> None:
    broken = Answering(body=b'{"li', promised=100)
    with answering(broken) as url, Client(url, "t") as client, pytest.raises(NodeUnreachable, match="no node answers"):
        client.call("version")


def test_a_refusal_that_comes_before_all_was_sent_is_heard() -> None:
    answer = Answering(413, b'{"error": "Too large", "code": "413", "message": "2 MiB"}', reads=False)
    with answering(answer) as url, Client(url, "t") as client, pytest.raises((TooLarge, NodeUnreachable)):
        client.call("add_task", body={"name": "x" * 8_000_000})


def test_what_is_no_node_says_so() -> None:
    page = Answering(body=b"<html>")
    with answering(page) as url, Client(url, "t") as client, pytest.raises(InternalError, match="a node's address"):
        client.call("version")


def test_nobody_there_and_nobody_who_speaks_http() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with Client(url, "t") as client, pytest.raises(NodeUnreachable, match="refused"):
            client.call("version")


@pytest.mark.parametrize(
    "url", ["nonsense", "ftp://node", "http://", "http://node:port", "http://[::1", "file:///etc/passwd"]
)
def test_a_url_that_is_none_is_shown(url: str) -> None:
    with pytest.raises(InvalidRequest, match="TOCSIN_URL"):
        Client(url, "t")


def test_a_password_in_a_url_is_not_shown() -> None:
    with pytest.raises(InvalidRequest) as caught:
        Client("gopher://user:hidden@node", "t")
    assert "hidden" not in str(caught.value)


def test_a_header_that_no_request_can_hold_is_refused() -> None:
    with answering(Answering()) as url, Client(url, "t") as client, pytest.raises(InvalidRequest, match="no request"):
        client.call("invoke", **{"taskType": "a", IDEMPOTENCY_KEY: "a\nb"})


def test_events_come_one_by_one_and_a_refusal_is_raised() -> None:
    told = b'id: 7\nevent: task\ndata: {"a": 1}\n\n'
    with answering(Answering(body=told)) as url, Client(url, "t") as client:
        event = next(client.events())
    assert (event.id, event.kind, event.data) == ("7", "task", {"a": 1})
    refusal = b'{"error": "Not authenticated", "code": "401", "message": "a token"}'
    with answering(Answering(401, refusal)) as url, Client(url, "t") as client, pytest.raises(Unauthenticated):
        next(client.events())
