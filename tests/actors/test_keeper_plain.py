"""The common case decided in one step is the general case, to the last field."""

from __future__ import annotations

from ast import literal_eval
from itertools import count
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import keeper_plain
from actors.command_messages import PauseTask
from actors.keeper_claims import Claims
from actors.keeper_core import KeeperCore
from actors.keeper_messages import AttemptEnd, AttemptsEnded, Directive, InSync, Own, Reschedule, Settle
from actors.keeper_staging import Staged
from actors.model.execution import Execution, Kind, WaitsFor
from actors.model.lifecycle import Phase, State
from actors.model.occurrence import Outcome, Reason, Settled
from actors.model.policy import DEFAULT_POLICIES
from actors.model.task import Definition, Task, TaskState, partition_of, status_of
from actors.model.trigger import UNBOUNDED, Interval
from actors.store.port import Commit, CommitResult, ExecutionWrite, Step
from actors.store.rows import (
    COMPLETED_COLUMNS,
    ENDED_COLUMNS,
    EXECUTION_FIXED,
    EXECUTION_MUTABLE,
    FIRED_COLUMNS,
    STARTED_COLUMNS,
    STARTED_OTHERS,
    STATE_COLUMNS,
    execution_row,
    started_row,
    state_values,
)
from actors.when.triggers import next_after
from runtime.clock import SECOND, Instant, Micros
from runtime.records import evolve
from runtime.simulation import DEFAULT_START
from tests.actors.keeper_kit import Rig, definition
from tests.actors.sharing_kit import PARTITIONS, Nodes
from tests.strategies import definitions

NOW = DEFAULT_START


def executions(task_id: str) -> st.SearchStrategy[tuple[Execution, ...]]:
    """None, one or two executions that are open or held, as a task's record carries them."""
    one = st.builds(
        lambda state, waits, checkpoints: Execution(
            "e",
            task_id,
            Kind.OCCURRENCE,
            state,
            NOW,
            waits_for=waits if state is State.WAITING else None,
            due=NOW if state is State.WAITING and waits is WaitsFor.RETRY else None,
            attempt=1,
            fence=1,
            boot="boot",
            node="node",
            first_started_at=NOW,
            started_at=NOW,
            checkpoints=checkpoints,
        ),
        st.sampled_from([*[State.RUNNING] * 6, State.WAITING, State.CRASHED]),
        st.sampled_from([WaitsFor.SLOT, WaitsFor.RETRY, WaitsFor.OVERLAP]),
        st.integers(0, 1),
    )
    some = st.lists(one, min_size=1, max_size=1) | st.lists(one, max_size=2)
    return some.map(lambda some: tuple(evolve(one, id=f"e{n}") for n, one in enumerate(some)))


MOSTLY = st.sampled_from([True, True, True, True, False])


@st.composite
def tasks(draw: st.DrawFn, *, busy: bool) -> Task:
    """A task that is due around now; mostly with something open if `busy`, else mostly with nothing."""
    definition: Definition = draw(definitions)
    if draw(MOSTLY):
        bounds = evolve(UNBOUNDED, max_runs=draw(st.sampled_from([None, None, 2, 4])))
        definition = evolve(definition, bounds=bounds, policies=DEFAULT_POLICIES)
    begin = Instant(NOW - draw(st.integers(0, 30)) * SECOND)
    phase = draw(st.sampled_from([Phase.ACTIVE, Phase.ACTIVE, Phase.ACTIVE, Phase.PAUSED, Phase.FINISHED]))
    next_fire = next_after(definition.trigger, definition.bounds, begin) if phase is Phase.ACTIVE else None
    opened = draw(executions(definition.id)) if draw(MOSTLY) is busy else ()
    state = TaskState(
        version=draw(st.integers(1, 9)),
        phase=phase,
        next_fire=next_fire,
        settled_through=begin if draw(MOSTLY) else Instant(NOW + 20 * SECOND),
        fence=draw(st.integers(1, 9)),
        runs=draw(st.integers(0, 3)),
        failure_count=draw(st.integers(0, 3)),
        completed=draw(st.integers(0, 3)),
        last_state=draw(st.sampled_from([None, State.COMPLETED, State.FAILED])),
        note=draw(st.sampled_from([None, "note"])),
    )
    return Task(definition, evolve(state, status=status_of(state, opened)), opened)


def decided(task: Task, message: Settle | AttemptsEnded, slots: int, now: Instant) -> tuple[Commit, list[Directive]]:
    """What a fresh core makes of one message about one task."""
    ids = count()
    core = KeeperCore(
        boot="boot",
        node="node",
        partitions=4,
        random=Random(0),
        new_id=lambda: f"id{next(ids)}",
        runs=lambda name: name < "M",
    )
    core.learn([task])
    synced = InSync(slots, frozenset((entry.id, entry.fence) for entry in task.open), core.sync_request.token)
    plan, _ = core.decide([Own(dict.fromkeys(range(4), 1)), synced], [], now)
    core.committed(plan, CommitResult())
    plan, commit = core.decide([message], [], now)
    directives, again = core.committed(plan, CommitResult())
    assert again == []
    return commit, directives


