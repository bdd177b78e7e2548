"""Sessions of the console: a cookie that scripts cannot read, and a proof that other sites do not have."""

from __future__ import annotations

import time
from http.cookies import SimpleCookie
from pathlib import Path

import attrs
import httpx
import pytest

from tests.tocsin.access.kit import TASK, Person
from tests.tocsin.access.test_exposure import serving, settings
from tests.tocsin.conftest import Running
from tocsin.access import authentication
from tocsin.operations.table import OPERATIONS

HANG_SECONDS = 30.0


@attrs.frozen
class Browser:
    """A browser that has a session."""

    url: str
    cookie: str
    csrf: str

    def send(self, method: str, path: str, **more: object) -> httpx.Response:
        headers = {"Cookie": self.cookie, **more.pop("headers", {})}  # type: ignore[dict-item]
        return httpx.request(method, f"{self.url}{path}", headers=headers, **more)  # type: ignore[arg-type]

    @property
    def proof(self) -> dict[str, str]:
        return {"Tocsin-Csrf": self.csrf}


def logged_in(person: Person) -> Browser:
    answer = person.send("POST", "/api/session")
    assert answer.status_code == 200, answer.text
    cookie = SimpleCookie(answer.headers["set-cookie"])["tocsin_session"]
    return Browser(person.url, f"tocsin_session={cookie.value}", answer.json()["csrf"])


def test_the_cookie_is_for_the_own_pages_and_not_for_scripts(root: Person) -> None:
    answer = root.send("POST", "/api/session")
    cookie = SimpleCookie(answer.headers["set-cookie"])["tocsin_session"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    assert cookie["max-age"] == str(12 * 3600)
    assert root.token is not None and root.token not in answer.text and cookie.value not in answer.text
    assert answer.json()["role"] == "administrator"


def test_a_session_reads_and_changes_with_its_proof(root: Person) -> None:
    browser = logged_in(root.with_token(role="operator", user="ada", tenant="acme"))
    assert browser.send("GET", "/api/tasks").status_code == 200
    shown = browser.send("GET", "/api/session").json()
    assert (shown["user"], shown["role"], shown["tenant"], shown["csrf"]) == ("ada", "operator", "acme", browser.csrf)
    refused = browser.send("POST", "/api/tasks", json={**TASK, "name": "by cookie"})
    assert refused.status_code == 403 and "tocsin-csrf" in refused.json()["message"]
    made = browser.send("POST", "/api/tasks", json={**TASK, "name": "by cookie"}, headers=browser.proof)
    assert (made.status_code, made.json()["owner"]) == (201, "ada")
    assert browser.send("POST", "/api/scheduler/pause", headers=browser.proof, json={}).status_code == 403


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.method != "GET"], ids=lambda one: one.name)
def test_another_site_changes_nothing(root: Person, browser: Browser, operation: object) -> None:
    path = "/api" + operation.path.replace("{", "").replace("}", "")  # type: ignore[attr-defined]
    method = operation.method  # type: ignore[attr-defined]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for headers in (form, {"Origin": "https://evil.example", **browser.proof}, {"Tocsin-Csrf": "0" * 64}):
        assert browser.send(method, path, headers=headers, content=b"a=b").status_code == 403


@pytest.fixture(scope="module")
def browser(running: Running) -> Browser:
    return logged_in(Person(running.url, running.token))


def test_the_proof_of_one_session_is_none_for_another(root: Person) -> None:
    one, other = logged_in(root), logged_in(root)
    assert one.csrf != other.csrf and one.cookie != other.cookie
    assert one.send("POST", "/api/scheduler/resume", headers=other.proof).status_code == 403
    assert one.send("POST", "/api/scheduler/resume", headers=one.proof).status_code == 200


def test_the_own_pages_may_and_pages_from_elsewhere_may_not_even_read(browser: Browser) -> None:
    assert browser.send("GET", "/api/tasks", headers={"Origin": browser.url}).status_code == 200
    answer = browser.send("GET", "/api/tasks", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_a_session_ends_with_its_log_out(root: Person) -> None:
    browser = logged_in(root)
    assert browser.send("DELETE", "/api/session").status_code == 403
    ended = browser.send("DELETE", "/api/session", headers=browser.proof)
    assert ended.status_code == 204 and "Max-Age=0" in ended.headers["set-cookie"]
    assert browser.send("GET", "/api/tasks").status_code == 401
    assert browser.send("GET", "/api/session").status_code == 401


def test_a_session_is_no_token_and_a_token_no_session(root: Person, browser: Browser) -> None:
    secret = browser.cookie.partition("=")[2]
    assert Person(root.url, secret).send("GET", "/api/tasks").status_code == 401
    token = root.with_token(role="viewer").token
    assert Browser(root.url, f"tocsin_session={token}", "").send("GET", "/api/tasks").status_code == 401
    assert Person(root.url, secret).send("POST", "/api/session").status_code == 401
    assert Person(root.url, None).send("POST", "/api/session").status_code == 401


def test_a_shown_token_counts_and_not_the_cookie_beside_it(root: Person, browser: Browser) -> None:
    viewer = root.with_token(role="viewer")
    answer = viewer.send("POST", "/api/scheduler/resume", headers={"Cookie": browser.cookie, **browser.proof})
    assert answer.status_code == 403


def test_log_in_and_out_are_in_the_audit_log(root: Person) -> None:
    ada = root.with_token(role="viewer", user="ada of the log")
    browser = logged_in(ada)
    browser.send("DELETE", "/api/session", headers=browser.proof)
    found = root.send("GET", "/api/audits?actor=ada of the log").json()["list"]
    assert [one["action"] for one in found] == ["LogOut", "LogIn"]


def test_who_logs_in_gets_a_session_of_his_own_whatever_cookie_he_brings(root: Person, browser: Browser) -> None:
    """A cookie that somebody else has planted must not become his session."""
    planted = f"tocsin_session=toc_0123456789ab_{'x' * 43}"
    for cookie in (planted, browser.cookie):
        answer = root.send("POST", "/api/session", headers={"Cookie": cookie})
        assert answer.status_code == 200
        made = SimpleCookie(answer.headers["set-cookie"])["tocsin_session"].value
        assert f"tocsin_session={made}" != cookie
    assert Browser(root.url, planted, "").send("GET", "/api/tasks").status_code == 401


def test_no_other_site_logs_anybody_in(root: Person, browser: Browser) -> None:
    """The token has to be in a header, which a form cannot set: nobody works in a session that another one has begun for him."""
    for headers in ({}, {"Cookie": browser.cookie}, {"Cookie": browser.cookie, **browser.proof}):
        body = {"token": root.token or "", "authorization": f"Bearer {root.token}"}
        answer = httpx.post(f"{root.url}/api/session", headers=headers, data=body)
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)


