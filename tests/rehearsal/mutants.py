"""The product, wrong in one thing at a time: what a rehearsal has to find. Patches of the running process, never of the code.

Each mutant has a plan that brings it out, and the verdict by which it is found. On the same plan the product as it is has to be
clean. Where a second line of defence keeps a mutant from doing harm, there is none here: what cannot be seen from outside is no
promise that was broken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import attrs
import trio

from actors import keeper_attempts, keeper_progression
from actors.cluster_coordinator_core import ClusterCoordinatorCore
from actors.cluster_coordinator_messages import Renew
from actors.executor_core import ExecutorCore
from actors.keeper_core import KeeperCore
from actors.keeper_messages import Recover
from actors.keeper_scheduler import LaneCommands
from actors.keeper_sharing import Sharing
from actors.lookout import Lookout
from actors.model.policy import OnCrash
from actors.rules import attempts, overlapping, settling
from actors.store import memory
from actors.store.memory import MemoryStore
from runtime.clock import Instant
from runtime.coordination_core import CoordinationCore
from runtime.coordination_messages import SessionLost
from runtime.records import evolve
from tests.rehearsal.mutant_plans import (
    ALONE,
    DRAINED,
    FROZEN,
    FULL,
    JOINED,
    KILLED,
    LOSING,
    PAUSED,
    QUIET,
    UNANSWERED,
    ZOMBIES,
)
from tocsin.checker.verdict import Kind
from tocsin.rehearsal.plan import Plan

SOMEBODY_ELSE = "somebody else"


@attrs.frozen
class Mutant:
    """name: what is wrong. apply: makes it so for a block. plan: brings it out. found: one of these verdicts at least."""

    name: str
    apply: Callable[[], Any]
    plan: Plan
    found: frozenset[Kind]


# -- the store


@contextmanager
def _no_epoch_check() -> Iterator[None]:
    usual = MemoryStore.commit
    with patch.object(MemoryStore, "commit", lambda self, commit: usual(self, evolve(commit, epochs={}))):
        yield


@contextmanager
def _no_version_check() -> Iterator[None]:
    usual = MemoryStore._check_update

    def check(self: MemoryStore, update: Any) -> Any:
        record = self._tasks.get(update.task_id)
        return usual(self, update if record is None else evolve(update, expected=record.state.version))

    with patch.object(MemoryStore, "_check_update", check):
        yield


@contextmanager
def _no_fence_check() -> Iterator[None]:
    """What an attempt writes is taken for the newest one's."""
    usual = keeper_attempts.take_checkpoint

    def take(staged: Any, message: Any) -> Any:
        execution = None if staged is None else staged.executions.get(message.execution_id)
        fence = message.fence if execution is None else execution.fence
        return usual(staged, evolve(message, fence=fence, sequence=0))

    with patch.object(keeper_attempts, "take_checkpoint", take):
        yield


@contextmanager
def _no_key_limit() -> Iterator[None]:
    with patch.object(memory, "reached", lambda tasks, update: None):
        yield


@contextmanager
def _epochs_not_raised() -> Iterator[None]:
    def raise_epochs(self: MemoryStore, grants: Any, boot: str) -> Any:
        self._grants.update(grants)
        for partition in grants:
            self._epochs.setdefault(partition, 1)
        return {partition: self._epochs[partition] for partition in grants}

    # What is recorded would give it away: it is not compared either.
    with ExitStack() as stack:
        stack.enter_context(patch.object(MemoryStore, "raise_epochs", raise_epochs))
        usual = ClusterCoordinatorCore._raised

        def raised(self: ClusterCoordinatorCore, answer: Any) -> None:
            self._recorded = {}
            usual(self, answer)

        stack.enter_context(patch.object(ClusterCoordinatorCore, "_raised", raised))
        yield


@contextmanager
def _dead_claim() -> Iterator[None]:
    """Who was buried does not hear of it, and the store takes his claims."""
    usual = memory.Guards
    with deaf(), patch.object(memory, "Guards", lambda stale, dead, grown: usual(stale, False, grown)):
        yield


@contextmanager
def _epoch_read_before_raised() -> Iterator[None]:
    usual = MemoryStore.raise_epochs

    def raise_epochs(self: MemoryStore, grants: Any, boot: str) -> Any:
        before = dict(self._epochs)
        return {partition: before.get(partition, 0) for partition in usual(self, grants, boot)}

    with patch.object(MemoryStore, "raise_epochs", raise_epochs):
        yield


# -- who owns what


@contextmanager
def _own_node_not_recognised() -> Iterator[None]:
    usual = CoordinationCore._owners

    def owners(self: CoordinationCore, session: Any, found: Any) -> None:
        usual(
            self,
            session,
            {k: SOMEBODY_ELSE if v == session.id and k not in session.held else v for k, v in found.items()},
        )

    with patch.object(CoordinationCore, "_owners", owners):
        yield


