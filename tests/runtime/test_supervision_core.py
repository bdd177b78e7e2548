"""The rules of supervision: given events, expect directives; then whatever order of events against a dumb model."""

from __future__ import annotations

import random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runtime.errors import InternalError, RestartIntensityExceeded
from runtime.supervision_core import SupervisionCore
from runtime.supervision_messages import (
    Backoff,
    BackoffElapsed,
    ChildExited,
    ChildRule,
    ChildStarted,
    ChildState,
    Directive,
    Escalate,
    Event,
    Finished,
    Intensity,
    Ready,
    Restart,
    RetireChild,
    StartChild,
    StartRequested,
    StopChild,
    StopRequested,
    Strategy,
    WaitUntil,
)

BACKOFF = Backoff(initial_seconds=1.0, factor=2.0, cap_seconds=8.0, jitter=0.0, healthy_seconds=100.0)
BOOM = ValueError("boom")


def core_of(
    *children: str | ChildRule,
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    intensity: Intensity = Intensity(restarts=100, period_seconds=5.0),
    backoff: Backoff = BACKOFF,
) -> SupervisionCore:
    rules = [ChildRule(child) if isinstance(child, str) else child for child in children]
    return SupervisionCore("node", rules, strategy, intensity, backoff, random.Random(0))


def started(*children: str | ChildRule, **options: object) -> SupervisionCore:
    """A core whose children all run since second 0."""
    core = core_of(*children, **options)  # type: ignore[arg-type]
    core.handle(StartRequested(), 0.0)
    for status in core.statuses():
        core.handle(ChildStarted(status.name), 0.0)
    return core


def states(core: SupervisionCore) -> dict[str, str]:
    return {status.name: status.state.value for status in core.statuses()}


def play(core: SupervisionCore, now: float, *events: Event) -> list[Directive]:
    directives = [directive for event in events for directive in core.handle(event, now)]
    core.check_invariants()
    return directives


def test_nothing_starts_unasked() -> None:
    assert core_of("a").handle(BackoffElapsed(), 0.0) == []


def test_no_children_is_ready_at_once() -> None:
    core = core_of()
    assert core.handle(StartRequested(), 0.0) == [Ready()]
    assert core.handle(StopRequested(final=True), 0.0) == [Finished()]


def test_each_starts_after_the_one_before_is_ready() -> None:
    core = core_of("a", "b")
    assert play(core, 0.0, StartRequested()) == [StartChild("a")]
    assert play(core, 1.0, ChildStarted("a")) == [StartChild("b")]
    assert play(core, 2.0, ChildStarted("b")) == [Ready()]
    assert play(core, 3.0, ChildStarted("b")) == []


def test_they_stop_in_reverse_and_retire_one_by_one() -> None:
    core = started("a", ChildRule("b", shutdown_seconds=2.0))
    assert play(core, 10.0, StopRequested(final=True)) == [StopChild("b", 12.0, final=True)]
    assert play(core, 11.0, StopRequested(final=True)) == []
    assert play(core, 11.0, ChildExited("b", None)) == [RetireChild("b"), StopChild("a", 16.0, final=True)]
    assert play(core, 12.0, ChildExited("a", None)) == [RetireChild("a"), Finished()]
    assert play(core, 13.0, StopRequested(final=True), BackoffElapsed()) == []


def test_suspended_children_are_not_retired() -> None:
    core = started("a")
    assert play(core, 10.0, StopRequested(final=False), ChildExited("a", None)) == [
        StopChild("a", 15.0, final=False),
        Finished(),
    ]


def test_a_final_stop_after_a_suspension_retires_those_already_down() -> None:
    core = started("a", "b")
    play(core, 10.0, StopRequested(final=False), ChildExited("b", None))
    assert play(core, 10.0, StopRequested(final=True)) == [RetireChild("b")]
    assert play(core, 10.0, ChildExited("a", None)) == [RetireChild("a"), Finished()]


def test_a_stop_during_the_start_stops_the_starting_child_and_starts_no_more() -> None:
    core = core_of("a", "b", "c")
    play(core, 0.0, StartRequested(), ChildStarted("a"))
    assert play(core, 1.0, StopRequested(final=True)) == [RetireChild("c"), StopChild("b", 6.0, final=True)]
    assert play(core, 1.0, ChildStarted("b")) == []
    assert states(core)["b"] == "stopping"


