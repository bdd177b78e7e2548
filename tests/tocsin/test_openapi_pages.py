"""The document and its page, as a node serves them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from tests.answers import validator
from tests.tocsin.conftest import Running
from tocsin.api.openapi import DOCS_PATH, DOCUMENT_PATH, document, matching_path
from tocsin.api.pages import POLICY
from tocsin.console.routes import CONSOLE_PATH
from tocsin.operations.error_table import ERRORS

PAGES = Path(__file__).parents[2] / "tocsin/api/pages"


@pytest.fixture
def anybody(running: Running) -> httpx.Client:
    return httpx.Client(base_url=running.url, trust_env=False)


def test_anybody_may_read_the_document(anybody: httpx.Client) -> None:
    with anybody:
        answer = anybody.get(DOCUMENT_PATH)
        assert (answer.status_code, answer.json()) == (200, document())
        assert answer.headers["content-type"].startswith("application/json")
        assert anybody.get("/metrics").status_code == 401


def test_the_bare_address_leads_to_the_console(anybody: httpx.Client) -> None:
    with anybody:
        answer = anybody.get("/")
        assert (answer.status_code, answer.headers["location"]) == (303, CONSOLE_PATH)
        assert anybody.get("/", follow_redirects=True).headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/tasks", "/docs", "/api", "/api/", "/api/task/a/b", "/api/tasks/t/stop", "/cxs", "/cxs/x"]
)
def test_an_address_without_a_route_says_where_the_routes_are(anybody: httpx.Client, method: str, path: str) -> None:
    with anybody:
        answer = anybody.request(method, path)
        said = answer.json()
        assert (answer.status_code, said["error"], said["code"]) == (404, "No such route", "404")
        assert said["message"].startswith(f"{method} {path.rstrip('/')}")
        assert DOCS_PATH in said["message"]
        validator(document()["components"]["schemas"]["Error404"]).validate(said)


class Links(HTMLParser):
    """What a page loads, and the elements that may hold a script or a style of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loads += [link for link in (given.get("src"), given.get("href")) if link]
        self.wrong += [name for name in given if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.wrong.append(tag)


def test_the_page_loads_from_its_node_alone(anybody: httpx.Client) -> None:
    with anybody:
        page = anybody.get(DOCS_PATH)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["content-security-policy"] == POLICY
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "unsafe" not in POLICY
        assert "http" not in POLICY
        found = Links()
        found.feed(page.text)
        assert found.wrong == []
        assert set(found.loads) == {"docs/docs.css", "docs/docs.js", "openapi.json"}
        for link in found.loads:
            answer = anybody.get(str(page.url.join(link)))
            assert answer.status_code == 200
            assert answer.headers["content-security-policy"] == POLICY


@pytest.mark.parametrize("name", ["docs.html", "docs.css", "docs.js"])
def test_no_file_of_the_page_names_another_host(name: str) -> None:
    assert not re.search(r"(https?:)?//[a-z]", (PAGES / name).read_text("utf-8").replace("// ", ""))


def test_the_script_makes_no_markup_of_texts() -> None:
    script = (PAGES / "docs.js").read_text("utf-8")
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
        assert way not in script


GUIDE = (Path(__file__).parents[2] / "docs/guides/rest.md").read_text("utf-8")
CURL = re.compile(
    r"^curl (?:-X (\w+) )?.*?http://[^/]*(/[^?'\s]*)(?:\?([^'\s]*))?'?(?: \\\n +-d '(.*)')?$", re.MULTILINE
)


def test_the_guide_s_requests_are_in_the_document() -> None:
    found = CURL.findall(GUIDE)
    assert len(found) == GUIDE.count("\ncurl ") == 11
    for method, path, query, body in found:
        template = matching_path(path)
        assert template is not None, path
        operation = document()["paths"][template][(method or "GET").lower()]
        schemas = {one["name"]: one["schema"] for one in operation["parameters"] if one["in"] == "query"}
        for name, value in (pair.split("=") for pair in query.split("&") if query):
            given = int(value) if value.isdigit() else value == "true" if value in ("true", "false") else value
            validator(schemas[name]).validate(given)
        if body:
            validator(operation["requestBody"]["content"]["application/json"]["schema"]).validate(json.loads(body))


def test_the_guide_s_error_is_one() -> None:
    [example] = re.findall(r"^```json\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    validator(document()["components"]["schemas"]["Error404"]).validate(json.loads(example))
    titles = {row.title for row in ERRORS}
    rows = re.findall(r"^\| (\d{3}) \| ([^|]*) \|", GUIDE, re.MULTILINE)
    assert {status for status, _ in rows} == {str(row.status) for row in ERRORS}
    for status, named in rows:
        for title in named.replace(", ...", "").split(", "):
            assert title in titles
            assert f"Error{status}" in document()["components"]["schemas"]
