"""What a node shows to whom: where it listens, over what, to which pages, how often."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import attrs
import httpx
import pytest

from runtime.clock import Micros
from runtime.errors import InvalidRequest
from tests.certificates import make_authority, make_certificate
from tests.tocsin.access.kit import Person
from tests.tocsin.conftest import CATALOGUE, Running
from tocsin import SyncClient
from tocsin.access.limits_core import FAILURES, REMEMBERED, WINDOW_SECONDS, Failures, Rates, retry_after, site_of
from tocsin.access.settings import check_access, read_origins
from tocsin.api.app import Api
from tocsin.api.entrance import CSRF_HEADER, ApiSettings, origin_problem
from tocsin.api.guard import ALLOWED_HEADERS, BASIC
from tocsin.clients.address import NodeUnreachable
from tocsin.operations.table import OPERATIONS
from tocsin.serving import open_serving
from tocsin.settings.config import Config, load_config
from tocsin.settings.setting_readers import Address

FRIEND = "https://console.example.org"


def settings(data: Path, **more: Any) -> Config:
    plain = Config(data=data, listen=Address("127.0.0.1", 0), drain_timeout=Micros(0), synchronous="NORMAL")
    return attrs.evolve(plain, **more)


def serving(config: Config) -> Running:
    node = Running(config.data)
    node.start(config)
    return node


# -- where it listens


def test_without_a_configuration_only_this_machine_is_listened_to() -> None:
    config = load_config({}, None).config
    assert config.listen.is_loopback
    check_access(config, config.listen)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_nobody_listens_beyond_this_machine_in_the_clear_unless_told(host: str, tmp_path: Path) -> None:
    beyond, config = Address(host, 7400), settings(tmp_path)
    with pytest.raises(InvalidRequest, match=r"api\.tls\.certificate"):
        check_access(config, beyond)
    check_access(attrs.evolve(config, plain_allowed=True), beyond)
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).touch()
    check_access(settings(tmp_path, tls_certificate=str(tmp_path / "c.pem"), tls_key=str(tmp_path / "k.pem")), beyond)


async def test_a_node_that_would_do_so_does_not_start(tmp_path: Path) -> None:
    config = settings(tmp_path / "data", listen=Address("0.0.0.0", 0))
    with pytest.raises(InvalidRequest, match="beyond this machine"):
        async with open_serving(config, CATALOGUE):
            raise AssertionError("it listens")
    assert not (tmp_path / "data" / "tocsin.db").exists()


def test_certificate_and_key_go_together_and_are_there(tmp_path: Path) -> None:
    here = Address("127.0.0.1", 0)
    with pytest.raises(InvalidRequest, match="go together"):
        check_access(settings(tmp_path, tls_certificate="c.pem"), here)
    with pytest.raises(InvalidRequest, match="no file"):
        check_access(settings(tmp_path, tls_certificate="c.pem", tls_key="k.pem"), here)


def test_under_tls_cookies_are_secure_and_nothing_is_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = make_authority(tmp_path)
    tls = make_certificate(tmp_path, authority, "localhost")
    node = serving(
        settings(tmp_path / "data", tls_certificate=str(tls.certificate), tls_key=str(tls.key), failed_logins=2)
    )
    try:
        assert node.url.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(authority))
        trusting.check_hostname = False
        headers = {"Authorization": f"Bearer {node.token}"}
        with httpx.Client(base_url=node.url, verify=trusting, headers=headers) as client:
            answer = client.post("/api/session")
            assert answer.status_code == 200
            assert answer.headers["set-cookie"].startswith("__Host-tocsin_session=")
            assert answer.headers["set-cookie"].endswith("; Secure")
            assert "max-age" in answer.headers["strict-transport-security"]
            refused = [client.get("/api/tasks", headers={"Authorization": "Bearer x"}) for _ in range(3)]
        assert [one.status_code for one in refused] == [401, 401, 429]
        assert 1 <= int(refused[2].headers["retry-after"]) <= WINDOW_SECONDS
        # Who is on this machine trusts the certificate that the node has, whatever name stands in it.
        with SyncClient(data=tmp_path / "data") as client:
            assert client.version() is not None
        with SyncClient(node.url, node.token) as client, pytest.raises(NodeUnreachable):
            client.version()
        monkeypatch.setenv("TOCSIN_CA", str(authority))
        with SyncClient(node.url.replace("127.0.0.1", "localhost"), node.token) as client:
            assert client.version() is not None
        with SyncClient(node.url, node.token) as client, pytest.raises(NodeUnreachable):
            client.version()
        with httpx.Client() as plain, pytest.raises(httpx.HTTPError):
            plain.get(node.url.replace("https", "http") + "/api/health/live").raise_for_status()
    finally:
        node.stop()


# -- what every answer carries


@pytest.mark.parametrize("path", ["/api/tasks", "/api/health/live", "/cxs/tasks", "/nothing", "/metrics", "/api/docs"])
def test_every_answer_tells_browsers_to_be_careful(root: Person, path: str) -> None:
    headers = root.send("GET", path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] in ("no-store", "no-cache")
    assert "server" not in headers and "access-control-allow-origin" not in headers


def test_only_whether_the_node_lives_is_told_to_everybody() -> None:
    assert {one.name for one in OPERATIONS if one.permission == "none"} == {"live", "ready"}


# -- pages from elsewhere


@pytest.fixture(scope="module")
def open_to_friends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    node = serving(settings(tmp_path_factory.mktemp("friends"), cors_origins=(FRIEND,), rate=1, burst=10))
    yield Person(node.url, node.token)
    node.stop()


def test_no_page_from_elsewhere_has_leave_unless_it_is_named(root: Person, open_to_friends: Person) -> None:
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for person, origin, good in (
        (root, FRIEND, False), (open_to_friends, FRIEND, True), (open_to_friends, FRIEND + ".evil.example", False),
        (open_to_friends, "null", False), (open_to_friends, "http://console.example.org", False),
    ):  # fmt: skip
        nobody = Person(person.url, None)
        answer = nobody.send("OPTIONS", "/api/tasks", headers={"Origin": origin, **ask})
        assert (answer.headers.get("access-control-allow-origin") == origin) is good
        assert "access-control-allow-credentials" not in answer.headers
        read = person.send("GET", "/api/health/live", headers={"Origin": origin})
        assert (read.headers.get("access-control-allow-origin") == origin) is good
    assert "authorization" in answer.request.headers["access-control-request-headers"]
    assert CSRF_HEADER not in ALLOWED_HEADERS.lower()


READ_BY_ALL = {
    "cache-control",
    "content-language",
    "content-length",
    "content-type",
    "expires",
    "last-modified",
    "pragma",
}
"""Headers that browsers let every page read, by the Fetch standard."""

FOR_THE_BROWSER = {"date", "server", "vary", "upgrade", "connection", *(BASIC.keys() - {"cache-control"})}
"""Headers that no page has a use for."""


def test_pages_from_elsewhere_may_read_what_an_answer_says(open_to_friends: Person) -> None:
    origin = {"Origin": FRIEND}
    answers = [
        open_to_friends.send("POST", "/api/services/wait?wait=0s", json={}, headers=origin),
        open_to_friends.send("GET", "/api/tasks/nowhere", headers=origin),
        open_to_friends.send("PATCH", "/api/version", headers=origin),
        Person(open_to_friends.url, None).send("GET", "/api/tasks", headers=origin),
    ]
    assert [answer.status_code for answer in answers] == [202, 404, 405, 401]
    for answer in answers:
        exposed = {name.lower() for name in answer.headers["access-control-expose-headers"].split(", ")}
        said = {name for name in answer.headers if not name.startswith("access-control-")}
        assert said - READ_BY_ALL - FOR_THE_BROWSER <= exposed, said
        assert {"location", "etag", "retry-after", "x-request-id"} <= exposed


@pytest.mark.parametrize(
    "given",
    ["*", "https://*.example.org", "example.org", "https://a.org/path", "https://u@a.org", "ftp://a.org", "https://"],
)
def test_origins_are_named_each(given: str) -> None:
    with pytest.raises(InvalidRequest):
        read_origins([given], "api.cors_origins")
    assert read_origins([FRIEND, "http://localhost:3000"], "x") == (FRIEND, "http://localhost:3000")


def test_a_websocket_is_for_the_own_pages() -> None:
    assert origin_problem(None, "http://h:1", ()) is None
    assert origin_problem("http://h:1", "http://h:1", ()) is None
    assert origin_problem(FRIEND, "http://h:1", (FRIEND,)) is None
    assert origin_problem("http://evil", "http://h:1", (FRIEND,)) is not None
    assert ApiSettings(1).cookie == "tocsin_session"


# -- how often


def test_a_program_that_runs_wild_is_slowed_down_and_others_are_not(open_to_friends: Person) -> None:
    wild = open_to_friends.with_token(role="viewer")
    answers = [wild.send("GET", "/api/version") for _ in range(40)]
    slowed = [one for one in answers if one.status_code == 429]
    assert slowed and answers[0].status_code == 200
    assert int(slowed[0].headers["retry-after"]) >= 1
    assert open_to_friends.with_token(role="viewer").send("GET", "/api/version").status_code == 200


def test_rates_are_kept_over_any_time() -> None:
    rates = Rates(rate=10, burst=5)
    assert [rates.take("a", 0.0) for _ in range(5)] == [0.0] * 5
    assert rates.take("a", 0.0) == pytest.approx(0.1)
    assert rates.take("b", 0.0) == 0.0
    assert rates.take("a", 0.1) == 0.0
    assert rates.take("a", 0.1) > 0
    taken = sum(rates.take("c", at / 100) == 0.0 for at in range(1_000))
    assert taken == pytest.approx(105, abs=1)
    for number in range(REMEMBERED + 10):
        rates.take(f"t{number}", 50.0)
    assert (retry_after(0.01), retry_after(1.2)) == ("1", "2")


def test_failures_are_counted_by_site() -> None:
    failures = Failures(2)
    for address in ("2001:db8::1", "2001:db8::ffff:2"):
        failures.failed(address, 10.0)
    assert failures.wait("2001:db8:0:0:1::9", 10.0) == WINDOW_SECONDS
    assert failures.wait("2001:db8:0:1::9", 10.0) == 0.0
    assert failures.wait("2001:db8::1", 10.0 + WINDOW_SECONDS) == 0.0
    assert site_of("::ffff:203.0.113.7") == site_of("203.0.113.7")
    assert site_of("") == ""
    for number in range(REMEMBERED + 10):
        failures.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 11.0)
    assert failures.wait("2001:db8::1", 11.0) == 0.0
    assert FAILURES > 3


# -- what is open, and what is secret


OPEN_PATHS = {"/api/health/live", "/api/health/ready", "/api/openapi.json", "/"}
"""With the page of the documentation and the console's: what anybody may read. It is the same for every node."""


