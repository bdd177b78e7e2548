from __future__ import annotations

from typing import Any

import pytest

from actors.keeper_queues import Holder, Lock, QueueUse
from actors.model.execution import Execution, Kind, WaitsFor
from actors.model.lifecycle import State
from actors.model.peer import Peer, Standing
from actors.model.placement import Placement, Where
from actors.store.port import SchedulerPause
from runtime.clock import SECOND, Instant
from tests.actors.records import definition
from tocsin.telling.waiting import Situation, blocker_line, nowhere, obstacle_lines

T0 = Instant(1_800_000_000 * SECOND)
LATER = Instant(T0 + 60 * SECOND)


def waiting(waits_for: WaitsFor | None = WaitsFor.SLOT, **more: Any) -> Execution:
    values: dict[str, Any] = {"state": State.WAITING} | more
    return Execution("e2", "t2", Kind.OCCURRENCE, values.pop("state"), T0, waits_for=waits_for, **values)


def told(**more: Any) -> str:
    return "\n".join(obstacle_lines(Situation(**more)))


def test_without_anything_in_the_way_nothing_is_said() -> None:
    assert obstacle_lines(Situation()) == ()
    assert obstacle_lines(Situation(execution=waiting(WaitsFor.RETRY), lacks=WaitsFor.RETRY)) == ()


@pytest.mark.parametrize(("note", "words"), [(None, "by ann;"), ("moving", "by ann (moving);")])
def test_the_pause_of_the_scheduler(note: str | None, words: str) -> None:
    text = told(paused=SchedulerPause(T0, "ann", note))
    assert text.startswith("The whole scheduler is paused since 2027-01-15T08:00:00Z")
    assert words in text
    assert "tocsin scheduler resume" in text


@pytest.mark.parametrize("lingers", [True, False])
def test_a_key_names_its_holders(lingers: bool) -> None:
    holders = (Holder("t1", "e1", 1, T0, "", lingers=lingers), Holder("t9", "e9", 1, T0, ""))
    lock = Lock("", "the door", 2, holders, 4)
    text = told(execution=waiting(WaitsFor.KEY), lacks=WaitsFor.KEY, lock=lock, names={"t1": "first"})
    assert "Its concurrency key 'the door' is taken: 2 of 2 hold it, 4 wait." in text
    assert "Execution e1 of task 'first' has it since 2027-01-15T08:00:00Z" in text
    assert "Execution e9 of task t9" in text
    assert ("tocsin lock release 'the door'" in text) is lingers
    assert ("abandoned" in text) is lingers


@pytest.mark.parametrize(
    ("situation", "words"),
    [
        (
            {"execution": waiting(WaitsFor.QUEUE), "lacks": WaitsFor.QUEUE, "queue": QueueUse("slow", 3, 3, 5)},
            "Its queue 'slow' is full: 3 of 3 run, 5 wait.",
        ),
        (
            {
                "execution": waiting(WaitsFor.QUEUE),
                "lacks": WaitsFor.QUEUE,
                "queue": QueueUse("slow", None, 0, 5, chosen=True),
            },
            "The node's job queue (queue.use) says who of 'slow' is next: 5 wait to be named.",
        ),
        (
            {"execution": waiting(), "strategy": "placement strategy 'own': ValueError: no idea"},
            "Its placement strategy 'own': ValueError: no idea; least_loaded chooses in its place.",
        ),
        (
            {"execution": waiting(), "lacks": WaitsFor.SLOT, "queue": QueueUse("default", None, 0, 7)},
            "All slots are taken; in its queue 'default' 7 wait.",
        ),
        (
            {"execution": waiting(WaitsFor.DEPENDENCY), "lacks": WaitsFor.DEPENDENCY, "parents": "parent 'a' is gone"},
            "What holds it: parent 'a' is gone.",
        ),
        (
            {"execution": waiting(WaitsFor.GOVERNOR, due=LATER), "lacks": WaitsFor.GOVERNOR},
            "it may start at 2027-01-15T08:01:00Z.",
        ),
        (
            {"execution": waiting(WaitsFor.GOVERNOR), "lacks": WaitsFor.GOVERNOR},
            "it may start as one of those before it has ended.",
        ),
        ({"execution": waiting(WaitsFor.KEY)}, "Nothing is in its way any more: it starts at once."),
        (
            {"execution": waiting(expires=LATER)},
            "It is given up if it has not started by 2027-01-15T08:01:00Z.",
        ),
    ],
)
def test_what_is_missing_is_named(situation: dict[str, Any], words: str) -> None:
    assert words in told(**situation)


def test_the_end_of_the_waiting_is_of_the_first_start_only() -> None:
    assert "given up" not in told(execution=waiting(expires=LATER, first_started_at=T0), lacks=WaitsFor.SLOT)


@pytest.mark.parametrize(
    ("blocker", "words"),
    [
        (waiting(None, state=State.RUNNING, started_at=T0), "Execution e2 runs since 2027-01-15T08:00:00Z."),
        (waiting(WaitsFor.RETRY, due=LATER), "waits for its retry at 2027-01-15T08:01:00Z."),
        (waiting(None, state=State.CRASHED), "is held after a crash."),
        (waiting(WaitsFor.SLOT), "Execution e2 is WAITING."),
        (waiting(None, state=State.TIMED_OUT, lingers=True), "has ended TIMED_OUT, but its abandoned handler"),
    ],
)
def test_a_blocker_is_told_with_what_can_be_done(blocker: Execution, words: str) -> None:
    text = told(execution=waiting(WaitsFor.OVERLAP), lacks=WaitsFor.OVERLAP, blockers=(blocker,))
    assert words in text
    assert blocker_line(blocker) in text
    assert ("tocsin execution release e2" in text) is blocker.lingers


PEERS = (
    Peer("a", "boot-a", types=frozenset({"work"}), slots=1, free=1),
    Peer("b", "boot-b", types=frozenset({"work"}), executor=False),
    Peer("c", "boot-c", types=frozenset({"work"}), standing=Standing.DEAD),
    Peer("d", "boot-d"),
)


@pytest.mark.parametrize(
    ("placement", "target", "words"),
    [
        (Placement(), None, None),
        (Placement(Where.NAMED, nodes=("a", "z")), None, None),
        (Placement(Where.NAMED, nodes=("z",)), None, "It is for node z: no node z is known."),
        (
            Placement(Where.NAMED, nodes=("b", "c", "d")),
            None,
            "It is for one of the nodes b, c, d: b takes no work now; c is dead; d has no task type 'work'.",
        ),
        (Placement(Where.SELECTOR, labels=(("disk", "ssd"),)), None, "It wants a node with disk=ssd: none"),
        (Placement(Where.ALL), "c", "It is for node c: c is dead."),
    ],
)
def test_who_can_run_nowhere_is_told_why(placement: Placement, target: str | None, words: str | None) -> None:
    made = definition(type="work", placement=placement)
    waiting = Execution("e1", made.id, Kind.OCCURRENCE, State.WAITING, Instant(0), target=target)
    told = nowhere(made, waiting, PEERS)
    assert (told is None) if words is None else told is not None and told.startswith(words)


def test_a_type_that_nobody_has_is_named() -> None:
    made = definition(type="rare")
    waiting = Execution("e1", made.id, Kind.OCCURRENCE, State.WAITING, Instant(0))
    told = nowhere(made, waiting, PEERS)
    assert told == "No node that takes work has the task type 'rare'."
    found = Situation(waiting, nowhere=told)
    assert obstacle_lines(found)[0] == told
