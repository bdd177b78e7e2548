"""No wait for a parent is lost, and no dependency that cannot be is saved."""

from __future__ import annotations

from typing import Any

import pytest

from actors.command_messages import DeleteTask, EditTask
from actors.keeper_dependencies import SLICE
from actors.keeper_messages import AttemptsEnded, CreateTasks, Reconsider, Settle
from actors.model.execution import WaitsFor
from actors.model.lifecycle import State
from actors.model.policy import Overlap, Policies
from actors.model.task import Definition, Dependencies, Task
from runtime.clock import SECOND, Instant
from runtime.errors import Conflict, InvalidRequest, StoreUnavailable
from runtime.records import evolve

from .dependency_kit import child, made, parent, run_parent, waiting, waits_for
from .keeper_kit import START, Rig

# -- nothing is lost


def test_a_restart_between_the_parents_commit_and_the_childs_look_loses_nothing() -> None:
    rig = waiting()
    execution = rig.run("p")
    rig.crashed = True
    rig.end(execution=rig.running[execution.id, execution.fence])
    rig.crashed = False
    assert waits_for(rig) == [WaitsFor.DEPENDENCY]
    rig.restart_keeper()
    assert waits_for(rig) == [None]


def test_another_process_takes_the_waits_over() -> None:
    rig = waiting()
    other = Rig(boot="boot-2", store=rig.store, now=rig.now)
    assert other.core.waits.anybody
    run_parent(other)
    assert waits_for(other) == [None]


def test_the_sweep_finds_what_no_message_told() -> None:
    rig = waiting()
    execution = rig.run("p")
    rig.core.waits._again.clear()
    ended = rig._end_of(rig.running[execution.id, execution.fence], State.COMPLETED)
    batch = [AttemptsEnded((ended,))]
    rig.core.needs(batch)
    plan, commit = rig.core.decide(batch, [], rig.now)
    rig.core.committed(plan, rig.store.commit(commit))
    assert waits_for(rig) == [WaitsFor.DEPENDENCY], "what should follow was dropped"
    look = rig.core.waits.sweep()
    assert look == Reconsider(("c",))
    rig.send(look)
    assert waits_for(rig) == [None]


def test_a_parent_that_was_not_read_is_not_taken_for_gone() -> None:
    """The end of the former execution lets the next one go on in a batch that has not read the parent."""
    rig = Rig()
    made(rig, parent(), child("p", fail_fast=True, policies=Policies(overlap=Overlap.QUEUE)))
    rig.now = Instant(rig.now + SECOND)
    run_parent(rig)
    rig.settle("c", after=9)
    rig.settle("c", after=10)
    run_parent(rig)
    rig.core._tasks.cache.pop("p")
    rig.end()
    assert waits_for(rig) == [None], "it was looked at once more, with the parent read"


def test_a_look_that_changes_nothing_writes_nothing() -> None:
    rig = waiting()
    version = rig.task("c").state.version
    told = rig.send(Reconsider(("c", "no such task")))
    assert told == []
    assert rig.task("c").state.version == version


def test_a_parent_that_commits_while_the_childs_wait_is_being_committed_is_seen() -> None:
    """The child was decided on the parent as it was; the parent's commit lands first, the child's after it."""
    rig = Rig()
    made(rig, parent(), child("p"))
    execution = rig.run("p")
    rig.now = Instant(rig.now + 10 * SECOND)
    running = rig.running[execution.id, execution.fence]
    later = evolve(running, first_started_at=rig.now)
    rig.core._tasks.cache["p"] = evolve(rig.core._tasks.cache["p"], open=(later,))
    ends = [AttemptsEnded((rig._end_of(later, State.COMPLETED),))]
    rig.core.needs(ends)
    first, first_commit = rig.core.decide(ends, [], rig.now)
    settle = [Settle(("c",))]
    rig.core.needs(settle)
    second, second_commit = rig.core.decide(settle, [], rig.now)
    told, _ = rig.core.committed(first, rig.store.commit(first_commit))
    assert not [entry for entry in told if isinstance(entry, Reconsider)]
    told, _ = rig.core.committed(second, rig.store.commit(second_commit))
    assert [entry for entry in told if isinstance(entry, Reconsider)] == [Reconsider(("c",))]
    rig.send(Reconsider(("c",)))
    assert waits_for(rig) == [None]


