"""Many tasks changed at once: which are meant, what is refused and told, who may."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import InvalidRequest, TooLarge
from tests.tocsin.access.kit import Person
from tests.tocsin.conftest import Running
from tests.tocsin.test_api import add, ended
from tocsin.client import Client
from tocsin.operations.overviews import BULK_ACTIONS
from tocsin.services.bulk import _ACTIONS, read_wanted


def bulk(client: Client, **body: Any) -> dict[str, Any]:
    answer = client.call("bulk", body=body)
    assert isinstance(answer, dict)
    return answer


def phases(client: Client, *names: str) -> list[str]:
    return [client.call("show_task", task=name)["phase"] for name in names]


def test_every_action_is_carried_out() -> None:
    assert tuple(_ACTIONS) == BULK_ACTIONS


def test_a_dry_run_says_how_many_and_changes_nothing(client: Client) -> None:
    names = [add(client, name=f"dry {number}")["name"] for number in range(3)]
    answer = bulk(client, action="pause", filter={"text": "dry "}, dryRun=True)
    assert answer == {"action": "pause", "dryRun": True, "matched": 3, "done": 0, "refused": [], "more": False}
    assert phases(client, *names) == ["active"] * 3
    assert bulk(client, action="pause", filter={"text": "dry "}, note="inventory")["done"] == 3
    assert phases(client, *names) == ["paused"] * 3
    assert client.call("show_task", task=names[0])["note"] == "inventory"


def test_one_that_is_refused_stops_no_other(client: Client) -> None:
    names = [add(client, name=f"some {number}")["name"] for number in range(3)]
    client.call("pause_task", task=names[1])
    answer = bulk(client, action="pause", tasks=[*names, "nobody of this name"])
    assert (answer["matched"], answer["done"]) == (3, 2)
    unknown, twice = answer["refused"]
    assert (unknown["task"], unknown["name"], unknown["code"]) == ("nobody of this name", None, "404")
    assert (twice["name"], twice["error"], twice["code"]) == (names[1], "Conflict", "409")


def test_each_change_has_its_own_record(client: Client, running: Running) -> None:
    ids = [add(client, name=f"told {number}")["itemId"] for number in range(2)]
    bulk(client, action="cancel", tasks=ids)
    root = Person(running.url, running.token)
    for task_id in ids:
        records = root.send("GET", f"/api/audits?task={task_id}&action=CancelTask").json()["list"]
        assert [record["actor"] for record in records] == ["administrator"]


def test_all_that_can_be_done(client: Client) -> None:
    good, bad = add(client, name="of all kinds")["name"], add(client, "fail", name="fails")["name"]
    client.call("configure_task", task=bad, maxRetries=0)
    assert bulk(client, action="run", tasks=[good, bad])["done"] == 2
    runs = [client.call("list_executions", task=name)["list"][0]["id"] for name in (good, bad)]
    ended(client, runs[0], "COMPLETED")
    ended(client, runs[1], "FAILED")
    answer = bulk(client, action="retry", tasks=[good, bad])
    assert (answer["done"], [one["name"] for one in answer["refused"]]) == (1, [good])
    assert [one["code"] for one in bulk(client, action="resume", tasks=[good])["refused"]] == ["409"]
    assert bulk(client, action="pause", tasks=[good])["done"] == 1
    assert bulk(client, action="activate", tasks=[good])["done"] == 1
    assert bulk(client, action="delete", tasks=[good, bad])["done"] == 2
    assert [one["code"] for one in bulk(client, action="delete", tasks=[good])["refused"]] == ["404"]


def test_the_systems_own_tasks_never_fit_a_filter(client: Client) -> None:
    assert bulk(client, action="pause", filter={"type": "system.purge"}, dryRun=True)["matched"] == 0


def test_more_than_were_allowed_are_refused_as_a_whole(client: Client) -> None:
    names = [add(client, name=f"too many {number}")["name"] for number in range(3)]
    with pytest.raises(TooLarge, match="3 tasks fit; at most 2"):
        bulk(client, action="pause", filter={"text": "too many"}, most=2)
    assert phases(client, *names) == ["active"] * 3
    with pytest.raises(TooLarge, match="3 of them; at most 2"):
        bulk(client, action="pause", tasks=names, most=2)


def test_others_find_nothing_and_viewers_may_not(client: Client, running: Running) -> None:
    task = add(client, name="left alone")["itemId"]
    root = Person(running.url, running.token)
    stranger = root.with_token(role="operator", tenant="globex")
    body = {"action": "delete", "tasks": [task]}
    answer = stranger.send("POST", "/api/bulk", json=body).json()
    assert (answer["matched"], [one["code"] for one in answer["refused"]]) == (0, ["404"])
    body = {"action": "delete", "filter": {"text": "left alone"}}
    assert stranger.send("POST", "/api/bulk", json=body).json()["matched"] == 0
    assert root.with_token(role="viewer").send("POST", "/api/bulk", json=body).status_code == 403
    level = {"action": "delete", "filter": {"level": "all"}, "dryRun": True}
    assert stranger.send("POST", "/api/bulk", json=level).status_code == 403
    assert phases(client, task) == ["active"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "pause"},
        {"action": "explode", "tasks": ["a"]},
        {"action": "pause", "tasks": []},
        {"action": "pause", "tasks": "a"},
        {"action": "pause", "tasks": [5]},
        {"action": "pause", "tasks": ["a"], "filter": {}},
        {"action": "run", "tasks": ["a"], "note": "why"},
        {"action": "pause", "filter": {"state": "x"}},
        {"action": "pause", "filter": {"status": "x"}},
        {"action": "pause", "tasks": ["a"], "most": 10_001},
        {"action": "pause", "tasks": ["a"], "dryRun": "yes"},
    ],
)
def test_a_wrong_body_is_refused(body: Any) -> None:
    with pytest.raises(InvalidRequest):
        read_wanted(body)
