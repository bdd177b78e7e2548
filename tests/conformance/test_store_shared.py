"""What several nodes need of a store: leases, limits of keys, marks of changes, and what one owner looks for."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from actors.model.calendar import calendar_of
from actors.model.execution import Execution, WaitsFor
from actors.model.lifecycle import State
from actors.model.placement import Placement, Where
from actors.model.task import Dependencies, Task
from actors.store.port import (
    CheckpointWrite,
    Create,
    ExecutionWrite,
    OutboxEntry,
    SchedulerPause,
    Update,
)
from actors.store.shared import SharedStore
from runtime.clock import Instant
from runtime.errors import Conflict, LeaseLost, LimitReached, StaleEpoch, StaleFence, StaleVersion
from tests.actors.records import create, definition, running, task, update
from tests.conformance.conftest import Passing
from tests.conformance.store_kit import LATE, add_running, commit, end, stored

LONG = 1000.0
SHORT = 0.05
"""Seconds of a lease that is to lapse; a server's really do."""


def lapse(store: SharedStore, boot: str, passing: Passing) -> None:
    assert store.renew(boot, SHORT)
    passing(2 * SHORT)


def waiting(execution_id: str, task_id: str = "t1", **changes: Any) -> Execution:
    plain = running(execution_id, task_id, state=State.WAITING, waits_for=WaitsFor.SLOT, attempt=0, fence=0, boot=None)
    return attrs.evolve(plain, started_at=None, node=None, **changes)


def add_waiting(store: SharedStore, task_id: str = "t1", partition: int = 0, **changes: Any) -> Task:
    """A task with one waiting execution; `changes` of the execution, or of the definition under `definition`."""
    made = task(task_id, **changes.pop("definition", {}))
    opened = (waiting(f"e of {task_id}", task_id, **changes),)
    assert commit(store, Create(attrs.evolve(made, open=opened), partition)) == {}
    return stored(store, task_id)


def claim(found: Task, limit: int | None = None, **changes: Any) -> Update:
    """Its only open execution is claimed."""
    (former,) = found.open
    fence = found.state.fence + 1
    changes = {"boot": "boot"} | changes
    started = attrs.evolve(former, state=State.RUNNING, waits_for=None, fence=fence, attempt=1, **changes)
    return update(found, ExecutionWrite(started, former, key_limit=limit), state={"fence": fence})


# -- leases


def test_a_node_name_has_one_living_boot(store: SharedStore, passing: Passing) -> None:
    store.enrol("one", "a", LONG)
    store.enrol("other", "b", LONG)
    with pytest.raises(Conflict, match="one"):
        store.enrol("two", "a", LONG)
    lapse(store, "one", passing)
    store.enrol("two", "a", LONG)
    store.leave("two")
    store.enrol("three", "a", LONG)
    assert store.shared().live == ("other", "three")


def test_enrolled_once_more_a_boot_renews_its_lease(store: SharedStore, passing: Passing) -> None:
    store.enrol("one", "a", SHORT)
    store.enrol("one", "a", LONG)
    passing(2 * SHORT)
    assert store.shared().live == ("one",)
    store.leave("one")
    with pytest.raises(LeaseLost, match="one"):
        store.enrol("one", "a", LONG)
    assert store.shared().live == ()


def test_a_lease_is_renewed_until_it_is_buried(store: SharedStore, passing: Passing) -> None:
    store.enrol("one", "a", SHORT)
    passing(2 * SHORT)
    assert store.shared().live == ()
    assert store.renew("one", LONG)
    assert (store.bury([]), store.shared().live) == (("one",), ("one",))
    lapse(store, "one", passing)
    assert store.bury([]) == ()
    assert not store.renew("one", LONG)
    assert not store.renew("never enrolled", LONG)
    assert store.shared().live == ()


def test_who_has_a_session_or_a_lease_is_not_buried(store: SharedStore, passing: Passing) -> None:
    for boot in ("member", "lapsed", "leased", "left"):
        store.enrol(boot, boot, LONG)
    store.leave("left")
    store.leave("nobody")
    lapse(store, "member", passing)
    lapse(store, "lapsed", passing)
    assert sorted(store.bury(["member", "without a lease", "left"])) == ["leased", "member", "without a lease"]
    assert store.renew("member", LONG)
    assert not store.renew("lapsed", LONG)
    # Once buried, a session does not bring it back.
    assert sorted(store.bury(["lapsed"])) == ["leased", "member"]


