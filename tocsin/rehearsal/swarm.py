"""Draws plans: each seed enables some of the faults, and some configuration that nobody in their right mind would choose."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import attrs

from .plan import SESSION, Call, Fault, FaultKind, Job, Knobs, Plan, node_names

WARM_UP: Final = 12.0
"""Seconds before the first fault, times the rhythm: the cluster has found itself and has its tasks."""

TROUBLE: Final = 48.0
"""Seconds from the first fault on in which anything may break, times the rhythm: the longest fault fits three times."""

WEIGHTS: Final[dict[FaultKind, float]] = {
    FaultKind.KILL: 4,
    FaultKind.TEAR: 4,
    FaultKind.STOP: 1,
    FaultKind.FREEZE: 4,
    FaultKind.DRAIN: 1,
    FaultKind.CUT: 1,
    FaultKind.CUT_ONE_WAY: 1,
    FaultKind.RESET: 1,
    FaultKind.VANISH: 1,
    FaultKind.SLOW_LINKS: 1,
    FaultKind.CORRUPT: 1,
    FaultKind.LOSE_COORDINATION: 3,
    FaultKind.LOSE_REPLIES: 2,
    FaultKind.LOSE_REPLY: 2,
    FaultKind.EXPIRE: 2,
    FaultKind.KILL_LEADER: 1,
    FaultKind.FREEZE_COORDINATION: 1,
    FaultKind.LOSE_QUORUM: 1,
    FaultKind.LOSE_STORE: 2,
    FaultKind.STOP_STORE: 1,
    FaultKind.SLOW_STORE: 2,
    FaultKind.FULL_STORE: 1,
    FaultKind.FLAKY_STORE: 1,
    FaultKind.COMMIT_UNKNOWN: 2,
    FaultKind.DROP_WAKES: 1,
    FaultKind.STEP_CLOCK: 1,
}
"""How often each is drawn, beside the others: what takes ownership away is worth the most."""

VERBS: Final = (
    *("run", "run", "run twice", "edit", "edit", "pause", "cancel"),
    *("cancel running", "cancel running", "delete", "pause all"),
)
"""What is asked for, the frequent several times."""

ALONE: Final = 0.1
"""Of the seeds, in which there is one node with a disk of its own: less can go wrong than in a cluster."""

OF_CLUSTERS: Final = tuple(kind for kind in FaultKind if kind is not FaultKind.TEAR)
OF_ONE: Final = (
    *(FaultKind.TEAR, FaultKind.KILL, FaultKind.STOP, FaultKind.FREEZE, FaultKind.STEP_CLOCK, FaultKind.LOSE_STORE),
    *(
        FaultKind.STOP_STORE,
        FaultKind.SLOW_STORE,
        FaultKind.FULL_STORE,
        FaultKind.FLAKY_STORE,
        FaultKind.COMMIT_UNKNOWN,
    ),
)
"""What can happen to many nodes, and to one that is alone."""

PURGES: Final = 0.1
"""Of the seeds, in which history is purged: what was before is then judged less strictly."""

WORST_MOMENT: Final = 0.4
"""Of the faults that can wait for one."""


@attrs.frozen
class Size:
    """How much a seed is at least. seconds: of the phase of faults."""

    nodes: int = 5
    partitions: int = 20
    tasks: int = 200
    seconds: float = 300.0
    faults: int = 2


SMALL: Final = Size(nodes=3, partitions=8, tasks=40)
"""For tests: some seconds of a core each."""

SIZES: Final = {"small": SMALL, "full": Size()}


def draw(seed: int, size: Size = Size()) -> Plan:
    """The plan of a seed."""
    rng = random.Random(f"plan:{seed}")
    knobs = _knobs(rng)
    if random.Random(f"alone:{seed}").random() < ALONE:
        # It has the work of all of them.
        knobs = attrs.evolve(knobs, slots=Knobs().slots, min_nodes=1, store="sqlite")
        size = attrs.evolve(size, nodes=1)
    seconds = max(size.seconds, knobs.rhythm * (WARM_UP + TROUBLE))
    plan = Plan(
        seed,
        nodes=size.nodes,
        partitions=size.partitions,
        seconds=round(seconds, 1),
        knobs=knobs,
        jobs=tuple(_jobs(rng, size.tasks, seconds, knobs.rhythm)),
        faults=tuple(_faults(rng, size, seconds, knobs.rhythm)),
    )
    return attrs.evolve(plan, calls=tuple(_calls(rng, plan)))


def _knobs(rng: random.Random) -> Knobs:
    rhythm = rng.choice((5.0, 8.0, 8.0, 16.0, 16.0))

    def perhaps(chance: float, value: Callable[[], Any], usual: Any) -> Any:
        return value() if rng.random() < chance else usual

    return Knobs(
        rhythm=rhythm,
        slots=perhaps(0.25, lambda: rng.choice((1, 2, 3)), 50),
        latency=perhaps(0.3, lambda: rng.choice((0.0, 0.02, 0.1)), 0.001),
        jitter=perhaps(0.3, lambda: rng.choice((0.0, 0.05)), 0.001),
        chunk=perhaps(0.06, lambda: rng.choice((20, 64)), None),
        store_latency=perhaps(0.3, lambda: rng.choice((0.0, 0.02, 0.2)), 0.002),
        skew=perhaps(0.3, lambda: rng.choice((0.05, 0.5)), 0.0),
        drift=perhaps(0.2, lambda: 1e-4, 0.0),
        min_nodes=perhaps(0.3, lambda: rng.choice((2, 3)), 1),
        heartbeat=perhaps(0.03, lambda: 0.05 * rhythm, None),
        probe=perhaps(0.03, lambda: 0.1 * rhythm, None),
    )


def _jobs(rng: random.Random, number: int, seconds: float, rhythm: float) -> Iterator[Job]:
    """Most are seldom due; all kinds are there."""
    retry = {"retry": (20, 0.5 * rhythm)}
    for n in range(number):
        kind = rng.choices(("brief", "lasting", "long", "failing"), (5, 4, 3, 1))[0]
        policies: dict[str, Any] = dict(retry)
        policies["overlap"] = rng.choice(("skip", "skip", "queue", "queue_all", "replace", "allow"))
        policies["catch_up"] = rng.choice(("latest", "skip", "earliest", "all"))
        policies["on_crash"] = rng.choice(("resume", "resume", "rerun", "hold"))
        if rng.random() < 0.1:
            policies["concurrency"] = (f"key {rng.randrange(3)}", rng.choice((1, 2)))
        parameters: dict[str, Any] = {}
        lasts = rng.uniform(1.0, 6.0) * rhythm
        if kind == "lasting":
            parameters = {"seconds": round(lasts, 2)}
        elif kind == "long":
            steps = rng.randrange(4, 12)
            parameters = {"steps": steps, "rest": round(3 * lasts / steps, 2)}
        elif kind == "failing":
            parameters = {"attempts": rng.randrange(1, 3)}
        job = Job(f"task {n}", kind, parameters=parameters, policies=policies)
        yield _when(rng, job, seconds, rhythm)


def _when(rng: random.Random, job: Job, seconds: float, rhythm: float) -> Job:
    chance = rng.random()
    if chance < 0.35:
        return attrs.evolve(job, after=round(rng.uniform(0.0, seconds), 1))
    if chance < 0.45:
        return attrs.evolve(job, cron=f"{rng.randrange(60)} */{rng.choice((1, 2, 3))} * * * *")
    job = attrs.evolve(job, every=round(rng.uniform(seconds / 6, seconds), 1))
    if chance < 0.55:
        job = attrs.evolve(job, every=round(rng.uniform(8.0, 20.0) * rhythm, 1))
    if chance > 0.95:
        job = attrs.evolve(job, max_runs=2)
    if 0.9 < chance < 0.93:
        job = attrs.evolve(job, placement="all", policies={**job.policies, "overlap": "skip"})
    return job


def _calls(rng: random.Random, plan: Plan) -> Iterator[Call]:
    """Half of them while something is wrong."""
    rhythm, seconds = plan.knobs.rhythm, plan.seconds
    lasting = [job for job in plan.jobs if job.type == "lasting"]
    for _ in range(rng.randrange(5, 30)):
        at = rng.uniform(WARM_UP * rhythm, seconds)
        if rng.random() < 0.5:
            fault = rng.choice(plan.faults)
            at = min(seconds, fault.at + rng.random() * max(fault.seconds, rhythm))
        verb = rng.choice(VERBS)
        if verb == "cancel running" and not lasting:
            continue
        job = rng.choice(lasting if verb == "cancel running" else plan.jobs)
        yield from _call(rng, round(at, 2), verb, job, plan)
    if rng.random() < PURGES:
        yield from _purge(rng, seconds, rhythm)


def _call(rng: random.Random, at: float, verb: str, job: Job, plan: Plan) -> Iterator[Call]:
    rhythm = plan.knobs.rhythm
    match verb:
        case "edit":
            yield Call(at, verb, job.name, round(rng.uniform(10.0, 30.0) * rhythm, 1))
        case "cancel running":
            # What it says happens within some milliseconds of the handler's own end.
            yield Call(at, verb, job.name, max(0.0, job.parameters["seconds"] - rng.choice((0.0, 0.01, 0.05, 0.2))))
        case "pause" | "pause all":
            name = "" if verb == "pause all" else job.name
            yield Call(at, verb, name)
            later = min(plan.seconds, at + rng.uniform(1.0, 15.0) * rhythm)
            yield Call(round(later, 2), verb.replace("pause", "resume"), name)
        case _:
            yield Call(at, verb, job.name)


def _purge(rng: random.Random, seconds: float, rhythm: float) -> Iterator[Call]:
    """While everything is paused."""
    at = rng.uniform(0.5 * seconds, seconds - 5 * rhythm)
    for later, verb in enumerate(("pause all", "purge", "resume all")):
        yield Call(round(at + later * rhythm, 2), verb, "", 10 * rhythm if verb == "purge" else 0.0)


def _faults(rng: random.Random, size: Size, seconds: float, rhythm: float) -> Iterator[Fault]:
    names = node_names(size.nodes)
    is_alone = size.nodes == 1
    kinds = [kind for kind in (OF_ONE if is_alone else OF_CLUSTERS) if rng.random() < 0.4]
    # At least one that takes ownership away from somebody who does not know, and one that takes work away.
    away = (FaultKind.FREEZE, FaultKind.LOSE_STORE if is_alone else FaultKind.LOSE_COORDINATION, FaultKind.LOSE_STORE)
    kinds += [rng.choice(away), FaultKind.TEAR if is_alone else FaultKind.KILL]
    weights = [WEIGHTS[kind] for kind in kinds]
    session = SESSION * rhythm
    for number in range(rng.randrange(max(size.faults, 4), 12)):
        kind = kinds[-1 - number] if number < 2 else rng.choices(kinds, weights)[0]
        at = rng.uniform(WARM_UP * rhythm, seconds - 2.5 * session)
        lasts = min(rng.choice((0.2, 0.6, 1.2, 2.0, 3.0)) * session, seconds - at)
        fault = _fault(rng, kind, names, round(at, 3), round(lasts, 3), rhythm)
        yield fault
        if not is_alone and kind in (FaultKind.KILL, FaultKind.EXPIRE) and rng.random() < 0.3:
            # Those who take over write to the coordination servers next.
            yield Fault(
                fault.at, FaultKind.LOSE_REPLY, (rng.choice([name for name in names if name not in fault.target]),)
            )


def _fault(rng: random.Random, kind: FaultKind, names: Sequence[str], at: float, lasts: float, rhythm: float) -> Fault:
    node = rng.choice(names)
    match kind:
        case FaultKind.CUT | FaultKind.CUT_ONE_WAY:
            return Fault(at, kind, tuple(rng.sample(names, 2)), lasts)
        case FaultKind.STOP_STORE | FaultKind.FULL_STORE:
            return Fault(at, kind, (), lasts)
        case FaultKind.KILL_LEADER:
            return Fault(at, kind, (), lasts, 1.0 if rng.random() < WORST_MOMENT else 0.0)
        case FaultKind.KILL | FaultKind.FREEZE:
            return Fault(at, kind, (node,), lasts, 1.0 if rng.random() < WORST_MOMENT else 0.0)
        case FaultKind.FREEZE_COORDINATION | FaultKind.LOSE_QUORUM:
            return Fault(at, kind, (), lasts)
        case FaultKind.SLOW_LINKS:
            return Fault(at, kind, (node,), lasts, round(rng.uniform(0.05, 0.5) * rhythm, 3))
        case FaultKind.CORRUPT:
            return Fault(at, kind, (node,), lasts, 0.05)
        case FaultKind.SLOW_STORE:
            return Fault(
                at, kind, (node,) if rng.random() < 0.7 else (), lasts, round(rng.uniform(0.2, 1.5) * rhythm, 3)
            )
        case FaultKind.FLAKY_STORE:
            return Fault(at, kind, (node,), lasts, 0.3)
        case FaultKind.COMMIT_UNKNOWN:
            return Fault(at, kind, (node,), lasts, rng.choice((0.0, 1.0)))
        case FaultKind.STEP_CLOCK:
            return Fault(at, kind, (node,), lasts, rng.choice((-30.0, -2.0, 2.0, 30.0)))
        case _:
            return Fault(at, kind, (node,), lasts)
