"""Looks at all tasks at once, over real HTTP against a node in a thread: what runs, what was lately, how each task has done."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from runtime.errors import InvalidRequest, NotFound
from tests.tocsin.access.kit import Person
from tests.tocsin.conftest import Running
from tests.tocsin.test_api import add, ended
from tocsin.client import Client
from tocsin.services.activity import states_of


def listed(client: Client, **wanted: Any) -> list[str]:
    return [row["id"] for row in client.call("find_executions", limit=1_000, **wanted)["list"]]


def test_what_runs_is_listed_before_what_has_ended(client: Client) -> None:
    add(client, name="over soon")
    add(client, "wait", name="goes on", persistent=False)
    over = client.call("run_task", task="over soon")["id"]
    ended(client, over, "COMPLETED")
    goes_on = client.call("run_task", task="goes on")["id"]
    ended(client, goes_on, "RUNNING")
    both = [one for one in listed(client) if one in (over, goes_on)]
    assert both == [goes_on, over]
    assert goes_on in listed(client, state="running") and over not in listed(client, state="RUNNING,held")
    assert listed(client, task="over soon") == [over]
    assert over in listed(client, type="greet") and goes_on not in listed(client, type="greet")
    assert over not in listed(client, until="2026-01-01T00:00:00Z")
    [row] = client.call("find_executions", task="goes on")["list"]
    assert (row["task"], row["taskType"], row["state"]) == ("goes on", "wait", "RUNNING")
    assert row["id"] in listed(client, state="OPEN")
    client.call("cancel_execution", execution=goes_on)
    ended(client, goes_on, "CANCELLED")
    assert listed(client, task="goes on", state="OPEN") == []


def test_pages_of_executions_say_whether_there_is_more(client: Client) -> None:
    add(client, name="often")
    for _ in range(3):
        ended(client, client.call("run_task", task="often")["id"], "COMPLETED")
    pages = [client.call("find_executions", task="often", limit=2, offset=offset) for offset in (0, 2)]
    assert [len(page["list"]) for page in pages] == [2, 1]
    assert [page["more"] for page in pages] == [True, False]


@pytest.mark.parametrize(
    "wanted",
    [{"state": "RUNING"}, {"state": ""}, {"since": "2027-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}],
)
def test_a_wrong_look_is_refused(client: Client, wanted: Any) -> None:
    with pytest.raises(InvalidRequest):
        client.call("find_executions", **wanted)


def test_a_wrong_state_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidRequest, match="RUNNING"):
        states_of("open,runing")
    assert [state.value for state in states_of("held, completed")] == ["CRASHED", "COMPLETED"]


def test_executions_of_an_unknown_task_are_not_found(client: Client) -> None:
    with pytest.raises(NotFound):
        client.call("find_executions", task="no such task")


def test_the_newest_outcomes_of_some_tasks_come_in_one_answer(client: Client) -> None:
    first, second = (add(client, name=name)["itemId"] for name in ("fine", "untouched"))
    runs = []
    for _ in range(3):
        runs.append(client.call("run_task", task=first)["id"])
        ended(client, runs[-1], "COMPLETED")
    found = recent(client, first, second, "01a203f0-2eb4-7000-9be5-def23158b878", count=2)
    assert found.keys() == {first, second} and found[second] == []
    assert [row["executionId"] for row in found[first]] == runs[1:]
    [row] = recent(client, first, count=1)[first]
    assert (row["state"], row["outcome"], row["nominal"], row["attempts"]) == ("COMPLETED", None, None, 1)
    assert row["durationMs"] >= 0


def recent(client: Client, *tasks: str, count: int) -> dict[str, Any]:
    answer = client.call("recent", tasks=",".join(tasks), count=count)
    return {one["taskId"]: one["outcomes"] for one in answer["list"]}


def test_the_outcomes_of_a_whole_page_fit_into_one_question(client: Client) -> None:
    assert recent(client, *(str(UUID(int=number)) for number in range(100)), count=1) == {}


@pytest.mark.parametrize("tasks", ["", ",", ",".join(str(number) for number in range(101))])
def test_outcomes_of_no_task_or_too_many_are_refused(client: Client, tasks: str) -> None:
    with pytest.raises(InvalidRequest, match="1 to 100 ids"):
        client.call("recent", tasks=tasks)


def test_outcomes_of_others_are_left_out(client: Client, running: Running) -> None:
    task = add(client, name="seen by few")["itemId"]
    ended(client, client.call("run_task", task=task)["id"], "COMPLETED")
    stranger = Person(running.url, running.token).with_token(role="administrator", tenant="globex")
    assert stranger.send("GET", f"/api/recent?tasks={task}").json() == {"list": []}
    assert stranger.send("GET", "/api/executions").json()["list"] == []


def test_the_tree_of_a_node_by_its_name(client: Client) -> None:
    own = client.call("show_node")
    found = client.call("show_tree", node=own["name"])
    assert found["here"] is True and found["tree"]["name"] == own["tree"]["name"]
    assert [child["name"] for child in found["tree"]["children"]] == [one["name"] for one in own["tree"]["children"]]
    with pytest.raises(NotFound, match="no node 'nobody'"):
        client.call("show_tree", node="nobody")


def test_a_node_alone_has_taken_every_partition_from_nobody(client: Client) -> None:
    number = len(client.call("list_partitions")["list"])
    found = client.call("list_handovers", limit=1_000)
    assert {row["partition"] for row in found["list"]} == set(range(number))
    assert {(row["node"], row["cause"]) for row in found["list"] if row["epoch"] == 1} == {("node-1", "founded")}
    [row] = client.call("list_handovers", partition=3, limit=1)["list"]
    assert row["epoch"] == client.call("list_partitions")["list"][3]["epoch"]
    assert client.call("list_handovers", limit=1)["more"] is True
    assert client.call("list_handovers", until="2026-01-01T00:00:00Z") == {"list": [], "more": False}
    with pytest.raises(InvalidRequest, match="since"):
        client.call("list_handovers", since="2027-01-01T00:00:00Z", until="2026-01-01T00:00:00Z")
