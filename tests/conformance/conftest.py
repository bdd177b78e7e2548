"""The stores under test: every test that asks for `store` runs over each adapter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors.store.memory import MemoryStore
from actors.store.shared import SharedStore
from actors.store.sqlite import SqliteStore
from tests.conformance.store_kit import SteppedClock, founded

Passing = Callable[[float], None]


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: SteppedClock) -> Iterator[SharedStore]:
    on_disk = request.param == "sqlite"
    made = founded(SqliteStore(tmp_path / "store.db", clock=clock) if on_disk else MemoryStore(clock=clock))
    yield made
    made.close()


@pytest.fixture
def passing(store: SharedStore, clock: SteppedClock) -> Passing:
    """Lets so many seconds pass by the store's clock; with a server they really pass."""
    return clock.step if isinstance(store, SqliteStore | MemoryStore) else time.sleep