def test_no_route_answers_nobody(root: Person) -> None:
    """Every route that the server has, whoever made it, not only those of the table."""
    routes = Api(cast("Any", Mock()), "x", ApiSettings(1_000))._routes().routes
    asked = 0
    nobody = Person(root.url, None)
    for route in routes:
        path = "/" + "/".join("x" if part.startswith("{") else part for part in str(route.path).strip("/").split("/"))
        if path in OPEN_PATHS or path.startswith(("/api/docs", "/console")):
            continue
        for method in sorted(set(getattr(route, "methods", ())) - {"OPTIONS", "HEAD"}):
            answer = nobody.send(method, path)
            # To end a session that one does not have changes nothing.
            assert answer.status_code == 401 or (method, path) == ("DELETE", "/api/session"), f"{method} {path}"
            asked += 1
    assert asked >= len(OPERATIONS) - 2


def test_every_start_makes_a_secret_of_its_own_that_only_its_owner_reads(tmp_path: Path) -> None:
    tokens = set()
    for name in ("one", "two"):
        node = serving(settings(tmp_path / name))
        tokens.add(node.token)
        modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / name).iterdir()}
        node.stop()
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700
        assert {modes[file] for file in ("token", "tocsin.db", "node.json")} == {0o600}
    assert len(tokens) == 2 and all(len(token) >= 43 for token in tokens)


