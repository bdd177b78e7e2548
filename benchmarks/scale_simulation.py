"""What no formula says of a large cluster: shares of partitions, a midnight that all tasks have in common, the death of one node.

Partitions are given to nodes by the program's own `assign`; tasks to partitions by chance, as their ids are. Times go by the unit
costs that `bench_units` measured. Everything comes of one seed: the same arguments give the same figures.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

import attrs

from actors.rules.catching_up import CATCH_UP_RATE, RECOVERY_AFTER
from actors.timer_core import WINDOW, WINDOW_LIMIT
from benchmarks.scale_model import SHAPES, Capacities, Shape, Units, nodes_of, number, per_fire
from runtime.assignment import assign
from runtime.clock import SECOND
from runtime.coordination_plan import CoordinationSettings

SEED: Final = 1
TRIALS: Final = 500
STEP: Final = 0.1
"""Seconds of a step of midnight."""

SESSION_SECONDS: Final = 5.0
PINGS: Final = 3
"""kazoo pings so often in a session's timeout, and the servers count from the last ping."""

PARTITIONS: Final = (256, 1_024, 4_096)
SIZES: Final = (3, 10, 30, 100, 200)


def owners(nodes: int, partitions: int) -> dict[int, str]:
    """Who gets which partition at a cold start."""
    return assign(partitions, {f"node-{number:04}": 1 for number in range(nodes)}, {})


def scattered(tasks: float, partitions: int, rng: random.Random) -> list[float]:
    """Tasks of each partition: by chance with equal odds; that many are normally distributed about their mean."""
    mean = tasks / partitions
    drawn = [max(0.0, rng.gauss(mean, math.sqrt(mean))) for _ in range(partitions)]
    return [some * tasks / sum(drawn) for some in drawn]


def shares(nodes: int, tasks: float, partitions: int, seed: int = SEED) -> dict[str, float]:
    """Tasks of each node."""
    held = scattered(tasks, partitions, random.Random(seed))
    found = {f"node-{number:04}": 0.0 for number in range(nodes)}
    for partition, name in owners(nodes, partitions).items():
        found[name] += held[partition]
    return found


@attrs.frozen
class Balance:
    """Partitions of the nodes with fewest and most; tasks of the busiest and the idlest node to the mean."""

    fewest: int
    most: int
    busiest: float
    idlest: float


def balance(nodes: int, tasks: float, partitions: int, seed: int = SEED) -> Balance:
    """How evenly it is all spread."""
    counts = Counter(owners(nodes, partitions).values())
    held = shares(nodes, tasks, partitions, seed)
    mean = tasks / nodes
    fewest = min(counts.values()) if len(counts) == nodes else 0
    return Balance(fewest, max(counts.values()), max(held.values()) / mean, min(held.values()) / mean)


# -- midnight


@attrs.frozen
class Midnight:
    """Seconds until half and all have started, if nothing held them back; the share that starts within a second, and within five,
    after which a start counts as recovery and asks the governor. `governed`: seconds that the others take at the governor's rate,
    which is one for the whole cluster."""

    half: float
    last: float
    on_time: float
    live: float
    governed: float
    wal_bytes: float


def midnight(units: Units, shape: Shape, capacities: Capacities | None = None, seed: int = SEED) -> Midnight:
    """All tasks are due at one instant. Nodes work through their own, the database bounds all of them together."""
    there = capacities or Capacities()
    left = sorted(shares(shape.nodes, shape.tasks, shape.partitions, seed).values())
    own = 1e6 / units["node CPU us, all at once"]
    common = there.cores * 1e6 / units["server CPU us, all at once"]
    common = min(common, there.wal_bytes / units["WAL bytes, all at once"])
    now = done = live = on_time = half = 0.0
    while working := [place for place, some in enumerate(left) if some > 0]:
        rate = min(own, common / len(working))
        step = max(STEP, min(left[place] for place in working) / rate) if now > 2 * RECOVERY_AFTER / SECOND else STEP
        for place in working:
            some = min(left[place], rate * step)
            left[place] = 0.0 if left[place] - some < 1e-6 else left[place] - some
            done += some
        now += step
        half = half or (now if done >= shape.tasks / 2 else 0.0)
        on_time = done if now <= 1 + STEP / 2 else on_time
        live = done if now <= RECOVERY_AFTER / SECOND + STEP / 2 else live
    late = max(0, round(shape.tasks - live))
    governed = late / CATCH_UP_RATE
    return Midnight(
        half, now, on_time / shape.tasks, live / shape.tasks, governed, shape.tasks * units["WAL bytes, all at once"]
    )


# -- the death of a node