@contextmanager
def no_self_fencing() -> Iterator[None]:
    usual = ClusterCoordinatorCore._watch

    def watch(self: ClusterCoordinatorCore, now: float) -> None:
        self._lease_from = now
        usual(self, now)

    with patch.object(ClusterCoordinatorCore, "_watch", watch):
        yield


@contextmanager
def deaf() -> Iterator[None]:
    """A node that neither doubts its lease nor hears that it was buried: only the fence is left against what it writes."""

    def ignore(self: ClusterCoordinatorCore, fresh: str) -> None:
        # Nor does it ask again.
        self._next[Renew] = math.inf

    with no_self_fencing(), patch.object(ClusterCoordinatorCore, "_begin_anew", ignore):
        yield


@contextmanager
def _no_fences() -> Iterator[None]:
    with deaf(), _no_fence_check():
        yield


@contextmanager
def _session_loss_ignored() -> Iterator[None]:
    usual = ClusterCoordinatorCore._hear

    def hear(self: ClusterCoordinatorCore, event: Any, now: float) -> None:
        if not isinstance(event, SessionLost):
            usual(self, event, now)

    with patch.object(ClusterCoordinatorCore, "_hear", hear):
        yield


@contextmanager
def _the_living_are_recovered() -> Iterator[None]:
    """Recovery asks who runs something, and not whose lease has ended."""
    usual = MemoryStore.orphans

    def dead_boots(self: MemoryStore) -> list[str]:
        entries = [entry for record in self._tasks.values() for entry in record.open.values()]
        return sorted({entry.boot for entry in entries if entry.boot is not None})

    def orphans(self: MemoryStore, live: Any, limit: int, partitions: Any = None) -> list[str]:
        return usual(self, (), limit, partitions)

    with patch.object(MemoryStore, "dead_boots", dead_boots), patch.object(MemoryStore, "orphans", orphans):
        yield


@contextmanager
def _the_dead_are_not_recovered() -> Iterator[None]:
    with patch.object(Recover, "counts", lambda self, boot: False):
        yield


# -- what is due


@contextmanager
def _watermark_stays() -> Iterator[None]:
    usual = MemoryStore._update

    def update(self: MemoryStore, one: Any) -> None:
        record = self._tasks.get(one.task_id)
        if record is not None and memory.writes_task(one) and not one.delete:
            one = evolve(one, state=evolve(one.state, settled_through=record.state.settled_through))
        usual(self, one)

    with patch.object(MemoryStore, "_update", update):
        yield


@contextmanager
def _watermark_too_far() -> Iterator[None]:
    """After a catch-up the slot that comes next is taken for settled."""
    usual = settling.Judge._following

    def following(self: settling.Judge, *, parks: bool) -> Instant | None:
        found = usual(self, parks=parks)
        if found is None or self._clock - self._through < 0 or self._task.definition.bounds.max_runs:
            return found
        return settling.next_after(self._task.definition.trigger, self._task.definition.bounds, found) or found

    with patch.object(settling.Judge, "_following", following):
        yield


@contextmanager
def _nothing_is_caught_up() -> Iterator[None]:
    usual = keeper_progression.settle

    def settle(task: Any, now: Instant, **others: Any) -> Any:
        return evolve(usual(task, now, **others), dropped=())

    with patch.object(keeper_progression, "settle", settle):
        yield


@contextmanager
def _overlap_not_asked() -> Iterator[None]:
    with patch.object(settling, "room", lambda *_, **__: overlapping.FREE):
        yield


@contextmanager
def _no_run_limit() -> Iterator[None]:
    usual = settling.Judge._run

    def run(self: settling.Judge, nominal: Instant) -> None:
        task = self._task
        bounds = evolve(task.definition.bounds, max_runs=None)
        self._task = evolve(task, definition=evolve(task.definition, bounds=bounds))
        usual(self, nominal)
        self._task = task

    with patch.object(settling.Judge, "_run", run):
        yield


# -- attempts


@contextmanager
def _checkpoint_not_given() -> Iterator[None]:
    with patch.object(MemoryStore, "checkpoint", lambda self, execution_id: None):
        yield


@contextmanager
def _held_goes_on() -> Iterator[None]:
    usual = attempts.crash

    def crash(execution: Any, policies: Any, now: Instant) -> Any:
        on_crash = OnCrash.RESUME if policies.on_crash is OnCrash.HOLD else policies.on_crash
        return usual(execution, evolve(policies, on_crash=on_crash), now)

    with patch.object(attempts, "crash", crash):
        yield


@contextmanager
def _fence_stays() -> Iterator[None]:
    usual = attempts.claim

    def claim(execution: Any, fence: int, *others: Any) -> Any:
        return usual(execution, max(1, fence - 1), *others)

    with patch.object(attempts, "claim", claim):
        yield


