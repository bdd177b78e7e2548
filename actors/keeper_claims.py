"""Claims: which executions get the lane's free slots, and which wait.

Theory of operation. `slots` are the free slots of the lane's executor as far as claims are concerned: a claim takes one, an
end or `SlotsFreed` gives one back. Nothing is claimed before the executor has said what it has, nor while the node drains or
the whole scheduler is paused. An execution needs a slot, a place in its queue if that has a limit, its concurrency key if it
has one, and the governor's leave if it is recovery work. Who does not find all of them waits, in the order of `keeper_queues`;
whoever comes while others could run goes behind them. What is said of it in the store (`waits_for`) is what it lacked when it
came. An entry may be stale: it is checked when its turn comes.

What is held is derived, never counted: it is the executions that run or linger, built anew from the store whenever the executor
says what it has. Where several nodes share the store these are the node's own; a key that others hold in full is learned from
a claim that the store refuses, and stays blocked here until somebody says that it was freed, or for a second.

Who cannot be claimed here may be offered to a node that has room (`keeper_places`). One who waits keeps his place here until
then: queues and keys decide the order, places only where. Those of other nodes that have told of them (`keeper_standing`) wait
among the own ones. Where one whose turn it is has to run elsewhere, what is free of his key is left to him until the next look:
else somebody behind him would take it here at once, every time.

Memory is bounded: beyond BACKLOG_SIZE entries of a queue, what comes later in the order stays in the store only, and goes on
doing so until it was read from there; so nobody who is in memory has overtaken one who is not. If all that is known is blocked,
more is read, up to BACKLOG_MOST. What is hidden behind so many blocked ones waits until some of them are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Final

from runtime.clock import Instant, Micros
from runtime.records import evolve

from .keeper_messages import Start
from .keeper_places import OnlyHere, Place, Places, Room
from .keeper_queues import GOVERNOR, Entry, Holder, Key, Lock, Queues, Wants
from .keeper_staging import Staged
from .model.execution import CLAIMABLE, Execution, Kind, WaitsFor
from .model.lifecycle import State
from .model.occurrence import Outcome, Reason
from .model.outside import is_outside
from .model.peer import Peer
from .model.policy import Policies
from .model.task import Definition, Task
from .rules import attempts
from .rules.catching_up import CATCH_UP_RUNNING, RECOVERY_AFTER
from .sharing_messages import SendOffer
from .store.port import SchedulerPause

BACKLOG_SIZE: Final = 10_000
"""Waiting executions of one queue that are kept in memory, some 5 MB; more of them wait in the store only."""

BACKLOG_MOST: Final = 160_000
"""Waiting tasks that are read at the most to find one that is not blocked: some 80 MB in the worst case."""

PREFETCH: Final = 256
"""Tasks read ahead when those whose turn comes are not in the cache."""

ASIDE: Final = 256
"""Of those whose turn it is, so many are passed over in one batch because no node that may run them has room, and tried again
when the load of a node has changed."""

ELSEWHERE: Final = "elsewhere"
"""Stands for the holders of a key on other nodes; no execution has such an id."""

NO_LIMIT: Final = 1_000_000_000
"""The limit that an execution brings to a key which its task does not name any more."""

Limits = Mapping[str, int] | Queues

Rank = tuple[int, str]
"""Priority and execution id: the order of waiting."""


class Claims:
    """See the module's docstring. `boot` and `node` name the process that claims; `runs`: whether it has a task type.

    `queues`: the limits of queues that have one, or who keeps them; `recovering`: how much recovery work runs at once; `places`:
    where else executions may run. `in_doubt`: the node may count as dead. `without_lease`: a claim was refused because its boot
    has none, or none any more; tried again after the next look.
    """

    def __init__(
        self,
        boot: str,
        node: str,
        runs: Callable[[str], bool],
        queues: Limits | None = None,
        recovering: int = CATCH_UP_RUNNING,
        places: Places | None = None,
    ) -> None:
        self.boot = boot
        self.node = node
        self.places = places or OnlyHere(runs, node)
        self.slots = 0
        self.queues = queues if isinstance(queues, Queues) else Queues({} if queues is None else queues)
        self.paused: SchedulerPause | None = None
        self.pause_span: tuple[Instant, Instant] | None = None
        self.pauses = 0
        self.in_doubt = False
        self.without_lease = False
        self.wanted: frozenset[str] = frozenset()
        self._recovering = recovering
        self._in_sync = False
        self._draining = False
        self._complete = False
        self._beyond: Rank | None = None
        self._hidden: dict[str, Rank] = {}
        self._reach = BACKLOG_SIZE
        self._in_vain = False
        self._aside: list[Entry] = []
        self._aside_here: list[Entry] = []
        self._free_then = 0
        self._left: dict[str, list[str]] = {}
        self._gave_way: set[Key] = set()

    # -- what the executor has

    def synchronise(self, slots: int) -> None:
        """The executor has said how many slots are free. Who holds what is told anew, with `holds`."""
        self.slots, self._in_sync = slots, True
        self.queues.release_all()

    def lose_sync(self) -> None:
        """The executor has started anew: nothing is claimed before it has said what it has."""
        self._in_sync = False

    def stop(self) -> None:
        """Claim nothing more."""
        self._draining = True

    def holds(self, definition: Definition, execution: Execution) -> None:
        """An execution that runs, or that lingers, was found in the store."""
        wants: Wants = ()
        if execution.key is not None:
            wants = (((definition.tenant, execution.key), _limit(definition.policies, execution.key)),)
        if execution.attempt == 1 and _is_recovery(definition, execution):
            wants = (*wants, (GOVERNOR, self._recovering))
        since = execution.started_at or execution.created_at
        queue = definition.policies.queue
        self.queues.hold(
            Holder(definition.id, execution.id, execution.fence, since, queue, wants, lingers=execution.lingers)
        )

    def block(self, definition: Definition) -> None:
        """Other nodes hold all of a task's concurrency key."""
        if (concurrency := definition.policies.concurrency) is not None:
            key = (definition.tenant, concurrency.key)
            self.queues.hold(Holder("", f"{ELSEWHERE} {key}", 0, Instant(0), "", ((key, 1),)))

    def unblock(self, definition: Definition, *, key_too: bool = True) -> None:
        """Other nodes may have given a task's concurrency key back, if `key_too`, or do without what was left to it."""
        if key_too and (concurrency := definition.policies.concurrency) is not None:
            self.queues.release(f"{ELSEWHERE} {(definition.tenant, concurrency.key)}")
        for left in self._left.pop(definition.id, ()):
            self.queues.release(left)

    def unblock_all(self) -> None:
        """Whoever holds a key elsewhere may have given it back."""
        self.queues.release_all(ELSEWHERE)
        self._left.clear()

    def _leave_keys_to(self, entry: Entry) -> None:
        """One that is to run elsewhere gets its keys: here they are held for it until its task has changed or been looked at."""
        if wants := tuple(want for want in entry.wants if want[0] != GOVERNOR):
            name = f"{ELSEWHERE} {entry.execution_id}"
            self.queues.hold(Holder(entry.task_id, name, 0, Instant(0), "", wants))
            self._left.setdefault(entry.task_id, []).append(name)

    def _give_way(self, entry: Entry) -> None:
        """The same where no node that may run it is known to have room: every other turn, for it may last until one has."""
        keys = {key for key, _ in entry.wants}
        if not keys & self._gave_way:
            self._gave_way |= keys
            self._leave_keys_to(entry)

    def ended(self, execution_id: str, fence: int) -> None:
        """An attempt is over, and its handler has returned."""
        self.queues.release(execution_id, fence)

    def lingers(self, execution_id: str, fence: int) -> None:
        """An attempt is over, but its handler has not returned: what it holds stays held."""
        holder = self.queues.holder(execution_id)
        if holder is not None and holder.fence == fence:
            self.queues.replace(evolve(holder, lingers=True))

    def unlock(self, execution_id: str, key: Key) -> None:
        """An execution does not hold a key any more, whatever it does."""
        holder = self.queues.holder(execution_id)
        if holder is not None:
            self.queues.replace(evolve(holder, wants=tuple(want for want in holder.wants if want[0] != key)))

    def undo(self, staged: Staged) -> None:
        """What was staged about a task was not committed: what it took is free again, and who waited waits again."""
        self.slots += staged.starts
        for holder in staged.unlocked:
            self.queues.replace(holder)
        for holder in staged.claimed:  # After those: some were given a key and lost it in the same batch.
            self.queues.release(holder.execution_id, holder.fence)
        if staged.original is not None:
            self._wait_again(staged.original)

    def _wait_again(self, task: Task) -> None:
        for execution in task.open:
            if is_claimable(execution) and self._keeps(task.definition, execution):
                self.queues.enter(self._entry(task.definition, execution))
                self.wanted |= {task.id}

    def _keeps(self, definition: Definition, execution: Execution) -> bool:
        """Whether one who waits is kept in mind here: where there are other nodes, those too who must run elsewhere."""
        return not self.places.is_alone or self.places.may_run_here(definition, execution)

    # -- who comes

    def to_slot(self, staged: Staged, execution: Execution, now: Instant) -> None:
        """Run it now if all it needs is free and nobody waits longer, else let it wait for what it lacks."""
        place = self.places.choose(staged.definition, execution, self.slots if self.is_free else 0)
        if place is Room.NOBODY:
            staged.put(evolve(execution, waits_for=WaitsFor.NODE, due=None))
            return
        if execution.lingers:
            # Its own former attempt has not returned, and no execution is in two attempts at once.
            staged.put(evolve(execution, waits_for=WaitsFor.OVERLAP, due=None))
            return
        entry = self._entry(staged.definition, execution)
        lacks = self.queues.blocked_by(entry.queue, entry.wants)
        if lacks is None and self.is_free and place is Room.HERE:
            self._claim(staged, execution, now, entry, waited=False)
            return
        staged.put(evolve(execution, waits_for=lacks or WaitsFor.SLOT, due=None))
        if lacks is None and isinstance(place, Peer):
            self._offer(staged, entry, place, now)
        else:
            self._wait(entry)

    def _offer(self, staged: Staged, entry: Entry, peer: Peer, now: Instant) -> None:
        self.places.offered(entry.execution_id, peer, now)
        staged.directives += (SendOffer(peer.boot, ((staged.id, entry.execution_id),)),)
        self._leave_keys_to(entry)

    def take_offered(self, staged: Staged, execution: Execution, now: Instant) -> bool:
        """Claim an execution that another node has offered, if all that it needs is free here and now; of its key that node
        knows better."""
        self.unblock(staged.definition)
        if (
            not is_claimable(execution)
            or not self.is_free
            or not self.places.may_run_here(staged.definition, execution)
        ):
            return False
        entry = self._entry(staged.definition, execution)
        if self.queues.blocked_by(entry.queue, entry.wants, named=True) is not None:
            return False
        self._claim(staged, execution, now, entry, waited=False)
        return True

    def lacks(self, definition: Definition, execution: Execution) -> tuple[WaitsFor | None, Lock | None]:
        """What keeps an execution that waits from being claimed now, and the key with its holders if it is one."""
        entry = self._entry(definition, execution)
        lacks = self.queues.blocked_by(entry.queue, entry.wants)
        if lacks is WaitsFor.KEY:
            return lacks, self.queues.lock(entry.wants[0][0])
        return (lacks or WaitsFor.SLOT) if self.slots <= 0 or lacks is not None else None, None

    def most_urgent_first(self, task_ids: Sequence[str], tasks: Mapping[str, Task]) -> Sequence[str]:
        """Tasks that are due together, in the order in which they should ask: the first may take the last place there is."""
        if len(task_ids) <= self.slots and not self.queues.has_limits:
            return task_ids
        known = [(tasks[key].definition.policies.priority if key in tasks else 0, key) for key in task_ids]
        return [key for _, key in sorted(known, key=lambda pair: pair[0])]

    def takes_at_once(self, policies: Policies) -> bool:
        """Whether an execution under these policies needs nothing but a slot, and gets one now."""
        return self.is_free and policies.concurrency is None and not self.queues.is_limited(policies.queue)

    @property
    def is_free(self) -> bool:
        """Whether whoever needs only a slot is claimed at once: one is free, and nobody who could run waits longer."""
        return self.may_claim and self.queues.next() is None

    @property
    def may_claim(self) -> bool:
        """Whether a slot is free and may be taken."""
        ready = self._in_sync and not self._draining and not self.in_doubt and not self.without_lease
        return self.slots > 0 and ready and self.paused is None

    def stand(self, definition: Definition, execution: Execution, *, urgent: bool) -> bool:
        """Another node tells of an execution that waits with it: let it wait here too if it is urgent or its key is used here."""
        entry = self._entry(definition, execution, True, not urgent)
        concerned = urgent or self.queues.uses(entry.wants, ELSEWHERE)
        if concerned and not self._is_left_out(entry.queue, (entry.priority, entry.execution_id)):
            self.queues.enter(entry)
        return entry.execution_id in self.queues

    def no_longer_told(self, execution_id: str) -> None:
        """The node with which an execution waits does not tell of it any more."""
        if self.queues.is_told(execution_id):
            self.queues.leave(execution_id)

    def _entry(self, definition: Definition, execution: Execution, told: bool = False, aside: bool = False) -> Entry:
        policies = definition.policies
        wants: Wants = ()
        if policies.concurrency is not None:
            wants = (((definition.tenant, policies.concurrency.key), policies.concurrency.limit),)
        if execution.first_started_at is None and _is_recovery(definition, execution):
            wants = (*wants, (GOVERNOR, self._recovering))
        return Entry(policies.priority, execution.id, definition.id, policies.queue, wants, told, aside)

    def _wait(self, entry: Entry) -> None:
        rank = (entry.priority, entry.execution_id)
        if self._is_left_out(entry.queue, rank):
            return
        if self.queues.depth(entry.queue) >= BACKLOG_SIZE and entry.execution_id not in self.queues:
            self._hidden[entry.queue] = min(rank, self._hidden.get(entry.queue, rank))
            return
        self.queues.enter(entry)

    def _is_left_out(self, queue: str, rank: Rank) -> bool:
        """Whether one of this rank stays in the store, because there are others there who come before it."""
        hidden = self._hidden.get(queue)
        return (self._beyond is not None and rank > self._beyond) or (hidden is not None and rank >= hidden)

    def _claim(self, staged: Staged, execution: Execution, now: Instant, entry: Entry, *, waited: bool) -> None:
        fence = staged.state.fence + 1
        claimed = self._blame_pause(attempts.claim(execution, fence, self.boot, self.node, now), execution, now)
        concurrency = staged.definition.policies.concurrency
        claimed = evolve(claimed, key=None if concurrency is None else concurrency.key)
        holder = Holder(entry.task_id, execution.id, fence, now, entry.queue, entry.wants)
        self._gave_way.difference_update(key for key, _ in entry.wants)
        if waited:
            self.queues.take(entry, holder)
            self._in_vain = False
        else:
            self.queues.leave(execution.id)
            self.queues.hold(holder)
        self.slots -= 1
        staged.starts += 1
        staged.claimed += (holder,)
        staged.put(claimed)
        staged.set(fence=fence, last_execution=claimed.id, last_started_at=now)
        staged.directives += (Start(staged.definition, claimed),)

    def _blame_pause(self, claimed: Execution, former: Execution, now: Instant) -> Execution:
        """A first start that is late because the whole scheduler was paused says so."""
        span, nominal = self.pause_span, claimed.nominal
        if span is None or nominal is None or former.outcome is not None or claimed.outcome is not Outcome.LATE:
            return claimed
        return evolve(claimed, reason=Reason.PAUSED) if span[0] <= nominal <= span[1] else claimed

    # -- whose turn it is

    def from_backlog(
        self, stage: Callable[[str], Staged | None], in_flight: Set[str], read: Set[str], now: Instant
    ) -> None:
        """Give what is free to those who wait, in their order.

        It ends at one whose task is being committed or was not read for this batch: `wanted` says which have to be at hand
        to go on. read: tasks that were asked for; what of them is not there is gone. Those for whom no node has room are kept
        aside until there may be some: they must not stand in the way of others, nor of what is offered.
        """
        self.wanted = frozenset()
        if self._free > self._free_then:
            self._aside_here = self._back(self._aside_here, len(self._aside_here))
        passed_over = 0
        while self._may_serve and (entry := self.queues.next()) is not None:
            if entry.task_id in in_flight or passed_over >= ASIDE:
                self.wanted = frozenset({entry.task_id})
                break
            staged = stage(entry.task_id)
            if staged is None and entry.task_id not in read:
                ahead = self.queues.upcoming(entry.queue, PREFETCH)
                self.wanted = frozenset({entry.task_id, *(one.task_id for one in ahead)})
                break
            execution = None if staged is None else staged.executions.get(entry.execution_id)
            if staged is None or execution is None or not is_claimable(execution):
                self.queues.leave(entry.execution_id)
            elif (fresh := self._entry(staged.definition, execution, entry.told, entry.aside)) != entry:
                self.queues.enter(fresh)
            elif not self._serve(staged, execution, entry, now):
                passed_over += 1
                here = self.places.may_run_here(staged.definition, execution)
                (self._aside_here if here else self._aside).append(entry)
        self._free_then = self._free

    @property
    def _free(self) -> int:
        return self.slots if self.may_claim else 0

    def _back(self, aside: list[Entry], most: int) -> list[Entry]:
        """Have some of those who were passed over wait as before, the first ones; answers the others."""
        for entry in aside[:most]:
            if entry.execution_id not in self.queues:
                self.queues.enter(entry)
        return aside[most:]

    def room_elsewhere(self, most: int) -> None:
        """Other nodes may have room for some of those who were passed over."""
        self._aside, self._aside_here = self._back(self._aside, most), self._back(self._aside_here, most)

    @property
    def _may_serve(self) -> bool:
        room = self.places.has_room_elsewhere and self.paused is None and not self._draining
        return self.may_claim or room

    def _serve(self, staged: Staged, execution: Execution, entry: Entry, now: Instant) -> bool:
        """Claim or offer the one whose turn it is. False if no node that may run it has room."""
        if entry.told and self.places.may_run_here(staged.definition, execution):
            # Its owner chooses among the nodes. Here it is only a matter of who has waited longest.
            place: Place = Room.HERE if self.may_claim else Room.BUSY
        else:
            place = self.places.choose(staged.definition, execution, self._free)
        if place is Room.HERE and self.may_claim:
            self._claim(staged, execution, now, entry, waited=True)
            return True
        self.queues.leave(entry.execution_id)
        if isinstance(place, Peer):
            self._offer(staged, entry, place, now)
            return True
        here = self.places.may_run_here(staged.definition, execution)
        if place is Room.BUSY and not here:
            self._give_way(entry)
        return entry.told and not here

    def gone(self, execution_id: str) -> None:
        """An execution does not wait any more."""
        self.queues.leave(execution_id)

    def edited(self, staged: Staged) -> None:
        """The policies of a task have changed: who waits or runs does so under the new ones."""
        definition = staged.definition
        for execution in staged.executions.values():
            if execution.id in self.queues:
                self.queues.enter(self._entry(definition, execution))
            holder = self.queues.holder(execution.id)
            if holder is not None and execution.key is not None:
                key, limit = (definition.tenant, execution.key), _limit(definition.policies, execution.key)
                wants = tuple((one, limit if one == key else known) for one, known in holder.wants)
                self.queues.replace(evolve(holder, wants=wants))

    # -- the store's part of those who wait

    @property
    def wants_backlog(self) -> bool:
        """Whether executions wait in the store that should be read now, because nobody in memory can run."""
        everything = self._complete and not self._hidden
        idle = self.may_claim and self.queues.is_idle and not self._aside and not self._aside_here
        return idle and not everything and not self._in_vain

    @property
    def room(self) -> int:
        """How many tasks to read."""
        return self._reach

    def note_backlog(self, found: Iterable[Task], now: Instant, *, complete: bool, more: bool = False) -> None:
        """Executions of these tasks were found waiting in the store: those that come first in the order.

        complete: there are no others; more: others follow at once.
        """
        last: Rank | None = None
        for task in found:
            for execution in task.open:
                if is_claimable(execution) and self._keeps(task.definition, execution):
                    entry = self._entry(task.definition, execution)
                    if not self.places.is_offered(execution.id, now):
                        self.queues.enter(entry)
                    rank = (entry.priority, entry.execution_id)
                    last = rank if last is None else max(last, rank)
        if complete:
            self._complete, self._beyond = True, None
            self._hidden.clear()
            self._reach = BACKLOG_SIZE
            return
        if last is not None:
            if not self._complete:
                self._beyond = last if self._beyond is None else max(last, self._beyond)
            self._hidden = {queue: max(rank, last) for queue, rank in self._hidden.items()}
        if not more and self.queues.is_idle:
            self._in_vain = self._reach >= BACKLOG_MOST
            self._reach = min(2 * self._reach, BACKLOG_MOST)


def is_claimable(execution: Execution) -> bool:
    """Whether it may be claimed as soon as all that it needs is free."""
    return (
        execution.state is State.WAITING
        and execution.waits_for in CLAIMABLE
        and execution.due is None
        and not execution.lingers
    )


def _is_recovery(definition: Definition, execution: Execution) -> bool:
    """Whether it was admitted late because of a downtime or a pause, and is this node's work and not that of workers."""
    nominal = execution.nominal if execution.assigned is None else execution.assigned
    if nominal is None or execution.kind is not Kind.OCCURRENCE or is_outside(definition.type):
        return False
    return Micros(execution.created_at - nominal) > RECOVERY_AFTER


def _limit(policies: Policies, key: str) -> int:
    concurrency = policies.concurrency
    return NO_LIMIT if concurrency is None or concurrency.key != key else concurrency.limit