def test_one_for_one_restarts_the_crashed_one_after_its_pause() -> None:
    core = started("a", "b", "c")
    assert play(core, 10.0, ChildExited("b", BOOM)) == [WaitUntil(11.0)]
    assert play(core, 10.5, BackoffElapsed()) == [WaitUntil(11.0)]
    assert play(core, 11.0, BackoffElapsed()) == [StartChild("b")]
    assert play(core, 11.0, ChildStarted("b")) == []
    assert [(status.restarts, status.last_error) for status in core.statuses()] == [(0, None), (1, BOOM), (0, None)]


def test_one_for_one_children_in_backoff_do_not_wait_for_each_other() -> None:
    core = started("a", "b")
    play(core, 10.0, ChildExited("a", BOOM))
    play(core, 11.0, BackoffElapsed(), ChildExited("a", BOOM))
    assert play(core, 11.0, ChildExited("b", BOOM)) == [WaitUntil(12.0)]
    assert play(core, 12.0, BackoffElapsed()) == [StartChild("b"), WaitUntil(13.0)]


def test_rest_for_one_stops_the_later_ones_first() -> None:
    core = started("a", "b", "c", "d", strategy=Strategy.REST_FOR_ONE)
    assert play(core, 10.0, ChildExited("b", BOOM)) == [StopChild("d", 15.0, final=False)]
    assert play(core, 10.0, ChildExited("d", None)) == [StopChild("c", 15.0, final=False)]
    assert play(core, 10.0, ChildExited("c", None)) == [WaitUntil(11.0)]
    assert play(core, 11.0, BackoffElapsed()) == [StartChild("b")]
    assert play(core, 11.0, ChildStarted("b")) == [StartChild("c")]
    assert play(core, 11.0, ChildStarted("c")) == [StartChild("d")]
    assert [status.restarts for status in core.statuses()] == [0, 1, 0, 0]


def test_one_for_all_stops_everybody_else_first() -> None:
    core = started("a", "b", "c", strategy=Strategy.ONE_FOR_ALL)
    stops = play(core, 10.0, ChildExited("b", BOOM), ChildExited("c", None), ChildExited("a", None))
    assert stops == [StopChild("c", 15.0, final=False), StopChild("a", 15.0, final=False), WaitUntil(11.0)]
    assert play(core, 11.0, BackoffElapsed()) == [StartChild("a")]


def test_a_crash_of_one_that_is_to_be_stopped_counts_for_nothing() -> None:
    core = started("a", "b", "c", strategy=Strategy.ONE_FOR_ALL, intensity=Intensity(restarts=1))
    play(core, 10.0, ChildExited("a", BOOM))
    assert play(core, 10.0, ChildExited("b", BOOM), ChildExited("c", BOOM)) == [WaitUntil(11.0)]
    assert [status.restarts for status in core.statuses()] == [1, 0, 0]


@pytest.mark.parametrize(
    ("restart", "error", "expected"),
    [
        (Restart.PERMANENT, BOOM, "pending"),
        (Restart.PERMANENT, None, "pending"),
        (Restart.TRANSIENT, BOOM, "pending"),
        (Restart.TRANSIENT, None, "ended"),
        (Restart.TEMPORARY, BOOM, "ended"),
        (Restart.TEMPORARY, None, "ended"),
    ],
)
def test_who_is_restarted(restart: Restart, error: Exception | None, expected: str) -> None:
    core = started(ChildRule("a", restart))
    directives = play(core, 10.0, ChildExited("a", error))
    assert states(core) == {"a": expected}
    assert (RetireChild("a") in directives) == (expected == "ended")


def test_a_temporary_child_stopped_for_a_sibling_does_not_come_back_but_an_ended_one_blocks_nobody() -> None:
    core = started("a", ChildRule("b", Restart.TEMPORARY), "c", strategy=Strategy.ONE_FOR_ALL)
    directives = play(core, 10.0, ChildExited("a", BOOM), ChildExited("c", None), ChildExited("b", None))
    assert RetireChild("b") in directives
    directives = play(core, 11.0, BackoffElapsed(), ChildStarted("a"), ChildStarted("c"))
    assert directives == [StartChild("a"), StartChild("c")]


def test_a_temporary_child_whose_supervisor_is_suspended_may_come_back() -> None:
    core = started(ChildRule("a", Restart.TEMPORARY))
    assert RetireChild("a") not in play(core, 10.0, StopRequested(final=False), ChildExited("a", None))


