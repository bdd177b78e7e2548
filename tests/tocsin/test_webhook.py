"""Webhooks against a real server, and the addresses that they must not reach."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address, ip_network
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from actors.herald_messages import Delivery, DeliveryFailed
from actors.herald_text import MAX_VALUE, check_template, filled, message, subject, summary
from actors.model.event import Action, Webhook
from runtime.clock import SECOND, Instant
from runtime.errors import InvalidRequest
from tocsin.handlers import webhook
from tocsin.handlers.reachable import MAX_ADDRESSES, checked_addresses, may_be_reached
from tocsin.handlers.webhook import MAX_ANSWER, webhook_sender

LOOPBACK = (ip_network("127.0.0.0/8"),)

FACTS: dict[str, Any] = {
    "task": {
        "id": "t1",
        "name": 'the "nightly"',
        "type": "work",
        "tags": ["a"],
        "labels": {},
        "owner": "",
        "tenant": "",
    },
    "execution": {
        "id": "e1",
        "state": "FAILED",
        "outcome": "fired",
        "reason": None,
        "cancel_reason": None,
        "attempt": 2,
        "nominal": "2026-01-01T00:00:00Z",
        "ended_at": "2026-01-01T00:00:05Z",
        "failure": {"type": "ValueError", "message": "no\nrows"},
    },
    "result": {"rows": 3, "list": ["x", {"y": 1.5}]},
    "input": {},
}


def delivery(action: Action, **facts: Any) -> Delivery:
    return Delivery("d1", "t1", "e1", "alarm", Instant(1_767_225_605 * SECOND), action, {**FACTS, **facts})


@attrs.define
class Receiver:
    """A server. `answer` is the status, or what writes the whole answer."""

    port: int = 0
    answer: Any = 204
    requests: list[tuple[str, dict[str, str], bytes]] = attrs.field(factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?key=1"


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            receiver.requests.append((f"{self.command} {self.path}", dict(self.headers.items()), body))
            if callable(receiver.answer):
                receiver.answer(self)
                return
            self.send_response(receiver.answer)
            self.send_header("Content-Length", "7")
            self.end_headers()
            if receiver.answer != 204:
                self.wfile.write(b"because")

        do_POST = do_PUT = do_PATCH = handle_any

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


send = webhook_sender(LOOPBACK)


async def test_the_standard_message(receiver: Receiver) -> None:
    assert await send(delivery(Webhook(receiver.url))) == "HTTP 204"
    ((line, headers, body),) = receiver.requests
    assert line == "POST /hook?key=1"
    assert headers["Tocsin-Delivery"] == "d1"
    assert headers["Host"] == f"127.0.0.1:{receiver.port}"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {
        "delivery": "d1",
        "event": "alarm",
        "at": "2026-01-01T00:00:05Z",
        "task": FACTS["task"],
        "execution": FACTS["execution"],
        "result": FACTS["result"],
    }


async def test_a_body_of_ones_own(receiver: Receiver) -> None:
    body = '{"text": "{task.name}: {execution.failure.message}", "rows": {result.rows}, "y": "{result.list.1.y}{input.no}"}'
    headers = (("Authorization", "Bearer x"), ("Tocsin-Delivery", "forged"), ("X-Kind", "a"))
    await send(delivery(Webhook(receiver.url, "PUT", headers, body)))
    await send(delivery(Webhook(receiver.url, "PATCH", (("content-type", "text/plain"),), "{task.name} {event} {at}")))
    (line, sent, first), (_, other, second) = receiver.requests
    assert line.startswith("PUT")
    assert (sent["Authorization"], sent["Tocsin-Delivery"], sent["X-Kind"]) == ("Bearer x", "d1", "a")
    assert json.loads(first) == {"text": 'the "nightly": no\nrows', "rows": 3, "y": "1.5"}
    assert second == b'the "nightly" alarm 2026-01-01T00:00:05Z'
    assert other["content-type"] == "text/plain"


async def test_a_name_is_resolved_to_an_address_that_takes_connections(receiver: Receiver) -> None:
    url = f"http://localhost:{receiver.port}/"
    assert await webhook_sender((*LOOPBACK, ip_network("::1/128")))(delivery(Webhook(url))) == "HTTP 204"
    assert receiver.requests[0][1]["Host"] == f"localhost:{receiver.port}"


@pytest.mark.parametrize(("status", "permanent"), [(500, False), (404, False), (302, False), (410, True)])
async def test_other_answers_are_failures(status: int, permanent: bool, receiver: Receiver) -> None:
    receiver.answer = status
    with pytest.raises(DeliveryFailed, match=f"HTTP {status}: because") as caught:
        await send(delivery(Webhook(receiver.url)))
    assert caught.value.permanent is permanent
    assert len(receiver.requests) == 1


async def test_redirects_are_not_followed(receiver: Receiver) -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(307)
        handler.send_header("Location", "/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    receiver.answer = redirect
    with pytest.raises(DeliveryFailed, match="HTTP 307"):
        await send(delivery(Webhook(receiver.url)))
    assert len(receiver.requests) == 1


async def test_an_endless_answer_is_cut_off(receiver: Receiver) -> None:
    written = 0

    def endless(handler: BaseHTTPRequestHandler) -> None:
        nonlocal written
        handler.send_response(200)
        handler.end_headers()
        try:
            while written < 100 * MAX_ANSWER:
                written += handler.wfile.write(b"x" * 65_536)
        except OSError:
            pass

    receiver.answer = endless
    assert await send(delivery(Webhook(receiver.url))) == "HTTP 200"
    assert written < 100 * MAX_ANSWER


async def test_a_receiver_that_does_not_answer(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "REQUEST_SECONDS", 0.2)
    release = threading.Event()
    receiver.answer = lambda handler: release.wait(20)
    with pytest.raises(DeliveryFailed, match=r"no answer|Timeout") as caught:
        await send(delivery(Webhook(receiver.url)))
    release.set()
    assert not caught.value.permanent


async def test_nobody_there() -> None:
    with receiving() as gone:
        pass
    with pytest.raises(DeliveryFailed, match="ConnectError") as caught:
        await send(delivery(Webhook(gone.url)))
    assert not caught.value.permanent


async def test_a_private_address_is_refused_and_not_spoken_to(receiver: Receiver) -> None:
    for host in ("127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]"):
        with pytest.raises(DeliveryFailed, match="is not public and not in") as caught:
            await webhook_sender()(delivery(Webhook(f"http://{host}:{receiver.port}/")))
        assert caught.value.permanent
    assert receiver.requests == []


async def test_the_address_that_was_checked_is_the_one_that_is_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that resolves to something else at the second look (DNS rebinding) is looked at once."""
    looks: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        looks.append(host)
        address = "127.0.0.1" if len(looks) == 1 else "10.0.0.1"
        return [(2, 1, 6, "", (address, port))]

    monkeypatch.setattr(trio.socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    await send(delivery(Webhook(f"http://hook.example.org:{receiver.port}/")))
    assert looks == ["hook.example.org"]
    assert receiver.requests[0][1]["Host"] == f"hook.example.org:{receiver.port}"


async def test_a_name_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        raise OSError("no such name")

    monkeypatch.setattr(trio.socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(DeliveryFailed, match="cannot be resolved: no such name") as caught:
        await send(delivery(Webhook("http://nowhere.invalid/")))
    assert not caught.value.permanent


async def test_few_addresses_of_many_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        private = [(2, 1, 6, "", ("10.0.0.1", port))]
        return private + [(2, 1, 6, "", (f"8.8.8.{number}", port)) for number in range(10)] * 2

    monkeypatch.setattr(trio.socket, "getaddrinfo", getaddrinfo)
    found = await checked_addresses("x.example.org", 443, (), "webhooks.allowed")
    assert [str(one) for one in found] == ["8.8.8.0", "8.8.8.1", "8.8.8.2"]
    assert len(found) == MAX_ADDRESSES


REFUSED = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1", "192.0.2.1",
    "192.168.1.1", "198.18.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1",
    "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::1",
    "2002:a9fe:a9fe::", "2001:0:7f00:1::1", "2001:db8::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
    "fe80::1%1",
]  # fmt: skip
REACHED = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("text", REFUSED)
def test_what_must_not_be_reached(text: str) -> None:
    assert not may_be_reached(ip_address(text), ())


@pytest.mark.parametrize("text", REACHED)
def test_what_may_be_reached(text: str) -> None:
    assert may_be_reached(ip_address(text), ())


def test_what_is_allowed_may_be_reached() -> None:
    allowed = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
    assert may_be_reached(ip_address("10.1.2.3"), allowed)
    assert may_be_reached(ip_address("::ffff:10.1.2.3"), allowed)
    assert may_be_reached(ip_address("fd00::1"), allowed)
    assert not may_be_reached(ip_address("192.168.0.1"), allowed)


@given(st.ip_addresses(v=4))
def test_an_address_hidden_in_another_is_judged_as_itself(address: Any) -> None:
    number = int(address)
    hidden = [f"::ffff:{address}", str(ip_address((0x64FF9B << 96) | number))]
    for text in hidden:
        assert may_be_reached(ip_address(text), ()) is may_be_reached(address, ())
    if not may_be_reached(address, ()):
        assert not may_be_reached(ip_address((0x2002 << 112) | (number << 80) | 1), ())


# -- texts


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{task.nam}", "task has no 'nam'"),
        ("{rows}", "unknown placeholder {rows}"),
        ("{history.last}", "unknown placeholder {history.last}"),
    ],
)
def test_a_placeholder_that_can_have_no_value_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        check_template(text, "body")