def without_step(decided: tuple[Commit, list[Directive]], *, due: bool = True) -> tuple[Commit, list[Directive]]:
    """The general way does not know which of the common steps it takes. due: whether the timer is told when the task is due."""
    commit, directives = decided
    told = [one for one in directives if due or not isinstance(one, Reschedule)]
    return evolve(commit, updates=tuple(evolve(update, step=None) for update in commit.updates)), told


def unchanged(before: tuple[Any, ...], after: tuple[Any, ...], columns: tuple[str, ...]) -> set[str]:
    return {name for name, former, value in zip(columns, before, after, strict=True) if former == value}


def check_step(task: Task, commit: Commit) -> None:
    """What a step leaves out is as it was."""
    for update in commit.updates:
        if update.step is None:
            continue
        written = FIRED_COLUMNS if update.step is Step.FIRED else COMPLETED_COLUMNS
        kept = unchanged(state_values(task.state), state_values(update.state), STATE_COLUMNS)
        assert set(STATE_COLUMNS) - kept <= set(written)
        assert "due" in written or update.due == task.due
        assert (update.settled, update.checkpoints, update.definition, update.delete) == ((), (), None, False)
        (write,) = update.executions
        if update.step is Step.FIRED:
            given = dict(zip(STARTED_COLUMNS, started_row(write.execution), strict=True))
            others = {
                name: given[text] if text in given else literal_eval(text) for name, text in STARTED_OTHERS.items()
            }
            columns = (*EXECUTION_FIXED, *EXECUTION_MUTABLE)
            row = dict(zip(columns, execution_row(write.execution), strict=True))
            assert row == dict.fromkeys(columns) | given | others
            assert replace_nothing(write) == (None, None, None, False)
        else:
            assert write.former is not None
            before, after = execution_row(write.former), execution_row(write.execution)
            columns = (*EXECUTION_FIXED, *EXECUTION_MUTABLE)
            assert set(columns) - unchanged(before, after, columns) <= set(ENDED_COLUMNS)


def replace_nothing(write: ExecutionWrite) -> tuple[object, ...]:
    return write.former, write.archive, write.result, write.drop_checkpoint


def in_general(task: Task, message: Settle | AttemptsEnded, slots: int, now: Instant) -> tuple[Commit, list[Directive]]:
    with (
        patch.object(keeper_plain, "fire", lambda *_: None),
        patch.object(keeper_plain, "completion", lambda *_: None),
    ):
        return decided(task, message, slots, now)


@given(tasks(busy=False), st.sampled_from([0, 1, 2]), st.data())
def test_a_fire_in_one_step_is_a_fire_in_general(task: Task, slots: int, data: st.DataObject) -> None:
    due = task.state.next_fire or NOW
    now, message = Instant(due + data.draw(st.sampled_from([0, 5, 1_500_000, 30_000_000]))), Settle((task.id,))
    found = decided(task, message, slots, now)
    check_step(task, found[0])
    assert without_step(found) == in_general(task, message, slots, now)


@given(
    tasks(busy=True),
    st.sampled_from([*[State.COMPLETED] * 6, State.FAILED, State.CANCELLED, State.TIMED_OUT, State.WAITING]),
    st.sampled_from([1, 1, 1, 1, 0, 2]),
    st.sampled_from([None, "7"]),
    st.sampled_from(["e0", "e0", "e0", "e1"]),
)
def test_a_completion_in_one_step_is_one_in_general(
    task: Task, state: State, fence: int, result: str | None, execution_id: str
) -> None:
    end = AttemptEnd(task.id, execution_id, fence, state, NOW, Instant(NOW + SECOND), result=result)
    message = AttemptsEnded((end,))
    found = decided(task, message, 1, NOW)
    check_step(task, found[0])
    general = in_general(task, message, 1, NOW)
    # After a completion that left it as it was the timer knows when the task is due.
    told = not any(update.step is Step.COMPLETED for update in found[0].updates)
    assert told or Reschedule(((task.id, task.due),)) in general[1]
    assert without_step(found, due=told) == without_step(general, due=told)


