"""Files of definitions against a node: written, planned, applied, pruned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.errors import Conflict, InvalidRequest, StaleVersion
from tests.tocsin.conftest import Running
from tocsin.client import Client

EVERYTHING = """
tocsin: 1
calendars:
  - name: holidays
    timezone: Europe/Berlin
    days: [2026-12-25, {first: 2027-01-01, last: 2027-01-03}]
    weekdays: [sun]
    windows:
      - {begin: "2027-05-01T08:00:00Z", end: "2027-05-01T12:00:00.000001Z"}
  - {name: office, weekdays: [mon, tue, wed, thu, fri]}
tasks:
  - name: report
    taskType: greet
    trigger:
      cron: 30 H * * mon-fri
      timezone: Europe/Berlin
      gap: skip
      fold: last
      start: "2026-01-01T00:00:00Z"
      spread: 10m
      calendars: [{calendar: holidays}, {calendar: office, mode: include, shift: skip}]
    parameters: {region: "no", count: 2}
    extra: {data: "AAEC/w==", contentType: application/x-bytes}
    tags: [a, "on"]
    labels: {team: data}
    policies:
      retry: {maxRetries: 7, delay: 90s, backoff: exponential, factor: 1.5, jitter: 0.25, retryOn: [OSError]}
      overlap: queue_all
      overlapLimit: 3
      concurrency: {key: "the lock", limit: 2}
      timeout: 1h
      ttl: 30d
    events:
      - name: late
        on: [FAILED]
        condition: execution.attempt > 1
        throttle: 1h
        actions: [{kind: run_task, task: second, parameters: {region: x}}]
  - name: second
    taskType: wait
    trigger: {every: 7m}
    dependencies: {parents: [report], mode: any, failFast: true}
    placement: {on: selector, labels: {disk: ssd}}
  - name: third
    taskType: greet
    trigger: {any: [{everyMonths: 1, day: last, at: "09:30"}, {everyWeeks: 2, weekday: tue}, {every: 36h}], maxRuns: 99}
    paused: true
    pauseNote: until the move is done
  - name: in memory
    taskType: greet
    trigger: {at: 2030-01-01T00:00:00Z}
    persistent: false
