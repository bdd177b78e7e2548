"""Turns over nodes: what has to run elsewhere, and what waits for a key, is served in the order of age wherever it waits."""

from __future__ import annotations

from itertools import count

import pytest

from actors import keeper_standing
from actors.model.execution import WaitsFor
from actors.model.lifecycle import State
from actors.model.placement import Placement, Where
from actors.model.policy import Concurrency, Overlap, Policies
from actors.model.task import Definition, partition_of
from actors.sharing_messages import Changed, Offered, PeersChanged, SendOffer
from actors.store.port import Commit

from .keeper_kit import definition
from .sharing_kit import PARTITIONS, Nodes, SharingRig

KEY = Concurrency("one", 1)
KEYED = Policies(overlap=Overlap.ALLOW, concurrency=KEY)
LOOSE = Policies(overlap=Overlap.ALLOW)
ON_N2 = Placement(Where.NAMED, nodes=("n2",))


def of_partition(partition: int, which: int = 0, **fields: object) -> Definition:
    """The definition of a task that lies in a partition: of node n1 with 0, of n2 with 1 where two own them by turns."""
    found = [f"t{n}" for n in range(500) if partition_of(f"t{n}", PARTITIONS) == partition]
    return definition(found[which], **fields)


def begun(nodes: Nodes, *definitions: Definition) -> None:
    """Tasks that nobody fires: they run when they are asked to. As in life, an execution that comes later has the higher id."""
    ids = (f"e{number:06}" for number in count(1))
    for rig in nodes.rigs:
        rig._ids = ids
    for one in definitions:
        nodes[partition_of(one.id, PARTITIONS) % len(nodes.rigs)].create(one)
    nodes.deliver()


def saturated() -> tuple[Nodes, Definition, Definition]:
    """Two nodes with a slot each, of which the first takes no executions; and a task of either's that runs on the second only."""
    nodes = Nodes(2, slots=1)
    nodes[0].executor = False
    nodes.meet()
    own, foreign = (of_partition(partition, policies=LOOSE, placement=ON_N2) for partition in (1, 0))
    begun(nodes, own, foreign)
    return nodes, own, foreign


def run(nodes: Nodes, one: Definition, on: int = 0) -> str:
    """Ask for a run; a second later than what was asked for before."""
    nodes.advance(1)
    execution = nodes[on].run(one.id)
    nodes.deliver()
    return str(execution.id)


def waits_at(rig: SharingRig, execution_id: str) -> bool:
    claims = rig.core.claims
    aside = {entry.execution_id for entry in (*claims._aside, *claims._aside_here)}
    return execution_id in claims.queues or execution_id in aside


def standing(nodes: Nodes) -> list[tuple[str, SendOffer]]:
    return [(to, what) for _, to, what in nodes.post if isinstance(what, SendOffer) and what.stands]


def test_a_saturated_node_serves_what_waits_for_it_elsewhere_in_its_turn() -> None:
    nodes, own, pinned = saturated()
    first, waits, later = run(nodes, own, 1), run(nodes, pinned), run(nodes, own, 1)
    nodes.meet()
    nodes.look()
    nodes.deliver()
    assert [one.id for one in nodes[1].started] == [first]
    nodes[1].end()
    assert [one.id for one in nodes[1].started] == [first, waits]
    nodes[1].end()
    assert [one.id for one in nodes[1].started] == [first, waits, later]
    assert nodes[0].started == []


def test_a_more_urgent_one_of_the_own_goes_before_an_older_one_of_others() -> None:
    nodes, own, pinned = saturated()
    urgent = of_partition(1, 1, policies=Policies(overlap=Overlap.ALLOW, priority=-1), placement=ON_N2)
    begun(nodes, urgent)
    run(nodes, own, 1)
    waits, first = run(nodes, pinned), run(nodes, urgent, 1)
    nodes.look()
    nodes.deliver()
    nodes[1].end()
    nodes[1].end()
    assert [one.id for one in nodes[1].started[1:]] == [first, waits]


def test_nothing_is_told_where_everything_may_run_at_home() -> None:
    nodes = Nodes(2, slots=1)
    own, other = of_partition(0, policies=LOOSE), of_partition(1, policies=LOOSE)
    begun(nodes, own, other)
    for _ in range(2):
        run(nodes, own), run(nodes, other, 1)
    nodes.lose()
    nodes.look()
    assert nodes.post == []


