"""Who is to hold which slot: everything covered, even shares, little movement, one answer."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.assignment import assign

names = st.text("abcdef", min_size=1, max_size=4)
slot_counts = st.integers(1, 300)
members = st.dictionaries(names, st.integers(0, 5), max_size=8)
holders = st.dictionaries(st.integers(0, 310), names, max_size=310)


def share(slots: int, weights: dict[str, int], name: str) -> float:
    return slots * weights[name] / sum(weights.values())


@pytest.mark.parametrize("weights", [{"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 5, "b": 5, "c": 4}])
def test_the_share_of_three_nodes_is_within_a_tenth_of_their_weight(weights: dict[str, int]):
    counts = Counter(assign(256, weights, {}).values())
    for name in weights:
        assert counts[name] == pytest.approx(share(256, weights, name), rel=0.1)


def test_nobody_with_a_weight_means_nothing_is_assigned():
    assert assign(8, {}, {0: "a"}) == {}
    assert assign(8, {"a": 0}, {0: "a"}) == {}


def test_who_is_alone_gets_everything():
    assert assign(8, {"a": 1, "b": 0}, {0: "b"}) == dict.fromkeys(range(8), "a")


@given(slot_counts, members, holders)
def test_every_slot_has_one_holder_and_shares_are_exact(slots: int, weights: dict[str, int], present: dict[int, str]):
    assigned = assign(slots, weights, present)
    if not any(weights.values()):
        assert assigned == {}
        return
    assert sorted(assigned) == list(range(slots))
    counts = Counter(assigned.values())
    assert all(weights[name] > 0 for name in counts)
    for name in weights:
        exact = share(slots, weights, name)
        assert math.floor(exact) <= counts[name] <= math.ceil(exact)


@given(slot_counts, members, holders, st.integers())
def test_the_answer_does_not_depend_on_the_order(
    slots: int, weights: dict[str, int], present: dict[int, str], seed: int
):
    chance = random.Random(seed)
    shuffled_weights = dict(chance.sample(sorted(weights.items()), len(weights)))
    shuffled_present = dict(chance.sample(sorted(present.items()), len(present)))
    assert assign(slots, shuffled_weights, shuffled_present) == assign(slots, weights, present)


@given(slot_counts, members, holders)
def test_what_was_assigned_stays_while_nothing_changes(slots: int, weights: dict[str, int], present: dict[int, str]):
    once = assign(slots, weights, present)
    assert assign(slots, weights, once) == once


@given(slot_counts, members.filter(lambda one: any(one.values())), st.integers(1, 5))
def test_a_join_moves_slots_to_the_joiner_only_and_no_more_than_its_share(
    slots: int, weights: dict[str, int], weight: int
):
    before = assign(slots, weights, {})
    joined = {**weights, "joiner": weight}
    after = assign(slots, joined, before)
    moved = [slot for slot in range(slots) if after[slot] != before[slot]]
    assert len(moved) <= math.ceil(share(slots, joined, "joiner")) + len(weights)
    assert sum(after[slot] != "joiner" for slot in moved) <= len(weights)


@given(slot_counts, members.filter(lambda one: sum(weight > 0 for weight in one.values()) > 1), st.data())
def test_a_leave_moves_what_it_held_and_nearly_nothing_else(slots: int, weights: dict[str, int], data: st.DataObject):
    before = assign(slots, weights, {})
    leaver = data.draw(st.sampled_from(sorted(name for name, weight in weights.items() if weight)))
    after = assign(slots, {**weights, leaver: 0}, before)
    moved = [slot for slot in range(slots) if after[slot] != before[slot]]
    assert sum(before[slot] != leaver for slot in moved) <= len(weights)


@given(slot_counts, members.filter(lambda one: any(one.values())), holders)
def test_a_slot_moves_only_from_who_is_gone_or_has_too_much(
    slots: int, weights: dict[str, int], present: dict[int, str]
):
    after = assign(slots, weights, present)
    counts = Counter(name for slot, name in present.items() if slot < slots)
    kept = Counter(name for slot, name in present.items() if slot < slots and after[slot] == name)
    goals = Counter(after.values())
    for name in weights:
        assert kept[name] == min(counts[name], goals[name])
