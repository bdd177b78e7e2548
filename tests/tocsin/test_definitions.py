from __future__ import annotations

import base64
from typing import Any

import pytest

from actors.handling.catalogue import Catalogue, task_type
from actors.model.policy import DEFAULT_POLICIES, Policies
from actors.model.task import Definition, Extra
from actors.model.trigger import UNBOUNDED, Bounds, Cron, Interval, Once
from runtime.clock import HOUR, MINUTE, SECOND, Instant, Micros
from runtime.errors import InvalidRequest, TooLarge
from tests.tocsin.conftest import CATALOGUE
from tocsin.vocabulary.definitions import definition_from_json, make_definition
from tocsin.vocabulary.fields import parse_instant

NOW = Instant(1_800_000_000 * SECOND)
GOOD: dict[str, Any] = {"name": "n", "taskType": "greet", "trigger": {"every": "5m"}}


def read(body: object, base: Definition | None = None) -> Definition:
    return definition_from_json(body, CATALOGUE, NOW, task_id="id-0123456789abcdef", owner="me", base=base)


def test_the_short_form_has_every_default() -> None:
    found = read(GOOD)
    assert found.trigger == Interval(Micros(5 * MINUTE), NOW)
    assert (found.bounds, found.policies, found.parameters) == (UNBOUNDED, DEFAULT_POLICIES, "{}")
    assert (found.persistent, found.tags, found.extra, found.owner, found.created_at) == (True, (), None, "me", NOW)


def test_a_task_without_a_name_gets_one_of_type_and_id() -> None:
    assert read({"taskType": "greet", "trigger": {"every": "5m"}}).name == "greet 456789abcdef"


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ({"cron": "30 2 * * *"}, Cron("30 2 * * *")),
        (
            {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "fold": "both"},
            Cron("30 2 * * *", "Europe/Berlin", fold="both"),
        ),
        ({"at": "2027-06-01T12:00:00Z"}, Once(Instant(1_811_851_200 * SECOND))),
        ({"at": "2027-06-01T14:00:00", "timezone": "Europe/Berlin"}, Once(Instant(1_811_851_200 * SECOND))),
        ({"after": "2h"}, Once(Instant(NOW + 2 * HOUR))),
        ({"every": "1s", "fixedDelay": True}, Interval(Micros(SECOND), NOW, fixed_delay=True)),
        ({"kind": "interval", "every": "1s", "anchor": "1970-01-01T00:00:00Z"}, Interval(Micros(SECOND), Instant(0))),
    ],
)
def test_triggers_are_read(trigger: dict[str, Any], expected: object) -> None:
    assert read(GOOD | {"trigger": trigger}).trigger == expected


def test_an_interval_is_anchored_at_its_start() -> None:
    found = read(GOOD | {"trigger": {"every": "30m", "start": "2027-06-01T12:00:00Z", "maxRuns": 12}})
    start = Instant(1_811_851_200 * SECOND)
    assert found.trigger == Interval(Micros(30 * MINUTE), start)
    assert found.bounds == Bounds(start, None, 12)


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2026-03-29T02:30:00", "2026-03-29T01:00:00+00:00"),  # skipped: when the gap ends
        ("2026-03-29T02:00:00", "2026-03-29T01:00:00+00:00"),
        ("2026-03-29T03:00:00", "2026-03-29T01:00:00+00:00"),
        ("2026-10-25T02:30:00", "2026-10-25T00:30:00+00:00"),  # twice: the first
        ("2026-07-01T00:00:00", "2026-06-30T22:00:00+00:00"),
    ],
)
def test_a_wall_clock_time_is_read_in_its_zone(local: str, utc: str) -> None:
    named = read(GOOD | {"trigger": {"at": local, "timezone": "Europe/Berlin"}})
    assert named.trigger == read(GOOD | {"trigger": {"at": utc}}).trigger
    bound = read(GOOD | {"trigger": {"every": "1h", "start": local, "timezone": "Europe/Berlin"}})
    assert bound.trigger == read(GOOD | {"trigger": {"every": "1h", "start": utc}}).trigger


@pytest.mark.parametrize(
    ("local", "timezone", "utc"),
    [
        ("2011-12-30T12:00:00", "Pacific/Apia", "2011-12-30T10:00:00+00:00"),  # a day that the island left out
        ("2026-10-04T02:15:00", "Australia/Lord_Howe", "2026-10-03T15:30:00+00:00"),  # half an hour
        ("2026-04-05T01:45:00", "Australia/Lord_Howe", "2026-04-04T14:45:00+00:00"),
    ],
)
def test_a_wall_clock_time_in_other_gaps_and_overlaps(local: str, timezone: str, utc: str) -> None:
    assert parse_instant(local, "at", timezone) == parse_instant(utc, "at")


