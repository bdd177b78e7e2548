"""One rehearsal of our own: a plan, carried out on virtual time, and the history that came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

import attrs
import trio

from actors.handling.catalogue import Catalogue
from actors.keeper_claims import is_claimable
from runtime.clock import SECOND, Instant
from runtime.simulated_clock import SimulatedClock
from runtime.simulation import DEFAULT_START, seed_scheduler

from ..checker.history import Bounds, History, Ownership
from ..checker.history import Task as TaskHistory
from .alone import AloneStage
from .client import Customers, policies
from .logs import listening
from .nemesis import Nemesis
from .plan import FaultKind, Job, Plan
from .record import Record
from .stage import Stage
from .witness import read_tasks
from .work import work_types

HEAL: Final = 60.0
"""Seconds after the last fault within which all is owned and nothing due is left, times the rhythm."""

LOOK: Final = 2.0
"""Between two looks whether all is well again, seconds, times the rhythm."""

CALM: Final = 8.0
"""So long it has to stay so: nothing that lingers is overlooked."""

FENCING: Final = 0.75
"""So long who doubts its lease takes to end what it runs, times the rhythm: some looks at the time. 1.7 seconds are left of the
lease then."""

UP_SECONDS: Final = 120.0
"""Within which a cluster has begun, times the rhythm; against hanging."""


@attrs.frozen
class Rehearsed:
    """What came of a plan. trace: of everything that happened, the same whenever the plan is carried out. simulated, real:
    seconds; real ones of this process's time. refused: by the store, by error. faults: by kind. failed: nodes that ended by
    themselves, by reason. tail: the last events of the trace. noted: rare situations that
    the stage saw. said: what the nodes wrote in their logs, by its text without values."""

    plan: Plan
    history: History
    trace: str
    simulated: float
    real: float
    refused: Mapping[str, int]
    faults: Mapping[str, int]
    failed: Mapping[str, int]
    tail: tuple[str, ...] = ()
    noted: Mapping[str, int] = attrs.field(factory=dict)
    said: Mapping[str, int] = attrs.field(factory=dict)


def rehearse(plan: Plan, change: Callable[[Stage], None] | None = None) -> Rehearsed:
    """Carry a plan out, in a loop of its own. `change`: something to be done to the stage before it begins."""
    seed_scheduler(plan.seed)
    began = time.process_time()
    clock = SimulatedClock()
    with listening() as said:
        stage, nemesis, history, simulated = trio.run(_carry_out, plan, change, clock=clock)
    if any(step.kind == "create" and step.ephemeral for step in stage.service.unanswered):
        stage.database.noted["the answer to an ephemeral node's creation was lost"] += 1
    return Rehearsed(
        plan,
        history,
        stage.trace.digest(),
        simulated,
        time.process_time() - began,
        dict(stage.database.refused),
        {kind.value: number for kind, number in nemesis.done.items()},
        dict(stage.failed),
        stage.trace.tail(),
        dict(stage.database.noted),
        dict(said),
    )


async def _carry_out(plan: Plan, change: Callable[[Stage], None] | None) -> tuple[Stage, Nemesis, History, float]:
    kind = AloneStage if plan.is_alone else Stage
    stage = kind(plan.seed, plan.names, plan.partitions, plan.knobs, DEFAULT_START, _catalogue)
    if change is not None:
        change(stage)
    nemesis, customers = Nemesis(stage), Customers(stage, stage.rng("customers"))
    async with stage.played():
        history = await _act(stage, nemesis, customers, plan)
        simulated = trio.current_time()
    return stage, nemesis, history, simulated


async def _act(stage: Stage, nemesis: Nemesis, customers: Customers, plan: Plan) -> History:
    with trio.move_on_after(UP_SECONDS * plan.knobs.rhythm):
        await customers.add(plan.jobs)
    async with trio.open_nursery() as acts:
        acts.start_soon(nemesis.run, plan.faults)
        acts.start_soon(customers.run, plan.calls)
        await trio.sleep_until(plan.seconds)
    customers.close()
    healed = stage.now()
    await _settle(stage, plan, healed)
    return _history(stage, customers, plan, healed)


async def _settle(stage: Stage, plan: Plan, healed: Instant) -> None:
    """Wait until nothing is left to be done of what was there when all was healed, at most for as long as it may take; then it is
    judged whether that is so."""
    slow = plan.knobs.rhythm
    calm = 0
    for _ in range(round(HEAL / LOOK)):
        await trio.sleep(LOOK * slow)
        calm = calm + 1 if _is_settled(stage, plan, healed) else 0
        if calm * LOOK >= CALM:
            return


def _is_settled(stage: Stage, plan: Plan, healed: Instant) -> bool:
    nodes, store = stage.living(), stage.database.store
    owned = sorted(slot for node in nodes.values() if node.cluster is not None for slot in node.cluster.owned)
    if len(nodes) < plan.nodes or (owned != list(range(plan.partitions)) and not plan.is_alone):
        return False
    overdue = Instant(stage.now() - round((1 + 2 * plan.knobs.rhythm + 2 * plan.knobs.skew) * SECOND))
    if store.due(None, overdue, 1) or store.dead_boots():
        return False
    waiting = [one for task in store.tasks(store.waiting(1)) for one in task.open if is_claimable(one)]
    return all(one.created_at > healed for one in waiting)


def _catalogue(record: Record) -> Catalogue:
    return Catalogue(work_types(record))


def _history(stage: Stage, customers: Customers, plan: Plan, healed: int) -> History:
    tasks = [task for task in read_tasks(stage.database.store) if task.name in customers.ids]
    slow = plan.knobs.rhythm
    return History(
        tasks=(*tasks, *_deleted({task.id for task in tasks}, customers, plan)),
        lines=tuple(stage.record.lines),
        ended_at=stage.now(),
        healed_at=healed,
        spans=tuple(stage.spans),
        requests=tuple(customers.requests),
        writes=tuple(stage.database.writes),
        leases=tuple(stage.database.leases),
        # Who is alone owns everything, and says so to nobody.
        ownership=None if plan.is_alone else _ownership(stage),
        partitions=plan.partitions,
        bounds=Bounds(
            lateness=round(SECOND * (1 + slow)),
            heal=min(round(SECOND * HEAL * slow), stage.now() - healed),
            skew=round(SECOND * _skew(plan)),
            fencing=round(SECOND * FENCING * slow),
            telling=round(SECOND * _store_seconds(plan)),
        ),
        slots=plan.knobs.slots,
    )


def _store_seconds(plan: Plan) -> float:
    """How long one way to the store or back takes at the most."""
    slow = [fault.amount for fault in plan.faults if fault.kind is FaultKind.SLOW_STORE]
    return plan.knobs.store_latency + max(slow, default=0.0)


def _skew(plan: Plan) -> float:
    """How far a clock can be from the true one by now, in seconds."""
    steps = [abs(fault.amount) for fault in plan.faults if fault.kind is FaultKind.STEP_CLOCK]
    return plan.knobs.skew + plan.knobs.drift * trio.current_time() + max(steps, default=0.0)


def _deleted(known: set[str], customers: Customers, plan: Plan) -> list[TaskHistory]:
    """Of what was deleted that it is, and what its job says of executions at the same time."""
    asked = (one.task for one in customers.requests if one.verb == "delete" and one.answer != "refused")
    gone = {task for task in asked if task and task not in known}
    jobs = {customers.ids[job.name]: job for job in plan.jobs if job.name in customers.ids}
    return [_gone(task, jobs[task]) for task in sorted(gone)]


def _gone(task: str, job: Job) -> TaskHistory:
    has = policies(job.policies)
    return TaskHistory(
        task, job.name, 0, (), "deleted", 0, overlap=has.overlap.value, on_crash=has.on_crash.value,
        everywhere=job.placement == "all", deleted=True,
    )  # fmt: skip


def _ownership(stage: Stage) -> Ownership:
    said, live = {}, {}
    for name, node in stage.living().items():
        if node.cluster is not None:
            said[name] = frozenset(node.cluster.owned)
            live[node.cluster.lease] = name
    return Ownership(said, dict(stage.database.owners), live)
