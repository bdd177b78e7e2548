"""What a size of cluster would use of each resource, and which one it uses up first.

Unit costs are those that `bench_units` measured; without a file those of `units.json`, whose machine the document names. What
there is of each resource is assumed of a larger machine (`Capacities`), and can be replaced. All is linear but for what is said
otherwise at its function. Makes the tables of `docs/explanation/scale.md`; what no formula says is in `scale_simulation`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import attrs

from actors.janitor import PAUSE_BETWEEN_SLICES
from actors.model.retention import KEEP_LAST, SLICE
from actors.store.port import DEFAULT_PARTITIONS
from actors.timer_core import WINDOW, WINDOW_LIMIT
from benchmarks.svg import Bar, bars
from runtime.clock import SECOND

MEASURED: Final = Path(__file__).with_name("units.json")
DAY: Final = 86_400.0
TASK_PARTS: Final = ("tasks", "tasks_pkey", "tasks_due")
"""What every fire writes of a task: taken after all tasks fired once and the table was written anew, as it stays."""

EXECUTION_PARTS: Final = ("executions", "executions_pkey", "executions_task", "executions_ended", "executions_open")
PAGE: Final = 8192
STEADY_RATE: Final = 1_000.0
"""Fires a second of one node at which the figures called steady were taken."""

VACUUM_COST_PER_SECOND: Final = 200 / 0.002
"""autovacuum_vacuum_cost_limit over autovacuum_vacuum_cost_delay, PostgreSQL's defaults."""

COST_DIRTY, COST_MISS = 20, 2
FREEZE_AGE: Final = 200_000_000
"""autovacuum_freeze_max_age: transactions after which a table is vacuumed whatever else is so."""

VACUUM_SHARE: Final = 0.05
"""The tables' own `autovacuum_vacuum_scale_factor`."""

DEAD_ROW_BYTES, MAINTENANCE_BYTES = 6, 64 * 2**20
"""What a pass remembers of a dead row, and `maintenance_work_mem`, PostgreSQL's default."""

CONNECTIONS_PER_NODE: Final = 9
"""Writer, leases, wake-ups, four readers, two of lists (`actors/lanes.py`, `actors/store/postgres.py`)."""

LARGEST: Final = 7.0
"""The decade of fires a second beyond which no limit is looked for."""


@attrs.frozen
class Shape:
    """A cluster: `retention`: seconds that an execution is kept. `elsewhere`: the share of commits that carry a notification,
    because an attempt ran on another node than its task's owner and the owner has to hear of its end."""

    nodes: int
    tasks: float
    fires: float
    partitions: int = DEFAULT_PARTITIONS
    retention: float = DAY
    elsewhere: float = 0.0


@attrs.frozen
class Capacities:
    """What there is of each resource; assumed, where it is a machine's."""

    cores: float = 32.0
    wal_bytes: float = 1e9
    disk_bytes: float = 10e12
    memory_bytes: float = 256e9
    connections: float = 500.0
    zookeeper_writes: float = 10_000.0
    link_bytes: float = 1.25e9
    checkpoint_seconds: float = 300.0


@attrs.frozen
class Use:
    """Of one resource. `share`: of what there is; above 1 it does not work."""

    resource: str
    used: float
    capacity: float
    unit: str

    @property
    def share(self) -> float:
        return self.used / self.capacity


Units = Mapping[str, float]


