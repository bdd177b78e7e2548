"""What every adapter promises of its writes: guards, all or nothing, exact data."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from actors import keeper_plain
from actors.keeper_claims import Claims
from actors.keeper_messages import AttemptEnd
from actors.keeper_staging import Stepped
from actors.model.execution import Attempt, Failure
from actors.model.lifecycle import Phase, State
from actors.model.occurrence import Outcome, Reason, Settled
from actors.model.task import Extra, Task, TaskState
from actors.model.trigger import Cron, Interval
from actors.store.answers import Counts, Identity, LogLine, Revision, TaskFilter
from actors.store.port import (
    Audit,
    CheckpointWrite,
    Create,
    ExecutionWrite,
    LogWrite,
    ProgressWrite,
    Step,
    Store,
    Update,
)
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import Conflict, InternalError, StaleEpoch, StaleFence, StaleVersion
from tests.actors.records import create, definition, running, task, update
from tests.conformance.store_kit import LATE, add_running, commit, end, stored

# -- identity and epochs


def test_the_founding_values_stay(store: Store) -> None:
    again = store.open(new_cluster_id="other", partitions=99, timezone_database="2030a")
    assert attrs.evolve(again, schema_version=1) == Identity("cluster", 16, 1, "2026f")


def test_an_epoch_grows_by_one_for_each_higher_grant(store: Store) -> None:
    assert store.raise_epochs({0: 1, 1: 7}, "first") == {0: 1, 1: 1}
    assert store.raise_epochs({0: 1, 1: 8, 2: 1}, "second") == {1: 2, 2: 1}
    assert store.last_grants() == {0: 1, 1: 8, 2: 1}


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_another_epoch_refuses_the_tasks_of_that_partition_only(store: Store, epoch: int) -> None:
    store.raise_epochs({0: 1, 1: 1}, "boot")
    store.raise_epochs({0: 2}, "boot")
    assert commit(store, create("a", 0), create("b", 1), epochs={0: epoch, 1: 1}) == {"a": StaleEpoch}
    assert [found.id for found in store.tasks(["a", "b"])] == ["b"]
    moved = update(stored(store, "b"), partition=1)
    assert commit(store, create("a", 0), moved, epochs={0: 2, 1: 2}) == {"b": StaleEpoch}
    assert stored(store, "b").state.version == 1


# -- creating


@pytest.mark.parametrize("number", [1, 3, 17, 256, 700])
def test_what_was_created_reads_back_equal(store: Store, number: int) -> None:
    tasks = [task(f"t{index:03}", next_fire=index) for index in range(number)]
    assert commit(store, *(Create(entry, 3) for entry in tasks)) == {}
    assert sorted(store.tasks([entry.id for entry in tasks]), key=lambda entry: entry.id) == tasks
    assert store.counts() == Counts(number, {"SCHEDULED": number}, {})


@pytest.mark.parametrize(
    "data",
    [b"", b"a\0b", b"one\r\ntwo\n", b"\xff\xfe\xc0\x80", bytes(range(256)) * 4096],
    ids=["empty", "NUL", "CRLF", "invalid UTF-8", "1 MiB"],
)
def test_extra_bytes_are_exact(store: Store, data: bytes) -> None:
    made = task(extra=Extra(data, "application/x-test"))
    assert commit(store, Create(made, 0), create("t2")) == {}
    assert stored(store) == made
    assert stored(store, "t2").definition.extra is None
    (found,) = store.page(TaskFilter(text="name of t1")).tasks
    assert found == made


def test_a_large_definition_reads_back_equal(store: Store) -> None:
    made = task(parameters='{"text":"' + "ä\\u0000" * 40_000 + '"}', tags=("x", "y"), tenant="one", owner="me")
    assert commit(store, Create(made, 0)) == {}
    assert stored(store) == made


def test_a_name_is_unique_in_its_tenant(store: Store) -> None:
    assert commit(store, create("a", name="same"), create("b", name="same", tenant="other")) == {}
    assert commit(store, create("c", name="same"), create("d", name="new")) == {"c": Conflict}
    assert [store.find("", "same"), store.find("other", "same"), store.find("", "none")] == ["a", "b", None]
    assert [found.id for found in store.tasks(["c", "d"])] == ["d"]


def test_of_two_new_tasks_with_one_name_the_first_wins(store: Store) -> None:
    assert commit(store, create("a", name="same"), create("b", name="same")) == {"b": Conflict}
    assert store.find("", "same") == "a"


def test_an_id_is_used_once(store: Store) -> None:
    assert commit(store, create("a")) == {}
    assert commit(store, create("a", name="other")) == {"a": Conflict}
    assert stored(store, "a").definition.name == "name of a"


def test_executions_and_ledger_rows_come_with_the_task(store: Store) -> None:
    row = Settled("t1", Instant(1), Instant(9), 4, Outcome.MISSED, Reason.DOWNTIME, Instant(10), 1)
    made = attrs.evolve(task(), open=(running("e1"), running("e2", nominal=None)))
    assert commit(store, Create(made, 0, (row,))) == {}
    assert stored(store) == made
    assert [entry.first for entry in store.outcomes("t1", since=Instant(0), until=LATE, limit=9)] == [1, 90]
    assert store.counts().by_outcome == {"missed": 4}


def test_two_changes_of_one_task_in_a_commit_are_an_error_of_ours(store: Store) -> None:
    with pytest.raises(InternalError):
        commit(store, create("a"), update(task("a")))
    assert store.tasks(["a"]) == []


# -- updating


def test_an_update_needs_the_expected_version(store: Store) -> None:
    commit(store, create("a"), create("b"))
    old = stored(store, "a")
    changed = {"note": "n", "phase": Phase.PAUSED, "last_state": State.FAILED, "last_started_at": Instant(3)}
    assert commit(store, update(old, state=changed), update(stored(store, "b"))) == {}
    assert stored(store, "a").state == attrs.evolve(old.state, version=2, **changed)
    assert commit(store, update(old), update(stored(store, "b"))) == {"a": StaleVersion}
    assert [stored(store, name).state.version for name in "ab"] == [2, 3]


def test_an_update_of_a_task_that_is_gone_is_stale(store: Store) -> None:
    assert commit(store, update(task("gone"))) == {"gone": StaleVersion}


def test_a_refused_update_leaves_nothing(store: Store) -> None:
    held = add_running(store)
    lines = (
        ExecutionWrite(running("new"), None),
        ExecutionWrite(attrs.evolve(held.open[0], state=State.COMPLETED), attrs.evolve(held.open[0], fence=7)),
    )
    row = Settled("t1", Instant(1), Instant(1), 1, Outcome.SKIPPED, Reason.OVERLAP, Instant(2), 1)
    audit = Audit(Instant(1), "me", "edit", "t1")
    assert commit(store, update(held, *lines, settled=(row,)), create("b"), audits=(audit,)) == {"t1": StaleFence}
    assert stored(store) == held
    assert store.execution("new") is None
    assert len(store.outcomes("t1", since=Instant(0), until=LATE, limit=9)) == 1
    assert store.audits(offset=0, limit=9) == []
    assert store.counts() == Counts(2, {"SCHEDULED": 2}, {})


def test_many_refused_among_many_leave_the_others_committed(store: Store) -> None:
    names = [f"t{index:03}" for index in range(300)]
    assert commit(store, *map(create, names)) == {}
    found = {entry.id: entry for entry in store.tasks(names)}
    stale = set(names[::7])
    changes = [update(found[name]) for name in names]
    wrong = [attrs.evolve(change, expected=4) if change.task_id in stale else change for change in changes]
    assert commit(store, *wrong) == dict.fromkeys(stale, StaleVersion)
    assert {entry.id for entry in store.tasks(names) if entry.state.version == 1} == stale


def test_an_edit_keeps_the_former_revision(store: Store) -> None:
    first = definition(extra=Extra(b"\0one"), parameters='{"a":"' + "x" * 3000 + '"}')
    commit(store, Create(Task(first, TaskState(settled_through=Instant(5))), 0))
    second = attrs.evolve(first, name="renamed", trigger=Cron("* * * * *"), extra=None, parameters="{}")
    state = {"revision": 2, "settled_through": Instant(700)}
    assert commit(store, update(stored(store), definition=second, state=state)) == {}
    assert stored(store).definition == second
    assert [store.find("", "renamed"), store.find("", first.name)] == ["t1", None]
    assert store.revisions("t1") == [Revision(1, first, Instant(5)), Revision(2, second, Instant(700))]
    assert store.revisions("none") == []


def test_an_edit_cannot_take_a_name_or_change_another_version(store: Store) -> None:
    commit(store, create("a"), create("b"))
    old = stored(store, "a")
    taken = attrs.evolve(old.definition, name="name of b")
    assert commit(store, update(old, definition=taken, state={"revision": 2})) == {"a": Conflict}
    free = attrs.evolve(old.definition, name="free")
    late = attrs.evolve(update(old, definition=free, state={"revision": 2}), expected=9)
    assert commit(store, late) == {"a": StaleVersion}
    assert stored(store, "a") == old
    assert len(store.revisions("a")) == 1


def test_deletion_removes_all_but_the_audit_records(store: Store) -> None:
    held = add_running(store)
    note = LogWrite("e of t1", 1, ((Instant(1), "INFO", "x"),))
    audit = Audit(Instant(1), "me", "delete", "t1", "why")
    commit(store, logs=(note,), progress=(ProgressWrite("e of t1", 1, "{}"),))
    assert commit(store, attrs.evolve(update(held), expected=7, delete=True)) == {"t1": StaleVersion}
    assert commit(store, update(held, delete=True), create("t2"), audits=(audit,)) == {}
    assert store.tasks(["t1"]) == []
    assert [store.execution("e of t1"), store.checkpoint("e of t1"), store.find("", "name of t1")] == [None] * 3
    assert store.logs("e of t1", after=0, limit=9) == []
    assert store.outcomes("t1", since=Instant(0), until=LATE, limit=9) == []
    assert store.due(None, LATE, 9) == [(1000, "t2")]
    assert store.audits(offset=0, limit=9) == [audit]
    assert store.counts() == Counts(1, {"SCHEDULED": 1}, {})
    assert commit(store, create("t1")) == {}


# -- executions


def test_an_execution_is_guarded_by_fence_and_state(store: Store) -> None:
    held = add_running(store, outcome=None)
    former = held.open[0]
    for wrong in (attrs.evolve(former, fence=2), attrs.evolve(former, state=State.WAITING)):
        assert commit(store, end(held, write={"former": wrong})) == {"t1": StaleFence}
    failure = Failure("ValueError", "wörse\0 \ud800", "trace")
    changed = {"outcome": Outcome.LATE, "reason": Reason.QUEUE, "failure": failure, "failures": 1}
    assert commit(store, end(held, State.FAILED, execution=changed)) == {}
    assert stored(store).open == ()
    detail = store.execution(former.id)
    assert detail is not None
    assert detail.execution == attrs.evolve(former, state=State.FAILED, ended_at=Instant(200), **changed)
    assert commit(store, end(attrs.evolve(held, state=stored(store).state))) == {"t1": StaleFence}
    assert store.counts().by_outcome == {"late": 1}


def test_former_attempts_and_the_result_are_kept(store: Store) -> None:
    held = add_running(store)
    tries = [
        Attempt("e of t1", number, number, "n", "b", State.FAILED, Instant(1), Instant(2), Failure("E", "m"))
        for number in (1, 2)
    ]
    again = attrs.evolve(held.open[0], attempt=2, fence=2)
    commit(store, update(held, ExecutionWrite(again, held.open[0], tries[0])))
    now = stored(store)
    commit(store, end(now, write={"archive": tries[1], "result": '{"a":1}'}))
    detail = store.execution("e of t1")
    assert detail is not None
    assert detail.attempts == tuple(tries)
    assert [detail.result, detail.checkpoint, detail.progress] == ['{"a":1}', None, None]
    assert store.execution("none") is None


def test_waiting_running_and_held_executions_come_with_their_task_in_order(store: Store) -> None:
    states = [State.RUNNING, State.COMPLETED, State.CRASHED, State.WAITING, State.CANCELLED]
    writes = [ExecutionWrite(running(f"e{9 - place}", state=state)) for place, state in enumerate(states)]
    commit(store, create(), create("t2"))
    assert commit(store, update(stored(store), *writes)) == {}
    assert [entry.id for entry in stored(store).open] == ["e9", "e7", "e6"]
    page, total = store.executions("t1", offset=1, limit=3)
    assert [entry.id for entry in page] == ["e6", "e7", "e8"]
    assert total == 5
    assert store.executions("t1", offset=9, limit=3) == ([], 5)
    assert store.executions("none", offset=0, limit=3) == ([], 0)


def test_an_ended_execution_that_is_retried_is_open_again_in_its_place(store: Store) -> None:
    writes = [ExecutionWrite(running(name)) for name in ("e1", "e2", "e3")]
    commit(store, create())
    commit(store, update(stored(store), *writes))
    for state, former in ((State.FAILED, State.RUNNING), (State.WAITING, State.FAILED)):
        change = ExecutionWrite(running("e2", state=state), running("e2", state=former))
        assert commit(store, update(stored(store), change)) == {}
    assert [(entry.id, entry.state) for entry in stored(store).open] == [
        ("e1", State.RUNNING),
        ("e2", State.WAITING),
        ("e3", State.RUNNING),
    ]


def test_an_execution_id_is_used_once(store: Store) -> None:
    add_running(store)
    commit(store, create("t2"))
    assert commit(store, update(stored(store, "t2"), ExecutionWrite(running("e of t1", "t2")))) == {"t2": Conflict}
    assert stored(store, "t2").open == ()


# -- checkpoints, progress, logs


def only_checkpoints(stored_task: Task, *writes: CheckpointWrite) -> Update:
    return Update(stored_task.id, 0, stored_task.state.version, stored_task.state, None, checkpoints=writes)


def test_checkpoints_leave_the_version_and_reset_crashes(store: Store) -> None:
    held = add_running(store, crashes=2)
    writes = [CheckpointWrite("e of t1", "t1", 1, f'"{number}"') for number in range(3)]
    assert commit(store, only_checkpoints(held, *writes)) == {}
    now = stored(store)
    assert now.state == held.state
    assert [now.open[0].crashes, now.open[0].checkpoints] == [0, 3]
    assert store.checkpoint("e of t1") == '"2"'
    assert store.due(None, LATE, 9) == [(1000, "t1")]
    other = attrs.evolve(only_checkpoints(held, writes[0]), expected=77, state=attrs.evolve(held.state, version=77))
    assert commit(store, other) == {}
    assert store.checkpoint("e of t1") == '"0"'


@pytest.mark.parametrize("changes", [{"fence": 2}, {"fence": 0}, {"execution_id": "none"}])
def test_a_checkpoint_under_another_fence_is_refused_with_all_of_its_update(
    store: Store, changes: dict[str, Any]
) -> None:
    held = add_running(store, crashes=2)
    good = CheckpointWrite("e of t1", "t1", 1, "1")
    bad = attrs.evolve(good, **changes)
    assert commit(store, only_checkpoints(held, good, bad)) == {"t1": StaleFence}
    assert commit(store, update(held, checkpoints=(bad,))) == {"t1": StaleFence}
    assert stored(store) == held
    assert store.checkpoint("e of t1") is None


def test_a_checkpoint_of_an_ended_attempt_is_refused(store: Store) -> None:
    held = add_running(store)
    write = CheckpointWrite("e of t1", "t1", 1, "1")
    last = end(held, State.FAILED, checkpoints=(write,), execution={"checkpoints": 1})
    assert commit(store, last) == {}
    assert store.checkpoint("e of t1") == "1"
    assert commit(store, only_checkpoints(stored(store), write)) == {"t1": StaleFence}


def test_a_checkpoint_can_be_dropped(store: Store) -> None:
    held = add_running(store)
    commit(store, only_checkpoints(held, CheckpointWrite("e of t1", "t1", 1, "1")))
    assert commit(store, end(stored(store), write={"drop_checkpoint": True})) == {}
    assert store.checkpoint("e of t1") is None


def test_progress_of_another_fence_is_dropped(store: Store) -> None:
    held = add_running(store)
    notes = [ProgressWrite("e of t1", 1, "1"), ProgressWrite("e of t1", 2, "2"), ProgressWrite("none", 1, "3")]
    assert commit(store, progress=tuple(notes)) == {}
    detail = store.execution("e of t1")
    assert detail is not None
    assert detail.progress == "1"
    commit(store, end(held))
    commit(store, progress=(ProgressWrite("e of t1", 1, "4"),))
    assert store.execution("e of t1").progress == "1"  # type: ignore[union-attr]


def test_log_lines_are_in_order_and_can_be_read_on(store: Store) -> None:
    add_running(store)
    for start in (0, 2):
        lines = tuple((Instant(number), "INFO", f"line {number}") for number in (start, start + 1))
        commit(store, logs=(LogWrite("e of t1", 1, lines), LogWrite("none", 1, lines)))
    found = store.logs("e of t1", after=0, limit=99)
    assert [(line.at, line.text) for line in found] == [(number, f"line {number}") for number in range(4)]
    assert store.logs("e of t1", after=found[1].sequence, limit=1) == [found[2]]
    assert isinstance(found[0], LogLine)


def test_a_line_with_half_a_surrogate_pair_does_not_hold_up_the_commit(store: Store) -> None:
    add_running(store)
    commit(store, create("t2"), logs=(LogWrite("e of t1", 1, ((Instant(1), "INFO", "half \ud800"),)),))
    (line,) = store.logs("e of t1", after=0, limit=9)
    assert line.text.startswith("half ")
    assert stored(store, "t2").id == "t2"


def test_the_last_progress_is_kept_when_its_attempt_ends_in_the_same_commit(store: Store) -> None:
    running_task = add_running(store)
    (execution,) = running_task.open
    ended = end(running_task)
    assert commit(store, ended, progress=(ProgressWrite(execution.id, execution.fence, '{"done":9}'),)) == {}
    detail = store.execution(execution.id)
    assert detail is not None
    assert detail.progress == '{"done":9}'


def test_the_last_progress_is_kept_when_others_of_its_commit_are_refused(store: Store) -> None:
    first, second = add_running(store, "t1"), add_running(store, "t2")
    (execution,) = first.open
    stale = attrs.evolve(end(second), expected=99)
    progress = (ProgressWrite(execution.id, execution.fence, '{"done":9}'),)
    assert commit(store, end(first), stale, progress=progress) == {"t2": StaleVersion}
    detail = store.execution(execution.id)
    assert detail is not None
    assert detail.progress == '{"done":9}'


# -- order within a commit


def named(stored_task: Task, name: str, **changes: Any) -> Update:
    """An edit that gives a task another name."""
    return update(stored_task, definition=attrs.evolve(stored_task.definition, name=name), **changes)


def held_tasks(store: Store) -> tuple[Task, Task, Task]:
    a, b, c = (add_running(store, name) for name in ("a", "b", "c"))
    return a, b, c


def test_an_edit_sees_the_names_that_deletions_before_it_set_free(store: Store) -> None:
    a, b, c = held_tasks(store)
    assert commit(store, update(a, delete=True), named(b, a.definition.name), named(c, b.definition.name)) == {}
    assert store.find("", a.definition.name) == "b"
    assert store.find("", b.definition.name) == "c"


def test_an_edit_does_not_see_the_names_that_deletions_after_it_set_free(store: Store) -> None:
    a, b, _ = held_tasks(store)
    assert commit(store, named(b, a.definition.name), update(a, delete=True)) == {"b": Conflict}
    assert stored(store, "b").definition == b.definition
    assert store.tasks(["a"]) == []


def test_a_creation_comes_before_every_update(store: Store) -> None:
    a, b, _ = held_tasks(store)
    new = attrs.evolve(definition("d"), name=a.definition.name)
    other = attrs.evolve(definition("e"), name=b.definition.name)
    creates = (Create(Task(new, TaskState()), 0), Create(Task(other, TaskState()), 0))
    assert commit(store, *creates, update(a, delete=True), named(b, "free")) == {"d": Conflict, "e": Conflict}
    assert commit(store, *creates) == {}


@pytest.mark.parametrize("deleted_first", [True, False])
def test_a_new_execution_sees_the_ids_that_deletions_before_it_set_free(store: Store, deleted_first: bool) -> None:
    a, b, _ = held_tasks(store)
    again = update(b, ExecutionWrite(running("e of a", "b")))
    deletion = update(a, delete=True)
    changes = (deletion, again) if deleted_first else (again, deletion)
    assert commit(store, *changes) == ({} if deleted_first else {"b": Conflict})
    detail = store.execution("e of a")
    assert (detail and detail.execution.task_id) == ("b" if deleted_first else None)
    assert store.tasks(["a"]) == []


def test_of_several_broken_guards_a_fence_is_told_before_an_id(store: Store) -> None:
    a, _, _ = held_tasks(store)
    (execution,) = a.open
    stale = ExecutionWrite(attrs.evolve(execution, state=State.FAILED), attrs.evolve(execution, fence=9))
    assert commit(store, update(a, ExecutionWrite(running("e of b", "a")), stale)) == {"a": StaleFence}


# -- the common steps


def _fired(stored_task: Task, now: Instant) -> Stepped:
    claims = Claims("boot", "node", lambda _: True)
    claims.synchronise(1)
    stepped = keeper_plain.fire(stored_task, 0, claims, lambda: f"e of {stored_task.id}", now)
    assert stepped is not None
    return stepped


@pytest.mark.parametrize("number", [1, 5, 300])
@pytest.mark.parametrize("late", [0, 2_000_000])
def test_a_common_step_is_stored_to_the_last_field(store: Store, number: int, late: int) -> None:
    now = Instant(1000 + late)
    ids = [f"t{index:03}" for index in range(number)]
    hourly = Interval(Micros(3600 * SECOND), Instant(0))
    commit(store, *(create(task_id, trigger=hourly) for task_id in ids))
    fired = [_fired(found, now) for found in sorted(store.tasks(ids), key=lambda found: found.id)]
    steps = [one.update for one in fired]
    assert {one.step for one in steps} == {Step.FIRED}
    assert commit(store, *steps) == {}
    running_ones = sorted(store.tasks(ids), key=lambda found: found.id)
    assert running_ones == [one.task for one in fired]
    assert commit(store, *steps) == dict.fromkeys(ids, StaleVersion)

    ended = Instant(now + 7)
    completions = []
    for found in running_ones:
        end_of_it = AttemptEnd(found.id, f"e of {found.id}", 1, State.COMPLETED, now, ended, result="[1]")
        completed = keeper_plain.completion(found, 0, end_of_it)
        assert completed is not None
        completions.append(completed)
    steps = [one.update for one in completions]
    assert {one.step for one in steps} == {Step.COMPLETED}
    assert commit(store, *steps) == {}
    assert sorted(store.tasks(ids), key=lambda found: found.id) == [one.task for one in completions]
    for completed in completions:
        detail = store.execution(completed.execution.id)
        assert detail is not None
        assert (detail.execution, detail.result) == (completed.execution, "[1]")
    assert commit(store, *steps) == dict.fromkeys(ids, StaleVersion)


def test_a_completion_of_what_runs_under_another_fence_is_refused(store: Store) -> None:
    commit(store, create("t1"))
    commit(store, _fired(stored(store), Instant(1000)).update)
    found = stored(store)
    wrong = attrs.evolve(found, open=(attrs.evolve(found.open[0], fence=2),))
    end_of_it = AttemptEnd("t1", "e of t1", 2, State.COMPLETED, Instant(1000), Instant(1001))
    completed = keeper_plain.completion(wrong, 0, end_of_it)
    assert completed is not None
    assert commit(store, completed.update) == {"t1": StaleFence}
    assert stored(store) == found
