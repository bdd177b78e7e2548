"""What is shown can be sent back: a definition as JSON is the definition."""

from __future__ import annotations

import json
import zlib
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from actors.model.event import Email, EventTrigger, On, RunTask, Topic, Webhook
from actors.model.policy import DEFAULT_POLICIES, Policies
from actors.model.task import Definition, Dependencies, Extra, Task, TaskState
from actors.model.trigger import Bounds, CalendarInterval, Cron, Once, Trigger, Union
from runtime.clock import Instant, Micros
from tests import strategies as own
from tests.tocsin.conftest import CATALOGUE
from tocsin.vocabulary.definitions import definition_from_json, definition_json
from tocsin.vocabulary.policies import BELONGS, policies_json, read_policies
from tocsin.vocabulary.references import Known, references_in
from tocsin.vocabulary.triggers import trigger_from_json, trigger_json

NOW = own.DEFAULT_START
TASK_ID = "01890000-0000-7000-8000-000000000001"


def words(longest: int = 20) -> st.SearchStrategy[str]:
    return st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=longest)


def settled(policies: Policies) -> Policies:
    """The policies as the face makes them: limits that belong to another choice have their defaults."""
    reset = {
        limit: getattr(DEFAULT_POLICIES, limit)
        for limit, (choice, wanted) in BELONGS.items()
        if getattr(policies, choice) is not wanted
    }
    concurrency = policies.concurrency and attrs.evolve(
        policies.concurrency, key="key " + "k" * policies.concurrency.limit
    )
    positive = {
        name: None if getattr(policies, name) == 0 else getattr(policies, name)
        for name in ("lateness_limit", "max_wait", "timeout", "heartbeat_timeout")
    }
    retry = attrs.evolve(policies.retry, retry_on=("OSError",), give_up_on=())
    return attrs.evolve(policies, **reset, **positive, concurrency=concurrency, retry=retry, queue="mail")


policies = own.policies.map(settled)


def fires_more_than_once(pair: tuple[Trigger, Bounds]) -> bool:
    return not (isinstance(pair[0], Once) and pair[1].max_runs is not None)


def ordered(bounds: Bounds) -> Bounds:
    if bounds.start is not None and bounds.end is not None and bounds.start > bounds.end:
        bounds = attrs.evolve(bounds, start=bounds.end, end=bounds.start)
    different = {rule.calendar.name: rule for rule in bounds.calendars}
    return attrs.evolve(bounds, calendars=tuple(different.values()))


def canonical(trigger: Trigger) -> Trigger:
    """Days and weeks are never missing, so nothing is said about it."""
    if isinstance(trigger, CalendarInterval) and trigger.unit in ("day", "week"):
        return attrs.evolve(trigger, missing="skip")
    if isinstance(trigger, Union):
        return Union(tuple(canonical(member) for member in trigger.triggers))  # type: ignore[arg-type, misc]
    return trigger


triggers_and_bounds = st.tuples(own.triggers.map(canonical), own.full_bounds.map(ordered)).filter(fires_more_than_once)

actions = st.one_of(
    st.builds(
        Webhook,
        url=st.sampled_from(["https://example.com/hook", "http://[::1]:8080/a?b=c"]),
        method=st.sampled_from(["POST", "PUT", "PATCH"]),
        headers=st.dictionaries(st.sampled_from(["x-a", "Authorization"]), words(), max_size=2).map(lambda d: tuple(d.items())),
        body=st.none() | st.just("{task.name}\nfailed"),
    ),
    st.builds(
        Email,
        to=st.lists(st.sampled_from(["a@example.com", "ops@example.org"]), min_size=1, unique=True).map(tuple),
        subject=st.none() | words(),
        body=st.none() | st.text(max_size=20).filter(lambda text: "\0" not in text and "{" not in text),
    ),
    st.builds(Topic, name=words()),
    st.builds(RunTask, task=words(), parameters=st.none() | st.just('{"a":1}')),
)  # fmt: skip
events = st.lists(
    st.builds(
        EventTrigger,
        name=words(),
        actions=st.lists(actions, min_size=1, max_size=3).map(tuple),
        on=st.lists(st.sampled_from(On), min_size=1, unique=True).map(tuple),
        condition=st.sampled_from(["true", "result.rows < 100", 'task.name == "a"']),
        mode=st.sampled_from(["level", "edge"]),
        throttle=st.just(Micros(0)) | own.durations,
    ),
    max_size=3,
    unique_by=lambda event: event.name,
).map(tuple)

