"""What the herald decides: judgements held against a dumb model, tries, and whom a slow receiver holds up."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

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
    queue = Queue()
    chosen = queue.add(reversed(made))
    assert queue.is_empty
    assert [one.entry.id for one in chosen] == [f"d{number:06}" for number in range(1, JUDGED + 1)]


class Deliveries(RuleBasedStateMachine):
    """An outbox that is read now and then, and actions that end in any order: each is begun once, and none is held up in vain."""

    @initialize()
    def begin(self) -> None:
        self.queue = Queue()
        self.outbox: dict[str, OutboxEntry] = {}
        self.begun: set[str] = set()
        self.stale: list[OutboxEntry] = []
        self.new_id = ids("a")

    @rule(host=st.integers(0, 5), count=st.integers(1, 9), inside=st.booleans())
    def arrive(self, host: int, count: int, inside: bool) -> None:
        action = Topic("t") if inside else Webhook(f"https://host{host}/")
        judged = judge(outcome(event(*[action] * count)), Verdict(True), None, START, self.new_id)
        self.outbox |= {entry.id: entry for entry in judged.entries}

    @rule()
    def start_reading(self) -> None:
        self.queue.begin()
        self.stale = list(self.outbox.values())[: self.queue.limit]

    @rule()
    def what_was_read_arrives(self) -> None:
        fresh, self.stale = self.queue.fresh(self.stale), []
        assert self.queue.add([read_entry(entry) for entry in fresh]) == []
        self.take()

    def take(self) -> None:
        taken = {delivery.id for delivery in self.queue.take()}
        assert not taken & self.begun, "begun twice"
        self.begun |= taken
        assert self.queue.running.keys() >= taken
        assert len(self.queue.running) <= AT_ONCE
        busy = Counter(self.queue.running.values())
        assert all(number <= PER_TARGET for target, number in busy.items() if target != "topic")

    @precondition(lambda self: self.queue.running)
    @rule(data=st.data(), retry=st.booleans())
    def end(self, data: st.DataObject, retry: bool) -> None:
        entry_id = data.draw(st.sampled_from(sorted(self.queue.running)))
        if retry:
            self.begun.discard(entry_id)
        else:
            del self.outbox[entry_id]
        self.queue.done(entry_id)
        self.take()

    @precondition(lambda self: self.outbox.keys() - self.queue.running.keys())
    @rule(data=st.data())
    def a_task_is_deleted(self, data: st.DataObject) -> None:
        """What waits and is not in the outbox any more is not begun after the next look."""
        gone = data.draw(st.sampled_from(sorted(self.outbox.keys() - self.queue.running.keys())))
        del self.outbox[gone]
        self.start_reading()
        self.what_was_read_arrives()
        assert gone not in self.queue.running

    def teardown(self) -> None:
        """Everything gets its turn in the end."""
        if not hasattr(self, "queue"):
            return
        for _ in range(1_000):
            self.start_reading()
            self.what_was_read_arrives()
            for entry_id in list(self.queue.running):
                del self.outbox[entry_id]
                self.queue.done(entry_id)
            if not self.outbox:
                break
        assert not self.outbox


TestDeliveries = Deliveries.TestCase


def test_a_slow_receiver_holds_up_nobody_else() -> None:
    queue = Queue()
    queue.begin()
    slow = deliveries(300, Webhook("https://slow/"), "s")
    queue.add(slow)
    assert len(queue.take()) == PER_TARGET
    assert queue.limit == READ + 300
    assert queue.take() == []
    queue.add(deliveries(9, Webhook("https://quick/"), "q"))
    assert [one.id[0] for one in queue.take()] == ["q"] * PER_TARGET
    queue.add(deliveries(99, Topic("t"), "t"))
    assert [one.id[0] for one in queue.take()] == ["t"] * (AT_ONCE - 2 * PER_TARGET)
    queue.add(deliveries(3_000, Topic("t"), "u"))
    assert queue.limit == MOST_READ


def test_a_payload_is_json_with_nothing_of_the_counts() -> None:
    payload = json.loads(entry_of().payload)
    assert payload.keys() == {"action", "facts"}
    assert payload["facts"].keys() == {"execution", "task", "result", "input"}