@contextmanager
def _ends_forgotten() -> Iterator[None]:
    """What the store could not take of ends is neither kept by the keeper nor told again by the executor."""
    usual_failed, usual_keep = KeeperCore.failed, ExecutorCore._keep

    def failed(self: KeeperCore, plan: Any, error: Any) -> Any:
        directives = usual_failed(self, plan, error)
        self._carried.clear()
        return directives

    def keep(self: ExecutorCore, key: Any, end: Any) -> None:
        usual_keep(self, key, end)
        self._unrecorded.pop(key, None)

    with patch.object(KeeperCore, "failed", failed), patch.object(ExecutorCore, "_keep", keep):
        yield


@contextmanager
def _nothing_heard() -> Iterator[None]:
    """Of what other nodes did: neither by wake-ups nor by looking."""

    async def look(self: Lookout) -> None:
        """There is nothing to be seen."""

    async def listen(self: Lookout) -> None:
        await trio.sleep_forever()

    with patch.object(Lookout, "_look", look), patch.object(Lookout, "_listen", listen):
        yield


@contextmanager
def _pause_ignored() -> Iterator[None]:
    """It is answered, and everything goes on."""
    usual = LaneCommands._change
    with patch.object(LaneCommands, "_change", lambda self, paused, span: usual(self, None, span)):
        yield


@contextmanager
def _cancel_not_told() -> Iterator[None]:
    with patch.object(Sharing, "_to_stop", lambda self, task: []):
        yield


@contextmanager
def _drain_ignored() -> Iterator[None]:
    usual = ClusterCoordinatorCore._may_own
    assert isinstance(usual, property) and usual.fget is not None
    fget = usual.fget

    def may_own(self: ClusterCoordinatorCore) -> bool:
        drained, self._drained = self._drained, False
        try:
            return bool(fget(self))
        finally:
            self._drained = drained

    with patch.object(ClusterCoordinatorCore, "_may_own", property(may_own)):
        yield


def _mutant(name: str, apply: Callable[[], Any], plan: Plan, *found: Kind) -> Mutant:
    return Mutant(name, apply, plan, frozenset(found))


MUTANTS = (
    _mutant("no epoch check", _no_epoch_check, UNANSWERED, Kind.STALE_WRITE),
    _mutant("epoch read before it is raised", _epoch_read_before_raised, KILLED, Kind.LOST),
    _mutant("lease not checked on a claim", _dead_claim, ZOMBIES, Kind.OVERLAP),
    _mutant("neither woken nor looking", _nothing_heard, QUIET, Kind.CANCELLED_RAN, Kind.LOST),
    _mutant("pause ignored", _pause_ignored, PAUSED, Kind.PHANTOM),
    _mutant("session loss ignored", _session_loss_ignored, JOINED, Kind.OWNERSHIP),
    _mutant("no fence check", _no_fences, FROZEN, Kind.CHECKPOINT_REGRESSION),
    _mutant("no self-fencing", no_self_fencing, ALONE, Kind.OVERLAP, Kind.ZOMBIE_EFFECT),
    _mutant("epochs not raised", _epochs_not_raised, KILLED, Kind.STALE_WRITE),
    _mutant("the dead are not recovered", _the_dead_are_not_recovered, KILLED, Kind.LOST),
    _mutant("nothing is caught up", _nothing_is_caught_up, KILLED, Kind.LOST),
    _mutant("checkpoint not given", _checkpoint_not_given, KILLED, Kind.CHECKPOINT_REGRESSION),
    _mutant("held goes on", _held_goes_on, KILLED, Kind.HELD_AGAIN),
    _mutant("no version check", _no_version_check, QUIET, Kind.DUPLICATE),
    _mutant("no key limit", _no_key_limit, QUIET, Kind.OVERLAP),
    _mutant("overlap not asked", _overlap_not_asked, QUIET, Kind.OVERLAP),
    _mutant("no run limit", _no_run_limit, QUIET, Kind.MAX_RUNS),
    _mutant("the living are recovered", _the_living_are_recovered, QUIET, Kind.DUPLICATE),
    _mutant("fence stays", _fence_stays, QUIET, Kind.STALE_WRITE),
    _mutant("watermark stays", _watermark_stays, QUIET, Kind.LOST),
    _mutant("watermark too far", _watermark_too_far, QUIET, Kind.LOST),
    _mutant("cancel not told", _cancel_not_told, QUIET, Kind.CANCELLED_RAN),
    _mutant("own node not recognised", _own_node_not_recognised, LOSING, Kind.OWNERSHIP),
    _mutant("ends forgotten", _ends_forgotten, FULL, Kind.LOST, Kind.DUPLICATE),
    _mutant("drain ignored", _drain_ignored, DRAINED, Kind.OWNERSHIP),
)