def test_what_is_over_is_not_told_any_more_and_does_not_wait_any_more() -> None:
    nodes, own, pinned = saturated()
    run(nodes, own, 1)
    waits = run(nodes, pinned)
    nodes.look()
    ((to, offer),) = standing(nodes)
    assert (to, offer.executions) == (nodes[1].link, ((pinned.id, waits),))
    nodes.deliver()
    assert waits_at(nodes[1], waits)
    nodes[0].cancel_execution(waits, pinned.id)
    nodes.deliver()
    nodes.look()
    assert [offer.executions for _, offer in standing(nodes)] == [()]
    nodes.deliver()
    assert not waits_at(nodes[1], waits)
    nodes.look()
    assert standing(nodes) == []


def test_what_a_node_has_told_is_forgotten_with_the_node() -> None:
    nodes, own, pinned = saturated()
    run(nodes, own, 1)
    waits = run(nodes, pinned)
    nodes.look()
    nodes.deliver()
    nodes[1].send(PeersChanged((nodes[1].peer(),)))
    assert not waits_at(nodes[1], waits)


def test_a_standing_offer_about_what_has_long_run_is_not_taken() -> None:
    nodes = Nodes(2, slots=1)
    pinned = of_partition(0, policies=LOOSE, placement=ON_N2)
    begun(nodes, pinned)
    done = run(nodes, pinned)
    assert [one.id for one in nodes[1].started] == [done]
    told = Offered(nodes[0].link, ((pinned.id, done), ("nothing", "nothing"), (pinned.id, "nothing")), stands=True)
    nodes[1].send(told)
    nodes[1].end()
    nodes[1].send(told)
    assert [one.id for one in nodes[1].started] == [done]
    assert not len(nodes[1].core.claims.queues)


def test_who_frees_a_key_serves_the_one_that_has_waited_longest_on_any_node() -> None:
    nodes = Nodes(2)
    here, there = of_partition(0, policies=KEYED), of_partition(1, policies=KEYED)
    begun(nodes, here, there)
    order = [run(nodes, here), run(nodes, there, 1), run(nodes, here), run(nodes, there, 1)]
    for _ in range(4):
        nodes.look()
        nodes.deliver()
        for rig in nodes.rigs:
            if rig.running:
                rig.end()
                break
        nodes.lose()
    started = sorted((one for rig in nodes.rigs for one in rig.started), key=lambda one: one.started_at)
    assert {one.id for one in started} == set(order)
    # The wake-ups are lost: it was served by who had the key, in the commit in which it was free.
    assert [one.id for one in nodes[0].started] == order


def test_a_key_that_is_not_used_here_is_nobodys_business_here() -> None:
    nodes = Nodes(3, owners=[0, 1, 0, 1])
    here, there = of_partition(0, policies=KEYED), of_partition(1, policies=KEYED)
    begun(nodes, here, there)
    run(nodes, here)
    waits = run(nodes, there, 1)
    nodes.look()
    assert {to for to, _ in standing(nodes)} == {nodes[0].link, nodes[2].link}
    nodes.deliver()
    assert waits_at(nodes[0], waits)
    assert not waits_at(nodes[2], waits)


def test_a_key_is_used_where_one_waits_that_must_run_here_though_another_node_has_told_of_it() -> None:
    nodes = Nodes(3, slots=1)
    nodes[0].executor = False
    nodes.meet()
    busy = of_partition(2, policies=LOOSE)
    holder, older = (of_partition(1, which, policies=KEYED) for which in (0, 1))
    urgent = of_partition(1, 2, policies=Policies(overlap=Overlap.ALLOW, priority=-1))
    later = of_partition(0, policies=KEYED, placement=Placement(Where.NAMED, nodes=("n3",)))
    begun(nodes, busy, holder, older, urgent, later)
    for node, one in (2, busy), (2, busy), (1, holder):
        run(nodes, one, node)
    first = run(nodes, older, 1)
    run(nodes, urgent, 1), run(nodes, later, 0)
    for _ in range(2):
        nodes.look()
        nodes.deliver()
    assert waits_at(nodes[2], first)
    nodes[1].end()
    assert [one.id for one in nodes[1].started][-1] != first
    nodes[2].end()
    nodes[2].end()
    assert first in [one.id for one in nodes[2].started]


