"""The order of waiting where a queue of the user's own chooses who is given next.

Theory of operation. `Queues` stays the truth of who waits and who holds what; all claims, limits and keys are as without a queue
of the user's. What differs is whose turn it is. The queues that are the user's (`is_theirs`) take part in no turns while the
user's queue is in charge: who comes to them waits for his queue, and runs when it has been named. What is named is a hint, never
a right:

    named and waiting here             has its turn, as soon as its key and its queue have a place
    named again, unknown, not waiting  nothing happens
    not named                          waits on; who talks to the user's queue (`job_queue`) sees to it that this ends

So a queue that forgets, doubles or invents can change the order, and nothing else. When it does not answer it is not in charge:
then everything is as in `Queues`, whose structures are kept all the time, and nobody who waited is lost or passed over.

Named ones and the queues that are not the user's (those of the node's own tasks, at least) are served in turn, so that neither
stands in the other's way. What changes about those who wait is noted for the one who tells it to the user's queue.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

import attrs

from .keeper_queues import Chosen, Entry, Holder, Queues, QueueUse, Wants, _Queue
from .model.execution import WaitsFor
from .model.retention import SYSTEM

CHOSEN_AT_ONCE: Final = 1_000
"""Executions that are named and have not got their turn yet: more would only be a longer way for who is named later."""

FEW: Final = 1_000
"""With fewer than so many to choose among, more are read from the store if there are any."""

STALE_KEPT: Final = 64
"""Entries of those who are gone that a heap may hold beside as many as wait: rebuilding it costs what they do."""


@attrs.define(eq=False)
class Changes:
    """What is new since it was asked for: who waits now, who runs now, and whose execution is gone from here."""

    waiting: dict[str, Entry] = attrs.field(factory=dict)
    running: dict[str, str] = attrs.field(factory=dict)
    removed: dict[str, str] = attrs.field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self.waiting or self.running or self.removed)

    def waits(self, entry: Entry) -> None:
        """It waits, whatever it did before."""
        self._forget(entry.execution_id)
        self.waiting[entry.execution_id] = entry

    def runs(self, execution_id: str, task_id: str) -> None:
        """It runs."""
        self._forget(execution_id)
        self.running[execution_id] = task_id

    def leaves(self, execution_id: str, task_id: str) -> None:
        """It neither waits nor runs here."""
        self._forget(execution_id)
        self.removed[execution_id] = task_id

    def _forget(self, execution_id: str) -> None:
        for kind in (self.waiting, self.running, self.removed):
            kind.pop(execution_id, None)


class ChosenQueues(Queues):
    """See the module's docstring. `names`: of the queues that are the user's, empty: all but the node's own.

    `notify`: called when something has changed that the user's queue may have to hear.
    """

    def __init__(
        self, limits: Mapping[str, int], names: Collection[str] = (), notify: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(limits)
        self._names = frozenset(names)
        self._notify = notify
        self._chosen: dict[str, None] = {}
        self._running: dict[str, tuple[str, int]] = {}
        self._theirs: dict[str, None] = {}
        self._chosen_last = False
        self._heard = False
        self._changes = Changes()
        self.in_charge = True

    def is_theirs(self, queue: str) -> bool:
        """Whether the user's queue says who of this queue is next, when it is in charge."""
        return queue in self._names if self._names else queue != SYSTEM

    # -- what the user's queue says

    def choose(self, chosen: Chosen | None) -> None:
        """The user's queue has spoken, or cannot be asked any more."""
        if chosen is None:
            return
        if chosen.in_charge is not self.in_charge:
            self._change_hands(chosen.in_charge)
        if self.in_charge:
            for execution_id in chosen.ids:
                if execution_id in self._theirs and len(self._chosen) < CHOSEN_AT_ONCE:
                    self._chosen.setdefault(execution_id)

    def _change_hands(self, in_charge: bool) -> None:
        self.in_charge = in_charge
        self._chosen.clear()
        for queue in list(self._queues.values()):
            if self.is_theirs(queue.name):
                queue.offered = None
                self._offer(queue)

    def listen(self) -> Changes:
        """All who wait now; from now on what changes is noted. For one who begins to tell the user's queue."""
        self._heard, self._changes = True, Changes()
        return Changes({key: self._waiting[key] for key in self._theirs})

    def ignore(self) -> None:
        """Nobody listens any more."""
        self._heard, self._changes = False, Changes()

    def changes(self) -> Changes:
        """What has changed since `listen` or since it was asked for the last time."""
        found, self._changes = self._changes, Changes()
        return found

    def entry(self, execution_id: str) -> Entry | None:
        """One that waits."""
        return self._waiting.get(execution_id)

    def task_ids(self) -> set[str]:
        """The tasks of those who wait for being named."""
        return {self._waiting[key].task_id for key in self._theirs}

    def still_waiting(self, ids: Iterable[str]) -> list[str]:
        """Those of these who wait, and are not named."""
        return [one for one in ids if one in self._theirs and one not in self._chosen]

    @property
    def unnamed(self) -> int:
        """How many wait for being named."""
        return len(self._theirs) - sum(one in self._theirs for one in self._chosen)

    @property
    def named(self) -> int:
        """How many are named and have not got their turn yet."""
        return len(self._chosen)

    # -- whose turn it is

    def next(self) -> Entry | None:
        """Whose turn it is; None if nobody waits who could run and may."""
        if not self.in_charge:
            return super().next()
        if self._chosen_last:
            return super().next() or self._first_chosen()
        return self._first_chosen() or super().next()

    def _first_chosen(self) -> Entry | None:
        for execution_id in list(self._chosen):
            entry = self._waiting.get(execution_id)
            if entry is None:
                del self._chosen[execution_id]
            elif super().blocked_by(entry.queue, entry.wants) is None:
                return entry
        return None

    def blocked_by(self, queue: str, wants: Wants, *, named: bool = False) -> WaitsFor | None:
        """What keeps an execution from running now, apart from the slots: that it was not named, too, unless it was."""
        found = super().blocked_by(queue, wants)
        theirs = found is None and not named and self.in_charge and self.is_theirs(queue)
        return WaitsFor.QUEUE if theirs else found

    def is_limited(self, queue: str) -> bool:
        """Whether who comes to a queue may have to wait although a slot is free."""
        return (self.in_charge and self.is_theirs(queue)) or super().is_limited(queue)

    @property
    def has_limits(self) -> bool:
        """Whether any queue may make somebody wait although a slot is free."""
        return True

    @property
    def is_idle(self) -> bool:
        """Whether nobody is known who could run, so that more may be read from the store."""
        return not (self.in_charge and len(self._theirs) >= FEW) and self.next() is None

    def _offer(self, queue: _Queue) -> None:
        if not (self.in_charge and self.is_theirs(queue.name)):
            super()._offer(queue)
        elif not queue.waiting and not queue.holders:
            self._queues.pop(queue.name, None)
        elif len(queue.ready) > 2 * len(queue.waiting) + STALE_KEPT:
            # Nobody takes these from the top while the order is not ours.
            queue.ready = [one for one in queue.ready if self._waiting.get(one[3].execution_id) is one[3]]
            heapq.heapify(queue.ready)

    # -- what is noted

    def enter(self, entry: Entry) -> None:
        """Somebody waits."""
        former = self._waiting.get(entry.execution_id)
        named = former is not None and entry.execution_id in self._chosen
        super().enter(entry)
        if self.is_theirs(entry.queue) and former != entry:
            self._theirs[entry.execution_id] = None
            if named:
                self._chosen[entry.execution_id] = None
            self._running.pop(entry.execution_id, None)
            self._note(self._changes.waits, entry)

    def _remove(self, execution_id: str) -> Entry | None:
        entry = super()._remove(execution_id)
        if entry is not None and execution_id in self._theirs:
            del self._theirs[execution_id]
            self._chosen.pop(execution_id, None)
            self._note(self._changes.leaves, execution_id, entry.task_id)
        return entry

    def take(self, entry: Entry, holder: Holder) -> None:
        """The one whose turn it was runs."""
        self._chosen_last = entry.execution_id in self._chosen
        super().take(entry, holder)

    def hold(self, holder: Holder) -> None:
        """An execution runs."""
        super().hold(holder)
        if holder.queue and self.is_theirs(holder.queue):
            self._running[holder.execution_id] = holder.task_id, holder.fence
            self._note(self._changes.runs, holder.execution_id, holder.task_id)

    def release(self, execution_id: str, fence: int | None = None) -> None:
        """An execution does not run any more."""
        super().release(execution_id, fence)
        known = self._running.get(execution_id)
        if known is not None and fence in (None, known[1]):
            del self._running[execution_id]
            self._note(self._changes.leaves, execution_id, known[0])
        self._notify()

    def release_all(self, prefix: str = "") -> None:
        """Nobody whose id begins so holds anything: to be told anew who does."""
        for execution_id in [one for one in self._running if one.startswith(prefix)]:
            self.release(execution_id)
        super().release_all(prefix)

    def _note(self, how: Callable[..., None], *what: object) -> None:
        if self._heard:
            how(*what)
            self._notify()

    # -- looking

    def _use(self, name: str) -> QueueUse:
        use = super()._use(name)
        return attrs.evolve(use, chosen=self.in_charge and self.is_theirs(name))

    def check_invariants(self) -> None:
        """Raise AssertionError if the state contradicts itself."""
        assert self._theirs.keys() == {key for key, one in self._waiting.items() if self.is_theirs(one.queue)}
        for queue in self._queues.values():
            if self.in_charge and self.is_theirs(queue.name):
                assert queue.offered is None, f"queue {queue.name} takes turns that are not ours to give"
        if not self.in_charge:
            super().check_invariants()