def test_the_lost_of_a_buried_boot_are_found(store: SharedStore, passing: Passing) -> None:
    store.enrol("boot", "node", LONG)
    add_running(store)
    assert store.orphans(store.bury([]), 9) == []
    lapse(store, "boot", passing)
    assert store.orphans(store.bury(["boot"]), 9) == []
    assert store.orphans(store.bury([]), 9) == ["t1"]


# -- commits of a boot


def test_a_boot_claims_while_its_lease_is_not_buried(store: SharedStore, passing: Passing) -> None:
    store.enrol("boot", "node", LONG)
    lapse(store, "boot", passing)
    found = add_waiting(store)
    assert commit(store, claim(found), boot="boot") == {}
    assert stored(store).open[0].state is State.RUNNING


@pytest.mark.parametrize("enrolled", [True, False])
def test_a_dead_boot_claims_nothing(store: SharedStore, enrolled: bool) -> None:
    if enrolled:
        store.enrol("boot", "node", LONG)
        store.leave("boot")
    found = [add_waiting(store, "t1"), add_waiting(store, "t2")]
    new = attrs.evolve(task("t3"), open=(running("e3", "t3"),))
    changes = (claim(found[0]), update(found[1]), Create(new, 0), create("t4"))
    assert commit(store, *changes, boot="boot") == {"t1": LeaseLost, "t3": LeaseLost}
    assert stored(store, "t1") == found[0]
    assert stored(store, "t2").state.version == 2
    assert store.tasks(["t3"]) == []
    assert stored(store, "t4").open == ()


def test_ends_of_a_dead_boot_are_judged_by_their_fences(store: SharedStore) -> None:
    found = [add_running(store, f"t{number}") for number in range(4)]
    again = attrs.evolve(found[3].open[0], fence=2, attempt=2)
    changes = (
        end(found[0]),
        end(found[1], write={"former": attrs.evolve(found[1].open[0], fence=7)}),
        update(found[2], checkpoints=(CheckpointWrite("e of t2", "t2", 1, "1"),)),
        update(found[3], ExecutionWrite(again, found[3].open[0])),
    )
    assert commit(store, *changes, boot="dead") == {"t1": StaleFence, "t3": LeaseLost}
    assert commit(store, update(found[3], delete=True), boot="dead") == {}
    assert commit(store, end(found[1]), boot="dead") == {}
    assert store.checkpoint("e of t2") == "1"


def test_a_stale_epoch_is_told_before_a_dead_boot(store: SharedStore) -> None:
    store.raise_epochs({0: 1}, "other")
    assert commit(store, claim(add_waiting(store)), boot="dead", epochs={0: 7}) == {"t1": StaleEpoch}
    assert commit(store, claim(attrs.evolve(add_waiting(store, "t2"))), boot="dead", epochs={0: 1}) == {"t2": LeaseLost}


# -- concurrency keys


def keyed(store: SharedStore, number: int, **changes: Any) -> list[Task]:
    return [add_waiting(store, f"t{place}", key="k", **changes) for place in range(number)]


def test_no_more_hold_a_key_than_may(store: SharedStore) -> None:
    found = keyed(store, 5)
    assert commit(store, claim(found[0], 2)) == {}
    refused = commit(store, *(claim(one, 2) for one in found[1:4]))
    assert refused == {"t2": LimitReached, "t3": LimitReached}
    assert commit(store, claim(found[4], 3)) == {}
    assert [entry.id for entry in store.locks(9)] == ["e of t0", "e of t1", "e of t4"]
    assert stored(store, "t2") == found[2]


def test_an_end_in_the_same_commit_makes_room(store: SharedStore) -> None:
    found = keyed(store, 3)
    assert commit(store, claim(found[0], 1)) == {}
    changes = (claim(found[1], 1), claim(found[2], 1), end(stored(store, "t0")))
    assert commit(store, *changes) == {"t2": LimitReached}
    assert [entry.id for entry in store.locks(9)] == ["e of t1"]


