"""Hypothesis strategies for the model's records."""

from __future__ import annotations

import attrs
from hypothesis import strategies as st

from actors.model.calendar import CalendarRule, calendar_of
from actors.model.event import Email, EventTrigger, On, RunTask, Topic, Webhook
from actors.model.execution import Failure
from actors.model.placement import ANYWHERE, STRATEGIES, Placement, Where
from actors.model.policy import CatchUp, Concurrency, OnCrash, OnExhausted, Overlap, Policies, Retry
from actors.model.task import Definition, Dependencies, Extra
from actors.model.trigger import Bounds, CalendarInterval, Cron, Interval, Once, Trigger, Union
from runtime.clock import DAY, HOUR, MINUTE, SECOND, Instant, Micros
from runtime.simulation import DEFAULT_START

instants = st.integers(min_value=0, max_value=DEFAULT_START + 400 * DAY).map(Instant)
near_instants = st.integers(min_value=-10 * MINUTE, max_value=10 * MINUTE).map(lambda by: Instant(DEFAULT_START + by))
durations = st.integers(min_value=1, max_value=40 * DAY).map(Micros)
names = st.text(min_size=1, max_size=20)

intervals = st.builds(
    Interval,
    every=st.integers(min_value=10_000, max_value=10 * MINUTE).map(Micros),
    anchor=near_instants,
    fixed_delay=st.booleans(),
)
onces = st.builds(Once, at=near_instants)
crons = st.builds(
    Cron,
    expression=st.sampled_from(["* * * * *", "*/7 * * * *", "30 3 * * 1-5", "*/20 * * * * *", "@hourly"]),
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]),
    gap=st.sampled_from(["shift", "skip"]),
    fold=st.sampled_from(["first", "last", "both"]),
)
calendar_intervals = st.builds(
    CalendarInterval,
    every=st.integers(min_value=1, max_value=3),
    unit=st.sampled_from(["day", "week", "month", "year"]),
    anchor_day=st.integers(min_value=733_000, max_value=746_000),
    time_of_day=st.integers(min_value=0, max_value=DAY - 1).map(Micros),
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]),
    missing=st.sampled_from(["skip", "last_day"]),
    gap=st.sampled_from(["shift", "skip"]),
    fold=st.sampled_from(["first", "last", "both"]),
)
unions = st.builds(
    Union,
    st.lists(
        st.one_of(onces, crons, calendar_intervals, intervals.filter(lambda one: not one.fixed_delay)),
        min_size=1,
        max_size=3,
    ).map(tuple),
)
triggers: st.SearchStrategy[Trigger] = st.one_of(intervals, onces, crons)
all_triggers: st.SearchStrategy[Trigger] = st.one_of(triggers, calendar_intervals, unions)

calendars = st.builds(
    calendar_of,
    st.sampled_from(["", "other"]),
    st.sampled_from(["holidays", "maintenance"]),
    st.integers(min_value=1, max_value=3),
    st.sampled_from(["UTC", "Europe/Berlin"]),
    st.lists(st.integers(min_value=733_000, max_value=746_000).map(lambda day: (day, day + day % 3)), max_size=3),
    st.lists(near_instants.map(lambda at: (at, at + HOUR)), max_size=2),
    st.lists(st.integers(min_value=0, max_value=6), max_size=2),
)
calendar_rules = st.builds(
    CalendarRule,
    calendars,
    st.sampled_from(["exclude", "include"]),
    st.sampled_from(["skip", "next", "previous"]),
    st.booleans(),
)

bounds = st.builds(
    Bounds,
    start=st.none() | near_instants,
    end=st.none() | near_instants,
    max_runs=st.none() | st.integers(min_value=1, max_value=5),
)
full_bounds = st.builds(
    Bounds,
    start=st.none() | near_instants,
    end=st.none() | near_instants,
    max_runs=st.none() | st.integers(min_value=1, max_value=5),
    spread=st.just(Micros(0)) | durations,
    calendars=st.lists(calendar_rules, max_size=2).map(tuple),
)

