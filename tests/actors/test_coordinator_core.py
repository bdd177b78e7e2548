"""The coordinator's core: from grants to ownership and back."""

from __future__ import annotations

import pytest

from actors.coordinator_core import CoordinatorCore
from actors.coordinator_messages import Adopt, Announce, Raise, Raised
from runtime.coordination_messages import Granted, Revoked, SessionLost


def raised(epochs: dict[int, int], *refused: int) -> Raised:
    return Raised(epochs, frozenset(epochs) | frozenset(refused))


def owning(epochs: dict[int, int]) -> CoordinatorCore:
    core = CoordinatorCore()
    core.handle(Granted(dict.fromkeys(epochs, 1)))
    core.handle(raised(epochs))
    core.check_invariants()
    return core


def test_a_grant_is_owned_when_its_epoch_is_raised_and_only_then() -> None:
    core = CoordinatorCore()
    assert core.handle(Granted({0: 5, 3: 7})) == [Raise({0: 5, 3: 7})]
    assert core.handle(raised({0: 2, 3: 9})) == [Announce({0: 2, 3: 9}), Adopt(frozenset({0, 3}))]
    core.check_invariants()


def test_epochs_are_announced_as_a_whole() -> None:
    core = owning({0: 2})
    core.handle(Granted({1: 1}))
    assert core.handle(raised({1: 4})) == [Announce({0: 2, 1: 4}), Adopt(frozenset({1}))]


def test_what_the_store_refuses_is_not_owned() -> None:
    core = CoordinatorCore()
    core.handle(Granted({0: 1, 1: 1}))
    assert core.handle(raised({0: 2}, 1)) == [Announce({0: 2}), Adopt(frozenset({0}))]
    assert core.handle(raised({1: 8})) == []
    core.check_invariants()


def test_what_is_refused_anew_is_owned_no_more() -> None:
    core = owning({0: 2, 1: 2})
    core.handle(Granted({0: 3}))
    assert core.handle(raised({}, 0)) == [Announce({1: 2})]
    core.check_invariants()


def test_a_refusal_of_what_was_not_owned_changes_nothing() -> None:
    core = owning({0: 2})
    core.handle(Granted({1: 1}))
    assert core.handle(raised({}, 1)) == []


def test_a_revoked_partition_is_dropped_at_once() -> None:
    core = owning({0: 2, 1: 2})
    assert core.handle(Revoked(frozenset({0, 7}))) == [Announce({1: 2})]
    core.check_invariants()


def test_an_epoch_that_comes_after_the_revocation_is_ignored() -> None:
    core = CoordinatorCore()
    core.handle(Granted({0: 1, 1: 1}))
    assert core.handle(Revoked(frozenset({0}))) == [Announce({})]
    assert core.handle(raised({0: 2, 1: 2})) == [Announce({1: 2}), Adopt(frozenset({1}))]
    core.check_invariants()


def test_with_the_session_everything_is_lost() -> None:
    core = owning({0: 2, 1: 2})
    core.handle(Granted({5: 1}))
    assert core.handle(SessionLost()) == [Announce({})]
    assert core.handle(raised({5: 3})) == []
    core.check_invariants()


def test_the_invariant_finds_an_owner_without_a_grant() -> None:
    core = owning({0: 2})
    core._granted.clear()
    with pytest.raises(AssertionError, match="owned without a grant"):
        core.check_invariants()
