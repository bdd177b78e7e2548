"""Tasks that wait for others: the graph stays without cycles, and each parent's standing is as the rules say."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.model.execution import Execution, Kind
from actors.model.lifecycle import Phase, State
from actors.model.occurrence import Outcome
from actors.model.task import Dependencies, Task, TaskState
from actors.rules.dependencies import (
    MAX_PARENTS,
    Graph,
    Standing,
    check,
    counted_start,
    judge,
    may_change_a_verdict,
    standing,
)
from runtime.clock import Instant
from runtime.errors import Conflict, InvalidRequest
from runtime.records import evolve

from .records import definition

SINCE = Instant(1_000)


def parent(task_id: str = "p", *, open_state: State | None = None, tenant: str = "", **state: Any) -> Task:
    opened = () if open_state is None else (Execution("e", task_id, Kind.OCCURRENCE, open_state, Instant(1)),)
    return Task(definition(task_id, tenant=tenant), TaskState(**state), opened)


def child(*parents: str, persistent: bool = True, tenant: str = "") -> Any:
    return definition("c", dependencies=Dependencies(parents), persistent=persistent, tenant=tenant)


# -- what a parent is for an occurrence


@pytest.mark.parametrize(
    ("task", "expected", "text"),
    [
        (parent(completed_start=Instant(1_001)), Standing.DONE, ""),
        (parent(completed_start=Instant(1_000)), Standing.PENDING, "has not run since"),
        (parent(completed_start=Instant(1_001), phase=Phase.CANCELLED), Standing.DONE, ""),
        (parent(), Standing.PENDING, "has not run since"),
        (parent(open_state=State.RUNNING), Standing.PENDING, "has not completed yet"),
        (parent(open_state=State.RUNNING, phase=Phase.FINISHED), Standing.PENDING, "has not completed yet"),
        (parent(open_state=State.RUNNING, phase=Phase.PAUSED), Standing.PENDING, "has not completed yet"),
        (parent(open_state=State.RUNNING, phase=Phase.CANCELLED), Standing.HOPELESS, "is cancelled"),
        (parent(phase=Phase.PAUSED), Standing.HOPELESS, "is paused"),
        (parent(phase=Phase.FINISHED), Standing.HOPELESS, "is finished"),
        (parent(last_state=State.FAILED, last_ended_at=Instant(1_001)), Standing.HOPELESS, "FAILED at 1970"),
        (parent(last_state=State.TIMED_OUT, last_ended_at=Instant(1_001)), Standing.HOPELESS, "TIMED_OUT at 1970"),
        (parent(last_state=State.CANCELLED, last_ended_at=Instant(1_001)), Standing.HOPELESS, "CANCELLED at 1970"),
        (parent(last_state=State.FAILED, last_ended_at=Instant(1_000)), Standing.PENDING, "has not run since"),
        (
            parent(open_state=State.CRASHED, last_state=State.CRASHED, last_ended_at=Instant(1_001)),
            Standing.HOPELESS,
            "CRASHED at 1970",
        ),
        (
            parent(open_state=State.WAITING, last_state=State.FAILED, last_ended_at=Instant(1_001)),
            Standing.PENDING,
            "has not completed yet",
        ),
    ],
)
def test_the_standing_of_a_parent(task: Task, expected: Standing, text: str) -> None:
    verdict = standing("p", task, SINCE)
    assert verdict.standing is expected
    assert text in verdict.text
    if text:
        assert "parent 'name of p'" in verdict.text


def test_a_parent_that_is_gone_is_named_by_its_id() -> None:
    assert standing("p", None, SINCE).text == "parent p is gone"


DONE = {"completed_start": Instant(2_000)}
STATES: dict[str, dict[str, Any]] = {"done": DONE, "pending": {}, "hopeless": {"phase": Phase.PAUSED}}


@given(
    kinds=st.lists(st.sampled_from(["done", "pending", "hopeless"]), min_size=1, max_size=6),
    mode=st.sampled_from(["all", "any"]),
    fail_fast=st.booleans(),
)
def test_several_parents(kinds: list[str], mode: Literal["all", "any"], fail_fast: bool) -> None:
    tasks = {f"p{number}": parent(f"p{number}", **STATES[kind]) for number, kind in enumerate(kinds)}
    verdict = judge(Dependencies(tuple(tasks), mode, fail_fast), SINCE, tasks.get)
    if mode == "all":
        expected = "done" if set(kinds) == {"done"} else "hopeless" if fail_fast and "hopeless" in kinds else "pending"
    else:
        expected = "done" if "done" in kinds else "hopeless" if fail_fast and set(kinds) == {"hopeless"} else "pending"
    assert verdict.standing == expected
    if expected != "done":
        assert "parent 'name of p" in verdict.text
        assert verdict.text.count("parent") <= 3
        if "hopeless" in kinds:
            assert "is paused" in verdict.text.split(";")[0]
    else:
        assert verdict.text == ""


def test_of_many_parents_a_few_are_named() -> None:
    tasks = {f"p{number}": parent(f"p{number}") for number in range(5)}
    assert judge(Dependencies(tuple(tasks)), SINCE, tasks.get).text.endswith("; and 2 more")


@pytest.mark.parametrize(
    ("change", "matters"),
    [
        ({"completed_start": Instant(5)}, True),
        ({"phase": Phase.PAUSED}, True),
        ({"last_ended_at": Instant(5)}, True),
        ({"last_state": State.FAILED}, True),
        ({"next_fire": Instant(5), "version": 9}, False),
    ],
)
def test_what_of_a_parent_matters(change: dict[str, Any], matters: bool) -> None:
    former = parent()
    present = Task(former.definition, evolve(former.state, **change))
    assert may_change_a_verdict(former, present) is matters


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"outcome": Outcome.FIRED, "nominal": Instant(50)}, 50),
        ({"outcome": Outcome.FIRED, "nominal": Instant(50), "assigned": Instant(60)}, 60),
        ({"outcome": Outcome.LATE, "nominal": Instant(50)}, 70),
        ({}, 70),
    ],
)
def test_on_time_is_at_the_very_slot(fields: dict[str, Any], expected: int) -> None:
    execution = Execution("e", "p", Kind.MANUAL, State.COMPLETED, Instant(1), first_started_at=Instant(70))
    assert counted_start(evolve(execution, **fields)) == expected


# -- what is refused


def looks(*known: Task) -> Any:
    return {task.id: task for task in known}.get


def test_a_task_without_dependencies_needs_no_check() -> None:
    check(definition("c"), looks())
    check(child("p"), looks(parent()))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (child(), "from 1 to 100 parents, not 0"),
        (child(*(f"p{number}" for number in range(MAX_PARENTS + 1))), "from 1 to 100 parents, not 101"),
        (child("c"), "task c cannot wait for itself"),
        (child("p", "p"), "task p is named twice"),
        (child("p", "q"), "no task q is in the store"),
        (child("q", persistent=False), "no task q is in the memory of this node"),
        (child("p", tenant="other"), "no task p"),
    ],
)
def test_parents_that_cannot_be(wanted: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=f"dependencies: {message}"):
        check(wanted, looks(parent()))


def test_a_parent_that_the_task_has_already_may_be_gone() -> None:
    check(child("gone", "p"), looks(parent()), kept=("gone",))


# -- the graph


def test_a_cycle_is_refused_with_its_path() -> None:
    graph = Graph([("b", "a"), ("c", "b")])
    with pytest.raises(Conflict, match="task a would wait for itself: a -> c -> b -> a"):
        graph.refuse_cycle("a", ("c",))
    names = {"a": "extract", "b": "load"}
    with pytest.raises(Conflict, match="task extract would wait for itself: extract -> c -> load -> extract"):
        graph.refuse_cycle("a", ("c",), lambda task_id: names.get(task_id, task_id))
    graph.refuse_cycle("d", ("c", "a"))


def test_a_promised_edge_counts_until_it_is_withdrawn() -> None:
    graph = Graph()
    assert not graph
    graph.promise("b", ("a",))
    with pytest.raises(Conflict, match="a -> b -> a"):
        graph.refuse_cycle("a", ("b",))
    graph.withdraw("b")
    graph.refuse_cycle("a", ("b",))


def test_a_long_path_is_shortened() -> None:
    graph = Graph([(f"t{number}", f"t{number + 1}") for number in range(50)])
    with pytest.raises(Conflict, match=r"t50 -> t0 -> t1 -> .* -> t9 -> \.\.\.$"):
        graph.refuse_cycle("t50", ("t0",))


def test_edges_are_replaced_as_a_whole() -> None:
    graph = Graph([("c", "a"), ("c", "b"), ("d", "a")])
    assert set(graph) == {"c", "d"}
    assert set(graph.children("a")) == {"c", "d"}
    graph.set("c", ("b",))
    assert graph.parents("c") == ("b",)
    assert set(graph.children("a")) == {"d"}
    graph.set("c", ())
    assert set(graph.children("b")) == set()
    assert graph.parents("c") == ()
    graph.check_invariants()


NAMES = st.sampled_from("abcdef")
STEPS = st.lists(
    st.tuples(st.sampled_from(["edit", "land", "refuse", "delete"]), NAMES, st.lists(NAMES, max_size=3, unique=True)),
    max_size=40,
)


@settings(max_examples=200)
@given(steps=STEPS)
def test_no_cycle_arises_from_edits_in_any_order_of_landing(steps: list[tuple[str, str, list[str]]]) -> None:
    """Any mixture of edits under way, landed and refused: what the store has never holds a cycle."""
    graph = Graph()
    stored: dict[str, set[str]] = {}
    under_way: dict[str, tuple[str, ...]] = {}
    promised: dict[str, set[str]] = {}
    for step, task_id, others in steps:
        parents = tuple(other for other in others if other != task_id)
        match step:
            case "edit":
                try:
                    graph.refuse_cycle(task_id, parents)
                except Conflict:
                    assert reaches(union(stored, promised), set(parents), task_id)
                    continue
                graph.promise(task_id, parents)
                under_way[task_id] = parents
                promised[task_id] = promised.get(task_id, set()) | set(parents)
            case "land" if task_id in under_way:
                landed = under_way.pop(task_id)
                del promised[task_id]
                graph.set(task_id, landed)
                stored[task_id] = set(landed)
            case "refuse" if task_id in under_way:
                del under_way[task_id], promised[task_id]
                graph.withdraw(task_id)
            case "delete" if task_id not in under_way:
                graph.set(task_id, ())
                stored.pop(task_id, None)
        assert not any(reaches(stored, parents, name) for name, parents in stored.items())
        assert {name: set(graph.parents(name)) for name in stored} == stored
        graph.check_invariants()


def union(stored: dict[str, set[str]], promised: dict[str, set[str]]) -> dict[str, set[str]]:
    return {name: stored.get(name, set()) | promised.get(name, set()) for name in stored.keys() | promised.keys()}


def reaches(edges: dict[str, set[str]], starts: set[str], goal: str) -> bool:
    """By brute force: grow the set of ancestors until it grows no more."""
    found = set(starts)
    while True:
        more = found | {parent for name in found for parent in edges.get(name, ())}
        if more == found:
            return goal in found
        found = more