def read_units(path: Path = MEASURED) -> Units:
    """The figures of the last line that `bench_units` wrote into the file."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
    figures: dict[str, float] = [line["figures"] for line in lines if line.get("name") == "units"][-1]
    return figures


# -- what follows from a shape


def most_partitions(shape: Shape) -> int:
    """Partitions of the node that has most: shares are exact, rounded up or down."""
    return math.ceil(shape.partitions / min(shape.nodes, shape.partitions))


def imbalance(shape: Shape) -> float:
    """How many times the mean the node with most partitions has; nodes beyond the number of partitions own nothing."""
    return most_partitions(shape) * shape.nodes / shape.partitions


def node_fires(shape: Shape) -> float:
    """Fires a second that the busiest owner settles."""
    return shape.fires / shape.nodes * imbalance(shape)


def per_fire(units: Units, what: str, rate: float) -> float:
    """A cost of a fire at so many fires a second of one node.

    Two points were measured: `STEADY_RATE`, where commits are small, and all at once, where they are full. Between them the work
    of a commit is shared by more fires: what exceeds the full commit's share falls with the rate.
    """
    steady, full = units[f"{what}, steady"], units[f"{what}, all at once"]
    return full + max(0.0, steady - full) * min(1.0, STEADY_RATE / max(rate, 1e-9))


def executions_kept(shape: Shape) -> float:
    """Executions in the store, if the purge keeps up: by age, and by their number for each task."""
    return min(shape.fires * shape.retention, shape.tasks * KEEP_LAST)


def _sum_bytes(units: Units, what: str, names: Sequence[str]) -> float:
    return sum(units.get(f"bytes per {what}: {name}, all at once", 0.0) for name in names)


def task_bytes(units: Units) -> float:
    """Of a stored task with its definition and their indexes."""
    definitions = [f"definitions{part}" for part in ("", "_pkey", "_name", "_type")]
    return _sum_bytes(units, "task", definitions) + sum(units[f"bytes per task, packed: {name}"] for name in TASK_PARTS)


def execution_bytes(units: Units) -> float:
    """Of a stored execution with its indexes."""
    return _sum_bytes(units, "fire", EXECUTION_PARTS)


def hot_bytes(units: Units, shape: Shape) -> float:
    """What fires look into all the time: tasks, definitions, and an hour of executions."""
    recent = min(executions_kept(shape), shape.fires * 3600)
    return shape.tasks * task_bytes(units) + recent * execution_bytes(units)


def page_images(units: Units, shape: Shape, capacities: Capacities) -> float:
    """Images of whole pages a second: each page of what a fire changes at a random place, once between two checkpoints.

    A fire changes a task's page of the heap, of the key and twice of the index of due times, and an execution's key. With so
    many random touches of so many pages, pages * (1 - exp(-touches / pages)) are touched at least once (Poisson).
    """
    touches = shape.fires * capacities.checkpoint_seconds
    found = 0.0
    places = [
        (shape.tasks * units["bytes per task, packed: tasks"], 1),
        (shape.tasks * units["bytes per task, packed: tasks_pkey"], 1),
        (shape.tasks * units["bytes per task, packed: tasks_due"], 2),
        (executions_kept(shape) * units["bytes per fire: executions_task, all at once"], 1),
    ]
    for size, times in places:
        pages = max(1.0, size / PAGE)
        found += pages * -math.expm1(-touches * times / pages)
    return found / capacities.checkpoint_seconds


def vacuum_seconds(units: Units, shape: Shape) -> float:
    """One pass of autovacuum over the tasks at PostgreSQL's default pace: pages with dead rows are written, index pages are read.

    A pass comes when 5 % of the rows are dead; by then nearly every page has some where rows change at random.
    """
    dead = VACUUM_SHARE * shape.tasks
    pages = shape.tasks * units["bytes per task, packed: tasks"] / PAGE
    touched = pages * -math.expm1(-dead / max(1.0, pages))
    index = sum(units[f"bytes per task, packed: {name}"] for name in ("tasks_pkey", "tasks_due")) * shape.tasks / PAGE
    return (touched * (COST_DIRTY + COST_MISS) + index * (COST_DIRTY + COST_MISS)) / VACUUM_COST_PER_SECOND


def vacuum_interval(units: Units, shape: Shape) -> float:
    """Seconds until 5 % of the tasks' rows are dead."""
    return VACUUM_SHARE * shape.tasks / (shape.fires * units["dead rows of tasks, not pruned in place, all at once"])


def executions_vacuum_seconds(units: Units, shape: Shape) -> float:
    """One pass over the executions: what dies lies together, but every index is read whole, and again for each memory full of
    dead rows (PostgreSQL 15: six bytes for each)."""
    kept = executions_kept(shape)
    dead = VACUUM_SHARE * kept
    index_bytes = _sum_bytes(units, "fire", EXECUTION_PARTS[1:])
    heap = dead * units["bytes per fire: executions, all at once"] / PAGE
    reads = kept * index_bytes / PAGE * max(1.0, dead * DEAD_ROW_BYTES / MAINTENANCE_BYTES)
    written = heap + dead * index_bytes / PAGE
    return (written * (COST_DIRTY + COST_MISS) + reads * COST_MISS) / VACUUM_COST_PER_SECOND


