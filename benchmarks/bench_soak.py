"""A node that runs on and on, with a retention that bites: memory, files, tasks and tables, which may not grow (row P13).

In two processes: `simulated` is 24 hours of 10 fires a second on virtual time, where all but clocks and chance is real; `real`
is an hour of 100 fires a second. Samples are taken all along. Of each quantity a line is drawn through the second half of its
samples, and its slope counts as zero if it adds less than a fiftieth of the level, or no more than noise does (`trend`).

The real hour begins with more attempts at once than a node keeps tasks of the loop for: what is kept for the busiest moment is
there from then on, and a stall of the machine does not look like a leak.

What the node's own tasks leave is kept for six hours, whatever the retention is. In the hour of real time that grows as it
should, so it is counted apart and not judged; in the simulated day it is.

A part alone, for as long as one likes: `python -m benchmarks.bench_soak real 10` (minutes) or `simulated 24` (hours); with
`--json` as one line.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any, Final

import attrs
import trio

from actors.composition import open_node
from actors.handling.catalogue import Catalogue, task_type
from actors.lanes import NodeConfig
from actors.model.lifecycle import State
from actors.model.retention import FINAL_STATES, Keep, Retention
from actors.model.system import SYSTEM_TYPES
from actors.model.task import Definition
from actors.model.trigger import Once
from actors.node import Node
from actors.store.answers import TaskFilter
from benchmarks.__main__ import report
from benchmarks.bench_lateness import TICK, ticks
from benchmarks.process import cpu_seconds, open_files, resident_megabytes
from benchmarks.trend import Trend, trend
from runtime.clock import HOUR, MINUTE, SECOND, Instant, Micros
from tests.source import ROOT
from tocsin import testing

REAL_TASKS: Final = 100
SIMULATED_TASKS: Final = 10
"""One-second intervals: as many fires in a second."""

MINUTES: Final = {False: 0.1, True: 60.0}
HOURS: Final = {False: 0.1, True: 24.0}

SAMPLES: Final = 96
"""Of one part, evenly spread: every quarter of an hour of a day."""

SHORTEST_SECONDS: Final = 0.5
"""Between two samples: counting rows is work too."""

KEPT_SHARE: Final = 12
"""An hour keeps what has ended for five minutes, a day for two hours: from then on as much goes as comes."""

PURGES: Final = 60
"""How often an hour purges; a day does so every minute, and nothing more often than every second."""

BURST: Final = 600
"""Attempts at once in the beginning, above the 512 idle tasks that the executor keeps."""

BURST_TYPE: Final = "bench.burst"
BURST_SECONDS: Final = 0.5

OWN: Final = "the node's own"
"""Part of the label of what the node's own tasks leave."""

Sample = dict[str, float]


@attrs.define
class Soak:
    """What a part does, and what it found. `span`: of its time, in seconds."""

    tasks: int
    span: float
    fired: int = 0
    samples: list[Sample] = attrs.field(factory=list)
    used: float = attrs.field(factory=cpu_seconds)
    """Processor time before the first fire."""

    @property
    def runs(self) -> int:
        """Of each task."""
        return max(1, int(self.span))

    @property
    def pause(self) -> float:
        """Seconds between two samples."""
        return max(SHORTEST_SECONDS, self.span / SAMPLES)

    @property
    def purge_every(self) -> float:
        """Seconds between two purges."""
        return min(MINUTE / SECOND, max(1.0, self.span / PURGES))

    @property
    def retention(self) -> Retention:
        """Everything goes after the same time; of each task's counts by the hour, when the hour is as old."""
        kept = Micros(round(self.span / KEPT_SHARE * SECOND))
        states: dict[State, Keep] = dict.fromkeys(FINAL_STATES, Keep(kept))
        return Retention(states, rows=Keep(kept), skipped=Keep(kept), folded=kept)

    async def told(self, node: Node) -> dict[str, Any]:
        """The samples and how much was done; as many outcomes as the tasks themselves have counted."""
        page = await node.page(TaskFilter(type=TICK, limit=self.tasks))
        return {
            "samples": self.samples,
            "expected": self.tasks * self.runs,
            "fired": self.fired,
            "completed": sum(task.state.completed for task in page.tasks),
            "cpu": cpu_seconds() - self.used,
        }


def sample(after: float, database: Path) -> Sample:
    """What there is after so many seconds."""
    size = sum(file.stat().st_size for file in database.parent.glob(f"{database.name}*"))
    found = {"seconds": after, "resident MB": resident_megabytes(), "open files": open_files()}
    return {**found, "database MB": size / 1e6, **rows(database)}


def living() -> Sample:
    """What only the loop itself can tell."""
    return {"trio tasks": trio.lowlevel.current_statistics().tasks_living}


def rows(database: Path) -> Sample:
    """How many rows each table has; those that the node's own tasks leave are counted apart."""
    found: Sample = {}
    types = ", ".join(f"'{name}'" for name in SYSTEM_TYPES)
    own = f"task_id IN (SELECT id FROM tasks WHERE type IN ({types}))"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
        ).fetchall():
            of_tasks = "task_id" in [column[1] for column in connection.execute(f"PRAGMA table_info({name})")]
            if name == "results":
                whose = f"{name} JOIN executions ON id = execution_id WHERE {own}"
            else:
                whose = f"{name} WHERE {own if of_tasks else 'false'}"
            (number,) = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
            (theirs,) = connection.execute(f"SELECT count(*) FROM {whose}").fetchone()
            found |= {f"rows of {name}": number - theirs, f"rows of {name}, {OWN}": theirs}
    return found


