"""What people and programs ask for about one task. Every one of them has `task_id`, `actor` and `reply`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.records import record

from .model.execution import Execution
from .model.task import Definition, Task
from .model.trigger import Bounds, Trigger

if TYPE_CHECKING:
    from runtime.mailbox import Reply


@record
class EditTask:
    """Replace the definition (same id). `expected`, `base`: version and definition that the editor saw, None = any."""

    definition: Definition
    expected: int | None
    actor: str
    reply: Reply[Task]
    base: Definition | None = None

    @property
    def task_id(self) -> str:
        """The task concerned."""
        return self.definition.id


@record
class PauseTask:
    """Fire no more until activated."""

    task_id: str
    note: str | None
    actor: str
    reply: Reply[Task]


@record
class ActivateTask:
    """Go on after a pause, or begin anew after a finish or cancel, with the old trigger or another one."""

    task_id: str
    trigger: Trigger | None
    bounds: Bounds | None
    actor: str
    reply: Reply[Task]


@record
class CancelTask:
    """End the definition and what it has open. Answers the task, also when it was cancelled before."""

    task_id: str
    actor: str
    reply: Reply[Task]


@record
class DeleteTask:
    """Remove the task with its history, for good. What runs is interrupted."""

    task_id: str
    actor: str
    reply: Reply[Task]


@record
class RunTask:
    """Run now, whatever the trigger says; works when paused, obeys overlap. Answers the execution.

    `execution_id`: the id it shall have, for who asks again when an answer was lost: the same request is answered with the
    execution that it has led to, also when that has ended, for as long as it is kept. None for a new one.
    """

    task_id: str
    parameters: str | None
    channel: str
    correlation: str | None
    actor: str
    reply: Reply[Execution]
    execution_id: str | None = None


@record
class RetryTask:
    """Run the last execution again, which has failed. `reset` sets the failure count to 0. Answers the task.

    `last` is that execution as the asker read it, None if there is none.
    """

    task_id: str
    last: Execution | None
    reset: bool
    actor: str
    reply: Reply[Task]


@record
class ResumeTask:
    """Go on with the execution that is held after a crash. Answers the task."""

    task_id: str
    actor: str
    reply: Reply[Task]


@record
class CancelExecution:
    """End one execution and leave the task as it is. note: why, for the others. Answers the execution."""

    task_id: str
    execution_id: str
    actor: str
    reply: Reply[Execution]
    note: str | None = None


@record
class ReleaseExecution:
    """Give up waiting for an abandoned handler: it occupies neither its task nor a slot any more. Answers the execution."""

    task_id: str
    execution_id: str
    actor: str
    reply: Reply[Execution]


@record
class ConfigureTask:
    """Change retry numbers only; None leaves a value as it is. `delay` in microseconds. Answers the task."""

    task_id: str
    max_retries: int | None
    delay: int | None
    actor: str
    reply: Reply[Task]


Command = (
    EditTask
    | PauseTask
    | ActivateTask
    | CancelTask
    | DeleteTask
    | RunTask
    | RetryTask
    | ResumeTask
    | CancelExecution
    | ReleaseExecution
    | ConfigureTask
)
"""What people and programs ask for about one task: every one of them has `task_id`, `actor` and `reply`."""
