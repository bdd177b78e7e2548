"""What rehearsals have found, each as the smallest plan that shows it."""

from __future__ import annotations

import pytest
import trio

from tocsin.checker.checker import check
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
