"""What the nemesis and the customers do to a small cluster: each fault does what it says, and undoes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from actors.handling.catalogue import Catalogue
from runtime.clock import SECOND
from runtime.simulation import DEFAULT_START, seed_scheduler
from tocsin.rehearsal.client import Customers, definition
from tocsin.rehearsal.nemesis import Nemesis
from tocsin.rehearsal.plan import Call, Fault, FaultKind, Job, Knobs
from tocsin.rehearsal.stage import Stage
from tocsin.rehearsal.work import work_types

NAMES = ("n1", "n2")


def new_stage() -> Stage:
    knobs = Knobs(rhythm=2.0, heartbeat=10.0, probe=5.0)
    return Stage(1, NAMES, 4, knobs, DEFAULT_START, lambda record: Catalogue(work_types(record)))


@asynccontextmanager
async def played() -> AsyncIterator[Stage]:
    """A stage whose nodes are up and own something."""
    stage = new_stage()
    async with stage.played():
        await trio.sleep(20.0)
        yield stage


def play(act: Any) -> None:
    """Run a scene in virtual time."""

    async def main() -> None:
        async with played() as stage:
            await act(stage)

    seed_scheduler(1)
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def owners(stage: Stage) -> dict[str, int]:
    """How many partitions each node that is up takes for its own."""
    return {name: len(node.cluster.owned) for name, node in stage.living().items() if node.cluster is not None}


def linked(stage: Stage) -> bool:
    """Whether a connection joins the nodes that neither end has given up."""
    return all(stage.network._streams.get(name) for name in NAMES)


def made(stage: Stage, customers: Customers) -> list[str]:
    """The customers' tasks that are in the store, by name."""
    found = stage.database.store.tasks(sorted(customers.ids.values()))
    return sorted(task.definition.name for task in found)


# -- faults that change a field, and change it back


def field(kind: FaultKind, stage: Stage) -> object:
    """What a fault of this kind for n1 changes."""
    way, faults = stage.database.way("n1"), stage.network.faults("n1", "n2")
    return {
        FaultKind.CUT: (faults.cut, stage.network.faults("n2", "n1").cut),
        FaultKind.CUT_ONE_WAY: (faults.cut, stage.network.faults("n2", "n1").cut),
        FaultKind.SLOW_LINKS: (faults.latency, faults.chunk),
        FaultKind.CORRUPT: faults.corrupt,
        FaultKind.LOSE_STORE: way.cut,
        FaultKind.STOP_STORE: stage.database.is_down,
        FaultKind.FULL_STORE: stage.database.is_full,
        FaultKind.SLOW_STORE: way.extra,
        FaultKind.FLAKY_STORE: way.failing,
        FaultKind.COMMIT_UNKNOWN: way.losing,
        FaultKind.DROP_WAKES: way.wakes,
        FaultKind.LOSE_COORDINATION: (
            stage.service.is_cut("n1", replies=False),
            stage.service.is_cut("n1", replies=True),
        ),
        FaultKind.LOSE_REPLIES: (stage.service.is_cut("n1", replies=False), stage.service.is_cut("n1", replies=True)),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "amount", "wrong", "right"),
    [
        (FaultKind.CUT, 0.0, (True, True), (False, False)),
        (FaultKind.CUT_ONE_WAY, 0.0, (True, False), (False, False)),
        (FaultKind.SLOW_LINKS, 0.5, (0.5, 7), (0.001, None)),
        (FaultKind.CORRUPT, 0.1, 0.1, 0.0),
        (FaultKind.LOSE_STORE, 0.0, True, False),
        (FaultKind.STOP_STORE, 0.0, True, False),
        (FaultKind.FULL_STORE, 0.0, True, False),
        (FaultKind.SLOW_STORE, 1.5, 1.5, 0.0),
        (FaultKind.FLAKY_STORE, 0.3, 0.3, 0.0),
        (FaultKind.COMMIT_UNKNOWN, 1.0, True, None),
        (FaultKind.COMMIT_UNKNOWN, 0.0, False, None),
        (FaultKind.DROP_WAKES, 0.0, False, True),
        (FaultKind.LOSE_COORDINATION, 0.0, (True, True), (False, False)),
        (FaultKind.LOSE_REPLIES, 0.0, (False, True), (False, False)),
    ],
)
def test_a_fault_is_there_and_gone_again(kind: FaultKind, amount: float, wrong: object, right: object) -> None:
    async def act() -> None:
        stage = new_stage()
        target = ("n1", "n2") if kind in (FaultKind.CUT, FaultKind.CUT_ONE_WAY) else ("n1",)
        undo = Nemesis(stage).begin(Fault(0.0, kind, target, 1.0, amount))
        assert field(kind, stage) == wrong
        undo()
        assert field(kind, stage) == right

    trio.run(act, clock=trio.testing.MockClock(autojump_threshold=0))


