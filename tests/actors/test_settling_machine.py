"""The whole ledger of a task, whatever is done to it, against a model that goes through its slots one by one."""

from __future__ import annotations

import zlib

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.model.calendar import CalendarRule, calendar_of
from actors.model.execution import Kind, WaitsFor
from actors.model.lifecycle import Phase, State
from actors.model.policy import CatchUp, OnExhausted, Overlap, Policies, Retry
from actors.model.task import Definition, assigned
from actors.model.trigger import Bounds, Interval
from actors.rules.definition_changes import first_state
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import Conflict, InvalidRequest
from runtime.records import evolve

from .keeper_kit import START, definition
from .progression_kit import Driver

HORIZON = 400
"""Seconds that a history may last."""


def at(second: int) -> Instant:
    return Instant(START + second * SECOND)


@attrs.define(eq=False)
class Run:
    """An execution as the model sees it. `due`: its place in the spread window. `outcome`: of its slot, once known."""

    slot: int | None
    due: int
    made: int
    started: int | None = None
    outcome: tuple[str, str | None] | None = None


@attrs.define
class Model:
    """Seconds since START throughout. `ledger`: slot to outcome and reason, for slots that got no execution."""

    definition: Definition
    phase: Phase = Phase.ACTIVE
    settled: int = 0
    runs: int = 0
    ledger: dict[int, tuple[str, str]] = attrs.field(factory=dict)
    open: list[Run] = attrs.field(factory=list)
    done: list[Run] = attrs.field(factory=list)

    # -- what the definition says, second by second

    def is_slot(self, second: int, definition: Definition | None = None) -> bool:
        one = definition or self.definition
        assert isinstance(one.trigger, Interval)
        instant, bounds = at(second), one.bounds
        if instant < one.trigger.anchor or (instant - one.trigger.anchor) % one.trigger.every:
            return False
        return (bounds.start is None or instant >= bounds.start) and (bounds.end is None or instant <= bounds.end)

    def is_excluded(self, second: int) -> bool:
        return any(rule.excludes(at(second)) for rule in self.definition.bounds.calendars)

    @property
    def offset(self) -> int:
        return (assigned(self.definition, START) - START) // SECOND

    def slots(self, after: int, through: int) -> list[int]:
        return [second for second in range(after + 1, through + 1) if self.is_slot(second)]

    def has_allowed(self, after: int) -> bool:
        return any(not self.is_excluded(slot) for slot in self.slots(after, max(after, HORIZON) + 50))

    def could_be(self, definition: Definition, now: int) -> bool:
        return attrs.evolve(self, definition=definition).has_allowed(max(now, self.settled))

    # -- what happens

    def settle(self, now: int, *, early: bool = False) -> None:
        clock = now if early else now - self.offset
        owed = self.slots(self.settled, clock)
        allowed = [slot for slot in owed if not self.is_excluded(slot)]
        if self.phase is not Phase.ACTIVE or not allowed:
            return
        policies = self.definition.policies
        verdicts: dict[int, tuple[str, str] | None] = {
            slot: ("skipped", "calendar") for slot in owed if slot not in allowed
        }
        limit = policies.lateness_limit
        in_time = [slot for slot in allowed if limit is None or (clock - slot) * SECOND <= limit]
        match policies.catch_up:
            case CatchUp.LATEST:
                runs = allowed[-1] in in_time
                why = ("coalesced", "catch_up") if runs else ("skipped", "too_late")
                verdicts |= dict.fromkeys(allowed, why)
                verdicts |= dict.fromkeys(allowed[-1:] if runs else [])
            case CatchUp.SKIP:
                verdicts |= dict.fromkeys(allowed, ("missed", "downtime"))
                most = SECOND if limit is None else limit
                verdicts |= dict.fromkeys(slot for slot in allowed[-1:] if (clock - slot) * SECOND <= most)
            case CatchUp.EARLIEST:
                verdicts |= dict.fromkeys(allowed, ("skipped", "too_late"))
                verdicts |= dict.fromkeys(in_time, ("coalesced", "catch_up"))
                verdicts |= dict.fromkeys(in_time[:1])
            case CatchUp.ALL:
                newest = allowed[-policies.catch_up_limit :]
                verdicts |= dict.fromkeys(allowed, ("missed", "downtime"))
                verdicts |= dict.fromkeys(newest, ("skipped", "too_late"))
                verdicts |= dict.fromkeys(slot for slot in newest if slot in in_time)
        self.settled = max(owed)
        admitted = 0
        for slot in sorted(verdicts):
            if (verdict := verdicts[slot]) is not None:
                self.ledger[slot] = verdict
                continue
            if self._limit_reached:
                self.ledger[slot] = ("skipped", "limit")
            else:
                admitted += self._admit(slot, now, clock, admitted)
            if self._limit_reached:
                # Only what the run stands for is settled beyond it.
                self.phase = Phase.FINISHED
                rest = {late: why for late, why in verdicts.items() if late > slot and why is not None}
                kept = rest if policies.catch_up is CatchUp.EARLIEST else {}
                self.ledger |= kept
                self.settled = max([slot, *kept])
                return
        if not self.has_allowed(self.settled):
            self.phase = Phase.FINISHED

    @property
    def _limit_reached(self) -> bool:
        return self.definition.bounds.max_runs is not None and self.runs >= self.definition.bounds.max_runs

    def _admit(self, slot: int, now: int, clock: int, admitted: int) -> bool:
        policies = self.definition.policies
        overlap, busy = policies.overlap, bool(self.open)
        caught_up = policies.catch_up is CatchUp.ALL and (admitted > 0 or clock - slot > 1)
        if busy and overlap is not Overlap.ALLOW and not caught_up and not self._make_room(now):
            self.ledger[slot] = ("skipped", "overlap")
            return False
        run = Run(slot, slot + self.offset, now)
        starts = overlap is Overlap.ALLOW or not self.open
        self.open.append(run)
        self.runs += 1
        if starts:
            self._start(run, now)
        return True

    def _make_room(self, now: int) -> bool:
        """Whether one more may come though others are open; with `replace` those that wait are gone then."""
        policies = self.definition.policies
        waiting = [run for run in self.open if run.started is None]
        match policies.overlap:
            case Overlap.QUEUE:
                return not waiting
            case Overlap.QUEUE_ALL:
                return len(waiting) < policies.overlap_limit
            case Overlap.REPLACE:
                for run in waiting:
                    self._drop(run, "overlap")
                return True
            case _:
                return False

    def _drop(self, run: Run, reason: str) -> None:
        self.open.remove(run)
        self.done.append(run)
        if run.slot is not None:
            run.outcome = ("skipped", reason)
            self.runs = max(0, self.runs - 1)

    def _start(self, run: Run, now: int) -> None:
        run.started = now
        late, made_late = now - run.due > 1, run.made - run.due > 1
        if late:
            run.outcome = ("late", "downtime" if made_late else "overlap")
        else:
            run.outcome = ("fired", None)

    def run_by_hand(self, now: int) -> bool:
        overlap, busy, ended = self.definition.policies.overlap, bool(self.open), len(self.done)
        if busy and overlap is not Overlap.ALLOW and not self._make_room(now):
            return False
        run = Run(None, now, now)
        if overlap is Overlap.ALLOW or not self.open:
            run.started = now
        self.open.append(run)
        if any(run.slot is not None for run in self.done[ended:]):
            self._revive(now)
        return True

    def end(self, index: int, now: int, *, failed: bool) -> None:
        run = [run for run in self.open if run.started is not None][index]
        self.open.remove(run)
        self.done.append(run)
        exhausted = failed and run.slot is not None and self.definition.policies.on_exhausted is OnExhausted.PAUSE
        if exhausted and self.phase is Phase.ACTIVE:
            self.phase = Phase.PAUSED
        self._go_on(now)

    def _go_on(self, now: int) -> None:
        if self.phase is Phase.CANCELLED or not self.open or any(run.started is not None for run in self.open):
            return
        first = self.open[0]
        if first.slot is None:
            first.started = now
        else:
            self._start(first, now)

    def cancel_waiting(self, now: int) -> None:
        run = next(run for run in self.open if run.started is None)
        self._drop(run, "cancelled")
        self._go_on(now)
        if run.slot is not None:
            self._revive(now)

    def _revive(self, now: int) -> None:
        limit = self.definition.bounds.max_runs
        begin = max(now, self.settled)
        if self.phase is Phase.FINISHED and limit is not None and self.runs < limit and self.has_allowed(begin):
            self._close(now, ("skipped", "limit"))
            self.settled, self.phase = begin, Phase.ACTIVE

    def _close(self, now: int, why: tuple[str, str]) -> None:
        """Every slot up to now that has no outcome gets this one, unless a calendar excludes it."""
        for slot in self.slots(self.settled, now):
            self.ledger[slot] = ("skipped", "calendar") if self.is_excluded(slot) else why

    def pause(self, now: int) -> None:
        self.settle(now)
        if self.phase is Phase.ACTIVE:
            self.phase = Phase.PAUSED

    def activate(self, now: int) -> None:
        if self.phase is Phase.PAUSED:
            self._close(now, ("skipped", "paused"))
        self.settled, self.phase, self.runs = max(now, self.settled), Phase.ACTIVE, 0

    def edit(self, definition: Definition, now: int) -> None:
        same = (definition.trigger, definition.bounds) == (self.definition.trigger, self.definition.bounds)
        self.settle(now, early=not same)
        if not same and self.phase is Phase.PAUSED:
            self._close(now, ("skipped", "paused"))
        if not same and self.phase is Phase.ACTIVE:
            self._close(now, ("missed", "downtime"))
        if not same and self.phase in (Phase.PAUSED, Phase.ACTIVE):
            self.settled = max(now, self.settled)
        self.definition = definition

    def recalculate(self, definition: Definition, now: int) -> None:
        self.settle(now)
        begin = now - self.offset
        if self.phase is Phase.PAUSED:
            self._close(begin, ("skipped", "paused"))
        if self.phase is Phase.ACTIVE:
            self._close(begin, ("missed", "downtime"))
        if self.phase in (Phase.PAUSED, Phase.ACTIVE):
            self.settled = max(begin, self.settled)
        self.definition = definition
        if self.phase is Phase.ACTIVE and not self.has_allowed(self.settled):
            self.phase = Phase.FINISHED

    def cancel(self, now: int) -> None:
        if self.phase is not Phase.FINISHED:
            self._close(now, ("skipped", "paused" if self.phase is Phase.PAUSED else "cancelled"))
        self.settled, self.phase = max(now, self.settled), Phase.CANCELLED
        for run in [run for run in self.open if run.started is None]:
            self._drop(run, "cancelled")

    def expected(self) -> dict[int, tuple[str, str | None]]:
        executed = {run.slot: run.outcome or ("open", None) for run in [*self.open, *self.done] if run.slot is not None}
        assert not executed.keys() & self.ledger.keys(), "the model itself settled a slot twice"
        return {**self.ledger, **executed}


