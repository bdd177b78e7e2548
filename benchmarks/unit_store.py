"""What a fire, a stored task, an execution and a node's second cost a PostgreSQL server; measured for `bench_units`.

One node on a server of its own. The server's processor time is that of all of its processes. Of the write-ahead log, images of
whole pages are told apart: the first change of a page after a checkpoint writes one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import psycopg
import trio

from actors.composition import open_node
from actors.handling.catalogue import Catalogue, task_type
from actors.lanes import NodeConfig
from actors.lookout import STOPPING_READ, WAITING_READ
from actors.model.retention import Cursor, Keep, Retention, Slice, Stage
from actors.model.task import Definition
from actors.model.trigger import Bounds, Interval
from actors.node import Node
from actors.store.port import DEFAULT_PARTITIONS
from actors.store.postgres import PostgresStore
from actors.timer_core import WINDOW_LIMIT
from actors.when.zones import database_version
from benchmarks.process import children, cpu_seconds
from runtime.clock import HOUR, SECOND, Instant
from runtime.records import evolve
from tocsin.embedded.postgres import EmbeddedPostgres

FIRED: Final = "bench.nothing"
LEADS: Final = (1, 4, 20)
"""Seconds between the last task's creation and the first nominal time: a checkpoint and the timer's read have to be over by then.
Where a disk is too slow for the first, it is tried with the next."""

CREATED_PER_SECOND: Final = 1_500
"""At the least, with that checkpoint."""

PATIENCE_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.02
FLUSH_SECONDS: Final = 1.2
"""Between two tellings of a process of the server about its statistics."""

SESSIONS: Final = 8
"""That commit at the same time, where the lock of notifications is measured."""

TABLES: Final = ("tasks", "definitions", "executions", "attempts")

_SIZES: Final = """SELECT c.relname, pg_relation_size(c.oid) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'tocsin' AND c.relkind IN ('r', 'i')"""
_CHANGED: Final = (
    """SELECT relname, n_tup_ins, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = 'tocsin'"""
)
_WAL: Final = """SELECT sum(record_length), sum(fpi_length), count(*) FILTER (WHERE fpi_length > 0)
    FROM public.pg_get_wal_records_info(%s::pg_lsn, %s::pg_lsn)"""


@attrs.frozen
class Size:
    """`burst`: tasks due at one instant. `steady`, `rounds`: tasks that fire once a second, and how often. `seconds`: of
    commits that notify."""

    burst: int
    steady: int
    rounds: int
    seconds: float


@attrs.frozen
class Seen:
    """What a server has used and written up to now."""

    cpu: float
    node: float
    lsn: str
    xid: int
    sizes: dict[str, int]


async def _nothing(_context: object) -> None:
    """The handler under test."""


def _look(server: EmbeddedPostgres, link: psycopg.Connection[Any]) -> Seen:
    lsn, xid = link.execute("SELECT pg_current_wal_lsn()::text, pg_current_xact_id()::text::bigint").fetchone() or (
        "",
        0,
    )
    sizes: dict[str, int] = dict(link.execute(_SIZES).fetchall())
    return Seen(sum(map(cpu_seconds, children(server.pid))), time.process_time(), lsn, xid, sizes)


def _link(dsn: str) -> psycopg.Connection[Any]:
    link = psycopg.connect(dsn, autocommit=True)
    link.execute("CREATE EXTENSION IF NOT EXISTS pg_walinspect SCHEMA public")
    return link


def _per(before: Seen, after: Seen, number: int, what: str) -> dict[str, float]:
    """Bytes of each table and index for one of so many."""
    grown = {name: size - before.sizes.get(name, 0) for name, size in after.sizes.items()}
    return {f"bytes per {what}: {name}": size / number for name, size in sorted(grown.items()) if size > 16384}


async def _create(node: Node, count: int, every: int, rounds: int, lead: int, name: str = "unit") -> Instant:
    """Intervals, spread over a second if they come each second; the first nominal time."""
    now = node.world.now()
    first = Instant(now - now % SECOND + (lead + count // CREATED_PER_SECOND + 1) * SECOND)
    for start in range(0, count, 1_000):
        some = []
        for number in range(start, min(start + 1_000, count)):
            anchor = Instant(first + (SECOND * number // count if every == SECOND else 0))
            bounds = Bounds(start=anchor, max_runs=rounds)
            trigger = Interval(every, anchor)  # type: ignore[arg-type]
            some.append(Definition(node.world.new_id(), f"{name} {number}", FIRED, trigger, bounds, created_at=now))
        await node.create(some, "benchmark")
    return first


def _fired(server: EmbeddedPostgres, name: str, home: Path, size: Size, *, burst: bool) -> tuple[str, dict[str, float]]:
    """A database of its own, and what fires cost there."""
    for lead in LEADS:
        dsn = server.create_database(f"{name}_{lead}")
        found = trio.run(partial(_fire, server, dsn, home / f"{name}_{lead}", size, lead, burst=burst))
        if found is not None:
            return dsn, found
    raise RuntimeError("the tasks were never there in time")


async def _fire(
    server: EmbeddedPostgres, dsn: str, home: Path, size: Size, lead: int, *, burst: bool
) -> dict[str, float] | None:
    """All at one instant, or some in each second for some seconds. None: they were not there in time."""
    count, rounds = (size.burst, 1) if burst else (size.steady, size.rounds)
    config = NodeConfig(data=home, slots=10_000, system_tasks=False)
    async with open_node(config, Catalogue([task_type(FIRED, _nothing)]), store=PostgresStore(dsn)) as node:
        with _link(dsn) as link:
            # What the server has made so far is out of the way of the checkpoint that counts.
            await trio.to_thread.run_sync(link.execute, "CHECKPOINT")
            empty = _look(server, link)
            first = await _create(node, count, HOUR if burst else SECOND, rounds + 1, lead)
            made = _look(server, link)
            for statement in ("CHECKPOINT", "VACUUM ANALYZE tocsin.tasks"):
                await trio.to_thread.run_sync(link.execute, statement)
            if node.world.now() > first - SECOND // 5:
                return None
            await trio.sleep((first - node.world.now()) / SECOND - 0.1)
            before = _look(server, link)
            wanted = count * rounds
            with trio.fail_after(PATIENCE_SECONDS):
                while node.completed() < wanted:  # noqa: ASYNC110
                    await trio.sleep(POLL_SECONDS)
            after, done = _look(server, link), node.completed()
            found = _told(link, before, after, done)
            found |= _per(empty, made, count, "task") | _per(before, after, done, "fire") if burst else {}
            found["seconds"] = (node.world.now() - first) / SECOND
            if burst:
                # The writing connection tells its statistics with a transaction that comes later than this.
                await trio.sleep(FLUSH_SECONDS)
                await _create(node, 1, HOUR, 1, lead, "later")
                found |= _rows(link, done)
    return found | {"done": done, "wanted": wanted}


def _told(link: psycopg.Connection[Any], before: Seen, after: Seen, done: int) -> dict[str, float]:
    row = link.execute(_WAL, (before.lsn, after.lsn)).fetchone()
    assert row is not None
    length, images, pages = (float(value or 0) for value in row)
    return {
        "server CPU us": (after.cpu - before.cpu) / done * 1e6,
        "node CPU us": (after.node - before.node) / done * 1e6,
        "WAL bytes": (length - images) / done,
        "page images": pages / done,
        "bytes of a page image": images / max(1.0, pages),
        "commits": (after.xid - before.xid) / done,
    }


def _rows(link: psycopg.Connection[Any], done: int) -> dict[str, float]:
    """Versions of rows that a fire writes, and how many updates touched no index."""
    found: dict[str, float] = {}
    for name, inserted, updated, hot in link.execute(_CHANGED).fetchall():
        if name in TABLES and updated:
            found[f"updates of {name}"] = updated / done
            found[f"dead rows of {name}, not pruned in place"] = (updated - hot) / done
            found[f"HOT share of {name}"] = hot / updated
        if name in TABLES and inserted:
            found[f"rows put into {name}"] = inserted / done
    return found


# -- what is there beside fires


def _timed(server: EmbeddedPostgres, times: int, work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of the server's processors for one."""
    work()
    used, began = sum(map(cpu_seconds, children(server.pid))), time.perf_counter()
    for _ in range(times):
        work()
    seconds = time.perf_counter() - began
    return seconds / times, (sum(map(cpu_seconds, children(server.pid))) - used) / times


