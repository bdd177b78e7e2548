"""REST against a real node, over real HTTP on the loopback."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    StaleVersion,
    TooLarge,
    Unauthenticated,
)
from tests.tocsin.conftest import Running, settings
from tocsin.client import Client, NodeUnreachable
from tocsin.operations.error_table import ERRORS
from tocsin.operations.table import BY_NAME, OPERATIONS
from tocsin.services.table import SERVICES

HOURLY = {"every": "1h"}


def add(client: Client, type_name: str = "greet", **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.call("add_task", body={"taskType": type_name, "trigger": HOURLY, **more})
    return found


def until(ask: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    """Ask until the answer is good; the bound is against hanging."""
    deadline = time.monotonic() + 20
    while not good(found := ask()):
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def ended(client: Client, execution_id: str, state: str) -> dict[str, Any]:
    found: dict[str, Any] = until(
        lambda: client.call("show_execution", execution=execution_id), lambda one: one["state"] == state
    )
    return found


def test_a_name_that_looks_like_an_id_is_refused(client: Client) -> None:
    for name in ("019a0000-0000-7000-8000-000000000000", "019A0000-0000-7000-8000-00000000000F"):
        with pytest.raises(InvalidRequest, match="name: looks like an id"):
            add(client, name=name)
    task = add(client)
    with pytest.raises(NotFound, match="8 characters"):
        client.call("show_task", task=task["itemId"][:7])
    with pytest.raises(NotFound) as caught:
        client.call("show_task", task="no such")
    assert "8 characters" not in str(caught.value)


@pytest.fixture
def http(running: Running) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {running.token}"}
    with httpx.Client(base_url=running.url, headers=headers, trust_env=False) as found:
        yield found


def assert_error(response: httpx.Response, status: int, *words: str) -> None:
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error", "code", "message"}
    assert body["code"] == str(status)
    assert isinstance(body["error"], str)
    for word in words:
        assert word in body["message"]


def test_the_table_is_complete() -> None:
    assert set(BY_NAME) == set(SERVICES)
    assert len(BY_NAME) == len(OPERATIONS)
    for operation in OPERATIONS:
        in_path = [argument.name for argument in operation.arguments if argument.where == "path"]
        assert all(f"{{{name}}}" in operation.path for name in in_path)
        assert operation.path.count("{") == len(in_path)
        assert operation.permission != "none" or operation.name in ("live", "ready")
        for error in operation.errors:
            assert any(row.error is error for row in ERRORS)


def test_a_task_has_the_contracts_fields(client: Client) -> None:
    made = add(client, name="contract", parameters={"region": "us", "count": 1000})
    assert made["itemId"]
    assert (made["taskType"], made["status"], made["failureCount"]) == ("greet", "SCHEDULED", 0)
    assert made["persistent"] is True
    assert made["parameters"] == {"region": "us", "count": 1000}
    assert made["nextScheduledExecution"].endswith("Z")
    assert made["lastExecutionDate"] is None
    assert (made["maxRetries"], made["retryDelay"]) == (3, 60_000)
    shown = client.call("show_task", task=made["itemId"])
    assert {"currentStep", "statusDetails", "checkpointData"} <= shown.keys()
    assert client.call("show_task", task="contract") == shown
    # Ids made in the same second share their beginning, so a unique prefix is a long one here.
    assert client.call("show_task", task=made["itemId"][:-1])["itemId"] == made["itemId"]


def test_the_list_has_the_contracts_envelope_and_the_true_total(client: Client, http: httpx.Client) -> None:
    for number in range(3):
        add(client, name=f"listed {number}", persistent=number != 1)
    page = http.get("/cxs/tasks", params={"type": "greet", "limit": "2", "sortBy": "name:desc", "status": "scheduled"})
    body = page.json()
    assert set(body) == {"list", "offset", "pageSize", "totalSize"}
    assert (body["offset"], body["pageSize"], len(body["list"])) == (0, 2, 2)
    assert body["totalSize"] >= 3
    names = [task["name"] for task in client.tasks(sortBy="name", type="greet")]
    assert names == sorted(names)
    assert len(names) == body["totalSize"]
    beyond = http.get("/api/tasks", params={"offset": "100000", "type": "greet"}).json()
    assert (beyond["list"], beyond["totalSize"]) == ([], body["totalSize"])
    assert http.get("/cxs/tasks?type=none").json()["totalSize"] == 0


def test_the_seeds_sequence_of_requests(client: Client, http: httpx.Client) -> None:
    made = add(client, "fail", name="seed", policies={"retry": {"maxRetries": 0}})
    path = f"/cxs/tasks/{made['itemId']}"
    execution = client.call("run_task", task="seed")
    ended(client, execution["id"], "FAILED")
    failed = until(lambda: http.get(path).json(), lambda task: task["failureCount"] == 1)
    assert failed["checkpointData"] == {"at": 7}
    retried = http.post(f"{path}/retry", params={"resetFailureCount": "true"})
    assert (retried.status_code, retried.json()["itemId"]) == (200, made["itemId"])
    until(lambda: client.call("show_execution", execution=execution["id"]), lambda one: one["attempt"] == 2)
    ended(client, execution["id"], "FAILED")
    configured = http.put(f"{path}/config", params={"maxRetries": "5", "retryDelay": "60000"}).json()
    assert (configured["maxRetries"], configured["retryDelay"]) == (5, 60_000)
    assert http.put(f"{path}/config", params={"retryDelay": "0"}).json()["maxRetries"] == 5
    assert_error(http.post(f"{path}/resume"), 409, made["itemId"])
    for _ in range(2):
        cancelled = http.delete(path)
        assert (cancelled.status_code, cancelled.content) == (204, b"")
    assert http.get(path).json()["status"] == "CANCELLED"


def test_an_unknown_task_is_404_in_the_contracts_words(http: httpx.Client) -> None:
    for method, path in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/retry"),
        ("PUT", "/config?maxRetries=1"),
        ("POST", "/resume"),
    ]:
        assert_error(http.request(method, f"/cxs/tasks/123e4567{path}"), 404, "123e4567")


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/tasks?status=SLEEPING", 400, ["status: one of", "'SLEEPING'"]),
        ("GET", "/tasks?sortBy=age", 400, ["sortBy", "'age'"]),
        ("GET", "/tasks?sortBy=name:up", 400, ["sortBy"]),
        ("GET", "/tasks?limit=1001", 400, ["limit: a whole number from 0 to 1000, not 1001"]),
        ("GET", "/tasks?limit=-1", 400, ["limit", "'-1'"]),
        ("GET", "/tasks?offset=x", 400, ["offset", "'x'"]),
        ("GET", "/tasks?ofset=1", 400, ["unknown query parameter 'ofset'; did you mean 'offset'"]),
        ("GET", "/tasks?limit=1&limit=2", 400, ["limit: given more than once"]),
        ("GET", f"/tasks?text={'x' * 600}", 400, ["text: at most 512"]),
        ("PUT", "/tasks/known/config", 400, ["maxRetries, retryDelay"]),
        ("PUT", "/tasks/known/config?maxRetries=1001", 400, ["maxRetries"]),
        ("PUT", "/tasks/known/config?retryDelay=1s", 400, ["retryDelay"]),
        ("POST", "/tasks/known/retry?resetFailureCount=maybe", 400, ["resetFailureCount: true or false"]),
        ("POST", "/tasks/known/retry", 409, []),
        ("POST", "/tasks/known/resume", 409, []),
        ("GET", "/tasks/known/next?count=0", 400, ["count"]),
        ("GET", "/tasks/known/why?at=noon", 400, ["at: a time"]),
        ("GET", "/tasks/known/why?at=2027-01-01T00:00:00", 400, ["no offset"]),
        ("GET", "/tasks/known/outcomes?since=2027-01-02T00:00:00Z&until=2027-01-01T00:00:00Z", 400, ["since"]),
        ("GET", "/executions/none", 404, ["none"]),
        ("GET", "/executions/none/logs", 404, ["none"]),
        ("POST", "/executions/none/cancel", 404, ["none"]),
        ("GET", "/nothing", 404, ["/api/nothing"]),
        ("PATCH", "/tasks", 405, ["PATCH"]),
    ],
)
def test_wrong_requests_are_refused_in_one_shape(
    client: Client, http: httpx.Client, method: str, path: str, status: int, words: list[str]
) -> None:
    try:
        client.call("show_task", task="known")
    except NotFound:
        add(client, name="known")
    before = client.call("show_task", task="known")
    assert_error(http.request(method, f"/api{path}"), status, *words)
    assert client.call("show_task", task="known") == before


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, ["not nothing"]),
        (b"{", 400, ["not JSON"]),
        (b"\xff\xfe", 400, ["body"]),
        (b'{"a": NaN}', 400, ["NaN"]),
        (b'{"name": "a", "name": "b"}', 400, ["'name' is there more than once"]),
        (b"[" * 100_000, 400, ["body"]),
        (b"[]", 400, ["body: an object"]),
        (b'"x"', 400, ["body: an object"]),
        (b'{"taskType": "greet", "trigger": {"cron": "x"}}', 400, ["x"]),
        (b'{"taskType": "nope", "trigger": {"every": "1s"}}', 400, ["taskType", "'nope'"]),
        (b'{"a": "' + b"x" * (2 * 1024 * 1024) + b'"}', 413, ["bytes, at most 2097152"]),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_wrong_body_is_refused_and_makes_nothing(
    client: Client, http: httpx.Client, body: bytes, status: int, words: list[str]
) -> None:
    before = client.call("list_tasks", limit=0)["totalSize"]
    assert_error(http.post("/api/tasks", content=body), status, *words)
    assert client.call("list_tasks", limit=0)["totalSize"] == before


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["5m", "\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    "name",
    "taskType",
    "trigger",
    "parameters",
    "extra",
    "policies",
    "tags",
    "persistent",
    "note",
    "expression",
    "version",
]


@given(
    st.sampled_from(["/tasks", "/tasks/fuzzed/run", "/tasks/fuzzed/pause", "/tasks/fuzzed/activate", "/cron/next"]),
    json_values | st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=4),
    st.booleans(),
)
def test_no_body_breaks_the_node(running: Running, path: str, body: Any, good: bool) -> None:
    if good and isinstance(body, dict):
        body = {"taskType": "greet", "trigger": {"every": "1h"}} | body
    headers = {"Authorization": f"Bearer {running.token}"}
    with httpx.Client(base_url=f"{running.url}/api", headers=headers, trust_env=False) as http:
        http.post("/tasks", json={"name": "fuzzed", "taskType": "greet", "trigger": {"every": "1h"}})
        response = http.post(path, content=json.dumps(body).encode())
        assert response.status_code < 500, response.text
        assert http.put("/tasks/fuzzed", content=json.dumps(body).encode()).status_code < 500


def test_deep_and_huge_values_are_refused(client: Client, http: httpx.Client) -> None:
    made = add(client, name="steady")
    for depth in (500, 900, 990, 1_000, 5_000):
        nested = "[" * depth + "]" * depth
        for body in (
            f'{{"parameters": {{"region": {nested}}}}}',
            f'{{"name": {nested}}}',
            f'{{"tags": {nested}}}',
            nested,
        ):
            assert_error(http.put("/api/tasks/steady", content=body.encode()), 400)
    digits = "9" * 5_000
    assert_error(
        http.put("/api/tasks/steady", content=f'{{"parameters": {{"count": {digits}}}}}'.encode()), 400, "body"
    )
    assert client.call("show_task", task="steady")["version"] == made["version"]


def test_a_body_without_a_length_has_the_same_limit(http: httpx.Client) -> None:
    response = http.post("/api/tasks", content=(b"x" * 65_536 for _ in range(40)))
    assert_error(response, 413, "more than 2097152 bytes")


def test_a_body_where_none_belongs_is_refused(http: httpx.Client) -> None:
    assert_error(http.request("GET", "/api/tasks", content=b"{}"), 400, "takes no body")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "Basic dXNlcjpwYXNz", "Bearer \xe9"])
def test_without_the_token_everything_but_life_is_refused(running: Running, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    # The server may close a connection that it has let idle at the very moment it is used again.
    each_its_own = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=running.url, headers=headers, trust_env=False, limits=each_its_own) as stranger:
        assert stranger.get("/api/health/live").json() == {"status": "ok"}
        for operation in OPERATIONS:
            if operation.permission == "none":
                continue
            path = operation.path.replace("{task}", "x").replace("{execution}", "x")
            response = stranger.request(operation.method, f"/api{path}", content=b"x" if operation.takes_body else b"")
            assert_error(response, 401, "token")
            assert response.headers["WWW-Authenticate"] == "Bearer"


def test_the_token_is_for_its_owner_only(running: Running) -> None:
    mode = stat.S_IMODE((running.data / "token").stat().st_mode)
    assert mode == 0o600
    assert len(running.token) >= 43


def test_a_name_with_slashes_is_found(client: Client) -> None:
    made = add(client, name="a/b?c#d %2F")
    assert client.call("show_task", task="a/b?c#d %2F")["itemId"] == made["itemId"]


def test_a_run_can_be_watched_to_its_end(client: Client) -> None:
    add(client, name="watched", persistent=False)
    execution = client.call(
        "run_task", task="watched", body={"parameters": {"region": "us", "count": 5}, "correlation": "c1"}
    )
    found = ended(client, execution["id"], "COMPLETED")
    assert found["result"] == {"region": "us", "count": 5}
    assert (found["kind"], found["channel"], found["correlation"]) == ("manual", "rest", "c1")
    [attempt] = found["attempts"]
    assert (attempt["number"], attempt["state"], attempt["failure"]) == (1, "COMPLETED", None)
    assert {key: found[key] for key in ("fence", "node", "startedAt", "endedAt")}.items() <= attempt.items()
    logs = until(lambda: client.call("list_logs", execution=execution["id"]), lambda page: page["list"])
    assert [line["text"] for line in logs["list"]] == ["hello us"]
    last = logs["list"][-1]["sequence"]
    assert client.call("list_logs", execution=execution["id"], after=last)["list"] == []
    assert client.call("list_executions", task="watched")["totalSize"] == 1


def test_the_parameters_of_a_run_are_checked(client: Client) -> None:
    add(client, name="checked")
    with pytest.raises(InvalidRequest, match="parameter 'region' must be str"):
        client.call("run_task", task="checked", body={"parameters": {"region": 5}})
    with pytest.raises(InvalidRequest, match="unknown field 'parameter'; did you mean 'parameters'"):
        client.call("run_task", task="checked", body={"parameter": {}})
    assert client.call("list_executions", task="checked")["totalSize"] == 0


@pytest.mark.parametrize("persistent", [True, False])
def test_a_run_that_is_asked_for_again_under_its_id_is_the_same_run(client: Client, persistent: bool) -> None:
    name = f"asked again, {persistent}"
    add(client, name=name, persistent=persistent)
    wanted = f"0197a1b2-0000-7000-8000-00000000000{int(persistent)}"
    body = {"parameters": {"region": "us", "count": 5}, "executionId": wanted}
    assert client.call("run_task", task=name, body=body)["id"] == wanted
    ended(client, wanted, "COMPLETED")
    again = client.call("run_task", task=name, body=body)
    assert (again["id"], again["state"]) == (wanted, "COMPLETED")
    assert client.call("list_executions", task=name)["totalSize"] == 1
    with pytest.raises(Conflict, match="asked for in another way"):
        client.call("run_task", task=name, body={**body, "parameters": {"region": "eu", "count": 5}})
    with pytest.raises(InvalidRequest, match="executionId: a UUID"):
        client.call("run_task", task=name, body={"executionId": "mine"})


def test_one_execution_can_be_cancelled(client: Client) -> None:
    add(client, "wait", name="waits")
    execution = client.call("run_task", task="waits")
    ended(client, execution["id"], "RUNNING")
    with pytest.raises(Conflict):
        client.call("run_task", task="waits")
    shown = until(lambda: client.call("show_task", task="waits"), lambda task: task["currentStep"])
    assert (shown["status"], shown["currentStep"]) == ("RUNNING", "Processing records")
    assert (shown["statusDetails"]["processedCount"], shown["statusDetails"]["totalCount"]) == (500, 1000)
    assert shown["statusDetails"]["eta"].endswith("Z")
    client.call("cancel_execution", execution=execution["id"])
    ended(client, execution["id"], "CANCELLED")
    until(lambda: client.call("show_task", task="waits")["status"], lambda status: status == "SCHEDULED")


def test_pause_activate_edit_delete(client: Client) -> None:
    made = add(client, name="changed")
    paused = client.call("pause_task", task="changed", body={"note": "holiday"})
    assert (paused["paused"], paused["note"], paused["nextScheduledExecution"]) == (True, "holiday", None)
    with pytest.raises(Conflict, match="paused"):
        client.call("pause_task", task="changed")
    with pytest.raises(InvalidRequest, match="note: at most 500"):
        client.call("pause_task", task="changed", body={"note": "x" * 501})
    active = client.call("activate_task", task="changed", body={"trigger": {"cron": "0 0 1 1 *"}})
    assert active["trigger"]["cron"] == "0 0 1 1 *"
    assert active["phase"] == "active"
    edited = client.call("edit_task", task="changed", body={"parameters": {"count": 2}, "version": active["version"]})
    assert edited["parameters"] == {"count": 2}
    with pytest.raises((StaleVersion, Conflict), match="version"):
        client.call("edit_task", task="changed", body={"tags": ["x"], "version": active["version"]})
    client.call("cancel_task", task="changed", permanent=True)
    with pytest.raises(NotFound):
        client.call("show_task", task=made["itemId"])


def test_a_name_is_given_once(client: Client) -> None:
    add(client, name="twin")
    with pytest.raises(Conflict, match="twin"):
        add(client, name="twin")


def test_errors_come_back_as_their_classes(client: Client, running: Running) -> None:
    with pytest.raises(TooLarge, match="parameters"):
        add(client, parameters={"region": "x" * 300_000})
    with Client(running.url, "wrong") as stranger, pytest.raises(Unauthenticated):
        stranger.call("version")
    with Client("http://127.0.0.1:1", "token") as nobody, pytest.raises(NodeUnreachable, match=r"127\.0\.0\.1:1"):
        nobody.call("version")


def test_next_fires_end_with_the_limit(client: Client) -> None:
    add(client, name="twelve", trigger={"every": "30m", "start": "2030-01-01T00:00:00Z", "maxRuns": 12})
    found = client.call("next_fires", task="twelve", count=50)
    assert len(found["list"]) == 12
    assert (found["list"][0], found["list"][-1]) == ("2030-01-01T00:00:00Z", "2030-01-01T05:30:00Z")
    assert found["trigger"].startswith("every 30m")


def test_why_explains_a_fired_occurrence(client: Client) -> None:
    add(client, name="explained", trigger={"every": "1s", "maxRuns": 1})
    done = until(lambda: client.call("show_task", task="explained"), lambda task: task["status"] == "COMPLETED")
    assert done["phase"] == "finished"
    found = client.call("why", task="explained")
    assert found["verdict"] in ("fired", "late")
    text = "\n".join(found["lines"])
    assert "every 1s" in text
    assert "under fence 1 ended COMPLETED" in text
    # A machine that held the node up for seconds let more nominal times pass than the one that ran.
    rows = client.call("list_outcomes", task="explained")["list"]
    [row] = [row for row in rows if row["first"] == found["nominal"]]
    assert [row for row in rows if row["executionId"] is not None] == [row]
    assert client.call("why", task="explained", at=row["first"]) == found
    assert client.call("why", task="explained", at="2001-01-01T00:00:00Z")["verdict"] == "before"


def test_cron_is_previewed_without_a_trace(client: Client) -> None:
    body = {"expression": "30 2 * * *", "timezone": "Europe/Berlin", "after": "2026-03-28T00:00:00Z", "count": 2}
    found = client.call("preview_cron", body=body)
    assert found["list"] == ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z"]
    assert "02:30" in found["words"]


def test_the_node_shows_itself(client: Client) -> None:
    tree = client.call("show_node")
    # A machine that held this process up for a second is told of too, and rightly.
    assert [complaint for complaint in tree["health"] if not complaint.startswith("loop late")] == []
    assert "keeper" in json.dumps(tree["tree"])
    assert client.call("ready") == {"status": "ok"}
    assert client.call("version")["timezoneDatabase"]
    assert client.call("counts")["tasks"] >= 0
    types = {entry["name"]: entry for entry in client.call("list_types")["list"]}
    assert types["greet"]["description"] == "Says hello."
    assert [parameter["name"] for parameter in types["greet"]["parameters"]] == ["region", "count"]


def test_health_is_bad_when_the_node_says_so(running: Running, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.node.Node._own_complaints", lambda node: ["the timer is late"])
    with httpx.Client(
        base_url=running.url, headers={"Authorization": f"Bearer {running.token}"}, trust_env=False
    ) as http:
        response = http.get("/api/health/ready")
        assert_error(response, 503, "the timer is late")
        assert response.headers["Retry-After"] == "1"
        assert http.get("/api/health/live").status_code == 200


def test_a_bug_is_500_and_tells_nothing(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(node: object) -> Any:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("actors.node.Node.snapshot", broken)
    response = http.get("/api/node")
    assert_error(response, 500, "internal error")
    assert "secret" not in response.text


def test_a_task_survives_the_node_and_the_token_stays(tmp_path: Path) -> None:
    first = Running(tmp_path)
    first.start(settings(tmp_path))
    with Client(data=tmp_path) as client:
        made = add(client, name="survivor", tags=["x"])
    first.stop()
    assert not (tmp_path / "node.json").exists()
    with pytest.raises(NodeUnreachable, match="tocsin up"):
        Client(data=tmp_path)
    second = Running(tmp_path)
    second.start(settings(tmp_path))
    assert second.token == first.token
    with Client(data=tmp_path) as client:
        assert client.call("show_task", task="survivor")["itemId"] == made["itemId"]
    second.stop()