"""


@pytest.fixture(autouse=True)
def empty(client: Client) -> Iterator[None]:
    delete_everything(client)
    yield
    delete_everything(client)


def everything(client: Client) -> list[dict[str, Any]]:
    rows = client.call("list_tasks", limit=1000)["list"]
    return [row for row in rows if not row["taskType"].startswith("system.")]


def delete_everything(client: Client) -> None:
    for row in everything(client):
        client.call("cancel_task", task=row["itemId"], permanent=True)
    for calendar in client.call("list_calendars")["list"]:
        client.call("delete_calendar", calendar=calendar["name"])


def body(*texts: str, **more: Any) -> dict[str, Any]:
    return {"files": [{"name": f"f{index}.yaml", "text": text} for index, text in enumerate(texts)], **more}


def applied(client: Client, *texts: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.call("apply_plan", body=body(*texts, **more))
    return found


def exported(client: Client, form: str = "yaml") -> str:
    text: str = client.call("export", format=form)["text"]
    return text


def definitions(client: Client) -> dict[str, Any]:
    return {
        row["name"]: client.call("show_definition", task=row["itemId"]) | {"id": row["itemId"], "paused": row["paused"]}
        for row in everything(client)
    }


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_export_delete_everything_apply(client: Client, form: str) -> None:
    applied(client, EVERYTHING)
    before, text, next_ones = definitions(client), exported(client, form), times(client)
    assert set(before) == {"report", "second", "third", "in memory"}
    delete_everything(client)
    assert not everything(client)
    found = applied(client, text)
    assert {one["name"] for one in found["changes"]} == set(before)
    assert definitions(client) == before
    assert exported(client, form) == text
    assert times(client) == next_ones


def times(client: Client) -> dict[str, list[str]]:
    return {row["name"]: client.call("next_fires", task=row["itemId"], count=20)["list"] for row in everything(client)}


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_applying_twice_changes_nothing_and_writes_nothing(client: Client, running: Running, form: str) -> None:
    applied(client, EVERYTHING)
    versions = {row["itemId"]: client.call("show_task", task=row["itemId"])["version"] for row in everything(client)}
    calendars = client.call("list_calendars")
    for text in (EVERYTHING, exported(client, form)):
        found = applied(client, text)
        assert (found["done"], found["changes"], found["calendars"]) == ([], [], [])
        assert found["empty"]
        assert found["unchanged"] == 4
    assert calendars == client.call("list_calendars")
    assert versions == {
        row["itemId"]: client.call("show_task", task=row["itemId"])["version"] for row in everything(client)
    }


def test_a_plan_writes_nothing_and_tells_which_times_move(client: Client) -> None:
    applied(client, 'tasks: [{name: a, taskType: greet, trigger: {cron: "0 2 * * *"}}]')
    was = exported(client)
    new = 'tasks: [{name: a, taskType: greet, trigger: {cron: "0 3 * * *"}, tags: [x]}]'
    [change] = client.call("plan", body=body(new, fires=4))["changes"]
    assert change["actions"] == ["edit"]
    assert (change["file"], change["line"]) == ("f0.yaml", 1)
    assert {field["field"]: (field["before"], field["after"]) for field in change["fields"]} == {
        "trigger.cron": ("0 2 * * *", "0 3 * * *"),
        "tags": ([], ["x"]),
    }
    moved = change["fires"]["moved"]
    assert len(moved) >= 3
    assert all(one["from"][11:16] == "02:00" and one["to"][11:16] == "03:00" for one in moved)
    assert change["fires"]["appear"] == [] or change["fires"]["disappear"] == []
    assert exported(client) == was


def test_only_what_carries_the_label_is_pruned(client: Client) -> None:
    task = "{{name: {0}, taskType: greet, trigger: {{every: 1h}}}}"
    applied(client, f"tasks: [{task.format('a')}, {task.format('b')}]", owner="ours")
    applied(client, f"tasks: [{task.format('c')}]", owner="theirs")
    applied(client, f"tasks: [{task.format('d')}]")
    with pytest.raises(InvalidRequest, match="belongs to the file set 'theirs', not to 'ours'"):
        applied(client, f"tasks: [{task.format('c')}]", owner="ours")
    with pytest.raises(InvalidRequest, match="prune: needs an owner"):
        applied(client, f"tasks: [{task.format('a')}]", prune=True)
    rest = body(f"tasks: [{task.format('b')}]", owner="ours", prune=True)
    [change] = client.call("plan", body=rest)["changes"]
    assert (change["name"], change["actions"]) == ("a", ["delete"])
    assert len(change["fires"]["disappear"]) == 10
    assert len(everything(client)) == 4
    assert client.call("apply_plan", body=rest)["done"] == ["a deleted"]
    assert {row["name"] for row in everything(client)} == {"b", "c", "d"}
    # Who does not say whose the task is leaves that as it is.
    assert applied(client, f"tasks: [{task.format('b')}]")["done"] == []


def test_nothing_is_pruned_that_another_task_waits_for(client: Client) -> None:
    applied(client, "tasks: [{name: a, taskType: greet, trigger: {every: 1h}}]", owner="ours")
    applied(client, "tasks: [{name: b, taskType: greet, trigger: {every: 1h}, dependencies: [a]}]")
    with pytest.raises(InvalidRequest, match="prune: 'a' cannot go, 'b' waits for it"):
        applied(client, "tasks: []", owner="ours", prune=True)


def test_every_problem_is_told_with_its_line_and_nothing_is_written(client: Client) -> None:
    text = """tasks:
  - name: a
    taskType: greet
    trigger:
      cron: 30 25 * * *
  - name: b
    taskType: gret
    trigger: {every: 1h}
  - name: c
    taskType: greet
    trigger: {every: 1h}
    policies:
      retry:
        maxRetries: many
  - name: d
    taskType: greet
    trigger: {after: 5m}
  - name: e
    taskType: greet
    trigger: {every: 1h}
    dependencies: [f]
  - name: f
    taskType: greet
    trigger: {every: 1h}
    dependencies: [nobody]
  - name: good
    taskType: greet
    trigger: {every: 1h}
