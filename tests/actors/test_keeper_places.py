"""Where executions may run: of a node that is alone, and of one among others."""

from __future__ import annotations

from random import Random

import pytest

from actors import keeper_places
from actors.keeper_places import ClusterPlaces, OnlyHere, Room
from actors.keeper_tasks import Tasks
from actors.model.execution import Execution, Kind
from actors.model.lifecycle import State
from actors.model.peer import Peer
from actors.model.placement import Placement, Where
from actors.rules.placing import Placer
from runtime.clock import SECOND, Instant
from runtime.records import evolve

from .keeper_kit import START, definition
from .records import task

NOW = Instant(START)
ME = Peer("n1", "b1", types=frozenset({"work"}), slots=4, free=4)
OTHER = Peer("n2", "b2", types=frozenset({"work"}), slots=4, free=2)
ONE = Execution("e1", "t1", Kind.OCCURRENCE, State.WAITING, NOW)


def places(**fields: object) -> ClusterPlaces:
    made = ClusterPlaces(lambda: evolve(ME, **fields), lambda: {"b1", "b2"}, Placer(Random(1)))
    made.learn((ME, OTHER), NOW)
    return made


def test_a_node_that_is_alone_runs_what_it_has_and_what_names_it():
    alone = OnlyHere(lambda name: name == "work", "n1")
    named = definition(placement=Placement(Where.NAMED, nodes=("n2",)))
    assert alone.choose(definition(), ONE, 0) is Room.HERE
    assert alone.choose(named, ONE, 1) is Room.NOBODY
    assert alone.choose(definition(), evolve(ONE, target="n2"), 1) is Room.NOBODY
    assert alone.prefers_here(definition(), 0) and not alone.prefers_here(named, 1)
    assert alone.targets(definition()) == ("n1",)
    assert OnlyHere(lambda _: False, "n1").targets(definition()) == ()
    assert alone.is_alone and not alone.has_room_elsewhere and not alone.is_offered("e1", NOW)
    with pytest.raises(NotImplementedError, match="no other node"):
        alone.offered("e1", OTHER, NOW)


def test_what_was_offered_counts_until_gossip_is_heard_or_the_offer_is_over():
    made = places()
    assert made.has_room_elsewhere
    made.offered("e1", OTHER, NOW)
    made.offered("e2", OTHER, NOW)
    assert not made.has_room_elsewhere
    assert made.is_offered("e1", NOW) and not made.is_offered("e1", Instant(NOW + SECOND))
    made.learn((ME, OTHER), NOW)
    assert made.has_room_elsewhere
    made.forget(Instant(NOW + SECOND))
    assert not made.is_offered("e1", NOW)


def test_who_declines_has_no_room_until_he_says_so():
    made = places(executor=False)
    made.offered("e1", OTHER, NOW)
    assert made.choose(definition(), ONE, 0) is OTHER
    made.declined("b2", ["e1"])
    assert made.choose(definition(), ONE, 0) is Room.BUSY
    assert not made.is_offered("e1", NOW)
    made.learn((ME, OTHER), NOW)
    assert made.choose(definition(), ONE, 0) is OTHER


def test_a_node_keeps_the_work_while_it_has_much_room_or_nobody_else_has():
    made = places()
    assert made.prefers_here(definition(), 1)
    assert not made.prefers_here(definition(), 0)
    assert not made.prefers_here(definition(placement=Placement(Where.ALL)), 4)
    assert not places(draining=True).prefers_here(definition(), 4)
    assert not places(types=frozenset()).prefers_here(definition(), 4)
    made.learn((ME,), NOW)
    assert made.prefers_here(definition(), 0)


def test_a_strategy_that_is_not_there_is_a_problem_that_is_told():
    made = places()
    assert made.choose(definition(placement=Placement(strategy="my.own")), ONE, 4) is Room.HERE
    assert list(made.problems) == ["placement strategy 'my.own': this node does not have it"]


