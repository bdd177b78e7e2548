"""The journal keeps batches: whoever reads finds each change as if it had been kept by itself, and the figures count each one."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from actors.keeper_messages import Happened
from actors.live import journal as journals
from actors.live.figures import Figures
from actors.live.journal import Journal
from actors.model.execution import Execution, Kind
from actors.model.lifecycle import State
from actors.model.occurrence import Outcome, Reason
from actors.model.retention import SYSTEM
from runtime.clock import SECOND, Instant
from runtime.simulation import SimulatedWorld
from runtime.world import RealWorld
from tests.actors.records import running, task

TASKS = {name: task(name, owner=SYSTEM if name == "own" else "eve") for name in ("t1", "t2", "t3", "own")}

changes = st.builds(
    lambda number, name, state, attempt, lingers, outcome, started, kind: running(
        f"{name}-{number}",
        name,
        state=state,
        attempt=attempt,
        lingers=lingers and state is not State.RUNNING,
        outcome=outcome,
        reason=Reason.DOWNTIME if outcome is Outcome.LATE else None,
        started_at=started,
        kind=kind,
    ),
    st.integers(1, 2),
    st.sampled_from([*TASKS, "deleted"]),
    st.sampled_from(State),
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from([None, Outcome.FIRED, Outcome.LATE]),
    st.sampled_from([None, Instant(95), Instant(9 * SECOND)]),
    st.sampled_from(Kind),
)


def told(executions: list[Execution]) -> Happened:
    found = {one.task_id: TASKS[one.task_id] for one in executions if one.task_id in TASKS}
    return Happened(tuple(executions), tuple(found.values()))


class Plain:
    """What the journal is to hold, one change after another."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[State, int]] = {}
        self.running: dict[str, str] = {}
        self.news: list[Execution] = []

    def hear(self, executions: list[Execution]) -> None:
        for one in executions:
            mark = one.state, one.attempt
            was = self.known.pop(one.id, None)
            if one.state is State.RUNNING or one.lingers:
                self.known[one.id] = mark
            if was == mark or one.task_id not in TASKS or one.task_id == "own":
                continue
            self.running.pop(one.id, None)
            if one.state is State.RUNNING:
                self.running[one.id] = one.task_id
            self.news.append(one)


@given(st.lists(st.lists(changes, max_size=5), max_size=12), st.integers(0, 30), st.integers(0, 9))
def test_batches_are_read_as_single_changes(batches: list[list[Execution]], number: int, limit: int) -> None:
    journal, plain = Journal("b" * 36, RealWorld()), Plain()
    for batch in batches:
        journal.hear(told(batch))
        plain.hear(batch)
    entries = journal.after(0, 1_000)
    assert [entry.what for entry in entries] == plain.news
    assert [entry.number for entry in entries] == list(range(1, journal.newest + 1))
    about = [TASKS[one.task_id].definition for one in plain.news]
    assert [entry.definition for entry in entries] == about
    assert journal.after(number, limit) == entries[number : number + limit]
    assert [what for what, _ in journal.since(Instant(0))] == plain.news[::-1]
    assert Counter(one.id for one in journal.running()) == Counter(plain.running.values())
    one_by_one = Figures()
    for execution in plain.news:
        one_by_one.executions([execution])
    assert journal.figures.lateness.counts == one_by_one.lateness.counts
    assert journal.figures.lateness.total == pytest.approx(one_by_one.lateness.total)
    assert {**vars(journal.figures), "lateness": 0} == {**vars(one_by_one), "lateness": 0}


async def test_of_a_batch_that_is_half_gone_the_rest_is_told(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "KEPT", 4)
    world = SimulatedWorld(origin=0.0)
    journal = Journal("b" * 36, world)
    batch = [running(f"e{number}") for number in range(3)]
    journal.hear(told(batch))
    await trio.sleep(1)
    journal.hear(told([running(one.id, state=State.COMPLETED) for one in batch]))
    assert (journal.oldest, journal.newest) == (3, 6)
    ended = [running(one.id, state=State.COMPLETED) for one in batch]
    assert [entry.what for entry in journal.after(0, 9)] == [batch[2], *ended]
    assert [what for what, _ in journal.since(Instant(0))] == [*ended[::-1], batch[2]]
    assert len(list(journal.since(world.now()))) == 3
    journal.hear(told([running("e9")]))
    assert [entry.number for entry in journal.after(0, 9)] == [4, 5, 6, 7]
    assert len(journal._batches) == 2, "a batch goes with the last of its changes"
