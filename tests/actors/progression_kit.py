"""One task driven through the pure parts of the keeper: settled, changed and its executions ended, with slots for all.

`definitions`: by revision.
"""

from __future__ import annotations

from itertools import count
from random import Random

from actors.command_messages import ActivateTask, CancelExecution, CancelTask, Command, EditTask, PauseTask, RunTask
from actors.keeper_claims import Claims
from actors.keeper_commands import Commands
from actors.keeper_messages import AttemptEnd, Interrupt
from actors.keeper_progression import Progression
from actors.keeper_staging import Staged
from actors.model.execution import Execution
from actors.model.lifecycle import State
from actors.model.occurrence import Settled
from actors.model.task import Definition, Task
from actors.model.trigger import Bounds, Trigger
from actors.rules.catching_up import Governor
from actors.rules.definition_changes import first_state, recalculate
from runtime.clock import Instant
from runtime.mailbox import Reply

FAST = 1e9
"""A rate at which the governor holds nothing back."""


class Driver:
    """`rows`: the ledger's rows in the order written. `executions`: every one that there ever was, as it is now."""

    def __init__(self, definition: Definition, now: Instant, *, rate: float = FAST, slots: int = 1_000_000) -> None:
        self._ids = (f"e{number:06}" for number in count(1))
        self.claims = Claims("boot", "node", lambda _: True)
        self.claims.synchronise(slots)
        self.progression = Progression(self.claims, Random(1), lambda: next(self._ids), Governor(rate, 2))
        self.commands = Commands(self.progression)
        self.task = Task(definition, first_state(definition, now))
        self.rows: list[Settled] = []
        self.executions: dict[str, Execution] = {}
        self.interrupted: list[Interrupt] = []
        self.definitions = {1: definition}

    def _take(self, staged: Staged) -> None:
        self.task = staged.finish()
        self.definitions[self.task.state.revision] = self.task.definition
        self.rows.extend(staged.settled)
        self.executions.update(staged.executions)
        self.interrupted.extend(entry for entry in staged.directives if isinstance(entry, Interrupt))
        for entry in self.task.open:
            assert entry.expires is None or entry.first_started_at is None

    def settle(self, now: Instant) -> None:
        staged = Staged.of(self.task, 0)
        self.progression.settle(staged, now)
        self._take(staged)

    def settle_fully(self, now: Instant) -> int:
        """Settle as the timer does, until nothing is due. Answers how often that was."""
        times = 0
        while self.task.due is not None and self.task.due <= now:
            self.settle(now)
            times += 1
            assert times < 500, "settled again and again"
        return times

    def command(self, message: Command, now: Instant) -> str | None:
        staged = Staged.of(self.task, 0)
        try:
            return self.commands.carry_out(message, staged, now)
        finally:
            self._take(staged)

    def edit(self, definition: Definition, now: Instant) -> None:
        self.command(EditTask(definition, None, "me", Reply()), now)

    def pause(self, now: Instant) -> None:
        self.command(PauseTask(self.task.id, "note", "me", Reply()), now)

    def activate(self, now: Instant, trigger: Trigger | None = None, bounds: Bounds | None = None) -> None:
        self.command(ActivateTask(self.task.id, trigger, bounds, "me", Reply()), now)

    def cancel(self, now: Instant) -> None:
        self.command(CancelTask(self.task.id, "me", Reply()), now)

    def cancel_execution(self, execution_id: str, now: Instant) -> None:
        self.command(CancelExecution(self.task.id, execution_id, "me", Reply()), now)

    def run(self, now: Instant) -> str | None:
        return self.command(RunTask(self.task.id, None, "rest", None, "me", Reply()), now)

    def recalculate(self, definition: Definition, now: Instant) -> None:
        staged = Staged.of(self.task, 0)
        self.progression.settle_slots(staged, now)
        changed, state, rows = recalculate(staged.task, definition, now)
        staged.replace(changed, state)
        staged.settle(rows)
        self._take(staged)

    def end(self, execution_id: str, now: Instant, state: State = State.COMPLETED) -> None:
        execution = self.executions[execution_id]
        assert execution.started_at is not None
        staged = Staged.of(self.task, 0)
        self.claims.ended(execution.id, execution.fence)
        report = AttemptEnd(self.task.id, execution.id, execution.fence, state, execution.started_at, now)
        self.progression.ended(staged, staged.executions[execution_id], report, now)
        self._take(staged)

    @property
    def running(self) -> list[Execution]:
        return [entry for entry in self.task.open if entry.state is State.RUNNING]

    @property
    def waiting(self) -> list[Execution]:
        return [entry for entry in self.task.open if entry.state is State.WAITING]