WRONG = [
    ([], "body: an object"),
    ("x", "body: an object"),
    (None, "body: an object"),
    ({"taskType": None}, "taskType: required"),
    ({"taskType": 5}, "taskType: a text, not 5"),
    ({"taskType": "gret"}, "unknown type 'gret'; did you mean 'greet'"),
    ({"name": ""}, "name: 1 to 128 characters"),
    ({"name": "x" * 129}, "name: 1 to 128 characters, not 129"),
    ({"name": " x"}, "name: printable"),
    ({"name": "x "}, "name: printable"),
    ({"name": "a\nb"}, "name: printable"),
    ({"name": "a\x00"}, "name: a text without NUL"),
    ({"name": "\u200e"}, "name: printable"),
    ({"name": 5}, "name: a text"),
    ({"trigger": None}, "trigger: required"),
    ({"trigger": "5m"}, 'trigger: an object such as {"cron": "0 9 * * *"}, not'),
    ({"trigger": {}}, "trigger: exactly one of"),
    ({"trigger": {"every": "5m", "cron": "* * * * *"}}, "cron, at, after, any, not every and cron"),
    ({"trigger": {"every": 5}}, "trigger.every: a duration is a text"),
    ({"trigger": {"every": None}}, "trigger.every"),
    ({"trigger": {"every": "1ms"}}, "trigger.every: from 10 ms"),
    ({"trigger": {"every": "0s"}}, "trigger.every: from 10 ms"),
    ({"trigger": {"every": "5m", "kind": "cron"}}, "trigger.kind: 'cron' does not go with every"),
    ({"trigger": {"every": "5m", "evry": 1}}, "unknown field 'trigger.evry'; did you mean 'every'"),
    ({"trigger": {"every": "5m", "maxRuns": 0}}, "trigger.maxRuns: a whole number from 1"),
    ({"trigger": {"every": "5m", "maxRuns": "2"}}, "trigger.maxRuns"),
    ({"trigger": {"every": "5m", "maxRuns": True}}, "trigger.maxRuns"),
    ({"trigger": {"every": "5m", "fixedDelay": 1}}, "trigger.fixedDelay: true or false"),
    ({"trigger": {"every": "5m", "start": "tomorrow"}}, "trigger.start: a time such as"),
    (
        {"trigger": {"every": "5m", "start": "2027-01-01T00:00:00"}},
        "trigger.start: '2027-01-01T00:00:00' has no offset",
    ),
    ({"trigger": {"every": "5m", "end": "2300-01-01T00:00:00Z"}}, "trigger.end: from 1970 to 2200"),
    ({"trigger": {"every": "5m", "start": "2028-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z"}}, "start"),
    ({"trigger": {"cron": 5}}, "trigger.cron: a text"),
    ({"trigger": {"cron": None}}, "trigger.cron"),
    ({"trigger": {"cron": "61 * * * *"}}, "61"),
    ({"trigger": {"cron": "* * *"}}, "* * *"),
    ({"trigger": {"cron": "0 0 31 2 *"}}, "31"),
    ({"trigger": {"cron": "0 0 * * *", "timezone": "Europe/Berlim"}}, "did you mean 'Europe/Berlin'"),
    ({"trigger": {"cron": "0 0 * * *", "gap": "jump"}}, "trigger.gap: one of shift, skip"),
    ({"trigger": {"cron": "0 0 * * *", "fold": "none"}}, "trigger.fold: one of first, last, both"),
    ({"trigger": {"at": 5}}, "trigger.at: a time such as"),
    ({"trigger": {"at": None}}, "trigger.at"),
    ({"trigger": {"after": "-1s"}}, "trigger.after"),
    ({"parameters": []}, "parameters: an object"),
    ({"parameters": "x"}, "parameters: an object"),
    ({"parameters": {"regio": "eu"}}, "unknown parameter 'regio'"),
    ({"parameters": {"region": 5}}, "parameter 'region' must be str, not 5"),
    ({"parameters": {"count": 1.5}}, "parameter 'count'"),
    ({"parameters": {"region": "\ud800"}}, "parameters: not JSON"),
    ({"extra": "x"}, "extra: an object"),
    ({"extra": {"data": "!!"}}, "extra.data: base64"),
    ({"extra": {"data": 5}}, "extra.data: a text"),
    ({"extra": {"data": "", "contentType": "text"}}, "extra.contentType"),
    ({"extra": {"data": "", "type": "text/plain"}}, "unknown field 'extra.type'"),
    ({"tags": "x"}, "tags: a list of texts"),
    ({"tags": [1]}, "tags: a text, not 1"),
    ({"tags": [""]}, "tags: 1 to 64"),
    ({"tags": ["a", "a"]}, "tags: each only once"),
    ({"tags": [str(number) for number in range(33)]}, "tags: at most 32"),
    ({"persistent": "yes"}, "persistent: true or false"),
    ({"policies": []}, "policies: an object"),
    ({"policies": {"overlap": "never"}}, "policies.overlap: one of skip, allow, queue"),
    ({"policies": {"overlap": 1}}, "policies.overlap"),
    ({"policies": {"catchUp": "some"}}, "policies.catchUp: one of latest"),
    ({"policies": {"catchUpLimit": 0}}, "policies.catchUpLimit: a whole number from 1"),
    ({"policies": {"onCrash": "die"}}, "policies.onCrash: one of resume"),
    ({"policies": {"priority": 10}}, "policies.priority: a whole number from 0 to 9"),
    ({"policies": {"timeout": "0s"}}, "policies.timeout: longer than 0"),
    ({"policies": {"timeout": 5}}, "policies.timeout: a duration is a text"),
    ({"policies": {"heartbeatTimeout": "0s"}}, "policies.heartbeatTimeout: longer than 0"),
    ({"policies": {"latenessLimit": "0s"}}, "policies.latenessLimit: longer than 0"),
    ({"policies": {"retires": {}}}, "did you mean 'retry'"),
    ({"policies": {"retry": {"maxRetries": -1}}}, "policies.retry.maxRetries: a whole number from 0 to 1000"),
    ({"policies": {"retry": {"delay": 60000}}}, "policies.retry.delay: a duration is a text"),
    ({"policies": {"retry": {"backoff": "linear"}}}, "policies.retry.backoff: one of fixed, exponential"),
    ({"policies": {"retry": {"factor": 0.5}}}, "policies.retry.factor: a number from 1 to 100"),
    ({"policies": {"retry": {"jitter": 2}}}, "policies.retry.jitter: a number from 0 to 1"),
    ({"policies": {"retry": {"cap": "x"}}}, "policies.retry.cap"),
    ({"policies": {"retry": {"retryOn": "ValueError"}}}, "policies.retry.retryOn: a list of texts"),
    ({"policies": {"retry": {"giveUpOn": ["x"] * 33}}}, "policies.retry.giveUpOn: at most 32"),
    ({"nam": "x"}, "unknown field 'nam'; did you mean 'name'"),
]