PARENTS = tuple(f"01890000-0000-7000-8000-00000000001{number}" for number in range(3))
dependencies = st.builds(
    Dependencies,
    parents=st.lists(st.sampled_from(PARENTS), min_size=1, unique=True).map(tuple),
    mode=st.sampled_from(["all", "any"]),
    fail_fast=st.booleans(),
)


def with_seed(trigger: Trigger) -> Trigger:
    if isinstance(trigger, Cron) and "H" in trigger.expression:
        return attrs.evolve(trigger, seed=zlib.crc32(TASK_ID.encode()))
    return trigger


safe_triggers = st.one_of(
    st.builds(Once, own.near_instants),
    own.intervals,
    st.builds(
        Cron,
        expression=st.sampled_from(["*/7 * * * *", "30 3 * * thu", "H 3 * * *", "0 0 9 L * *", "@daily"]),
        timezone=st.sampled_from(["UTC", "Europe/Berlin"]),
    ).map(with_seed),
)
definitions = st.builds(
    Definition,
    id=st.just(TASK_ID),
    name=words(),
    type=st.just("greet"),
    trigger=safe_triggers,
    parameters=st.sampled_from(["{}", '{"region":"eü"}', '{"count":3}']),
    extra=st.none() | st.builds(Extra, st.binary(max_size=40), st.just("text/plain; charset=utf-8")),
    policies=policies,
    tags=st.lists(words(), max_size=4, unique=True).map(tuple),
    persistent=st.booleans(),
    tenant=st.just("acme"),
    owner=st.just("me"),
    created_at=st.just(NOW),
    labels=st.dictionaries(words(), st.just("") | words(), max_size=3).map(lambda found: tuple(sorted(found.items()))),
    dependencies=st.none() | dependencies,
    events=events,
)


def known_from(bounds: Bounds) -> Known:
    calendars = {
        (rule.calendar.name, rule.calendar.version if rule.pinned else None): rule.calendar for rule in bounds.calendars
    }
    tasks = {
        parent: Task(Definition(parent, "p", "greet", Once(NOW), persistent=False), TaskState()) for parent in PARENTS
    }
    return Known(calendars, tasks)


@given(triggers_and_bounds)
def test_a_trigger_that_is_shown_is_read_back_as_the_same(pair: tuple[Trigger, Bounds]) -> None:
    trigger, bounds = pair
    shown = json.loads(json.dumps(trigger_json(trigger, bounds)))
    assert trigger_from_json(shown, NOW, known=known_from(bounds)) == (trigger, bounds)
    assert references_in({"trigger": shown}).calendars == known_from(bounds).calendars.keys()


@given(policies, policies)
def test_policies_that_are_shown_are_read_back_as_the_same(found: Policies, base: Policies) -> None:
    shown = json.loads(json.dumps(policies_json(found)))
    assert read_policies(shown, base) == found


def stored(definition: Definition) -> Definition:
    """A stored task waits for none in memory: those of the test live there."""
    return attrs.evolve(definition, dependencies=None) if definition.persistent else definition


@given(definitions.map(stored))
def test_a_definition_that_is_shown_is_read_back_as_the_same(definition: Definition) -> None:
    body: Any = json.loads(json.dumps(definition_json(definition)))
    known = known_from(definition.bounds)
    assert references_in(body).tasks == set(definition.dependencies.parents if definition.dependencies else ())
    read = definition_from_json(body, CATALOGUE, NOW, task_id=TASK_ID, owner="me", tenant="acme", known=known)
    assert read == definition
    assert (
        definition_from_json(body, CATALOGUE, NOW, task_id=TASK_ID, owner="you", base=definition, known=known)
        == definition
    )
    assert (
        definition_from_json({}, CATALOGUE, Instant(NOW + 1), task_id=TASK_ID, owner="you", base=definition)
        == definition
    )
