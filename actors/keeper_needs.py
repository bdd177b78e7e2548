"""What a batch of the keeper needs to be decided."""

from __future__ import annotations

from collections.abc import Container, Sequence, Set

import attrs

from runtime.records import record

from .calendar_messages import DeleteCalendar, PutCalendar, Recalculate
from .command_messages import EditTask, RetryTask, RunTask
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
from .model.execution import Execution
from .sharing_messages import Changed, Declined, LeaseDoubted, Observed, Offered, PeersChanged, ZonesSwitched


@record
class Needs:
    """What the shell must do before `decide`: read these tasks, and all tasks with running executions if `running`.

    `conflicts`: a commit under way is about what this batch is about and has to land first. `graph`: who waits for whom, and the
    calendars, are to be read; `pause`: whether the scheduler is paused; `calendars`: some of the tasks that use these;
    `executions`: which of these there are.
    """

    task_ids: frozenset[str]
    running: bool
    conflicts: bool
    graph: bool
    pause: bool = False
    calendars: frozenset[tuple[str, str]] = frozenset()
    executions: frozenset[str] = frozenset()


@attrs.define
class Ahead:
    """What a batch is about. `calendars_deleted`: by tenant and name. `executions`: those that are asked for by their ids.

    `fresh`: of the tasks, those that are decided on as they are in the store, where others may have written them;
    `about_pause`: the same for the scheduler's pause.
    """

    task_ids: set[str] = attrs.field(factory=set)
    fresh: set[str] = attrs.field(factory=set)
    running: bool = False
    about_calendars: bool = False
    about_pause: bool = False
    calendars_deleted: frozenset[tuple[str, str]] = frozenset()
    executions: set[str] = attrs.field(factory=set)

    def conflicts(self, in_flight: Set[str], calendars_in_flight: bool, pause_in_flight: bool) -> bool:
        """Whether a commit under way is about the same."""
        about_all = (self.about_calendars and calendars_in_flight) or (self.about_pause and pause_in_flight)
        return self.running or about_all or not in_flight.isdisjoint(self.task_ids)

    def needs(self, cache: Container[str], conflicts: bool, *, graph: bool, pause: bool, shared: bool) -> Needs:
        """What has to be read; of the tasks, those that the cache does not have, or may not have as they are."""
        fresh = self.fresh if shared else ()
        unread = frozenset([task_id for task_id in self.task_ids if task_id in fresh or task_id not in cache])
        pause = pause or (shared and self.about_pause)
        executions = frozenset(self.executions)
        return Needs(unread, self.running, conflicts, graph, pause, self.calendars_deleted, executions)


def look_ahead(batch: Sequence[Event], waits: Waits, sync: Sync, lane: LaneCommands) -> Ahead:
    """What a batch is about, the parents of its tasks among it."""
    ahead = Ahead()
    wanted, fresh = ahead.task_ids, ahead.fresh
    waits.begin()
    for message in batch:
        match message:
            case Settle(task_ids=ids):
                wanted.update(ids, waits.relatives(ids))
            case Reconsider(task_ids=ids):
                fresh.update(ids, waits.relatives(ids))
            case Recover(task_ids=ids) | Backlog(task_ids=ids) | Recalculate(task_ids=ids) | Changed(task_ids=ids):
                fresh.update(ids)
            case Offered(executions=offered):
                fresh.update(task_id for task_id, _ in offered)
            case Observed(waiting=waiting, stopping=stopping):
                fresh.update(waiting, stopping)
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
                fresh.update((definition.id,), waits.named_by((definition,)))
            case RunTask(task_id=task_id, execution_id=str(execution_id)):
                fresh.add(task_id)
                ahead.executions.add(execution_id)
            case RetryTask(task_id=task_id, last=Execution(id=execution_id)):
                fresh.add(task_id)
                ahead.executions.add(execution_id)
            case PutCalendar():
                ahead.about_calendars = True
            case DeleteCalendar(tenant=tenant, name=name):
                ahead.about_calendars = True
                ahead.calendars_deleted |= {(tenant, name)}
            case Own() | Progress() | Logged() | Counted() | Purge() | StopClaiming() | Delivered() | Proceed():
                pass
            case PauseScheduler() | ResumeScheduler():
                ahead.about_pause = True
            case Declined() | PeersChanged() | LeaseDoubted() | ZonesSwitched():
                pass
            case _:
                fresh.add(message.task_id)
    wanted |= fresh
    return ahead
