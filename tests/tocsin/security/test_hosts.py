"""A page of another site whose name leads to this machine gets nothing; nor does a request that means two things."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from runtime.errors import InvalidRequest
from tests.tocsin.access.kit import Person
from tests.tocsin.access.test_exposure import serving, settings
from tests.tocsin.conftest import Running
from tocsin.access.settings import read_hosts
from tocsin.api import server
from tocsin.api.hosts import is_meant
from tocsin.operations.table import OPERATIONS
from tocsin.settings.setting_readers import Address

HERE, ALL = Address("127.0.0.1", 7400), Address("0.0.0.0", 7400)
NAMED = ("console.example.org",)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:7400",
        "localhost",
        "LOCALHOST:80",
        "localhost.",
        "a.localhost:7400",
        "[::1]:7400",
        "10.1.2.3:7400",
    ],
)
def test_addresses_and_localhost_are_meant_everywhere(host: str) -> None:
    assert is_meant(host, HERE, ()) and is_meant(host, HERE, NAMED) and is_meant(host, ALL, NAMED)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:7400", "127.0.0.1.evil.example", "localhost.evil.example", "evillocalhost", "",
        "console.example.org.evil.example", "user@127.0.0.1", "127.0.0.1:7400:1", "127.0.0.1/", "[evil]", "127.0.0.1 a.example",
        "[127.0.0.1", "0x7f.1", "\u0131localhost",
    ],
)  # fmt: skip
def test_any_other_name_is_not(host: str) -> None:
    assert not is_meant(host, HERE, ())
    assert not is_meant(host, HERE, NAMED)
    assert not is_meant(host, ALL, NAMED)


def test_names_that_are_configured_are_meant_and_beyond_loopback_any_until_then() -> None:
    for host in ("console.example.org", "Console.Example.Org.:443"):
        assert is_meant(host, HERE, NAMED) and not is_meant(host, HERE, ())
    assert is_meant("anything.example", ALL, ()) and is_meant("ring.example", Address("ring.example", 1), NAMED)


@pytest.mark.parametrize(
    "name", ["https://a.example", "a.example:80", "*", "*.example", "-a.example", "a..b", "a b", "x" * 64]
)
def test_a_name_of_a_host_is_that_and_no_more(name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"api\.hosts: names such as"):
        read_hosts([name], "api.hosts")
    assert read_hosts([" Console.Example.org", "ring"], "api.hosts") == ("console.example.org", "ring")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_a_rebound_name_reaches_no_operation(root: Person, operation: object) -> None:
    path = "/api" + operation.path.replace("{", "").replace("}", "")  # type: ignore[attr-defined]
    answer = root.send(operation.method, path, headers={"Host": "evil.example"})  # type: ignore[attr-defined]
    assert answer.status_code == 403
    assert "api.hosts" in answer.json()["message"]
    assert answer.headers["x-frame-options"] == "DENY"


def said(node: Running, *lines: str) -> tuple[int, str]:
    """What is answered to these lines, as they are."""
    host, _, port = node.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))
        parts = []
        while part := connection.recv(65_536):
            parts.append(part)
    head, _, body = b"".join(parts).decode("latin-1").partition("\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.parametrize("path", ["/", "/api/docs", "/api/openapi.json", "/api/session", "/metrics", "/nothing"])
def test_nor_a_page(running: Running, path: str) -> None:
    status, body = said(
        running, f"GET {path} HTTP/1.1", "Host: evil.example:7400", f"Authorization: Bearer {running.token}"
    )
    assert status == 403 and "api.hosts" in json.loads(body)["message"]
    assert said(running, f"GET {path} HTTP/1.1", "Host: localhost")[0] != 403


def test_a_websocket_of_a_rebound_name_is_refused_before_it_is_accepted(running: Running) -> None:
    upgrade = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    head = "GET /api/ws HTTP/1.1\r\nConnection: Upgrade"
    status, body = said(
        running,
        head,
        "Host: evil.example",
        "Origin: http://evil.example",
        f"Authorization: Bearer {running.token}",
        *upgrade,
    )
    assert status == 403 and "api.hosts" in json.loads(body)["message"]


@pytest.mark.parametrize(
    "header",
    ["Authorization: Bearer x", "Origin: http://a.example", "Tocsin-Tenant: a", "Tocsin-Csrf: a", "Content-Type: a/b"],
)
def test_a_header_that_decides_something_is_there_once(running: Running, header: str) -> None:
    name = header.partition(":")[0].lower()
    for other in (header, f"{name.upper()}: other"):
        status, body = said(running, "GET /api/version HTTP/1.1", "Host: localhost", header, other)
        assert (status, json.loads(body)["message"]) == (400, f"the header {name} is there 2 times")


@pytest.mark.parametrize(
    "lines",
    [
        ("Host: localhost", "Host: evil.example"),
        ("Host: localhost", "Content-Length: 2", "Content-Length: 3"),
        ("Host: localhost", "Content-Length: 2", "Transfer-Encoding: chunked"),
        ("Host: localhost", "Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        ("Host: localhost", "Transfer-Encoding: xchunked"),
        ("Host: localhost", "Content-Length: -1"),
        ("Host: localhost", "Content-Length: +2"),
        ("Host: localhost", "Content-Length: 0x2"),
        ("Host: localhost", "X-A : b"),
        ("Host: localhost", " folded: b"),
        ("X-A: b",),
    ],
)
def test_what_a_proxy_may_read_otherwise_is_refused(running: Running, lines: tuple[str, ...]) -> None:
    """A request within a request: whoever stands before the node and the node must see the same end of each."""
    status, _ = said(running, "POST /api/session HTTP/1.1", *lines)
    assert status in (400, 403, 501)


def test_headers_without_end_are_refused(running: Running) -> None:
    status, _ = said(running, "GET /api/version HTTP/1.1", "Host: localhost", f"X-Long: {'a' * 70_000}")
    assert status in (400, 431)


@pytest.mark.parametrize(
    "path",
    ["/api/docs/../../token", "/api/docs/..%2f..%2ftoken", "/api/docs/%2e%2e/%2e%2e/token", "/api/docs/....//token", "//token",
     "/api/docs/docs.js/../../../token", "/console/..%2f..%2ftoken", "/console/../token", "/console/%2e%2e%5ctoken", "/%00"],
)  # fmt: skip
def test_no_path_leads_out_of_the_pages(running: Running, path: str) -> None:
    status, body = said(running, f"GET {path} HTTP/1.1", "Host: localhost")
    assert running.token not in body
    assert status in (200, 303, 400, 401, 404)
    assert status != 200 or "<html" in body


def test_a_proxy_is_let_in_by_its_name(tmp_path: Path) -> None:
    node = serving(settings(tmp_path / "data", hosts=NAMED))
    try:
        root = Person(node.url, node.token)
        assert root.send("GET", "/api/tasks", headers={"Host": "console.example.org"}).status_code == 200
        assert root.send("GET", "/api/tasks", headers={"Host": "evil.example"}).status_code == 403
    finally:
        node.stop()


def test_a_request_that_never_ends_holds_its_connection_for_a_while_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", 0.5)
    node = serving(settings(tmp_path / "data"))
    try:
        host, _, port = node.url.removeprefix("http://").partition(":")
        for begun in (b"", b"GET /api/version HTTP/1.1\r\nHost: localhost\r\nX-Slow: "):
            with socket.create_connection((host, int(port)), timeout=60) as connection:
                connection.sendall(begun)
                while connection.recv(65_536):
                    pass
    finally:
        node.stop()