@attrs.frozen
class Death:
    """Of one node of many: its partitions, those who take them, tasks that change hands and those that came due meanwhile;
    seconds until the partitions have owners, until their windows are read, until what was missed has been started."""

    partitions: int
    takers: int
    tasks: float
    missed: float
    owned: float
    read: float
    caught_up: float
    worst: float


def death(units: Units, shape: Shape, seed: int = SEED, trials: int = TRIALS) -> Death:
    """A node is killed at any moment; medians of so many, and the worst."""
    rng = random.Random(seed)
    before = owners(shape.nodes, shape.partitions)
    held = scattered(shape.tasks, shape.partitions, rng)
    names = sorted(set(before.values()))
    mean = shape.fires / shape.tasks
    rows = [_one_death(units, shape, rng.choice(names), before, held, mean, rng) for _ in range(trials)]
    lost, takers, tasks, missed, owned, read, caught_up = (list(column) for column in zip(*rows, strict=True))
    return Death(
        round(median(lost)),
        round(median(takers)),
        median(tasks),
        median(missed),
        median(owned),
        median(read),
        median(caught_up),
        max(caught_up),
    )


def _one_death(
    units: Units,
    shape: Shape,
    victim: str,
    before: Mapping[int, str],
    held: Sequence[float],
    per_task: float,
    rng: random.Random,
) -> tuple[float, ...]:
    settings = CoordinationSettings()
    lost = [slot for slot, name in before.items() if name == victim]
    left = {name: 1 for name in set(before.values()) if name != victim}
    after = assign(shape.partitions, left, before)
    tasks = sum(held[slot] for slot in lost)
    # The servers count from the last ping, and look at whole ticks.
    silent = SESSION_SECONDS - rng.uniform(0, SESSION_SECONDS / PINGS) + rng.uniform(0, settings.tick_seconds)
    # Plan, owner node and epoch are a round trip each; the coordination looks at the time between them.
    owned = silent + rng.uniform(0, settings.poll_seconds) + 3 * 0.01
    counts = Counter(after[slot] for slot in lost)
    busiest, most = counts.most_common(1)[0]
    own = sum(held[slot] for slot, name in after.items() if name == busiest) * per_task
    read = min(own * WINDOW / SECOND, WINDOW_LIMIT) * units["server CPU us per entry read"] / 1e6
    read += shape.fires * WINDOW / SECOND * units["server CPU us per entry passed over"] / 1e6
    missed = tasks * per_task * (owned + read)
    spare = 1e6 / per_fire(units, "node CPU us", 10 * own) - own
    backlog = missed * most / len(lost) / spare if spare > 0 else math.inf
    return len(lost), len(counts), tasks, missed, owned, owned + read, owned + read + backlog


# -- the tables of the document


def told(units: Units) -> str:
    """Markdown."""
    lines = ["| nodes | partitions | of a node | busiest node | idlest node |", "|---|---|---|---|---|"]
    for nodes in SIZES:
        for partitions in PARTITIONS:
            found = balance(nodes, 1e6 * nodes, partitions)
            of = f"{found.fewest}" if found.fewest == found.most else f"{found.fewest} or {found.most}"
            lines.append(f"| {nodes} | {partitions:,} | {of} | {found.busiest:.2f} | {found.idlest:.2f} |")
    heads = [f"{nodes_of(shape)}, {number(shape.tasks)} tasks" for shape in SHAPES]
    nights = [midnight(units, shape) for shape in SHAPES]
    lines += ["", "| all tasks at one instant | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    lines += [
        _line("half have started after, s", [night.half for night in nights]),
        _line("the last, s", [night.last for night in nights]),
        _line("within 1 s, %", [night.on_time * 100 for night in nights]),
        _line("within 5 s, %", [night.live * 100 for night in nights]),
        _line("the governor's time for the others, s", [night.governed for night in nights]),
        _line("write-ahead log, GB", [night.wal_bytes / 1e9 for night in nights]),
    ]
    deaths = [death(units, shape) for shape in SHAPES if shape.nodes > 1]
    lines += ["", "| one node is killed | " + " | ".join(heads[1:]) + " |", "|---" * len(heads) + "|"]
    lines += [
        _line("partitions that lose their owner", [one.partitions for one in deaths]),
        _line("nodes that take them", [one.takers for one in deaths]),
        _line("tasks that change hands", [one.tasks for one in deaths]),
        _line("owned again after, s", [one.owned for one in deaths]),
        _line("their windows are read after, s", [one.read for one in deaths]),
        _line("fires that were missed meanwhile", [one.missed for one in deaths]),
        _line("these have started after, s", [one.caught_up for one in deaths]),
        _line("the worst of 500 deaths, s", [one.worst for one in deaths]),
    ]
    return "\n".join(lines)


def _line(label: str, values: Sequence[float]) -> str:
    return f"| {label} | " + " | ".join(number(value) for value in values) + " |"
