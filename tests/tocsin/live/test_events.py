"""Live events over HTTP, against a node that runs."""

from __future__ import annotations

import httpx
import pytest

from tests.tocsin.access.kit import LATER, Person
from tests.tocsin.conftest import Running
from tests.tocsin.live.kit import following
from tocsin.vocabulary.fields import parse_instant


@pytest.fixture
def root(running: Running) -> Person:
    return Person(running.url, running.token)


def made(person: Person, name: str, **more: object) -> str:
    found: str = person.make("/api/tasks", {"name": name, "taskType": "greet", "trigger": LATER, **more})["itemId"]
    return found


def test_what_becomes_of_a_task_and_its_run_is_told(root: Person) -> None:
    assert root.token is not None
    with following(root.url, root.token) as stream:
        assert stream.response.headers["content-type"] == "text/event-stream"
        assert stream.response.headers["cache-control"] == "no-store"
        task = made(root, "followed", tags=["nightly"])
        told = stream.until("task", action="CreateTask")
        expected = {"itemId": task, "name": "followed", "taskType": "greet", "tags": ["nightly"], "tenant": ""}
        assert told.data["task"] == expected
        assert (told.data["node"], told.data["change"]["actor"]) == ("node-1", "administrator")
        execution = root.make(f"/api/tasks/{task}/run", {})["id"]
        assert stream.until("execution", id=execution, state="RUNNING").data["execution"]["attempt"] == 1
        assert stream.until("progress", id=execution).data["progress"]["step"] == "greeting"
        assert stream.until("execution", id=execution, state="COMPLETED").data["execution"]["endedAt"]
        root.make(f"/api/tasks/{task}/pause", {})
        assert stream.until("task", action="PauseTask").data["phase"] == "paused"


def test_a_follower_goes_on_after_the_last_event_that_he_saw(root: Person) -> None:
    assert root.token is not None
    with following(root.url, root.token) as stream:
        made(root, "before the break")
        seen = stream.until("task", action="CreateTask").id
    missed = made(root, "in the break")
    with following(root.url, root.token, after=seen) as stream:
        assert stream.next().data["task"]["itemId"] == missed
        last = made(root, "after the break")
        assert stream.next().data["task"]["itemId"] == last
    with following(root.url, root.token, query_after=seen) as stream:
        assert [stream.next().data["task"]["itemId"] for _ in range(2)] == [missed, last]


def test_what_is_gone_is_told_as_a_gap(root: Person) -> None:
    assert root.token is not None
    with following(root.url, root.token, after="1700000000000000_aaaaaaaaaaaa.17") as stream:
        gap = stream.next()
        assert (gap.kind, gap.data["kind"], gap.data["since"]) == ("gap", "gap", "2023-11-14T22:13:20Z")
        assert "started again" in gap.data["reason"]


def test_a_gap_says_what_to_ask_so_that_nothing_is_missed(root: Person) -> None:
    assert root.token is not None
    task = made(root, "ran in the gap")
    before = root.make(f"/api/tasks/{task}/run", {})
    with following(root.url, root.token, execution=before["id"], query_after="2026-01-01T00:00:00Z") as stream:
        stream.until("execution", id=before["id"], state="COMPLETED")
    since = before["createdAt"]
    position = f"{parse_instant(since, 'since'):d}_aaaaaaaaaaaa.17"
    with following(root.url, root.token, after=position) as stream:
        gap = stream.next()
    assert gap.kind == "gap" and gap.data["since"] == since
    executions, tasks = (root.send("GET", path).json()["list"] for path in gap.data["ask"])
    assert before["id"] in {row["id"] for row in executions}, "what ended after the instant is there"
    assert task in {row["itemId"] for row in tasks}


def test_filters(root: Person) -> None:
    assert root.token is not None
    quiet = made(root, "not followed")
    task = made(root, "followed alone", tags=["a", "b"])
    for query in ({"task": "followed alone"}, {"tag": "b"}, {"kind": "task,execution", "task": task[:13]}):
        with following(root.url, root.token, **query) as stream:
            root.make(f"/api/tasks/{quiet}/run", {})
            root.make(f"/api/tasks/{task}/run", {})
            assert stream.until("execution", state="COMPLETED").data["task"]["itemId"] == task
    with following(root.url, root.token, kind="task") as stream:
        root.make(f"/api/tasks/{task}/run", {})
        assert stream.next().data["change"]["action"] == "RunTask"
        root.make(f"/api/tasks/{task}/pause", {})
        assert stream.next().data["change"]["action"] == "PauseTask"


def test_nobody_is_told_what_is_another_one_s(root: Person) -> None:
    acme, globex = (root.with_token(role="administrator", tenant=name, user=name) for name in ("acme", "globex"))
    own = root.with_token(role="administrator", tenant="acme", user="somebody", own=True)
    assert acme.token and globex.token and own.token
    with (
        following(globex.url, globex.token) as others,
        following(own.url, own.token) as mine,
        following(acme.url, acme.token) as all_of_acme,
    ):
        made(acme, "of acme")
        made(own, "of somebody")
        made(globex, "of globex")
        assert others.next().data["task"]["name"] == "of globex"
        assert mine.next().data["task"]["name"] == "of somebody"
        assert [all_of_acme.next().data["task"]["name"] for _ in range(2)] == ["of acme", "of somebody"]
    nightly = made(acme, "nightly")
    for reference in (nightly, "nightly"):
        answer = globex.send("GET", f"/api/events?task={reference}")
        assert answer.status_code == 404


def test_who_may_not_follow_is_told_so_before_the_stream_begins(root: Person) -> None:
    nobody, worker = Person(root.url, None), root.with_token(role="worker", user="w")
    assert nobody.send("GET", "/api/events").status_code == 401
    refused = worker.send("GET", "/api/events")
    assert (refused.status_code, refused.json()["code"]) == (403, "403")
    for query in ("kind=nothing", "after=yesterday", "unknown=1", "kind=task&kind=task", "after=1" + "_a.1" * 65):
        answer = root.send("GET", f"/api/events?{query}")
        assert (answer.status_code, answer.json()["error"]) == (400, "Invalid request"), answer.text
    assert root.send("POST", "/api/events").status_code == 405
    assert root.send("GET", "/api/events", headers={"Last-Event-ID": "x"}).status_code == 400


def test_a_token_that_is_revoked_lets_nobody_go_on(root: Person) -> None:
    with httpx.Client(trust_env=False) as client:
        answer = client.get(f"{root.url}/api/events", headers={"Authorization": "Bearer wrong"})
        assert answer.status_code == 401
