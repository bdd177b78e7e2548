"""The plans that bring mutants out: three nodes with little to do but what matters, their talk slowed down, so that a run takes
a second or two."""

from __future__ import annotations

from typing import Any

import attrs

from tocsin.rehearsal.plan import Call, Fault, FaultKind, Job, Knobs, Plan


def _plan(
    jobs: list[Job], faults: list[Fault], calls: tuple[Call, ...] = (), seconds: float = 60.0, slots: int = 50
) -> Plan:
    knobs = Knobs(rhythm=2.0, slots=slots, heartbeat=10.0, probe=5.0)
    return Plan(1, 3, 4, seconds, knobs, tuple(jobs), calls, tuple(faults))


def _brief(number: int, every: float = 3.0) -> list[Job]:
    return [Job(f"brief {n}", "brief", every=every) for n in range(number)]


def _long(name: str, number: int, **policies: Any) -> list[Job]:
    policies = {"retry": (20, 1.0), **policies}
    parameters = {"steps": 20, "rest": 2.0}
    return [Job(f"{name} {n}", "long", after=2.0, parameters=parameters, policies=policies) for n in range(number)]


def _lasting(name: str, number: int, every: float, **policies: Any) -> list[Job]:
    parameters = {"seconds": 4.0}
    return [Job(f"{name} {n}", "lasting", every=every, parameters=parameters, policies=policies) for n in range(number)]


JOINED = attrs.evolve(
    _plan(
        _brief(4),
        [Fault(0.1, FaultKind.KILL, ("n4",), 28.0), Fault(20.0, FaultKind.LOSE_COORDINATION, ("n1",), 25.0)],
    ),
    nodes=4,
    partitions=8,
)
"""A node loses its session, and does not get back all that it had, because there is another one by then."""

UNANSWERED = _plan(_brief(8), [Fault(20.0, FaultKind.LOSE_COORDINATION, (name,), 25.0) for name in ("n1", "n2")])
"""Two owners do not know for a while that their sessions have ended."""

FROZEN = _plan(
    _long("long", 9),
    [
        Fault(at, kind, (name,), seconds)
        for name in ("n1", "n2")
        for at, kind, seconds in (
            (12.0, FaultKind.DRAIN, 48.0),
            (20.0, FaultKind.FREEZE, 24.0),
        )
    ],
)
"""Two nodes that own nothing stand still for so long that they count as dead, and go on."""

ALONE = _plan(
    [Job(f"lasting {n}", "lasting", after=2.0, parameters={"seconds": 40.0}) for n in range(6)],
    [
        Fault(20.0, kind, (name,), 26.0)
        for name in ("n1", "n2")
        for kind in (FaultKind.LOSE_COORDINATION, FaultKind.LOSE_STORE)
    ],
)
"""Two nodes reach neither coordination nor store for so long that they count as dead."""

STORELESS = _plan(
    [Job(f"lasting {n}", "lasting", after=10.0, parameters={"seconds": 26.0}) for n in range(6)],
    [Fault(20.0, FaultKind.LOSE_STORE, (name,), 26.0) for name in ("n1", "n2")],
    seconds=80.0,
)
"""Two nodes do not reach the store for longer than their leases, and keep their sessions: nobody takes their work."""

KILLED = _plan(
    [*_brief(6), *_long("long", 6), *_long("held", 6, on_crash="hold")],
    [Fault(20.0, FaultKind.KILL, ("n1",), 10.0), Fault(22.0, FaultKind.KILL, ("n2",), 10.0)],
)
"""Two of three nodes are killed."""

QUIET = _plan(
    [
        *_lasting("allowed", 4, 3.0, overlap="allow"),
        *_lasting("keyed", 3, 14.0, concurrency=("key", 1)),
        *_lasting("skipping", 3, 3.0, overlap="skip"),
        *_long("long", 4),
        Job("limited", every=3.0, max_runs=4),
    ],
    [],
    tuple(Call(30.0, "cancel", f"long {n}") for n in range(4)),
    seconds=50.0,
    slots=8,
)
"""Nothing goes wrong, and there is more to do than there is room."""

PAUSED = _plan(_brief(6), [], (Call(20.0, "pause all"), Call(40.0, "resume all")))
"""Everything is paused for a while."""

ZOMBIES = _plan(
    _lasting("lasting", 8, 10.0), [Fault(20.0, FaultKind.FREEZE, (name,), 24.0) for name in ("n1", "n2")], seconds=80.0
)
"""Two nodes stand still for so long that they count as dead, go on, and there is always something to be begun."""

LOSING = _plan(
    _brief(6),
    [
        Fault(15.0, FaultKind.KILL, ("n1",), 15.0),
        *(Fault(22.0 + 0.4 * n, FaultKind.LOSE_REPLY, (name,)) for name in ("n2", "n3") for n in range(12)),
    ],
    seconds=50.0,
)
"""Answers to writes at the coordination servers are lost while others take over from a node that is gone."""

FULL = _plan(_lasting("lasting", 6, 6.0), [Fault(15.0 + 8 * n, FaultKind.FULL_STORE, (), 4.0) for n in range(4)])
"""Nothing can be written now and then, and everything read."""

DRAINED = _plan(_brief(8), [Fault(20.0, FaultKind.DRAIN, ("n1",), 60.0), Fault(20.0, FaultKind.DRAIN, ("n2",), 60.0)])
"""Two of three nodes are to give up what they own, to the end."""