def executions_vacuum_interval(shape: Shape) -> float:
    """Seconds until 5 % are dead: one version by the end of each execution, one when it is purged."""
    return VACUUM_SHARE * executions_kept(shape) / (shape.fires * 2)


def server_cores(units: Units, shape: Shape) -> float:
    """Processors that the database needs."""
    rate = shape.fires / shape.nodes
    fires = shape.fires * per_fire(units, "server CPU us", rate)
    seconds = shape.nodes * units["server CPU us per node and second"]
    # Every node reads the due times of the next minute twice in it, and passes over those of all others.
    ahead = shape.fires * WINDOW / SECOND
    reads = shape.nodes * ahead / (WINDOW / SECOND / 2)
    own = ahead * units["server CPU us per entry read"] / (WINDOW / SECOND / 2)
    window = reads * units["server CPU us per entry passed over"] + own
    return (fires + seconds + window) / 1e6


def commits(units: Units, shape: Shape) -> float:
    """Transactions a second that write: those of fires, and two of each node for its lease."""
    rate = shape.fires / shape.nodes
    return shape.fires * min(2.0, per_fire(units, "commits", rate)) + 2 * shape.nodes


def gossip(units: Units, what: str, nodes: int) -> float:
    """Of gossip of one node in a second where all loads change; between measured sizes by the logarithm of the size."""
    if nodes < 2:
        return 0.0
    known = sorted(
        (int(label.split(", ")[1].split()[0]), value)
        for label, value in units.items()
        if label.startswith(f"gossip {what} per node and second, ") and label.endswith("busy")
    )
    for (low, below), (high, above) in pairwise(known):
        if nodes <= high:
            part = max(0.0, math.log(nodes / low) / math.log(high / low))
            return below + (above - below) * part
    return known[-1][1]


def purge_rate(units: Units, what: str) -> float:
    """Rows a second that the one walk of the purge removes or looks at: a slice, then a pause."""
    return SLICE / (units[f"ms per slice of a purge, {what}"] / 1000 + PAUSE_BETWEEN_SLICES)


def zookeeper_writes(units: Units, nodes: int) -> float:
    """A second; a node's probes do not depend on the size of the cluster."""
    return nodes * units["ZooKeeper writes per node and second, 3 nodes"]


# -- the table


def uses(units: Units, shape: Shape, capacities: Capacities | None = None) -> list[Use]:
    """Every resource, what is used up first before the others."""
    there = capacities or Capacities()
    rate = node_fires(shape)
    clustered = shape.nodes > 1
    wal = shape.fires * units["WAL bytes, steady"]
    wal += page_images(units, shape, there) * units["bytes of a page image, all at once"]
    kept, seconds = executions_kept(shape), vacuum_seconds(units, shape)
    written = commits(units, shape)
    found = [
        Use("a node's loop", rate * per_fire(units, "node CPU us", rate) / 1e6, 1.0, "cores"),
        Use("timer's window", rate * WINDOW / SECOND, WINDOW_LIMIT, "tasks"),
        Use("PostgreSQL: processors", server_cores(units, shape), there.cores, "cores"),
        Use("PostgreSQL: write-ahead log", wal / 1e6, there.wal_bytes / 1e6, "MB/s"),
        Use(
            "PostgreSQL: disk",
            (shape.tasks * task_bytes(units) + kept * execution_bytes(units)) / 1e9,
            there.disk_bytes / 1e9,
            "GB",
        ),
        Use("PostgreSQL: memory for what is hot", hot_bytes(units, shape) / 1e9, there.memory_bytes / 1e9, "GB"),
        Use("PostgreSQL: autovacuum of `tasks`", seconds, vacuum_interval(units, shape), "s"),
        Use(
            "PostgreSQL: autovacuum of `executions`",
            executions_vacuum_seconds(units, shape),
            executions_vacuum_interval(shape),
            "s",
        ),
        Use("PostgreSQL: transaction numbers", written * DAY / FREEZE_AGE * seconds, DAY, "s"),
        Use("purge: executions removed", shape.fires, purge_rate(units, "executions removed"), "1/s"),
        Use("purge: a walk over all tasks", shape.tasks / purge_rate(units, "tasks looked at"), DAY, "s"),
    ]
    if clustered:
        notified = units["commits/s with a notification, 8 sessions"]
        found += [
            Use("PostgreSQL: connections", shape.nodes * CONNECTIONS_PER_NODE, there.connections, "connections"),
            Use("notifications", written * shape.elsewhere, notified, "commits/s"),
            Use("ZooKeeper: writes", zookeeper_writes(units, shape.nodes), there.zookeeper_writes, "1/s"),
            Use("a node's link: gossip", gossip(units, "bytes", shape.nodes) / 1e6, there.link_bytes / 1e6, "MB/s"),
        ]
    return sorted(found, key=lambda use: -use.share)


