"""Loaded by `tocsin up` beside the task types of a test: bends the node's process in the ways that environment variables name.

E2E_ZONES: the version that its time zone database is to have. E2E_DEAF: a file; while it exists no wake-up from other nodes
arrives.
E2E_STOP: a file; once it holds `check` the process stops itself (SIGSTOP) between a decision and its commit, once it holds
`transaction` inside the next transaction that changes a task, all locks held, before COMMIT. The file is removed at that moment.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from actors.store.port import Commit
from actors.store.postgres import PostgresStore
from actors.store.postgres_transaction import Transactions
from actors.when import zones
from runtime.world import RealWorld


def bend_zones(version: str) -> None:
    """Let every module that asks for the version hear this one."""
    true = zones.database_version
    for module in list(sys.modules.values()):
        if getattr(module, "database_version", None) is true:
            module.database_version = lambda: version  # type: ignore[attr-defined]


def deafen(while_there: Path) -> None:
    """Lose what is heard."""
    heard = PostgresStore.wakes

    def wakes(store: PostgresStore, seconds: float) -> list[str] | None:
        found = heard(store, seconds)
        return [] if while_there.exists() else found

    PostgresStore.wakes = wakes  # type: ignore[method-assign]


def stop_at(trigger: Path) -> None:
    """Put both places at which the process may stop."""
    passed, committed = RealWorld.failpoint, Transactions._committed

    def stop(place: str) -> None:
        try:
            if trigger.read_text() != place:
                return
        except OSError:
            return
        trigger.unlink()
        os.kill(os.getpid(), signal.SIGSTOP)

    def failpoint(world: RealWorld, name: str) -> None:
        passed(world, name)
        if name == "keeper.committing":
            stop("check")

    def commit(transactions: Transactions, connection: Any, request: object, answer: object) -> bool:
        if isinstance(request, Commit) and request.updates:
            stop("transaction")
        return committed(transactions, connection, request, answer)

    RealWorld.failpoint = failpoint  # type: ignore[method-assign]
    Transactions._committed = commit  # type: ignore[method-assign]


if version := os.environ.get("E2E_ZONES"):
    bend_zones(version)
if deaf := os.environ.get("E2E_DEAF"):
    deafen(Path(deaf))
if trigger := os.environ.get("E2E_STOP"):
    stop_at(Path(trigger))