def test_a_failed_first_start_fails_the_supervisor_with_its_error() -> None:
    core = core_of("a", "b", "c")
    play(core, 0.0, StartRequested(), ChildStarted("a"))
    assert play(core, 1.0, ChildExited("b", BOOM)) == [StopChild("a", 6.0, final=False)]
    assert play(core, 1.0, ChildExited("a", None)) == [Escalate(BOOM)]


def test_a_failed_restart_is_one_more_crash() -> None:
    core = started("a")
    play(core, 10.0, ChildExited("a", BOOM))
    play(core, 11.0, BackoffElapsed())
    assert play(core, 11.0, ChildExited("a", BOOM)) == [WaitUntil(13.0)]


def test_one_restart_too_many_within_the_period_gives_up() -> None:
    core = started("a", "b", "c", intensity=Intensity(restarts=1, period_seconds=5.0))
    play(core, 10.0, ChildExited("a", BOOM))
    assert play(core, 15.0, ChildExited("b", BOOM)) == [StopChild("c", 20.0, final=False)]


def test_a_final_stop_while_giving_up_retires_but_still_tells_the_parent() -> None:
    core = started("a", "b", intensity=Intensity(restarts=0))
    play(core, 10.0, ChildExited("a", BOOM))
    assert play(core, 10.0, StopRequested(final=True)) == [RetireChild("a")]
    retire, escalate = play(core, 10.0, ChildExited("b", None))
    assert retire == RetireChild("b")
    assert isinstance(escalate, Escalate)


def test_giving_up_names_the_child_and_keeps_the_cause() -> None:
    core = started("a", "b", intensity=Intensity(restarts=0))
    assert play(core, 10.0, ChildExited("a", BOOM)) == [StopChild("b", 15.0, final=False)]
    (escalate,) = play(core, 10.0, ChildExited("b", None))
    assert isinstance(escalate, Escalate)
    assert isinstance(escalate.error, RestartIntensityExceeded)
    assert str(escalate.error) == "supervisor 'node': over 0 restarts within 5 s, the last of 'a': ValueError('boom')"
    assert escalate.error.__cause__ is BOOM


def test_giving_up_on_a_permanent_child_that_just_ended() -> None:
    (escalate,) = play(started("a", intensity=Intensity(restarts=0)), 10.0, ChildExited("a", None))
    assert isinstance(escalate, Escalate)
    assert str(escalate.error).endswith("the last of 'a': ended, and should not")


def test_restarts_outside_the_period_are_forgotten() -> None:
    core = started("a", intensity=Intensity(restarts=1, period_seconds=5.0))
    for now in (10.0, 20.0, 30.0, 40.0):
        assert isinstance(play(core, now, ChildExited("a", BOOM))[0], WaitUntil)
        assert play(core, now + 9.0, BackoffElapsed(), ChildStarted("a")) == [StartChild("a")]


def test_the_pause_doubles_to_its_cap_and_a_healthy_time_resets_it() -> None:
    core = started("a")
    pauses = []
    now = 10.0
    for healthy in (0.0, 0.0, 0.0, 0.0, 0.0, 100.0):
        now += healthy
        (wait,) = play(core, now, ChildExited("a", BOOM))
        assert isinstance(wait, WaitUntil)
        pauses.append(wait.at - now)
        now = wait.at
        play(core, now, BackoffElapsed(), ChildStarted("a"))
    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0, 1.0]


def test_the_pause_survives_a_thousand_crashes_in_a_row() -> None:
    core = started(
        "a", intensity=Intensity(restarts=10_000, period_seconds=1.0), backoff=Backoff(factor=1e6, jitter=0.0)
    )
    now = 0.0
    for _ in range(1_200):
        play(core, now, ChildExited("a", BOOM))
        now += 30.0
        assert play(core, now, BackoffElapsed(), ChildStarted("a")) == [StartChild("a")]


def test_jitter_only_shortens_the_pause() -> None:
    core = started("a", backoff=Backoff(initial_seconds=10.0, jitter=0.5))
    (wait,) = play(core, 0.0, ChildExited("a", BOOM))
    assert isinstance(wait, WaitUntil)
    assert 5.0 <= wait.at < 10.0


def test_a_stop_before_the_start_is_the_end() -> None:
    core = core_of("a")
    assert play(core, 0.0, StopRequested(final=True)) == [RetireChild("a"), Finished()]


def test_names_are_unique() -> None:
    with pytest.raises(InternalError, match="share a name"):
        core_of("a", "a")


@pytest.mark.parametrize(
    "bad", [{"jitter": 1.5}, {"factor": 0.5}, {"initial_seconds": 31.0}, {"initial_seconds": -1.0}]
)
def test_backoffs_that_make_no_sense_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InternalError, match="not a backoff"):
        Backoff(**bad)


