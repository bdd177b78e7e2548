"""Who may do what, and from where."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.contract import examples
from tests.contract.client import TaskClient
from tests.contract.conftest import ORIGIN
from tests.contract.node import Node

CHANGES = ("cancel", "retry", "config", "resume")


@pytest.fixture(params=["GET", "POST", "PUT", "DELETE"])
def preflight(request: pytest.FixtureRequest) -> dict[str, str]:
    """What a browser asks before it sends a request with a token."""
    return {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": request.param,
        "Access-Control-Request-Headers": "authorization",
    }


@pytest.fixture
def viewer(node: Node, tokens: dict[str, str]) -> Iterator[TaskClient]:
    """A client that may only read."""
    with node.client(tokens["viewer"]) as client:
        yield client


# Roles


@pytest.mark.parametrize("action", examples.ACTIONS)
def test_403_for_insufficient_permissions(
    node: Node, tasks: dict[str, str], tokens: dict[str, str], action: str
) -> None:
    """403 Forbidden - Insufficient permissions, with the body of the example, for one who may nothing of this."""
    with node.client(tokens["worker"]) as client:
        examples.assert_error(client.raw(*examples.request(action, tasks["scheduled"])), 403)


@pytest.mark.parametrize("action", CHANGES)
def test_403_for_who_may_only_read(client: TaskClient, viewer: TaskClient, tasks: dict[str, str], action: str) -> None:
    """Who may only read changes nothing; the answer does not tell, either, which tasks there are."""
    before = client.get(tasks["scheduled"])
    examples.assert_error(viewer.raw(*examples.request(action, tasks["scheduled"])), 403)
    examples.assert_error(viewer.raw(*examples.request(action, "123e4567")), 403)
    assert client.get(tasks["scheduled"]) == before


def test_who_may_only_read_sees_what_an_administrator_sees(
    client: TaskClient, viewer: TaskClient, tasks: dict[str, str]
) -> None:
    """The contract asks for ADMINISTRATOR in all. Here roles are graded, so that a dashboard needs no right to cancel."""
    assert viewer.list(type="filler") == client.list(type="filler")
    assert viewer.get(tasks["scheduled"]) == client.get(tasks["scheduled"])


@pytest.mark.parametrize("action", examples.ACTIONS)
def test_operators_may_all_of_it(node: Node, tokens: dict[str, str], action: str) -> None:
    """Roles are graded: who runs tasks need not be one who may make tokens, which is what administrators are for."""
    with node.client(tokens["operator"]) as client:
        response = client.raw(*examples.request(action, examples.UNKNOWN))
    assert response.status_code == (200 if action == "list" else 404), response.text


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer wrong", "Basic a2FyYWY6a2FyYWY="])
@pytest.mark.parametrize("action", examples.ACTIONS)
def test_401_without_a_token(node: Node, action: str, token: str) -> None:
    """The contract leaves out how one says who one is; the error has its form nevertheless."""
    method, path = examples.request(action, "123e4567")
    headers = {"Authorization": token} if token else {}
    examples.assert_error(httpx.request(method, node.url + path, headers=headers, trust_env=False), 401)


# Web pages


def test_cors_preflight(node: Node, preflight: dict[str, str]) -> None:
    """CORS-enabled for web client integration: a browser asks without a token, and may send all methods."""
    response = httpx.options(f"{node.url}/cxs/tasks/123e4567", headers=preflight, trust_env=False)
    assert response.status_code in (200, 204)
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    allowed = response.headers["Access-Control-Allow-Methods"].replace(" ", "").split(",")
    assert preflight["Access-Control-Request-Method"] in allowed
    assert "authorization" in response.headers["Access-Control-Allow-Headers"].lower()


@pytest.mark.parametrize("path", ["", "/123e4567", "?status=BOGUS"])
def test_cors_responses(client: TaskClient, path: str) -> None:
    """A page may read responses, those with errors as well."""
    response = client.raw("GET", f"/cxs/tasks{path}", headers={"Origin": ORIGIN})
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Origin" in response.headers["Vary"]


def test_cors_not_for_everybody(client: TaskClient) -> None:
    """Not for pages from elsewhere."""
    response = client.raw("GET", "/cxs/tasks", headers={"Origin": "https://evil.example"})
    assert response.headers.get("Access-Control-Allow-Origin") in (None, ORIGIN)


def test_cors_is_off_unless_configured(crashed: tuple[Node, dict[str, str]], preflight: dict[str, str]) -> None:
    """No page may use a node that was not told of it: whose pages they are is known only to who configures the node."""
    node, _ = crashed
    asked = httpx.options(f"{node.url}/cxs/tasks/123e4567", headers=preflight, trust_env=False)
    with node.client() as client:
        answered = client.raw("GET", "/cxs/tasks", headers={"Origin": ORIGIN})
    assert answered.status_code == 200
    assert not [name for name in (*asked.headers, *answered.headers) if name.lower().startswith("access-control-")]
