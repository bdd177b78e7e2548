"""The keeper as one of several that write to one store: what it hears of the others, and whom it has to wake.

Theory of operation. Every decision about a task is a compare-and-set on the version of its row, so what another node has written
can make a decision void, but never wrong: it is read again and decided again. What remains is to notice:

- What a message says about tasks that others may have written is decided on rows that were read for it (`Ahead.fresh`), never on
  remembered ones; a task that came due and owes nothing as it is remembered is looked at once more.
- A commit wakes other nodes (`Commit.wakes`) where it concerns them: the owner of a partition that is not ours, when the task
  is new, gone, due at another instant or has somebody waiting for a slot; the node that runs an attempt which is to stop; and
  all of them when a concurrency key was given back. If another execution took it in the same commit, its task is named too: who
  reads that need not try.
- Once a second the store is looked at (`Observed`), so a wake-up that is lost costs no more than that. The peers are told then
  of what waits here and concerns them (`keeper_standing`).

The epoch guards what the owner of a partition decides by itself: settling, recovering. What people ask for, and the ends of
attempts, are written by any node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, assert_never

from runtime.clock import Instant
from runtime.records import evolve

from .keeper_calendars import Calendars
from .keeper_claims import ASIDE, BACKLOG_SIZE, is_claimable
from .keeper_dependencies import Waits
from .keeper_messages import Directive, Interrupt, Reconsider, Reschedule, SchedulerPaused
from .keeper_places import ClusterPlaces
from .keeper_progression import Progression
from .keeper_queues import Key
from .keeper_staging import Staged, Stepped
from .keeper_standing import StandingOffers
from .keeper_tasks import Tasks
from .model.execution import Execution, WaitsFor
from .model.lifecycle import State
from .model.peer import Peer
from .model.task import Task, partition_of
from .rules.catching_up import Governor
from .rules.dependencies import may_change_a_verdict
from .rules.placing import lost
from .sharing_messages import (
    Changed,
    Declined,
    EndTasks,
    LeaseDoubted,
    Observed,
    Offered,
    PeersChanged,
    SendDeclined,
    SharingEvent,
    ZonesSwitched,
)
from .store.port import Commit
from .store.shared import Shared

LIMIT: Final = 200
"""Tasks in one wake-up of our own: as many as a slice of others."""


class Sharing:
    """See the module's docstring. `governor`: what the whole cluster may do, divided among its nodes. `graph` and
    `calendar_changes`: as of the last look at the store."""

    def __init__(
        self,
        progression: Progression,
        places: ClusterPlaces,
        governor: Governor,
        calendars: Calendars,
        partitions: int,
    ) -> None:
        self.graph = -1
        self.calendar_changes = -1
        self.stale = False
        self._progression = progression
        self._claims = progression.claims
        self._places = places
        self._governor = governor
        self._cluster_rate = governor.rate
        self._partitions = partitions
        self._calendars = calendars
        self._zones_switched = False
        self._doubtful: dict[str, None] = {}
        self._standing = StandingOffers(self._claims, places)
        self._given_back: set[Key] = set()
        self._taken: list[tuple[Key, str]] = []

    def own(self, former: Mapping[int, int], epochs: Mapping[int, int]) -> None:
        """Other partitions are owned. What their former owner had not walked through yet is walked through again."""
        if self._zones_switched and epochs.keys() - former.keys():
            self._calendars.walk_zones()

    def learn(self, shared: Shared) -> None:
        """Calendars and dependencies were read after this was seen."""
        self.graph, self.calendar_changes, self.stale = shared.graph, shared.calendars, False

    # -- a batch

    def hear(
        self,
        message: SharingEvent,
        tasks: Tasks,
        epochs: Mapping[int, int],
        now: Instant,
    ) -> list[Directive]:
        """What follows at once from what is heard of others."""
        match message:
            case Changed(task_ids=ids):
                return self._look(ids, list(tasks.as_staged(ids)), epochs, now)
            case Offered(stands=True):
                self._standing.hear(message, tasks)
                return []
            case Offered():
                return self._take(message, tasks, now)
            case Declined(boot=boot, executions=executions):
                self._places.declined(boot, [execution_id for _, execution_id in executions])
                return [Changed(tuple({task_id: None for task_id, _ in executions}))]
            case PeersChanged(peers=peers):
                self._learn(peers, now)
                return []
            case Observed():
                return self._observe(message, tasks, now)
            case LeaseDoubted(doubted=doubted):
                self._claims.in_doubt = doubted
                return []
            case ZonesSwitched():
                self._calendars.walk_zones()
                self._zones_switched = True
                return []
            case _:
                assert_never(message)

    def _look(self, ids: Iterable[str], found: list[Task], epochs: Mapping[int, int], now: Instant) -> list[Directive]:
        told: list[Directive] = []
        gone = set(ids) - {task.id for task in found}
        mine = [task for task in found if partition_of(task.id, self._partitions) in epochs]
        due = [*((task.id, task.due) for task in mine), *((task_id, None) for task_id in sorted(gone))]
        if due:
            told.append(Reschedule(tuple(due)))
        if gone:
            told.append(EndTasks(tuple(sorted(gone))))
        keyed = [(_key_of(task), task) for task in found]
        named = Counter(key for key, _ in keyed)
        taken = Counter(key for key, task in keyed if _holds_it(task))
        for key, task in keyed:
            # A key that was given on is named with who gave it back and with who took it: nothing of it is free.
            self._claims.unblock(task.definition, key_too=key is not None and named[key] > 2 * taken[key])
            for execution in task.open:
                if not is_claimable(execution):
                    self._claims.gone(execution.id)
            told += self._to_stop(task)
        self._claims.note_backlog(mine, now, complete=False, more=True)
        if waiting := [task.id for task in mine if any(one.waits_for is WaitsFor.DEPENDENCY for one in task.open)]:
            told.append(Reconsider(tuple(waiting)))
        return told

    def _to_stop(self, task: Task) -> list[Interrupt]:
        return [
            Interrupt(execution.id, execution.fence, execution.cancel_reason)
            for execution in task.open
            if execution.state is State.RUNNING
            and execution.boot == self._claims.boot
            and execution.cancel_reason is not None
        ]

    def _take(self, message: Offered, tasks: Tasks, now: Instant) -> list[Directive]:
        left = []
        for task_id, execution_id in message.executions:
            staged = tasks.stage(task_id)
            execution = None if staged is None else staged.executions.get(execution_id)
            if staged is None or execution is None or not is_claimable(execution):
                continue
            if not self._claims.take_offered(staged, execution, now):
                left.append((task_id, execution_id))
        return [SendDeclined(message.boot, tuple(left))] if left else []

    def _learn(self, peers: tuple[Peer, ...], now: Instant) -> None:
        self._places.learn(peers, now)
        self._standing.forget(peers)
        self._claims.room_elsewhere(ASIDE)
        self._governor.rate = self._cluster_rate / max(1, sum(peer.takes_work for peer in peers))

    def _observe(self, message: Observed, tasks: Tasks, now: Instant) -> list[Directive]:
        told: list[Directive] = self._notice_pause(message, now)
        self.stale = self.stale or message.graph > self.graph or message.calendars > self.calendar_changes
        self._places.forget(now)
        self._claims.without_lease = False
        waiting = list(tasks.as_staged(message.waiting))
        told += self._standing.to_send(waiting)
        self._claims.unblock_all()
        self._claims.room_elsewhere(BACKLOG_SIZE)
        self._claims.note_backlog(waiting, now, complete=message.complete)
        for task in waiting:
            if lost(task.open, self._places.absent, now) and (staged := tasks.stage(task.id)) is not None:
                self._progression.lose_nodes(staged, self._places.absent, now)
        for task in tasks.as_staged(message.stopping):
            told += self._to_stop(task)
        return told

    def _notice_pause(self, message: Observed, now: Instant) -> list[Directive]:
        """Whether the scheduler is paused by now; not if it was paused or resumed here since the look began."""
        former = self._claims.paused
        newer = message.pauses != self._claims.pauses or self._claims.pauses % 2
        if newer or (former is None) is (message.pause is None):
            return []
        if former is not None:
            self._claims.pause_span = (former.since, max(now, former.since))
        self._claims.paused = message.pause
        return [SchedulerPaused(message.pause is not None)]

    def doubt(self, staged: Staged, *, read: bool) -> None:
        """A task came due and owes nothing, as it is remembered: unless it was read just now, it is looked at again."""
        if not read and not staged.writes_something:
            self._doubtful[staged.id] = None

    def to_look_at(self) -> list[Changed]:
        """What is to be looked at again."""
        doubtful, self._doubtful = tuple(self._doubtful), {}
        return [Changed(doubtful[start : start + LIMIT]) for start in range(0, len(doubtful), LIMIT)]

    # -- after a batch

    def wakes(self, staged: Staged, task: Task, waits: Waits, *, owned: bool) -> list[str]:
        """The tasks that other nodes should look at because of what was staged: itself, and its children if it is a parent."""
        woken = list(waits.children(task.id)) if _may_let_go(staged, task) else []
        self._note_keys(staged)
        if (not owned and self._concerns_owner(staged, task)) or any(
            self._concerns_runner(staged.executions[key], staged.stored(key)) for key in staged.changed
        ):
            woken.append(task.id)
        return woken

    def tells_nobody(self, waits: Waits, epochs: Mapping[int, int], stepped: Stepped) -> bool:
        """Whether `wakes` would find nobody because of a common step, and nothing to remember."""
        execution, owned = stepped.execution, stepped.update.partition in epochs
        return waits.is_idle and owned and execution.key is None and execution.boot == self._claims.boot

    def write(self, commit: Commit, wakes: Iterable[str]) -> Commit:
        """The commit with what guards it where others write too."""
        wakes = [*wakes, *(task_id for key, task_id in self._taken if key in self._given_back)]
        self._given_back.clear()
        self._taken.clear()
        return evolve(commit, boot=self._claims.boot, wakes=tuple(dict.fromkeys(wakes)), graph=max(0, self.graph))

    def _note_keys(self, staged: Staged) -> None:
        for execution_id in staged.changed:
            execution, former = staged.executions[execution_id], staged.stored(execution_id)
            before = former.key if former is not None and former.state is State.RUNNING else None
            after = execution.key if execution.state is State.RUNNING else None
            if before is not None and after is None:
                self._given_back.add((staged.definition.tenant, before))
            elif after is not None and before is None:
                self._taken.append(((staged.definition.tenant, after), staged.id))

    def _concerns_owner(self, staged: Staged, task: Task) -> bool:
        if staged.original is None or staged.deleted or task.due != staged.original.due:
            return True
        return any(is_claimable(staged.executions[key]) for key in staged.changed)

    def _concerns_runner(self, execution: Execution, former: Execution | None) -> bool:
        if former is None or former.state is not State.RUNNING:
            return former is not None and former.lingers and not execution.lingers
        if former.key is not None and (execution.state is not State.RUNNING or execution.key is None):
            return True
        return execution.boot != self._claims.boot and execution.cancel_reason != former.cancel_reason


def _key_of(task: Task) -> Key | None:
    concurrency = task.definition.policies.concurrency
    return None if concurrency is None else (task.definition.tenant, concurrency.key)


def _holds_it(task: Task) -> bool:
    return any(one.state is State.RUNNING and one.key is not None for one in task.open)


def _may_let_go(staged: Staged, task: Task) -> bool:
    return staged.original is not None and (staged.deleted or may_change_a_verdict(staged.original, task))