def first(units: Units, shape: Shape, capacities: Capacities | None = None) -> Use:
    """What is used up first."""
    return uses(units, shape, capacities)[0]


def grown(fires: float) -> Shape:
    """A cluster that grows evenly: each node fires 1,000 times a second, each task once in 1,000 seconds."""
    return Shape(max(3, math.ceil(fires / STEADY_RATE)), fires * 1_000, fires)


def limits(units: Units, capacities: Capacities | None = None) -> dict[str, float]:
    """Fires a second at which each resource of an evenly growing cluster is used up, the first one first; up to 10^7."""
    found: dict[str, float] = {}
    for resource in (use.resource for use in uses(units, grown(1.0), capacities)):
        low, high = 0.0, LARGEST
        for _ in range(50):
            middle = (low + high) / 2
            share = {use.resource: use.share for use in uses(units, grown(10**middle), capacities)}[resource]
            low, high = (middle, high) if share < 1 else (low, middle)
        if high < LARGEST:
            found[resource] = 10**low
    return dict(sorted(found.items(), key=lambda pair: pair[1]))


SHAPES: Final = (
    Shape(1, 1e3, 10.0),
    Shape(3, 1e5, 100.0),
    Shape(10, 1e7, 5_000.0),
    Shape(100, 1e8, 100_000.0),
)
"""Of the document. Retention of a day: with the default of 30 days each figure of executions is up to 30 times as large."""


def nodes_of(shape: Shape) -> str:
    """In words."""
    return "1 node" if shape.nodes == 1 else f"{shape.nodes} nodes"


def number(value: float) -> str:
    """Three digits, with the usual letters for large ones."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == ' k' else size):.3g}{letter}"
    return f"{value:.0f}" if abs(value) >= 99.5 else f"{value:.2g}"


def percent(share: float) -> str:
    """Of what there is; above ten times as a factor."""
    if share >= 10:
        return f"{number(share)} x"
    return f"{share * 100:.0f} %" if share >= 0.005 else "< 1 %"


def table(units: Units, shapes: Sequence[Shape] = SHAPES, capacities: Capacities | None = None) -> str:
    """Markdown: a row for each resource, a column for each shape."""
    columns = [{use.resource: use for use in uses(units, shape, capacities)} for shape in shapes]
    heads = [f"{nodes_of(shape)}, {number(shape.tasks)} tasks, {number(shape.fires)}/s" for shape in shapes]
    lines = ["| resource | there is | " + " | ".join(heads) + " |", "|---" * (len(shapes) + 2) + "|"]
    for resource, last in columns[-1].items():
        cells = []
        for column in columns:
            use = column.get(resource)
            cells.append("-" if use is None else f"{number(use.used)} ({percent(use.share)})")
        varies = resource.startswith("PostgreSQL: autovacuum")
        there = "until the next is due" if varies else f"{number(last.capacity)} {last.unit}"
        lines.append(f"| {resource}{'' if not varies else ', s'} | {there} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def picture(units: Units) -> str:
    """SVG: the fires a second at which each resource is used up."""
    rows = [
        Bar(name.replace("`", "").replace("PostgreSQL: ", ""), value, "ours") for name, value in limits(units).items()
    ]
    title = "where a cluster that grows evenly uses up each resource"
    return bars(title, "fires a second; a node for each 1,000 of them, 1,000 tasks for each", rows)


def order(units: Units) -> str:
    """Markdown: what is used up first, in an evenly growing cluster."""
    lines = ["| fires a second | nodes | tasks | what is used up |", "|---|---|---|---|"]
    for resource, fires in limits(units).items():
        shape = grown(fires)
        lines.append(f"| {number(fires)} | {shape.nodes:,} | {number(shape.tasks)} | {resource} |")
    return "\n".join(lines)
