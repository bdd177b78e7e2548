"""The queue's verbs over REST, on a real node."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import Conflict, InvalidRequest, NotFound, StaleFence, TooLarge
from tests.tocsin.conftest import Running, settings
from tocsin.client import Client

NOW = {"after": "0s"}


def add(client: Client, name: str, kind: str, **more: Any) -> dict[str, Any]:
    body = {"name": name, "taskType": f"worker:{kind}", "trigger": NOW, **more}
    found: dict[str, Any] = client.call("add_task", body=body)
    return found


def take(client: Client, kind: str, worker: str = "w", **more: Any) -> dict[str, Any]:
    found = client.call("queue_next", worker=worker, body={"types": [kind], **more})["job"]
    assert found is not None
    job: dict[str, Any] = found
    return job


def save(client: Client, job: dict[str, Any], **said: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.call("queue_save", job=job["job"], body={"lease": job["lease"], **said})
    return found


def until(ask: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    """Ask until the answer is good; the bound is against hanging."""
    deadline = time.monotonic() + 30
    while not good(found := ask()):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def test_a_job_is_taken_saved_and_completed(client: Client) -> None:
    task = add(client, "q1", "one", parameters={"page": 7}, extra={"data": "zprOsQ==", "contentType": "text/plain"})
    job = take(client, "one")
    assert (job["taskId"], job["task"], job["type"], job["parameters"]) == (
        task["itemId"],
        "q1",
        "worker:one",
        {"page": 7},
    )
    assert job["extra"] == {"contentType": "text/plain", "data": "zprOsQ=="}
    assert job["checkpoint"] is None
    assert job["leaseSeconds"] == 30
    said = save(client, job, progress={"done": 1, "total": 2, "step": "half"}, checkpoint={"at": 1}, log=["hello"])
    assert said == {"job": job["job"], "state": "RUNNING", "cancel": None, "leaseSeconds": 30}
    assert client.call("queue_heartbeat", job=job["job"], body={"lease": job["lease"]}) == said
    shown = client.call("show_task", task="q1")
    assert shown["status"] == "RUNNING"
    assert shown["checkpointData"] == {"at": 1}
    done = save(client, job, status="completed", result={"pages": 7})
    assert (done["state"], done["leaseSeconds"]) == ("COMPLETED", None)
    detail = client.call("show_execution", execution=job["job"])
    assert (detail["state"], detail["result"], detail["fence"]) == ("COMPLETED", {"pages": 7}, job["fence"])
    lines = [line["text"] for line in client.call("list_logs", execution=job["job"])["list"]]
    assert lines == ["taken by worker w", "hello"]


def test_the_same_end_may_be_said_again_and_no_other(client: Client) -> None:
    add(client, "q2", "two")
    job = take(client, "two")
    first = save(client, job, status="completed", result=[1])
    assert save(client, job, status="completed", result=[1]) == first
    for other in ({"status": "completed", "result": [2]}, {"status": "failed"}, {"status": "running"}, {}):
        with pytest.raises(StaleFence):
            save(client, job, **other)
    with pytest.raises(StaleFence):
        client.call("queue_heartbeat", job=job["job"], body={"lease": job["lease"]})
    assert client.call("show_execution", execution=job["job"])["result"] == [1]


def test_a_lease_that_runs_out_is_a_crash_and_the_next_one_resumes(client: Client) -> None:
    add(client, "q3", "three")
    first = take(client, "three", "slow", lease="200ms")
    save(client, first, checkpoint={"at": 5})
    second = take(client, "three", "quick")
    assert second["job"] == first["job"]
    assert second["fence"] > first["fence"]
    assert second["checkpoint"] == {"at": 5}
    with pytest.raises(StaleFence, match="nothing was saved"):
        save(client, first, status="completed", result="late")
    with pytest.raises(StaleFence):
        save(client, first, checkpoint={"at": 1})
    save(client, second, status="completed", result="in time")
    detail = client.call("show_execution", execution=first["job"])
    assert detail["result"] == "in time"
    assert [one["state"] for one in detail["attempts"]] == ["CRASHED", "COMPLETED"]
    assert detail["attempts"][0]["failure"]["type"] == "WorkerLost"


def test_start_gives_back_what_the_name_held_and_nothing_else(client: Client) -> None:
    add(client, "q4", "four")
    add(client, "q5", "four")
    mine, other = take(client, "four", "mine"), take(client, "four", "other")
    assert client.call("queue_start", worker="mine") == {
        "worker": "mine",
        "givenBack": [mine["job"]],
        "unreachable": [],
    }
    again = take(client, "four", "mine")
    assert again["job"] == mine["job"]
    assert again["attempt"] == 2
    assert client.call("queue_start", worker="nobody")["givenBack"] == []
    for job in (again, other):
        save(client, job, status="completed")
    assert client.call("show_task", task="q4")["status"] == "COMPLETED"


def test_a_failure_is_tried_again_by_the_policy(client: Client) -> None:
    policies = {"retry": {"maxRetries": 1, "delay": "0s"}}
    add(client, "q6", "six", policies=policies)
    error = {"type": "IOError", "message": "no disk", "traceback": "at x.js:1"}
    first = take(client, "six")
    assert save(client, first, status="failed", error=error)["state"] in ("WAITING", "RUNNING")
    job = take(client, "six")
    assert (job["job"], job["attempt"]) == (first["job"], 2)
    assert save(client, job, status="failed", error=error)["state"] == "FAILED"
    detail = client.call("show_execution", execution=job["job"])
    assert detail["state"] == "FAILED"
    assert detail["failure"] == {"type": "IOError", "message": "no disk", "traceback": "at x.js:1"}


def test_what_is_released_costs_nothing(client: Client) -> None:
    add(client, "q7", "seven")
    job = take(client, "seven")
    assert save(client, job, status="released")["state"] in ("WAITING", "RUNNING")
    again = take(client, "seven")
    save(client, again, status="completed")
    detail = client.call("show_execution", execution=job["job"])
    assert (detail["state"], detail["failures"], detail["crashes"]) == ("COMPLETED", 0, 0)


def test_a_cancelled_job_is_told_so_and_its_result_is_dropped(client: Client) -> None:
    add(client, "q8", "eight")
    job = take(client, "eight")
    client.call("cancel_execution", execution=job["job"])
    said = until(
        lambda: client.call("queue_heartbeat", job=job["job"], body={"lease": job["lease"]}), lambda one: one["cancel"]
    )
    assert said["cancel"].startswith("cancel")
    with pytest.raises(StaleFence, match="CANCELLED"):
        save(client, job, status="completed", result="late")
    assert client.call("show_execution", execution=job["job"])["state"] == "CANCELLED"
    assert save(client, job, status="released")["state"] == "CANCELLED"


def test_a_timeout_counts_from_when_a_worker_has_it(client: Client) -> None:
    add(client, "q9", "nine", policies={"timeout": "300ms", "retry": {"maxRetries": 0}})
    until(lambda: client.call("show_task", task="q9")["status"], lambda one: one == "RUNNING")
    time.sleep(0.5)
    assert client.call("show_task", task="q9")["status"] == "RUNNING"
    job = take(client, "nine")
    said = until(
        lambda: client.call("queue_heartbeat", job=job["job"], body={"lease": job["lease"]}), lambda one: one["cancel"]
    )
    assert said["cancel"] == "timeout"
    save(client, job, status="released")
    assert client.call("show_execution", execution=job["job"])["state"] == "TIMED_OUT"


def test_next_without_work_answers_null_in_time(client: Client) -> None:
    for body in ({"types": ["none"], "wait": "0s"}, {"types": ["worker:none", "other"], "wait": "100ms"}):
        assert client.call("queue_next", worker="w", body=body) == {"job": None}


def test_list_and_data_tell_who_has_what(client: Client) -> None:
    add(client, "qa", "ten")
    add(client, "qb", "ten")
    job = take(client, "ten", "ann")
    rows = until(
        lambda: client.call("queue_list", type="ten")["list"],
        lambda rows: all(row["status"] == "RUNNING" for row in rows),
    )
    jobs = {row["task"]: row["jobs"][0] for row in rows}
    assert jobs[job["task"]]["worker"] == "ann"
    assert 0 < jobs[job["task"]]["leaseSeconds"] <= 30
    assert jobs[job["task"]]["waitsFor"] is None
    assert [one["waitsFor"] for name, one in jobs.items() if name != job["task"]] == ["worker"]
    assert client.call("queue_list", type="ten", limit=1)["totalSize"] == 2
    assert client.call("queue_list", type="ten", level="all")["totalSize"] == 2
    assert client.call("queue_list", type="ten", level="company")["totalSize"] == 2
    assert client.call("queue_list", type="ten", level="user")["totalSize"] == 2
    data = client.call("queue_data", execution=job["job"])
    assert data["job"]["worker"] == "ann"
    assert data["definition"]["taskType"] == "worker:ten"
    assert data["execution"]["id"] == job["job"]


def test_delete_and_rename_are_for_tasks_of_workers(client: Client) -> None:
    add(client, "qc", "eleven")
    assert client.call("queue_rename", task="qc", body={"name": "qd"})["task"] == "qd"
    job = take(client, "eleven")
    assert job["task"] == "qc" or job["task"] == "qd"
    client.call("queue_delete", task="qd")
    with pytest.raises((NotFound, StaleFence)):
        save(client, job, status="completed")
    with pytest.raises(NotFound):
        client.call("show_task", task="qd")
    client.call("add_task", body={"name": "plain", "taskType": "greet", "trigger": {"every": "1h"}})
    for operation in ("queue_delete", "queue_rename", "queue_update"):
        with pytest.raises(Conflict, match="no worker does"):
            client.call(operation, task="plain", **({} if operation == "queue_delete" else {"body": {"name": "x"}}))


def test_update_changes_jobs_that_nobody_has_yet(client: Client) -> None:
    add(client, "qe", "twelve", parameters={"page": 1})
    until(lambda: client.call("show_task", task="qe")["status"], lambda one: one == "RUNNING")
    changed = client.call("queue_update", task="qe", body={"parameters": {"page": 2}})
    assert len(changed["jobs"]) == 1
    job = take(client, "twelve")
    assert job["parameters"] == {"page": 2}
    client.call("queue_update", task="qe", body={"parameters": {"page": 3}})
    assert save(client, job, status="completed")["state"] == "COMPLETED"


def test_flush_removes_what_has_ended_by_age(client: Client) -> None:
    add(client, "qf", "thirteen")
    add(client, "qg", "thirteen")
    save(client, take(client, "thirteen"), status="completed")
    assert client.call("queue_flush", body={"olderThan": "1h"})["tasks"] == 0
    assert client.call("queue_list", type="thirteen")["totalSize"] == 2
    counted = client.call("queue_flush", body={"level": "all", "dryRun": True})
    assert client.call("queue_list", type="thirteen")["totalSize"] == 2
    found = client.call("queue_flush", body={"level": "all"})
    assert counted["tasks"] == found["tasks"]
    assert found["tasks"] >= 1
    assert found["complete"]
    assert [row["status"] for row in client.call("queue_list", type="thirteen")["list"]] == ["RUNNING"]


def test_a_recurring_task_keeps_its_series_when_it_is_flushed(client: Client) -> None:
    add(client, "qh", "fourteen", trigger={"every": "1h", "start": "2026-01-01T00:00:00Z"})
    client.call("run_task", task="qh")
    job = take(client, "fourteen")
    save(client, job, status="completed")
    until(lambda: client.call("show_task", task="qh")["open"], lambda one: not one)
    assert client.call("queue_flush", body={"dryRun": True, "olderThan": "1h"})["jobs"] == 0
    assert client.call("queue_flush", body={"dryRun": True})["jobs"] >= 1
    assert client.call("show_execution", execution=job["job"])["state"] == "COMPLETED"
    assert client.call("queue_flush")["jobs"] >= 1
    with pytest.raises(NotFound):
        client.call("show_execution", execution=job["job"])
    assert client.call("show_task", task="qh")["nextScheduledExecution"] is not None


def test_memory_tasks_are_done_by_workers_too(client: Client) -> None:
    add(client, "qi", "fifteen", persistent=False)
    job = take(client, "fifteen")
    assert save(client, job, status="completed", result=1)["state"] == "COMPLETED"


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("queue_next", {}),
        ("queue_next", {"types": []}),
        ("queue_next", {"types": "one"}),
        ("queue_next", {"types": ["a b"]}),
        ("queue_next", {"types": [7]}),
        ("queue_next", {"types": ["one"], "wait": "1h"}),
        ("queue_next", {"types": ["one"], "lease": "1ms"}),
        ("queue_next", {"types": ["one"], "what": 1}),
        ("queue_save", {}),
        ("queue_save", {"lease": "x"}),
        ("queue_save", {"lease": "1.x", "status": "done"}),
        ("queue_save", {"lease": "1.x", "result": 1}),
        ("queue_save", {"lease": "1.x", "error": {}}),
        ("queue_save", {"lease": "1.x", "progress": 7}),
        ("queue_save", {"lease": "1.x", "progress": {"done": "x"}}),
        ("queue_save", {"lease": "1.x", "progress": {"details": {"done": 1}}}),
        ("queue_save", {"lease": "1.x", "log": [{"level": "loud", "text": "x"}]}),
        ("queue_save", {"lease": "1.x", "log": "x"}),
        ("queue_heartbeat", {"lease": "1.x", "status": "running"}),
    ],
)
def test_what_is_wrong_is_refused(client: Client, operation: str, body: dict[str, Any]) -> None:
    named = {"worker": "w"} if operation == "queue_next" else {"job": "019a0000-0000-7000-8000-000000000000"}
    with pytest.raises(InvalidRequest):
        client.call(operation, **named, body=body)


def test_what_is_too_large_is_refused_and_the_job_goes_on(client: Client) -> None:
    add(client, "qj", "sixteen")
    job = take(client, "sixteen")
    for said in ({"status": "completed", "result": "x" * 300_000}, {"checkpoint": "x" * 300_000}):
        with pytest.raises(TooLarge):
            save(client, job, **said)
    assert save(client, job, status="completed")["state"] == "COMPLETED"


def test_a_job_that_is_not_there_is_not_found(client: Client) -> None:
    job = {"job": "019a0000-0000-7000-8000-000000000000", "lease": "1.019a0000-0000-7000-8000-000000000000"}
    with pytest.raises(NotFound):
        save(client, job)
    with pytest.raises(InvalidRequest, match="level"):
        client.call("queue_list", level="none")


def test_a_type_without_workers_leaves_room_for_others(client: Client, running: Running) -> None:
    for number in range(120):
        add(client, f"crowd {number}", "crowd", parameters={})
    until(
        lambda: client.call("list_queues")["list"],
        lambda rows: {one["name"]: one for one in rows}.get("worker:crowd", {}).get("running") == 100,
    )
    queue = next(one for one in client.call("list_queues")["list"] if one["name"] == "worker:crowd")
    assert (queue["limit"], queue["running"], queue["waiting"]) == (100, 100, 20)


def test_workers_that_wait_do_not_hold_up_the_end_of_a_node(tmp_path: Path) -> None:
    node = Running(tmp_path / "node")
    node.start(settings(node.data))
    answers: list[Any] = []

    def poll(worker: str) -> None:
        with Client(node.url, node.token) as mine:
            answers.append(mine.call("queue_next", worker=worker, body={"types": ["nothing"], "wait": "20s"}))

    pollers = [threading.Thread(target=poll, args=(f"w{number}",), daemon=True) for number in range(3)]
    for one in pollers:
        one.start()
    with Client(node.url, node.token) as mine:
        until(lambda: mine.call("queue_list")["totalSize"], lambda size: size == 0)
        time.sleep(0.3)
        began = time.monotonic()
        node.stop()
    for one in pollers:
        one.join(60)
    assert answers == [{"job": None}] * 3
    assert time.monotonic() - began < 9, "three times what it may take; the requests would wait for 20 s"
