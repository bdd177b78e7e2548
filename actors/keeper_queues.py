"""Who waits, who holds what, and whose turn it is: queues, concurrency keys, and the fair order between them.

Theory of operation. Every execution that waits is in one queue, by (priority, id): an id grows with time, so that is first come,
first served within a priority. Between queues the best priority goes first, and among equals they take turns. A queue may
have a limit of executions that run at once, and so may a concurrency key, which executions of several queues can share.
Whoever cannot run for his queue's or his key's sake stands aside and blocks nobody:

- a queue that is full is not offered a turn before it has a place;
- one whose key is full is *parked* with the key. When the key has a place, the first one parked of each queue goes back into
  its queue; the next one follows when that one was served.

What is held is kept as the executions that hold it, never as a number: `release` of an execution is right however often it is
told. Of differing limits for one key the strictest among those who hold it or wait for it now counts; with the last of them it
is forgotten. Whoever needs both a place in a queue and a key takes neither before both are free.

Guaranteed: while a key has a place, the first one parked of each queue is in that queue; every step costs O(log n).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Final

import attrs

from runtime.clock import Instant
from runtime.records import record

from .model.execution import WaitsFor

Key = tuple[str, str]
"""Tenant and concurrency key."""

GOVERNOR: Final[Key] = ("\0", "governor")
"""The key that all recovery work shares. No tenant's name has such a character."""

Wants = tuple[tuple[Key, int], ...]
"""The keys that an execution needs, each with the limit that its definition says."""


@record
class Entry:
    """One execution that waits. `told`: with another node, which has told of it; `aside`: only for the order at its key."""

    priority: int
    execution_id: str
    task_id: str
    queue: str
    wants: Wants = ()
    told: bool = False
    aside: bool = False


@record
class Holder:
    """One execution that runs, or whose abandoned handler has not returned."""

    task_id: str
    execution_id: str
    fence: int
    since: Instant
    queue: str
    wants: Wants = ()
    lingers: bool = False


@record
class Lock:
    """A concurrency key that somebody holds or waits for."""

    tenant: str
    key: str
    limit: int
    holders: tuple[Holder, ...]
    waiting: int


@record
class Chosen:
    """What a queue of the user's says: who has the next turns, in this order, and whether it is in charge at all."""

    ids: tuple[str, ...] = ()
    in_charge: bool = True


@record
class QueueUse:
    """A queue with a limit or with somebody waiting in it. `running` is counted for queues with a limit only.

    `chosen`: a queue of the user's says who is next.
    """

    name: str
    limit: int | None
    running: int
    waiting: int
    chosen: bool = False


Heap = list[tuple[int, str, int, Entry]]
"""By priority and execution id; the third is a serial number, so that entries are never compared."""


@attrs.define(eq=False)
class _Queue:
    """`offered` is its newest rank among the turns; `turn` grows each time it is served."""

    name: str
    limit: int | None
    turn: int
    ready: Heap = attrs.field(factory=list)
    waiting: set[str] = attrs.field(factory=set)
    holders: set[str] = attrs.field(factory=set)
    offered: tuple[int, int] | None = None

    @property
    def is_full(self) -> bool:
        return self.limit is not None and len(self.holders) >= self.limit


@attrs.define(eq=False)
class _Pool:
    """One key. `limits`: who holds it or waits for it, by the limit that he knows; `parked`: by queue."""

    limits: dict[int, set[str]] = attrs.field(factory=dict)
    holders: dict[str, Holder] = attrs.field(factory=dict)
    parked: dict[str, Heap] = attrs.field(factory=dict)

    @property
    def limit(self) -> int:
        return min(self.limits)

    @property
    def is_full(self) -> bool:
        return bool(self.limits) and len(self.holders) >= self.limit

    def join(self, limit: int, execution_id: str) -> None:
        self.limits.setdefault(limit, set()).add(execution_id)

    def part(self, limit: int, execution_id: str) -> None:
        members = self.limits.get(limit)
        if members is not None:
            members.discard(execution_id)
            if not members:
                del self.limits[limit]