def test_a_key_is_left_to_one_that_may_run_elsewhere_only() -> None:
    nodes = Nodes(2, slots=2)
    here, pinned = of_partition(0, policies=KEYED), of_partition(0, 1, policies=KEYED, placement=ON_N2)
    begun(nodes, here, pinned)
    first, waits, later = run(nodes, here), run(nodes, pinned), run(nodes, here)
    nodes.meet()
    nodes[0].end()
    nodes.deliver()
    assert [one.id for one in nodes[0].started] == [first]
    assert [one.id for one in nodes[1].started] == [waits]
    nodes[1].end()
    nodes.deliver()
    assert [one.id for one in nodes[0].started] == [first, later]


def test_a_key_is_not_left_for_ever_to_one_whose_node_has_no_room() -> None:
    nodes = Nodes(2, slots=1)
    here, pinned = of_partition(0, policies=KEYED), of_partition(0, 1, policies=KEYED, placement=ON_N2)
    busy = of_partition(1, policies=LOOSE)
    begun(nodes, here, pinned, busy)
    run(nodes, busy, 1)
    first, waits, later = run(nodes, here), run(nodes, pinned), run(nodes, here)
    nodes.meet()
    nodes[0].end()
    assert [one.id for one in nodes[0].started] == [first]
    nodes.look()
    nodes.deliver()
    assert [one.id for one in nodes[0].started] == [first, later]
    # The next time it is that one's turn again: its node may have room by then.
    latest = run(nodes, here)
    nodes.look()
    nodes.deliver()
    nodes[0].end()
    assert latest not in {one.id for one in nodes[0].started}
    nodes[1].end()
    nodes.deliver()
    nodes.look()
    nodes.deliver()
    assert waits in {one.id for one in nodes[1].started}


def test_who_declines_gives_back_the_key_that_was_left_to_it() -> None:
    nodes = Nodes(2, slots=2)
    here, pinned = of_partition(0, policies=KEYED), of_partition(0, 1, policies=KEYED, placement=ON_N2)
    begun(nodes, here, pinned)
    first, _, later = run(nodes, here), run(nodes, pinned), run(nodes, here)
    nodes.meet()
    nodes[1].draining = True
    nodes[0].end()
    assert [one.id for one in nodes[0].started] == [first]
    nodes.deliver()
    nodes.look()
    assert [one.id for one in nodes[0].started] == [first, later]
    assert nodes[1].started == []


def test_so_much_is_told_and_heard_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_standing, "STANDING_MOST", 2)
    nodes, own, pinned = saturated()
    run(nodes, own, 1)
    waiting = [run(nodes, pinned) for _ in range(3)]
    nodes.look()
    ((_, offer),) = standing(nodes)
    assert [execution for _, execution in offer.executions] == waiting[:2]
    nodes.lose()
    nodes[1].send(Offered(nodes[0].link, tuple((pinned.id, one) for one in waiting), stands=True))
    assert [waits_at(nodes[1], one) for one in waiting] == [True, True, False]


def test_what_any_of_several_may_run_is_told_to_all_of_them_only_if_it_is_among_the_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper_standing, "TO_ALL", 1)
    nodes = Nodes(3, slots=1, owners=[0, 1, 2, 0])
    nodes[0].executor = False
    for rig in nodes.rigs[1:]:
        rig.executor = True
    one = of_partition(0, policies=LOOSE)
    begun(nodes, one)
    nodes.meet()
    for _ in range(2):
        run(nodes, one)
    nodes.meet()
    waiting = [run(nodes, one) for _ in range(3)]

    def told() -> dict[str, tuple[str, ...]]:
        nodes.lose()
        nodes.look()
        return {to: tuple(key for _, key in offer.executions) for to, offer in standing(nodes)}

    first, second = told(), told()
    for one_look in (first, second):
        assert all(keys[0] == waiting[0] for keys in one_look.values())
        assert sorted(key for keys in one_look.values() for key in keys[1:]) == waiting[1:]
    assert first != second and first.keys() == second.keys() == {nodes[1].link, nodes[2].link}


