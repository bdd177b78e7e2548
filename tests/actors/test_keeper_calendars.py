"""Calendars change under the tasks that use them: who is settled first, and who follows."""

from __future__ import annotations

import pytest

from actors.calendar_messages import DeleteCalendar, PutCalendar, Recalculate
from actors.command_messages import EditTask
from actors.keeper_calendars import SLICE, ZONES
from actors.keeper_messages import CreateTasks
from actors.model.lifecycle import Phase
from actors.store.port import Commit
from runtime.clock import HOUR, Instant
from runtime.errors import Conflict, InvalidRequest, NotFound
from runtime.records import evolve

from .calendar_kit import audits, delete, holidays, made, put, user, version_of
from .keeper_kit import START, Rig, definition

# -- versions


def test_a_calendar_is_kept_in_versions() -> None:
    rig = Rig()
    assert put(rig, holidays((1, 2))).version == 1
    assert put(rig, holidays((1, 3))).version == 2
    assert rig.store.calendar("", "holidays") == holidays((1, 3), version=2)
    assert rig.store.calendar("", "holidays", 1) == holidays((1, 2), version=1)
    assert audits(rig, "PutCalendar") == [("", "holidays version 2"), ("", "holidays version 1")]


def test_the_same_content_makes_no_new_version() -> None:
    rig = Rig()
    put(rig, holidays((1, 2)))
    assert put(rig, holidays((1, 2))).version == 1
    rig.restart_keeper()
    assert put(rig, holidays((1, 2))).version == 1
    assert len(audits(rig, "PutCalendar")) == 1


def test_two_changes_in_one_batch_are_two_versions() -> None:
    rig = Rig()
    one, two = rig.reply(), rig.reply()
    rig.send(PutCalendar(holidays((1, 2)), "me", one), PutCalendar(holidays((1, 3)), "me", two))
    assert (one.result().version, two.result().version) == (1, 2)
    made(rig, user(two.result()))
    assert version_of(rig) == 2


def test_a_given_version_is_kept_and_an_older_one_changes_nothing() -> None:
    rig = Rig()
    assert put(rig, holidays((1, 2), version=7)).version == 7
    assert put(rig, holidays((1, 3), version=6)) == holidays((1, 2), version=7)


def test_a_change_waits_for_the_one_that_is_being_committed() -> None:
    rig = Rig()
    batch = [PutCalendar(holidays((1, 2)), "me", rig.reply())]
    rig.core.needs(batch)
    plan, commit = rig.core.decide(batch, [], rig.now)
    assert rig.core.needs([PutCalendar(holidays((1, 3)), "me", rig.reply())]).conflicts
    rig.core.committed(plan, rig.store.commit(commit))
    assert put(rig, holidays((1, 3))).version == 2


def test_a_store_that_cannot_commit_leaves_everything_as_it_was() -> None:
    rig = Rig()
    first = put(rig, holidays((1, 2)))
    made(rig, user(first))
    rig.broken = True
    reply = rig.reply()
    rig.send(PutCalendar(holidays((1, 3)), "me", reply))
    with pytest.raises(Exception, match="no space"):
        reply.result()
    rig.broken = False
    assert put(rig, holidays((1, 4))).version == 2
    assert version_of(rig) == 2


# -- definitions name calendars


def test_a_definition_gets_the_newest_version() -> None:
    rig = Rig()
    first = put(rig, holidays((1, 2)))
    put(rig, holidays((1, 3)))
    made(rig, user(first))
    assert version_of(rig) == 2
    rig.edit(evolve(user(first), name="another name"))
    assert version_of(rig) == 2


def test_an_unknown_calendar_is_refused_and_nothing_saved() -> None:
    rig = Rig()
    (answer,) = rig.create(user(holidays((1, 2), version=1)))
    assert isinstance(answer, InvalidRequest)
    assert "no calendar 'holidays'" in str(answer)
    assert rig.store.tasks(["t1"]) == []


def test_a_task_in_memory_brings_its_calendar_along() -> None:
    rig = Rig()
    made(rig, user(holidays((1, 2), version=1), persistent=False))
    put(rig, holidays((1, 3), version=2))
    assert version_of(rig) == 2


