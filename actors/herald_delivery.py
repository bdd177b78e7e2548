"""The herald's deliveries for one lane: what is due in its outbox is judged, done, and told to the keeper."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import trio

from runtime.clock import SECOND, Instant
from runtime.errors import InvalidRequest, StoreDamaged, TocsinError
from runtime.mailbox import Mailbox, Reply, ask
from runtime.world import World

from .herald_core import Judgement, Outcome, Queue, Verdict, after_try, judge, read_entry
from .herald_messages import Delivery, DeliveryFailed, Perform
from .keeper_messages import Delivered, Happened
from .keeper_messages import Event as KeeperEvent
from .model.event import Action
from .model.invocation import unwrapped
from .model.lifecycle import OPEN_STATES
from .rules.conditions import Condition, parse_condition
from .rules.evaluation import ConditionFailed
from .rules.followers import history_facts
from .store.port import DeliveryWrite, EventState, OutboxEntry, Store

logger = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_SECONDS: Final = 1.0
"""How often the outbox is looked into: a hint that something is in it may be lost."""

ACTION_SECONDS: Final = 30.0
"""What one try of an action may take, whatever deadlines of its own it has."""

EVALUATION_SECONDS: Final = 5.0
"""What judging one batch of conditions may take: several times what their bounds allow."""

RECORD_SECONDS: Final = 30.0
"""How long the keeper may take for what became of a try, before it is told again."""

AGAIN_SECONDS: Final = 1.0
"""Before the keeper is told again, or the store read again."""

HISTORY: Final = 20
"""Former executions that a condition sees."""

CONDITIONS: Final = "conditions"
"""The lane of the world in which conditions are evaluated: one thread, so that they never take more than one core."""

Evaluated = tuple[Condition, Mapping[str, Any]] | Verdict


def _values(texts: Mapping[str, str | None]) -> dict[str, Any]:
    return {name: None if text is None else json.loads(text) for name, text in texts.items()}


class Deliveries:
    """See the module's docstring. `perform` says for each kind of action who does it; `partitions`: whose entries, None: all."""

    def __init__(
        self,
        name: str,
        *,
        store: Store,
        world: World,
        keeper: Mailbox[KeeperEvent],
        reader: str,
        perform: Mapping[type[Action], Perform],
        look_seconds: float = LOOK_SECONDS,
        partitions: Callable[[], Sequence[int]] | None = None,
    ) -> None:
        self.name = name
        self._store = store
        self._world = world
        self._keeper = keeper
        self._reader = reader
        self._perform = perform
        self._partitions = partitions
        self._look_seconds = look_seconds
        self._news = trio.Event()
        self._queue = Queue()

    def hear(self, happened: Happened) -> None:
        """Something was committed; if event triggers may follow it, the outbox is looked into at once."""
        for task in happened.tasks:
            if task.definition.events:
                self.wake()
                return

    def wake(self) -> None:
        """There may be something in the outbox."""
        self._news.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver until cancelled. What was under way then is done again by the next life."""
        self._queue = Queue()
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                self._news = trio.Event()
                if await self._look(nursery):
                    continue
                with trio.move_on_after(self._look_seconds):
                    await self._news.wait()

    async def _look(self, nursery: trio.Nursery) -> bool:
        """Take what is due. Answers whether there may be more of it at once."""
        self._queue.begin()
        try:
            among = None if self._partitions is None else self._partitions()
            due = await self._read(self._store.outbox_due, self._world.now(), self._queue.limit, among)
            fresh = self._queue.fresh(due)
            outcomes = self._queue.add(await self._opened(fresh)) if fresh else []
            self._begin(nursery)
            if outcomes:
                await self._judge(outcomes)
        except TocsinError as error:
            logger.warning("the outbox of the %s cannot be worked off: %s", self.name, error)
            await trio.sleep(AGAIN_SECONDS)
            return False
        return bool(outcomes)

    def _begin(self, nursery: trio.Nursery) -> None:
        for delivery in self._queue.take():
            nursery.start_soon(self._deliver, delivery, nursery)

    async def _read(self, function: Callable[..., T], *arguments: Any) -> T:
        return await self._world.blocking(function, *arguments, lane=self._reader)

    async def _opened(self, due: Sequence[OutboxEntry]) -> list[Outcome | Delivery]:
        """The entries, read away from the loop; one that is damaged is given up."""
        opened, damaged = await self._world.blocking(_open_all, due, lane=CONDITIONS)
        now = self._world.now()
        if damaged:
            await self._record([after_try(entry, error, now) for entry, error in damaged])
        return opened

    # -- outcomes

    async def _judge(self, outcomes: list[Outcome]) -> None:
        prepared = [await self._prepare(outcome) for outcome in outcomes]
        verdicts = await self._verdicts(prepared)
        task_ids = sorted({outcome.entry.task_id for outcome in outcomes})
        memory = {(one.task_id, one.event): one for one in await self._read(self._store.event_states, task_ids)}
        known, now = dict(memory), self._world.now()
        judgements: list[Judgement] = []
        for outcome, verdict in zip(outcomes, verdicts, strict=True):
            key = outcome.entry.task_id, outcome.event.name
            judgement = judge(outcome, verdict, known.get(key), now, self._world.new_id)
            judgements.append(judgement)
            if judgement.state is not None:
                known[key] = judgement.state
        await self._record(
            [one.write for one in judgements],
            [entry for one in judgements for entry in one.entries],
            [state for key, state in known.items() if memory.get(key) != state],
        )

    async def _prepare(self, outcome: Outcome) -> Evaluated:
        """The condition with all that it looks at, or why it cannot be evaluated."""
        try:
            condition = _parsed(outcome.event.condition)
        except InvalidRequest as error:
            return Verdict(None, str(error))
        facts = dict(outcome.facts)
        if outcome.entry.execution_id is not None and not {"result", "input"} <= facts.keys():
            facts = {**await self._large_ones(outcome), **facts}
        if "history" in condition.names:
            facts["history"] = await self._history(outcome)
        return condition, facts

    async def _large_ones(self, outcome: Outcome) -> dict[str, Any]:
        """Result and parameters that were too large for the entry, as long as they are those of this outcome."""
        detail = await self._read(self._store.execution, outcome.entry.execution_id)
        if detail is None or detail.execution.fence != outcome.fence:
            return {}
        tasks = await self._read(self._store.tasks, [outcome.entry.task_id])
        given = unwrapped(detail.execution.parameters).parameters
        parameters = given or next((task.definition.parameters for task in tasks), None)
        texts = {"result": detail.result, "input": parameters}
        return await self._world.blocking(_values, texts, lane=CONDITIONS)

    async def _history(self, outcome: Outcome) -> dict[str, Any]:
        entry = outcome.entry
        recent, _ = await self._read(_recent, self._store, entry.task_id)
        former = [
            one
            for one in recent
            if one.id != entry.execution_id and one.state not in OPEN_STATES and (one.ended_at or 0) <= entry.at
        ]
        return history_facts(former[:HISTORY], outcome.facts["execution"]["state"], outcome.counts)

    async def _verdicts(self, prepared: list[Evaluated]) -> list[Verdict]:
        with trio.move_on_after(EVALUATION_SECONDS):
            return await self._world.blocking(_evaluate_all, prepared, lane=CONDITIONS, abandon=True)
        return [Verdict(None, f"no answer within {EVALUATION_SECONDS:g} s")] * len(prepared)

    # -- actions

    async def _deliver(self, delivery: Delivery, nursery: trio.Nursery) -> None:
        outcome = await self._try(delivery)
        self._world.failpoint("herald.delivered")
        write = after_try(delivery, outcome, self._world.now())
        if write.state != "delivered":
            logger.warning("%s of event %r of task %s: %s: %r", *_named(delivery), write.state, write.detail)
        await self._record([write])
        self._queue.done(delivery.id)
        if write.due is not None:
            nursery.start_soon(self._wake_at, write.due)
        self._begin(nursery)
        if self._queue.is_empty:
            self.wake()

    async def _try(self, delivery: Delivery) -> str | DeliveryFailed:
        perform = self._perform.get(type(delivery.action))
        if perform is None:
            return DeliveryFailed(f"this node does no {type(delivery.action).__name__}", permanent=True)
        try:
            with trio.fail_after(ACTION_SECONDS):
                return await perform(delivery)
        except DeliveryFailed as error:
            return error
        except trio.TooSlowError:
            return DeliveryFailed(f"took longer than {ACTION_SECONDS:g} s")
        except Exception as error:
            logger.exception("%s of event %r of task %s failed", *_named(delivery))
            return DeliveryFailed(f"{type(error).__name__}: {error}")

    async def _wake_at(self, due: Instant) -> None:
        await trio.sleep(max(0, due - self._world.now()) / SECOND)
        self.wake()

    async def _record(
        self,
        writes: Sequence[DeliveryWrite],
        entries: Sequence[OutboxEntry] = (),
        states: Sequence[EventState] = (),
    ) -> None:
        """Have the keeper make it durable, however long that takes: what was done must not be done again for a full disk."""

        def told(reply: Reply[None]) -> Delivered:
            return Delivered(tuple(writes), tuple(entries), tuple(states), reply)

        while True:
            try:
                await ask(self._keeper, told, RECORD_SECONDS)
                return
            except TocsinError as error:
                logger.warning("deliveries of the %s are not recorded yet: %s", self.name, error)
                await trio.sleep(AGAIN_SECONDS)


def _named(delivery: Delivery) -> tuple[str, str, str]:
    return type(delivery.action).__name__, delivery.event, delivery.task_id


_parsed = functools.lru_cache(maxsize=1_000)(parse_condition)


def _open_all(
    due: Sequence[OutboxEntry],
) -> tuple[list[Outcome | Delivery], list[tuple[OutboxEntry, DeliveryFailed]]]:
    opened: list[Outcome | Delivery] = []
    damaged: list[tuple[OutboxEntry, DeliveryFailed]] = []
    for entry in due:
        try:
            opened.append(read_entry(entry))
        except StoreDamaged as error:
            damaged.append((entry, DeliveryFailed(str(error), permanent=True)))
    return opened, damaged


def _recent(store: Store, task_id: str) -> Any:
    return store.executions(task_id, offset=0, limit=2 * HISTORY)


def _evaluate_all(prepared: Sequence[Evaluated]) -> list[Verdict]:
    return [one if isinstance(one, Verdict) else _evaluate(*one) for one in prepared]


def _evaluate(condition: Condition, facts: Mapping[str, Any]) -> Verdict:
    try:
        return Verdict(condition.holds(facts))
    except ConditionFailed as error:
        return Verdict(None, str(error))
