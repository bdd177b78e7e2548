"""The load of the minutes to come, and how a crowd is moved apart, over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import InvalidRequest, NotFound
from tests.tocsin.access.kit import Person
from tests.tocsin.conftest import Running
from tests.tocsin.test_api import add
from tocsin.client import Client

AT = "2027-12-01T03:00:00Z"
"""A minute in which only tests of this file have something to do."""


@pytest.fixture(scope="module")
def crowd(running: Running) -> list[str]:
    """Twenty tasks that all fire at three in the morning."""
    root = Person(running.url, running.token)
    body = {"taskType": "greet", "trigger": {"cron": "0 3 1 12 *"}}
    return [root.make("/api/tasks", {**body, "name": f"crowd {number:02}"})["itemId"] for number in range(20)]


def load(client: Client, **wanted: Any) -> dict[str, Any]:
    answer = client.call("show_load", **{"from": "2027-12-01T02:59:30Z", "days": 1, **wanted})
    assert isinstance(answer, dict)
    return answer


def test_a_crowded_minute_is_the_first_of_the_peaks(client: Client, crowd: list[str]) -> None:
    found = load(client)
    assert (found["from"], found["minutes"], found["truncated"]) == ("2027-12-01T02:59:00Z", 1_440, None)
    assert sum(number for _, number in found["counts"]) == 1_440
    assert sum(count * number for count, number in found["counts"]) == found["total"] >= 20
    assert found["triggers"] < found["tasks"]
    [peak] = [one for one in found["peaks"] if one["minute"] == AT]
    assert peak == found["peaks"][0]
    assert peak["fires"] == sum(one["fires"] for one in peak["tasks"]) + peak["others"] >= 20
    assert len(peak["tasks"]) == 10


def test_a_crowd_is_spread_and_the_file_does_it(client: Client, crowd: list[str]) -> None:
    found = client.call("spread_load", body={"minute": AT, "tasks": crowd, "within": "30m"})
    assert found["left"] == [] and len(found["proposals"]) == 20
    assert found["worstBefore"] >= 20 > found["worstAfter"]
    first = found["proposals"][0]
    assert first["before"] == {"cron": "0 3 1 12 *", "timezone": "UTC"} | {
        key: value for key, value in first["before"].items() if key not in ("cron", "timezone")
    }
    assert first["after"] == first["before"] | {"spread": "30m"}
    plan = client.call("plan", body={"files": found["files"]})
    assert len(plan["changes"]) == 20 and {tuple(change["actions"]) for change in plan["changes"]} == {("edit",)}
    client.call("apply_plan", body={"files": found["files"]})
    worst = load(client)["peaks"][0]["fires"]
    assert worst == found["worstAfter"]
    again = client.call("spread_load", body={"tasks": crowd, "minute": AT})
    assert {one["why"] for one in again["left"]} == {"it has a spread window already"}
    assert again["files"] == [] and again["worstBefore"] == again["worstAfter"]


def test_the_tasks_of_a_minute_are_found_for_it(client: Client) -> None:
    for name in ("at four", "at four too"):
        add(client, name=name, trigger={"cron": "0 4 1 12 *"})
    add(client, name="at four, for a while", trigger={"cron": "0 4 1 12 *"}, persistent=False)
    found = client.call("spread_load", body={"minute": "2027-12-01T04:00:30Z"})
    assert found["minute"] == "2027-12-01T04:00:00Z"
    assert {one["task"] for one in found["proposals"]} >= {"at four", "at four too"}
    assert "memory task" in {one["task"]: one["why"] for one in found["left"]}["at four, for a while"]


def test_what_fires_all_the_time_stays(client: Client) -> None:
    add(client, name="every minute", trigger={"cron": "* * 1 12 *"})
    add(client, name="after each run", trigger={"every": "1h", "fixedDelay": True})
    found = client.call("spread_load", body={"tasks": ["every minute", "after each run"]})
    assert found["proposals"] == []
    whys = {one["task"]: one["why"] for one in found["left"]}
    assert "every minute anyhow" in whys["every minute"] and "when its runs end" in whys["after each run"]


def test_the_load_of_others_is_not_counted(client: Client, running: Running, crowd: list[str]) -> None:
    stranger = Person(running.url, running.token).with_token(role="viewer", tenant="globex")
    assert stranger.send("GET", "/api/load").json()["total"] == 0
    body = {"minute": AT, "tasks": crowd[:1]}
    assert stranger.send("POST", "/api/load/spread", json=body).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"minute": "x"},
        {"tasks": []},
        {"tasks": "a"},
        {"tasks": [1]},
        {"minute": AT, "within": "1m"},
        {"minute": AT, "within": "2d"},
        {"minute": AT, "how": "x"},
    ],
)
def test_a_wrong_wish_is_refused(client: Client, body: Any) -> None:
    with pytest.raises(InvalidRequest):
        client.call("spread_load", body=body)


def test_an_unknown_task_is_not_found(client: Client) -> None:
    with pytest.raises(NotFound):
        client.call("spread_load", body={"tasks": ["nobody of that name"]})
