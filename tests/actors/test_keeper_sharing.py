"""Keepers of several nodes over one store: any node may be asked, owners decide, whoever has room runs."""

from __future__ import annotations

import pytest

from actors.command_messages import RunTask
from actors.keeper_messages import CreateTasks
from actors.model.lifecycle import State
from actors.model.placement import Placement, Where
from actors.model.policy import Concurrency, Overlap, Policies, Retry
from actors.model.task import Dependencies, partition_of
from actors.model.trigger import Interval
from actors.rules.placing import NODE_GONE_AFTER
from actors.sharing_messages import EndTasks, Offered, SendDeclined, ZonesSwitched
from runtime.clock import SECOND, Micros
from runtime.errors import Conflict
from runtime.records import evolve

from .keeper_kit import START, definition
from .sharing_kit import PARTITIONS, Nodes


def named(owner: int, number: int = 1, prefix: str = "t") -> list[str]:
    """Task ids whose partition is the one of this number."""
    found = [f"{prefix}{n}" for n in range(200) if partition_of(f"{prefix}{n}", PARTITIONS) == owner]
    return found[:number]


def test_what_is_made_on_another_node_is_fired_by_its_owner():
    nodes = Nodes(2, owners=[0, 0, 0, 0])
    (task_id,) = named(1)
    nodes[1].create(definition(task_id))
    assert nodes.woken == [task_id]
    nodes.deliver()
    nodes.advance(10)
    nodes[1].fire()
    assert nodes[1].started == []
    nodes[0].fire()
    assert [one.task_id for one in nodes[0].started] == [task_id]


def test_a_task_is_as_old_as_the_decision_that_made_it():
    nodes = Nodes(2, owners=[0, 0, 0, 0])
    nodes.advance(3)
    nodes[0].create(definition("t1"))
    # Else slots that passed while the request waited for its turn were the task's, and had no outcome.
    task = nodes[0].task()
    assert task.definition.created_at == task.state.settled_through > definition("t1").created_at


