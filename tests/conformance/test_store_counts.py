"""What was counted stays counted, whatever is purged; what was purged is not made again."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.model.lifecycle import State
from actors.model.occurrence import Outcome, Reason, Settled
from actors.model.retention import FINAL_STATES, FOLDS, PURGES, Keep, Retention, Slice, Stage
from actors.store import memory_purge, purging
from actors.store.memory import MemoryStore
from actors.store.port import ExecutionWrite, Store, Update
from actors.store.sqlite import SqliteStore
from runtime.clock import HOUR, Instant, Micros
from runtime.errors import StaleEpoch, StaleVersion
from tests.actors.records import create, running, update
from tests.conformance.store_kit import LATE, commit, founded, stored, walked

TASKS = ("t1", "t2")
NOW = Instant(1000 * HOUR)
ALL = Retention(dict.fromkeys(FINAL_STATES, Keep(Micros(0))), Keep(Micros(0)), Keep(Micros(0)), None, None)
"""Everything that may go goes, but folded counts and tasks."""

Tally = Counter[tuple[str, str | None]]


def tally(store: Store, task_id: str) -> Tally:
    """How many slots of each outcome and reason a task's ledger speaks of."""
    found: Tally = Counter()
    for row in store.outcomes(task_id, since=Instant(-(2**60)), until=LATE, limit=10**6):
        assert row.outcome is not None and row.count is not None
        found[row.outcome, row.reason] += row.count
    return found


def both_say(store: Store) -> dict[str, int]:
    """The totals by reason, which must be those of the ledgers."""
    total: Tally = sum((tally(store, task_id) for task_id in TASKS if store.tasks([task_id])), Counter())
    found = store.counts().by_reason
    words = {outcome if reason is None else f"{outcome}: {reason}": n for (outcome, reason), n in total.items() if n}
    assert words == {key: n for key, n in found.items() if n}
    return words


# -- exact counts

hours = st.integers(0, 4 * HOUR)
reasons = st.sampled_from([(Outcome.FIRED, None), (Outcome.LATE, Reason.DOWNTIME), (Outcome.LATE, Reason.QUEUE)])
ended = st.tuples(hours, st.sampled_from(FINAL_STATES), reasons, st.integers(0, HOUR))
missed = st.tuples(
    hours,
    st.integers(0, 2 * HOUR),
    st.integers(0, 50),
    st.sampled_from(
        [(Outcome.MISSED, Reason.DOWNTIME), (Outcome.SKIPPED, Reason.OVERLAP), (Outcome.SKIPPED, Reason.PAUSED)]
    ),
)
keeps = st.builds(Keep, st.none() | st.integers(0, 6 * HOUR).map(Micros), st.none() | st.integers(0, 3))
retentions = st.builds(
    Retention,
    states=st.fixed_dictionaries(dict.fromkeys(FINAL_STATES, keeps)),
    rows=keeps,
    skipped=keeps,
    folded=st.none(),
    tasks=st.none(),
    newest=st.integers(0, 2),
)
purges = st.lists(
    st.tuples(
        st.sampled_from([*PURGES, *FOLDS]),
        retentions,
        st.integers(0, 8 * HOUR).map(Instant),
        st.none() | st.sampled_from(TASKS),
        st.integers(1, 5),
    ),
    min_size=1,
    max_size=4,
)


def filled(store: Store, task_id: str, ends: list[Any], rows: list[Any]) -> None:
    """A task with these ended executions and rows of the ledger."""
    commit(store, create(task_id))
    writes = []
    for place, (nominal, state, (outcome, reason), took) in enumerate(ends):
        execution = running(
            f"{task_id} {place}",
            task_id,
            state=state,
            nominal=Instant(nominal),
            outcome=outcome,
            reason=reason,
            ended_at=Instant(nominal + took),
        )
        writes.append(ExecutionWrite(execution))
    settled = {
        first: Settled(task_id, Instant(first), Instant(first + length), count, outcome, reason, Instant(first), 1)
        for first, length, count, (outcome, reason) in rows
    }
    through = {"settled_through": Instant(10 * HOUR)}
    assert commit(store, update(stored(store, task_id), *writes, settled=tuple(settled.values()), state=through)) == {}