def test_an_abandoned_handler_still_holds_its_key(store: SharedStore) -> None:
    found = keyed(store, 2)
    assert commit(store, claim(found[0], 1)) == {}
    assert commit(store, end(stored(store, "t0"), State.TIMED_OUT, execution={"lingers": True})) == {}
    assert commit(store, claim(found[1], 1)) == {"t1": LimitReached}
    lingering = stored(store, "t0")
    released = attrs.evolve(lingering.open[0], lingers=False)
    assert commit(store, update(lingering, ExecutionWrite(released, lingering.open[0])), claim(found[1], 1)) == {}


def test_a_refused_claim_holds_nothing(store: SharedStore) -> None:
    found = keyed(store, 2)
    stale = attrs.evolve(claim(found[0], 1), expected=7)
    assert commit(store, stale, claim(found[1], 1)) == {"t0": StaleVersion}
    assert commit(store, attrs.evolve(claim(found[0], 1), expected=7)) == {"t0": StaleVersion}


def test_an_update_is_judged_with_all_that_it_writes(store: SharedStore) -> None:
    (found,) = keyed(store, 1)
    assert commit(store, claim(found, 1)) == {}
    held = stored(store, "t0")
    ended = attrs.evolve(held.open[0], state=State.COMPLETED, ended_at=Instant(200))
    follower = running("next", "t0", fence=2, key="k")
    second = running("second", "t0", fence=3, key="k")
    writes = (ExecutionWrite(follower, key_limit=1), ExecutionWrite(ended, held.open[0]))
    assert commit(store, update(held, *writes, ExecutionWrite(second, key_limit=2))) == {"t0": LimitReached}
    assert commit(store, update(held, *writes)) == {}
    assert [entry.id for entry in store.locks(9)] == ["next"]


def test_of_several_limits_the_strictest_counts(store: SharedStore) -> None:
    found = add_waiting(store)
    writes = [ExecutionWrite(running(f"n{limit}", fence=limit, key="k"), key_limit=limit) for limit in (2, 1)]
    assert commit(store, update(found, *writes)) == {"t1": LimitReached}
    assert commit(store, update(found, writes[0])) == {}


def test_a_key_belongs_to_a_tenant(store: SharedStore) -> None:
    one = add_waiting(store, "t1", key="k", definition={"tenant": "a"})
    other = add_waiting(store, "t2", key="k", definition={"tenant": "b"})
    third = add_waiting(store, "t3", key="j", definition={"tenant": "a"})
    assert commit(store, *(claim(found, 1) for found in (one, other, third))) == {}


def test_a_limit_says_nothing_without_a_claim_of_a_key(store: SharedStore) -> None:
    found = [*keyed(store, 2), add_waiting(store, "plain")]
    assert commit(store, claim(found[0], 1)) == {}
    waits = attrs.evolve(found[1].open[0], waits_for=WaitsFor.KEY)
    changes = (
        update(found[1], ExecutionWrite(waits, found[1].open[0], key_limit=1)),
        claim(found[2], 1),
    )
    assert commit(store, *changes) == {}
    gone = attrs.evolve(claim(stored(store, "t1"), 1), delete=True)
    assert commit(store, gone) == {}
    assert store.tasks(["t1"]) == []


# -- the graph of dependencies


def child(task_id: str, *parents: str) -> Create:
    return create(task_id, dependencies=Dependencies(parents))


def edit(found: Task, **changes: Any) -> Update:
    return update(found, definition=attrs.evolve(found.definition, **changes))


def test_the_graph_grows_with_every_change_of_an_edge(store: SharedStore) -> None:
    seen = [store.shared().graph]

    def grown(*changes: Create | Update, **more: Any) -> bool:
        assert commit(store, *changes, **more) == {}
        seen.append(store.shared().graph)
        assert seen[-1] >= seen[-2]
        return seen[-1] > seen[-2]

    assert not grown(create("t1"), create("t2"))
    assert not grown(edit(stored(store, "t1"), name="another"))
    assert grown(child("t3", "t1"), child("t4", "t1"), graph=seen[-1])
    assert grown(edit(stored(store, "t3"), dependencies=Dependencies(("t1", "t2"))), graph=seen[-1])
    assert grown(edit(stored(store, "t3"), dependencies=None))
    assert not grown(update(stored(store, "t4")))
    assert grown(update(stored(store, "t4"), delete=True))
    assert not grown(update(stored(store, "t2"), delete=True))


