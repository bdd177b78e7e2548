"""The keeper's core with a store in memory, an executor that only counts, and a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from random import Random
from typing import Any, TypeVar

from actors.calendar_messages import Recalculate
from actors.command_messages import (
    ActivateTask,
    CancelExecution,
    CancelTask,
    DeleteTask,
    EditTask,
    PauseTask,
    ReleaseExecution,
    ResumeTask,
    RetryTask,
    RunTask,
)
from actors.keeper_calendars import SLICE as WALKED
from actors.keeper_calendars import ZONES
from actors.keeper_core import KeeperCore
from actors.keeper_messages import (
    Answer,
    AttemptEnd,
    AttemptsEnded,
    Backlog,
    CreateTasks,
    Directive,
    Event,
    InSync,
    Interrupt,
    Own,
    PauseScheduler,
    Proceed,
    Purge,
    Reconsider,
    Recorded,
    Refuse,
    Release,
    ReleaseLock,
    RequestSync,
    ResumeScheduler,
    Settle,
    SlotsFreed,
    Start,
)
from actors.keeper_needs import Needs
from actors.keeper_staging import Plan
from actors.model.execution import Execution, Failure
from actors.model.lifecycle import State
from actors.model.policy import DEFAULT_POLICIES, Policies
from actors.model.task import Definition, Task
from actors.model.trigger import UNBOUNDED, Bounds, Interval, Trigger
from actors.store.answers import OutcomeRow
from actors.store.memory import MemoryStore
from actors.store.port import Commit, CommitResult, SchedulerPause, Update
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import StoreUnavailable
from runtime.mailbox import Reply
from runtime.records import evolve
from runtime.simulation import DEFAULT_START

T = TypeVar("T")

START = DEFAULT_START
EVERY_TEN = Interval(Micros(10 * SECOND), START)
BOOT = "boot-1"


def definition(
    task_id: str = "t1",
    trigger: Trigger = EVERY_TEN,
    bounds: Bounds = UNBOUNDED,
    policies: Policies = DEFAULT_POLICIES,
    **fields: Any,
) -> Definition:
    return Definition(task_id, f"name of {task_id}", "work", trigger, bounds, policies=policies, **fields)


class Rig:
    """One core over one store. `send` does what the keeper's shell does, to the end.

    `broken`: the store cannot commit. `before_commit`: called with every commit, where another writer may come in between.
    `behind`: makes a batch that is decided while the next commit is under way. `crashed`: the keeper dies between the commit
    and what should follow. `abandoned`: attempts that have ended and whose handlers still run, with their tasks. `limits`: of
    queues.
    """

    def __init__(
        self,
        slots: int = 4,
        boot: str = BOOT,
        store: MemoryStore | None = None,
        now: int = START,
        limits: Mapping[str, int] | None = None,
        recovering: int = 1_000,
    ) -> None:
        self.store = store or MemoryStore()
        self.store.open(new_cluster_id="c", partitions=1, timezone_database="2026f")
        self.boot = boot
        self.now = Instant(now)
        self.slots = slots
        self.running: dict[tuple[str, int], Execution] = {}
        self.unrecorded: dict[tuple[str, int], AttemptEnd] = {}
        self.abandoned: dict[tuple[str, int], str] = {}
        self.limits = limits or {}
        self.recovering = recovering
        self.interrupted: list[Interrupt] = []
        self.told: list[Directive] = []
        self.started: list[Execution] = []
        self.replies: list[Reply[Any]] = []
        self.broken = False
        self.crashed = False
        self.before_commit: Callable[[Commit], None] | None = None
        self.behind: Callable[[], list[Event]] | None = None
        self.most = 0
        self._ids = (f"{boot}-{number:06}" for number in count(1))
        self.own = self.raise_epochs()
        self.core = self.new_core()
        self.send(self.own, InSync(0, frozenset()))

    def raise_epochs(self) -> Own:
        former = self.store.last_grants()
        return Own(self.store.raise_epochs({0: former.get(0, 0) + 1}, self.boot))

    def new_core(self) -> KeeperCore:
        return KeeperCore(
            boot=self.boot,
            node="n",
            partitions=1,
            random=Random(1),
            new_id=lambda: next(self._ids),
            runs=lambda _: True,
            queues=self.limits,
            recovering=self.recovering,
        )

    def restart_keeper(self) -> list[Directive]:
        self.core = self.new_core()
        return self.send(self.own, self._in_sync(self.core.sync_request.token), *self._retold())

    def restart_executor(self) -> list[Directive]:
        """Its attempts are gone, each with an end that says so."""
        for execution in list(self.running.values()):
            self._note_end(self._end_of(execution, State.WAITING))
        return self.send(self._in_sync(""), *self._retold())

    def _in_sync(self, token: str) -> InSync:
        held = sum(not end.holds_slot for end in self.unrecorded.values())
        known = frozenset((*self.running, *self.unrecorded))
        free = self.slots - len(self.running) - len(self.abandoned) - held
        return InSync(free, known, token, frozenset(self.abandoned))

    def _retold(self) -> list[Event]:
        return [AttemptsEnded(tuple(self.unrecorded.values()))] if self.unrecorded else []

    # -- the shell

    def send(self, *events: Event) -> list[Directive]:
        batch: list[Event] = list(events)
        told: list[Directive] = []
        for _ in range(100):
            directives, batch = self._commit(batch)
            told += directives
            self.told += directives
            if self.core.wants_turn:
                batch.append(Proceed())
            elif limit := self.core.backlog_wanted:
                ids = self.store.waiting(limit)
                batch.append(Backlog(tuple(ids), complete=len(ids) < limit))
            batch += self._walk()
            if not batch or (self.broken and all(isinstance(message, Backlog | Proceed) for message in batch)):
                return told
        raise AssertionError(f"the keeper does not come to rest: {batch}")

    def _walk(self) -> list[Event]:
        calendars = self.core.calendars
        if calendars.zones_walked:
            calendars.zones_walked = False
            self.store.record_timezone_database("new")
        if self.broken or (step := calendars.next_step()) is None:
            return []
        key, after = step
        if key == ZONES:
            return [calendars.step(key, self.store.task_ids(after=after, limit=WALKED))]
        return [calendars.step(key, self.store.calendar_users(*key, after=after, limit=WALKED))]

    def _commit(self, batch: list[Event]) -> tuple[list[Directive], list[Event]]:
        plan, commit = self._decide(batch, self.core.needs(batch))
        behind, second = self._take_behind(), None
        if behind and not (needs := self.core.needs(behind)).conflicts:
            second, behind = self._decide(behind, needs), []
        told, heard = self._land(plan, commit)
        if second is not None:
            more, left = self._land(*second)
            told, heard = [*told, *more], [*heard, *left]
        return told, [*heard, *behind]

    def _take_behind(self) -> list[Event]:
        make, self.behind = self.behind, None
        return [] if make is None else make()

    def _decide(self, batch: list[Event], needs: Needs) -> tuple[Plan, Commit]:
        if needs.graph:
            shared = self.store.shared()
            self.core.learn_graph(self.store.calendars(None), self.store.edges(), shared)
        users = {key: self.store.calendar_users(*key, after="", limit=10) for key in needs.calendars}
        for key, task_ids in users.items():
            self.core.calendars.learn_users(key, task_ids)
        if needs.pause:
            self.core.learn_lane(self.store.scheduler_pause(), self.store.granted_until())
        running = self.store.occupied() if needs.running else []
        wanted = {*needs.task_ids, *running}
        self.core.learn(self.store.tasks(sorted(wanted)), wanted)
        if needs.executions:
            details = [self.store.execution(one) for one in sorted(needs.executions)]
            self.core.commands.learn([detail.execution for detail in details if detail is not None])
        return self.core.decide(batch, running, self.now)

    def _land(self, plan: Plan, commit: Commit) -> tuple[list[Directive], list[Event]]:
        try:
            result = self._store(commit)
        except StoreUnavailable as error:
            directives = self.core.failed(plan, error)
            return directives, self.perform(directives)
        if self.crashed:
            for reply in plan.replies():
                reply.refuse(StoreUnavailable("crashed"))
            return [], []
        directives, again = self.core.committed(plan, result)
        return directives, [*again, *self.perform(directives)]

    def _store(self, commit: Commit) -> CommitResult:
        if self.before_commit is not None:
            self.before_commit(commit)
        if self.broken:
            raise StoreUnavailable("no space left")
        return self.store.commit(commit)

    def perform(self, directives: Iterable[Directive]) -> list[Event]:
        heard: list[Event] = []
        for directive in directives:
            match directive:
                case Start(execution=execution):
                    key = (execution.id, execution.fence)
                    assert key not in self.running, f"started twice: {key}"
                    self.running[key] = execution
                    self.started.append(execution)
                    self.most = max(self.most, len(self.running))
                case Interrupt():
                    self.interrupted.append(directive)
                case Release(execution_id=execution_id, fence=fence):
                    heard += self._freed((execution_id, fence))
                case RequestSync(token=token):
                    heard += [self._in_sync(token), *self._retold()]
                case Recorded(ended=ended):
                    for key in ended:
                        self.unrecorded.pop(key, None)
                case Answer(reply=reply, value=value):
                    reply.answer(value)
                case Refuse(reply=reply, error=error):
                    reply.refuse(error)
                case Purge(reply=reply):
                    reply.answer(0)
                case Reconsider() | Recalculate():
                    heard.append(directive)
                case _:
                    pass
        return heard

    def _freed(self, key: tuple[str, int]) -> list[Event]:
        task_id = self.abandoned.pop(key, None)
        if task_id is None:
            return []
        if (end := self.unrecorded.get(key)) is not None:
            self.unrecorded[key] = evolve(end, holds_slot=False)
        return [SlotsFreed(1, ((task_id, *key),))]

    def handler_returns(self, which: int = 0) -> list[Directive]:
        """An abandoned handler returns after all."""
        return self.send(*self._freed(list(self.abandoned)[which]))

    # -- short ways to say things

    def reply(self) -> Reply[Any]:
        reply: Reply[Any] = Reply()
        self.replies.append(reply)
        return reply

    def ask(self, make: Callable[[Reply[Any]], Event]) -> Any:
        reply = self.reply()
        self.send(make(reply))
        assert reply.answered
        return reply.result()

    def create(self, *definitions: Definition) -> list[Any]:
        return list(self.ask(lambda reply: CreateTasks(definitions, "me", reply)))

    def task(self, task_id: str = "t1") -> Task:
        (task,) = self.store.tasks([task_id])
        return task

    def edit(self, changed: Definition, expected: int | None = None) -> Task:
        return self.ask(lambda reply: EditTask(changed, expected, "me", reply))

    def pause(self, task_id: str = "t1") -> Task:
        return self.ask(lambda reply: PauseTask(task_id, "a note", "me", reply))

    def activate(self, task_id: str = "t1", trigger: Trigger | None = None, bounds: Bounds | None = None) -> Task:
        return self.ask(lambda reply: ActivateTask(task_id, trigger, bounds, "me", reply))

    def cancel(self, task_id: str = "t1") -> Task:
        return self.ask(lambda reply: CancelTask(task_id, "me", reply))

    def delete(self, task_id: str = "t1") -> Task:
        return self.ask(lambda reply: DeleteTask(task_id, "me", reply))

    def cancel_execution(self, execution_id: str, task_id: str = "t1") -> Execution:
        return self.ask(lambda reply: CancelExecution(task_id, execution_id, "me", reply))

    def run(self, task_id: str = "t1") -> Execution:
        return self.ask(lambda reply: RunTask(task_id, None, "rest", None, "me", reply))

    def retry(self, task_id: str = "t1", *, reset: bool = False) -> Task:
        last = self.task(task_id).state.last_execution
        detail = None if last is None else self.store.execution(last)
        known = None if detail is None else detail.execution
        return self.ask(lambda reply: RetryTask(task_id, known, reset, "me", reply))

    def resume(self, task_id: str = "t1") -> Task:
        return self.ask(lambda reply: ResumeTask(task_id, "me", reply))

    def pause_scheduler(self, note: str | None = None) -> SchedulerPause:
        return self.ask(lambda reply: PauseScheduler(note, "me", reply))

    def resume_scheduler(self) -> None:
        self.ask(lambda reply: ResumeScheduler("me", reply))

    def release_lock(self, key: str, execution_id: str | None = None, tenant: str = "") -> tuple[str, ...]:
        return self.ask(lambda reply: ReleaseLock(key, tenant, execution_id, "me", reply))

    def release(self, execution_id: str, task_id: str = "t1") -> Execution:
        return self.ask(lambda reply: ReleaseExecution(task_id, execution_id, "me", reply))

    def settle(self, *task_ids: str, after: float = 0) -> list[Directive]:
        self.now = Instant(self.now + int(after * SECOND))
        return self.send(Settle(task_ids or ("t1",)))

    def _end_of(self, execution: Execution, state: State, **fields: Any) -> AttemptEnd:
        if state in (State.FAILED, State.TIMED_OUT):
            fields.setdefault("failure", Failure("ValueError", "wrong"))
        started = execution.started_at or self.now
        return AttemptEnd(execution.task_id, execution.id, execution.fence, state, started, self.now, **fields)

    def _note_end(self, end: AttemptEnd) -> None:
        key = (end.execution_id, end.fence)
        del self.running[key]
        self.unrecorded[key] = end
        if end.holds_slot:
            self.abandoned[key] = end.task_id

    def end(self, state: State = State.COMPLETED, *, execution: Execution | None = None, **fields: Any) -> AttemptEnd:
        """The oldest running attempt, or a given one, ends."""
        chosen = execution or next(iter(self.running.values()))
        end = self._end_of(chosen, state, **fields)
        self._note_end(end)
        self.send(AttemptsEnded((end,)))
        return end

    def outcomes(self, task_id: str = "t1") -> list[OutcomeRow]:
        return self.store.outcomes(task_id, since=Instant(0), until=Instant(10**18), limit=100_000)

    def ledger(self, task_id: str = "t1") -> list[tuple[float, float, str, str | None]]:
        """(first, last) in seconds after START, outcome, reason."""
        return [
            ((row.first - START) / SECOND, (row.last - START) / SECOND, str(row.outcome), row.reason)
            for row in self.outcomes(task_id)
        ]

    def bump(self, task_id: str = "t1") -> None:
        """Another writer changes the task's row."""
        task = self.task(task_id)
        state = evolve(task.state, version=task.state.version + 1, note="another writer")
        refused = self.store.commit(Commit({}, (), (Update(task_id, 0, task.state.version, state, task.due),))).refused
        assert not refused

    def check_slots(self) -> None:
        """Free and taken slots make the whole."""
        assert self.core.claims.slots + len(self.running) + len(self.abandoned) == self.slots
        assert self.most <= self.slots
