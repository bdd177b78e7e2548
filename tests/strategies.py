"""Hypothesis strategies for the model's records."""

from __future__ import annotations

from hypothesis import strategies as st

from actors.model.execution import Failure
from actors.model.policy import CatchUp, OnCrash, Overlap, Policies, Retry
from actors.model.task import Definition, Extra
from actors.model.trigger import Bounds, Cron, Interval, Once, Trigger
from runtime.clock import DAY, MINUTE, SECOND, Instant, Micros
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
triggers: st.SearchStrategy[Trigger] = st.one_of(intervals, onces, crons)

bounds = st.builds(
    Bounds,
    start=st.none() | near_instants,
    end=st.none() | near_instants,
    max_runs=st.none() | st.integers(min_value=1, max_value=5),
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
)

extras = st.builds(Extra, data=st.binary(max_size=20), content_type=names)

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
)

failures = st.builds(Failure, type=names, message=st.text(max_size=20), traceback=st.text(max_size=20))
