"""The keeper's core with a store in memory, an executor that only counts, and a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from random import Random
from typing import Any, TypeVar

from actors.keeper_core import KeeperCore
from actors.keeper_messages import (
    ActivateTask,
    Answer,
    AttemptEnd,
    AttemptsEnded,
    Backlog,
    CancelExecution,
    CancelTask,
    CreateTasks,
    DeleteTask,
    Directive,
    EditTask,
    Event,
    InSync,
    Interrupt,
    Own,
    PauseTask,
    Purge,
    Reconsider,
    Recorded,
    Refuse,
    RequestSync,
    ResumeTask,
    RetryTask,
    RunTask,
    Settle,
    Start,
)
from actors.model.execution import Execution, Failure
from actors.model.lifecycle import State
from actors.model.policy import DEFAULT_POLICIES, Policies
from actors.model.task import Definition, Task
from actors.model.trigger import UNBOUNDED, Bounds, Interval, Trigger
from actors.store.memory import MemoryStore
from actors.store.port import Commit, CommitResult, OutcomeRow, Update
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
    `crashed`: the keeper dies between the commit and what should follow.
    """

    def __init__(self, slots: int = 4, boot: str = BOOT, store: MemoryStore | None = None, now: int = START) -> None:
        self.store = store or MemoryStore()
        self.store.open(new_cluster_id="c", partitions=1, timezone_database="2026f")
        self.boot = boot
        self.now = Instant(now)
        self.slots = slots
        self.running: dict[tuple[str, int], Execution] = {}
        self.unrecorded: dict[tuple[str, int], AttemptEnd] = {}
        self.interrupted: list[Interrupt] = []
        self.told: list[Directive] = []
        self.started: list[Execution] = []
        self.replies: list[Reply[Any]] = []
        self.broken = False
        self.crashed = False
        self.before_commit: Callable[[Commit], None] | None = None
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
        known = frozenset(key[0] for key in (*self.running, *self.unrecorded))
        return InSync(self.slots - len(self.running) - held, known, token)

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
            if limit := self.core.backlog_wanted:
                ids = self.store.waiting(limit)
                batch.append(Backlog(tuple(ids), complete=len(ids) < limit))
            if not batch or (self.broken and all(isinstance(message, Backlog) for message in batch)):
                return told
        raise AssertionError(f"the keeper does not come to rest: {batch}")

    def _commit(self, batch: list[Event]) -> tuple[list[Directive], list[Event]]:
        needs = self.core.needs(batch)
        if needs.edges:
            self.core.waits.load(self.store.edges())
        running = self.store.orphans((), 10_000) if needs.running else []
        self.core.learn(self.store.tasks(sorted({*needs.task_ids, *running})))
        plan, commit = self.core.decide(batch, running, self.now)
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
                case Reconsider():
                    heard.append(directive)
                case _:
                    pass
        return heard

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
        assert self.core._claims.slots + len(self.running) == self.slots
        assert self.most <= self.slots