def test_secrets_are_in_no_log_error_or_figure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    node = serving(settings(tmp_path))
    root = Person(node.url, node.token)
    said = []
    try:
        viewer = root.with_token(role="viewer")
        session = root.send("POST", "/api/session")
        cookie = session.cookies["tocsin_session"]
        for person, more in (
            (root, {}),
            (viewer, {}),
            (Person(node.url, None), {"Cookie": f"tocsin_session={cookie}"}),
        ):
            for method, path in (("GET", "/api/tokens"), ("GET", "/api/node"), ("GET", "/metrics"), ("GET", "/nothing"),
                                 ("POST", "/api/tasks"), ("GET", "/api/audits"), ("GET", "/api/session"),
                                 ("DELETE", "/api/tokens/toc_"), ("GET", "/api/health/ready")):  # fmt: skip
                answer = person.send(method, path, headers=more)
                said.append(f"{answer.text} {answer.headers}")
        said.append(repr(node.error))
    finally:
        node.stop()
    secrets = [node.token, str(viewer.token)[-40:], cookie[-40:]]
    # What this test's own client writes down is not the node's.
    logged = [one.getMessage() for one in caplog.records if not one.name.startswith(("httpcore", "httpx"))]
    for secret in secrets:
        assert not any(secret in text for text in (*logged, *said))