def test_a_thousand_children_are_looked_at_in_slices() -> None:
    rig = Rig(slots=2_000)
    made(rig, parent(), *(child("p", task_id=f"c{number:04}") for number in range(1_000)))
    names = [f"c{number:04}" for number in range(1_000)]
    for start in range(0, 1_000, 200):
        rig.now = Instant(START + 10 * SECOND)
        rig.send(Settle(tuple(names[start : start + 200])))
    rig.told.clear()
    run_parent(rig)
    looks = [entry for entry in rig.told if isinstance(entry, Reconsider)]
    assert [len(entry.task_ids) for entry in looks] == [SLICE, SLICE, SLICE, 1_000 - 3 * SLICE]
    assert all(waits_for(rig, name) == [None] for name in names)
    rig.check_slots()


def test_a_store_that_cannot_commit_the_end_of_the_parent_loses_no_child() -> None:
    rig = waiting()
    execution = rig.run("p")
    rig.broken = True
    rig.end(execution=rig.running[execution.id, execution.fence])
    rig.broken = False
    rig.send()
    assert waits_for(rig) == [None]


def test_a_store_that_cannot_commit_what_follows_for_the_child_loses_no_child() -> None:
    rig = waiting()
    execution = rig.run("p")

    def break_at_the_child(commit: Any) -> None:
        rig.broken = any(update.task_id == "c" for update in commit.updates)

    rig.before_commit = break_at_the_child
    rig.end(execution=rig.running[execution.id, execution.fence])
    assert waits_for(rig) == [WaitsFor.DEPENDENCY]
    rig.before_commit, rig.broken = None, False
    look = rig.core.waits.sweep()
    assert look is not None
    rig.send(look)
    assert waits_for(rig) == [None]


# -- what is refused


def refused(rig: Rig, wanted: Definition, error: type[Exception], message: str) -> None:
    (answer,) = rig.create(wanted)
    assert isinstance(answer, error)
    assert message in str(answer)
    assert rig.store.tasks([wanted.id]) == []
    assert wanted.id not in {name for name, _ in rig.store.edges()}


def test_an_unknown_parent_is_refused_and_nothing_saved() -> None:
    refused(Rig(), child("nobody"), InvalidRequest, "no task nobody")


def test_a_memory_parent_of_a_stored_child_is_refused_with_the_reason() -> None:
    refused(Rig(), child("of the other lane"), InvalidRequest, "cannot wait for one in memory")


def test_a_cycle_is_refused_and_nothing_changed() -> None:
    rig = Rig()
    made(rig, parent("a"), child("a", task_id="b"), child("b", task_id="c"))
    before = rig.task("a")
    with pytest.raises(Conflict, match="'name of a' -> 'name of c' -> 'name of b' -> 'name of a'"):
        rig.edit(child("c", task_id="a"))
    assert rig.task("a") == before
    assert sorted(rig.store.edges()) == [("b", "a"), ("c", "b")]


def test_two_edits_of_one_batch_make_no_cycle() -> None:
    rig = Rig()
    made(rig, parent("a"), parent("b"))
    one, two = rig.reply(), rig.reply()
    rig.send(EditTask(child("b", task_id="a"), None, "me", one), EditTask(child("a", task_id="b"), None, "me", two))
    assert isinstance(one.result(), Task)
    with pytest.raises(Conflict, match="'name of b' -> 'name of a' -> 'name of b'"):
        two.result()
    assert rig.store.edges() == [("a", "b")]


def test_two_creations_of_one_batch_make_no_cycle() -> None:
    rig = Rig()
    first, second = rig.create(parent("a"), child("a", task_id="b"))
    assert (first.id, second.id) == ("a", "b")
    answers = rig.create(child("y", task_id="x"), child("x", task_id="y"))
    assert all(isinstance(answer, InvalidRequest) for answer in answers)