"""
    with pytest.raises(InvalidRequest) as refused:
        applied(client, text)
    said = str(refused.value).splitlines()
    assert [line.split(": ")[0] for line in said] == [f"f0.yaml:{line}" for line in (5, 7, 14, 17, 25)]
    assert "did you mean 'greet'" in said[1].lower() or "greet" in said[1]
    assert everything(client) == []


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("tasks: [{name: a, name: b}]", 1, "the key 'name' is there twice"),
        ("x: 1", 1, "unknown field 'x'"),
        ("tasks:\n - 1", 2, "a task is an object, not 1"),
        ("tasks:\n - {name: a, tasktype: greet}", 2, "unknown field 'tasktype'"),
        ("tasks: [", 2, "not YAML"),
        ("a: &a [*a]", 1, "within what it stands for"),
        ("a: !!python/name:os.system", 1, "tags are not read"),
        ("tocsin: 2", 1, "1 is the form that is read"),
        ('{"tasks": [], "tasks": []}', 1, "is there twice"),
    ],
)
def test_what_is_no_file_of_definitions(client: Client, text: str, line: int, said: str) -> None:
    with pytest.raises(InvalidRequest, match=f"f0.yaml:{line}: .*{said}"):
        client.call("plan", body=body(text))


def test_a_name_is_there_once_over_all_files(client: Client) -> None:
    task = "tasks: [{name: a, taskType: greet, trigger: {every: 1h}}]"
    with pytest.raises(InvalidRequest, match=r"f1\.yaml:1: the task 'a' is there already, in f0\.yaml:1"):
        applied(client, task, task)


def test_a_digest_holds_the_plan_that_was_shown(client: Client) -> None:
    text = "tasks: [{name: a, taskType: greet, trigger: {every: 1h}}]"
    digest = client.call("plan", body=body(text))["digest"]
    assert client.call("plan", body=body(text))["digest"] == digest
    client.call("add_task", body={"name": "a", "taskType": "greet", "trigger": {"every": "2h"}})
    with pytest.raises(StaleVersion, match="look at it anew"):
        applied(client, text, digest=digest)
    fresh = client.call("plan", body=body(text))["digest"]
    assert applied(client, text, digest=fresh)["done"] == ["a changed"]


def test_a_calendar_that_changes_moves_the_times_of_tasks_that_stay(client: Client) -> None:
    task = "tasks: [{name: a, taskType: greet, trigger: {cron: 0 0 * * *, calendars: [days]}}]\n"
    applied(client, task + "calendars: [{name: days, weekdays: [sun]}]")
    text = task + "calendars: [{name: days, weekdays: [sun, mon]}]"
    found = client.call("plan", body=body(text))
    assert found["calendars"][0]["fields"] == [{"field": "weekdays", "before": ["sun"], "after": ["mon", "sun"]}] or (
        found["calendars"][0]["fields"][0]["field"] == "weekdays"
    )
    [change] = found["changes"]
    assert change["actions"] == []
    assert change["notes"] == ["follows the calendar days"]
    assert change["fires"]["disappear"]
    assert applied(client, text)["done"] == ["calendar days kept"]
    assert applied(client, text)["empty"]


def test_a_pause_is_carried_out_and_taken_back(client: Client) -> None:
    task = "tasks: [{{name: a, taskType: greet, trigger: {{every: 1h}}{0}}}]"
    applied(client, task.format(""))
    assert applied(client, task.format(", paused: true, pauseNote: why"))["done"] == ["a paused"]
    assert "pauseNote: why" in exported(client)
    # Not said is left as it is.
    assert applied(client, task.format(""))["done"] == []
    assert applied(client, task.format(", paused: false"))["done"] == ["a activated"]
    assert "paused" not in exported(client)


def test_parents_are_turned_around_without_a_cycle_on_the_way(client: Client) -> None:
    one = "{name: one, taskType: greet, trigger: {every: 1h}"
    two = "{name: two, taskType: greet, trigger: {every: 1h}"
    applied(client, f"tasks: [{one}, dependencies: [two]}}, {two}}}]")
    assert applied(client, f"tasks: [{one}}}, {two}, dependencies: [one]}}]")["done"] == ["one changed", "two changed"]
    with pytest.raises(InvalidRequest, match="waits for itself in the end"):
        applied(client, f"tasks: [{one}, dependencies: [two]}}, {two}, dependencies: [one]}}]")


def test_the_id_of_a_file_is_that_of_a_new_task_and_renames_a_known_one(client: Client) -> None:
    applied(client, "tasks: [{name: a, taskType: greet, trigger: {cron: H H * * *}}]")
    text = exported(client)
    renamed = text.replace("name: a\n", "name: b\n")
    assert applied(client, renamed)["done"] == ["b changed"]
    [row] = everything(client)
    assert row["name"] == "b"
    assert row["itemId"] in text
    other = "01890000-0000-7000-8000-00000000000a"
    applied(client, "tasks: [{name: a, taskType: greet, trigger: {every: 1h}, id: " + other + "}]")
    with pytest.raises(InvalidRequest, match="is the name of another task"):
        applied(client, text)


def test_the_json_of_a_file_is_read_with_tabs_too(client: Client) -> None:
    task = {"name": "a", "taskType": "greet", "trigger": {"every": "1h"}}
    applied(client, json.dumps({"tasks": [task]}, indent="\t"))
    assert [row["name"] for row in everything(client)] == ["a"]


def test_a_refusal_on_the_way_says_how_far_it_came(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from tocsin.plans import applying

    real = applying._edit

    async def refuse(node: Any, wanted: Any, task: Any, actor: str) -> Any:
        if wanted.name == "b":
            raise Conflict("no")
        return await real(node, wanted, task, actor)

    text = "tasks: [{{name: a, taskType: greet, trigger: {{every: {0}h}}}}, {{name: b, taskType: greet, "
    text += "trigger: {{every: {0}h}}}}]"
    applied(client, text.format(1))
    monkeypatch.setattr(applying, "_edit", refuse)
    with pytest.raises(Conflict, match=r"b: no. 1 step\(s\) were done: apply again"):
        applied(client, text.format(2))
    monkeypatch.undo()
    assert applied(client, text.format(2))["done"] == ["b changed"]
