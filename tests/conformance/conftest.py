"""The stores under test: every test that asks for `store` runs over each adapter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.store.memory import MemoryStore
from actors.store.port import Store
from actors.store.sqlite import SqliteStore
from tests.conformance.store_kit import founded


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = founded(SqliteStore(tmp_path / "store.db") if request.param == "sqlite" else MemoryStore())
    yield made
    made.close()