def _kept(server: EmbeddedPostgres, dsn: str, fired: int) -> dict[str, float]:
    """The window's read, a node's second, a slice of a purge, on the database that the burst has left."""
    with psycopg.connect(dsn, autocommit=True, options="-c search_path=tocsin") as link:
        # As where tasks have times of their own: with one time for all, the index leads straight to a partition.
        link.execute("UPDATE tasks SET due = due + abs(hashtext(id)::bigint) WHERE due IS NOT NULL")
        link.execute("VACUUM FULL ANALYZE tasks")
        link.execute("VACUUM ANALYZE executions")
        sizes: dict[str, int] = dict(link.execute(_SIZES).fetchall())
        found = {f"bytes per task, packed: {name}": sizes[name] / fired for name in sizes if name.startswith("tasks")}
    store = PostgresStore(dsn)
    store.open(new_cluster_id="bench", partitions=DEFAULT_PARTITIONS, timezone_database=database_version())
    try:
        return found | _reads(server, store, fired) | _seconds(server, store, fired) | _slices(store)
    finally:
        store.close()


def _reads(server: EmbeddedPostgres, store: PostgresStore, stored: int) -> dict[str, float]:
    """Microseconds of the server for one entry that a window's read passes: its own, and one of another node's partition."""
    until, times = Instant(2**60), max(2, 40_000 // stored)
    _, every = _timed(server, times, lambda: store.due(None, until, WINDOW_LIMIT))
    _, few = _timed(server, times, lambda: store.due((0,), until, WINDOW_LIMIT))
    return {
        "server CPU us per entry read": every / stored * 1e6,
        "server CPU us per entry passed over": few / stored * 1e6,
    }


def _seconds(server: EmbeddedPostgres, store: PostgresStore, stored: int) -> dict[str, float]:
    """What a node of a cluster asks once a second, whether anything fires or not."""
    store.enrol("boot", "node", 3600.0)
    owned = (0, 1, 2)

    def second() -> None:
        store.renew("boot", 3600.0)
        store.bury(("boot",))
        store.shared()
        store.shared()
        store.waiting(WAITING_READ, None, owned)
        store.told_to_stop("boot", STOPPING_READ)
        store.due(owned, Instant(0), WINDOW_LIMIT)
        store.dead_boots()

    times = 200 if stored > 1_000 else 20
    _, usual = _timed(server, times, second)
    return {"server CPU us per node and second": usual * 1e6}


def _slices(store: PostgresStore) -> dict[str, float]:
    """Milliseconds of a slice of `SLICE` tasks that are looked at, and of `SLICE` executions that are removed."""
    usual, now = Retention(), Instant(time.time_ns() // 1000)
    walked, slices = _walk(store, Slice(Stage.TASKS, usual, now), 100)
    nothing = evolve(usual, states=dict.fromkeys(usual.states, Keep(ttl=0)))  # type: ignore[arg-type]
    removing, removals = _walk(store, Slice(Stage.EXECUTIONS, nothing, Instant(now + HOUR)), 100)
    return {
        "ms per slice of a purge, tasks looked at": walked * 1000,
        "ms per slice of a purge, executions removed": removing * 1000,
        "slices": slices + removals,
    }


def _walk(store: PostgresStore, wanted: Slice, most: int) -> tuple[float, int]:
    after: Cursor | None = Cursor()
    number, began = 0, time.perf_counter()
    while after is not None and number < most:
        after = store.purge(evolve(wanted, after=after)).next
        number += 1
    return (time.perf_counter() - began) / number, number


# -- notifications


def notifying(dsn: str, seconds: float, *, notify: bool) -> float:
    """Commits per second of some sessions that write a row each, with a notification or without."""
    with psycopg.connect(dsn, autocommit=True) as link:
        link.execute("CREATE TABLE IF NOT EXISTS public.told (session bigint, number bigint)")
    counts = [0] * SESSIONS

    def work(session: int) -> None:
        with psycopg.connect(dsn, autocommit=True) as link:
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                with link.transaction():
                    link.execute("INSERT INTO public.told VALUES (%s, %s)", (session, counts[session]))
                    if notify:
                        link.execute("SELECT pg_notify('told', %s)", (f"{session} {counts[session]}",))
                    else:
                        link.execute("SELECT %s", (f"{session} {counts[session]}",))
                counts[session] += 1

    threads = [threading.Thread(target=work, args=(session,)) for session in range(SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def measure(server: EmbeddedPostgres, home: Path, size: Size) -> dict[str, float]:
    """All of it."""
    first, burst = _fired(server, "burst", home, size, burst=True)
    second, steady = _fired(server, "steady", home, size, burst=False)
    found = {f"{label}, all at once": value for label, value in burst.items() if label not in ("done", "wanted")}
    found |= {f"{label}, steady": value for label, value in steady.items() if label not in ("done", "wanted")}
    found |= _kept(server, first, size.burst)
    for notify, label in ((False, "without"), (True, "with")):
        found[f"commits/s {label} a notification, {SESSIONS} sessions"] = notifying(second, size.seconds, notify=notify)
    return found | {"done": burst["done"] + steady["done"], "wanted": burst["wanted"] + steady["wanted"]}
