"""The adapters against each other: whatever is committed, they refuse the same and answer the same."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from actors.model.calendar import CalendarRule, calendar_of
from actors.model.execution import Attempt, Execution, Failure, WaitsFor
from actors.model.lifecycle import Phase, State, Status
from actors.model.occurrence import Outcome, Reason, Settled
from actors.model.policy import DEFAULT_POLICIES
from actors.model.retention import FINAL_STATES, Keep, Retention, Slice, Stage
from actors.model.task import Dependencies, Extra, Task, TaskState
from actors.model.trigger import UNBOUNDED, Bounds
from actors.store.answers import TASK_SORTS, TaskFilter
from actors.store.memory import MemoryStore
from actors.store.port import (
    Audit,
    CheckpointWrite,
    Commit,
    CountWrite,
    Create,
    DeliveryWrite,
    EventState,
    ExecutionWrite,
    LogWrite,
    OutboxEntry,
    ProgressWrite,
    SchedulerPause,
    Store,
    Update,
    writes_task,
)
from actors.store.postgres import PostgresStore
from actors.store.sqlite import SqliteStore
from runtime.clock import Instant, Micros
from tests.actors.records import definition, running
from tests.conformance.store_kit import emptied, walked

TASKS = [f"t{number}" for number in range(6)]
EXECUTIONS = [f"e{number}" for number in range(8)]
LATE = Instant(10**6)

HOLIDAYS = calendar_of("", "holidays", 1, days=[(740_000, 740_001)])

few = st.integers(0, 3)
instants = st.integers(0, 30).map(Instant)
maybe = st.none() | instants
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)

definitions = st.builds(
    definition,
    st.sampled_from(TASKS),
    name=st.sampled_from(["one", "two", "three", "four", "five"]),
    type=st.sampled_from(["command", "http"]),
    tenant=st.sampled_from(["", "other"]),
    parameters=st.sampled_from(["{}", '{"a":"' + "x" * 2500 + '"}']),
    extra=st.none() | st.builds(Extra, st.binary(max_size=5)),
    policies=st.builds(
        lambda number, ttl: attrs.evolve(DEFAULT_POLICIES, priority=number, ttl=ttl),
        st.integers(4, 6),
        st.sampled_from([None, None, None, Micros(2), Micros(0)]),
    ),
    dependencies=st.sampled_from([None, None, Dependencies(("t1", "t2")), Dependencies(("t0",))]),
    bounds=st.sampled_from([UNBOUNDED, UNBOUNDED, Bounds(calendars=(CalendarRule(HOLIDAYS),))]),
)
states = st.builds(
    TaskState,
    version=st.integers(1, 3),
    revision=few,
    phase=st.sampled_from(Phase),
    status=st.sampled_from(Status),
    next_fire=maybe,
    settled_through=instants,
    last_state=st.none() | st.sampled_from(State),
    note=st.none() | texts,
    last_ended_at=maybe,
    catching_up=st.sampled_from([None, None, Instant(3)]),
    last_admitted=maybe,
    completed_start=maybe,
)
failures = st.builds(Failure, texts, texts)


def executions_of(ids: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.builds(
        running,
        ids,
        state=st.sampled_from(State),
        nominal=maybe,
        outcome=st.none() | st.sampled_from(Outcome),
        reason=st.none() | st.sampled_from(Reason),
        waits_for=st.none() | st.sampled_from(WaitsFor),
        due=maybe,
        fence=st.integers(1, 2),
        crashes=few,
        boot=st.sampled_from(["one", "two"]),
        ended_at=maybe,
        cancel_reason=st.sampled_from([None, None, "enough"]),
        failure=st.none() | failures,
        assigned=maybe,
        expires=maybe,
        key=st.sampled_from([None, None, "one", "two"]),
        lingers=st.sampled_from([False, False, False, True]),
        target=st.sampled_from([None, None, "a", "b"]),
    )


settled = st.builds(
    Settled,
    st.just(""),
    first=instants,
    last=st.integers(30, 40).map(Instant),
    count=st.none() | few,
    outcome=st.sampled_from(Outcome),
    reason=st.sampled_from(Reason),
    settled_at=instants,
    revision=few,
)


some_task = st.sampled_from(TASKS)
deliveries = st.builds(
    DeliveryWrite,
    st.sampled_from(["d1", "d2", "d3"]),
    some_task,
    st.none(),
    st.just("alarm"),
    instants,
    st.sampled_from(["delivered", "retry", "retry"]),
    due=maybe,
)
entries = st.builds(
    OutboxEntry,
    st.sampled_from(["d1", "d2", "d3"]),
    some_task,
    st.none() | st.just("e1"),
    st.just("alarm"),
    instants,
    instants,
    texts,
)
event_states = st.builds(EventState, some_task, st.sampled_from(["one", "two"]), st.none() | st.booleans(), maybe)
counts = st.builds(CountWrite, some_task, instants, few)
pauses = st.none() | st.just("resume") | st.builds(SchedulerPause, instants, texts, st.none() | texts)

keeps = st.builds(Keep, st.none() | few.map(Micros), st.none() | few)
retentions = st.builds(
    Retention,
    states=st.fixed_dictionaries(dict.fromkeys(FINAL_STATES, keeps)),
    rows=keeps,
    skipped=keeps,
    folded=st.none() | few.map(Micros),
    tasks=st.none() | few.map(Micros),
    newest=st.sampled_from([0, 0, 1]),
    audits=few,
)


class Adapters(RuleBasedStateMachine):
    """Random commits to both; every answer is compared."""

    def __init__(self, made: Callable[[], Store]) -> None:
        super().__init__()
        self.memory = MemoryStore()
        self.other = made()
        for store in (self.memory, self.other):
            store.open(new_cluster_id="c", partitions=2, timezone_database="x")

    def teardown(self) -> None:
        self.other.close()

    def both(self, name: str, *arguments: Any, **named: Any) -> Any:
        expected = getattr(self.memory, name)(*arguments, **named)
        actual = getattr(self.other, name)(*arguments, **named)
        assert actual == expected
        return expected

    @rule(grants=st.dictionaries(st.integers(0, 1), st.integers(1, 5), max_size=2))
    def raise_epochs(self, grants: dict[int, int]) -> None:
        self.both("raise_epochs", grants, "boot")

    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        ids = data.draw(st.lists(st.sampled_from(TASKS), unique=True, min_size=2, max_size=5), "tasks")
        known = {task.id: task for task in self.memory.tasks(TASKS)}
        changes = [self.change(data, task_id, known.get(task_id)) for task_id in ids]
        commit = Commit(
            epochs=data.draw(st.sampled_from([{}, {}, {}, {0: 0}, {1: 1}]), "epochs"),
            creates=tuple(change for change in changes if isinstance(change, Create)),
            updates=tuple(change for change in changes if isinstance(change, Update)),
            progress=tuple(
                ProgressWrite(name, data.draw(few), f'"{name}"')
                for name in data.draw(st.sets(st.sampled_from(EXECUTIONS)))
            ),
            logs=tuple(
                LogWrite(name, 1, ((Instant(1), "INFO", text),))
                for name, text in data.draw(st.lists(st.tuples(st.sampled_from(EXECUTIONS), texts), max_size=3))
            ),
            calendars=(HOLIDAYS,),
            outbox=tuple(data.draw(st.lists(entries, max_size=2))),
            deliveries=tuple(data.draw(st.lists(deliveries, max_size=2))),
            event_states=tuple(data.draw(st.lists(event_states, max_size=2))),
            counts=tuple(data.draw(st.lists(counts, max_size=2))),
            pause=data.draw(pauses),
            audits=tuple(Audit(Instant(1), "me", "change", name) for name in ids),
        )
        rows = {name: detail.execution for name in EXECUTIONS if (detail := self.memory.execution(name)) is not None}
        results = [store.commit(commit).refused for store in (self.memory, self.other)]
        for update in commit.updates:
            self.guards_held(update, known.get(update.task_id), rows, update.task_id in results[0])
        memory, other = ({name: type(error) for name, error in refused.items()} for refused in results)
        assert other == memory

    def guards_held(self, update: Update, before: Task | None, rows: dict[str, Execution], refused: bool) -> None:
        """What the guards say is what happened, judged without either adapter: all of an update, or nothing of it."""
        found = self.other.tasks([update.task_id])
        if refused:
            assert found == ([] if before is None else [before])
            return
        # A deletion asks for nothing but the version.
        writes = () if update.delete else update.executions
        formers = [(write.former, rows.get(write.execution.id)) for write in writes if write.former is not None]
        assert all(
            held is not None and (held.fence, held.state) == (former.fence, former.state) for former, held in formers
        )
        running_now = {name: row.fence for name, row in rows.items() if row.state is State.RUNNING}
        assert all(running_now.get(entry.execution_id) == entry.fence for entry in update.checkpoints)
        if not writes_task(update):
            return
        assert before is not None
        assert before.state.version == update.expected
        assert [task.state for task in found] == ([] if update.delete else [update.state])
        if not update.delete:
            stored = [self.other.execution(write.execution.id) for write in update.executions]
            assert [one and one.execution for one in stored] == [write.execution for write in update.executions]

    def change(self, data: st.DataObject, task_id: str, known: Task | None) -> Create | Update:
        partition = TASKS.index(task_id) % 2
        rows = tuple(attrs.evolve(row, task_id=task_id) for row in data.draw(st.lists(settled, max_size=2)))
        if data.draw(st.sampled_from([known is None, known is None, False]), "new"):
            made = attrs.evolve(data.draw(definitions), id=task_id)
            opened = self.new_executions(data, task_id)
            return Create(Task(made, data.draw(states), opened), partition, rows)
        version = known.state.version if known else 1
        state = data.draw(states)
        writes = tuple(self.write(data, task_id) for _ in range(data.draw(few, "writes")))
        unique = {write.execution.id: write for write in writes}
        running_now = [entry for entry in known.open if entry.state is State.RUNNING] if known else []
        checkpoints = (
            [
                CheckpointWrite(
                    entry.id, task_id, entry.fence + data.draw(st.sampled_from([0, 0, 0, 1])), f'"{number}"'
                )
                for number, entry in enumerate(data.draw(st.lists(st.sampled_from(running_now), max_size=2)))
            ]
            if running_now
            else []
        )
        edited = data.draw(st.none() | definitions)
        return Update(
            task_id,
            partition,
            expected=data.draw(st.sampled_from([version, version, version, version + 1])),
            state=attrs.evolve(
                state,
                version=data.draw(st.sampled_from([version, version + 1])),
                revision=(known.state.revision if known else 0) + (edited is not None),
            ),
            due=data.draw(maybe),
            executions=tuple(unique.values()),
            settled=rows,
            checkpoints=tuple(checkpoints),
            definition=edited and attrs.evolve(edited, id=task_id),
            delete=data.draw(st.sampled_from([False] * 7 + [True])),
        )

    def new_executions(self, data: st.DataObject, task_id: str) -> Any:
        drawn = data.draw(st.lists(executions_of(st.sampled_from(EXECUTIONS)), max_size=2, unique_by=lambda e: e.id))
        held = (State.WAITING, State.RUNNING, State.CRASHED)
        return tuple(attrs.evolve(entry, task_id=task_id) for entry in drawn if entry.state in held)

    def write(self, data: st.DataObject, task_id: str) -> ExecutionWrite:
        own = [name for name in EXECUTIONS if TASKS.index(task_id) % 4 == int(name[1:]) % 4]
        names = data.draw(st.sampled_from([own, own, own, EXECUTIONS]))
        drawn = attrs.evolve(data.draw(executions_of(st.sampled_from(names))), task_id=task_id)
        detail = self.memory.execution(drawn.id)
        former = None if detail is None else detail.execution
        if former is not None and former.task_id == task_id:
            # The columns that never change.
            fixed = ("nominal", "created_at", "assigned", "target")
            drawn = attrs.evolve(drawn, **{name: getattr(former, name) for name in fixed})
        elif former is not None:
            former = None
        if former is not None and data.draw(st.sampled_from([False, False, True]), "wrong fence"):
            wrong = data.draw(st.sampled_from([{"fence": 9}, {"fence": former.fence - 1}, {"state": State.TIMED_OUT}]))
            former = attrs.evolve(former, **wrong)
        attempt = Attempt(drawn.id, 1, 1, None, None, State.FAILED, Instant(1), None, data.draw(st.none() | failures))
        return ExecutionWrite(
            drawn,
            former,
            data.draw(st.none() | st.just(attempt)),
            data.draw(st.none() | st.just('"result"')),
            data.draw(st.booleans()),
        )

    @rule(
        stage=st.sampled_from(Stage),
        task_id=st.none() | st.sampled_from(TASKS),
        now=instants,
        retention=retentions,
        limit=st.sampled_from([1, 2, 3, 100]),
    )
    def purge(self, stage: Stage, task_id: str | None, now: Instant, retention: Retention, limit: int) -> None:
        # How far a slice comes is each adapter's own matter, so the walks are compared.
        walks = [
            walked(store, Slice(stage, retention, now, task_id, limit=limit)) for store in (self.memory, self.other)
        ]
        assert walks[0] == walks[1]

    @rule(
        status=st.none() | st.sampled_from(Status),
        type=st.sampled_from([None, "http"]),
        tenant=st.sampled_from([None, "", "other"]),
        text=st.sampled_from([None, "O", "e", "%"]),
        sort=st.sampled_from(TASK_SORTS),
        descending=st.booleans(),
        offset=few,
        limit=few,
    )
    def page(self, **wanted: Any) -> None:
        self.both("page", TaskFilter(**wanted))

    @rule(
        partitions=st.sampled_from([None, [0], [1], [0, 1]]),
        until=instants,
        limit=few,
        boots=st.lists(st.sampled_from(["one", "two"])),
    )
    def look_for_work(self, partitions: list[int] | None, until: Instant, limit: int, boots: list[str]) -> None:
        self.both("waiting", limit, None, partitions)
        self.both("outbox_due", until, limit, partitions)
        for boot in ("one", "two"):
            self.both("told_to_stop", boot, limit)
        for name, arguments in (("due", (partitions, until, 99)), ("orphans", (boots, 99, partitions))):
            memory, other = (sorted(getattr(store, name)(*arguments)) for store in (self.memory, self.other))
            assert other == memory

    @invariant()
    def the_same_is_stored(self) -> None:
        order = sorted(self.other.tasks(TASKS), key=lambda task: task.id)
        assert order == sorted(self.memory.tasks(TASKS), key=lambda task: task.id)
        self.both("counts")
        self.both("last_grants")
        self.both("audits", offset=0, limit=99)
        self.both("occupied")
        self.both("granted_until")
        self.both("locks", 99)
        self.both("uncounted", 99)
        self.both("scheduler_pause")
        self.both("calendars", None)
        self.both("calendar_users", "", "holidays", after="t1", limit=2)
        self.both("event_states", TASKS)
        self.both("outbox_due", Instant(20), 99)
        assert sorted(self.other.edges()) == sorted(self.memory.edges())
        for name in EXECUTIONS:
            self.both("execution", name)
            # The numbers of lines grow; which numbers they are is each adapter's own matter.
            memory, other = (store.logs(name, after=0, limit=99) for store in (self.memory, self.other))
            assert [line.sequence for line in other] == sorted({line.sequence for line in other})
            assert [attrs.evolve(line, sequence=0) for line in other] == [
                attrs.evolve(line, sequence=0) for line in memory
            ]
        for task_id in TASKS:
            self.the_task_has_the_same_parts(task_id)

    def the_task_has_the_same_parts(self, task_id: str) -> None:
        self.both("revisions", task_id)
        self.both("deliveries", task_id, offset=0, limit=99)
        self.both("executions", task_id, offset=0, limit=99)
        ledgers = [
            sorted(map(repr, store.outcomes(task_id, since=Instant(0), until=LATE, limit=99)))
            for store in (self.memory, self.other)
        ]
        assert ledgers[0] == ledgers[1]


RANDOM: Final = settings(
    max_examples=30, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_sqlite_and_memory_agree(tmp_path: Path) -> None:
    numbers = count()
    # Without waiting for the disk: this is about answers, not about power cuts.
    run_state_machine_as_test(
        lambda: Adapters(lambda: SqliteStore(tmp_path / f"{next(numbers)}.db", synchronous="OFF")), settings=RANDOM
    )


def test_postgres_and_memory_agree(conformance_database: str) -> None:
    fewer = settings(RANDOM, max_examples=10)
    run_state_machine_as_test(lambda: Adapters(lambda: PostgresStore(emptied(conformance_database))), settings=fewer)