class Queues:
    """See the module's docstring. `limits`: of the queues that have one."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._queues: dict[str, _Queue] = {}
        self._pools: dict[Key, _Pool] = {}
        self._waiting: dict[str, Entry] = {}
        self._holders: dict[str, Holder] = {}
        self._turns: list[tuple[int, int, str]] = []
        self._serial = count()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, execution_id: object) -> bool:
        return execution_id in self._waiting

    def depth(self, queue: str) -> int:
        """How many wait in a queue."""
        found = self._queues.get(queue)
        return 0 if found is None else len(found.waiting)

    @property
    def has_limits(self) -> bool:
        """Whether any queue has a limit of its own."""
        return bool(self._limits)

    def is_limited(self, queue: str) -> bool:
        """Whether a queue has a limit of its own."""
        return queue in self._limits

    @property
    def is_idle(self) -> bool:
        """Whether nobody is known who could run, so that more may be read from the store."""
        return self.next() is None

    # -- waiting

    def enter(self, entry: Entry) -> None:
        """Somebody waits; whoever is here already changes to what is said now."""
        former = self._waiting.get(entry.execution_id)
        if former == entry:
            return
        if former is not None:
            self.leave(entry.execution_id)
        self._waiting[entry.execution_id] = entry
        for key, limit in entry.wants:
            self._pools.setdefault(key, _Pool()).join(limit, entry.execution_id)
        queue = self._queue(entry.queue)
        queue.waiting.add(entry.execution_id)
        self._push(queue, entry)

    def leave(self, execution_id: str) -> None:
        """Somebody does not wait any more."""
        entry = self._remove(execution_id)
        if entry is not None:
            for key, _ in entry.wants:
                self._freed(key)
            self._offer(self._queue(entry.queue))

    def _remove(self, execution_id: str) -> Entry | None:
        entry = self._waiting.pop(execution_id, None)
        if entry is not None:
            self._queue(entry.queue).waiting.discard(execution_id)
            holder = self._holders.get(execution_id)
            for want in entry.wants:
                if holder is None or want not in holder.wants:
                    self._pools[want[0]].part(want[1], execution_id)
        return entry

    def next(self) -> Entry | None:
        """Whose turn it is; None if nobody waits who could run. Parks those whose key is full."""
        while self._turns:
            priority, turn, name = self._turns[0]
            queue = self._queues.get(name)
            if queue is None or queue.offered != (priority, turn):
                heapq.heappop(self._turns)
                continue
            head = self._head(queue)
            if head is None or queue.is_full or (head.priority, queue.turn) != (priority, turn):
                heapq.heappop(self._turns)
                queue.offered = None
                self._offer(queue)
                continue
            full = self._full_key(head.wants)
            if full is None:
                return head
            self._park(queue, head, full)
        return None

    def upcoming(self, queue: str, limit: int) -> list[Entry]:
        """The first ones of a queue, as far as nothing blocks them."""
        return [entry for *_, entry in heapq.nsmallest(limit, self._queue(queue).ready)]

    def blocked_by(self, queue: str, wants: Wants, *, named: bool = False) -> WaitsFor | None:
        """What keeps an execution from running now, apart from the executor's slots: the key before the queue.

        named: its turn was decided already, on another node.
        """
        full = self._full_key(wants)
        if full is not None:
            return WaitsFor.GOVERNOR if full == GOVERNOR else WaitsFor.KEY
        found = self._queues.get(queue)
        return WaitsFor.QUEUE if found is not None and found.is_full else None

    def uses(self, wants: Wants, apart_from: str) -> bool:
        """Whether anybody holds one of these keys or waits for it, apart from whose id begins so, and who is told of for its key
        alone."""
        return any(
            not (member.startswith(apart_from) or ((entry := self._waiting.get(member)) is not None and entry.aside))
            for key, _ in wants
            if (pool := self._pools.get(key)) is not None
            for members in pool.limits.values()
            for member in members
        )

    def is_told(self, execution_id: str) -> bool:
        """Whether it waits with another node, which has told of it."""
        entry = self._waiting.get(execution_id)
        return entry is not None and entry.told

    def _full_key(self, wants: Wants) -> Key | None:
        for key, limit in wants:
            pool = self._pools.get(key)
            if pool is not None and len(pool.holders) >= min(limit, pool.limit if pool.limits else limit):
                return key
        return None

    def _queue(self, name: str) -> _Queue:
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = _Queue(name, self._limits.get(name), next(self._serial))
        return queue

    def _head(self, queue: _Queue) -> Entry | None:
        ready = queue.ready
        while ready:
            entry = ready[0][3]
            if self._waiting.get(entry.execution_id) is entry:
                return entry
            heapq.heappop(ready)
        return None

    def _push(self, queue: _Queue, entry: Entry) -> None:
        heapq.heappush(queue.ready, (entry.priority, entry.execution_id, next(self._serial), entry))
        self._offer(queue)

    def _offer(self, queue: _Queue) -> None:
        """Take part in the turns, if anybody is there who may be served."""
        head = self._head(queue)
        if head is not None and not queue.is_full:
            rank = (head.priority, queue.turn)
            if queue.offered != rank:
                queue.offered = rank
                heapq.heappush(self._turns, (*rank, queue.name))
        elif head is None and not queue.waiting and not queue.holders:
            self._queues.pop(queue.name, None)

    def _park(self, queue: _Queue, head: Entry, full: Key) -> None:
        parked = self._pools[full].parked.setdefault(queue.name, [])
        heapq.heappush(parked, heapq.heappop(queue.ready))
        for key, _ in head.wants:
            if key != full:
                self._freed(key)
        self._offer(queue)

    def _freed(self, key: Key) -> None:
        """If a key has a place, let the first one parked of each queue stand in his queue again."""
        pool = self._pools.get(key)
        if pool is None or pool.is_full:
            return
        for name in list(pool.parked):
            heap = pool.parked[name]
            while heap:
                *_, entry = heapq.heappop(heap)
                if self._waiting.get(entry.execution_id) is entry:
                    self._push(self._queue(name), entry)
                    break
            if not heap:
                del pool.parked[name]
        if not pool.limits and not pool.holders:
            del self._pools[key]

    # -- holding

    def take(self, entry: Entry, holder: Holder) -> None:
        """The one whose turn it was runs."""
        queue = self._queue(entry.queue)
        self._remove(entry.execution_id)
        queue.turn = next(self._serial)
        self.hold(holder)
        for key, _ in entry.wants:
            self._freed(key)
        self._offer(queue)

    def hold(self, holder: Holder) -> None:
        """An execution runs. One that needs nothing limited is not remembered.

        It may wait at the same time: where its attempt is given up, but not yet known to be over.
        """
        self.release(holder.execution_id)
        limited = holder.queue in self._limits
        if not limited and not holder.wants:
            return
        self._holders[holder.execution_id] = holder
        if limited:
            self._queue(holder.queue).holders.add(holder.execution_id)
        for key, limit in holder.wants:
            pool = self._pools.setdefault(key, _Pool())
            pool.join(limit, holder.execution_id)
            pool.holders[holder.execution_id] = holder

    def release(self, execution_id: str, fence: int | None = None) -> None:
        """An execution does not run any more; with a fence: only if it is that attempt that holds."""
        holder = self._holders.get(execution_id)
        if holder is None or (fence is not None and holder.fence != fence):
            return
        del self._holders[execution_id]
        for key, limit in holder.wants:
            self._drop(holder, key, limit)
        if holder.queue in self._limits:
            queue = self._queue(holder.queue)
            queue.holders.discard(execution_id)
            self._offer(queue)

    def _drop(self, holder: Holder, key: Key, limit: int) -> None:
        pool = self._pools[key]
        pool.holders.pop(holder.execution_id, None)
        waiting = self._waiting.get(holder.execution_id)
        if waiting is None or (key, limit) not in waiting.wants:
            pool.part(limit, holder.execution_id)
        self._freed(key)

    def replace(self, holder: Holder) -> None:
        """What is known of one who holds has changed."""
        self.hold(holder)

    def holder(self, execution_id: str) -> Holder | None:
        """What an execution holds; None if nothing that is limited."""
        return self._holders.get(execution_id)

    def release_all(self, prefix: str = "") -> None:
        """Nobody whose id begins so holds anything: to be told anew who does."""
        for execution_id in [one for one in self._holders if one.startswith(prefix)]:
            self.release(execution_id)

    def choose(self, chosen: Chosen | None) -> None:
        """A queue of the user's has said who is next; nobody asked for it here."""

    # -- looking

    def lock(self, key: Key) -> Lock | None:
        """One concurrency key, if anybody holds it or waits for it."""
        pool = self._pools.get(key)
        if pool is None or not pool.limits:
            return None
        members = sum(len(some) for some in pool.limits.values())
        holders = tuple(sorted(pool.holders.values(), key=lambda holder: (holder.since, holder.execution_id)))
        return Lock(*key, pool.limit, holders, members - len(holders))

    def longest_waiting(self, queue: str) -> str | None:
        """The execution that came first of those that wait in a queue: ids grow with time."""
        found = self._queues.get(queue)
        return None if found is None else min(found.waiting, default=None)

    def longest_waiting_for(self, key: Key) -> str | None:
        """The execution that came first of those that wait and need a concurrency key."""
        pool = self._pools.get(key)
        members = (
            () if pool is None else (one for some in pool.limits.values() for one in some if one not in pool.holders)
        )
        return min(members, default=None)

    def locks(self) -> Iterator[Lock]:
        """All concurrency keys that somebody holds or waits for."""
        for key in sorted(self._pools):
            lock = None if key == GOVERNOR else self.lock(key)
            if lock is not None:
                yield lock

    def queues(self) -> list[QueueUse]:
        """The queues for which a limit is set, and those in which somebody waits or holds a place."""
        used = (name for name, queue in self._queues.items() if queue.waiting or queue.holders)
        names = sorted({*self._limits, *used})
        return [self._use(name) for name in names]

    def _use(self, name: str) -> QueueUse:
        queue = self._queues.get(name)
        if queue is None:
            return QueueUse(name, self._limits.get(name), 0, 0)
        return QueueUse(name, queue.limit, len(queue.holders), len(queue.waiting))

    def check_invariants(self) -> None:
        """Raise AssertionError if the state contradicts itself."""
        for key, pool in self._pools.items():
            assert pool.limits, f"a key that nobody has: {key}"
            members = {name for some in pool.limits.values() for name in some}
            assert pool.holders.keys() <= members, f"{key} is held by somebody unknown"
            if not pool.is_full:
                for name, heap in pool.parked.items():
                    self._check_representative(key, name, heap)
        for queue in self._queues.values():
            if self._head(queue) is not None and not queue.is_full:
                assert queue.offered is not None, f"queue {queue.name} waits without a turn"
                assert (*queue.offered, queue.name) in self._turns, f"queue {queue.name} has lost its turn"

    def _check_representative(self, key: Key, name: str, heap: Heap) -> None:
        parked = [entry for *_, entry in heap if self._waiting.get(entry.execution_id) is entry]
        ready = self._queue(name).ready
        there = [e for *_, e in ready if self._waiting.get(e.execution_id) is e and key in dict(e.wants)]
        assert not parked or there, f"{key} has a place, and {len(parked)} of queue {name} do not know"