def test_edges_are_written_under_the_graph_that_was_looked_at(store: SharedStore) -> None:
    before = store.shared().graph
    assert commit(store, create("t1"), child("t2", "t1"), graph=before) == {}
    changes = (create("t3"), child("t4", "t1"), edit(stored(store, "t2"), name="other"), edit(stored(store), name="x"))
    assert commit(store, *changes, graph=before) == {"t4": StaleVersion, "t2": StaleVersion}
    assert store.edges() == [("t2", "t1")]
    assert [stored(store, name).definition.name for name in ("t1", "t2")] == ["x", "name of t2"]
    assert commit(store, child("t4", "t1"), graph=store.shared().graph) == {}


def test_what_a_commit_itself_changes_does_not_count(store: SharedStore) -> None:
    found = add_waiting(store, key="k", definition={"dependencies": Dependencies(("t0",))})
    claimed = attrs.evolve(claim(found, 1), definition=attrs.evolve(found.definition, name="other"))
    assert commit(store, create("t0"), child("t2", "t0"), claimed, graph=store.shared().graph) == {}


# -- epochs


def test_a_floor_lifts_what_lies_below(store: SharedStore) -> None:
    assert store.raise_epochs({0: 1, 1: 1}, "boot") == {0: 1, 1: 1}
    assert store.raise_epochs({1: 2, 2: 1}, "boot") == {1: 2, 2: 1}
    assert store.epochs() == {0: 1, 1: 2, 2: 1}
    assert commit(store, create("t1"), epochs={0: 1}) == {}
    store.raise_floor({0: 7, 1: 1, 2: 0, 5: 3})
    assert store.epochs() == {0: 8, 1: 2, 2: 1, 5: 4}
    assert commit(store, update(stored(store)), epochs={0: 1}) == {"t1": StaleEpoch}
    assert commit(store, update(stored(store)), epochs={0: 8, 1: 2}) == {}
    assert store.raise_epochs({0: 2, 1: 2, 5: 1}, "boot") == {0: 9, 5: 5}


# -- what holds for all


def test_one_read_tells_what_holds_for_all(store: SharedStore) -> None:
    fresh = store.shared()
    assert (fresh.pause, fresh.timezone_database, fresh.live) == (None, "2026f", ())
    holidays = calendar_of("", "holidays", 1, days=[(740_000, 740_001)])
    pause = SchedulerPause(Instant(5), "me")
    assert commit(store, calendars=(holidays,), pause=pause) == {}
    store.record_timezone_database("2027a")
    store.enrol("boot", "node", LONG)
    found = store.shared()
    assert (found.pause, found.timezone_database, found.live) == (pause, "2027a", ("boot",))
    assert found.calendars > fresh.calendars
    assert found.graph == fresh.graph
    assert commit(store, calendars=(holidays,), pause="resume") == {}
    assert store.shared() == attrs.evolve(found, pause=None)


def test_a_boot_learns_whom_it_has_to_stop(store: SharedStore) -> None:
    for number, changes in enumerate(({}, {}, {"boot": "other"}, {})):
        add_running(store, f"t{number}", **changes)
    found = [stored(store, f"t{number}") for number in range(3)]
    for one in found:
        asked = attrs.evolve(one.open[0], cancel_reason="enough")
        assert commit(store, update(one, ExecutionWrite(asked, one.open[0]))) == {}
    assert sorted(store.told_to_stop("boot", 9)) == ["t0", "t1"]
    assert len(store.told_to_stop("boot", 1)) == 1
    assert store.told_to_stop("other", 9) == ["t2"]
    assert commit(store, end(stored(store, "t2"), State.CANCELLED)) == {}
    assert store.told_to_stop("other", 9) == []


