"""The people and programs of a rehearsal: they ask what the plan says, of any node that is up, and note what came of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import trio

from actors.command_messages import ActivateTask, CancelTask, DeleteTask, EditTask, PauseTask, RunTask
from actors.model.execution import Execution
from actors.model.placement import Placement, Where
from actors.model.policy import CatchUp, Concurrency, OnCrash, Overlap, Policies, Retry
from actors.model.task import Definition
from actors.model.task import Task as StoredTask
from actors.model.trigger import Bounds, Cron, Interval, Once, Trigger
from actors.node import Node
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import (
    ActorCrashed,
    ActorStopped,
    AuthorityLost,
    InvalidRequest,
    MailboxFull,
    NotFound,
    OwnershipLost,
    ReplyTimeout,
    StoreUnavailable,
    TocsinError,
)

from ..checker.history import Request, Span
from .plan import Call, Job
from .stage import Stage

PATIENCE: Final = 60.0
"""Seconds for which a start is waited for at the most, times the rhythm."""

AGAIN_SECONDS: Final = 1.0
"""Before a request that nobody can take now is made again, times the rhythm."""

UNKNOWN: Final = (ReplyTimeout, ActorCrashed, ActorStopped, StoreUnavailable, OwnershipLost, AuthorityLost)
"""Answers after which nobody knows whether it happened."""

_ENUMS: Final[Mapping[str, Callable[[str], object]]] = {"overlap": Overlap, "catch_up": CatchUp, "on_crash": OnCrash}


def definition(job: Job, task_id: str, now: Instant) -> Definition:
    """The definition of a job that is made now."""
    return Definition(
        id=task_id,
        name=job.name,
        type=job.type,
        trigger=trigger(job, now),
        bounds=Bounds(max_runs=job.max_runs),
        parameters=json.dumps(dict(job.parameters)),
        policies=policies(job.policies),
        created_at=now,
        placement=Placement(Where(job.placement)),
    )


def trigger(job: Job, now: Instant) -> Trigger:
    """Its trigger; what is relative counts from now."""
    if job.every is not None:
        return Interval(Micros(round(job.every * SECOND)), now)
    if job.cron is not None:
        return Cron(job.cron)
    return Once(Instant(now + round((job.after or 0.0) * SECOND)))


def policies(plain: Mapping[str, Any]) -> Policies:
    """The record for plain values."""
    values: dict[str, Any] = {name: _ENUMS[name](value) if name in _ENUMS else value for name, value in plain.items()}
    if "concurrency" in values:
        values["concurrency"] = Concurrency(*values["concurrency"])
    if "retry" in values:
        times, delay = values["retry"]
        values["retry"] = Retry(times, Micros(round(delay * SECOND)))
    return Policies(**values)


class Customers:
    """See the module's docstring. `requests`: what was asked, and what came of it."""

    def __init__(self, stage: Stage, rng: random.Random) -> None:
        self._stage = stage
        self._rng = rng
        self.requests: list[Request] = []
        self.ids: dict[str, str] = {}
        self._paused: dict[str, Instant] = {}

    async def add(self, jobs: tuple[Job, ...]) -> None:
        """Make the tasks; asked again under the same ids until they are there."""
        wanted = [definition(job, self._stage.clock.new_id(), self._stage.now()) for job in jobs]
        self.ids = {one.name: one.id for one in wanted}
        while wanted:
            asked = self._stage.now()
            answers = await self._make(wanted)
            if answers is None:
                await trio.sleep(AGAIN_SECONDS * self._stage.knobs.rhythm)
                continue
            now = self._stage.now()
            made = {one.id for one, answer in zip(wanted, answers, strict=True) if not isinstance(answer, UNKNOWN)}
            self.requests += [Request("create", one.id, asked, now, "ok") for one in wanted if one.id in made]
            wanted = [one for one in wanted if one.id not in made]

    async def _make(self, wanted: list[Definition]) -> list[StoredTask | Exception] | None:
        node = self._some_node()
        if node is None:
            return None
        try:
            return await node.create(wanted, "client")
        except TocsinError:
            return None

    def _some_node(self) -> Node | None:
        living = self._stage.living()
        return living[self._rng.choice(sorted(living))] if living else None

    async def run(self, calls: tuple[Call, ...]) -> None:
        """Ask for all of it, each at its time."""
        async with trio.open_nursery() as nursery:
            for call in calls:
                nursery.start_soon(self._carry_out, call)

    async def _carry_out(self, call: Call) -> None:
        await trio.sleep_until(call.at)
        if call.verb == "cancel running":
            await self._until_running(call)
            call = attrs.evolve(call, verb="cancel")
        key = self._stage.clock.new_id() if call.verb in ("run", "run twice") else None
        if call.verb != "run twice":
            await self._request(call, key)
            return
        once, answers = attrs.evolve(call, verb="run"), list[str]()

        async def ask() -> None:
            answers.append(await self._request(once, key))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(ask)
        if "ok" in answers:
            self._stage.database.noted["a run was asked for twice"] += 1

    async def _until_running(self, call: Call) -> None:
        """Until so long after its next start, if there is one."""
        task = self.ids.get(call.job, "")
        with trio.move_on_after(PATIENCE * self._stage.knobs.rhythm):
            await self._stage.record.next(lambda line: line.kind == "start" and line.task == task)
            await trio.sleep(call.amount)

    async def _request(self, call: Call, key: str | None) -> str:
        task = self.ids.get(call.job, "")
        asked, node = self._stage.now(), self._some_node()
        answer, found = "refused", None
        if node is not None:
            answer, found = await self._ask(node, call, task, key)
        now = self._stage.now()
        self._note(call, task, answer, asked, now)
        known = None if answer == "unknown" else now
        self.requests.append(Request(call.verb, task, asked, known, answer, found if found is not None else key))
        self._stage.trace.add("request", call.verb, task, answer, asked, now)
        return answer

    def _note(self, call: Call, task: str, answer: str, asked: Instant, now: Instant) -> None:
        """When was what paused; of what may or may not have happened the longest is taken."""
        match call.verb, answer:
            case ("pause" | "pause all", "ok" | "unknown"):
                self._paused.setdefault(task, asked)
            case ("resume" | "resume all", "ok") if task in self._paused:
                self._stage.spans.append(Span("paused", task, self._paused.pop(task), now))

    def close(self) -> None:
        """What is paused now stays so."""
        self._stage.spans.extend(Span("paused", task, since) for task, since in self._paused.items())

    async def _ask(self, node: Node, call: Call, task: str, key: str | None) -> tuple[str, str | None]:
        try:
            return "ok", await self._perform(node, call, task, key)
        except (NotFound, InvalidRequest, MailboxFull):
            return "refused", None
        except UNKNOWN:
            return "unknown", None
        except TocsinError:
            return "refused", None

    async def _perform(self, node: Node, call: Call, task: str, key: str | None) -> str | None:
        who = "client"
        match call.verb:
            case "run":
                ran: Execution = await node.command(
                    task, lambda reply: RunTask(task, None, "test", None, who, reply, key)
                )
                return ran.id
            case "pause":
                await node.command(task, lambda reply: PauseTask(task, None, who, reply))
            case "resume":
                await node.command(task, lambda reply: ActivateTask(task, None, None, who, reply))
            case "cancel":
                await node.command(task, lambda reply: CancelTask(task, who, reply))
            case "delete":
                await node.command(task, lambda reply: DeleteTask(task, who, reply))
            case "edit":
                found = await node.task(task)
                every = Interval(Micros(round(call.amount * SECOND)), self._stage.now())
                changed = attrs.evolve(found.definition, trigger=every)
                await node.command(task, lambda reply: EditTask(changed, None, who, reply))
            case "purge":
                before = bool(self._paused)
                swept = await node.purges.purge(who, task or None, Micros(round(call.amount * SECOND)))
                if sum(swept.removed.values()):
                    self._stage.database.noted["purged while paused" if before and self._paused else "purged"] += 1
            case "pause all":
                await node.control.pause(None, who)
            case "resume all":
                await node.control.resume(who)
            case _:
                raise AssertionError(f"not a verb: {call}")
        return None
