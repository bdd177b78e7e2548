"""The coordinator: from grants to ownership."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.coordinator_core import CoordinatorCore
from actors.coordinator_messages import Adopt, Announce, Raise, Raised
from runtime.coordination_messages import Granted, Revoked, SessionLost


def owning(epochs: dict[int, int]) -> CoordinatorCore:
    core = CoordinatorCore()
    core.handle(Granted(dict.fromkeys(epochs, 1)))
    core.handle(Raised(epochs, frozenset(epochs)))
    return core


def test_the_epoch_is_raised_before_anything_is_announced():
    core = CoordinatorCore()
    assert core.handle(Granted({1: 5, 2: 6})) == [Raise({1: 5, 2: 6})]
    assert core.handle(Raised({1: 9}, frozenset({1, 2}))) == [Announce({1: 9}), Adopt(frozenset({1}))]


def test_nothing_new_is_not_announced():
    core = CoordinatorCore()
    core.handle(Granted({1: 5}))
    assert core.handle(Raised({}, frozenset({1}))) == []


def test_a_slot_that_was_refused_is_dropped_though_it_was_owned():
    core = owning({1: 9, 2: 4})
    core.handle(Granted({1: 1}))
    assert core.handle(Raised({}, frozenset({1}))) == [Announce({2: 4})]
    core.check_invariants()


def test_a_slot_revoked_while_its_epoch_is_raised_is_not_owned():
    core = CoordinatorCore()
    core.handle(Granted({1: 5}))
    assert core.handle(Revoked(frozenset({1}))) == [Announce({})]
    assert core.handle(Raised({1: 9}, frozenset({1}))) == []


def test_a_lost_session_drops_everything():
    assert owning({1: 9, 2: 4}).handle(SessionLost()) == [Announce({})]


def test_the_invariant_is_checked():
    core = owning({1: 9})
    core._granted.clear()
    with pytest.raises(AssertionError, match="without a grant"):
        core.check_invariants()


slots = st.integers(0, 4)
events = st.one_of(
    st.dictionaries(slots, st.integers(1, 9), min_size=1).map(Granted),
    st.frozensets(slots).map(Revoked),
    st.just(SessionLost()),
    st.builds(
        lambda epochs, more: Raised(epochs, frozenset(epochs) | more),
        st.dictionaries(slots, st.integers(1, 9)),
        st.frozensets(slots),
    ),
)


@given(st.lists(events))
def test_nothing_is_owned_without_a_grant(history: list):
    core = CoordinatorCore()
    for event in history:
        for directive in core.handle(event):
            if isinstance(directive, Announce):
                assert directive.epochs == core._epochs
        core.check_invariants()