def test_braces_around_anything_else_are_text() -> None:
    text = '{"a": {}, "b": "{}", "c": {"d": 1}} {Task} { task.name }'
    check_template(text, "body")
    assert filled(text, delivery(Webhook("http://x"))) == text


def test_values_are_cut_and_texts_are_bounded() -> None:
    one = delivery(Webhook("http://x"), result="x" * 100_000)
    assert filled("{result}", one) == "x" * MAX_VALUE
    with pytest.raises(DeliveryFailed, match="the limit is") as caught:
        filled("{result}" * 200, one)
    assert caught.value.permanent


def test_a_large_result_is_left_out_of_the_standard_message() -> None:
    large = message(delivery(Webhook("http://x"), result="x" * 20_000))
    assert (large["result"], large["result_left_out"]) == (None, True)
    facts = {key: value for key, value in FACTS.items() if key != "result"}
    absent = message(attrs.evolve(delivery(Webhook("http://x")), facts=facts))
    assert (absent["result"], absent["result_left_out"]) == (None, True)


def test_what_a_mail_says_by_itself() -> None:
    one = delivery(Webhook("http://x"))
    assert subject(one) == 'the "nightly": FAILED'
    assert "Failure:    ValueError: no\nrows\n" in summary(one)
    assert "Reason" not in summary(one)


@given(st.text(max_size=50), st.text("{}ab.", max_size=30))
def test_whatever_is_put_into_json_stays_json(value: str, template: str) -> None:
    one = delivery(Webhook("http://x"), result={"a": value})
    assert json.loads(filled('{"x": "{result.a}"}', one, in_json=True)) == {"x": value}
    assert isinstance(filled(template, one), str)
