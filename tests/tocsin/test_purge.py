"""Purging by hand: REST and the command line."""

from __future__ import annotations

from typing import Any

import pytest

from actors.model.lifecycle import State
from actors.model.retention import Keep, Retention, by_hand
from runtime.clock import DAY, Micros
from runtime.errors import InvalidRequest, NotFound
from tocsin.client import Client

WEEK = Micros(7 * DAY)


def test_without_conditions_the_configuration_holds() -> None:
    usual = Retention(newest=3)
    assert by_hand(usual, None, ()) is usual


def test_an_age_takes_the_place_of_the_times() -> None:
    found = by_hand(Retention(newest=3), WEEK, ())
    assert set(found.states.values()) == {Keep(WEEK)}
    assert (found.rows, found.skipped, found.tasks, found.newest) == (Keep(WEEK), Keep(WEEK), WEEK, 3)


@pytest.mark.parametrize("age", [None, WEEK])
def test_states_spare_all_else(age: Micros | None) -> None:
    usual = Retention()
    found = by_hand(usual, age, (State.FAILED,))
    assert found.states[State.FAILED] == (usual.states[State.FAILED] if age is None else Keep(WEEK))
    assert {found.states[state] for state in usual.states if state is not State.FAILED} == {Keep(None)}
    assert (found.rows, found.skipped, found.tasks) == (Keep(None), Keep(None), None)


def ran(client: Client, name: str) -> str:
    client.call("add_task", body={"taskType": "greet", "trigger": {"every": "1h"}, "name": name})
    execution: str = client.call("run_task", task=name)["id"]
    while client.call("show_execution", execution=execution)["state"] != "COMPLETED":
        pass
    return execution


def test_history_of_one_task_goes_through_rest(client: Client) -> None:
    first, other = ran(client, "one"), ran(client, "other")
    nothing: dict[str, Any] = client.call("purge")
    assert (nothing["removed"], nothing["complete"]) == (0, True)
    assert client.call("purge", body={"task": "one", "states": ["failed"], "olderThan": "0s"})["removed"] == 0
    found = client.call("purge", body={"task": "one", "states": ["completed"], "olderThan": "0s"})
    assert (found["removed"], found["byPart"]["executions"], found["complete"]) == (1, 1, True)
    with pytest.raises(NotFound):
        client.call("show_execution", execution=first)
    assert client.call("show_execution", execution=other)["state"] == "COMPLETED"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"states": ["running"]}, "states: some of COMPLETED, FAILED"),
        ({"states": [3]}, "states: some of"),
        ({"olderThan": 5}, "olderThan: a duration"),
        ({"older": "1d"}, "older"),
    ],
)
def test_wrong_conditions_are_refused(client: Client, body: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        client.call("purge", body=body)


def test_a_purge_of_an_unknown_task_is_refused(client: Client) -> None:
    with pytest.raises(NotFound):
        client.call("purge", body={"task": "no such"})