def test_faults_are_made_at_their_time_and_written_down() -> None:
    async def act() -> None:
        stage = new_stage()
        nemesis = Nemesis(stage)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(nemesis.run, (Fault(3.0, FaultKind.STOP_STORE, (), 4.0),))
            seen = []
            for _ in range(9):
                await trio.sleep(1.0)
                await trio.testing.wait_all_tasks_blocked()
                seen.append(stage.database.is_down)
        assert seen == [False, False, True, True, True, True, False, False, False]
        assert nemesis.done == {FaultKind.STOP_STORE: 1}
        (span,) = stage.spans
        begin = DEFAULT_START + 3 * SECOND
        assert (span.kind, span.subject, span.begin, span.end) == ("stop store", "", begin, begin + 4 * SECOND)

    trio.run(act, clock=trio.testing.MockClock(autojump_threshold=0))


# -- faults of processes and coordination, on real nodes


def test_a_cluster_finds_itself_and_a_killed_node_begins_anew_as_another_process() -> None:
    async def act(stage: Stage) -> None:
        assert owners(stage) == {"n1": 2, "n2": 2}
        undo = Nemesis(stage).begin(Fault(0.0, FaultKind.KILL, ("n1",), 1.0))
        assert stage.living().keys() == {"n2"}
        await trio.sleep(40.0)
        assert owners(stage) == {"n2": 4}
        undo()
        await trio.sleep(40.0)
        assert owners(stage) == {"n1": 2, "n2": 2}
        assert [(span.kind, span.subject) for span in stage.spans] == [("dead", "n1.1")]
        assert stage.lives["n1"].process.name == "n1.2"

    play(act)


def test_a_stopped_node_gives_way_at_once_and_begins_anew() -> None:
    async def act(stage: Stage) -> None:
        undo = Nemesis(stage).begin(Fault(0.0, FaultKind.STOP, ("n1",), 1.0))
        await trio.sleep(4.0)
        assert owners(stage)["n2"] == 4
        await trio.sleep(10.0)
        assert stage.living().keys() == {"n2"}
        undo()
        await trio.sleep(30.0)
        assert owners(stage) == {"n1": 2, "n2": 2}
        assert not stage.failed

    play(act)


def test_a_frozen_node_is_the_same_process_when_it_goes_on() -> None:
    async def act(stage: Stage) -> None:
        life = stage.lives["n1"]
        undo = Nemesis(stage).begin(Fault(0.0, FaultKind.FREEZE, ("n1",), 1.0))
        assert stage.living().keys() == {"n2"}
        await trio.sleep(40.0)
        assert owners(stage) == {"n2": 4}
        undo()
        await trio.sleep(40.0)
        assert stage.lives["n1"] is life
        assert owners(stage) == {"n1": 2, "n2": 2}
        assert [(span.kind, span.subject) for span in stage.spans] == [("frozen", "n1.1")]

    play(act)


def test_a_drained_node_owns_nothing_until_it_may_again() -> None:
    async def act(stage: Stage) -> None:
        undo = Nemesis(stage).begin(Fault(0.0, FaultKind.DRAIN, ("n1",), 1.0))
        await trio.sleep(20.0)
        assert owners(stage) == {"n1": 0, "n2": 4}
        undo()
        await trio.sleep(20.0)
        assert owners(stage) == {"n1": 2, "n2": 2}

    play(act)


def test_an_ended_session_is_followed_by_another_one() -> None:
    async def act(stage: Stage) -> None:
        before = {session for session, name in stage.service.sessions().items() if name == "n1"}
        Nemesis(stage).begin(Fault(0.0, FaultKind.EXPIRE, ("n1",)))
        assert before.isdisjoint(stage.service.sessions())
        await trio.sleep(20.0)
        assert "n1" in stage.service.sessions().values()
        assert owners(stage) == {"n1": 2, "n2": 2}

    play(act)


