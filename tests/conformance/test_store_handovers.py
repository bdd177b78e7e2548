"""What every adapter promises of the record of hand-overs: who took which partition from whom, and why."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from actors.store import memory_activity, postgres_activity, sqlite_activity
from actors.store.handovers import Cause, Handover, HandoverFilter
from actors.store.shared import SharedStore
from runtime.clock import SECOND, Instant
from tests.conformance.store_kit import SteppedClock

ALL = HandoverFilter(Instant(0), Instant(10**17))


def told(store: SharedStore, **wanted: Any) -> list[tuple[int, int, str | None, str | None, Cause]]:
    return [
        (one.partition, one.epoch, one.node, one.former_node, one.cause)
        for one in store.handovers(attrs.evolve(ALL, **wanted))
    ]


def test_the_first_owner_has_nobody_before_him(store: SharedStore, clock: SteppedClock) -> None:
    store.enrol("b1", "n1", 4.0)
    store.raise_epochs({0: 1, 1: 1}, "b1")
    assert sorted(told(store)) == [(0, 1, "n1", None, Cause.FOUNDED), (1, 1, "n1", None, Cause.FOUNDED)]
    [newest, _] = store.handovers(ALL)
    assert newest == Handover(newest.partition, 1, clock.now, "b1", "n1", None, None, Cause.FOUNDED)


def test_a_living_node_gives_away_one_that_left_and_one_that_was_lost(store: SharedStore, clock: SteppedClock) -> None:
    for name in ("n1", "n2", "n3"):
        store.enrol(f"b of {name}", name, 4.0)
    store.raise_epochs({0: 1}, "b of n1")
    store.raise_epochs({0: 2}, "b of n2")
    store.leave("b of n2")
    store.raise_epochs({0: 3}, "b of n3")
    store.renew("b of n1", 60.0)
    clock.step(10)
    store.raise_epochs({0: 4}, "b of n1")
    assert told(store) == [
        (0, 4, "n1", "n3", Cause.LOST),
        (0, 3, "n3", "n2", Cause.LEFT),
        (0, 2, "n2", "n1", Cause.BALANCED),
        (0, 1, "n1", None, Cause.FOUNDED),
    ]


def test_a_buried_lease_that_has_lapsed_is_of_a_lost_node(store: SharedStore, clock: SteppedClock) -> None:
    store.enrol("b1", "n1", 4.0)
    store.enrol("b2", "n2", 60.0)
    store.raise_epochs({0: 1}, "b1")
    clock.step(5)
    store.bury(["b2"])
    store.raise_epochs({0: 2}, "b2")
    assert told(store)[0] == (0, 2, "n2", "n1", Cause.LOST)


@pytest.mark.parametrize(("silent", "cause"), [(1, Cause.BALANCED), (2, Cause.BALANCED), (3, Cause.LOST)])
def test_a_lease_that_was_not_renewed_lately_is_of_a_lost_node(
    store: SharedStore, clock: SteppedClock, silent: int, cause: Cause
) -> None:
    """A session is over after its timeout, which may be before the lease has lapsed."""
    store.enrol("b1", "n1", 5.0)
    store.enrol("b2", "n2", 5.0)
    store.raise_epochs({0: 1}, "b1")
    clock.step(silent)
    store.renew("b2", 5.0)
    store.raise_epochs({0: 2}, "b2")
    assert told(store)[0] == (0, 2, "n2", "n1", cause)


def test_the_same_node_after_a_restart(store: SharedStore, clock: SteppedClock) -> None:
    store.enrol("b1", "n1", 4.0)
    store.raise_epochs({0: 1}, "b1")
    clock.step(5)
    store.enrol("b2", "n1", 4.0)
    store.raise_epochs({0: 2}, "b2")
    assert told(store)[0] == (0, 2, "n1", "n1", Cause.RESTART)


def test_a_node_that_is_alone_has_no_lease(store: SharedStore) -> None:
    store.raise_epochs({0: 1}, "b1")
    store.raise_epochs({0: 2}, "b2")
    assert told(store) == [(0, 2, None, None, Cause.RESTART), (0, 1, None, None, Cause.FOUNDED)]
    assert [one.former_boot for one in store.handovers(ALL)] == ["b1", None]


def test_a_grant_that_is_not_higher_hands_nothing_over(store: SharedStore) -> None:
    store.raise_epochs({0: 5}, "b1")
    assert store.raise_epochs({0: 5}, "b2") == {}
    assert len(store.handovers(ALL)) == 1


def test_after_a_raised_fence_nobody_had_it(store: SharedStore) -> None:
    store.raise_floor({7: 41})
    store.raise_epochs({7: 1}, "b1")
    assert told(store) == [(7, 43, None, None, Cause.FOUNDED)]


def test_filters_combine(store: SharedStore, clock: SteppedClock) -> None:
    begun = clock.now
    for boot, name in (("b1", "n1"), ("b2", "n2")):
        store.enrol(boot, name, 600.0)
    store.raise_epochs({0: 1, 1: 1}, "b1")
    clock.step(60)
    store.raise_epochs({1: 2}, "b2")
    assert len(told(store)) == 3
    assert len(told(store, partition=1)) == 2
    assert [one[3] for one in told(store, node="n2")] == ["n1"]
    assert len(told(store, node="n1")) == 3
    assert len(told(store, until=Instant(begun + SECOND))) == 2
    assert told(store, since=Instant(begun + SECOND), partition=0) == []
    assert len(told(store, limit=2)) == 2


def test_the_oldest_rows_go(store: SharedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    if type(store).__module__.endswith("memory"):
        assert memory_activity.HANDOVERS_KEPT == sqlite_activity.HANDOVERS_KEPT
        return
    for module in (sqlite_activity, postgres_activity):
        monkeypatch.setattr(module, "HANDOVERS_KEPT", 3)
    for grant in range(1, 6):
        store.raise_epochs({0: grant}, f"b{grant}")
    assert [one[1] for one in told(store)] == [5, 4, 3]
