"""What the tests of the executor share: records, a keeper that answers, and a running executor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs
import trio

from actors.executor import Executor
from actors.handling.catalogue import Catalogue, TaskType, task_type
from actors.handling.hooks import Hook
from actors.handling.payload import decode_json
from actors.keeper_messages import (
    AttemptEnd,
    AttemptsEnded,
    Checkpoint,
    InSync,
    Logged,
    Progress,
    Recorded,
    SlotsFreed,
    Start,
)
from actors.keeper_messages import Event as KeeperEvent
from actors.model.execution import Execution, Kind
from actors.model.lifecycle import State
from actors.model.policy import DEFAULT_POLICIES, Policies
from actors.model.task import Definition, Extra
from actors.model.trigger import Once
from runtime.clock import Instant
from runtime.errors import ActorCrashed, ActorStopped, StaleFence
from runtime.mailbox import Mailbox
from runtime.simulation import SimulatedWorld
from runtime.world import RealWorld, World

NOMINAL = Instant(1_767_225_600_000_000)


def start(
    number: int = 1,
    *,
    type: str = "work",  # noqa: A002
    parameters: str = "{}",
    policies: Policies = DEFAULT_POLICIES,
    fence: int = 1,
    extra: Extra | None = None,
    **fields: Any,
) -> Start:
    """A claimed attempt of execution `e<number>`."""
    definition = Definition(
        id=f"t{number}",
        name=f"task {number}",
        type=type,
        trigger=Once(NOMINAL),
        parameters=parameters,
        policies=policies,
        extra=extra,
    )
    fields = {"nominal": NOMINAL, "attempt": 1} | fields
    execution = Execution(
        f"e{number}", definition.id, Kind.OCCURRENCE, State.RUNNING, created_at=NOMINAL, fence=fence, **fields
    )
    return Start(definition, execution)


@attrs.define
class Keeper:
    """Hears everything, records ends at once if `recording`, accepts checkpoints unless their fence is in `stale`
    or there are `crashes` left."""

    mailbox: Mailbox[KeeperEvent] = attrs.field(factory=lambda: Mailbox("keeper"))
    executor: Executor | None = None
    recording: bool = True
    stale: set[int] = attrs.field(factory=set)
    crashes: int = 0
    heard: list[KeeperEvent] = attrs.field(factory=list)
    checkpoints: list[str] = attrs.field(factory=list)
    changed: trio.Event = attrs.field(factory=trio.Event)

    async def run(self) -> None:
        while True:
            for message in await self.mailbox.receive(256):
                self.heard.append(message)
                self._answer(message)
            self.changed.set()
            self.changed = trio.Event()

    def _answer(self, message: KeeperEvent) -> None:
        match message:
            case AttemptsEnded(ends=ends) if self.recording and self.executor is not None:
                with suppress(ActorStopped):
                    self.executor.mailbox.tell_nowait(Recorded(tuple((end.execution_id, end.fence) for end in ends)))
            case Checkpoint() if self.crashes:
                self.crashes -= 1
                message.reply.refuse(ActorCrashed("the keeper crashed on this"))
            case Checkpoint(fence=fence) if fence in self.stale:
                message.reply.refuse(StaleFence(f"fence {fence} was superseded"))
            case Checkpoint(data=data):
                self.checkpoints.append(data)
                message.reply.answer(None)

    async def until(self, holds: Callable[[Keeper], Any], seconds: float = 60) -> Any:
        """Wait until something holds of what was heard."""
        with trio.fail_after(seconds):
            while not (found := holds(self)):
                await self.changed.wait()
        return found

    @property
    def ends(self) -> list[AttemptEnd]:
        return [end for message in self.heard if isinstance(message, AttemptsEnded) for end in message.ends]

    @property
    def lines(self) -> list[str]:
        return [line[2] for message in self.heard if isinstance(message, Logged) for line in message.lines]

    @property
    def progress(self) -> list[str]:
        return [message.data for message in self.heard if isinstance(message, Progress)]

    @property
    def figures(self) -> list[dict[str, Any]]:
        """What was said of progress, without when."""
        told = (decode_json(text) for text in self.progress)
        return [{name: one[name] for name in one if name not in ("at", "eta")} for one in told]

    @property
    def syncs(self) -> list[InSync]:
        return [message for message in self.heard if isinstance(message, InSync)]

    @property
    def freed(self) -> int:
        return sum(message.count for message in self.heard if isinstance(message, SlotsFreed))

    async def end(self, seconds: float = 60) -> AttemptEnd:
        """The end of the only attempt."""
        ends: list[AttemptEnd] = await self.until(lambda keeper: keeper.ends, seconds)
        assert len(ends) == 1
        return ends[0]


async def no_checkpoint(execution_id: str) -> str | None:
    return None


@asynccontextmanager
async def running(
    *types: TaskType | Callable[..., Any],
    world: World | None = None,
    slots: int = 10,
    load_checkpoint: Any = no_checkpoint,
    hooks: Iterable[Hook] = (),
) -> AsyncIterator[tuple[Executor, Keeper]]:
    """An executor with these task types (a bare function is the type "work"), and its keeper."""
    catalogue = Catalogue([one if isinstance(one, TaskType) else task_type("work", one) for one in types])
    catalogue.hooks.extend(hooks)
    keeper = Keeper()
    executor = Executor(
        SimulatedWorld() if world is None else world,
        catalogue,
        keeper.mailbox,
        load_checkpoint,
        node="node-1",
        slots=slots,
    )
    keeper.executor = executor
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        await nursery.start(executor.run)
        yield executor, keeper
        nursery.cancel_scope.cancel()


def real_world() -> RealWorld:
    return RealWorld({"handlers": 10})
