"""What every adapter promises of looks at the executions of all tasks."""

from __future__ import annotations

import attrs
import pytest

from actors.model.execution import Execution, WaitsFor
from actors.model.lifecycle import State
from actors.model.occurrence import Outcome, Reason, Settled
from actors.store.answers import Activity, ActivityFilter
from actors.store.port import Create, Store
from runtime.clock import Instant
from tests.actors.records import create, running, task
from tests.conformance.store_kit import commit

ALL = ActivityFilter(Instant(0), Instant(1_000))


def add(store: Store, name: str, *executions: Execution, **changes: object) -> None:
    assert commit(store, Create(attrs.evolve(task(name, **changes), open=executions), 0)) == {}  # type: ignore[arg-type]


def ended(execution_id: str, task_id: str, at: int, **changes: object) -> Execution:
    return running(execution_id, task_id, **{"state": State.COMPLETED, "ended_at": Instant(at), **changes})


def shown(found: Activity) -> list[str]:
    return [row.execution.id for row in found.rows]


@pytest.fixture
def busy(store: Store) -> Store:
    """Three tasks of two tenants: one execution waits, one runs, one is held, and four have ended."""
    add(store, "a", running("e1", "a", created_at=Instant(500)), ended("e2", "a", 300), ended("e3", "a", 400))
    add(
        store,
        "b",
        running("e4", "b", state=State.WAITING, waits_for=WaitsFor.SLOT, created_at=Instant(600), node=None),
        ended("e5", "b", 350, state=State.FAILED),
        tenant="eu",
        owner="ann",
        type="other",
    )
    add(
        store,
        "c",
        running("e6", "c", state=State.CRASHED, created_at=Instant(100), ended_at=Instant(10)),
        ended("e7", "c", 900, node="n2"),
        tenant="eu",
        owner="bob",
    )
    return store


def test_what_is_open_comes_first_and_then_what_ended_last(busy: Store) -> None:
    found = busy.activity(ALL)
    assert shown(found) == ["e4", "e1", "e6", "e7", "e3", "e5", "e2"]
    assert (found.more, found.reached) == (False, None)
    assert [(row.name, row.type) for row in found.rows[:2]] == [
        (row.definition.name, row.definition.type) for row in busy.tasks(["b"]) + busy.tasks(["a"])
    ]
    assert found.rows[1].execution == busy.tasks(["a"])[0].open[0]


def test_the_time_bounds_what_has_ended_only(busy: Store) -> None:
    found = busy.activity(attrs.evolve(ALL, since=Instant(350), until=Instant(400)))
    assert shown(found) == ["e4", "e1", "e6", "e3", "e5"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"states": (State.RUNNING,)}, ["e1"]),
        ({"states": (State.FAILED, State.CRASHED)}, ["e6", "e5"]),
        ({"states": ()}, []),
        ({"type": "other"}, ["e4", "e5"]),
        ({"task_id": "c"}, ["e6", "e7"]),
        ({"task_id": "nothing"}, []),
        ({"node": "n2"}, ["e7"]),
        ({"tenant": "eu"}, ["e4", "e6", "e7", "e5"]),
        ({"tenant": "eu", "owner": "ann"}, ["e4", "e5"]),
        ({"tenant": "eu", "owner": "ann", "states": (State.FAILED,), "task_id": "b"}, ["e5"]),
    ],
)
def test_conditions_combine(busy: Store, condition: dict[str, object], expected: list[str]) -> None:
    assert shown(busy.activity(attrs.evolve(ALL, **condition))) == expected


def test_pages_join_what_is_open_and_what_has_ended(busy: Store) -> None:
    whole = shown(busy.activity(ALL))
    for limit in range(1, 8):
        pages = [busy.activity(attrs.evolve(ALL, offset=offset, limit=limit)) for offset in range(0, 9, limit)]
        assert [one for page in pages for one in shown(page)] == whole
        assert [page.more for page in pages] == [(number + 1) * limit < len(whole) for number in range(len(pages))]


def test_a_look_goes_through_so_many_rows_and_says_where_it_ended(store: Store) -> None:
    for number in range(10):
        tenant = "eu" if number == 2 else ""
        add(store, f"t{number}", ended(f"e{number}", f"t{number}", 100 + number), tenant=tenant)
    if not store.activity(attrs.evolve(ALL, scanned=3)).more:
        return  # In memory nothing is bounded.
    wanted = attrs.evolve(ALL, tenant="eu", scanned=3)
    found, steps = store.activity(wanted), 0
    while not found.rows:
        assert found.more and found.reached is not None
        found, steps = store.activity(attrs.evolve(wanted, until=found.reached)), steps + 1
    assert shown(found) == ["e2"] and steps == 2


def test_the_newest_of_each_task(store: Store) -> None:
    rows = tuple(
        Settled("b", Instant(at), Instant(at + 5), 2, Outcome.SKIPPED, Reason.OVERLAP, Instant(at + 6), 1)
        for at in (10, 20, 30)
    )
    add(store, "a", *(ended(f"e{number}", "a", number) for number in range(5)))
    assert commit(store, attrs.evolve(create("b"), settled=rows)) == {}
    add(store, "c")
    found = store.newest(["b", "a", "nobody", "c"], 2)
    assert found.keys() == {"a", "b", "c"}
    assert [execution.id for execution in found["a"].executions] == ["e4", "e3"] and found["a"].settled == ()
    assert found["b"].settled == (rows[2], rows[1]) and found["b"].executions == ()
    assert found["c"] == attrs.evolve(found["c"], executions=(), settled=())
