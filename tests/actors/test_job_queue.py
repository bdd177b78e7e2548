"""A queue of the user's own: what it says is a hint, and whatever it does, every execution runs once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
import trio

from actors.handling.catalogue import Catalogue, task_type
from actors.job_queue import Job, JobQueueConfig, JobQueueFailed, JobState
from actors.job_queue_core import ids_of
from actors.model.lifecycle import State
from actors.model.task import Definition
from runtime.clock import Instant
from tocsin import testing
from tocsin.virtual import Virtual

ORDER: list[str] = []


async def work(ctx: Any) -> None:
    ORDER.append(ctx.task)


CATALOGUE = Catalogue([task_type("work", work)])


@attrs.define
class Sound:
    """Gives the last task by name first."""

    name: str = "sound"
    jobs: dict[str, Job] = attrs.field(factory=dict)
    heard: list[tuple[str, Any]] = attrs.field(factory=list)
    mood: str = ""

    async def start(self, node: str) -> None:
        if self.mood == "down":
            raise JobQueueFailed("has a headache")
        self.jobs.clear()
        self.heard.append(("start", node))

    async def save(self, node: str, jobs: Sequence[Job]) -> None:
        for job in [] if self.mood == "deaf" else jobs:
            self.heard.append((job.state.value, job.task_id))
            if job.state is JobState.WAITING:
                self.jobs[job.id] = job
            else:
                self.jobs.pop(job.id, None)

    async def next(self, node: str, count: int) -> object:
        if self.mood == "down":
            raise JobQueueFailed("has a headache")
        return [] if self.mood == "holding" else sorted(self.jobs, key=self.rank, reverse=True)[:count]

    def rank(self, job: str) -> str:
        definition = self.jobs[job].definition
        return "" if definition is None else definition.name

    async def list(self, node: str) -> object:
        return list(self.jobs)

    async def delete(self, node: str, task_id: str) -> None:
        self.heard.append(("delete", task_id))

    async def rename(self, node: str, task_id: str, name: str) -> None:
        self.heard.append(("rename", name))

    async def update(self, node: str, definition: Definition) -> None:
        self.heard.append(("update", definition.name))

    async def flush(self, node: str, before: Instant) -> None:
        self.heard.append(("flush", before))

    async def close(self) -> None:
        self.heard.append(("close", None))


@attrs.define
class Hostile(Sound):
    """Does whatever a queue should not."""

    random: random.Random = attrs.field(factory=lambda: random.Random(0))
    given: list[str] = attrs.field(factory=list)

    async def _mood(self) -> None:
        mood = self.random.random()
        if mood < 0.05:
            raise JobQueueFailed("had enough")
        if mood < 0.1:
            await trio.sleep_forever()

    async def save(self, node: str, jobs: Sequence[Job]) -> None:
        await self._mood()
        await Sound.save(self, node, [job for job in jobs if self.random.random() < 0.8])

    async def next(self, node: str, count: int) -> object:
        await self._mood()
        if self.random.random() < 0.1:
            return self.random.choice([7, "x", [None], {"a": 1}, None])
        known = [*self.jobs, *self.given, "unknown", "", "\0"]
        given = [self.random.choice(known) for _ in range(count + 3)]
        self.given += given
        return given

    async def list(self, node: str) -> object:
        await self._mood()
        return self.random.choice([None, list(self.jobs), self.given, 9])


def config(queue: Sound, **more: Any) -> JobQueueConfig:
    return JobQueueConfig(lambda world: queue, **more)


def cluster(queue: Sound, nodes: int = 1, **more: Any) -> Any:
    ORDER.clear()
    return testing.cluster(nodes, catalogue=CATALOGUE, slots=1, job_queue=config(queue, **more), system_tasks=False)


def alone(queue: Sound, **more: Any) -> Any:
    ORDER.clear()
    return testing.node(catalogue=CATALOGUE, slots=1, job_queue=config(queue, **more), system_tasks=False)


async def add(many: Virtual, *names: str) -> list[str]:
    """Tasks that all are due at the same instant."""
    ids = []
    for name in names:
        at = "2026-01-01T00:00:30Z"
        ids.append((await many.when({"at": at}, "work", name=name)).id)
    return ids


async def settled(many: Virtual, ids: Sequence[str]) -> None:
    """Let time pass until all have run; the bound is against hanging."""
    for _ in range(200):
        await many.advance("30s")
        states = [run.state for task in ids for run in await many.runs(task)]
        if len(states) == len(ids) and set(states) == {State.COMPLETED}:
            return
    raise AssertionError(states)


async def test_the_queue_says_who_is_next(autojump_clock: Any) -> None:
    queue = Sound()
    async with cluster(queue) as many:
        ids = await add(many, "a", "c", "b")
        await settled(many, ids)
        assert ORDER == ["c", "b", "a"]
        assert many.check().violations == ()
    assert {key for kind, key in queue.heard if kind == "removed"} == set(ids)
    assert queue.jobs == {}


@pytest.mark.parametrize(("seed", "nodes"), [(1, 1), (2, 1), (3, 2), (4, 3)])
async def test_whatever_the_queue_does_every_execution_runs_once(seed: int, nodes: int, autojump_clock: Any) -> None:
    made: list[Hostile] = []

    def hostile(_world: Any) -> Hostile:
        made.append(Hostile(random=random.Random(f"{seed} {len(made)}")))
        return made[-1]

    plan = JobQueueConfig(hostile, deadline=0.5, hold=60, check=5)
    ORDER.clear()
    async with testing.cluster(nodes, seed=seed, catalogue=CATALOGUE, slots=2, job_queue=plan) as many:
        ids = await add(many, *[f"task {number}" for number in range(40)])
        await many.advance("40s")
        if nodes > 1:
            many.kill("n1")
            await many.advance("30s")
            many.start("n1")
        await settled(many, ids)
        assert many.check().violations == ()
        for task in ids:
            assert [run.attempts for run in await many.runs(task)] == [1]
    assert sorted(ORDER) == sorted(f"task {number}" for number in range(40))
    assert len(made) >= nodes


async def test_a_queue_that_fails_hands_over_and_takes_over_again(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    queue = Sound()

    async with alone(queue) as many:
        inner = many.inner
        assert inner.job_queue is not None
        first = await add(many, "a", "c", "b")
        queue.mood = "down"
        await settled(many, first)
        assert ORDER == ["a", "c", "b"], "the node's own order: first come, first served"
        assert [text for text in many.health() if "job queue" in text] == [
            "the job queue 'sound' has a headache: work is given in the node's own order until it answers"
        ]
        assert not inner.job_queue.in_charge
        queue.mood = ""
        await many.advance("2m")
        assert many.health() == []
        ORDER.clear()
        for name in ("x", "z", "y"):
            await many.when({"at": "2026-01-01T05:00:00Z"}, "work", name=name)
        await many.advance("6h")
        assert ORDER == ["z", "y", "x"]
    warnings = [line for line in caplog.messages if "headache" in line]
    assert len(warnings) == 1, "once for each failure, not for each try"


async def test_what_is_held_back_waits_and_is_given_in_the_end(autojump_clock: Any) -> None:
    queue = Sound(mood="holding")
    async with alone(queue, hold=1_800.0) as many:
        [task] = await add(many, "a")
        await many.advance("20m")
        [run] = await many.runs(task)
        assert run.state == State.WAITING
        assert ORDER == []
        await many.advance("15m")
        assert ORDER == ["a"]
        inner = many.inner.job_queue
        assert inner is not None
        assert inner.figures.overruled == 1
        assert inner.in_charge


async def test_what_the_queue_forgot_it_is_told_again(autojump_clock: Any) -> None:
    queue = Sound(mood="deaf")
    async with alone(queue) as many:
        await add(many, "a")
        await many.advance("40s")
        assert ORDER == []
        queue.mood = ""
        await many.advance("1m")
        assert ORDER == ["a"]
        inner = many.inner.job_queue
        assert inner is not None
        assert inner.figures.forgotten >= 1


async def test_the_queue_hears_of_changes_to_its_tasks(autojump_clock: Any) -> None:
    queue = Sound(mood="holding")
    async with alone(queue) as many:
        first, second, third = await add(many, "a", "b", "c")
        await many.advance("40s")
        await many.edit(first, {"name": "anna"})
        await many.edit(second, {"tags": ["x"]})
        await many.delete(third)
        await many.advance("5s")
        inner = many.inner.job_queue
        assert inner is not None
        await inner.flush(Instant(7))
    said = [one for one in queue.heard if one[0] in ("rename", "update", "delete", "flush", "close")]
    assert sorted(said[:3]) == [("delete", third), ("rename", "anna"), ("update", "b")]
    assert said[3:] == [("flush", 7), ("close", None)]


@pytest.mark.parametrize("answer", [7, "text", [None], [["a"]], {"a": 1}, object()])
def test_what_is_no_list_of_ids_is_refused(answer: object) -> None:
    with pytest.raises(JobQueueFailed, match="answered"):
        ids_of(answer)


def test_ids_are_taken_once() -> None:
    assert ids_of(["a", "b", "a", "c"]) == ["a", "b", "c"]
    assert ids_of(None) == []
    with pytest.raises(JobQueueFailed, match="answered 1000001 ids"):
        ids_of([""] * 1_000_001)
