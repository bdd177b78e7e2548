"""What is each adapter's own about leases: its clock, and how long a buried row is kept."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from actors.store.memory import MemoryStore
from actors.store.shared import LEASES_KEPT, SharedStore
from actors.store.sqlite import SqliteStore
from actors.store.sqlite_shared import clock
from runtime.errors import LeaseLost
from tests.conformance.store_kit import SteppedClock, founded


@pytest.mark.parametrize("on_disk", [True, False])
def test_a_buried_lease_is_forgotten_after_a_while(tmp_path: Path, on_disk: bool) -> None:
    stepped = SteppedClock()
    store: SharedStore = SqliteStore(tmp_path / "store.db", clock=stepped) if on_disk else MemoryStore(clock=stepped)
    founded(store)
    store.enrol("old", "a", 10.0)
    store.enrol("left", "b", 10.0)
    store.leave("left")
    assert store.bury([]) == ("old",)
    stepped.step(LEASES_KEPT / 1_000_000)
    store.enrol("new", "c", 10.0)
    with pytest.raises(LeaseLost):
        store.enrol("left", "b", 10.0)
    stepped.step(11.0)
    store.enrol("new", "c", 10.0)
    # Nothing is known of it any more. What has lapsed and was not buried stays.
    store.enrol("left", "b", 10.0)
    assert store.renew("old", 10.0)
    store.close()


def test_sqlite_reads_the_time_of_day() -> None:
    connection = sqlite3.connect(":memory:")
    assert abs(clock(connection) - time.time_ns() // 1_000) < 60_000_000
    connection.close()


def test_without_a_clock_sqlite_uses_its_own(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    founded(store)
    store.enrol("one", "a", 1000.0)
    store.enrol("two", "b", -1000.0)
    assert store.shared().live == ("one",)
    assert store.bury([]) == ("one",)
    store.close()


def test_without_a_clock_leases_in_memory_do_not_lapse() -> None:
    store = MemoryStore()
    founded(store)
    store.enrol("one", "a", 0.001)
    assert store.bury([]) == ("one",)
    assert store.shared().live == ("one",)