def test_an_edit_under_way_counts_for_the_next_one() -> None:
    rig = Rig()
    made(rig, parent("a"), parent("b"))
    first = [EditTask(child("b", task_id="a"), None, "me", rig.reply())]
    rig.core.needs(first)
    plan, commit = rig.core.decide(first, [], rig.now)
    reply = rig.reply()
    second = [EditTask(child("a", task_id="b"), None, "me", reply)]
    assert rig.core.needs(second).conflicts, "the parent is being committed"
    other = [EditTask(child("a", task_id="b"), None, "me", reply)]
    rig.core.decide(other, [], rig.now)
    rig.core.committed(plan, rig.store.commit(commit))
    assert rig.store.edges() == [("a", "b")]


def test_an_edit_that_was_not_committed_counts_no_more() -> None:
    rig = Rig()
    made(rig, parent("a"), parent("b"))
    rig.broken = True
    with pytest.raises(StoreUnavailable):
        rig.edit(child("b", task_id="a"))
    rig.broken = False
    rig.edit(child("a", task_id="b"))
    assert rig.store.edges() == [("b", "a")]


def test_an_edit_that_fails_for_another_reason_leaves_no_promise() -> None:
    rig = Rig()
    made(rig, parent("a"), parent("b"))
    rig.cancel("a")
    with pytest.raises(Conflict, match="cancelled"):
        rig.edit(child("b", task_id="a"))
    rig.edit(child("a", task_id="b"))
    assert rig.store.edges() == [("b", "a")]


def test_a_child_shows_which_parent_is_gone_and_can_still_be_edited() -> None:
    rig = Rig()
    made(rig, parent(), parent("q"), child("p", "q"))
    rig.delete("p")
    task = rig.task("c")
    assert task.definition.dependencies is not None
    assert task.definition.dependencies.parents == ("p", "q")
    rig.edit(evolve(task.definition, name="another name"))
    rig.edit(evolve(task.definition, dependencies=Dependencies(("p",), "any")))
    with pytest.raises(InvalidRequest, match="no task r"):
        rig.edit(evolve(task.definition, dependencies=Dependencies(("p", "r"))))
    rig.edit(evolve(task.definition, dependencies=None))
    with pytest.raises(InvalidRequest, match="no task p"):
        rig.edit(evolve(task.definition, dependencies=Dependencies(("p",))))


def test_a_parent_that_is_deleted_in_the_same_batch_is_unknown() -> None:
    rig = Rig()
    made(rig, parent())
    gone, answer = rig.reply(), rig.reply()
    rig.send(DeleteTask("p", "me", gone), CreateTasks((child("p"),), "me", answer))
    (error,) = answer.result()
    assert isinstance(error, InvalidRequest)


def test_a_new_life_of_the_keeper_knows_the_whole_graph() -> None:
    rig = Rig()
    made(rig, parent("a"), child("a", task_id="b"))
    rig.restart_keeper()
    with pytest.raises(Conflict, match="'name of a' -> 'name of b' -> 'name of a'"):
        rig.edit(child("b", task_id="a"))


def test_a_stale_row_of_the_child_is_decided_again() -> None:
    rig = waiting()
    execution = rig.run("p")
    bumped: list[bool] = []

    def meddle(commit: Any) -> None:
        if not bumped and any(update.task_id == "c" for update in commit.updates):
            bumped.append(True)
            rig.bump("c")

    rig.before_commit = meddle
    rig.end(execution=rig.running[execution.id, execution.fence])
    assert bumped
    assert waits_for(rig) == [None]


def test_without_any_dependencies_there_is_nothing_to_look_at() -> None:
    rig = Rig()
    made(rig, parent())
    rig.settle("p", after=3_600)
    rig.end()
    assert not rig.core.waits.anybody
    assert rig.core.waits.to_reconsider() == []
