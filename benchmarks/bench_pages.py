"""Pages of 50 of a long list over REST: filtered, sorted, with the exact total (row P11).

The same questions to a store of a thousand tasks and to a large one, a million at the full size; of every hundred tasks one has
failed, one is paused and one is of a type of its own. A page is asked for over one connection, by a client in the same process,
so its parsing is part of the figure. The ratios say how a page grows with what is stored.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from actors.handling.catalogue import Catalogue
from actors.model.lifecycle import Phase, State, Status
from actors.model.task import Definition, Task, TaskState, partition_of
from actors.model.trigger import Interval
from actors.rules.definition_changes import first_state
from actors.store.port import DEFAULT_PARTITIONS, Commit, Create
from actors.store.sqlite import SqliteStore
from actors.when.zones import database_version
from runtime.clock import DAY, Instant
from runtime.world import RealWorld
from tocsin.serving import Serving, open_serving
from tocsin.settings.config import Config
from tocsin.settings.setting_readers import Address

from .bench_served import UNLIMITED
from .console_load import Connection
from .process import Used, measured, percentile

BASE: Final = 1_000
SMALL, FULL = 2_000, 1_000_000
ASKED: Final = {False: 3, True: 60}
"""How often each page is asked for, after once that does not count."""

BATCH: Final = 5_000

PAGES: Final[Mapping[str, str]] = {
    "unfiltered": "",
    "by name": "sortBy=name:asc",
    "by next fire": "sortBy=nextScheduledExecution:asc",
    "by last start, newest first": "sortBy=lastExecutionDate:desc",
    "by failures, most first": "sortBy=failureCount:desc",
    "by creation, newest first": "sortBy=createdAt:desc",
    "by status": "sortBy=status:asc",
    "by type": "sortBy=taskType:desc",
    "failed, by last start": "status=FAILED&sortBy=lastExecutionDate:desc",
    "scheduled, by next fire": "status=SCHEDULED&sortBy=nextScheduledExecution:asc",
    "of a rare type, by name": "type=bench.rare&sortBy=name:asc",
    "of a common type, by next fire": "type=bench.idle&sortBy=nextScheduledExecution:asc",
    "page 100, by name": "sortBy=name:asc&offset=5000",
}
"""Pages whose totals are kept or few: P11 says 15 ms at most."""

SEARCHES: Final[Mapping[str, str]] = {
    "with a text, by name": "text=idle%2099&sortBy=name:asc",
    "scheduled with a text": "status=SCHEDULED&text=99",
}
"""Pages with the exact total of an arbitrary filter: 200 ms at most."""


def _state(definition: Definition, number: int) -> TaskState:
    state = first_state(definition, definition.created_at)
    began = Instant(definition.created_at - number)
    match number % 100:
        case 1:
            ended = {"last_started_at": began, "last_ended_at": began, "last_state": State.FAILED}
            return attrs.evolve(
                state, status=Status.FAILED, phase=Phase.FINISHED, next_fire=None, failure_count=1, **ended
            )
        case 2:
            return attrs.evolve(state, phase=Phase.PAUSED)
        case part if part < 50:
            return attrs.evolve(state, last_started_at=began, last_ended_at=began, last_state=State.COMPLETED)
    return state


def fill(directory: Path, count: int) -> None:
    """Make a store with so many tasks, due between one and two days from now, in some states."""
    directory.mkdir(parents=True, exist_ok=True)
    world = RealWorld()
    now = world.now()
    store = SqliteStore(directory / "tocsin.db", synchronous="NORMAL")
    store.open(new_cluster_id="benchmark", partitions=DEFAULT_PARTITIONS, timezone_database=database_version())
    epochs = store.raise_epochs(dict.fromkeys(range(DEFAULT_PARTITIONS), 1), "benchmark")
    for start in range(0, count, BATCH):
        creates = []
        for number in range(start, min(start + BATCH, count)):
            kind = "bench.rare" if number % 100 == 3 else "bench.idle"
            interval = Interval(DAY, Instant(now + DAY + DAY * (number * 7_919 % count) // count))
            name = f"idle {number * 7_907 % count}"
            definition = Definition(world.new_id(), name, kind, interval, created_at=now)
            task = Task(definition, _state(definition, number))
            creates.append(Create(task, partition_of(definition.id, DEFAULT_PARTITIONS)))
        store.commit(Commit(epochs, tuple(creates)))
    store.close()


@attrs.frozen
class Asked:
    """What came of a page that was asked for again and again: seconds, and the total that it told."""

    seconds: list[float]
    total: int


def serving_config(directory: Path, **settings: Any) -> Config:
    """A node that takes as many requests as one program can make."""
    limits = dict.fromkeys(("rate", "burst", "tenant_rate", "tenant_burst"), UNLIMITED)
    return Config(data=directory, listen=Address("127.0.0.1", 0), **limits, **settings)


async def ask(serving: Serving, pages: Mapping[str, str], times: int) -> dict[str, Asked]:
    """Ask for each page so many times, after once that does not count."""
    found: dict[str, Asked] = {}
    token = (serving.data / "token").read_text(encoding="ascii").strip()
    port = int(serving.url.rpartition(":")[2])
    for label, query in pages.items():
        seconds, total = [], -1
        # A connection for each page: the server ends one that has asked for many.
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            connection = Connection(stream, token)
            for _ in range(times + 1):
                began = time.perf_counter()
                status, body = await connection.ask("GET", f"/api/tasks?limit=50&{query}")
                seconds.append(time.perf_counter() - began)
                if status == 200:
                    total = json.loads(body)["totalSize"]
        found[label] = Asked(seconds[1:], total)
    return found


async def _told(directory: Path, times: int) -> tuple[dict[str, Asked], Used]:
    async with open_serving(serving_config(directory), Catalogue()) as serving:
        with measured() as used:
            return await ask(serving, PAGES | SEARCHES, times), used


def run(full: bool) -> dict[str, Any]:
    """p99 of each page of a large store, and how it compares with that of a small one."""
    count = FULL if full else SMALL
    with tempfile.TemporaryDirectory() as name:
        told = {}
        for size in (BASE, count):
            directory = Path(name) / str(size)
            fill(directory, size)
            told[size], used = trio.run(_told, directory, ASKED[full])
    large, base = told[count], told[BASE]
    figures = {f"{label}: p99 ms": percentile(asked.seconds, 0.99) for label, asked in large.items()}
    figures["slowest page: p99 ms"] = max(percentile(large[label].seconds, 0.99) for label in PAGES)
    figures["slowest search: p99 ms"] = max(percentile(large[label].seconds, 0.99) for label in SEARCHES)
    figures |= used.figures(len(large) * (ASKED[full] + 1), "page, client included")
    totals = ("unfiltered", "failed, by last start", "of a rare type, by name", "scheduled, by next fire")
    return {
        "name": "pages",
        "figures": figures,
        "ratios": {
            f"{label}: {count:,} / {BASE:,} tasks": percentile(asked.seconds, 0.99)
            / percentile(base[label].seconds, 0.99)
            for label, asked in large.items()
            if label in PAGES
        },
        "check": {
            "expected": [count, count // 100, count // 100, count - count // 100],
            "actual": [large[label].total for label in totals],
        },
    }
