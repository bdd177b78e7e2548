"""What requests made by chance have found, each as a test of its own."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.tocsin.conftest import Running, settings


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    node = Running(tmp_path_factory.mktemp("found"))
    node.start(settings(node.data))
    headers = {"Authorization": f"Bearer {node.token}"}
    with httpx.Client(base_url=node.url, headers=headers, trust_env=False) as found:
        yield found
    node.stop()
    assert node.error is None


@pytest.mark.parametrize("body", ["null", "false", "0", '""', "[]", "7", '"a"', "[{}]"])
@pytest.mark.parametrize("path", ["/api/purge", "/api/scheduler/pause", "/api/queue/flush"])
def test_a_body_that_may_be_left_out_is_an_object_if_it_is_there(http: httpx.Client, path: str, body: str) -> None:
    """`false` purged everything, as if there had been no body."""
    answer = http.post(path, content=body)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("body: an object, not ")
    assert http.get("/api/scheduler").json()["paused"] is False


def test_raising_the_fence_of_a_node_alone_is_a_conflict(http: httpx.Client) -> None:
    """The document did not say so."""
    assert http.post("/api/fence/raise").status_code == 409
    responses = http.get("/api/openapi.json").json()["paths"]["/api/fence/raise"]["post"]["responses"]
    assert "409" in responses


def test_a_plan_that_compares_no_times_is_a_plan(http: httpx.Client) -> None:
    """It was a server error."""
    text = "tocsin: 1\ntasks:\n- name: planned\n  taskType: greet\n  trigger: {every: 1h}\n"
    answer = http.post("/api/plan", json={"files": [{"name": "a.yaml", "text": text}], "fires": 0})
    assert answer.status_code == 200
    [change] = answer.json()["changes"]
    nothing = {"before": None, "after": None, "through": None, "kept": 0, "appear": [], "disappear": [], "moved": []}
    assert change["fires"] == nothing
