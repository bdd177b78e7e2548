"""Claims: which executions get the lane's free slots, and which wait.

Theory of operation. `slots` are the free slots of the lane's executor as far as claims are concerned: a claim takes one, an
end or `SlotsFreed` gives one back. Nothing is claimed before the executor has said what it has, nor while the node drains.
Who finds no slot waits in the backlog, by (priority, id); what does not fit there stays in the store and is asked for again.
Whoever comes while others wait goes behind them. An entry of the backlog may be stale: it is checked when its turn comes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Set
from typing import Final

from runtime.clock import Instant
from runtime.records import evolve

from . import attempts
from .keeper_messages import Start
from .keeper_staging import Staged
from .model.execution import Execution, WaitsFor
from .model.task import Definition

BACKLOG_SIZE: Final = 10_000
"""Executions waiting for a slot that are kept in memory; more of them wait in the store only."""

_CLAIMABLE: Final = (WaitsFor.SLOT, WaitsFor.NODE)


class Claims:
    """See the module's docstring. `boot` and `node` name the process that claims; `runs`: whether it has a task type."""

    def __init__(self, boot: str, node: str, runs: Callable[[str], bool]) -> None:
        self.boot = boot
        self.node = node
        self.runs = runs
        self.slots = 0
        self._in_sync = False
        self._draining = False
        self._backlog: list[tuple[int, str, str]] = []
        self._complete = False

    def synchronise(self, slots: int) -> None:
        """The executor has said how many slots are free."""
        self.slots, self._in_sync = slots, True

    def lose_sync(self) -> None:
        """The executor has started anew: nothing is claimed before it has said what it has."""
        self._in_sync = False

    def stop(self) -> None:
        """Claim nothing more."""
        self._draining = True

    def undo(self, starts: int) -> None:
        """So many claims were not committed. What they took from the backlog is found again in the store."""
        self.slots += starts
        if starts:
            self._complete = False

    def heads(self, freed: int) -> list[str]:
        """The tasks whose turn comes if so many more slots become free."""
        return [task_id for _, _, task_id in heapq.nsmallest(self.slots + freed, self._backlog)]

    @property
    def wants_backlog(self) -> bool:
        """Whether executions wait in the store that should be read now, because those in memory are used up."""
        return not self._complete and not self._backlog and self._may_claim

    @property
    def room(self) -> int:
        """How many more waiting executions fit into memory."""
        return max(1, BACKLOG_SIZE - len(self._backlog))

    def admit(self, staged: Staged, execution: Execution, now: Instant) -> None:
        """A new execution: claimed if it waits for nothing but a slot and one is free."""
        if execution.waits_for is WaitsFor.SLOT:
            self.to_slot(staged, execution, now)
        else:
            staged.put(execution)

    def to_slot(self, staged: Staged, execution: Execution, now: Instant) -> None:
        """Run it now if a slot is free and nobody waits longer, else let it wait: for a slot, or for a node that has its type."""
        if not self.runs(staged.definition.type):
            staged.put(evolve(execution, waits_for=WaitsFor.NODE, due=None))
            return
        if self.is_free:
            self._claim(staged, execution, now)
            return
        staged.put(evolve(execution, waits_for=WaitsFor.SLOT, due=None))
        self._push_backlog(staged.definition, execution.id)

    @property
    def is_free(self) -> bool:
        """Whether whoever comes now is claimed at once: a slot is free and nobody waits longer."""
        return self._may_claim and not self._backlog

    @property
    def _may_claim(self) -> bool:
        return self.slots > 0 and self._in_sync and not self._draining

    def _claim(self, staged: Staged, execution: Execution, now: Instant) -> None:
        fence = staged.state.fence + 1
        claimed = attempts.claim(execution, fence, self.boot, self.node, now)
        self.slots -= 1
        staged.starts += 1
        staged.put(claimed)
        staged.set(fence=fence, last_execution=claimed.id, last_started_at=now)
        staged.directives += (Start(staged.definition, claimed),)

    def _push_backlog(self, definition: Definition, execution_id: str) -> None:
        if len(self._backlog) >= BACKLOG_SIZE:
            self._complete = False
            return
        heapq.heappush(self._backlog, (definition.policies.priority, execution_id, definition.id))

    def from_backlog(self, stage: Callable[[str], Staged | None], in_flight: Set[str], now: Instant) -> None:
        """Give free slots to those who wait, in their order, up to one whose task is being committed."""
        while self._may_claim and self._backlog and self._backlog[0][2] not in in_flight:
            _, execution_id, task_id = heapq.heappop(self._backlog)
            staged = stage(task_id)
            if staged is None:
                # Either the task is gone or it was not read for this batch; the store knows which.
                self._complete = False
            execution = None if staged is None else staged.executions.get(execution_id)
            if staged is not None and execution is not None and execution.waits_for in _CLAIMABLE:
                self._claim(staged, execution, now)

    def note_backlog(self, found: Iterable[Staged], *, complete: bool) -> None:
        """Executions of these tasks were found waiting in the store."""
        self._complete = complete
        known = {execution_id for _, execution_id, _ in self._backlog}
        for staged in found:
            for execution in staged.executions.values():
                if execution.waits_for in _CLAIMABLE and execution.id not in known:
                    self._push_backlog(staged.definition, execution.id)