calendars = st.lists(st.tuples(st.integers(0, HORIZON), st.integers(1, 30)), max_size=6).map(
    lambda spans: (
        CalendarRule(calendar_of("", "closed", 1, windows=[(at(begin), at(begin + long)) for begin, long in spans])),
    )
)
bounds = st.builds(
    Bounds,
    start=st.none() | st.integers(-5, 30).map(at),
    end=st.none() | st.integers(30, HORIZON).map(at),
    max_runs=st.none() | st.integers(1, 6),
    spread=st.sampled_from([0, 0, 1, 7]).map(lambda seconds: Micros(seconds * SECOND)),
    calendars=st.just(()) | calendars,
)
policies = st.builds(
    Policies,
    retry=st.just(Retry(max_retries=0)),
    overlap=st.sampled_from(Overlap),
    overlap_limit=st.integers(1, 3),
    catch_up=st.sampled_from(CatchUp),
    catch_up_limit=st.integers(1, 4),
    lateness_limit=st.none() | st.integers(0, 12).map(lambda seconds: Micros(seconds * SECOND)),
    on_exhausted=st.sampled_from(OnExhausted),
)
definitions = st.builds(
    lambda task_id, every, anchor, bounds, policies: definition(
        task_id, Interval(Micros(every * SECOND), at(anchor)), bounds, policies
    ),
    st.sampled_from(["t1", "t2", "t3"]),
    st.integers(1, 9),
    st.integers(-9, 9),
    bounds,
    policies,
)


