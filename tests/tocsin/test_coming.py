"""The coming fires of all tasks: how one task is expanded, and what is answered of many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from actors.model.lifecycle import Phase
from actors.model.task import spread_offset
from actors.model.trigger import Bounds, Interval, Once
from runtime.clock import MINUTE, SECOND, Instant, Micros
from runtime.errors import InvalidRequest
from tests.actors.records import task
from tests.tocsin.access.kit import Person
from tests.tocsin.conftest import Running
from tests.tocsin.test_api import add
from tocsin.client import Client
from tocsin.services.coming import Window, expand

WINDOW = Window(Instant(100 * SECOND), Instant(200 * SECOND), each=3, limit=10)
NEXT = {"next_fire": 90 * SECOND}


def seconds(found: Any) -> list[float]:
    return [fire.at / SECOND for fire in found.fires]


def test_a_task_that_fires_often_is_shown_so_many_times() -> None:
    found = expand(task(trigger=Interval(Micros(10 * SECOND), Instant(0)), **NEXT), WINDOW)
    assert seconds(found) == [100, 110, 120]
    assert found.beyond is not None and found.beyond.at == 130 * SECOND


def test_both_ends_belong_to_the_window() -> None:
    found = expand(task(trigger=Interval(Micros(50 * SECOND), Instant(0)), **NEXT), WINDOW)
    assert (seconds(found), found.beyond) == ([100, 150, 200], None)


@pytest.mark.parametrize("phase", [Phase.PAUSED, Phase.FINISHED, Phase.CANCELLED])
def test_what_is_not_active_does_not_fire(phase: Phase) -> None:
    made = task(**NEXT)
    assert expand(attrs.evolve(made, state=attrs.evolve(made.state, phase=phase)), WINDOW).fires == ()


def test_a_fixed_delay_is_known_for_its_next_fire_only() -> None:
    trigger = Interval(Micros(10 * SECOND), Instant(0), fixed_delay=True)
    assert seconds(expand(task(trigger=trigger, next_fire=120 * SECOND), WINDOW)) == [120]
    assert seconds(expand(task(trigger=trigger, next_fire=250 * SECOND), WINDOW)) == []


def test_a_run_limit_counts_from_the_next_fire_on() -> None:
    trigger = Interval(Micros(10 * SECOND), Instant(0))
    assert seconds(expand(task(trigger=trigger, bounds=Bounds(max_runs=2), **NEXT), WINDOW)) == [100]


def test_a_spread_task_is_at_its_place_in_the_window() -> None:
    bounds = Bounds(spread=Micros(MINUTE))
    offset = spread_offset(bounds, "t1")
    assert 0 < offset < MINUTE
    [fire] = expand(task(trigger=Once(Instant(120 * SECOND)), bounds=bounds, next_fire=120 * SECOND), WINDOW).fires
    assert (fire.nominal, fire.at) == (120 * SECOND, 120 * SECOND + offset)


def at(**later: float) -> str:
    return (datetime.now(UTC) + timedelta(**later)).isoformat()


def test_the_fires_of_all_tasks_come_in_one_order(client: Client) -> None:
    begin = datetime.now(UTC) + timedelta(days=400)
    add(client, name="once far away", trigger={"at": (begin + timedelta(seconds=90)).isoformat()})
    add(client, name="in memory", trigger={"at": (begin + timedelta(seconds=30)).isoformat()}, persistent=False)
    often = {"every": "7s", "start": begin.isoformat()}
    add(client, name="often", trigger=often)
    until = (begin + timedelta(seconds=100)).isoformat()
    found = client.call("upcoming", **{"from": begin.isoformat()}, until=until, each=2, limit=1_000)
    mine = [row for row in found["list"] if row["task"] in ("once far away", "in memory", "often")]
    assert [row["task"] for row in mine] == ["often", "often", "in memory", "once far away"]
    assert [row["owner"] for row in mine] == ["node-1"] * 4
    assert [row["partition"] is None for row in mine] == [False, False, True, False]
    [folded] = [one for one in found["folded"] if one["task"] == "often"]
    assert (folded["shown"], folded["every"]) == (2, "7s")
    assert found["complete"] is True and found["more"] is False
    first = client.call("upcoming", **{"from": begin.isoformat()}, until=until, limit=1)
    assert len(first["list"]) == 1 and first["more"] is True
    alone = client.call("upcoming", **{"from": begin.isoformat()}, until=until, task="once far away")
    assert [row["task"] for row in alone["list"]] == ["once far away"]


def test_the_fires_of_others_are_not_told(client: Client, running: Running) -> None:
    add(client, name="not for all", trigger={"at": at(minutes=5)})
    stranger = Person(running.url, running.token).with_token(role="viewer", tenant="globex")
    assert "not for all" in str(client.call("upcoming"))
    assert stranger.send("GET", "/api/upcoming").json()["list"] == []


@pytest.mark.parametrize("days", [32, -1])
def test_a_window_has_its_bounds(client: Client, days: int) -> None:
    with pytest.raises(InvalidRequest, match="until: at most 31 days after from"):
        client.call("upcoming", until=at(days=days))


def test_the_node_s_own_tasks_are_nobody_s_plan(client: Client) -> None:
    own = client.call("list_tasks", type="system.purge", system=True)["list"]
    assert own[0]["nextScheduledExecution"] is not None
    found = client.call("upcoming", until=datetime.now(UTC) + timedelta(days=1), limit=1_000)["list"]
    assert [row["taskType"] for row in found if row["taskType"].startswith("system.")] == []
