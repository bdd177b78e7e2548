"""What only the store on disk can get wrong: reopening, other people's files, full disks, sudden death."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from actors.store.answers import Identity, TaskFilter
from actors.store.port import Commit, Create
from actors.store.sqlite import SqliteStore
from runtime.companion import Companion
from runtime.errors import StaleEpoch, StoreDamaged, StoreUnavailable
from tests.actors.records import create, update

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True, params=["here", "apart"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes in this process, or in one of its own."""
    if request.param == "apart":
        monkeypatch.setattr(sys.modules[__name__], "SqliteStore", partial(SqliteStore, companion=Companion))


def opened(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    store.open(new_cluster_id="cluster", partitions=16, timezone_database="2026f")
    return store


def accepted(store: SqliteStore, *creates: Create) -> None:
    assert store.commit(Commit({}, creates)).refused == {}


def test_reopening_keeps_everything(tmp_path: Path) -> None:
    store = opened(tmp_path / "store.db")
    store.raise_epochs({3: 5}, "boot")
    made = [create(f"t{number}", next_fire=number) for number in range(20)]
    accepted(store, *made)
    store.close()
    store.close()
    again = SqliteStore(tmp_path / "store.db")
    identity = again.open(new_cluster_id="other", partitions=1, timezone_database="other")
    assert identity == Identity("cluster", 16, 7, "2026f")
    assert again.last_grants() == {3: 5}
    assert again.raise_epochs({3: 6}, "boot") == {3: 2}
    found = again.tasks([entry.task.id for entry in made])
    assert sorted(found, key=lambda entry: entry.state.next_fire or 0) == [entry.task for entry in made]
    assert again.counts().tasks == 20
    again.close()


def test_a_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    with pytest.raises(StoreUnavailable, match=r"store\.db"):
        store.tasks(["a"])
    with pytest.raises(StoreUnavailable, match=r"store\.db"):
        store.commit(Commit({}))


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="unable to open"):
        opened(tmp_path / "none" / "store.db")


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    opened(path).close()
    with sqlite3.connect(path) as other:
        other.execute("UPDATE meta SET value = '999' WHERE key = 'schema_version'")
    other.close()
    with pytest.raises(StoreDamaged, match="999"):
        opened(path)


def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE customers (name)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreDamaged, match="something else"):
        opened(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"this is a text, and it is long enough" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    with pytest.raises(StoreDamaged):
        opened(path)
    assert path.read_bytes() == content


def test_damage_is_told_apart_from_a_bad_moment(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = opened(path)
    accepted(store, *(create(f"t{number}", parameters='{"a":"' + "x" * 900 + '"}') for number in range(200)))
    store.close()
    content = bytearray(path.read_bytes())
    content[4096 * 3 :] = b"\xa5" * (len(content) - 4096 * 3)
    path.write_bytes(bytes(content))
    with pytest.raises(StoreDamaged):
        opened(path).page(TaskFilter(limit=1000))


def test_a_takeover_through_another_connection_is_noticed(tmp_path: Path) -> None:
    first, second = opened(tmp_path / "store.db"), opened(tmp_path / "store.db")
    first.raise_epochs({0: 1}, "first")
    assert first.commit(Commit({0: 1}, (create("a"),))).refused == {}
    second.raise_epochs({0: 2}, "second")
    refused = first.commit(Commit({0: 1}, (create("b"),))).refused
    assert {name: type(error) for name, error in refused.items()} == {"b": StaleEpoch}
    assert second.commit(Commit({0: 2}, (create("b"),))).refused == {}
    first.close()
    second.close()


def test_a_writer_elsewhere_makes_it_unavailable_and_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.store.sqlite_link.BUSY_TIMEOUT_MS", 10)
    store = opened(tmp_path / "store.db")
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        accepted(store, create("a"))
    other.execute("ROLLBACK")
    other.close()
    accepted(store, create("a"))
    store.close()


def fill(store: SqliteStore, committed: list[str], last: list[str]) -> None:
    """Commit pairs of large tasks until that fails; `last` holds the ids of the pair that is on its way."""
    for number in range(10_000):
        pair = [create(f"{number} {half}", parameters='{"a":"' + "x" * 20_000 + '"}') for half in "ab"]
        last[:] = [entry.task.id for entry in pair]
        accepted(store, *pair)
        committed += last


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("mounting a tmpfs needs root, which CI has to give")
        pytest.skip("mounting a tmpfs needs root")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_refuses_writes_and_works_again(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1024 * 1024)
    store = opened(small_disk / "store.db")
    accepted(store, create("first"))
    committed = ["first"]
    last: list[str] = []
    with pytest.raises(StoreUnavailable, match=r"full|I/O"):
        fill(store, committed, last)
    assert len(committed) > 1
    assert {entry.id for entry in store.tasks([*committed, *last])} == set(committed)
    ballast.unlink()
    accepted(store, create("last"))
    first = store.tasks(["first"])[0]
    assert store.commit(Commit({}, updates=(update(first),))).refused == {}
    store.close()
    again = opened(small_disk / "store.db")
    assert {entry.id for entry in again.tasks([*committed, *last, "last"])} == {*committed, "last"}
    assert again.counts().tasks == len(committed) + 1
    again.close()


CHILD = """
import sys
from pathlib import Path
from actors.store.port import Commit
from tests.actors.records import create, task, update
from tests.actors.test_sqlite import opened

store = opened(Path(sys.argv[1]))
start = store.counts().tasks
number = start
while True:
    names = [f"t{number + place}" for place in range(10)]
    assert not store.commit(Commit({}, tuple(create(name) for name in names))).refused
    assert not store.commit(Commit({}, updates=tuple(update(task(name)) for name in names))).refused
    number += 10
    print(number, flush=True)
"""


def test_killed_while_committing_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    for lap in range(10):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(3)]
        # A real process is killed at a moment that is not its own choice.
        time.sleep(0.002 * lap)
        child.send_signal(signal.SIGKILL)
        output, errors = child.communicate(timeout=30)
        assert child.returncode == -signal.SIGKILL, errors
        acknowledged = int("".join([*told, output]).split()[-1])
        store = opened(path)
        count = store.counts().tasks
        assert count >= acknowledged
        found = {entry.id: entry.state.version for entry in store.tasks([f"t{n}" for n in range(count + 10)])}
        assert len(found) == count
        assert count % 10 == 0
        assert all(found[f"t{n}"] == 2 for n in range(acknowledged))
        versions = [found[f"t{n}"] for n in range(count)]
        assert versions in ([2] * count, [2] * (count - 10) + [1] * 10)
        store.close()
        with sqlite3.connect(path) as plain:
            assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            # What the child left between its two commits, as its next life expects it.
            plain.execute("UPDATE tasks SET version = 2")
        plain.close()


def test_nobody_else_on_the_machine_reads_the_store(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "tocsin.db")
    store.open(new_cluster_id="c", partitions=1, timezone_database="2026f")
    try:
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
        assert len(list(tmp_path.iterdir())) > 1
    finally:
        store.close()