def with_place(one: Definition) -> Definition:
    """The definition with its spread window so wide that the task's place is a whole second, for the model counts in seconds."""
    seconds = one.bounds.spread // SECOND
    wide = Micros(-(-(seconds * SECOND << 32) // zlib.crc32(one.id.encode())))
    placed = evolve(one, bounds=evolve(one.bounds, spread=wide))
    assert assigned(placed, START) == at(seconds)
    return placed


class Ledger(RuleBasedStateMachine):
    """See the module's docstring."""

    @initialize(first=definitions)
    def create(self, first: Definition) -> None:
        self.now = 0
        first = with_place(first)
        try:
            first_state(first, at(0))
        except InvalidRequest:
            first = evolve(first, bounds=Bounds(), trigger=Interval(Micros(3 * SECOND), at(0)))
        self.driver = Driver(first, at(0))
        self.model = Model(first)

    @rule(by=st.sampled_from([1, 1, 2, 3, 5, 9, 20, 60]))
    def time_passes(self, by: int) -> None:
        self.now += by
        self.driver.settle_fully(at(self.now))
        self.model.settle(self.now)

    @rule(by=st.sampled_from([1, 4, 15]))
    def time_passes_unnoticed(self, by: int) -> None:
        self.now += by

    @precondition(lambda self: self.driver.running)
    @rule(data=st.data(), failed=st.booleans())
    def an_execution_ends(self, data: st.DataObject, failed: bool) -> None:
        index = data.draw(st.integers(0, len(self.driver.running) - 1))
        state = State.FAILED if failed and not self.driver.running[index].cancel_reason else State.COMPLETED
        self.driver.end(self.driver.running[index].id, at(self.now), state)
        self.model.end(index, self.now, failed=state is State.FAILED)

    @precondition(lambda self: self.driver.waiting)
    @rule()
    def a_waiting_one_is_cancelled(self) -> None:
        self.driver.cancel_execution(self.driver.waiting[0].id, at(self.now))
        self.model.cancel_waiting(self.now)

    @precondition(lambda self: self.model.phase is not Phase.CANCELLED)
    @rule()
    def it_is_run_by_hand(self) -> None:
        try:
            self.driver.run(at(self.now))
        except Conflict:
            assert not self.model.run_by_hand(self.now)
        else:
            assert self.model.run_by_hand(self.now)

    @rule()
    def it_is_paused(self) -> None:
        try:
            self.driver.pause(at(self.now))
        except Conflict:
            self.model.settle(self.now)
            assert self.model.phase is not Phase.ACTIVE
        else:
            self.model.pause(self.now)

    @precondition(lambda self: self.model.phase in (Phase.PAUSED, Phase.FINISHED))
    @rule()
    def it_is_activated(self) -> None:
        try:
            self.driver.activate(at(self.now))
        except Conflict:
            assert not self.model.has_allowed(max(self.now, self.model.settled))
        else:
            self.model.activate(self.now)

    @precondition(lambda self: self.model.phase is not Phase.CANCELLED)
    @rule(other=definitions, keep_times=st.booleans())
    def it_is_edited(self, other: Definition, keep_times: bool) -> None:
        other = with_place(evolve(other, id=self.driver.task.id))
        if keep_times:
            old = self.driver.task.definition
            other = evolve(other, trigger=old.trigger, bounds=old.bounds)
        try:
            self.driver.edit(other, at(self.now))
        except Conflict:
            assert not self.model.could_be(other, self.now)
        else:
            self.model.edit(other, self.now)

    @precondition(lambda self: self.model.phase is not Phase.CANCELLED)
    @rule(rules=calendars)
    def its_calendar_changes(self, rules: tuple[CalendarRule, ...]) -> None:
        old = self.driver.task.definition
        changed = evolve(old, bounds=evolve(old.bounds, calendars=rules))
        self.driver.recalculate(changed, at(self.now))
        self.model.recalculate(changed, self.now)

    @precondition(lambda self: self.now > 100)
    @rule()
    def it_is_cancelled(self) -> None:
        if self.model.phase is Phase.CANCELLED:
            return
        self.driver.cancel(at(self.now))
        self.model.cancel(self.now)

    @invariant()
    def the_ledgers_are_equal(self) -> None:
        if not hasattr(self, "driver"):
            return
        task = self.driver.task
        found, expected = ledger_of(self.driver), self.model.expected()
        differ = {slot for slot in {*found, *expected} if found.get(slot) != expected.get(slot)}
        assert not differ, {slot: (found.get(slot), expected.get(slot)) for slot in differ}
        assert task.state.phase is self.model.phase
        assert task.state.runs == self.model.runs
        assert [entry.state is State.RUNNING for entry in task.open] == [
            run.started is not None for run in self.model.open
        ]
        if task.state.phase is Phase.ACTIVE:
            assert task.state.next_fire is not None

    @invariant()
    def every_slot_has_one_outcome(self) -> None:
        """Up to where it is settled, of every definition in its time; and nothing beyond."""
        if not hasattr(self, "driver"):
            return
        through = (self.driver.task.state.settled_through - START) // SECOND
        assert all(slot <= through for slot in ledger_of(self.driver))


def ledger_of(driver: Driver) -> dict[int, tuple[str, str | None]]:
    """Slot by slot: outcome and reason. Fails if a slot has two, or if a range does not count its slots rightly."""
    found: list[tuple[int, tuple[str, str | None]]] = []
    for row in driver.rows:
        trigger = driver.definitions[row.revision].trigger
        assert isinstance(trigger, Interval)
        times = range((row.first - START) // SECOND, (row.last - START) // SECOND + 1, trigger.every // SECOND)
        assert len(times) == row.count, row
        found.extend((time, (row.outcome.value, row.reason.value)) for time in times)
    for entry in driver.executions.values():
        if entry.kind is Kind.OCCURRENCE:
            assert entry.nominal is not None
            slot = (entry.nominal - START) // SECOND
            if entry.outcome is None:
                assert entry.waits_for is WaitsFor.OVERLAP, entry
                found.append((slot, ("open", None)))
            else:
                found.append((slot, (entry.outcome.value, entry.reason.value if entry.reason else None)))
    ledger = dict(found)
    assert len(ledger) == len(found), "a slot was settled twice"
    return ledger


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
