from __future__ import annotations

import pytest
import trio
import trio.testing

from actors.herald_messages import Noted
from actors.keeper_messages import Happened
from actors.live.entries import Kind, Step, TaskChange
from actors.live.journal import KEPT, Journal
from actors.model.lifecycle import State
from actors.model.occurrence import Outcome, Reason, Settled
from actors.model.peer import Peer
from actors.store.port import Audit
from runtime.clock import SECOND, Instant
from runtime.simulation import SimulatedWorld
from tests.actors.records import running, task

BOOT = "01a203f0-2eb4-7000-9be5-def23158b878"


@pytest.fixture
def journal(autojump_clock: trio.testing.MockClock) -> Journal:
    return Journal(BOOT, SimulatedWorld(origin=0.0))


def settled(count: int | None = 3) -> Settled:
    return Settled("t1", Instant(1), Instant(9), count, Outcome.SKIPPED, Reason.PAUSED, Instant(10), 1)


async def test_what_happens_has_numbers_and_the_oldest_goes(journal: Journal) -> None:
    assert (journal.tag, journal.newest, journal.oldest) == ("def23158b878", 0, 1)
    for number in range(KEPT + 5):
        journal.hear(Happened((running(f"e{number}", lingers=False),), (task(),)))
    assert (journal.newest, journal.oldest) == (KEPT + 5, 6)
    assert [entry.number for entry in journal.after(0, 3)] == [6, 7, 8]
    assert [entry.number for entry in journal.after(KEPT + 3, 9)] == [KEPT + 4, KEPT + 5]
    assert journal.after(KEPT + 5, 9) == []


async def test_a_checkpoint_is_no_news(journal: Journal) -> None:
    began = running(first_started_at=Instant(110), outcome=Outcome.FIRED)
    for execution in (began, running(checkpoints=1), running(checkpoints=2), running(state=State.COMPLETED)):
        journal.hear(Happened((execution,), (task(),)))
    assert [entry.kind for entry in journal.after(0, 9)] == [Kind.EXECUTION] * 2
    figures = journal.figures
    assert (figures.starts, dict(figures.ended)) == (1, {"COMPLETED": 1})
    assert dict(figures.outcomes) == {("fired", ""): 1}
    assert sum(figures.lateness.counts) == 1 and figures.lateness.total == pytest.approx(20 / SECOND)


async def test_times_that_did_not_run_are_counted_with_their_number(journal: Journal) -> None:
    journal.hear(Happened((), (task(),), (settled(), settled(None))))
    assert [entry.kind for entry in journal.after(0, 9)] == [Kind.SLOTS] * 2
    assert journal.figures.outcomes["skipped", "paused"] == 4


async def test_who_changed_a_task_and_how_far_an_attempt_is(journal: Journal) -> None:
    audit = Audit(Instant(1), "eve", "PauseTask", "t1")
    journal.hear(Happened((running(),), (task(),)))
    journal.hear(Noted(((audit, task()),), {"e1": '{"done": 1}', "unknown": "{}"}))
    found = [entry.what for entry in journal.after(1, 9)]
    assert found == [TaskChange(audit, task()), Step("e1", '{"done": 1}')]
    journal.hear(Happened((running(state=State.FAILED),), (task(),)))
    journal.hear(Noted((), {"e1": '{"done": 2}'}))
    assert journal.newest == 4, "of one that has ended nothing is told any more"


async def test_the_system_s_own_tasks_are_left_out(journal: Journal) -> None:
    own = task(owner="system")
    journal.hear(Happened((running(),), (own,), (settled(),)))
    journal.hear(Noted(((Audit(Instant(1), "system", "CreateTask", "t1"), own),), {"e1": "{}"}))
    assert journal.newest == 0 and journal.figures.starts == 0


async def test_who_waits_is_woken(journal: Journal) -> None:
    woken = []

    async def wait() -> None:
        await journal.wait()
        woken.append(journal.newest)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        journal.saw("joined", Peer("n2", "b2"))
    assert woken == [1, 1]