async def _soak_really(soak: Soak, directory: Path) -> dict[str, Any]:
    async def tick(_context: object) -> None:
        soak.fired += 1

    async def burst(_context: object) -> None:
        await trio.sleep(BURST_SECONDS)

    catalogue = Catalogue([task_type(TICK, tick), task_type(BURST_TYPE, burst)])
    config = NodeConfig(data=directory, retention=soak.retention, purge_every_seconds=soak.purge_every)
    async with open_node(config, catalogue) as node:
        definitions = ticks(node.world, soak.tasks, soak.runs, spread=True)
        await node.create(definitions, "benchmark")
        began = definitions[0].bounds.start
        assert began is not None
        await node.create(_bursting(node, Instant(began - SECOND)), "benchmark")
        for number in range(int(soak.span / soak.pause)):
            due = began / SECOND + soak.pause * (number + 1)
            await trio.sleep(max(0.0, due - node.world.now() / SECOND))
            after = (node.world.now() - began) / SECOND
            soak.samples.append(await trio.to_thread.run_sync(sample, after, directory / "tocsin.db") | living())
        with trio.move_on_after(10):
            while node.completed() < soak.tasks * soak.runs + BURST:  # noqa: ASYNC110 - whoever asks a node waits like this
                await trio.sleep(0.1)
        await trio.sleep(0.5)
        return await soak.told(node)


def _bursting(node: Node, at: Instant) -> list[Definition]:
    now = node.world.now()
    names = [f"burst {number}" for number in range(BURST)]
    return [Definition(node.world.new_id(), one, BURST_TYPE, Once(at), created_at=now) for one in names]


async def _soak_virtually(soak: Soak, node: testing.VirtualNode) -> dict[str, Any]:
    definitions = ticks(node.world, soak.tasks, soak.runs, spread=False, settle=0)
    await node.create(definitions, "benchmark")
    begun = node.now
    database = Path(node.inner.config.data) / "tocsin.db"
    for _ in range(int(soak.span / soak.pause)):
        await node.advance(f"{round(soak.pause * 1000)}ms")
        soak.samples.append(sample((node.now - begun).total_seconds(), database) | living())
    await node.advance("10s")
    return await soak.told(node.inner)


def really(minutes: float) -> dict[str, Any]:
    """The part in real time."""
    soak = Soak(REAL_TASKS, minutes * 60)
    with tempfile.TemporaryDirectory() as name:
        return trio.run(_soak_really, soak, Path(name))


def virtually(hours: float) -> dict[str, Any]:
    """The part in virtual time."""
    soak = Soak(SIMULATED_TASKS, hours * HOUR / SECOND)

    async def tick(_context: object) -> None:
        soak.fired += 1

    return testing.run(
        lambda node: _soak_virtually(soak, node),
        catalogue=Catalogue([task_type(TICK, tick)]),
        retention=soak.retention,
        system_tasks=True,
        purge_every_seconds=soak.purge_every,
    )


PARTS: Final = {"simulated": virtually, "real": really}


def trends(samples: list[Sample]) -> Mapping[str, Trend]:
    """Of each quantity that is there at all."""
    times = [one["seconds"] / 3600 for one in samples]
    return {
        label: trend(times, [one[label] for one in samples])
        for label in samples[0]
        if label != "seconds" and any(one[label] for one in samples)
    }


def growing(part: str, lines: Mapping[str, Trend]) -> list[str]:
    """The quantities of a part whose slope is not zero."""
    return [label for label, line in lines.items() if not line.is_flat and not (part == "real" and OWN in label)]


def _in_process(part: str, length: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.bench_soak", part, str(length), "--samples"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def run(full: bool) -> dict[str, Any]:
    """Both parts, each in a process of its own."""
    return judged({part: _in_process(part, (HOURS if part == "simulated" else MINUTES)[full]) for part in PARTS})


def judged(told: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the samples of some parts say."""
    figures: dict[str, float] = {}
    series: dict[str, list[list[float]]] = {}
    expected: dict[str, Any] = {}
    actual: dict[str, Any] = {}
    for part, found in told.items():
        lines = trends(found["samples"])
        for label, line in lines.items():
            figures[f"{part}: {label}"] = line.level
            figures[f"{part}: {label}, % more at the end"] = line.percent
        figures[f"{part}: quantities that grow"] = len(growing(part, lines))
        figures[f"{part}: CPU us per fire"] = found["cpu"] / found["fired"] * 1e6
        series[f"{part}: resident MB"] = [[one["seconds"] / 3600, one["resident MB"]] for one in found["samples"]]
        expected[part] = {"fired": found["expected"], "completed": found["expected"], "purged": True}
        kept = median(one["rows of executions"] for one in found["samples"][-10:])
        actual[part] = {"fired": found["fired"], "completed": found["completed"], "purged": kept < found["fired"] / 2}
    check = {"expected": expected, "actual": actual}
    return {"name": "soak", "figures": figures, "series": series, "check": check}


def _main(part: str, length: str, *flags: str) -> None:
    found = PARTS[part](float(length))
    if "--samples" in flags:
        sys.stdout.write(json.dumps(found))
        return
    result = judged({part: found})
    grows = ", ".join(growing(part, trends(found["samples"]))) or "nothing"
    told = json.dumps(result) if "--json" in flags else f"{report(f'{length} long', result)}\n  grows: {grows}"
    sys.stdout.write(f"{told}\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
