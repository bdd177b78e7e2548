"""Creates and fires per second in the SQLite store, beside raw SQLite commits, idle and beside a busy interpreter.

A fire is two commits' worth: an execution begins with its task's row moved on, then it ends with the row moved on again. The raw
loops write one narrow row per commit, and one narrow row per fire in batches. Everything is synced to disk at each commit and
runs in a thread of its own; "busy" means that another thread computes in Python without pause meanwhile.
"""

from __future__ import annotations

import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actors.model.execution import Execution, Kind
from actors.model.lifecycle import State, Status
from actors.model.occurrence import Outcome
from actors.model.task import Definition, Task, TaskState
from actors.model.trigger import Interval
from actors.store.port import Commit, Create, ExecutionWrite, Update
from actors.store.sqlite import SqliteStore
from runtime.clock import SECOND, Instant
from runtime.records import evolve

from .process import resident_megabytes

START = Instant(1_800_000_000 * SECOND)


def run(full: bool) -> dict[str, Any]:
    number = 20_000 if full else 1_000
    figures: dict[str, float] = {}
    stored = 0
    with tempfile.TemporaryDirectory() as folder:
        for busy in (False, True):
            label = ", busy" if busy else ""
            with company(busy):
                figures[f"raw commits/s, row by row{label}"] = raw(Path(folder), number // 20, 1)
                figures[f"raw rows/s, batches of 100{label}"] = raw(Path(folder), number, 100)
                for batch in (100, 500):
                    rates, counted = store(Path(folder), number, batch)
                    stored += counted
                    figures |= {f"{name}, batches of {batch}{label}": rate for name, rate in rates.items()}
    figures["resident MB"] = resident_megabytes()
    return {
        "name": "store",
        "figures": figures,
        "ratios": {
            "fires to raw row-by-row commits": figures["fires/s, batches of 100"]
            / figures["raw commits/s, row by row"],
            "fires to raw batches": figures["fires/s, batches of 100"] / figures["raw rows/s, batches of 100"],
            "busy to idle, batches of 500": figures["fires/s, batches of 500, busy"]
            / figures["fires/s, batches of 500"],
        },
        "check": {"expected": 4 * number, "actual": stored},
    }


@contextmanager
def company(busy: bool) -> Iterator[None]:
    """With `busy`, a thread that wants the interpreter all the time."""
    done = threading.Event()

    def compute() -> None:
        while not done.is_set():
            sum(range(1000))

    threads = [threading.Thread(target=compute)] if busy else []
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def timed(work: Callable[[], Any]) -> float:
    """Seconds that `work` takes in a thread of its own."""
    seconds: list[float] = []

    def measure() -> None:
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)

    thread = threading.Thread(target=measure)
    thread.start()
    thread.join()
    return seconds[0]


def raw(folder: Path, number: int, batch: int) -> float:
    """Rows per second of a narrow table."""
    path = folder / "raw.db"
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE outcomes (id INTEGER PRIMARY KEY, task TEXT, nominal INTEGER, outcome TEXT)")

    def work() -> None:
        for start in range(0, number, batch):
            rows = [(f"task {place}", START + place, "fired") for place in range(start, start + batch)]
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO outcomes (task, nominal, outcome) VALUES (?, ?, ?)", rows)
            connection.execute("COMMIT")

    seconds = timed(work)
    connection.close()
    return number / seconds


def store(folder: Path, number: int, batch: int) -> tuple[dict[str, float], int]:
    """Creates, fires and loads per second; and how many fires the store counted."""
    for leftover in folder.glob("store.db*"):
        leftover.unlink()
    made = SqliteStore(folder / "store.db")
    made.open(new_cluster_id="bench", partitions=256, timezone_database="")
    epochs = dict(made.raise_epochs(dict.fromkeys(range(256), 1), "bench"))
    tasks = [new_task(place) for place in range(number)]

    def create() -> None:
        for start in range(0, number, batch):
            accept(made, Commit(epochs, tuple(Create(task, 0) for task in tasks[start : start + batch])))

    creating = timed(create)
    firing = timed(lambda: [fire(made, epochs, tasks[start : start + batch]) for start in range(0, number, batch)])
    loading = timed(lambda: made.tasks([task.id for task in tasks]))
    counted = made.counts().by_outcome.get("fired", 0)
    made.close()
    rates = {"creates/s": number / creating, "fires/s": number / firing, "loads/s": number / loading}
    return rates, counted


def new_task(place: int) -> Task:
    key = f"01900000-0000-7000-8000-{place:012x}"
    definition = Definition(key, f"task {place}", "bench", Interval(SECOND, START), created_at=START)
    return Task(definition, TaskState(next_fire=START))


def fire(made: SqliteStore, epochs: dict[int, int], tasks: list[Task]) -> None:
    begun = [begin(task) for task in tasks]
    accept(made, Commit(epochs, updates=tuple(update for update, _ in begun)))
    accept(made, Commit(epochs, updates=tuple(end(update, execution) for update, execution in begun)))


def begin(task: Task) -> tuple[Update, Execution]:
    execution = Execution(
        "e" + task.id[1:],
        task.id,
        Kind.OCCURRENCE,
        State.RUNNING,
        START,
        nominal=START,
        outcome=Outcome.FIRED,
        attempt=1,
        fence=1,
        boot="01900000-0000-7000-8000-000000000000",
        node="bench",
        first_started_at=START,
        started_at=START,
    )
    due = Instant(START + SECOND)
    state = evolve(task.state, version=2, status=Status.RUNNING, next_fire=due, settled_through=START, fence=1, runs=1)
    return Update(task.id, 0, 1, state, due, (ExecutionWrite(execution),)), execution


def end(former: Update, execution: Execution) -> Update:
    state = evolve(
        former.state,
        version=3,
        status=Status.SCHEDULED,
        completed=1,
        last_execution=execution.id,
        last_state=State.COMPLETED,
        last_started_at=START,
        last_ended_at=START,
    )
    ended = evolve(execution, state=State.COMPLETED, ended_at=START)
    return Update(former.task_id, 0, 2, state, former.due, (ExecutionWrite(ended, execution),))


def accept(made: SqliteStore, commit: Commit) -> None:
    refused = made.commit(commit).refused
    if refused:
        raise AssertionError(f"refused: {dict(refused)}")
