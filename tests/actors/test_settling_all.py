"""A slot of a task that runs on all nodes: an execution and an outcome for each of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.model.execution import Execution, Kind, WaitsFor
from actors.model.lifecycle import State
from actors.model.occurrence import Outcome, Reason
from actors.model.placement import Placement, Where
from actors.model.policy import CatchUp, Overlap, Policies
from actors.model.task import Task, TaskState
from actors.model.trigger import UNBOUNDED, Bounds, Interval
from actors.rules import attempts
from actors.rules.overlapping import all_to_go, next_to_go, room
from actors.rules.selecting import CATCH_UP_SLICE, slice_of
from actors.rules.settling import Admission, Settlement, gives_back, go_on_catching_up, settle
from runtime.clock import HOUR, MINUTE, SECOND, Instant, Micros
from runtime.records import evolve

from .keeper_kit import START, definition

ON_ALL = Placement(Where.ALL)
NODES = ("a", "b", "c")


def hour(number: float) -> Instant:
    return Instant(START + round(number * HOUR))


def entry(name: str, target: str | None, state: State = State.RUNNING, **more) -> Execution:
    fresh = attempts.new_execution(name, "t1", Kind.OCCURRENCE, START, revision=1, nominal=START, target=target)
    return evolve(fresh, state=state, waits_for=more.pop("waits_for", None), **more)


def owing(*executions: Execution, bounds: Bounds = UNBOUNDED, trigger: Interval | None = None, **policies) -> Task:
    return Task(
        definition(
            trigger=trigger or Interval(HOUR, START), bounds=bounds, policies=Policies(**policies), placement=ON_ALL
        ),
        TaskState(next_fire=hour(1), settled_through=START, runs=4),
        executions,
    )


def told(found: Settlement) -> list[tuple[float, str | None, str]]:
    """Of each admission the hour, the node, and what becomes of it."""
    return [
        (
            (one.nominal - START) / HOUR,
            one.target,
            f"refused by {one.refused_by}"
            if one.refused_by
            else " ".join(word for word, is_so in (("waits", one.waits_for), ("replaces", one.replaces)) if is_so) or "runs",
        )
        for one in found.admitted
    ]  # fmt: skip


def test_a_slot_runs_once_on_each_node_and_counts_once():
    found = settle(owing(bounds=Bounds(max_runs=6)), hour(1), targets=NODES)
    assert told(found) == [(1, "a", "runs"), (1, "b", "runs"), (1, "c", "runs")]
    assert (found.counted, found.dropped, found.finished, found.next_fire) == (1, (), False, hour(2))
    assert found.is_one_slot


def test_the_last_run_of_the_limit_still_has_every_node():
    found = settle(owing(bounds=Bounds(max_runs=5)), hour(1), targets=NODES)
    assert [one.target for one in found.admitted] == [*NODES]
    assert (found.counted, found.finished, found.next_fire) == (1, True, None)


def test_what_runs_anywhere_looks_at_no_nodes():
    task = owing()
    anywhere = evolve(task, definition=evolve(task.definition, placement=Placement(Where.NAMED, ("a",))))
    assert settle(anywhere, hour(1), targets=NODES).admitted == (Admission(hour(1)),)
    assert settle(anywhere, hour(1)).admitted == (Admission(hour(1)),)


def test_where_there_is_no_node_the_slot_is_skipped_with_one_row():
    found = settle(owing(), hour(1))
    assert (found.admitted, found.counted, found.finished, found.next_fire) == ((), 0, False, hour(2))
    assert [(row.first, row.last, row.count, row.outcome, row.reason) for row in found.dropped] == [
        (hour(1), hour(1), 1, Outcome.SKIPPED, Reason.NO_NODE)
    ]
    many = settle(owing(catch_up=CatchUp.ALL), hour(3))
    assert [(row.first, row.last, row.count, row.reason) for row in many.dropped] == [
        (hour(1), hour(3), 3, Reason.NO_NODE)
    ]


@pytest.mark.parametrize(
    ("overlap", "on_b"),
    [
        (Overlap.SKIP, "refused by e1"),
        (Overlap.ALLOW, "runs"),
        (Overlap.QUEUE, "waits"),
        (Overlap.QUEUE_ALL, "waits"),
        (Overlap.REPLACE, "waits replaces"),
    ],
)
def test_overlap_counts_per_node(overlap: Overlap, on_b: str):
    found = settle(owing(entry("e1", "b"), overlap=overlap), hour(1), targets=NODES)
    assert told(found) == [(1, "a", "runs"), (1, "b", on_b), (1, "c", "runs")]
    assert (found.counted, found.dropped) == (1, ())


def test_a_slot_that_overlap_refuses_on_every_node_does_not_count():
    found = settle(owing(entry("e1", "a"), entry("e2", "b")), hour(1), targets=("a", "b"))
    assert told(found) == [(1, "a", "refused by e1"), (1, "b", "refused by e2")]
    assert (found.counted, found.dropped, found.settled_through) == (0, (), hour(1))


def test_one_by_hand_may_be_on_any_node_and_counts_for_all():
    found = settle(owing(entry("e1", None)), hour(1), targets=NODES)
    assert told(found) == [(1, node, "refused by e1") for node in NODES]


def test_rows_on_both_sides_of_a_refused_slot_are_not_one():
    task = owing(entry("e1", "a"), catch_up=CatchUp.LATEST)
    found = settle(task, hour(3), targets=("a",))
    assert told(found) == [(3, "a", "refused by e1")]
    assert [(row.first, row.last, row.outcome) for row in found.dropped] == [(hour(1), hour(2), Outcome.COALESCED)]


def test_caught_up_slots_wait_for_one_another_on_each_node():
    found = settle(owing(catch_up=CatchUp.ALL), hour(3), targets=("a", "b"))
    assert told(found) == [
        (1, "a", "runs"),
        (1, "b", "runs"),
        (2, "a", "waits"),
        (2, "b", "waits"),
        (3, "a", "waits"),
        (3, "b", "waits"),
    ]
    assert (found.counted, found.is_one_slot) == (3, False)


def test_a_node_that_is_free_does_not_wait_for_one_that_is_not():
    task = owing(entry("e1", "a"), catch_up=CatchUp.ALL, overlap=Overlap.SKIP)
    found = settle(task, Instant(hour(1) + SECOND), targets=("a", "b"))
    assert told(found) == [(1, "a", "refused by e1"), (1, "b", "runs")]


def test_what_waits_on_one_node_holds_nothing_back_on_another():
    dense = Interval(Micros(SECOND // 5), START)
    task = owing(entry("e1", "a"), catch_up=CatchUp.ALL, overlap=Overlap.SKIP, trigger=dense)
    first, second = Instant(START + SECOND // 5), Instant(START + 2 * SECOND // 5)
    found = settle(evolve(task, state=evolve(task.state, next_fire=first)), second, targets=("a", "b"))
    assert [(one.nominal, one.target, one.refused_by, one.waits_for) for one in found.admitted] == [
        (first, "a", "e1", None),
        (first, "b", None, None),
        (second, "a", "e1", None),
        (second, "b", None, WaitsFor.OVERLAP),
    ]


def test_a_fixed_delay_that_is_refused_everywhere_at_its_end_is_finished():
    trigger = Interval(HOUR, START, fixed_delay=True)
    task = owing(entry("e1", None), trigger=trigger, bounds=Bounds(end=hour(1.5)))
    found = settle(task, hour(1), targets=NODES)
    assert (found.counted, found.next_fire, found.finished) == (0, None, True)


def test_a_fixed_delay_goes_on_when_all_nodes_have_ended_or_none_began():
    trigger = Interval(HOUR, START, fixed_delay=True)
    runs = settle(owing(trigger=trigger), hour(1), targets=NODES)
    assert (len(runs.admitted), runs.next_fire, runs.finished) == (3, None, False)
    by_hand = settle(owing(entry("e1", None), trigger=trigger), hour(1), targets=NODES)
    assert (by_hand.counted, by_hand.next_fire, by_hand.finished) == (0, hour(2), False)
    nobody = settle(owing(trigger=trigger), hour(1))
    assert (nobody.next_fire, nobody.finished, len(nobody.dropped)) == (hour(2), False, 1)


@pytest.mark.parametrize(("nodes", "slots"), [(1, 100), (3, 33), (60, 1), (150, 1)])
def test_a_long_catch_up_is_as_wide_as_one_task_may_be(nodes: int, slots: int):
    targets = [f"n{number}" for number in range(nodes)]
    task = owing(catch_up=CatchUp.ALL, catch_up_limit=1_000)
    found = settle(task, hour(500), targets=targets)
    assert len(found.admitted) == nodes * slots
    assert (found.counted, found.catching_up, found.next_fire) == (slots, hour(500), None)
    assert slice_of(nodes) == max(nodes, CATCH_UP_SLICE)
    after = owing(*(entry(f"e{number:04}", "n0") for number in range(CATCH_UP_SLICE // 2)), catch_up=CatchUp.ALL)
    assert go_on_catching_up(after) is not None
    again = settle(evolve(after, state=evolve(after.state, catching_up=hour(500))), hour(500), targets=targets)
    assert len(again.admitted) == (slice_of(nodes) - CATCH_UP_SLICE // 2) // nodes * nodes
    assert again.next_fire is None, "what does not fit is looked at when something has ended"


def test_a_slot_on_all_nodes_keeps_its_count():
    waits = entry("e1", None, State.WAITING, waits_for=WaitsFor.SLOT)
    assert gives_back(waits)
    assert not gives_back(evolve(waits, target="a"))
    limited = owing(evolve(waits, target="a"), bounds=Bounds(max_runs=5), overlap=Overlap.REPLACE)
    assert settle(limited, hour(1), targets=("a",)).finished


@given(
    st.sets(st.sampled_from(NODES), min_size=1),
    st.lists(st.tuples(st.sampled_from([*NODES, None]), st.sampled_from([State.RUNNING, State.WAITING])), max_size=4),
    st.sampled_from(Overlap),
    st.sampled_from(CatchUp),
    st.integers(1, 5),
)
def test_each_slot_has_one_outcome_on_each_node(nodes, others, overlap, catch_up, hours):
    executions = [
        entry(f"e{number}", target, state, waits_for=WaitsFor.SLOT if state is State.WAITING else None)
        for number, (target, state) in enumerate(others)
    ]
    task = owing(*executions, overlap=overlap, catch_up=catch_up)
    found = settle(task, hour(hours), targets=sorted(nodes))
    pairs = [(one.nominal, one.target) for one in found.admitted]
    slots = {one.nominal for one in found.admitted}
    assert sorted(pairs) == sorted((slot, node) for slot in slots for node in nodes)
    dropped = {
        hour(number) for number in range(1, hours + 1) if any(r.first <= hour(number) <= r.last for r in found.dropped)
    }
    assert slots | dropped == {hour(number) for number in range(1, hours + 1)}
    assert not slots & dropped
    assert found.counted == len({one.nominal for one in found.admitted if one.refused_by is None})


# -- who goes on


WAITS_A, WAITS_B, WAITS = (
    entry("e5", "a", State.WAITING, waits_for=WaitsFor.OVERLAP),
    entry("e6", "b", State.WAITING, waits_for=WaitsFor.OVERLAP),
    entry("e7", None, State.WAITING, waits_for=WaitsFor.OVERLAP),
)


@pytest.mark.parametrize(
    ("executions", "go"),
    [
        ((), ()),
        ((WAITS,), (WAITS,)),
        ((WAITS_A, WAITS_B), (WAITS_A, WAITS_B)),
        ((entry("e1", "a"), WAITS_A, WAITS_B), (WAITS_B,)),
        ((entry("e1", None), WAITS_A, WAITS_B), ()),
        ((entry("e1", "c"), WAITS_A, WAITS), (WAITS_A,)),
        ((WAITS_A, evolve(WAITS_A, id="e9"), WAITS_B), (WAITS_A, WAITS_B)),
        ((evolve(WAITS, id="e4"), WAITS_A), (evolve(WAITS, id="e4"),)),
        ((WAITS, WAITS_A), (WAITS_A,)),
        ((entry("e1", "a", State.CRASHED), WAITS_A), (WAITS_A,)),
        ((entry("e1", "a", State.FAILED, lingers=True), WAITS_A, WAITS_B), (WAITS_B,)),
    ],
)
def test_who_goes_on_of_each_node(executions: tuple[Execution, ...], go: tuple[Execution, ...]):
    assert all_to_go(iter(executions)) == go


@given(
    st.lists(
        st.tuples(st.sampled_from([*NODES, None]), st.sampled_from([State.RUNNING, State.WAITING, State.CRASHED])),
        max_size=6,
    )
)
def test_no_two_go_that_exclude_each_other(pairs):
    executions = [
        entry(f"e{number}", target, state, waits_for=WaitsFor.OVERLAP if state is State.WAITING else None)
        for number, (target, state) in enumerate(pairs)
    ]
    going = all_to_go(executions)
    assert len({one.target for one in going}) == len(going)
    assert len(going) == 1 or all(one.target is not None for one in going)
    for one in going:
        rest = [other for other in executions if other.id < one.id]
        assert room(Policies(), rest, target=one.target).blocker is None or one.target is None
    if not any(one.target for one in executions):
        first = next_to_go(executions)
        assert going == (() if first is None else (first,))


# -- the node is gone


def test_what_waits_for_a_node_that_is_gone_is_held_and_was_skipped():
    waits = entry("e1", "a", State.WAITING, waits_for=WaitsFor.NODE, due=hour(1), expires=hour(2))
    ended = attempts.node_lost(waits, hour(3))
    found = ended.execution
    assert (ended.archive, ended.drop_checkpoint) == (None, False)
    assert (found.state, found.outcome, found.reason) == (State.CRASHED, Outcome.SKIPPED, Reason.NODE_LOST)
    assert (found.waits_for, found.due, found.expires, found.ended_at) == (None, None, None, hour(3))
    assert found.failure is not None
    assert (found.failure.type, found.failure.message) == ("NodeLost", "node_lost: node a is gone")
    assert not found.is_open
    by_hand = attempts.node_lost(evolve(waits, nominal=None), hour(3)).execution
    assert (by_hand.outcome, by_hand.reason) == (None, None)


def test_what_had_started_on_it_keeps_its_outcome():
    running = attempts.claim(entry("e1", "a", State.WAITING, waits_for=WaitsFor.SLOT), 1, "boot", "a", START)
    crashed = attempts.crash(running, Policies(), Instant(START + MINUTE)).execution
    assert crashed.state is State.WAITING
    found = attempts.node_lost(crashed, hour(1)).execution
    assert (found.state, found.outcome, found.reason, found.target) == (State.CRASHED, Outcome.FIRED, None, "a")


@pytest.mark.parametrize("again", [attempts.resume, lambda execution: attempts.retry_by_hand(execution, reset=True)])
def test_an_operator_may_let_it_go_on_when_the_node_is_back(again):
    never = attempts.node_lost(entry("e1", "a", State.WAITING, waits_for=WaitsFor.NODE), hour(1)).execution
    ended = again(never)
    assert (ended.archive, ended.execution.state, ended.execution.target) == (None, State.WAITING, "a")
    back = attempts.claim(ended.execution, 1, "boot", "a", hour(2))
    assert (back.outcome, back.reason, back.failure) == (Outcome.LATE, Reason.NODE_LOST, None)


def test_what_overlap_refuses_on_one_node_has_ended_when_it_is_made():
    made = attempts.new_execution("e2", "t1", Kind.OCCURRENCE, hour(1), revision=1, nominal=hour(1), target="a")
    found = attempts.refused(made, "e1", hour(1))
    assert (found.state, found.outcome, found.reason) == (State.CANCELLED, Outcome.SKIPPED, Reason.OVERLAP)
    assert (found.cancel_reason, found.ended_at) == ("overlap: execution e1 is open on a", hour(1))


def test_a_retry_stays_on_its_node():
    running = attempts.claim(entry("e1", "a", State.WAITING, waits_for=WaitsFor.SLOT), 1, "boot", "a", START)
    crashed = attempts.crash(running, Policies(), Instant(START + Micros(1))).execution
    assert (crashed.state, crashed.target) == (State.WAITING, "a")
