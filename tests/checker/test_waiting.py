"""What waits at the end does so for a reason, and in its turn."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.checker.histories import BEGIN, SECOND, Story, Tale, sec
from tests.checker.judging import found, is_clean
from tocsin.checker.checker import check
from tocsin.checker.history import Bounds, History, Ownership, Task
from tocsin.checker.verdict import Kind

NEVER: dict[str, Any] = {"at": sec(5_000)}
THREE = {"n1", "n2", "n3"}


def judged(story: Story, slots: int = 0) -> History:
    """The story as told by nodes with so many slots."""
    return attrs.evolve(story.told(), slots=slots)


def overtaken(**later: Any) -> tuple[Story, Tale, Tale]:
    """Two tasks with one key. One of the first waits from 5 on; those of the second, which came later, run until the end."""
    story = Story(seconds=200)
    one = story.task("one", NEVER, key=("k", 1))
    other = story.task("other", NEVER, **({"key": ("k", 1)} | later))
    story.ask("run", one, 5)
    one.execution("waits", created_at=sec(5))
    for n, begin in enumerate(range(20, 200, 20)):
        story.ask("run", other, begin - 8)
        state = "RUNNING" if begin == 180 else "COMPLETED"
        key = other.execution(f"later {n}", created_at=sec(begin - 8))
        other.attempt(key, sec(begin), sec(begin + 20), state=state, comes_back=state == "COMPLETED")
    return story, one, other


def test_who_wants_a_key_is_not_passed_over_by_those_who_came_later() -> None:
    story, _, _ = overtaken()
    assert found(story) == {Kind.LOST}
    assert [one.text for one in check(story.told()).violations] == ["waits is still WAITING"]


@pytest.mark.parametrize(
    "change",
    [
        {"priority": 1},
        {"queue": "another"},
        {"pinned": True},
        {"everywhere": True},
        {"phase": "paused", "ended_at": None},
        {"parents": ("id of other",)},
    ],
)
def test_whether_he_was_passed_over_is_judged_only_where_nothing_else_was_in_the_way(change: dict[str, Any]) -> None:
    story, one, _ = overtaken()
    one.task = attrs.evolve(one.task, **change)
    assert Kind.LOST not in found(story)


@pytest.mark.parametrize(
    "later", [{"pinned": True}, {"everywhere": True}, {"priority": -1}, {"queue": "another"}, {"key": ("k", 2)}]
)
def test_who_stands_in_another_line_passes_nobody_over(later: dict[str, Any]) -> None:
    story, _, _ = overtaken(**later)
    assert Kind.LOST not in found(story)


def test_those_who_came_before_pass_nobody_over() -> None:
    story, _, other = overtaken()
    other.executions = {key: attrs.evolve(one, created_at=sec(3)) for key, one in other.executions.items()}
    assert is_clean(story)


def test_a_cluster_that_was_well_only_just_now_needs_time() -> None:
    story, _, _ = overtaken()
    story.healed, story.bounds = 145, Bounds(heal=30 * SECOND)
    # The last two began at 160 and 180: the first after half of what healing takes.
    assert found(story) == {Kind.LOST}
    story.healed = 149
    assert is_clean(story)


@pytest.mark.parametrize(("nodes", "fine"), [(8, False), (9, True)])
def test_as_many_as_there_are_nodes_may_pass_before_all_have_heard_of_it(nodes: int, fine: bool) -> None:
    story, _, other = overtaken()
    assert len(other.executions) == 9
    story.ownership = Ownership({f"n{n}": frozenset() for n in range(nodes)}, {}, {})
    assert (Kind.LOST not in found(story)) is fine


def test_one_that_waits_behind_another_of_its_task_is_judged_by_that_one() -> None:
    story, one, _ = overtaken()
    story.ask("run", one, 6)
    one.execution("behind it", created_at=sec(6))
    assert [each.text for each in check(story.told()).violations] == ["waits is still WAITING"]


def test_one_that_is_caught_up_with_may_wait_for_the_governor() -> None:
    story, one, _ = overtaken()
    one.executions["waits"] = attrs.evolve(one.executions["waits"], nominal=sec(1))
    assert Kind.LOST not in found(story)


def busy(states: int = 9, **fields: Any) -> tuple[Story, Tale, Tale]:
    """A node with one slot that always runs something; and one that is for it and waits."""
    story = Story(seconds=200)
    work = story.task("work", NEVER)
    waits = story.task("waits", NEVER, **fields)
    for n in range(states):
        story.ask("run", work, 10 + 20 * n)
        key = work.execution(f"work {n}", created_at=sec(10 + 20 * n))
        work.attempt(key, sec(20 + 20 * n), sec(40 + 20 * n), "n1.1")
    story.ask("run", waits, 5)
    story.ownership = Ownership({"n1": frozenset()}, {}, {"n1 lease": "n1"})
    return story, work, waits


def test_where_all_slots_are_full_one_may_wait_for_his_turn() -> None:
    story, _, waits = busy()
    waits.execution("waits", created_at=sec(5))
    assert not check(judged(story, slots=1)).violations
    assert check(judged(story, slots=3)).kinds == {Kind.LOST: 1}
    # How many slots there are is not known, or who was there.
    assert check(judged(story)).kinds == {Kind.LOST: 1}
    assert story.ownership is not None
    story.ownership = attrs.evolve(story.ownership, said=dict.fromkeys(sorted(THREE), frozenset()))
    assert check(judged(story, slots=1)).kinds == {Kind.LOST: 1}


@pytest.mark.parametrize(("target", "came", "fine"), [("n1", 5, False), ("n2", 5, False), ("n1", 169.5, True)])
def test_one_for_a_certain_node_waits_for_its_slots_and_in_its_turn(target: str, came: float, fine: bool) -> None:
    story, _, waits = busy(everywhere=True)
    waits.execution("waits", created_at=sec(came), target=target)
    assert (check(judged(story, slots=1)).kinds == {}) is fine


def test_one_for_a_certain_node_is_not_passed_over_by_older_ones_or_elsewhere() -> None:
    story, work, waits = busy(everywhere=True)
    waits.execution("waits", created_at=sec(5), target="n1")
    work.executions = {key: attrs.evolve(one, created_at=sec(3)) for key, one in work.executions.items()}
    assert not check(judged(story, slots=1)).violations


def test_a_history_knows_no_slots_unless_it_is_told() -> None:
    assert Story().told().slots == 0
    assert (Task("t", "t", BEGIN, (), "active", 0).priority, Task("t", "t", BEGIN, (), "active", 0).queue) == (0, "")
