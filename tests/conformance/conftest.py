"""The stores under test: every test that asks for `store` runs over each adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors.store.memory import MemoryStore
from actors.store.postgres import PostgresStore
from actors.store.shared import SharedStore
from actors.store.sqlite import SqliteStore
from runtime.companion import Companion
from tests.conformance.registry_kit import Servers
from tests.conformance.store_kit import SteppedClock, emptied, founded
from tocsin.embedded.postgres import EmbeddedPostgres

Passing = Callable[[float], None]


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture(scope="session")
def conformance_database(postgres_server: EmbeddedPostgres) -> str:
    """The URL of a database that the suite's tests use one after another."""
    return postgres_server.create_database("conformance")


@pytest.fixture(params=["sqlite", "sqlite apart", "memory", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: SteppedClock) -> Iterator[SharedStore]:
    if request.param == "postgres":
        made: SharedStore = PostgresStore(emptied(request.getfixturevalue("conformance_database")), clock=clock)
    elif request.param == "memory":
        made = MemoryStore(clock=clock)
    else:
        companion = Companion if request.param == "sqlite apart" else None
        made = SqliteStore(tmp_path / "store.db", clock=clock, companion=companion)
    founded(made)
    yield made
    made.close()


@pytest.fixture
def passing(clock: SteppedClock) -> Callable[[float], None]:
    """Lets so many seconds pass by the store's clock."""
    return clock.step


@pytest.fixture(params=["simulated", "zookeeper"])
def one_server(request: pytest.FixtureRequest, run_seed: int) -> Servers:
    """A registry's server under test."""
    real = request.getfixturevalue("zookeeper_server") if request.param == "zookeeper" else None
    return Servers(real, 1, run_seed)


@pytest.fixture(params=["simulated", "zookeeper"])
def three_servers(request: pytest.FixtureRequest, run_seed: int) -> Servers:
    """An ensemble of a registry's servers under test."""
    real = request.getfixturevalue("zookeeper_ensemble") if request.param == "zookeeper" else None
    return Servers(real, 3, run_seed)