def test_a_task_that_was_deleted_and_made_again_under_its_id_is_not_taken_for_the_former_one():
    nodes = Nodes(2, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1", trigger=Interval(Micros(SECOND), START)))
    nodes[1].delete()
    nodes[1].create(definition("t1", trigger=Interval(Micros(5 * SECOND), START)))
    nodes.lose()
    nodes.advance(6)
    nodes[0].fire()
    assert nodes[0].ledger() == [(5, 5, "fired", None)]


def test_a_stale_memory_of_a_task_is_noticed_when_it_comes_due():
    nodes = Nodes(2, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1"))
    nodes.advance(10)
    nodes[0].fire()
    nodes[0].end()
    task = nodes[0].task()
    sooner = evolve(task.definition, trigger=evolve(task.definition.trigger, every=Micros(3 * SECOND)))
    nodes[1].edit(sooner)
    nodes.lose()
    nodes.advance(5)
    nodes[0].fire()
    # It owed nothing as it was remembered; by now it was read, and the timer was told again when it is due.
    nodes[0].fire()
    assert len(nodes[0].started) == 2


def test_a_command_on_any_node_sees_the_row_as_it_is():
    nodes = Nodes(2, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1", policies=Policies(overlap=Overlap.SKIP)))
    first = nodes[1].run()
    with pytest.raises(Conflict):
        nodes[0].run()
    nodes[1].end()
    nodes.lose()
    second = nodes[0].run()
    assert first.id != second.id


def test_who_has_no_room_offers_and_the_peer_claims():
    nodes = Nodes(2, slots=1, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1"), definition("t2"))
    nodes.advance(10)
    nodes[0].fire()
    assert len(nodes[0].started) == 1
    nodes.deliver()
    assert len(nodes[1].started) == 1
    assert {one.task_id for one in (*nodes[0].started, *nodes[1].started)} == {"t1", "t2"}
    assert nodes.store.waiting(10) == []


def test_an_offer_that_is_lost_is_made_again_after_its_time():
    nodes = Nodes(2, slots=1, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1"), definition("t2"))
    nodes.advance(10)
    nodes[0].fire()
    nodes.lose()
    nodes[0].look()
    assert nodes.post == []
    nodes.advance(2)
    nodes.meet()
    nodes[0].look()
    nodes.deliver()
    assert len(nodes[1].started) == 1


def test_a_node_that_is_no_executor_offers_everything():
    nodes = Nodes(2, owners=[0, 0, 0, 0])
    nodes[0].executor = False
    nodes.meet()
    nodes[0].create(definition("t1"))
    nodes.advance(10)
    nodes[0].fire()
    nodes.deliver()
    assert nodes[0].started == []
    assert len(nodes[1].started) == 1


def test_a_task_that_nobody_may_run_waits_for_a_node():
    nodes = Nodes(2, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1", placement=Placement(Where.NAMED, nodes=("n3",))))
    nodes.advance(10)
    nodes[0].fire()
    (waiting,) = nodes[0].task().open
    assert waiting.waits_for == "node"


def test_a_cancellation_reaches_the_node_that_runs_it_with_and_without_a_wake_up():
    for woken in (True, False):
        nodes = Nodes(2, slots=1, owners=[0, 0, 0, 0])
        nodes[0].create(definition("t1", placement=Placement(Where.NAMED, nodes=("n2",))))
        nodes.advance(10)
        nodes[0].fire()
        nodes.deliver()
        (run,) = nodes[1].started
        nodes[0].cancel()
        if woken:
            nodes.deliver()
        else:
            nodes.lose()
            nodes.look()
        assert [one.execution_id for one in nodes[1].interrupted] == [run.id]


def test_a_concurrency_key_holds_over_nodes_and_goes_on_when_it_is_given_back():
    nodes = Nodes(2)
    policies = Policies(concurrency=Concurrency("one", 1), overlap=Overlap.SKIP)
    ids = [named(slot)[0] for slot in range(PARTITIONS)]
    nodes[0].create(*[definition(task_id, policies=policies) for task_id in ids])
    nodes.deliver()
    nodes.advance(10)
    for rig in nodes.rigs:
        rig.fire()
    running = [run for rig in nodes.rigs for run in rig.running.values()]
    assert len(running) == 1
    ran = {running[0].task_id}
    for _ in range(3):
        for rig in nodes.rigs:
            if rig.running:
                rig.end()
                break
        nodes.deliver()
        running = [run for rig in nodes.rigs for run in rig.running.values()]
        assert len(running) == 1
        ran.add(running[0].task_id)
    assert ran == set(ids)


def test_executions_of_a_dead_node_are_recovered_by_the_owners_of_their_partitions():
    nodes = Nodes(3, slots=1, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1"), definition("t2"), definition("t3"))
    nodes.advance(10)
    nodes[0].fire()
    nodes.deliver()
    (victim,) = nodes[1].running.values()
    nodes[1].die()
    live = nodes.store.bury([nodes[0].boot, nodes[2].boot])
    assert nodes[1].boot not in live
    nodes[2].recover(live)
    nodes[0].recover(live)
    again = nodes[0].store.execution(victim.id)
    assert again is not None
    assert again.execution.state is State.WAITING
    assert again.execution.crashes == 1


def test_a_former_owner_settles_nothing():
    nodes = Nodes(2, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1"))
    stale = nodes[0].own
    nodes[1].take(range(PARTITIONS))
    nodes.advance(10)
    assert nodes[0].own is stale
    nodes[0].fire()
    assert nodes[0].started == []
    nodes[1].fire()
    assert len(nodes[1].started) == 1


def test_a_task_that_runs_on_all_nodes_runs_once_on_each():
    nodes = Nodes(3, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1", placement=Placement(Where.ALL), policies=Policies(retry=Retry(max_retries=0))))
    nodes.advance(10)
    nodes[0].fire()
    nodes.deliver()
    assert [len(rig.started) for rig in nodes.rigs] == [1, 1, 1]
    assert {run.target for rig in nodes.rigs for run in rig.started} == {"n1", "n2", "n3"}
    nodes[1].end(State.FAILED)
    nodes.advance(10)
    nodes[0].fire()
    nodes.deliver()
    # The nodes whose execution is still open skip the slot, each for itself.
    assert [len(rig.started) for rig in nodes.rigs] == [1, 2, 1]
    assert len(nodes[0].outcomes()) == 6


def test_the_pause_of_the_scheduler_is_heard_on_every_node():
    nodes = Nodes(2)
    ids = [named(slot)[0] for slot in range(PARTITIONS)]
    nodes[0].create(*[definition(task_id) for task_id in ids])
    nodes[0].pause_scheduler("maintenance")
    nodes.look()
    nodes.advance(10)
    for rig in nodes.rigs:
        rig.fire()
    assert [rig.started for rig in nodes.rigs] == [[], []]
    nodes[1].resume_scheduler()
    nodes.look()
    for rig in nodes.rigs:
        rig.fire()
    assert sum(len(rig.started) for rig in nodes.rigs) == PARTITIONS


def test_two_edits_on_two_nodes_cannot_close_a_cycle():
    nodes = Nodes(2)
    nodes[0].create(definition("a"), definition("b"))
    nodes[1].look()
    nodes[0].edit(definition("a", dependencies=Dependencies(("b",))))
    nodes.lose()
    with pytest.raises(Conflict, match="wait for itself"):
        nodes[1].edit(definition("b", dependencies=Dependencies(("a",))))
    assert nodes.store.edges() == [("a", "b")]


def test_a_child_on_one_node_goes_on_when_its_parent_ends_on_another():
    for woken in (True, False):
        nodes = Nodes(2)
        (parent,), (child,) = named(1), named(0)
        nodes[0].create(definition(parent), definition(child, dependencies=Dependencies((parent,))))
        nodes.deliver()
        nodes.look()
        nodes.advance(10)
        nodes[0].fire()
        assert [one.task_id for one in nodes[0].started] == []
        nodes[1].fire()
        nodes[1].end()
        if woken:
            nodes.deliver()
        else:
            nodes.lose()
            nodes[0].sweep()
        assert [one.task_id for one in nodes[0].started] == [child]


def test_a_boot_that_came_after_the_dead_were_counted_is_not_taken_for_one():
    nodes = Nodes(3, slots=1, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1", placement=Placement(Where.NAMED, nodes=("n2",))))
    live = nodes.store.bury([rig.boot for rig in nodes.rigs])
    nodes[1].die()
    nodes[1].reborn()
    nodes.meet()
    nodes.advance(10)
    nodes[0].fire()
    nodes.deliver()
    (run,) = nodes[1].started
    nodes[0].recover(live)
    detail = nodes.store.execution(run.id)
    assert detail is not None
    assert detail.execution.state is State.RUNNING


def test_one_who_can_run_nowhere_stands_in_nobodys_way():
    nodes = Nodes(2, slots=1, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1", placement=Placement(Where.NAMED, nodes=("n3",))))
    nodes.advance(10)
    nodes[0].fire()
    # As after a crash of its keeper, the other node has read who waits.
    nodes[1].restart_keeper()
    nodes.meet()
    nodes[0].create(definition("t2"), definition("t3"))
    nodes.advance(10)
    nodes[0].fire()
    nodes.deliver()
    assert [len(rig.started) for rig in nodes.rigs] == [1, 1]


def test_many_who_can_run_nowhere_are_passed_over_and_found_again():
    nodes = Nodes(1, slots=1)
    only_there = Placement(Where.SELECTOR, labels=(("zone", "a"),))
    nodes[0].create(*[definition(f"s{n:03}", placement=only_there) for n in range(300)], definition("t1"))
    nodes.advance(10)
    nodes[0].fire()
    nodes[0].restart_keeper()
    nodes.meet()
    assert [one.task_id for one in nodes[0].started] == ["t1"]
    nodes[0].labels = (("zone", "a"),)
    nodes[0].look()
    nodes[0].end()
    assert len(nodes[0].started) == 2


def test_a_late_offer_is_not_taken_for_one_that_waits_for_its_retry():
    nodes = Nodes(2, slots=1, owners=[0, 0, 0, 0])
    retry = Policies(retry=Retry(max_retries=1, delay=Micros(60 * SECOND)))
    nodes[0].create(definition("t1", policies=retry), definition("t2", policies=retry))
    nodes.advance(10)
    nodes[0].fire()
    (letter,) = nodes.post
    nodes.hand_over(letter)
    nodes.hand_over(letter)
    assert len(nodes[1].started) == 1
    nodes[1].end(State.FAILED)
    nodes.hand_over(letter)
    assert len(nodes[1].started) == 1


def test_who_does_not_own_a_partition_recovers_nothing_in_it():
    nodes = Nodes(3, slots=1, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1"), definition("t2"))
    nodes.advance(10)
    nodes[0].fire()
    nodes.deliver()
    victim = next(rig for rig in nodes.rigs[1:] if rig.running)
    (run,) = victim.running.values()
    victim.die()
    word = nodes[0].word_of_the_dead(nodes.members)
    assert word is not None
    other = next(rig for rig in nodes.rigs[1:] if rig is not victim)
    other.send(word)
    detail = nodes.store.execution(run.id)
    assert detail is not None and (detail.execution.state, detail.execution.fence) == (State.RUNNING, run.fence)


def test_a_key_that_was_given_back_elsewhere_is_found_by_the_next_look():
    nodes = Nodes(2, slots=1)
    policies = Policies(concurrency=Concurrency("one", 1))
    (first,), (second,) = named(0), named(1)
    nodes[0].create(definition(first, policies=policies), definition(second, policies=policies))
    nodes.deliver()
    nodes.advance(10)
    nodes[0].fire()
    nodes[1].fire()
    assert [len(rig.started) for rig in nodes.rigs] == [1, 0]
    nodes[0].end()
    nodes.lose()
    assert nodes[1].started == []
    nodes[1].look()
    assert [one.task_id for one in nodes[1].started] == [second]


def test_a_claim_of_which_nobody_heard_is_found_and_made_again():
    nodes = Nodes(1)
    nodes[0].create(definition("t1"))
    nodes.advance(10)
    nodes[0].unanswered = 1
    nodes[0].fire()
    (run,) = nodes[0].running.values()
    assert nodes[0].task().open[0].fence == run.fence == 2


def test_an_end_and_the_claim_that_follows_it_may_be_committed_without_an_answer():
    nodes = Nodes(1, slots=1)
    nodes[0].create(definition("t1"))
    nodes.advance(10)
    nodes[0].fire()
    nodes[0].unanswered = 1
    nodes[0].end(State.WAITING)
    (run,) = nodes[0].running.values()
    (execution,) = nodes[0].task().open
    assert (execution.state, execution.fence) == (State.RUNNING, run.fence)


def test_a_pause_is_ended_or_made_on_a_node_that_has_not_heard_of_the_last_one():
    nodes = Nodes(2)
    nodes[0].pause_scheduler("maintenance")
    nodes[1].resume_scheduler()
    assert nodes.store.scheduler_pause() is None
    nodes[0].pause_scheduler("more of it")
    pause = nodes.store.scheduler_pause()
    assert pause is not None and pause.note == "more of it"


def test_another_zone_database_is_walked_through_by_those_who_own_and_by_those_who_own_later():
    nodes = Nodes(2, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1"))
    nodes[1].look()
    for rig in nodes.rigs:
        rig.send(ZonesSwitched())
        assert rig.core.calendars.next_step() is None
        assert not rig.core.calendars.zones_changing
    nodes[1].take(range(PARTITIONS))
    assert [one.outcome for one in nodes[1].outcomes()] == []
    nodes.advance(10)
    nodes[1].fire()
    assert len(nodes[1].started) == 1


def test_an_execution_whose_node_is_gone_for_good_is_held():
    nodes = Nodes(2, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1", placement=Placement(Where.ALL)))
    nodes.advance(10)
    nodes[0].fire()
    nodes.lose()
    nodes[1].die()
    nodes.meet()
    nodes.advance(NODE_GONE_AFTER / SECOND)
    nodes[0].look()
    (left,) = [one for one in nodes[0].task().open if one.target == "n2"]
    assert left.state is State.CRASHED
    assert left.failure is not None and left.failure.type == "NodeLost"


def test_a_pinned_task_stays_where_it_ran():
    nodes = Nodes(2, owners=[0, 0, 0, 0])
    nodes[0].executor = False
    nodes.meet()
    nodes[0].create(definition("t1", placement=Placement(strategy="pinned")))
    for _ in range(2):
        nodes.advance(10)
        nodes[0].fire()
        nodes.deliver()
        nodes[1].end()
        nodes[0].executor = True
        nodes.meet()
    assert [len(rig.started) for rig in nodes.rigs] == [0, 2]


def test_what_was_offered_and_is_gone_by_now_is_no_business_of_anybody():
    nodes = Nodes(2, slots=1, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1"), definition("t2"))
    nodes.advance(10)
    nodes[0].fire()
    (letter,) = nodes.post
    ((task_id, _),) = letter[2].executions
    nodes[0].delete(task_id)
    nodes.lose()
    nodes.hand_over(letter)
    assert (nodes[1].started, nodes.post) == ([], [])


def test_an_offer_that_finds_no_room_is_declined_and_made_to_another_node():
    nodes = Nodes(2, slots=1, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1"), definition("t2"), definition("t3"))
    nodes.advance(10)
    nodes[0].fire()
    nodes.deliver()
    (waiting,) = nodes.store.waiting(10)
    (execution,) = nodes[0].task(waiting).open
    nodes[1].send(Offered(nodes[0].link, ((waiting, execution.id),)))
    assert [type(letter[2]) for letter in nodes.post] == [SendDeclined]
    nodes.deliver()
    nodes[0].end()
    assert nodes[0].started[-1].id == execution.id


def test_what_runs_of_a_task_that_another_node_deletes_is_ended():
    nodes = Nodes(2, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1", placement=Placement(Where.NAMED, nodes=("n2",))))
    nodes.advance(10)
    nodes[0].fire()
    nodes.deliver()
    assert nodes[1].running
    nodes[0].delete()
    nodes.deliver()
    assert EndTasks(("t1",)) in nodes[1].told


def test_who_runs_a_task_that_was_made_elsewhere_is_not_refused_for_one_who_makes_it_again():
    nodes = Nodes(2, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1"))
    making, running = nodes[1].reply(), nodes[1].reply()
    nodes[1].send(
        CreateTasks((definition("t1"),), "me", making), RunTask("t1", None, "rest", None, "me", running, "chosen")
    )
    (refused,) = making.result()
    assert isinstance(refused, Conflict)
    assert running.result().id == "chosen"
    assert [one.id for one in nodes[1].started] == ["chosen"]