@pytest.mark.parametrize(("wrong", "complaint"), WRONG, ids=[str(wrong)[:60] for wrong, _ in WRONG])
def test_a_wrong_field_is_named_with_its_value(wrong: Any, complaint: str) -> None:
    body = GOOD | wrong if isinstance(wrong, dict) else wrong
    with pytest.raises(InvalidRequest) as caught:
        read(body)
    assert complaint in str(caught.value)
    assert len(str(caught.value)) < 500


def test_sizes_have_their_limits() -> None:
    fits = "x" * (256 * 1024 - len('{"region":""}'))
    assert len(read(GOOD | {"parameters": {"region": fits}}).parameters) == 256 * 1024
    with pytest.raises(TooLarge, match=f"parameters: {256 * 1024 + 1} bytes of JSON, at most {256 * 1024}"):
        read(GOOD | {"parameters": {"region": fits + "x"}})
    with pytest.raises(TooLarge, match="parameters"):
        read(GOOD | {"parameters": {"region": "é" * 200_000}})
    data = b"x" * 1024 * 1024
    assert read(GOOD | {"extra": {"data": base64.b64encode(data).decode()}}).extra == Extra(data)
    with pytest.raises(TooLarge, match="extra: 1048577 bytes, at most 1048576"):
        read(GOOD | {"extra": {"data": base64.b64encode(data + b"x").decode()}})


def test_parameters_that_json_cannot_hold_are_refused() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    for wrong in ({"a": float("nan")}, {"a": {1}}, {"a": object()}, loop):
        with pytest.raises(InvalidRequest, match="parameters: not JSON"):
            make_definition(
                CATALOGUE, NOW, task_id="i", name="n", type_name="greet", trigger=Once(NOW), parameters=wrong
            )


def test_an_edit_keeps_what_it_does_not_name() -> None:
    base = read(GOOD | {"parameters": {"region": "us"}, "tags": ["a"], "policies": {"timeout": "5s", "priority": 1}})
    edited = read({"policies": {"priority": 2, "timeout": None}, "trigger": {"every": "1h"}}, base)
    assert (edited.name, edited.parameters, edited.tags) == (base.name, base.parameters, base.tags)
    assert (edited.policies.priority, edited.policies.timeout) == (2, None)
    assert edited.trigger == Interval(Micros(HOUR), NOW)
    assert read({}, base) == base
    with pytest.raises(InvalidRequest, match="persistent: cannot be changed"):
        read({"persistent": False}, base)


def test_the_types_own_policies_are_the_default() -> None:
    async def handler(ctx: Any) -> None: ...

    own = Policies(timeout=Micros(SECOND), priority=1)
    catalogue = Catalogue([task_type("own", handler, policies=own)])
    body = {"taskType": "own", "trigger": {"every": "5m"}, "policies": {"priority": 3}}
    found = definition_from_json(body, catalogue, NOW, task_id="i" * 12, owner="")
    assert (found.policies.priority, found.policies.timeout) == (3, SECOND)