def test_a_task_made_on_an_old_version_under_way_follows() -> None:
    """The calendar's commit and the task's are under way together: the walk over its users cannot have seen the task."""
    rig = Rig()
    first = put(rig, holidays((1, 2)))
    change = [PutCalendar(holidays((1, 3)), "me", rig.reply())]
    rig.core.needs(change)
    plan, commit = rig.core.decide(change, [], rig.now)
    creation = [CreateTasks((user(first),), "me", rig.reply())]
    rig.core.needs(creation)
    later, later_commit = rig.core.decide(creation, [], rig.now)
    rig.core.committed(plan, rig.store.commit(commit))
    (key, after) = rig.core.calendars.next_step() or (ZONES, "")
    assert rig.store.calendar_users(*key, after=after, limit=9) == []
    rig.send(rig.core.calendars.step(key, []))
    told, _ = rig.core.committed(later, rig.store.commit(later_commit))
    again = [entry for entry in told if isinstance(entry, Recalculate)]
    assert again == [Recalculate(("t1",))]
    rig.send(*again)
    assert version_of(rig) == 2


# -- a new version reaches every task


def test_what_was_owed_is_settled_under_the_old_version_first() -> None:
    rig = Rig()
    made(rig, user(put(rig, holidays((1, 2)))))
    rig.now = Instant(START + 3 * HOUR + HOUR // 2)
    put(rig, holidays((2, 5)))
    rows = [(first / 3600, last / 3600, outcome, reason) for first, last, outcome, reason in rig.ledger()]
    assert rows == [(1, 1, "skipped", "calendar"), (2, 2, "coalesced", "catch_up"), (3, 3, "late", "downtime")]
    task = rig.task()
    assert (version_of(rig), task.state.revision) == (2, 2)
    assert task.state.next_fire == START + 5 * HOUR, "the fourth hour is excluded by now"
    assert audits(rig, "CalendarChanged") == [("t1", "holidays version 2")]
    rig.end()
    rig.settle(after=4 * 3_600)
    assert rig.ledger()[3][2:] == ("skipped", "calendar")


def test_the_revisions_say_which_version_held_when() -> None:
    rig = Rig()
    made(rig, user(put(rig, holidays((1, 2)))))
    put(rig, holidays((1, 3)))
    versions = [one.definition.bounds.calendars[0].calendar.version for one in rig.store.revisions("t1")]
    assert versions == [1, 2]


def test_a_thousand_users_follow_in_slices() -> None:
    rig = Rig()
    first = put(rig, holidays((1, 2)))
    names = [f"t{number:04}" for number in range(1_000)]
    made(rig, *(user(first, name) for name in names))
    sizes: list[int] = []
    rig.before_commit = lambda commit: sizes.append(len(commit.updates))
    put(rig, holidays((1, 3)))
    assert {version_of(rig, name) for name in names} == {2}
    assert max(sizes) == SLICE
    assert sorted(task_id for task_id, _ in audits(rig, "CalendarChanged")) == names
    assert rig.core.calendars.next_step() is None


def test_a_walk_that_a_crash_cut_off_is_taken_up_again() -> None:
    rig = Rig()
    first = put(rig, holidays((1, 2)))
    names = [f"t{number:04}" for number in range(600)]
    made(rig, *(user(first, name) for name in names))
    commits: list[Commit] = []

    def crash_later(commit: Commit) -> None:
        commits.append(commit)
        rig.crashed = len(commits) == 2

    rig.before_commit = crash_later
    rig.send(PutCalendar(holidays((1, 3)), "me", rig.reply()))
    rig.before_commit, rig.crashed = None, False
    assert {version_of(rig, name) for name in names} == {1, 2}
    other = Rig(boot="boot-2", store=rig.store, now=rig.now)
    assert {version_of(other, name) for name in names} == {2}
    assert len(audits(other, "CalendarChanged")) == 600, "each of them once"


def test_a_slice_that_could_not_be_committed_is_looked_at_again() -> None:
    rig = Rig()
    made(rig, user(put(rig, holidays((1, 2)))))

    def break_at_the_slice(commit: Commit) -> None:
        rig.broken = bool(commit.updates)

    rig.before_commit = break_at_the_slice
    rig.send(PutCalendar(holidays((1, 3)), "me", rig.reply()))
    assert version_of(rig) == 1
    rig.before_commit, rig.broken = None, False
    rig.send()
    assert version_of(rig) == 2


def test_a_second_change_during_the_walk_reaches_everybody() -> None:
    rig = Rig()
    first = put(rig, holidays((1, 2)))
    names = [f"t{number:04}" for number in range(600)]
    made(rig, *(user(first, name) for name in names))
    rig.send(PutCalendar(holidays((1, 3)), "me", rig.reply()), PutCalendar(holidays((1, 4)), "me", rig.reply()))
    assert {version_of(rig, name) for name in names} == {3}


def test_a_slice_that_was_read_before_a_change_does_not_end_the_walk_after_it() -> None:
    rig = Rig()
    made(rig, user(put(rig, holidays((1, 2)))))
    rig.core.calendars.load(rig.store.calendars(None))
    key, _ = rig.core.calendars.next_step() or (ZONES, "")
    early = rig.core.calendars.step(key, ["t1"])
    rig.send(PutCalendar(holidays((1, 3)), "me", rig.reply()), early)
    assert version_of(rig) == 2
    assert rig.core.calendars.next_step() is None


def test_a_paused_task_follows_and_says_what_it_missed() -> None:
    rig = Rig()
    made(rig, user(put(rig, holidays((9, 10)))))
    rig.pause()
    rig.now = Instant(START + 2 * HOUR)
    put(rig, holidays((9, 11)))
    task = rig.task()
    assert (task.state.phase, task.state.next_fire, version_of(rig)) == (Phase.PAUSED, None, 2)
    assert [row[3] for row in rig.ledger()] == ["paused"]


def test_finished_and_cancelled_tasks_follow_without_firing() -> None:
    rig = Rig()
    first = put(rig, holidays((9, 10)))
    made(rig, user(first, "a"))
    rig.cancel("a")
    put(rig, holidays((9, 11)))
    assert (version_of(rig, "a"), rig.task("a").state.phase) == (2, Phase.CANCELLED)


def test_a_stale_row_is_decided_again() -> None:
    rig = Rig()
    made(rig, user(put(rig, holidays((1, 2)))))
    bumped: list[bool] = []

    def meddle(commit: Commit) -> None:
        if not bumped and commit.updates:
            bumped.append(True)
            rig.bump()

    rig.before_commit = meddle
    put(rig, holidays((1, 3)))
    assert bumped
    assert version_of(rig) == 2


# -- deletion


def test_a_calendar_in_use_is_not_deleted_and_its_users_are_named() -> None:
    rig = Rig()
    first = put(rig, holidays((1, 2)))
    made(rig, *(user(first, f"t{number}") for number in range(7)))
    with pytest.raises(Conflict, match=r"'name of t0', 'name of t1', .*'name of t4', \.\.\.$"):
        delete(rig)
    assert rig.store.calendar("", "holidays") == first


def test_a_calendar_that_a_task_of_the_same_batch_uses_is_not_deleted() -> None:
    rig = Rig()
    first = put(rig, holidays((1, 2)))
    made_now, gone = rig.reply(), rig.reply()
    rig.send(CreateTasks((user(first),), "me", made_now), DeleteCalendar("", "holidays", "me", gone))
    with pytest.raises(Conflict, match="is used by 'name of t1'"):
        gone.result()


def test_a_deleted_calendar_is_gone_and_can_be_made_anew() -> None:
    rig = Rig()
    first = put(rig, holidays((1, 2)))
    assert delete(rig).deleted
    with pytest.raises(NotFound, match="no calendar 'holidays'"):
        delete(rig)
    (answer,) = rig.create(user(first))
    assert isinstance(answer, InvalidRequest)
    assert put(rig, holidays((1, 2))).version == 3
    made(rig, user(first))
    assert version_of(rig) == 3


def test_an_unknown_calendar_cannot_be_deleted() -> None:
    with pytest.raises(NotFound, match="no calendar 'nothing'"):
        delete(Rig(), "nothing")


def test_no_task_is_made_with_a_calendar_whose_deletion_is_under_way() -> None:
    rig = Rig()
    first = put(rig, holidays((1, 2)))
    gone = [DeleteCalendar("", "holidays", "me", rig.reply())]
    rig.core.needs(gone)
    plan, commit = rig.core.decide(gone, [], rig.now)
    reply = rig.reply()
    creation = [CreateTasks((user(first),), "me", reply)]
    rig.core.needs(creation)
    later, later_commit = rig.core.decide(creation, [], rig.now)
    assert later_commit.creates == ()
    rig.core.committed(plan, rig.store.commit(commit))
    rig.core.committed(later, rig.store.commit(later_commit))


def test_an_edit_cannot_name_an_unknown_calendar() -> None:
    rig = Rig()
    made(rig, definition())
    with pytest.raises(InvalidRequest, match="no calendar"):
        rig.ask(lambda reply: EditTask(user(holidays((1, 2), version=1)), None, "me", reply))