def test_wake_ups_are_told_or_there_are_none(store: SharedStore) -> None:
    silent = store.wakes(0.0)
    assert silent in (None, [])
    assert commit(store, create("t1"), wakes=("t1",)) == {}
    assert stored(store).id == "t1"


# -- what the owner of some partitions looks for


def test_lost_executions_by_partition(store: SharedStore) -> None:
    for number in range(4):
        opened = (running(f"e{number}", f"t{number}"),)
        assert commit(store, Create(attrs.evolve(task(f"t{number}"), open=opened), number % 3)) == {}
    assert sorted(store.orphans([], 9, [0, 2])) == ["t0", "t2", "t3"]
    assert sorted(store.orphans([], 9, None)) == ["t0", "t1", "t2", "t3"]
    assert store.orphans([], 9, []) == []
    assert store.orphans(["boot"], 9, [0]) == []
    assert len(store.orphans([], 1, [0])) == 1


def test_waiting_executions_by_partition_and_type(store: SharedStore) -> None:
    for number in range(4):
        kind = "http" if number == 3 else "command"
        add_waiting(store, f"t{number}", number % 3, definition={"type": kind})
    assert store.waiting(9, None, [0, 2]) == ["t0", "t2", "t3"]
    assert store.waiting(9, ["command"], [0, 2]) == ["t0", "t2"]
    assert store.waiting(9, ["http"]) == ["t3"]
    assert store.waiting(9, None, []) == []
    assert store.waiting(1, None, [1, 2]) == ["t1"]


def test_the_outbox_by_partition(store: SharedStore) -> None:
    entries = [
        OutboxEntry(f"d{number}", f"t{number}", None, "e", Instant(1), Instant(9 - number), "{}") for number in range(3)
    ]
    made = [create(f"t{number}", number) for number in range(3)]
    assert commit(store, *made, outbox=tuple(entries)) == {}
    assert store.outbox_due(LATE, 9, [0, 2]) == [entries[2], entries[0]]
    assert store.outbox_due(Instant(8), 9, [0, 1]) == [entries[1]]
    assert store.outbox_due(LATE, 1, [0, 1]) == [entries[1]]
    assert store.outbox_due(LATE, 9, []) == []
    assert store.outbox_due(LATE, 9) == entries[::-1]


# -- placement


@pytest.mark.parametrize(
    "placement",
    [
        Placement(),
        Placement(Where.ALL),
        Placement(Where.NAMED, nodes=("a", "b"), strategy="pinned"),
        Placement(Where.SELECTOR, labels=(("gpu", "yes"), ("zone", "1"))),
        Placement(strategy="package.module:Choice"),
    ],
)
def test_a_placement_is_kept(store: SharedStore, placement: Placement) -> None:
    assert commit(store, create("t1", placement=placement)) == {}
    assert stored(store).definition == definition("t1", placement=placement)


def test_a_slot_has_an_execution_for_each_node(store: SharedStore) -> None:
    opened = tuple(waiting(f"e of {name}", target=name) for name in ("a", "b"))
    assert commit(store, Create(attrs.evolve(task(), open=opened), 0)) == {}
    found = stored(store)
    assert found.open == opened
    started = attrs.evolve(opened[1], state=State.RUNNING, waits_for=None, fence=1, boot="boot", node="b")
    assert commit(store, update(found, ExecutionWrite(started, opened[1]))) == {}
    assert stored(store).open == (opened[0], started)
    rows = store.outcomes("t1", since=Instant(0), until=LATE, limit=9)
    assert sorted((row.execution_id or "", row.first, row.target) for row in rows) == [
        ("e of a", 90, "a"),
        ("e of b", 90, "b"),
    ]


def test_the_dead_are_those_under_whom_something_runs_and_who_have_no_lease(store: SharedStore) -> None:
    for boot in ("alive", "dead"):
        store.enrol(boot, boot, LONG)
        made = add_waiting(store, f"of {boot}")
        assert commit(store, claim(made, boot=boot)) == {}
    assert store.dead_boots() == []
    store.leave("dead")
    assert store.dead_boots() == ["dead"]
