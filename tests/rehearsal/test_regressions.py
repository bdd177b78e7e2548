"""What rehearsals have found, each as the smallest plan that shows it."""

from __future__ import annotations

import pytest
import trio

from tocsin.checker.checker import check
from tocsin.checker.history import History
from tocsin.rehearsal import run
from tocsin.rehearsal.plan import Call, Fault, FaultKind, Job, Knobs, Plan


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is left to heal after these plans."""
    monkeypatch.setattr(run, "HEAL", 15.0)


def test_what_runs_of_a_deleted_task_stops_though_the_wake_up_is_lost() -> None:
    plan = Plan(
        1,
        nodes=3,
        partitions=4,
        seconds=40.0,
        knobs=Knobs(rhythm=2.0, heartbeat=10.0, probe=5.0),
        jobs=tuple(Job(f"lasting {n}", "lasting", after=2.0, parameters={"seconds": 30.0}) for n in range(6)),
        calls=tuple(Call(15.0, "delete", f"lasting {n}") for n in range(6)),
        faults=(Fault(10.0, FaultKind.DROP_WAKES, ("n1", "n2", "n3"), 30.0),),
    )
    history = run.rehearse(plan).history
    ends = [line.kind for line in history.lines if line.kind in ("end", "cut")]
    assert ends == ["cut"] * 6, check(history).report()


def test_a_deleted_task_is_judged_by_the_policies_that_it_had() -> None:
    lasting = {"seconds": 8.0}
    plan = Plan(
        1,
        nodes=2,
        partitions=4,
        seconds=30.0,
        knobs=Knobs(rhythm=2.0, heartbeat=10.0, probe=5.0),
        jobs=(Job("lasting", "lasting", every=3.0, parameters=lasting, policies={"overlap": "allow"}),),
        calls=(Call(20.0, "delete", "lasting"),),
    )
    history = run.rehearse(plan).history
    (task,) = history.tasks
    assert (task.deleted, task.name, task.overlap) == (True, "lasting", "allow")
    assert not check(history).violations, check(history).report()


def waited(history: History, name: str) -> float:
    """The longest wait for a first start, in seconds, of the executions of tasks whose names begin so."""
    found = [
        (one.attempts[0].started_at or history.ended_at if one.attempts else history.ended_at) - one.created_at
        for task in history.tasks
        if task.name.startswith(name)
        for one in task.executions
        if one.state != "CANCELLED"
    ]
    return max(found) / 1_000_000


def test_what_runs_on_every_node_has_its_turn_where_the_node_is_always_busy() -> None:
    lasting = {"seconds": 3.0}
    busy = tuple(Job(f"busy {n}", "lasting", every=4.0, parameters=lasting) for n in range(12))
    plan = Plan(
        1,
        nodes=3,
        partitions=8,
        seconds=60.0,
        knobs=Knobs(rhythm=1.0, slots=1, heartbeat=10.0, probe=5.0),
        jobs=(*busy, Job("everywhere", every=30.0, placement="all")),
    )
    history = run.rehearse(plan).history
    assert not check(history).violations, check(history).report()
    ran = [one.target for task in history.tasks if task.everywhere for one in task.executions if one.attempts]
    assert sorted(ran[:3]) == ["n1", "n2", "n3"]
    # As long as the others in front of it: a dozen at the most, on a node of three.
    assert waited(history, "everywhere") < 20.0


def test_a_key_that_is_always_wanted_goes_to_who_has_waited_longest_on_any_node() -> None:
    policies = {"concurrency": ("one", 1)}
    keyed = tuple(
        Job(f"keyed {n}", "lasting", every=5.0, parameters={"seconds": 4.0}, policies=policies) for n in range(6)
    )
    plan = Plan(1, nodes=3, partitions=8, seconds=60.0, knobs=Knobs(rhythm=1.0, heartbeat=10.0, probe=5.0), jobs=keyed)
    history = run.rehearse(plan).history
    assert not check(history).violations, check(history).report()
    # Six of them take 24 seconds: by then each has had its turn.
    assert waited(history, "keyed") < 26.0


def test_a_run_that_fails_on_the_way_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead and frozen processes stand in nobody's way when something of the rehearsal itself goes wrong."""
    faults = (Fault(30.0, FaultKind.KILL, ("n1",), 200.0), Fault(31.0, FaultKind.FREEZE, ("n2",), 200.0))

    async def fail(customers: object, calls: object) -> None:
        await trio.sleep_until(35.0)
        raise RuntimeError("on the way")

    monkeypatch.setattr(run.Customers, "run", fail)
    with pytest.raises(BaseExceptionGroup) as caught:
        run.rehearse(Plan(1, seconds=60.0, knobs=Knobs(rhythm=1.0), jobs=(Job("one", every=10.0),), faults=faults))
    assert caught.group_contains(RuntimeError, match="on the way")
