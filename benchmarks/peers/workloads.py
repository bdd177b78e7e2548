"""The table of workloads: who takes part with which options, how much is done, and what is measured."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

import attrs

from .environments import OURS

Kind = Literal["ours", "peer", "limit"]


@attrs.frozen
class Size:
    """How much a contender does at each of the three sizes. A rate of a slow one is known after less."""

    small: int
    usual: int
    full: int


@attrs.frozen
class Figure:
    """What is measured: its name in a contender's output, and whether more of it is better."""

    name: str
    higher: bool = True


@attrs.frozen
class Contender:
    """`script`: in `contenders/`. `server`: which one it needs. `options`: for the script. `environment`: what it runs in."""

    name: str
    script: str
    environment: str
    size: Size
    kind: Kind = "peer"
    server: str = ""
    options: Mapping[str, Any] = MappingProxyType({})


@attrs.frozen
class Workload:
    """`figures`: in the order in which they are told."""

    title: str
    figures: tuple[Figure, ...]
    contenders: tuple[Contender, ...]


# -- fires

FAST: Final = Size(200, 10_000, 20_000)
SLOW: Final = Size(20, 2_000, 10_000)

RATE: Final = (Figure("per second"),)


def _fires(name: str, script: str, environment: str, size: Size = FAST, **more: Any) -> Contender:
    server, kind = more.pop("server", ""), more.pop("kind", "peer")
    return Contender(name, f"fires_{script}", environment, size, kind, server, more)


FIRES_SQLITE: Final = Workload(
    "tasks that are all due at once, a handler that does nothing, every outcome stored",
    RATE,
    (
        _fires("Tocsin, SQLite", "tocsin", OURS, kind="ours", store="sqlite"),
        _fires("APScheduler 3, memory", "apscheduler3", "apscheduler3", store="memory"),
        _fires("APScheduler 3, SQLite", "apscheduler3", "apscheduler3", store="sqlite"),
        _fires("APScheduler 4, SQLite", "apscheduler4", "apscheduler4", SLOW, store="sqlite"),
        _fires("Celery, 2 processes, Redis", "celery", "celery", server="redis"),
        _fires("huey, 2 processes, SQLite, fsync", "huey", "huey", fsync=True),
        _fires("huey, 2 processes, SQLite, no fsync", "huey", "huey", fsync=False),
        Contender("raw SQLite, commit per row", "limit_sqlite", OURS, SLOW, "limit", options={"batch": 1}),
        Contender("raw SQLite, commit per 1,000", "limit_sqlite", OURS, FAST, "limit", options={"batch": 1_000}),
    ),
)

FIRES_POSTGRES: Final = Workload(
    "the same with everything in PostgreSQL",
    RATE,
    (
        _fires("Tocsin, PostgreSQL", "tocsin", OURS, kind="ours", server="postgres", store="postgres"),
        _fires("pgqueuer, batches of 100", "pgqueuer", "pgqueuer", server="postgres", workers=1, batch=100),
        _fires("pgqueuer, batches of 1,000", "pgqueuer", "pgqueuer", server="postgres", workers=1, batch=1_000),
        _fires("pgqueuer, 2 workers", "pgqueuer", "pgqueuer", server="postgres", workers=2, batch=100),
        _fires("Procrastinate, 10 at once", "procrastinate", "procrastinate", server="postgres"),
        _fires("APScheduler 4, PostgreSQL", "apscheduler4", "apscheduler4", SLOW, server="postgres", store="postgres"),
        Contender("raw PostgreSQL, commit per row", "limit_postgres", OURS, SLOW, "limit", "postgres", {"batch": 1}),
        Contender("raw PostgreSQL, COPY of 1,000", "limit_postgres", OURS, FAST, "limit", "postgres", {"batch": 1_000}),
    ),
)

# -- adds

ADDED: Final = Size(200, 20_000, 50_000)
ADDED_SLOWLY: Final = Size(20, 2_000, 10_000)