@pytest.mark.parametrize("origin", ["null", "http://127.0.0.1", "http://localhost:1", "https://evil.example", ""])
def test_an_origin_is_the_own_one_to_the_letter(browser: Browser, origin: str) -> None:
    for headers in ({"Origin": origin}, {"Origin": origin, **browser.proof}):
        assert browser.send("POST", "/api/scheduler/resume", headers=headers, json={}).status_code == 403


def test_another_method_is_no_way_around_the_proof(browser: Browser) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        for header in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
            answer = browser.send(method, "/api/scheduler/resume", headers={header: "GET"}, json={})
            assert answer.status_code in (403, 405)


def test_guesses_of_sessions_are_slowed_down(tmp_path: Path) -> None:
    node = serving(settings(tmp_path / "data", failed_logins=3))
    try:
        guesses = [
            Browser(node.url, f"tocsin_session=toc_{number:012x}_{'x' * 43}", "")
            .send("GET", "/api/session")
            .status_code
            for number in range(5)
        ]
        assert guesses == [401, 401, 401, 429, 429]
    finally:
        node.stop()


def test_a_ticket_begins_one_session_of_whoever_asked_for_it(root: Person) -> None:
    person = root.with_token(role="viewer", user="ada", tenant="acme")
    given = person.send("POST", "/api/session/ticket").json()
    assert given["path"] == f"/console#ticket={given['ticket']}"
    headers = {"Authorization": f"Ticket {given['ticket']}"}
    answer = httpx.post(f"{root.url}/api/session", headers=headers)
    assert (answer.status_code, answer.json()["user"], answer.json()["role"]) == (200, "ada", "viewer")
    assert httpx.post(f"{root.url}/api/session", headers=headers).status_code == 401


def test_a_ticket_of_a_revoked_token_and_one_that_is_made_up_begin_nothing(root: Person) -> None:
    person = root.with_token(role="viewer")
    given = person.send("POST", "/api/session/ticket").json()["ticket"]
    assert person.token is not None
    revoked = person.token.split("_")[1]
    assert root.send("DELETE", f"/api/tokens/{revoked}").status_code in (200, 204)
    for ticket in (given, "made-up", "-"):
        headers = {"Authorization": f"Ticket {ticket}"}
        assert httpx.post(f"{root.url}/api/session", headers=headers).status_code == 401


def test_no_session_gives_tickets(root: Person) -> None:
    browser = logged_in(root)
    assert browser.send("POST", "/api/session/ticket", headers=browser.proof).status_code == 401


@pytest.mark.parametrize("is_first", [True, False])
def test_who_logs_out_everywhere_ends_all_sessions_of_his_token_and_no_others(root: Person, is_first: bool) -> None:
    person = root if is_first else root.with_token(role="viewer")
    here, there, other = logged_in(person), logged_in(person), logged_in(root.with_token(role="viewer"))
    assert here.send("DELETE", "/api/session?everywhere=perhaps", headers=here.proof).status_code == 400
    assert here.send("DELETE", "/api/session?everywhere=true").status_code == 403
    assert here.send("DELETE", "/api/session?everywhere=true", headers=here.proof).status_code == 204
    assert here.send("GET", "/api/session").status_code == 401
    deadline = time.monotonic() + HANG_SECONDS
    while there.send("GET", "/api/session").status_code != 401:
        assert time.monotonic() < deadline
    assert other.send("GET", "/api/session").status_code == 200
    assert person.send("GET", "/api/tasks").status_code == 200


def test_sessions_are_not_begun_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a row, and a record of the audit log, which whoever has any token could fill."""
    monkeypatch.setattr(authentication, "LOG_INS_AT_ONCE", 3)
    monkeypatch.setattr(authentication, "LOG_INS", 0.001)
    node = serving(settings(tmp_path / "data"))
    try:
        root = Person(node.url, node.token)
        viewer = root.with_token(role="viewer")
        answers = [viewer.send("POST", path).status_code for path in ("/api/session", "/api/session/ticket") * 3]
        assert answers == [200, 200, 200, 429, 429, 429]
        assert root.send("POST", "/api/session").status_code == 200
    finally:
        node.stop()