def test_the_common_cases_are_decided_in_one_step() -> None:
    """Else the tests above compare the general way with itself."""
    interval = Interval(Micros(SECOND), NOW)
    state = TaskState(next_fire=NOW, settled_through=Instant(NOW - 1), last_state=State.COMPLETED)
    task = Task(Definition("t", "t", "t", interval), state)
    claims = Claims("boot", "node", lambda _: True)
    claims.synchronise(1)
    fired = keeper_plain.fire(task, 0, claims, lambda: "e", NOW)
    assert fired is not None
    assert claims.slots == 0
    assert fired.update.step is Step.FIRED
    end = AttemptEnd("t", "e", 1, State.COMPLETED, NOW, NOW, result="5")
    completed = keeper_plain.completion(fired.task, 0, end)
    assert completed is not None
    assert completed.update.step is Step.COMPLETED
    for step in (fired, completed):
        staged = step.staged()
        assert (staged.original, staged.finish(), staged.update(staged.finish())) == (
            step.original,
            step.task,
            step.update,
        )
        assert (staged.starts, staged.ends) == ((1, ()) if step is fired else (0, (end,)))


def step_of(task: Task) -> Staged:
    claims = Claims("boot", "node", lambda _: True)
    claims.synchronise(1)
    stepped = keeper_plain.fire(task, 0, claims, str, NOW)
    assert stepped is not None
    return stepped.staged()


@pytest.mark.parametrize("meddle", ["set", "settle", "delete"])
def test_what_was_changed_after_a_step_is_none_any_more(meddle: str) -> None:
    state = TaskState(next_fire=NOW, settled_through=Instant(NOW - 1))
    staged = step_of(Task(Definition("t", "t", "t", Interval(Micros(SECOND), NOW)), state))
    match meddle:
        case "set":
            staged.set(note="paused for now")
        case "settle":
            staged.settle((Settled("t", NOW, NOW, 1, Outcome.MISSED, Reason.DOWNTIME, NOW, 1),))
        case _:
            staged.deleted = True
    assert staged.update(staged.finish()).step is None


def crowd(*names: str) -> Rig:
    rig = Rig(slots=10)
    rig.create(*map(definition, names))
    rig.now = Instant(rig.now + 10 * SECOND)
    return rig


def test_what_else_happens_to_a_task_in_the_batch_of_its_step_comes_on_top() -> None:
    rig = crowd("a", "b")
    before = [rig.task(name).state.version for name in "ab"]
    rig.send(Settle(("a", "b")), PauseTask("a", "a note", "me", rig.reply()))
    assert sorted(entry.task_id for entry in rig.running.values()) == ["a", "b"]
    assert [rig.task(name).state.phase for name in "ab"] == [Phase.PAUSED, Phase.ACTIVE]
    assert [rig.task(name).state.version for name in "ab"] == [one + 1 for one in before]
    rig.check_slots()


def test_a_step_that_the_store_refuses_is_decided_again() -> None:
    rig = crowd("a", "b", "c")
    rig.bump("a")
    rig.send(Settle(("a", "b", "c")))
    assert sorted(entry.task_id for entry in rig.running.values()) == ["a", "b", "c"]
    assert rig.task("a").state.note == "another writer"
    rig.check_slots()
    a = next(entry for entry in rig.running.values() if entry.task_id == "a")
    rig.bump("a")
    rig.end(execution=a)
    assert (rig.task("a").state.completed, rig.task("a").open, rig.unrecorded) == (1, (), {})
    rig.check_slots()


def test_steps_that_could_not_be_committed_leave_their_slots() -> None:
    rig = crowd("a", "b")
    rig.broken = True
    rig.send(Settle(("a", "b")))
    assert (rig.running, rig.core.claims.slots) == ({}, 10)
    rig.broken = False
    rig.send(Settle(("a", "b")))
    rig.broken = True
    rig.end()
    assert len(rig.unrecorded) == 1
    rig.broken = False
    rig.send(Settle(()))
    assert (rig.unrecorded, rig.task("a").state.completed) == ({}, 1)
    rig.check_slots()


def test_a_step_of_which_no_other_node_has_to_hear_needs_no_working_copy_there_either() -> None:
    nodes = Nodes(2, slots=50, owners=[0, 0, 0, 1])
    rig = nodes[0]
    rig.create(*(definition(f"t{number}") for number in range(20)))
    mine = {f"t{number}" for number in range(20) if partition_of(f"t{number}", PARTITIONS) != 3}
    nodes.advance(10)
    nodes.woken.clear()
    for message in (
        lambda: Settle(tuple(sorted(mine))),
        lambda: AttemptsEnded(tuple(rig._end_of(one, State.COMPLETED) for one in rig.running.values())),
    ):
        told = message()
        assert not rig.core.needs([told]).task_ids
        plan, commit = rig.core.decide([told], [], rig.now)
        assert (set(plan.stepped), plan.staged, commit.wakes) == (mine, {}, ())
        sharing, waits = rig.core._sharing, rig.core.waits
        assert sharing is not None
        assert not any(sharing.wakes(one.staged(), one.task, waits, owned=True) for one in plan.stepped.values())
        rig._land(plan, commit)
