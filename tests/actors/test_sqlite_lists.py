"""Lists on disk: a page is read along an index and never sorted as a whole, and what is kept by type is what is there."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import pytest

from actors.model.lifecycle import Phase, Status
from actors.model.task import TaskState
from actors.store import sqlite_lists
from actors.store.answers import TASK_SORTS, TaskFilter
from actors.store.port import Create
from actors.store.sqlite import SqliteStore
from runtime.clock import Instant
from runtime.errors import InvalidRequest
from tests.actors.records import task, update
from tests.actors.test_sqlite import accepted, opened
from tests.conformance.store_kit import commit

KINDS = ("a", "b", "b", "c")


def filled(path: Path, count: int = 60) -> SqliteStore:
    store = opened(path)
    statuses = list(Status)
    creates = []
    for number in range(count):
        state = TaskState(
            status=statuses[number % len(statuses)] if number % 3 else Status.SCHEDULED,
            phase=Phase.PAUSED if number % 5 == 0 else Phase.ACTIVE,
            next_fire=Instant(1_000 - number // 2) if number % 4 else None,
            last_started_at=Instant(number % 7) if number % 2 else None,
            failure_count=number % 3,
        )
        made = task(f"t{number:03}", state=state, name=f"n{number * 7 % count:03}", type=KINDS[number % len(KINDS)])
        creates.append(Create(made, 0))
    accepted(store, *creates)
    return store


def asked(path: Path, wanted: TaskFilter) -> list[tuple[str, list[str]]]:
    """The statements of a page, each with how SQLite carries it out."""
    connection = sqlite3.connect(path)
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    sqlite_lists.numbers(connection, wanted)
    connection.set_trace_callback(None)
    return [(text, [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}")]) for text in statements]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", TASK_SORTS)
def test_no_list_of_all_tasks_is_sorted(sort: str, descending: bool, tmp_path: Path) -> None:
    filled(tmp_path / "store.db").close()
    plans = asked(tmp_path / "store.db", TaskFilter(sort=sort, descending=descending, system=False))
    for text, steps in plans:
        # The statuses but SCHEDULED have few tasks, and equal times few: those may be put in order.
        whole = [step for step in steps if "TEMP B-TREE FOR ORDER BY" in step]
        assert not whole or "status <> 'SCHEDULED'" in text, (text, steps)
        assert all("INDEX" in step for step in steps if "tasks" in step), (text, steps)


def test_what_has_failed_is_read_in_the_order_of_its_last_start(tmp_path: Path) -> None:
    filled(tmp_path / "store.db").close()
    [(_, steps)] = asked(
        tmp_path / "store.db", TaskFilter(status=Status.FAILED, sort="last_started_at", descending=True)
    )
    assert len(steps) == 1 and "tasks_status" in steps[0]


@pytest.mark.parametrize("sort", TASK_SORTS)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("condition", [{}, {"type": "b"}, {"status": Status.SCHEDULED}, {"type": "c", "text": "1"}])
def test_pages_one_after_another_are_the_whole_list(
    sort: str, descending: bool, condition: dict[str, Any], tmp_path: Path
) -> None:
    store = filled(tmp_path / "store.db")
    wanted = TaskFilter(sort=sort, descending=descending, system=False, **condition)
    whole = store.page(attrs.evolve(wanted, limit=100))
    pages = [store.page(attrs.evolve(wanted, offset=offset, limit=7)) for offset in range(0, whole.total, 7)]
    assert [found.id for page in pages for found in page.tasks] == [found.id for found in whole.tasks]
    assert {page.total for page in pages} == {whole.total} == {len(whole.tasks)}
    assert store.page(attrs.evolve(wanted, offset=whole.total, limit=7)).tasks == ()


def test_the_kept_number_of_each_type_follows_every_change(tmp_path: Path) -> None:
    store = filled(tmp_path / "store.db")
    for stored in store.tasks([f"t{number:03}" for number in range(0, 20, 2)]):
        changed = attrs.evolve(stored.definition, type="d")
        assert commit(store, update(stored, definition=changed, due=stored.state.next_fire)) == {}
    for stored in store.tasks([f"t{number:03}" for number in range(0, 60, 5)]):
        assert commit(store, update(stored, delete=True)) == {}
    there = Counter(found.definition.type for found in store.page(TaskFilter(limit=100)).tasks)
    assert set(there) == {"a", "b", "c", "d"}
    assert {kind: store.page(TaskFilter(type=kind)).total for kind in (*there, "none")} == {**there, "none": 0}


def test_a_text_is_looked_for_as_it_is(tmp_path: Path) -> None:
    store = opened(tmp_path / "store.db")
    for number, name in enumerate((r"50%_a", r"50\a", "50xa", "50%_A")):
        accepted(store, Create(task(f"t{number}", name=name), 0))
    found = {text: store.page(TaskFilter(text=text)).total for text in ("%_a", "\\a", "_", "%", "50", "A", "Ä")}
    assert found == {"%_a": 2, "\\a": 1, "_": 2, "%": 2, "50": 4, "A": 4, "Ä": 0}


def test_segments_follow_one_another() -> None:
    assert [part.columns for part in sqlite_lists.segments("coming")] == [("id",), ("due", "id")]
    found = [re.findall(r"status = '(\w+)'", part.condition)[0] for part in sqlite_lists.segments("status")]
    assert found == sorted(status.value for status in Status)
    with pytest.raises(InvalidRequest, match="'password'"):
        sqlite_lists.segments("password")