def test_of_one_key_so_many_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_standing, "KEY_MOST", 2)
    nodes = Nodes(2)
    here, there = of_partition(0, policies=KEYED), of_partition(1, policies=KEYED)
    begun(nodes, here, there)
    run(nodes, here)
    waiting = [run(nodes, there, 1) for _ in range(3)]
    nodes.look()
    offers = [offer for to, offer in standing(nodes) if to == nodes[0].link]
    assert [[execution for _, execution in offer.executions] for offer in offers] == [waiting[:2]]
    # Who takes no work cannot serve anybody.
    nodes.lose()
    nodes[0].draining = True
    nodes.meet()
    nodes.look()
    assert [(to, offer.executions) for to, offer in standing(nodes) if to == nodes[0].link] == [(nodes[0].link, ())]


def test_what_is_left_out_for_older_ones_in_the_store_is_not_let_in_for_others() -> None:
    nodes, own, pinned = saturated()
    run(nodes, own, 1)
    waits = run(nodes, pinned)
    nodes.look()
    nodes[1].core.claims._hidden["default"] = (0, "0")
    nodes.deliver()
    assert not waits_at(nodes[1], waits)


def test_an_execution_that_waits_while_its_attempt_holds_is_counted_as_both() -> None:
    nodes = Nodes(2)
    here, there = of_partition(0, policies=KEYED), of_partition(1, policies=KEYED)
    begun(nodes, here, there)
    first = run(nodes, here)
    queues = nodes[0].core.claims.queues
    holder = queues.holder(first)
    assert holder is not None
    (task,) = nodes.store.tasks([here.id])
    entry = nodes[0].core.claims._entry(task.definition, task.open[0])
    queues.enter(entry)
    queues.release(first)
    queues.check_invariants()
    assert queues.lock(("", "one")).waiting == 1
    queues.hold(holder)
    queues.leave(first)
    queues.check_invariants()
    assert len(queues.lock(("", "one")).holders) == 1


def test_the_state_of_a_told_one_is_what_the_store_says() -> None:
    nodes, own, pinned = saturated()
    run(nodes, own, 1)
    waits = run(nodes, pinned)
    nodes.look()
    nodes.deliver()
    nodes[0].cancel_execution(waits, pinned.id)
    nodes.lose()
    nodes[1].end()
    assert waits not in {one.id for one in nodes[1].started}
    (task,) = nodes.store.tasks([pinned.id])
    assert all(one.state is not State.RUNNING and one.waits_for is not WaitsFor.SLOT for one in task.open)


def test_who_hears_that_a_key_was_given_on_in_the_same_commit_does_not_try_to_take_it() -> None:
    nodes = Nodes(2)
    here, there = of_partition(0, policies=KEYED), of_partition(1, policies=KEYED)
    next_one = of_partition(0, 1, policies=KEYED)
    begun(nodes, here, next_one, there)
    run(nodes, here), run(nodes, there, 1)
    second = run(nodes, next_one)
    nodes.lose()
    commits: list[Commit] = []
    nodes[0].end()
    assert [one.id for one in nodes[0].started][1:] == [second]
    nodes[1].before_commit = commits.append
    assert nodes.woken == [here.id, next_one.id]
    nodes.deliver()
    assert not any(commit.updates for commit in commits)
    # Given back for good: now it is his.
    nodes[0].end()
    nodes.deliver()
    assert len(nodes[1].started) == 1


def test_what_runs_by_now_does_not_wait_any_more() -> None:
    nodes = Nodes(3, slots=1, owners=[0, 1, 2, 0])
    nodes[0].executor = False
    nodes.meet()
    either = Placement(Where.NAMED, nodes=("n2", "n3"))
    works = [of_partition(partition, policies=LOOSE, placement=either) for partition in (0, 1, 2)]
    begun(nodes, *works)
    foreign, *own = works
    run(nodes, own[0], 1), run(nodes, own[1], 2)
    nodes.meet()
    waits = run(nodes, foreign)
    nodes.look()
    nodes.deliver()
    assert waits in nodes[1].core.claims.queues
    nodes[2].end()
    assert [one.id for one in nodes[2].started][1:] == [waits]
    nodes[1].send(Changed((foreign.id,)))
    assert waits not in nodes[1].core.claims.queues