@settings(max_examples=40, deadline=None)
@given(ends=st.lists(ended, max_size=12), rows=st.lists(missed, max_size=8), wanted=purges, on_disk=st.booleans())
def test_purging_and_folding_conserve_the_counts_by_reason(
    ends: list[object],
    rows: list[object],
    wanted: list[tuple[Stage, Retention, Instant, str | None, int]],
    on_disk: bool,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = founded(SqliteStore(Path(folder) / "s.db", synchronous="OFF") if on_disk else MemoryStore())
        half = len(ends) // 2
        filled(store, "t1", ends[:half], rows)
        filled(store, "t2", ends[half:], rows[: len(rows) // 2])
        before = [tally(store, task_id) for task_id in TASKS], both_say(store)
        for stage, retention, now, task_id, limit in wanted:
            walked(store, Slice(stage, retention, now, task_id, limit=limit))
            assert ([tally(store, one) for one in TASKS], both_say(store)) == before
        store.close()


@settings(max_examples=40, deadline=None)
@given(
    ends=st.lists(ended, min_size=3, max_size=12),
    rows=st.lists(missed, max_size=8),
    wanted=purges,
    look=st.integers(1, 4),
    on_disk=st.booleans(),
)
def test_what_goes_does_not_depend_on_the_size_of_the_slices(
    ends: list[Any],
    rows: list[Any],
    wanted: list[tuple[Stage, Retention, Instant, str | None, int]],
    look: int,
    on_disk: bool,
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        stores = [
            founded(SqliteStore(Path(folder) / f"{n}.db", synchronous="OFF") if on_disk else MemoryStore())
            for n in "ab"
        ]
        for store in stores:
            filled(store, "t1", ends, rows)
            filled(store, "t2", ends[1:], rows)
        for stage, retention, now, task_id, limit in wanted:
            whole = walked(stores[0], Slice(stage, retention, now, task_id, limit=10**6))
            with patch.context() as small:
                small.setattr(purging, "LOOKED_AT", look)
                small.setattr(memory_purge, "LOOKED_AT", look)
                assert walked(stores[1], Slice(stage, retention, now, task_id, limit=limit)) == whole
            for one in TASKS:
                first, second = (store.executions(one, offset=0, limit=99) for store in stores)
                assert first == second
                assert tally(stores[0], one) == tally(stores[1], one)
        for store in stores:
            store.close()


# -- a late node


def late_fire(store: Store, task_id: str = "t1") -> Update:
    """What a node that sees the task as it is now would write for the slot at 1000."""
    execution = running("late", task_id, nominal=Instant(1000), outcome=Outcome.FIRED)
    through = {"settled_through": Instant(1000), "fence": 1}
    return update(stored(store, task_id), ExecutionWrite(execution), state=through)


@pytest.mark.parametrize("taken_over", [True, False])
def test_a_late_node_does_not_make_a_purged_slot_again(store: Store, taken_over: bool) -> None:
    store.raise_epochs({0: 1}, "late")
    commit(store, create("t1"))
    late = late_fire(store)
    if taken_over:
        store.raise_epochs({0: 2}, "other")
    fired = running(
        "fired", nominal=Instant(1000), outcome=Outcome.FIRED, state=State.COMPLETED, ended_at=Instant(1001)
    )
    own = update(stored(store), ExecutionWrite(fired), state={"settled_through": Instant(1000), "fence": 1})
    assert commit(store, own, epochs={0: 2 if taken_over else 1}) == {}
    for stage in (*PURGES, *FOLDS):
        walked(store, Slice(stage, ALL, NOW))
    assert store.executions("t1", offset=0, limit=9) == ([], 0)
    assert commit(store, late, epochs={0: 1}) == {"t1": StaleEpoch if taken_over else StaleVersion}
    assert store.executions("t1", offset=0, limit=9) == ([], 0)
    assert stored(store).state.settled_through == 1000
    assert tally(store, "t1") == {(Outcome.FIRED, None): 1}
    assert both_say(store) == {"fired": 1}


# -- killed in the middle

CHILD = """
import sys
from pathlib import Path
import attrs
from actors.model.retention import FOLDS, PURGES, Slice
from actors.store.sqlite import SqliteStore
from tests.conformance.test_store_counts import ALL, NOW
store = SqliteStore(Path(sys.argv[1]))
store.open(new_cluster_id="x", partitions=1, timezone_database="x")
for stage in (*PURGES, *FOLDS):
    wanted = Slice(stage, ALL, NOW, limit=3)
    while True:
        print("slice", flush=True)
        purged = store.purge(wanted)
        if purged.next is None:
            break
        wanted = attrs.evolve(wanted, after=purged.next)
print("end", flush=True)
"""


@pytest.mark.parametrize("slices", [1, 17, 60])
def test_a_purge_that_was_killed_is_resumed(tmp_path: Path, slices: int) -> None:
    path = tmp_path / "store.db"
    store = founded(SqliteStore(path))
    ends = [(n * HOUR // 20, State.COMPLETED, (Outcome.FIRED, None), 5) for n in range(200)]
    rows = [(n * HOUR // 10, 7, 3, (Outcome.MISSED, Reason.DOWNTIME)) for n in range(40)]
    for task_id in TASKS:
        filled(store, task_id, list(ends), list(rows))
    before = [tally(store, task_id) for task_id in TASKS], both_say(store)
    store.close()
    with subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(slices):
            assert child.stdout.readline() == "slice\n"
        child.send_signal(signal.SIGKILL)
    again = founded(SqliteStore(path))
    left = again.executions("t1", offset=0, limit=1)[1] + again.executions("t2", offset=0, limit=1)[1]
    assert 0 < left <= 400
    assert ([tally(again, task_id) for task_id in TASKS], both_say(again)) == before
    assert sum(walked(again, Slice(stage, ALL, NOW)) for stage in (*PURGES, *FOLDS)) >= left
    assert again.executions("t1", offset=0, limit=1)[1] == 0
    assert ([tally(again, task_id) for task_id in TASKS], both_say(again)) == before
    again.close()
