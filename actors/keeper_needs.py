"""What a batch of the keeper needs to be decided."""

from __future__ import annotations

from collections.abc import Container, Sequence, Set

import attrs

from runtime.records import record

from .calendar_messages import DeleteCalendar, PutCalendar, Recalculate
from .command_messages import EditTask
from .keeper_dependencies import Waits
from .keeper_messages import (
    AttemptsEnded,
    Backlog,
    Counted,
    CreateTasks,
    Delivered,
    Event,
    InSync,
    Logged,
    Own,
    PauseScheduler,
    Proceed,
    Progress,
    Purge,
    Reconsider,
    Recover,
    ReleaseLock,
    ResumeScheduler,
    Settle,
    SlotsFreed,
    StopClaiming,
)
from .keeper_scheduler import LaneCommands
from .keeper_sync import Sync


@record
class Needs:
    """What the shell must do before `decide`: read these tasks, and all tasks with running executions if `running`.

    `conflicts`: a commit under way is about what this batch is about and has to land first. `graph`: who waits for whom, and the
    calendars, are to be read; `pause`: whether the scheduler is paused; `calendars`: some of the tasks that use these.
    """

    task_ids: frozenset[str]
    running: bool
    conflicts: bool
    graph: bool
    pause: bool = False
    calendars: frozenset[tuple[str, str]] = frozenset()


@attrs.define
class Ahead:
    """What a batch is about. `calendars_deleted`: by tenant and name."""

    task_ids: set[str] = attrs.field(factory=set)
    running: bool = False
    about_calendars: bool = False
    calendars_deleted: frozenset[tuple[str, str]] = frozenset()

    def conflicts(self, in_flight: Set[str], calendars_in_flight: bool) -> bool:
        """Whether a commit under way is about the same."""
        about_calendars = self.about_calendars and calendars_in_flight
        return self.running or about_calendars or not in_flight.isdisjoint(self.task_ids)

    def needs(self, cache: Container[str], conflicts: bool, *, graph: bool, pause: bool) -> Needs:
        """What has to be read; of the tasks, those that the cache does not have."""
        unread = frozenset([task_id for task_id in self.task_ids if task_id not in cache])
        return Needs(unread, self.running, conflicts, graph, pause, self.calendars_deleted)


def look_ahead(batch: Sequence[Event], waits: Waits, sync: Sync, lane: LaneCommands) -> Ahead:
    """What a batch is about, the parents of its tasks among it."""
    ahead = Ahead()
    wanted = ahead.task_ids
    waits.begin()
    for message in batch:
        match message:
            case Settle(task_ids=ids) | Reconsider(task_ids=ids):
                wanted.update(ids, waits.relatives(ids))
            case Recover(task_ids=ids) | Backlog(task_ids=ids) | Recalculate(task_ids=ids):
                wanted.update(ids)
            case AttemptsEnded(ends=ends):
                wanted.update(end.task_id for end in ends)
            case InSync():
                ahead.running = ahead.running or sync.is_answer(message)
            case SlotsFreed(ended=ended):
                wanted.update(task_id for task_id, *_ in ended)
            case ReleaseLock():
                wanted.update(lane.task_ids(message))
            case CreateTasks(definitions=definitions):
                wanted.update(waits.named_by(definitions))
            case EditTask(definition=definition):
                wanted.update((definition.id,), waits.named_by((definition,)))
            case PutCalendar():
                ahead.about_calendars = True
            case DeleteCalendar(tenant=tenant, name=name):
                ahead.about_calendars = True
                ahead.calendars_deleted |= {(tenant, name)}
            case Own() | Progress() | Logged() | Counted() | Purge() | StopClaiming() | Delivered() | Proceed():
                pass
            case PauseScheduler() | ResumeScheduler():
                pass
            case _:
                wanted.add(message.task_id)
    return ahead