def test_a_step_moves_one_clock_there_and_back() -> None:
    async def act(stage: Stage) -> None:
        worlds = {name: life.world for name, life in stage.lives.items()}
        undo = Nemesis(stage).begin(Fault(0.0, FaultKind.STEP_CLOCK, ("n1",), 1.0, -30.0))
        assert worlds["n1"].now() - stage.now() == -30 * SECOND
        assert worlds["n2"].now() == stage.now()
        undo()
        assert worlds["n1"].now() == stage.now()

    play(act)


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.VANISH])
def test_links_that_break_are_made_anew(kind: FaultKind) -> None:
    async def act(stage: Stage) -> None:
        Nemesis(stage).begin(Fault(0.0, kind, ("n1",)))
        assert not linked(stage)
        await trio.sleep(120.0)
        assert linked(stage)

    play(act)


def test_a_scene_that_fails_ends_whoever_is_dead_or_frozen_then() -> None:
    async def act(stage: Stage) -> None:
        stage.kill("n1")
        stage.freeze("n2")
        raise RuntimeError("on the way")

    with pytest.raises(BaseExceptionGroup) as caught:
        play(act)
    assert caught.group_contains(RuntimeError, match="on the way")


# -- customers


def test_customers_ask_until_their_tasks_are_there_and_note_what_came_of_what_they_ask() -> None:
    async def act(stage: Stage) -> None:
        customers = Customers(stage, stage.rng("customers"))
        stage.database.is_down = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(customers.add, (Job("one", every=1000.0), Job("two", every=1000.0)))
            await trio.sleep(10.0)
            assert customers.ids
            assert not made(stage, customers)
            stage.database.is_down = False
        assert made(stage, customers) == ["one", "two"]
        now = trio.current_time()
        calls = ("run", "pause", "resume", "edit", "pause all", "resume all", "cancel", "delete")
        await customers.run(
            (
                *(Call(now + 1 + 5 * n, verb, "" if " " in verb else "one", 50.0) for n, verb in enumerate(calls)),
                Call(now + 60, "run", "one"),
            )
        )
        asked = [(one.verb, one.answer) for one in customers.requests if one.verb != "create"]
        assert asked == [*((verb, "ok") for verb in calls), ("run", "refused")]
        assert made(stage, customers) == ["two"]
        paused = [(span.subject, span.end is not None) for span in stage.spans]
        assert paused == [(customers.ids["one"], True), ("", True)]
        assert next(one.key for one in customers.requests if one.verb == "run")

    play(act)


def test_what_nobody_answered_may_have_happened() -> None:
    async def act(stage: Stage) -> None:
        customers = Customers(stage, stage.rng("customers"))
        await customers.add((Job("one", every=1000.0),))
        for name in NAMES:
            stage.database.way(name).losing = True
            stage.database.way(name).cut = True
        await customers.run((Call(trio.current_time() + 1.0, "pause", "one"),))
        (asked,) = [one for one in customers.requests if one.verb == "pause"]
        assert (asked.answer, asked.answered_at) == ("unknown", None)
        customers.close()
        assert [(span.kind, span.end) for span in stage.spans] == [("paused", None)]

    play(act)


def test_a_job_becomes_the_definition_that_it_tells() -> None:
    policies = {"overlap": "queue", "on_crash": "hold", "retry": (3, 2.0), "concurrency": ("key", 2)}
    job = Job("one", "long", every=5.0, parameters={"steps": 2}, policies=policies, placement="all", max_runs=7)
    made = definition(job, "t1", DEFAULT_START)
    assert (made.name, made.type, made.bounds.max_runs, made.placement.where.value) == ("one", "long", 7, "all")
    assert made.parameters == '{"steps": 2}'
    assert (made.policies.overlap.value, made.policies.on_crash.value) == ("queue", "hold")
    assert (made.policies.retry.max_retries, made.policies.retry.delay) == (3, 2 * SECOND)
    assert made.policies.concurrency is not None
    assert (made.policies.concurrency.key, made.policies.concurrency.limit) == ("key", 2)
