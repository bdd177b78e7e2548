"""The two transition tables, the status, and the model as documents."""

from __future__ import annotations

from itertools import product

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.model.document import decode_definition, decode_failure, encode_definition, encode_failure
from actors.model.execution import Execution, Kind, WaitsFor
from actors.model.lifecycle import (
    EXECUTION_TRANSITIONS,
    OPEN_STATES,
    TASK_TRANSITIONS,
    Change,
    Event,
    Phase,
    State,
    Status,
    change_phase,
    change_state,
)
from actors.model.task import Definition, Task, TaskState, partition_of, status_of
from runtime.clock import Instant
from runtime.errors import Conflict, StoreDamaged
from tests import strategies

from .keeper_kit import definition

FINAL = {State.COMPLETED, State.CANCELLED}


@given(st.lists(st.sampled_from(Change)))
def test_the_table_of_tasks_is_closed(changes: list[Change]):
    phase = Phase.ACTIVE
    for change in changes:
        if (phase, change) in TASK_TRANSITIONS:
            phase = change_phase(phase, change)
            continue
        with pytest.raises(Conflict, match=str(phase)):
            change_phase(phase, change)
    assert phase in Phase


@given(st.lists(st.sampled_from(Event)))
def test_the_table_of_executions_is_closed_and_final_states_stay(events: list[Event]):
    state = State.WAITING
    for event in events:
        if (state, event) in EXECUTION_TRANSITIONS:
            assert state not in FINAL
            state = change_state(state, event)
            continue
        with pytest.raises(Conflict, match=str(state)):
            change_state(state, event)


def test_every_phase_and_state_can_be_reached_and_cancelled():
    assert set(TASK_TRANSITIONS.values()) == set(Phase)
    assert set(EXECUTION_TRANSITIONS.values()) == set(State)
    for phase in Phase:
        assert (phase, Change.CANCEL) in TASK_TRANSITIONS or phase is Phase.CANCELLED
    for state in OPEN_STATES:
        assert change_state(state, Event.CANCEL) is State.CANCELLED


def execution(state: State, waits_for: WaitsFor | None = None, due: int | None = None) -> Execution:
    when = None if due is None else Instant(due)
    return Execution("e", "t", Kind.MANUAL, state, Instant(0), waits_for=waits_for, due=when)


RUNNING = execution(State.RUNNING)
HELD = execution(State.CRASHED)
WAITS = execution(State.WAITING, WaitsFor.SLOT)
RETRIES = execution(State.WAITING, WaitsFor.RETRY, 50)


@pytest.mark.parametrize(
    ("phase", "next_fire", "last", "executions", "expected"),
    [
        (Phase.CANCELLED, None, State.COMPLETED, (RUNNING,), Status.CANCELLED),
        (Phase.ACTIVE, 9, State.FAILED, (HELD, WAITS, RUNNING), Status.RUNNING),
        (Phase.ACTIVE, 9, None, (HELD, WAITS), Status.CRASHED),
        (Phase.ACTIVE, 9, None, (WAITS, RETRIES), Status.WAITING),
        (Phase.ACTIVE, 9, State.FAILED, (RETRIES,), Status.SCHEDULED),
        (Phase.FINISHED, None, State.FAILED, (RETRIES,), Status.SCHEDULED),
        (Phase.ACTIVE, 9, State.FAILED, (), Status.SCHEDULED),
        (Phase.PAUSED, None, State.FAILED, (), Status.SCHEDULED),
        (Phase.FINISHED, None, None, (), Status.SCHEDULED),
        (Phase.FINISHED, None, State.COMPLETED, (), Status.COMPLETED),
        (Phase.FINISHED, None, State.FAILED, (), Status.FAILED),
        (Phase.FINISHED, None, State.TIMED_OUT, (), Status.FAILED),
        (Phase.FINISHED, None, State.CANCELLED, (), Status.CANCELLED),
        (Phase.FINISHED, None, State.CRASHED, (), Status.CRASHED),
    ],
)
def test_the_status_by_the_table(phase, next_fire, last, executions, expected):
    assert status_of(TaskState(phase=phase, next_fire=next_fire, last_state=last), executions) is expected


def test_every_task_has_a_status():
    lasts = [None, *(state for state in State if state not in OPEN_STATES)]
    sets = [(), (RUNNING,), (HELD,), (WAITS,), (RETRIES,)]
    for phase, next_fire, last, executions in product(Phase, (None, Instant(9)), lasts, sets):
        state = TaskState(phase=phase, next_fire=next_fire, last_state=last)
        assert status_of(state, executions) in Status


def test_a_task_is_due_at_its_next_fire_or_retry_whichever_is_first():
    for next_fire, executions, due in (
        (None, (), None),
        (9, (RETRIES,), 9),
        (90, (RETRIES, WAITS), 50),
        (None, (RETRIES,), 50),
    ):
        assert Task(definition(), TaskState(next_fire=next_fire), executions).due == due


@given(st.text(min_size=1), st.integers(1, 1000))
def test_a_task_has_one_partition(task_id: str, partitions: int):
    assert 0 <= partition_of(task_id, partitions) < partitions


def test_partitions_are_the_same_in_every_process():
    assert [partition_of(text, 256) for text in ("a", "b", "task")] == [67, 249, 37]


@given(strategies.definitions)
def test_a_definition_comes_back_from_its_document(made: Definition):
    assert decode_definition(encode_definition(made), made.extra) == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"id":"i","name":"n","type":"t","trigger":{"at":1}}',
        '{"id":"i","name":"n","type":"t","trigger":null,"created_at":1}',
        '{"id":"i","name":"n","type":"t","trigger":{"every":1},"created_at":1}',
        '{"id":"i","name":"n","type":"t","trigger":{"at":1},"created_at":1,"surprise":1}',
        '{"id":"i","name":"n","type":"t","trigger":{"at":1},"created_at":1,"policies":{"overlap":"never"}}',
    ],
)
def test_a_damaged_document_is_named(text: str):
    with pytest.raises(StoreDamaged):
        decode_definition(text, None)


@given(st.none() | strategies.failures)
def test_a_failure_comes_back(failure):
    assert decode_failure(encode_failure(failure)) == failure


@pytest.mark.parametrize("text", ["", "1", "[]", "[1,2,3,4]"])
def test_a_damaged_failure_is_named(text: str):
    with pytest.raises(StoreDamaged):
        decode_failure(text)


def test_an_execution_is_open_until_it_ends():
    assert [attrs.evolve(RUNNING, state=state).is_open for state in State] == [state in OPEN_STATES for state in State]