def test_broken_invariants_show_the_state() -> None:
    core = started("a", "b")
    for child in core._children.values():
        child.state = ChildState.STOPPING
    with pytest.raises(InternalError, match=r"one child stops at a time.*'b'"):
        core.check_invariants()


class Supervision(RuleBasedStateMachine):
    """Children that do what they like. The model knows only who lives and what was ordered, never why."""

    @initialize(
        strategy=st.sampled_from(Strategy),
        restarts=st.lists(st.sampled_from(Restart), min_size=1, max_size=5),
        limit=st.integers(0, 4),
    )
    def begin(self, strategy: Strategy, restarts: list[Restart], limit: int) -> None:
        rules = [ChildRule(f"c{number}", restart) for number, restart in enumerate(restarts)]
        self.rules = {each.name: each for each in rules}
        self.core = core_of(*rules, strategy=strategy, intensity=Intensity(limit, 30.0))
        self.strategy = strategy
        self.now = 0.0
        self.alive: dict[str, str] = {}
        self.retired: set[str] = set()
        self.wait_until: float | None = None
        self.end: Directive | None = None
        self.stopping = False
        self.final = False
        self.crashes = 0
        self.tell(StartRequested())

    def tell(self, event: Event) -> None:
        self.wait_until = None
        for directive in self.core.handle(event, self.now):
            assert self.end is None, "nothing follows the end"
            self.obey(directive)
        self.core.check_invariants()

    def obey(self, directive: Directive) -> None:
        names = list(self.rules)
        match directive:
            case StartChild(name):
                assert name not in self.alive
                assert name not in self.retired
                assert not self.stopping
                if self.strategy is not Strategy.ONE_FOR_ONE:
                    assert all(self.alive.get(e) == "ready" or e in self.retired for e in names[: names.index(name)])
                self.alive[name] = "starting"
            case StopChild(name, deadline, final):
                assert self.alive[name] in ("starting", "ready")
                assert deadline > self.now
                assert final == self.final
                assert not any(state == "told" for state in self.alive.values()), "one at a time"
                self.alive[name] = "told"
            case RetireChild(name):
                assert name not in self.alive
                assert name not in self.retired
                self.retired.add(name)
            case WaitUntil(at):
                assert at > self.now
                self.wait_until = at
            case Ready():
                assert all(self.alive.get(name) == "ready" or name in self.retired for name in names)
            case Finished() | Escalate():
                assert not self.alive
                assert self.stopping or isinstance(directive, Escalate)
                self.end = directive

    def someone(self, data: st.DataObject, *wanted: str) -> str | None:
        candidates = sorted(name for name, state in self.alive.items() if state in wanted)
        return data.draw(st.sampled_from(candidates)) if candidates else None

    @rule(data=st.data())
    def becomes_ready(self, data: st.DataObject) -> None:
        name = self.someone(data, "starting")
        if name is not None:
            self.alive[name] = "ready"
            self.tell(ChildStarted(name))

    @rule(data=st.data(), crash=st.booleans())
    def exits(self, data: st.DataObject, crash: bool) -> None:
        name = self.someone(data, "starting", "ready", "told")
        if name is None:
            return
        if self.alive.pop(name) == "starting" and not crash:
            crash = True  # the shell makes an error of an end before readiness
        self.crashes += crash
        self.tell(ChildExited(name, BOOM if crash else None))

    @rule(seconds=st.floats(0.0, 50.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.tell(BackoffElapsed())

    @precondition(lambda self: len(self.alive) > 0)
    @rule(final=st.booleans())
    def stop(self, final: bool) -> None:
        self.stopping = True
        self.final = self.final or final
        self.tell(StopRequested(final))

    @invariant()
    def something_is_always_under_way(self) -> None:
        """Never stuck: at the end, or a child is changing, or a wait is set, or all that can run do."""
        if not hasattr(self, "core") or self.end is not None:
            return
        changing = any(state in ("starting", "told") for state in self.alive.values())
        settled = all(self.alive.get(name) == "ready" or name in self.retired for name in self.rules)
        assert changing or self.wait_until is not None or (settled and not self.stopping)

    @invariant()
    def the_end_is_complete(self) -> None:
        if hasattr(self, "core") and isinstance(self.end, Finished) and self.final:
            assert self.retired == set(self.rules)


TestSupervision = Supervision.TestCase
