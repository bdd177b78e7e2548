"""One lane of a node, all its actors, in virtual time: over a store in memory that fails and dawdles when told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import attrs
import trio

from actors.command_messages import Command
from actors.handling.catalogue import Catalogue, task_type
from actors.keeper_messages import CreateTasks, Happened
from actors.lanes import Lane, NodeConfig, new_lane
from actors.model.execution import Execution
from actors.model.task import Definition, Task
from actors.store.answers import OutcomeRow
from actors.store.memory import MemoryStore
from actors.store.port import Commit, Update
from runtime.clock import Instant
from runtime.mailbox import Mailbox, Reply, ask
from runtime.records import evolve
from runtime.simulation import SimulatedWorld
from runtime.supervision_messages import Backoff, Intensity
from runtime.supervisor import ChildSpec, Supervisor

T = TypeVar("T")


class FaultyStore(MemoryStore):
    """`faults`: for each call by its name, asked with its arguments; what it answers is raised."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: dict[str, Callable[..., Exception | None]] = {}
        self.open(new_cluster_id="c", partitions=1, timezone_database="2026f")

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or name == "faults" or (fault := self.faults.get(name)) is None:
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            if (error := fault(*arguments)) is not None:
                raise error
            return found(*arguments, **named)

        return call


class SlowWorld(SimulatedWorld):
    """`seconds`: how long a call takes, by its lane."""

    def __init__(self, **seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    async def blocking(self, function: Callable[..., T], *arguments: Any, lane: str, abandon: bool = False) -> T:
        await trio.sleep(self.seconds.get(lane, 0))
        return function(*arguments)


def times(count: int, make: Callable[[], Exception]) -> Callable[..., Exception | None]:
    """A fault that happens so many times."""
    left = [None] * count
    return lambda *arguments: make() if left and left.pop() is None else None


@attrs.define
class Running:
    """A lane that runs, and whoever asks it for something."""

    world: SimulatedWorld
    store: FaultyStore
    lane: Lane
    herald: Mailbox[Happened]
    supervisor: Supervisor
    crashes: list[str]

    async def ask(self, make: Callable[[Reply[T]], Any], seconds: float = 60) -> T:
        return await ask(self.lane.keeper.mailbox, make, seconds)

    async def create(self, *definitions: Definition) -> list[Task]:
        made: Iterable[Any] = await self.ask(lambda reply: CreateTasks(definitions, "me", reply))
        assert all(isinstance(one, Task) for one in made), made
        return list(made)

    async def command(self, make: Callable[[Reply[T]], Command]) -> T:
        return await self.ask(make)

    def outcomes(self, task_id: str = "t1") -> list[OutcomeRow]:
        return self.store.outcomes(task_id, since=Instant(0), until=Instant(10**18), limit=100_000)

    def bump(self, task_id: str = "t1") -> None:
        """Another writer changes the task's row."""
        (task,) = self.store.tasks([task_id])
        state = evolve(task.state, version=task.state.version + 1, note="another writer")
        refused = self.store.commit(Commit({}, (), (Update(task_id, 0, task.state.version, state, task.due),))).refused
        assert not refused

    def executions(self, task_id: str = "t1") -> list[Execution]:
        """Oldest first."""
        return self.store.executions(task_id, offset=0, limit=10_000)[0][::-1]

    def crash_at(self, failpoint: str = "keeper.committed") -> trio.Event:
        """Let the keeper crash when it passes this point the next time."""
        crashed = trio.Event()

        def fail() -> None:
            del self.world.failures[failpoint]
            crashed.set()
            raise ZeroDivisionError("a bug")

        self.world.failures[failpoint] = fail
        return crashed


@asynccontextmanager
async def running_lane(
    handler: Callable[..., Awaitable[Any]],
    *,
    store: FaultyStore | None = None,
    world: SimulatedWorld | None = None,
    boot: str = "boot-2",
    slots: int = 4,
) -> AsyncIterator[Running]:
    """All actors of a lane, restarted as often as they crash; at the end they are killed where they are."""
    world = world or SimulatedWorld()
    store = store or FaultyStore()
    config = NodeConfig(Path("nowhere"))
    catalogue = Catalogue([task_type("work", handler)])
    lane = new_lane("test", config, catalogue, world, store, 1, boot, "writer", "reads", slots)
    herald: Mailbox[Happened] = Mailbox("herald", 100_000)
    lane.keeper.connect(executor=lane.executor.mailbox, timer=lane.timer.mailbox, herald=herald)
    crashes: list[str] = []
    children = [ChildSpec(child) for child in (lane.keeper, lane.coordinator, lane.timer, lane.executor)]
    supervisor = Supervisor(
        "lane",
        children,
        intensity=Intensity(restarts=1_000),
        backoff=Backoff(jitter=0.0),
        rng=Random(1),
        on_crash=lambda name, error: crashes.append(name),
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        yield Running(world, store, lane, herald, supervisor, crashes)
        nursery.cancel_scope.cancel()
