"""A queue of the user's own: what it says is a hint, and whatever it does, every execution runs once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import attrs
import trio

from actors.handling.catalogue import Catalogue, task_type
from actors.job_queue import Job, JobQueueConfig, JobQueueFailed, JobState
from actors.model.lifecycle import State
from actors.model.task import Definition
from runtime.clock import Instant
from tocsin import testing
from tocsin.testing import VirtualCluster

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

    async def start(self, node: str) -> None:
        self.jobs.clear()
        self.heard.append(("start", node))

    async def save(self, node: str, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self.heard.append((job.state.value, job.task_id))
            if job.state is JobState.WAITING:
                self.jobs[job.id] = job
            else:
                self.jobs.pop(job.id, None)

    async def next(self, node: str, count: int) -> object:
        return sorted(self.jobs, key=self.rank, reverse=True)[:count]

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


async def add(many: VirtualCluster, *names: str) -> list[str]:
    """Tasks that all are due at the same instant."""
    ids = []
    for name in names:
        at = "2026-01-01T00:00:30Z"
        ids.append((await many.when({"at": at}, "work", name=name)).id)
    return ids


async def settled(many: VirtualCluster, ids: Sequence[str]) -> None:
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
