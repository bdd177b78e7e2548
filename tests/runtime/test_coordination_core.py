"""One node's part in the coordination: the order of its steps, and three nodes under every interleaving."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runtime.coordination_core import BATCH, CoordinationCore
from runtime.coordination_messages import Barred, Granted, Member, MembersChanged, Revoked, SessionLost
from runtime.coordination_plan import CoordinationSettings, Plan, Seat
from runtime.coordination_steps import (
    Astray,
    Denied,
    Done,
    Enter,
    Entered,
    Failed,
    Found,
    Founded,
    Join,
    OwnersRead,
    PlanRead,
    Probe,
    Probed,
    ReadOwners,
    ReadPlan,
    Released,
    Request,
    Stand,
    Step,
    Stood,
    Take,
    Taken,
    Tell,
    Tick,
    Write,
    Written,
    owner_path,
)
from runtime.registry_messages import Changed, Connected, Disconnected, Lost

from .coordination_model import ModelNode, Servers, settle

ME = Member("boot", "a")
MINE = Plan("b", None, {"s1": ME}, {0: Seat("s1", "a", 7), 1: Seat("s2", "b", 7)})


class Driver:
    """A core whose steps are answered by hand."""

    def __init__(self, slots: int = 2, **options: Any) -> None:
        self.core = CoordinationCore("c1", slots, CoordinationSettings(**options))
        self.steps: list[Step] = []
        self.told: list[Any] = []
        self.now = 0.0

    def feed(self, event: Any) -> None:
        for directive in self.core.handle(event, self.now):
            if isinstance(directive, Tell):
                self.told.append(directive.event)
            else:
                self.steps.append(directive)
        self.core.check_invariants()

    def answer(self, kind: type[Any], outcome: Any) -> Any:
        """Answer the step of this kind that is under way, which must be the only one but probes."""
        (step,) = [step for step in self.steps if isinstance(step, kind)]
        assert [one for one in self.steps if not isinstance(one, Probe) and one is not step] == []
        self.steps.remove(step)
        self.feed(Done(step, outcome))
        return step

    def begin(self, former: dict[int, int] | None = None) -> None:
        self.feed(Join(ME))
        self.feed(Request(former or {}))
        self.feed(Connected("s1", 4.0, True))

    def enter(self, former: dict[int, int] | None = None, plan: Plan = MINE) -> None:
        """Up to the plan and the owners having been read, none of them there; the record is written."""
        self.begin(former)
        self.answer(Found, Founded("c1", 2))
        self.answer(Stand, Stood("/leader/s1-2", "/leader/s2-1"))
        self.answer(Enter, Entered("s1", 0, 4.0))
        self.answer(ReadPlan, PlanRead(plan, 3))
        self.answer(ReadOwners, OwnersRead({0: None, 1: "s2"}))


def test_the_steps_of_a_node_that_takes_a_slot():
    driver = Driver()
    driver.enter()
    assert driver.answer(Take, Taken()).slots == (0,)
    assert driver.told == [MembersChanged((ME,)), Granted({0: 7})]
    assert driver.answer(Write, Written()).name == "a"
    assert [type(step) for step in driver.steps] == [Probe]


def test_nothing_is_taken_before_it_was_asked_for():
    driver = Driver()
    driver.feed(Join(ME))
    driver.feed(Connected("s1", 4.0, True))
    driver.answer(Found, Founded("c1", 2))
    driver.answer(Stand, Stood("/leader/s1-2", "/leader/s2-1"))
    driver.answer(Enter, Entered("s1", 0, 4.0))
    driver.answer(ReadPlan, PlanRead(MINE, 3))
    driver.answer(ReadOwners, OwnersRead({0: None, 1: "s2"}))
    driver.answer(Write, Written())
    assert not [step for step in driver.steps if isinstance(step, Take)]
    driver.feed(Request({}))
    driver.answer(Take, Taken())
    assert Granted({0: 7}) in driver.told


def test_a_grant_that_the_store_knows_is_not_told():
    driver = Driver()
    driver.enter({0: 7, 1: 9})
    driver.answer(Take, Taken())
    assert driver.told == [MembersChanged((ME,))]
    assert b'"again":[[0,7]]' in driver.answer(Write, Written()).data


def test_a_revoked_slot_is_kept_until_it_was_released():
    driver = Driver()
    driver.enter()
    driver.answer(Take, Taken())
    driver.answer(Write, Written())
    driver.feed(Changed("/assignment"))
    driver.answer(ReadPlan, PlanRead(Plan("b", None, {}, {0: Seat("s2", "b", 8)}), 4))
    assert driver.told[-1] == Revoked(frozenset({0}))
    assert [type(step) for step in driver.steps] == [Probe]
    driver.feed(Released(frozenset({0})))
    assert driver.steps[-1].slots == (0,)  # type: ignore[union-attr]


def test_a_step_without_an_answer_is_looked_after():
    driver = Driver()
    driver.enter()
    driver.answer(Take, Failed())
    assert driver.steps == [step for step in driver.steps if isinstance(step, Probe)]
    driver.now = 1.0
    driver.feed(Tick())
    look = driver.answer(ReadOwners, OwnersRead({0: "s1"}))
    assert (look.slots, look.watch) == ((0,), True)
    assert driver.told[-1] == Granted({0: 7})


def test_an_owner_node_that_another_has_is_waited_for():
    driver = Driver()
    driver.enter(plan=Plan("b", None, {}, {0: Seat("s1", "a", 7), 1: Seat("s1", "a", 7)}))
    driver.answer(ReadOwners, OwnersRead({1: "s2"}))
    assert driver.answer(Take, Taken()).slots == (0,)
    driver.answer(Write, Written())
    driver.feed(Changed(owner_path(1)))
    driver.answer(ReadOwners, OwnersRead({1: None}))
    assert driver.answer(Take, Taken()).slots == (1,)
    assert driver.told[-1] == Granted({1: 7})


def test_a_change_heard_while_it_is_looked_at_is_looked_at_again():
    driver = Driver()
    driver.enter(plan=Plan("b", None, {}, {1: Seat("s1", "a", 7)}))
    driver.feed(Changed(owner_path(1)))
    driver.answer(ReadOwners, OwnersRead({1: "s2"}))
    driver.answer(ReadOwners, OwnersRead({1: None}))
    assert driver.answer(Take, Taken()).slots == (1,)


def test_the_answer_of_a_former_session_is_overlooked():
    driver = Driver()
    driver.enter()
    (take,) = [step for step in driver.steps if isinstance(step, Take)]
    driver.feed(Lost())
    assert driver.told[-1] == SessionLost()
    driver.feed(Connected("s3", 4.0, True))
    driver.steps.clear()
    driver.feed(Done(take, Taken()))
    assert driver.told[-1] == SessionLost()
    assert driver.steps == []


def test_without_a_server_nothing_is_dropped_and_nothing_is_asked():
    driver = Driver()
    driver.enter()
    driver.answer(Take, Taken())
    told = list(driver.told)
    driver.feed(Disconnected())
    driver.steps.clear()
    driver.now = 1000.0
    driver.feed(Tick())
    assert (driver.told, driver.steps) == (told, [])
    driver.feed(Connected("s1", 4.0, False))
    driver.answer(Found, Founded("c1", 2))
    assert driver.core.owners() == {0: "a"}


def test_a_session_whose_candidacy_is_gone_begins_from_the_start():
    driver = Driver()
    driver.enter()
    driver.answer(Take, Astray())
    driver.answer(Found, Founded("c1", 2))
    driver.answer(Stand, Stood("/leader/s1-9", "/leader/s2-1"))


def test_the_trust_window_is_counted_from_the_sending_of_the_probe():
    driver = Driver()
    driver.enter()
    driver.answer(Take, Taken())
    driver.answer(Write, Written())
    assert not driver.core.trusted(0.0)
    (probe,) = driver.steps
    driver.now = 1.0
    driver.feed(Done(probe, Probed(0.25)))
    assert driver.core.trusted(0.25 + 2.33)
    assert not driver.core.trusted(0.25 + 2.34)


def test_probes_go_out_eight_times_in_a_timeout():
    driver = Driver()
    driver.enter()
    sent = 0
    for tick in range(160):
        driver.now = tick / 40
        driver.feed(Tick())
        for probe in [step for step in driver.steps if isinstance(step, Probe)]:
            sent += 1
            driver.steps.remove(probe)
            driver.feed(Done(probe, Probed(driver.now)))
    assert sent == 8


def test_what_the_servers_will_not_do_bars():
    driver = Driver()
    driver.begin()
    driver.answer(Found, Denied("no access to /cluster"))
    assert driver.told == [Barred("no access to /cluster")]
    assert driver.core.problem == "no access to /cluster"


def test_a_name_in_use_is_waited_for_while_nobody_writes_there():
    driver = Driver()
    driver.begin()
    driver.answer(Found, Founded("c1", 2))
    driver.answer(Stand, Stood("/leader/s1-2", None))
    for _ in range(19):
        driver.answer(Enter, Entered("s0", 5, 4.0))
        driver.now += 0.25
        driver.feed(Tick())
    assert driver.told == []
    driver.now = 5.0
    driver.answer(Enter, Entered("s0", 5, 4.0))
    assert driver.told == [Barred("another node that lives has the name 'a'")]


def test_a_name_whose_holder_writes_is_barred_soon():
    driver = Driver()
    driver.begin()
    driver.answer(Found, Founded("c1", 2))
    driver.answer(Stand, Stood("/leader/s1-2", None))
    for version in (5, 6, 7):
        driver.answer(Enter, Entered("s0", version, 4.0))
        driver.now += 0.25
        driver.feed(Tick())
    assert len(driver.told) == 1
    driver.now = 10.0
    driver.feed(Changed("/members/a"))
    driver.answer(Enter, Entered("s1", 0, 4.0))
    assert driver.core.problem is None


def test_many_slots_are_taken_in_batches():
    servers = Servers(slots=3 * BATCH)
    node = ModelNode(servers, "a", CoordinationSettings())
    node.connect()
    node.join()
    settle(node, rounds=4)
    assert len(node.held) == 3 * BATCH
    assert len(node.told) == 4


def test_the_invariants_are_checked():
    driver = Driver()
    driver.enter()
    driver.answer(Take, Taken())
    driver.core._leaving.add(0)
    with pytest.raises(AssertionError, match="granted and revoked"):
        driver.core.check_invariants()
    driver.core._session = None
    with pytest.raises(AssertionError, match="without a session"):
        driver.core.check_invariants()


NAMES = ["a", "b", "c"]
which = st.sampled_from(NAMES)


class ThreeNodes(RuleBasedStateMachine):
    """Three nodes whose steps, answers and watches arrive in any order that a session allows."""

    def __init__(self) -> None:
        super().__init__()
        self.servers = Servers(slots=4)
        self.nodes = {name: ModelNode(self.servers, name, CoordinationSettings()) for name in NAMES}
        self.connected = dict.fromkeys(NAMES, False)
        self.grants: dict[int, int] = {}
        self.seen = dict.fromkeys(NAMES, 0)

    @initialize()
    def begin(self) -> None:
        for name, node in self.nodes.items():
            node.join()
            node.connect()
            self.connected[name] = True

    @rule(name=which, times=st.integers(1, 6))
    def work(self, name: str, times: int) -> None:
        for _ in range(times):
            self.nodes[name].send()
            self.nodes[name].hear()

    @rule(name=which)
    def send(self, name: str) -> None:
        self.nodes[name].send()

    @rule(name=which, overtake=st.booleans())
    def hear(self, name: str, overtake: bool) -> None:
        if self.connected[name]:
            self.nodes[name].hear(overtake=overtake)

    @rule(name=which, weight=st.integers(0, 1))
    def describe(self, name: str, weight: int) -> None:
        self.nodes[name].describe(weight)

    @rule()
    def calm(self) -> None:
        """Nothing is on its way for a moment; nobody releases anything."""
        for _ in range(8):
            for name, node in self.nodes.items():
                if self.connected[name]:
                    node.work()
                    node.tick()

    @rule(name=which)
    def lose_a_reply(self, name: str) -> None:
        self.nodes[name].send(lose_reply=True)

    @rule(name=which, seconds=st.sampled_from([0.25, 1.0, 5.0]))
    def tick(self, name: str, seconds: float) -> None:
        self.nodes[name].tick(seconds)

    @rule(name=which)
    def release(self, name: str) -> None:
        self.nodes[name].release()

    @rule(name=which)
    def ask_again(self, name: str) -> None:
        node = self.nodes[name]
        node.feed(Request(dict(node.highest)))

    @rule(name=which)
    def join_again(self, name: str) -> None:
        node = self.nodes[name]
        node.held.clear()
        node.revoked.clear()
        node.join(dict(node.highest))

    @precondition(lambda self: any(self.connected.values()))
    @rule(name=which)
    def disconnect(self, name: str) -> None:
        if self.connected[name]:
            self.connected[name] = False
            self.nodes[name].disconnect()

    @rule(name=which)
    def connect(self, name: str) -> None:
        if not self.connected[name]:
            self.connected[name] = True
            self.nodes[name].connect()

    @rule(name=which)
    def expire(self, name: str) -> None:
        """The servers end a session; the node hears of it when it reaches one."""
        self.servers.end(self.nodes[name].session or "")
        if self.connected[name]:
            self.nodes[name].connect()

    @invariant()
    def a_granted_slot_has_its_owner_node_while_the_session_lives(self) -> None:
        for node in self.nodes.values():
            if node.session in self.servers.live:
                for slot in node.held:
                    owner = self.servers.tree.get(owner_path(slot))
                    assert owner is not None, f"{node.name} holds {slot} without an owner node"
                    assert owner.session == node.session

    @invariant()
    def at_most_one_live_session_holds_a_slot(self) -> None:
        live = [node for node in self.nodes.values() if node.session in self.servers.live]
        held = [slot for node in live for slot in node.held]
        assert len(held) == len(set(held))

    @invariant()
    def grants_grow_over_all_nodes(self) -> None:
        for name, node in self.nodes.items():
            for event in node.told[self.seen[name] :]:
                for slot, grant in event.grants.items() if isinstance(event, Granted) else ():
                    if node.session in self.servers.live:
                        assert grant > self.grants.get(slot, 0), f"grant {grant} of {slot} after {self.grants[slot]}"
                        self.grants[slot] = grant
            self.seen[name] = len(node.told)

    def teardown(self) -> None:
        """Once everybody is heard again, everything is held once and no owner node is left over."""
        for name, node in self.nodes.items():
            if not self.connected[name]:
                node.connect()
            node.describe(1)
        settle(*self.nodes.values(), rounds=60)
        for slot in range(4):
            holders = [node for node in self.nodes.values() if slot in node.held]
            owner = self.servers.tree.get(owner_path(slot))
            assert owner is not None, f"nobody has taken slot {slot}"
            assert [node.session for node in holders] == [owner.session]


TestThreeNodes = ThreeNodes.TestCase
TestThreeNodes.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