class Moody:
    """A strategy that raises whenever it is told to."""

    wrong = ""

    def choose(self, candidates, facts):
        if self.wrong:
            raise ValueError(self.wrong)
        return candidates[0].peer


def with_own(**more):
    moody, lines = Moody(), []
    placer = Placer(Random(1), own={"my.own": moody}, **more)
    made = ClusterPlaces(lambda: ME, lambda: {ME.boot, OTHER.boot}, placer, warn=lines.append)
    made.learn((ME, OTHER), NOW)
    return made, moody, lines


def test_another_usual_strategy_is_asked_for_all_that_says_nothing():
    assert not with_own(usual="my.own")[0].prefers_here(definition(), 4)
    assert not with_own(usual="round_robin")[0].prefers_here(definition(), 4)
    assert with_own()[0].prefers_here(definition(), 4)


def test_what_is_wrong_with_a_strategy_is_trouble_until_it_is_right():
    made, moody, lines = with_own()
    task = definition(placement=Placement(strategy="my.own"))
    assert made.trouble_with(task) is None
    moody.wrong = "no idea"
    for _ in range(5):
        made.choose(task, ONE, 4)
    assert made.trouble_with(task) == "placement strategy 'my.own': ValueError: no idea"
    assert made.trouble_with(definition()) is None
    assert made.failures == 5
    assert [line.rsplit("(", 1)[1] for line in lines] == ["1 times)", "2 times)", "4 times)"]
    moody.wrong = ""
    made.choose(task, ONE, 4)
    assert made.trouble_with(task) is None


def test_errors_of_a_strategy_take_no_room_without_end():
    made, moody, _ = with_own()
    for number in range(100):
        moody.wrong = f"number {number}"
        made.choose(definition(placement=Placement(strategy="my.own")), ONE, 4)
    assert len(made.problems) == 20
    assert list(made.problems)[-1].endswith("number 99")
    assert len(made.trouble) == 1


def test_only_so_many_pinned_tasks_are_remembered(monkeypatch):
    monkeypatch.setattr(keeper_places, "PINNED_REMEMBERED", 2)
    made = places(executor=False)
    pinned = Placement(strategy="pinned")
    for number in range(3):
        assert made.choose(definition(f"t{number}", placement=pinned), ONE, 0) is OTHER
    assert list(made._last) == ["t1", "t2"]


def test_who_is_absent_is_known_with_the_time_since_when():
    live = {"b1", "b2"}
    made = ClusterPlaces(lambda: ME, lambda: live, Placer(Random(1)))
    made.learn((ME, OTHER), NOW)
    assert made.absent == {}
    assert made.targets(definition()) == ("n1", "n2")
    live.remove("b2")
    made.learn((ME, OTHER), Instant(NOW + 1))
    made.learn((ME,), Instant(NOW + 2))
    assert made.absent == {"n2": Instant(NOW + 1)}
    live.add("b3")
    made.learn((ME, evolve(OTHER, boot="b3")), Instant(NOW + 3))
    assert made.absent == {}


def test_the_least_used_tasks_are_forgotten(monkeypatch):
    monkeypatch.setattr("actors.keeper_tasks.CACHE_SIZE", 2)
    tasks = Tasks(4)
    tasks.learn([task("t1"), task("t2"), task("t3")], ["t1", "t9"])
    assert tasks.stage("t1") is not None
    assert tasks.stage("t9") is None
    tasks.trim()
    assert list(tasks.cache) == ["t3", "t1"]
    tasks.accept(task("t3"), deleted=True)
    tasks.accept(task("t4"), deleted=False)
    assert list(tasks.cache) == ["t1", "t4"]
    assert tasks.untouched("t1") is None
    assert tasks.untouched("t4") == task("t4")
    assert [one.id for one in tasks.stage_all(["t4", "t9"])] == ["t4"]
    assert [one.id for one in tasks.as_staged(["t1", "t4", "t9"])] == ["t1", "t4"]
