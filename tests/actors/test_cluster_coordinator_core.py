"""The decisions of a coordinator in a cluster, one event at a time and in any order."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import cluster_coordinator_messages as words
from actors.cluster_coordinator_core import ZONES_ATTRIBUTE, ClusterCoordinatorCore, Lease, fence_above
from runtime.coordination_messages import Barred, Granted, Member, MembersChanged, Revoked, SessionLost

ME = Member("a-1", "a", 2, {ZONES_ATTRIBUTE: "2026f"})
OTHER = Member("b-1", "b", 1, {ZONES_ATTRIBUTE: "2026f"})


class Driver:
    """A core with what it wants done."""

    def __init__(self, zones: str = "2026f") -> None:
        self.core = ClusterCoordinatorCore(attrs.evolve(ME, attributes={ZONES_ATTRIBUTE: zones}), Lease(), 1.0)
        self.now = 0.0
        self.leads = False
        self.out: list[Any] = []

    def feed(self, *events: Any) -> list[Any]:
        self.out = []
        for event in events:
            self.out += self.core.handle(event, self.now, leads=self.leads)
            self.core.check_invariants()
        return self.out

    def kinds(self) -> list[type]:
        return [type(one) for one in self.out]

    def tick(self, seconds: float) -> list[Any]:
        self.now += seconds
        return self.feed(words.Tick())

    def begin(self, recorded: dict[int, int] | None = None, epochs: dict[int, int] | None = None) -> None:
        """Up to having asked for slots."""
        found = epochs or {}
        self.feed(
            words.Tick(),
            words.Enrolled("a-1", 0.0),
            words.Seen("2026f"),
            words.Compared(found, recorded or {}, found),
            MembersChanged((ME, OTHER)),
        )

    def own(self, *slots: int) -> None:
        self.begin()
        self.feed(words.Asked())
        self.feed(Granted(dict.fromkeys(slots, 5)))
        self.feed(words.Recorded(dict.fromkeys(slots, 0)))
        self.feed(words.Raised("a-1", dict.fromkeys(slots, 1), dict.fromkeys(slots, 5)))


def test_a_lease_comes_first_and_nothing_is_joined_before_everything_is_known():
    driver = Driver()
    assert driver.feed(words.Tick()) == [words.Enrol("a-1"), words.See(), words.Compare()]
    assert driver.feed(words.Enrolled("a-1", 0.0)) == [words.Renew("a-1")]
    assert driver.feed(words.Seen("2026f")) == []
    assert driver.feed(words.Compared({}, {}, {})) == [words.Join(ME), words.Ask()]


def test_what_another_cluster_has_recorded_is_not_compared_with_and_said_once():
    driver = Driver()
    driver.feed(words.Tick(), words.Enrolled("a-1", 0.0), words.Seen("2026f"))
    assert words.Complain("of others") in driver.feed(words.Foreign("of others"))
    for _ in range(2):
        driver.tick(1.0)
        driver.feed(words.Renewed("a-1", driver.now))
        assert words.Compare() in driver.tick(1.1)
        assert words.Complain("of others") not in driver.feed(words.Foreign("of others"))
        driver.feed(words.Renewed("a-1", driver.now))
    driver.tick(1.0)
    driver.feed(words.Renewed("a-1", driver.now))
    driver.tick(1.1)
    joined = driver.feed(words.Compared({}, {}, {}))
    assert joined[0] == words.Join(ME)
    assert joined[-1] == words.Complain(None)


def test_a_slot_is_marked_then_raised_then_owned_then_recorded():
    driver = Driver()
    driver.begin()
    assert driver.feed(Granted({1: 5, 2: 5})) == [words.Record({1: 0, 2: 0})]
    assert driver.feed(words.Recorded({1: 0, 2: 0})) == [words.Raise("a-1", {1: 5, 2: 5})]
    driver.feed(words.Swept(("a-1", "b-1")))
    taken = driver.feed(words.Raised("a-1", {1: 1, 2: 1}, {1: 5, 2: 5}))
    assert taken[0] == words.Announce("a-1", {1: 1, 2: 1})
    assert words.Record({1: 1, 2: 1}) in taken
    assert words.Sweep(("a-1", "b-1"), (1, 2)) in taken


def test_a_slot_that_was_taken_before_needs_no_mark():
    driver = Driver()
    driver.begin({1: 3}, {1: 3})
    assert driver.feed(Granted({1: 5})) == [words.Raise("a-1", {1: 5})]


def test_a_refused_slot_is_given_back_and_asked_for_anew():
    driver = Driver()
    driver.own(1)
    driver.feed(words.Asked(), Granted({2: 5}), words.Recorded({1: 1}), words.Recorded({2: 0}))
    driver.feed(words.Raised("a-1", {}, {2: 5}))
    assert words.Release(frozenset({2})) in driver.out
    assert words.Ask() in driver.out
    assert words.Announce not in driver.kinds()


def test_a_slot_revoked_while_its_epoch_is_raised_is_not_owned():
    driver = Driver()
    driver.begin({1: 3}, {1: 3})
    driver.feed(Granted({1: 5}))
    assert driver.feed(Revoked(frozenset({1}))) == [words.Release(frozenset({1}))]
    assert words.Announce not in [type(one) for one in driver.feed(words.Raised("a-1", {1: 4}, {1: 5}))]


def test_a_new_grant_of_an_owned_slot_is_raised_anew():
    driver = Driver()
    driver.own(1)
    driver.feed(words.Recorded({1: 1}))
    assert words.Raise("a-1", {1: 9}) in driver.feed(Granted({1: 9}))


def test_what_is_revoked_is_dropped_before_it_is_released():
    driver = Driver()
    driver.own(1, 2)
    assert driver.feed(Revoked(frozenset({1})))[:2] == [
        words.Announce("a-1", {2: 1}),
        words.Release(frozenset({1})),
    ]


def test_with_the_session_everything_owned_is_lost_and_epochs_are_compared_anew():
    driver = Driver()
    driver.own(1, 2)
    driver.feed(words.Compared({}, {1: 0, 2: 0}, {1: 1, 2: 1}))
    driver.feed(SessionLost())
    assert driver.out[0] == words.Announce("a-1", {})
    assert words.Compare() in driver.out
    assert words.Sweep not in driver.kinds()
    driver.feed(Granted({1: 8}))
    assert words.Release(frozenset({1})) in driver.out


def test_a_silent_store_costs_everything_and_the_weight():
    driver = Driver()
    driver.own(1)
    assert driver.tick(1.9) == [words.See()]
    out = driver.tick(0.1)
    assert out[:2] == [words.Release(frozenset({1})), words.Announce("a-1", {})]
    assert words.Declare(attrs.evolve(ME, weight=0)) in out
    assert driver.core.problem == "the store does not answer"
    assert words.Compare() not in driver.feed(words.Renewed("a-1", 2.0)), "one is under way, from before"
    assert words.Compare() in driver.feed(words.Compared({}, {1: 0}, {1: 1}))
    driver.feed(words.Compared({1: 1}, {1: 1}, {1: 1}))
    assert words.Declare(ME) in driver.out
    assert words.Ask() in driver.out


def test_a_lease_is_doubted_once_and_trusted_once():
    driver = Driver()
    driver.begin()
    assert words.DoubtLease() in driver.tick(2.7)
    assert words.DoubtLease() not in driver.tick(1.0)
    assert driver.core.in_doubt
    assert driver.feed(words.Renewed("a-1", 3.5))[0] == words.TrustLease()


def test_a_lease_lapses_and_is_trusted_again_although_its_coordinator_begins_anew():
    former = Driver()
    former.begin()
    driver = Driver()
    driver.core.inherit(former.core)
    driver.now = former.now
    assert words.DoubtLease() in driver.tick(2.7)
    third = Driver()
    third.core.inherit(driver.core)
    third.now = driver.now
    assert third.core.in_doubt
    assert words.TrustLease() in third.feed(words.Enrolled("a-1", third.now))


def test_what_is_done_under_a_buried_boot_is_overlooked():
    driver = Driver()
    driver.begin({1: 3}, {1: 3})
    driver.feed(Granted({1: 5}))
    out = driver.feed(words.Buried("a-1", "a-2"))
    assert out[:3] == [words.LoseLease("a-1", "a-2"), words.Announce("a-2", {}), words.Enrol("a-2")]
    assert driver.feed(words.Raised("a-1", {1: 4}, {1: 5})) == []
    driver.feed(words.Enrolled("a-2", 1.0))
    assert words.Join(attrs.evolve(ME, boot="a-2")) in driver.out


@pytest.mark.parametrize(
    ("before", "recorded", "after", "said"),
    [
        ({1: 4}, {1: 5}, {1: 4}, "of 1 partitions are lower"),
        ({}, {1: 5, 2: 1}, {}, "of 2 partitions are lower"),
        ({1: 4}, {}, {1: 4}, "1 partitions were taken before"),
        ({1: 4}, {1: 5}, {1: 5}, None),
        ({}, {}, {1: 1}, None),
        ({1: 4}, {1: 0}, {1: 4}, None),
    ],
)
def test_epochs_are_compared(before: dict[int, int], recorded: dict[int, int], after: dict[int, int], said: str | None):
    driver = Driver()
    driver.feed(words.Tick(), words.Enrolled("a-1", 0.0), words.Seen("2026f"))
    driver.feed(words.Compared(before, recorded, after))
    problem = driver.core.problem
    assert problem is None if said is None else said in (problem or "")
    assert (words.Ask() in driver.out) == (said is None)
    if said is not None:
        assert driver.tick(1.0).count(words.Compare()) == 0
        assert driver.tick(1.0).count(words.Compare()) == 1


def test_an_epoch_that_is_not_above_the_recorded_one_is_not_owned():
    driver = Driver()
    driver.begin({1: 3}, {1: 3})
    driver.feed(Granted({1: 5}))
    driver.feed(words.Raised("a-1", {1: 3}, {1: 5}))
    assert words.Announce not in driver.kinds()
    assert words.Compare() in driver.out


def test_the_fence_is_raised_above_both():
    assert fence_above({1: 3, 2: 9}, {2: 4, 3: 7}) == {1: 3, 2: 9, 3: 7}


def test_another_time_zone_database_means_no_weight_until_the_cluster_switches():
    driver = Driver("2026g")
    driver.begin()
    mine = Member("a-1", "a", 0, {ZONES_ATTRIBUTE: "2026g"})
    assert "2026f" in (driver.core.problem or "")
    driver.leads = True
    assert words.Switch not in [type(one) for one in driver.feed(MembersChanged((mine, OTHER)))]
    assert words.Switch("2026g") in driver.feed(MembersChanged((mine,)))
    driver.now = 1.0
    driver.feed(words.Switched())
    driver.feed(words.Seen("2026g"))
    assert driver.out[0] == words.TellZones()
    assert words.Declare(attrs.evolve(mine, weight=2)) in driver.out


def test_who_does_not_lead_does_not_switch():
    driver = Driver("2026g")
    driver.begin()
    mine = Member("a-1", "a", 0, {ZONES_ATTRIBUTE: "2026g"})
    assert words.Switch not in [type(one) for one in driver.feed(MembersChanged((mine,)))]


def test_dead_boots_whose_leases_are_about_to_lapse_are_looked_at_soon():
    driver = Driver()
    driver.begin()
    driver.feed(MembersChanged((ME,)))
    driver.feed(words.Swept(("a-1", "b-1")))
    assert words.Sweep(("a-1",), ()) in driver.tick(0.25)
    driver.feed(words.Swept(("a-1",)))
    assert words.Sweep not in [type(one) for one in driver.tick(0.25)]


def test_work_without_an_answer_is_tried_again():
    driver = Driver()
    driver.feed(words.Tick())
    assert words.Enrol("a-1") not in driver.feed(words.Unanswered(words.Enrol("a-1")))
    assert words.Enrol("a-1") in driver.tick(0.25)


def test_an_unanswered_raise_is_tried_again_with_what_is_granted_then():
    driver = Driver()
    driver.begin({1: 3, 2: 3}, {1: 3, 2: 3})
    driver.feed(Granted({1: 5}), Granted({2: 6}))
    driver.feed(words.Unanswered(words.Raise("a-1", {1: 5})))
    assert words.Raise("a-1", {1: 5, 2: 6}) in driver.tick(0.25)


def test_what_stands_against_the_node_is_told_once_and_when_it_is_over():
    driver = Driver()
    driver.begin()
    assert words.Complain("taken") in driver.feed(Barred("taken"))
    assert words.Complain("taken") not in driver.feed(Barred("taken"))
    assert words.Complain(None) in driver.feed(MembersChanged((ME,)))


def test_a_draining_node_gives_everything_up_and_takes_part_again():
    driver = Driver()
    driver.own(1)
    driver.feed(words.Asked(), words.Drain())
    assert driver.out[0] == words.Release(frozenset({1}))
    assert words.Declare(attrs.evolve(ME, weight=0)) in driver.out
    assert words.Ask() in driver.feed(words.Drain(on=False))


def test_the_invariants_are_checked():
    driver = Driver()
    driver.own(1)
    driver.core._drained = True
    with pytest.raises(AssertionError, match="may not"):
        driver.core.check_invariants()
    driver.core._granted.clear()
    with pytest.raises(AssertionError, match="without a grant"):
        driver.core.check_invariants()


slots = st.integers(0, 3)
numbers = st.dictionaries(slots, st.integers(0, 9), max_size=4)
boots = st.sampled_from(["a-1", "a-2", "a-3"])
events = st.one_of(
    numbers.map(Granted),
    st.frozensets(slots).map(Revoked),
    st.just(SessionLost()),
    st.just(MembersChanged((ME, OTHER))),
    st.just(Barred("no")),
    st.just(words.Tick()),
    st.builds(words.Drain, st.booleans()),
    st.builds(words.Enrolled, boots, st.floats(0, 50)),
    st.builds(words.Renewed, boots, st.floats(0, 50)),
    st.builds(words.Buried, boots, boots),
    st.builds(words.Compared, numbers, numbers, numbers),
    st.builds(words.Seen, st.sampled_from(["2026f", "2026g"])),
    st.just(words.Asked()),
    st.builds(words.Raised, boots, numbers, numbers),
    numbers.map(words.Recorded),
    st.just(words.Swept(("a-1",))),
)


@given(st.lists(st.tuples(events, st.floats(0, 3))))
def test_nothing_is_owned_without_a_grant_or_by_who_may_not(history: list[tuple[Any, float]]):
    driver = Driver()
    announced: dict[int, int] = {}
    for event, seconds in history:
        driver.now += seconds
        for order in driver.feed(event):
            if isinstance(order, words.Announce):
                announced = dict(order.epochs)
        assert announced.keys() == driver.core._announced
        assert driver.core._epochs.keys() <= announced.keys() <= driver.core._granted.keys()
        if not driver.core._may_own:
            assert announced == {}