ADDS: Final = Workload(
    "tasks with an interval are added, each in the store before its caller goes on",
    RATE,
    (
        Contender("Tocsin, 100 callers", "adds_tocsin", OURS, ADDED, "ours", options={"callers": 100}),
        Contender("Tocsin, one call for 1,000", "adds_tocsin", OURS, ADDED, "ours", options={"callers": 0}),
        Contender("APScheduler 3, SQLite", "adds_apscheduler3", "apscheduler3", ADDED_SLOWLY),
        Contender("APScheduler 4, SQLite", "adds_apscheduler4", "apscheduler4", ADDED_SLOWLY),
        Contender("raw SQLite, commit per row", "limit_sqlite", OURS, ADDED_SLOWLY, "limit", options={"batch": 1}),
        Contender("raw SQLite, commit per 1,000", "limit_sqlite", OURS, ADDED, "limit", options={"batch": 1_000}),
    ),
)

# -- lateness

TICKING: Final = 1_000
SECONDS: Final = Size(2, 10, 20)


def _late(name: str, script: str, environment: str, kind: Kind = "peer", **options: Any) -> Contender:
    return Contender(name, f"lateness_{script}", environment, SECONDS, kind, options={"tasks": TICKING} | options)


def _lateness(how: str, spread: bool) -> Workload:
    return Workload(
        f"{TICKING:,} intervals of one second, {how}: from nominal time to the start of the handler",
        (Figure("p50 ms", higher=False), Figure("p99 ms", higher=False)),
        (
            _late("Tocsin, memory tasks", "tocsin", OURS, "ours", spread=spread, persistent=False),
            _late("Tocsin, durable", "tocsin", OURS, "ours", spread=spread, persistent=True),
            _late("APScheduler 3, threads, memory", "apscheduler3", "apscheduler3", spread=spread, threads=True),
            _late("APScheduler 3, asyncio, memory", "apscheduler3", "apscheduler3", spread=spread, threads=False),
            _late("APScheduler 4, memory", "apscheduler4", "apscheduler4", spread=spread),
        ),
    )


# -- messages

QUICK: Final = Size(2_000, 500_000, 2_000_000)


def _messages(name: str, script: str, environment: str, size: Size, kind: Kind = "peer", **options: Any) -> Contender:
    return Contender(name, f"messages_{script}", environment, size, kind, options=options)


MESSAGES: Final = Workload(
    "one sender and one actor or reader: messages told one after another, and questions each with its answer",
    (Figure("tells/s"), Figure("ask us, p50", higher=False)),
    (
        _messages("Tocsin, one by one", "tocsin", OURS, QUICK, "ours", batches=False),
        _messages("Tocsin, in batches", "tocsin", OURS, QUICK, "ours", batches=True),
        _messages("pykka, threads", "pykka", "pykka", Size(2_000, 100_000, 500_000)),
        _messages("thespian, one thread", "thespian", "thespian", Size(500, 20_000, 100_000), base="simpleSystem"),
        _messages("thespian, processes", "thespian", "thespian", Size(200, 5_000, 20_000), base="multiprocTCP"),
        _messages("raw trio channel", "trio", OURS, Size(2_000, 100_000, 500_000), "limit"),
        _messages("raw asyncio.Queue", "asyncio", OURS, QUICK, "limit"),
    ),
)

# -- cron

WALKED: Final = Size(20, 10_000, 50_000)
WALKED_SLOWLY: Final = Size(5, 2_000, 10_000)

CRON: Final = Workload(
    "the next fire of cron expressions in zones, walked from fire to fire",
    (Figure("us", higher=False),),
    (
        Contender("Tocsin", "cron_tocsin", OURS, WALKED, "ours"),
        Contender("croniter", "cron_croniter", OURS, WALKED_SLOWLY),
        Contender("APScheduler 3, CronTrigger", "cron_apscheduler3", "apscheduler3", WALKED_SLOWLY),
        Contender("cronsim", "cron_cronsim", "cronsim", WALKED_SLOWLY),
    ),
)

WORKLOADS: Final[Mapping[str, Workload]] = MappingProxyType(
    {
        "fires-sqlite": FIRES_SQLITE,
        "fires-postgres": FIRES_POSTGRES,
        "adds": ADDS,
        "lateness-spread": _lateness("phases spread evenly", spread=True),
        "lateness-instant": _lateness("all at one instant", spread=False),
        "messages": MESSAGES,
        "cron": CRON,
    }
)
