"""The outbox's entries are in the commit of what they follow, and the herald's word is kept with everything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.command_messages import PauseTask, RetryTask, RunTask
from actors.keeper_messages import AttemptsEnded, Delivered, Recover, Settle
from actors.model.event import EventTrigger, On, Topic
from actors.model.lifecycle import OPEN_STATES, Phase, State
from actors.model.occurrence import Outcome
from actors.model.policy import CatchUp, OnCrash, Overlap, Policies, Retry
from actors.store.port import DeliveryWrite, EventState, OutboxEntry
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import Conflict, StoreUnavailable, TocsinError
from runtime.records import evolve

from .keeper_kit import Rig, definition

EVERYTHING = (EventTrigger("all", (Topic("t"),), tuple(On)),)
FAR = Instant(10**18)


def outbox(rig: Rig) -> list[OutboxEntry]:
    return rig.store.outbox_due(FAR, 100_000)


def test_an_end_and_its_entry_are_in_one_commit() -> None:
    rig = Rig()
    rig.create(definition(events=EVERYTHING))
    commits: list[Any] = []
    rig.before_commit = commits.append
    rig.settle(after=10)
    rig.end(result='{"rows": 3}')
    with_entry = [commit for commit in commits if commit.outbox]
    (commit,) = with_entry
    assert [write.execution.state for update in commit.updates for write in update.executions] == [State.COMPLETED]
    (entry,) = commit.outbox
    assert json.loads(entry.payload)["result"] == {"rows": 3}
    assert entry.execution_id == commit.updates[0].executions[0].execution.id


def test_what_is_not_looked_for_has_no_entry() -> None:
    rig = Rig()
    rig.create(definition(events=(EventTrigger("failed", (Topic("t"),)),)), definition("t2"))
    rig.settle("t1", "t2", after=10)
    rig.end()
    rig.end(State.FAILED)
    assert outbox(rig) == []


def test_a_failure_that_is_retried_is_no_end() -> None:
    rig = Rig()
    policies = Policies(retry=Retry(max_retries=1, delay=Micros(SECOND)))
    rig.create(definition(events=EVERYTHING, policies=policies))
    rig.settle(after=10)
    rig.end(State.FAILED)
    assert outbox(rig) == []
    rig.settle(after=1)
    rig.end(State.FAILED)
    (entry,) = outbox(rig)
    assert json.loads(entry.payload)["execution"]["attempt"] == 2
    assert json.loads(entry.payload)["counts"] == {"completed": 0, "failed": 1}


def test_a_deleted_task_has_no_followers() -> None:
    rig = Rig()
    rig.create(definition(events=EVERYTHING))
    rig.settle(after=10)
    rig.delete()
    rig.settle(after=30)
    assert outbox(rig) == []


# -- the herald's word


def delivered(reply: Any, entry: OutboxEntry, state: str = "fired") -> Delivered:
    write = DeliveryWrite(entry.id, entry.task_id, entry.execution_id, entry.event, entry.at, state)
    action = evolve(entry, id=f"action of {entry.id}")
    return Delivered((write,), (action,), (EventState(entry.task_id, entry.event, True, entry.at),), reply)


def with_entry(*task_ids: str) -> tuple[Rig, list[OutboxEntry]]:
    rig = Rig()
    rig.create(*[definition(task_id, events=EVERYTHING) for task_id in task_ids])
    rig.settle(*task_ids, after=10)
    for _ in task_ids:
        rig.end()
    return rig, outbox(rig)


def test_what_became_of_an_entry_is_committed_and_then_answered() -> None:
    rig, (entry,) = with_entry("t1")
    assert rig.ask(lambda reply: delivered(reply, entry)) is None
    assert [one.id for one in outbox(rig)] == [f"action of {entry.id}"]
    assert rig.store.event_states(["t1"]) == [EventState("t1", "all", True, entry.at)]
    assert [one.state for one in rig.store.deliveries("t1", offset=0, limit=9)[0]] == ["fired"]


def test_a_store_that_cannot_commit_is_told_to_the_herald() -> None:
    rig, (entry,) = with_entry("t1")
    rig.broken = True
    with pytest.raises(StoreUnavailable):
        rig.ask(lambda reply: delivered(reply, entry))
    rig.broken = False
    assert outbox(rig) == [entry]


def test_what_is_left_out_with_a_refused_task_is_written_again() -> None:
    rig, entries = with_entry("t1", "t2")
    one, two = sorted(entries, key=lambda entry: entry.task_id)
    rig.now = Instant(rig.now + 10 * SECOND)
    rig.bump("t1")
    replies = [rig.reply(), rig.reply()]
    rig.send(Settle(("t1",)), delivered(replies[0], one), delivered(replies[1], two))
    assert all(reply.answered and reply.result() is None for reply in replies)
    assert sorted(entry.id for entry in outbox(rig)) == sorted(f"action of {entry.id}" for entry in (one, two))
    assert len(rig.store.event_states(["t1", "t2"])) == 2


def run_under(execution_id: str, task_id: str = "t1", parameters: str | None = None) -> Callable[[Any], RunTask]:
    return lambda reply: RunTask(task_id, parameters, "task", None, "event", reply, execution_id)


def test_a_run_that_is_asked_for_twice_under_an_id_is_one() -> None:
    rig = Rig()
    rig.create(definition())
    ask = run_under("the-id")
    assert rig.ask(ask).id == rig.ask(ask).id == "the-id"
    assert len(rig.started) == 1
    rig.end()
    again = rig.ask(ask)
    assert (again.id, again.state) == ("the-id", State.COMPLETED)
    rig.cancel()
    assert rig.ask(ask).id == "the-id", "whatever has become of the task since"
    assert len(rig.started) == 1


def test_how_a_run_looked_when_its_task_was_not_yet_read_is_not_believed() -> None:
    rig = Rig()
    rig.create(definition())
    ask = run_under("the-id")
    rig.ask(ask)
    running = rig.store.execution("the-id")
    rig.end()
    with patch.object(rig.store, "execution", return_value=running):
        assert rig.ask(ask).id == "the-id"
    rig.run()
    assert len(rig.started) == 2, "nothing is in its way"


def test_a_failed_run_is_tried_again_as_it_is_and_not_as_it_was_seen() -> None:
    rig = Rig()
    rig.create(definition(policies=Policies(retry=Retry(max_retries=0))))
    failed = rig.ask(run_under("the-id"))
    rig.end(State.FAILED)
    seen = rig.store.execution("the-id")
    assert seen is not None
    rig.retry()
    rig.end(State.FAILED)
    rig.ask(lambda reply: RetryTask("t1", seen.execution, False, "me", reply))
    assert [(one.id, one.attempt) for one in rig.started] == [(failed.id, number) for number in (1, 2, 3)]


@pytest.mark.parametrize("ended", [False, True])
def test_another_run_under_the_same_id_is_refused_and_nobody_else(ended: bool) -> None:
    rig = Rig()
    rig.create(definition(), definition("t2"))
    rig.ask(run_under("the-id"))
    if ended:
        rig.end()
    for other in (run_under("the-id", parameters="{}"), run_under("the-id", "t2")):
        with pytest.raises(Conflict, match="the-id"):
            rig.ask(other)
    replies = [rig.reply(), rig.reply()]
    rig.send(run_under("the-id", "t2")(replies[0]), PauseTask("t2", None, "me", replies[1]))
    assert isinstance(refusal(replies[0]), Conflict)
    assert replies[1].result().state.phase is Phase.PAUSED
    assert len(rig.started) == 1


def test_two_runs_of_two_tasks_under_an_id_in_one_batch_are_one_and_a_conflict() -> None:
    rig = Rig()
    rig.create(definition(), definition("t2"))
    replies = [rig.reply() for _ in range(3)]
    asked = [run_under("the-id")(replies[0]), run_under("the-id", "t2")(replies[1])]
    rig.send(*asked, PauseTask("t2", None, "me", replies[2]))
    assert replies[0].result().id == "the-id"
    assert isinstance(refusal(replies[1]), Conflict)
    assert replies[2].result().state.phase is Phase.PAUSED


def refusal(reply: Any) -> Exception:
    with pytest.raises(TocsinError) as raised:
        reply.result()
    return raised.value


# -- every end once, whatever happens

policies = st.builds(
    Policies,
    retry=st.builds(Retry, max_retries=st.integers(0, 1), delay=st.just(Micros(SECOND))),
    overlap=st.sampled_from(Overlap),
    catch_up=st.sampled_from(CatchUp),
    catch_up_limit=st.integers(1, 3),
    lateness_limit=st.sampled_from([None, None, Micros(2 * SECOND)]),
    on_crash=st.sampled_from(OnCrash),
)
TASKS = ("t1", "t2")


class Followers(RuleBasedStateMachine):
    """After every step the outbox holds exactly the ends and the slots not run that the store has ever shown."""

    @initialize(first=policies, second=policies, slots=st.integers(1, 3))
    def begin(self, first: Policies, second: Policies, slots: int) -> None:
        self.rig = Rig(slots=slots)
        self.ends: set[tuple[str, int, str]] = set()
        self.rig.create(
            definition("t1", events=EVERYTHING, policies=first), definition("t2", events=EVERYTHING, policies=second)
        )

    def attempt(self, make: Any) -> None:
        try:
            make()
        except TocsinError:
            return

    @rule(task_ids=st.sets(st.sampled_from(TASKS), min_size=1), after=st.sampled_from([1, 10, 35]))
    def settle(self, task_ids: set[str], after: int) -> None:
        self.rig.settle(*sorted(task_ids), after=after)

    @precondition(lambda self: self.rig.running)
    @rule(state=st.sampled_from([State.COMPLETED, State.FAILED, State.TIMED_OUT, State.WAITING]), lingers=st.booleans())
    def end(self, state: State, lingers: bool) -> None:
        self.rig.end(state, holds_slot=lingers and state is State.TIMED_OUT)

    @precondition(lambda self: self.rig.abandoned)
    @rule()
    def the_abandoned_handler_returns(self) -> None:
        self.rig.handler_returns()

    @rule(
        task_id=st.sampled_from(TASKS), what=st.sampled_from(["run", "retry", "resume", "pause", "activate", "cancel"])
    )
    def command(self, task_id: str, what: str) -> None:
        self.attempt(lambda: getattr(self.rig, what)(task_id))

    @precondition(lambda self: self.rig.running)
    @rule()
    def the_process_dies(self) -> None:
        lost = list(self.rig.running.values())
        self.rig.running.clear()
        self.rig.restart_keeper()
        self.rig.send(Recover(tuple({execution.task_id for execution in lost}), frozenset()))

    @rule()
    def the_keeper_dies_after_a_commit(self) -> None:
        self.rig.crashed = True
        self.rig.settle(*TASKS, after=10)
        self.rig.crashed = False
        self.rig.restart_keeper()

    @rule()
    def the_store_is_away(self) -> None:
        self.rig.broken = True
        self.rig.settle(*TASKS, after=1)
        if self.rig.running:
            self.rig.end()
        self.rig.broken = False
        self.rig.send(AttemptsEnded(tuple(self.rig.unrecorded.values())))

    @rule(task_id=st.sampled_from(TASKS))
    def another_writer_was_here(self, task_id: str) -> None:
        self.rig.bump(task_id)

    @invariant()
    def every_end_has_one_entry(self) -> None:
        if not hasattr(self, "rig"):
            return
        facts = [json.loads(entry.payload) for entry in outbox(self.rig)]
        for task_id in TASKS:
            for execution in self.rig.store.executions(task_id, offset=0, limit=10_000)[0]:
                if execution.state not in OPEN_STATES:
                    self.ends.add((execution.id, execution.fence, execution.state.value))
        told = [(one["execution"]["id"], one["fence"], one["execution"]["state"]) for one in facts]
        assert sorted(end for end in told if end[0] is not None) == sorted(self.ends)
        dropped = [
            row
            for task_id in TASKS
            for row in self.rig.outcomes(task_id)
            if row.outcome in (Outcome.COALESCED, Outcome.MISSED, Outcome.SKIPPED) and row.state is None
        ]
        assert len([end for end in told if end[0] is None]) == len(dropped)


Followers.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestFollowers = Followers.TestCase
