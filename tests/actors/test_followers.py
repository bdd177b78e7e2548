"""Which outcomes have followers, and what those are shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.model.event import EventTrigger, On, Topic, event_from
from actors.model.execution import Execution
from actors.model.invocation import Invocation, traced, wrapped
from actors.model.lifecycle import OPEN_STATES, State
from actors.model.occurrence import Outcome, Reason, Settled
from actors.model.task import TaskState
from actors.rules.conditions import SHAPE
from actors.rules.followers import MAX_INLINE, ended_with, history_facts, of_execution, of_settled
from runtime.clock import SECOND, Instant
from runtime.records import evolve
from tests.actors.event_kit import START, ended, entries, event, ids
from tests.actors.records import definition

STATES = list(State)


def payload(entry: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(entry.payload)
    return found


def test_an_entry_shows_the_outcome_as_it_was() -> None:
    (entry,) = entries(event(), result='{"rows": 3}', parameters='{"x": 1}', tags=("a",), labels=(("team", "y"),))
    assert (entry.id, entry.task_id, entry.execution_id, entry.event) == ("d000001", "t1", "e1", "alarm")
    assert (entry.at, entry.due, entry.tries) == (START, START, 0)
    shown = payload(entry)
    assert event_from(shown["event"]) == event()
    assert (shown["result"], shown["input"], shown["fence"]) == ({"rows": 3}, {"x": 1}, 1)
    assert shown["counts"] == {"completed": 3, "failed": 2}
    assert shown["task"] == {
        "id": "t1", "name": "name of t1", "type": "command", "tags": ["a"], "labels": {"team": "y"}, "owner": "", "tenant": ""
    }  # fmt: skip
    assert shown["execution"] == {
        "id": "e1",
        "kind": "occurrence",
        "state": "FAILED",
        "outcome": None,
        "reason": None,
        "attempt": 1,
        "failures": 0,
        "duration": 2.0,
        "lateness": 1.0,
        "failure": {"type": "ValueError", "message": "no rows"},
        "nominal": "2025-12-31T23:59:57Z",
        "last_nominal": "2025-12-31T23:59:57Z",
        "started_at": "2025-12-31T23:59:58Z",
        "ended_at": "2026-01-01T00:00:00Z",
        "channel": "scheduler",
        "correlation": None,
        "node": "node",
        "count": 1,
        "cancel_reason": None,
    }


def test_parameters_of_a_run_stand_before_those_of_the_task() -> None:
    (entry,) = entries(event(), execution=ended(parameters='{"x": 2}', nominal=None), parameters='{"x": 1}')
    shown = payload(entry)
    assert shown["input"] == {"x": 2}
    assert (shown["execution"]["lateness"], shown["execution"]["count"]) == (None, 0)


def test_what_an_invocation_keeps_beside_its_parameters_is_no_input() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for text, shown in ((traced('{"x":2}', trace), {"x": 2}), (wrapped(Invocation(None, depth=2)), {"x": 1})):
        (entry,) = entries(event(), execution=ended(parameters=text), parameters='{"x": 1}')
        assert payload(entry)["input"] == shown


def test_what_is_too_large_is_left_out() -> None:
    text = json.dumps("x" * MAX_INLINE)
    (entry,) = entries(event(), result=text, parameters='{"x": 1}')
    assert "result" not in payload(entry)
    assert payload(entry)["input"] == {"x": 1}
    (entry,) = entries(event(), result=None)
    assert payload(entry)["result"] is None


def test_slots_that_did_not_run_have_followers_too() -> None:
    row = Settled(
        "t1", Instant(START), Instant(START + SECOND), 2, Outcome.MISSED, Reason.DOWNTIME, Instant(START + 5), 1
    )
    whole = definition(events=(event(name="a", on=(On.MISSED,)), event(name="b", on=(On.SKIPPED, On.FAILED))))
    (entry,) = of_settled(whole, TaskState(), row, ids(), Instant(START + 5))
    assert (entry.event, entry.execution_id) == ("a", None)
    shown = payload(entry)
    assert shown["execution"].keys() == SHAPE["execution"]
    assert (shown["execution"]["state"], shown["execution"]["outcome"], shown["execution"]["count"]) == (
        None,
        "missed",
        2,
    )
    assert (shown["execution"]["nominal"], shown["execution"]["last_nominal"]) == (
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:01Z",
    )
    assert not of_settled(whole, TaskState(), evolve(row, outcome=Outcome.FIRED), ids(), START)


def test_what_conditions_know_of_is_what_they_are_shown() -> None:
    (entry,) = entries(event())
    shown = payload(entry)
    assert shown["execution"].keys() == SHAPE["execution"]
    assert shown["task"].keys() == SHAPE["task"]
    assert history_facts([], None, {"completed": 1, "failed": 1}).keys() == SHAPE["history"]


def test_an_execution_that_was_given_up_was_skipped() -> None:
    assert ended_with(ended(State.CANCELLED, outcome=Outcome.SKIPPED)) == {On.CANCELLED, On.SKIPPED}
    assert ended_with(ended(State.COMPLETED, outcome=Outcome.LATE)) == {On.COMPLETED}


@given(
    st.sampled_from(STATES),
    st.none() | st.tuples(st.sampled_from(STATES), st.integers(0, 2)),
    st.integers(0, 2),
    st.sets(st.sampled_from(list(On))),
    st.none() | st.sampled_from(list(Outcome)),
)
def test_an_end_is_followed_once_by_those_who_look_for_it(
    state: State, before: tuple[State, int] | None, fence: int, on: set[On], outcome: Outcome | None
) -> None:
    execution = ended(state, fence=fence, outcome=outcome)
    former = None if before is None else evolve(execution, state=before[0], fence=before[1])
    whole = definition(events=(EventTrigger("a", (Topic("t"),), tuple(on)),))
    found = of_execution(whole, TaskState(), execution, former, None, ids(), START)
    looked_for = {state.value, outcome.value if outcome else None} & {one.value for one in on}
    new = former is None or (former.state, former.fence) != (state, fence)
    assert len(found) == (1 if state not in OPEN_STATES and looked_for and new else 0)


@given(st.lists(st.sampled_from(STATES)), st.none() | st.sampled_from([State.FAILED, State.CRASHED, State.COMPLETED]))
def test_failures_in_a_row_are_counted_from_the_newest(states: list[State], now: State | None) -> None:
    former: list[Execution] = [ended(state) for state in states]
    found = history_facts(former, None if now is None else now.value, {})
    run = [*([now] if now else []), *states]
    in_a_row = 0
    while in_a_row < len(run) and run[in_a_row] in (State.FAILED, State.TIMED_OUT, State.CRASHED):
        in_a_row += 1
    assert found["failures_in_a_row"] == in_a_row
    assert found["last"] == [state.value for state in states]
    assert found["previous"] == (states[0].value if states else None)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_each_event_trigger_has_an_entry_of_its_own(count: int) -> None:
    found = entries(*[event(name=f"e{number}") for number in range(count)])
    assert [entry.event for entry in found] == [f"e{number}" for number in range(count)]
    assert len({entry.id for entry in found}) == count
