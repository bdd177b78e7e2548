"""What a program can ask of its node beside tasks: why and when, executions, calendars, the whole scheduler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from actors.command_messages import CancelExecution, ReleaseExecution
from actors.keeper_queues import Lock, QueueUse
from actors.lanes import COMPUTED
from actors.model.calendar import Calendar
from actors.model.execution import Execution
from actors.model.task import Task
from actors.store.answers import LogLine
from actors.store.port import SchedulerPause
from runtime.clock import from_datetime, to_datetime
from runtime.errors import InvalidRequest

from .building.builder import ACTOR
from .operations.table import MAX_LOG_LINES, MAX_PREVIEW
from .services.triggers import next_of
from .services.why import why_task
from .telling.why import Told
from .vocabulary.calendar_json import calendar_from_json
from .vocabulary.checks import check_note
from .vocabulary.fields import parse_instant, show, whole_number

if TYPE_CHECKING:
    from actors.node import Node
    from runtime.mailbox import Reply


class About(Protocol):
    """A message about one execution."""

    def __call__(self, task_id: str, execution_id: str, actor: str, reply: Reply[Execution]) -> Any:
        """The message."""
        ...


class NodeControl:
    """The part of `LocalNode` that is not about tasks. Every call may raise NotFound, Conflict and InvalidRequest."""

    _node: Node

    async def task(self, reference: str) -> Task:
        """The task of this id, unique prefix of an id (8 characters at least), or name. Raises NotFound."""
        if not isinstance(reference, str):
            raise InvalidRequest(f"a task's id or name is a text, not {show(reference)}")
        return await self._node.task(reference)

    async def why(self, reference: str, at: datetime | None = None) -> Told:
        """What became of one nominal time of a task, and why: `verdict`, `nominal`, `lines`. The last one if not said."""
        task = await self.task(reference)
        if at is not None and getattr(at, "tzinfo", None) is None:
            raise InvalidRequest(f"at: an aware datetime, not {show(at)}")
        return (await why_task(self._node, task, None if at is None else from_datetime(at))).told()

    async def next(self, reference: str, count: int = 10) -> list[datetime]:
        """The next nominal times at which a task runs, in UTC; none while it is not active."""
        whole_number(count, "count", 1, MAX_PREVIEW)
        shown = await next_of(self._node, await self.task(reference), count)
        return [to_datetime(parse_instant(text, "list")) for text in shown["list"]]

    async def logs(self, execution_id: str, *, after: int = 0, limit: int = 1_000) -> list[LogLine]:
        """Lines that a handler logged, with a sequence number above `after`."""
        await self._node.execution(execution_id)
        return await self._node.logs(execution_id, after=after, limit=whole_number(limit, "limit", 0, MAX_LOG_LINES))

    async def cancel_execution(self, execution_id: str) -> Execution:
        """End one execution and leave its task as it is."""
        return await self._about(execution_id, CancelExecution)

    async def release(self, execution_id: str) -> Execution:
        """Give up waiting for an abandoned handler: it occupies neither its task nor a slot any more."""
        return await self._about(execution_id, ReleaseExecution)

    async def _about(self, execution_id: str, message: About) -> Execution:
        execution = (await self._node.execution(execution_id)).execution
        make: Callable[[Reply[Execution]], Any] = partial(message, execution.task_id, execution.id, ACTOR)
        return await self._node.command(execution.task_id, make)

    async def calendars(self) -> list[Calendar]:
        """The newest version of every calendar, by name."""
        return await self._node.calendars.all("")

    async def put_calendar(self, name: str, content: Mapping[str, Any]) -> Calendar:
        """Keep a calendar as its next version: `{"days": ["2026-12-25"], "weekdays": ["sun"]}`, or `{"ics": text}`."""
        read = partial(calendar_from_json, name, content, self._node.world.now())
        return await self._node.calendars.put(await self._node.world.blocking(read, lane=COMPUTED), ACTOR)

    async def delete_calendar(self, name: str) -> None:
        """Remove a calendar that no task uses."""
        await self._node.calendars.delete("", name, ACTOR)

    async def pause_scheduler(self, note: str | None = None) -> SchedulerPause:
        """Start nothing until resumed, over restarts too; what runs goes on."""
        return await self._node.control.pause(check_note(note), ACTOR)

    async def resume_scheduler(self) -> None:
        """Go on; what came due meanwhile is made up for under each task's catch-up policy."""
        await self._node.control.resume(ACTOR)

    async def scheduler_pause(self) -> SchedulerPause | None:
        """Since when, by whom and why the whole scheduler is paused; None if it is not."""
        return await self._node.control.scheduler_pause()

    def locks(self) -> list[Lock]:
        """The concurrency keys that somebody holds or waits for."""
        return self._node.control.locks()

    async def release_lock(self, key: str, execution_id: str | None = None) -> tuple[str, ...]:
        """Take a key from an execution, or from all that hold it; they go on. Answers their ids."""
        return await self._node.control.release_lock(key, "", execution_id, ACTOR)

    def queues(self) -> list[QueueUse]:
        """The queues that have a limit or in which somebody waits."""
        return self._node.control.queues()