retries = st.builds(
    Retry,
    max_retries=st.integers(min_value=0, max_value=5),
    delay=st.integers(min_value=0, max_value=MINUTE).map(Micros),
    backoff=st.sampled_from(["fixed", "exponential"]),
    factor=st.floats(min_value=1, max_value=10),
    cap=st.integers(min_value=0, max_value=DAY).map(Micros),
    jitter=st.floats(min_value=0, max_value=1),
    retry_on=st.lists(names, max_size=2).map(tuple),
    give_up_on=st.lists(names, max_size=2).map(tuple),
)

policies = st.builds(
    Policies,
    retry=retries,
    overlap=st.sampled_from(Overlap),
    catch_up=st.sampled_from(CatchUp),
    catch_up_limit=st.integers(min_value=1, max_value=5),
    lateness_limit=st.none() | st.integers(min_value=0, max_value=10 * SECOND).map(Micros),
    timeout=st.none() | durations,
    heartbeat_timeout=st.none() | durations,
    on_crash=st.sampled_from(OnCrash),
    priority=st.integers(min_value=0, max_value=9),
    queue=st.just("default") | names,
    concurrency=st.none() | st.builds(Concurrency, key=names, limit=st.integers(min_value=1, max_value=5)),
    overlap_limit=st.integers(min_value=1, max_value=100),
    catch_up_spacing=st.just(Micros(0)) | durations,
    max_wait=st.none() | durations,
    on_exhausted=st.sampled_from(OnExhausted),
    ttl=st.none() | durations,
)

pairs = st.dictionaries(names, names, max_size=3).map(lambda found: tuple(sorted(found.items())))
actions = st.one_of(
    st.builds(Webhook, url=names, method=st.sampled_from(["POST", "PUT"]), headers=pairs, body=st.none() | names),
    st.builds(Email, to=st.lists(names, min_size=1, max_size=2).map(tuple), subject=st.none() | names),
    st.builds(Topic, name=names),
    st.builds(RunTask, task=names, parameters=st.none() | names),
)
events = st.builds(
    EventTrigger,
    name=names,
    actions=st.lists(actions, min_size=1, max_size=2).map(tuple),
    on=st.lists(st.sampled_from(On), min_size=1, max_size=3, unique=True).map(tuple),
    condition=names,
    mode=st.sampled_from(["level", "edge"]),
    throttle=st.just(Micros(0)) | durations,
)
dependencies = st.builds(
    Dependencies,
    parents=st.lists(names, min_size=1, max_size=3, unique=True).map(tuple),
    mode=st.sampled_from(["all", "any"]),
    fail_fast=st.booleans(),
)

extras = st.builds(Extra, data=st.binary(max_size=20), content_type=names)

placements = st.builds(
    Placement,
    where=st.sampled_from(Where),
    nodes=st.lists(names, max_size=2).map(tuple),
    labels=pairs,
    strategy=st.sampled_from(["", *STRATEGIES]),
)

definitions = st.builds(
    Definition,
    id=names,
    name=names,
    type=names,
    trigger=triggers,
    bounds=bounds,
    parameters=names,
    extra=st.none() | extras,
    policies=policies,
    tags=st.lists(names, max_size=3).map(tuple),
    persistent=st.booleans(),
    tenant=st.text(max_size=5),
    owner=st.text(max_size=5),
    created_at=instants,
    labels=pairs,
    dependencies=st.none() | dependencies,
    events=st.lists(events, max_size=2).map(tuple),
)
full_definitions = st.builds(
    attrs.evolve, definitions, trigger=all_triggers, bounds=full_bounds, placement=st.just(ANYWHERE) | placements
)
"""With every kind of trigger, spread windows, calendars and placements."""

failures = st.builds(Failure, type=names, message=st.text(max_size=20), traceback=st.text(max_size=20))
