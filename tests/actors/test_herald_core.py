"""What the herald decides: judgements held against a dumb model, tries, and whom a slow receiver holds up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.herald_core import (
    AT_ONCE,
    FIRST_DELAY,
    JUDGED,
    LONGEST_DELAY,
    MAX_DETAIL,
    MAX_TRIES,
    MOST_READ,
    PER_TARGET,
    READ,
    Judgement,
    Outcome,
    Queue,
    Verdict,
    after_try,
    judge,
    read_entry,
    target_of,
)
from actors.herald_messages import Delivery, DeliveryFailed
from actors.model.event import Email, EventTrigger, On, RunTask, Topic, Webhook
from actors.store.port import EventState, OutboxEntry
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import StoreDamaged
from runtime.records import evolve
from tests.actors.event_kit import START, entries, event, ids

HOOK = Webhook("https://example.org/hook?key=1", headers=(("x", "y"),), body="{task.name}")
ACTIONS = (HOOK, Email(("a@example.org",), "subject"), Topic("alarms"), RunTask("other", "{}"))


def outcome(trigger: EventTrigger | None = None, at: int = START, **fields: Any) -> Outcome:
    (entry,) = entries(trigger or event(), at=at, **fields)
    opened = read_entry(entry)
    assert isinstance(opened, Outcome)
    return opened


def deliveries(count: int, action: Any = HOOK, prefix: str = "a") -> list[Delivery]:
    judged = judge(outcome(event(*[action] * count)), Verdict(True), None, START, ids(prefix))
    opened = [read_entry(entry) for entry in judged.entries]
    assert all(isinstance(one, Delivery) for one in opened)
    return [one for one in opened if isinstance(one, Delivery)]


def test_a_condition_that_holds_sets_off_every_action_under_an_id_of_its_own() -> None:
    one = outcome(event(*ACTIONS), result='{"rows": 1}')
    judged = judge(one, Verdict(True), None, Instant(START + 7), ids("a"))
    assert (judged.write.state, judged.write.detail, judged.write.entry_id) == (
        "fired",
        "a000001 a000002 a000003 a000004",
        "d000001",
    )
    assert judged.state == EventState("t1", "alarm", True, START)
    opened = [read_entry(entry) for entry in judged.entries]
    assert [each.action for each in opened if isinstance(each, Delivery)] == list(ACTIONS)
    for entry, each in zip(judged.entries, opened, strict=True):
        assert isinstance(each, Delivery)
        assert (entry.due, entry.at, entry.tries) == (START + 7, START, 0)
        assert (each.id, each.task_id, each.execution_id, each.event, each.at) == (entry.id, "t1", "e1", "alarm", START)
        assert each.facts == one.facts
        assert each.facts["result"] == {"rows": 1}


def test_a_condition_without_an_answer_is_recorded_and_remembers_nothing() -> None:
    judged = judge(outcome(), Verdict(None, "there is no 'rows'"), None, START, ids())
    assert (judged.write.state, judged.write.detail) == ("given_up", "condition: there is no 'rows'")
    assert (judged.entries, judged.state) == ((), None)


class Triggers(RuleBasedStateMachine):
    """Outcomes at any instants, in any order of truth, against a model that remembers everything."""

    @initialize(mode=st.sampled_from(["level", "edge"]), throttle=st.integers(0, 5))
    def begin(self, mode: Any, throttle: int) -> None:
        self.trigger = event(mode=mode, throttle=Micros(throttle * SECOND), on=(On.FAILED,))
        self.memory: EventState | None = None
        self.now = START
        self.history: list[tuple[Instant, bool | None, bool]] = []
        self.new_id = ids("a")

    @rule(verdict=st.sampled_from([True, True, False, None]), steps=st.integers(-2, 3))
    def one(self, verdict: bool | None, steps: int) -> None:
        self.now = Instant(self.now + steps * SECOND)
        judged = judge(outcome(self.trigger, at=self.now), Verdict(verdict), self.memory, self.now, self.new_id)
        expected = self.should_fire(verdict)
        assert (judged.write.state == "fired") is expected
        assert len(judged.entries) == (1 if expected else 0)
        assert judged.write.state in ("fired", "suppressed", "given_up")
        assert (judged.write.state == "given_up") is (verdict is None)
        self.memory = judged.state or self.memory
        self.history.append((self.now, verdict, expected))

    def should_fire(self, verdict: bool | None) -> bool:
        if not verdict:
            return False
        former = [held for _, held, _ in self.history if held is not None]
        if self.trigger.mode == "edge" and former and former[-1]:
            return False
        fired = [at for at, _, has_fired in self.history if has_fired]
        return not fired or not 0 <= self.now - fired[-1] < self.trigger.throttle

    @invariant()
    def remembers_what_was(self) -> None:
        if not hasattr(self, "history") or not self.history:
            return
        held = [one for _, one, _ in self.history if one is not None]
        assert (self.memory.held if self.memory else None) == (held[-1] if held else None)


TestTriggers = Triggers.TestCase


def test_nothing_is_written_of_a_memory_that_stays_as_it_is() -> None:
    first = judge(outcome(), Verdict(False), None, START, ids())
    assert first.state == EventState("t1", "alarm", False)
    assert judge(outcome(), Verdict(False), first.state, START, ids()).state is None


def entry_of(tries: int = 0) -> OutboxEntry:
    judged: Judgement = judge(outcome(), Verdict(True), None, START, ids("a"))
    return evolve(judged.entries[0], tries=tries)


def test_a_try_that_works_is_delivered() -> None:
    write = after_try(entry_of(), "HTTP 200", Instant(START + 1))
    assert (write.state, write.detail, write.due, write.at) == ("delivered", "HTTP 200", None, START + 1)


@given(st.integers(0, MAX_TRIES + 2), st.booleans(), st.text(max_size=2 * MAX_DETAIL))
def test_tries_are_bounded_and_further_and_further_apart(tries: int, permanent: bool, detail: str) -> None:
    write = after_try(entry_of(tries), DeliveryFailed(detail, permanent=permanent), START)
    assert len(write.detail) <= MAX_DETAIL
    if permanent or tries + 1 >= MAX_TRIES:
        assert (write.state, write.due) == ("given_up", None)
        return
    assert write.state == "retry"
    assert write.due is not None
    assert write.due - START == min(LONGEST_DELAY, FIRST_DELAY * 3**tries)


@pytest.mark.parametrize(
    "payload", ["", "[]", "{}", '{"event": {}, "counts": {}, "fence": 1}', '{"action": {"kind": "x"}}']
)
def test_what_is_not_of_this_version_is_damage(payload: str) -> None:
    with pytest.raises(StoreDamaged, match="entry a000001"):
        read_entry(evolve(entry_of(), payload=payload))


def test_a_receiver_is_known_by_what_it_is() -> None:
    assert [target_of(action) for action in ACTIONS] == ["https://example.org/hook", "mail", "topic", "task other"]


def test_outcomes_are_judged_in_the_order_in_which_they_were_made() -> None:
    new_id = ids()
    made = [read_entry(entry) for _ in range(JUDGED + 5) for entry in entries(event(), new_id=new_id)]
    chosen, actions = Queue().choose(reversed(made))
    assert not actions
    assert [one.entry.id for one in chosen] == [f"d{number:06}" for number in range(1, JUDGED + 1)]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)), max_size=12), st.data())
def test_a_slow_receiver_holds_up_nobody_else(arrivals: list[tuple[int, int]], data: st.DataObject) -> None:
    queue = Queue()
    due: list[Delivery] = []
    begun: set[str] = set()
    for number, (target, count) in enumerate(arrivals):
        due += deliveries(count, Webhook(f"https://host{target}/"), f"x{number}-")
        _, started = queue.choose(due)
        assert not begun & {one.id for one in started}
        begun |= {one.id for one in started}
        by_target: dict[str, int] = {}
        for running in queue.running.values():
            by_target[running] = by_target.get(running, 0) + 1
        assert all(running <= PER_TARGET for running in by_target.values())
        assert len(queue.running) <= AT_ONCE
        waiting = [one for one in due if one.id not in begun]
        if len(queue.running) < AT_ONCE:
            assert all(by_target[target_of(one.action)] == PER_TARGET for one in waiting), "what could begin has begun"
        assert queue.limit == min(MOST_READ, READ + len(queue.running) + len(waiting))
        ended = data.draw(st.sets(st.sampled_from(sorted(queue.running)))) if queue.running else set()
        for entry_id in sorted(ended):
            queue.done(entry_id)
        assert not queue.choose([one for one in due if one.id in ended])[1], (
            "it may have been read before it was recorded"
        )
        queue.begin()
        due = [one for one in due if one.id not in ended]
        begun -= ended


def test_a_payload_is_json_with_nothing_of_the_counts() -> None:
    payload = json.loads(entry_of().payload)
    assert payload.keys() == {"action", "facts"}
    assert payload["facts"].keys() == {"execution", "task", "result", "input"}
