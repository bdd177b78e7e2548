"""One vocabulary: what JSON can say, Python and the command line can say too."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

import attrs
import pytest

import tocsin
from actors.handling.catalogue import DECLARED, Catalogue
from actors.model.event import Email, EventTrigger, On, RunTask, Topic, Webhook
from actors.model.policy import DEFAULT_POLICIES, CatchUp, Concurrency, OnCrash, OnExhausted, Overlap, Policies, Retry
from actors.model.task import Definition, Dependencies, Extra
from runtime.clock import DAY, HOUR, MINUTE, SECOND, Micros
from runtime.errors import InvalidRequest, NotFound
from tests.tocsin.bad_input import GOOD, KNOWN, NOW, PARENT, slots
from tests.tocsin.conftest import CATALOGUE
from tests.tocsin.test_builder import FakeNode
from tocsin.building.builder import TaskBuilder
from tocsin.cli.bodies import (
    OPTIONS,
    beside_body,
    parameters_body,
    policies_body,
    trigger_body,
    unset_body,
    with_option,
)
from tocsin.cli.options import Beside, How, When
from tocsin.vocabulary.definitions import definition_from_json
from tocsin.vocabulary.kinds import ListOf, Object, OneOf, snake
from tocsin.vocabulary.policies import POLICY_NAMES, changed_policies
from tocsin.vocabulary.references import NOTHING, Known, References, references_in, resolve
from tocsin.vocabulary.words import EXTRA, TASK

ELSEWHERE = {
    "name": "the argument of `task add`, and `task edit --name`",
    "persistent": "`--memory`",
    "extra.data": "`--extra FILE`",
    "trigger.any": "options given several times",
    "trigger.kind": "shown only",
}
"""Fields that the command line fills in another way than by an option of the same meaning."""


def test_every_field_has_an_option() -> None:
    plain = {
        slot.path
        for slot in slots()
        if "[" not in slot.path and (not isinstance(slot.field.kind, Object | OneOf) or slot.path == "extra")
    }
    assert plain - ELSEWHERE.keys() <= OPTIONS.keys()
    fields = {field for field in OPTIONS if field != "sortBy"}
    assert fields <= plain | {"taskType"}


def test_every_option_is_there() -> None:
    typed = {
        name.replace("_", "-") for kind in (When, How, Beside) for name in (field.name for field in attrs.fields(kind))
    } | {"in", "times", "type", "sort"}
    assert {option.removeprefix("--") for options in OPTIONS.values() for option in options.split(", ")} <= typed


def test_every_policy_has_a_verb_and_an_argument_of_the_decorator() -> None:
    arguments = inspect.signature(tocsin.task).parameters
    said_with = {"overlap_limit": "overlap", "catch_up_limit": "catch_up", "catch_up_rate": "catch_up"}
    for name in POLICY_NAMES:
        assert name in arguments
        assert callable(getattr(TaskBuilder, said_with.get(name, name)))


def test_every_policy_of_the_model_is_in_the_vocabulary() -> None:
    policies = next(field for field in TASK if field.key == "policies").kind
    assert isinstance(policies, Object)
    assert {field.attribute for field in policies.fields} == {field.name for field in attrs.fields(Policies)}
    definition = {field.name for field in attrs.fields(Definition)}
    made = {"id", "bounds", "owner", "tenant", "created_at"}
    assert {field.attribute for field in TASK} == definition - made
    assert {field.attribute for field in EXTRA} == {field.name for field in attrs.fields(Extra)}


EXPECTED = Policies(
    retry=Retry(
        5, Micros(30 * SECOND), "exponential", 3.0, Micros(HOUR), 0.5, ("OSError", "TimeoutError"), ("KeyError",)
    ),
    overlap=Overlap.QUEUE_ALL,
    overlap_limit=7,
    catch_up=CatchUp.ALL,
    catch_up_limit=50,
    catch_up_spacing=Micros(6 * SECOND),
    lateness_limit=Micros(HOUR),
    max_wait=Micros(10 * MINUTE),
    timeout=Micros(MINUTE),
    heartbeat_timeout=Micros(10 * SECOND),
    on_crash=OnCrash.HOLD,
    on_exhausted=OnExhausted.PAUSE,
    priority=1,
    queue="mail",
    concurrency=Concurrency("db", 3),
    ttl=Micros(7 * DAY),
)
IN_JSON = {
    "retry": {
        "maxRetries": 5, "delay": "30s", "backoff": "exponential", "factor": 3, "cap": "1h", "jitter": 0.5,
        "retryOn": ["OSError", "TimeoutError"], "giveUpOn": ["KeyError"],
    },
    "overlap": "queue_all", "overlapLimit": 7, "catchUp": "all", "catchUpLimit": 50, "catchUpRate": "10/m",
    "latenessLimit": "1h", "maxWait": "10m", "timeout": "PT1M", "heartbeatTimeout": "10s", "onCrash": "hold",
    "onExhausted": "pause", "priority": 1, "queue": "mail", "concurrency": {"key": "db", "limit": 3}, "ttl": "1w",
}  # fmt: skip
IN_PYTHON: dict[str, Any] = {
    "retry": tocsin.Retry(
        5, delay="30s", backoff="exponential", factor=3, jitter=0.5, retry_on=(OSError, TimeoutError), give_up_on=[KeyError]
    ),
    "overlap": "queue_all", "overlap_limit": 7, "catch_up": "all", "catch_up_limit": 50, "catch_up_rate": "10/m",
    "lateness_limit": timedelta(hours=1), "max_wait": "10m", "timeout": "1m", "heartbeat_timeout": "10s",
    "on_crash": "hold", "on_exhausted": "pause", "priority": 1, "queue": "mail",
    "concurrency": {"key": "db", "limit": 3}, "ttl": "7d",
}  # fmt: skip
TYPED = How(
    retries=5, retry_delay="30s", backoff="exponential", backoff_factor=3.0, retry_cap="1h", retry_jitter=0.5,
    retry_on=["OSError", "TimeoutError"], give_up_on=["KeyError"], overlap="queue_all", overlap_limit=7, catch_up="all",
    catch_up_limit=50, catch_up_rate="10/m", lateness_limit="1h", max_wait="10m", timeout="1m", heartbeat_timeout="10s",
    on_crash="hold", on_exhausted="pause", priority=1, queue="mail", concurrency_key="db", concurrency_limit=3, ttl="1w",
)  # fmt: skip


def read(body: dict[str, Any], base: Definition | None = None) -> Definition:
    return definition_from_json(
        GOOD | body if base is None else body, CATALOGUE, NOW, task_id=GOOD["name"], owner="me", base=base, known=KNOWN
    )


def test_policies_are_the_same_in_json_in_python_and_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read({"policies": IN_JSON}).policies == EXPECTED
    assert read({"policies": policies_body(TYPED)}).policies == EXPECTED
    assert changed_policies(DEFAULT_POLICIES, IN_PYTHON) == EXPECTED
    verbs = TaskBuilder(FakeNode(), "greet").with_period("5m")
    verbs.overlap("queue_all", limit=7).catch_up("all", limit=50, rate="10/m").concurrency("db", limit=3)
    for name, value in IN_PYTHON.items():
        if name.split("_")[0] not in ("overlap", "catch", "concurrency"):
            getattr(verbs, name)(value)
    assert verbs.build().policies == EXPECTED
    monkeypatch.setattr("tocsin.tasks.DECLARED", catalogue := Catalogue())

    @tocsin.task("decorated", **IN_PYTHON)
    async def decorated(ctx: Any) -> None: ...

    entry = catalogue.get("decorated")
    assert entry is not None
    assert entry.policies == EXPECTED
    assert DECLARED.get("decorated") is None


EVENTS = [
    {
        "name": "alarm", "on": ["FAILED", "skipped"], "condition": "task.name == 'n'", "mode": "edge", "throttle": "1h",
        "actions": [
            {"kind": "webhook", "url": "https://example.com/hook", "method": "PUT", "headers": {"x-key": "k"}, "body": "b"},
            {"kind": "email", "to": ["ops@example.com"], "subject": "{task.name} failed"},
            {"kind": "topic", "name": "alarms"},
            {"kind": "run_task", "task": "clean up", "parameters": {"b": 1, "a": 2}},
        ],
    },
    {"name": "short", "actions": [{"kind": "topic", "name": "t"}]},
]  # fmt: skip


def test_what_belongs_to_a_task_is_the_same_everywhere(tmp_path: Any) -> None:
    (tmp_path / "extra.bin").write_bytes(b"\x00\xff\r\n")
    body = {
        "parameters": {"region": "eu"}, "tags": ["a", "b"], "labels": {"team": "billing", "cost": ""},
        "dependencies": {"parents": ["parent"], "mode": "any", "failFast": True}, "events": EVENTS,
        "extra": {"data": "AP8NCg==", "contentType": "application/x-thing"},
    }  # fmt: skip
    found = read(body)
    assert found.labels == (("cost", ""), ("team", "billing"))
    assert found.dependencies == Dependencies((PARENT,), "any", fail_fast=True)
    assert found.events == (
        EventTrigger(
            "alarm",
            (
                Webhook("https://example.com/hook", "PUT", (("x-key", "k"),), "b"),
                Email(("ops@example.com",), "{task.name} failed"),
                Topic("alarms"),
                RunTask("clean up", '{"a":2,"b":1}'),
            ),
            (On.FAILED, On.SKIPPED),
            "task.name == 'n'",
            "edge",
            Micros(HOUR),
        ),
        EventTrigger("short", (Topic("t"),)),
    )
    assert found.extra == Extra(b"\x00\xff\r\n", "application/x-thing")
    typed = Beside(
        params='{"region": "eu"}', tag=["a", "b"], label=["team=billing", "cost="], depends_on=["parent"],
        depends_mode="any", fail_fast=True, events=str(EVENTS).replace("'", '"').replace('"n"', "'n'"),
        extra=tmp_path / "extra.bin", extra_type="application/x-thing",
    )  # fmt: skip
    assert read({"parameters": parameters_body(typed.params)} | beside_body(typed)) == found
    builder = (
        TaskBuilder(FakeNode(), "greet").named("n").with_period("5m").with_parameters(region="eu").tags("a", "b")
        .labels({"team": "billing"}, cost="").extra(b"\x00\xff\r\n", "application/x-thing")
        .depends_on("parent", mode="any", fail_fast=True).owned_by("anna", tenant="acme")
        .on_event("alarm", *EVENTS[0]["actions"], on=["FAILED", "skipped"], condition="task.name == 'n'", mode="edge",
                  throttle=timedelta(hours=1))
        .on_event("short", {"kind": "topic", "name": "t"})
    )  # fmt: skip
    assert builder.references().tasks == {"parent"}
    made = builder.build(KNOWN)
    same = {"id": found.id, "owner": found.owner, "tenant": found.tenant}
    assert (made.owner, made.tenant) == ("anna", "acme")
    assert attrs.evolve(made, **same) == found


async def test_what_a_builder_names_is_looked_for_when_it_is_scheduled() -> None:
    @attrs.define
    class Asked(FakeNode):
        asked: list[Any] = attrs.field(factory=list)

        async def task(self, reference: str) -> Any:
            self.asked.append(reference)
            return KNOWN.task(reference, "x")

        async def calendar(self, name: str, version: int | None = None, *, tenant: str = "") -> Any:
            self.asked.append((name, version, tenant))
            return KNOWN.calendars.get((name, version))

    node = Asked()
    builder = TaskBuilder(node, "greet").with_period("1h").depends_on("parent").excluding("holidays")
    made = await builder.owned_by("anna", tenant="acme").schedule()
    assert node.asked == [("holidays", None, "acme"), "parent"]
    assert made.definition.bounds.calendars[0].calendar.version == 3
    with pytest.raises(InvalidRequest, match="no calendar 'nothing'"):
        await TaskBuilder(node, "greet").with_period("1h").excluding("nothing").schedule()


def test_what_is_taken_away_is_null() -> None:
    assert unset_body({"policies": {"priority": 1}}, ["timeout", "--ttl", "depends-on", "concurrency"]) == {
        "policies": {"priority": 1, "timeout": None, "ttl": None, "concurrency": None},
        "dependencies": None,
    }
    with pytest.raises(InvalidRequest, match=r"--unset: one of .*, not 'name'"):
        unset_body({}, ["name"])


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("trigger.every: x", "--every: x"),
        ("trigger.any[3].cron: x", "--cron: x"),
        ("trigger.calendars[0].calendar: no", "--exclude, --include: no"),
        ("trigger.calendars[0].calendar: no calendar 'free'", "--exclude, --include: no calendar 'free'"),
        (
            "trigger.calendars[0].calendar: no calendar 'free:sideways'",
            "--exclude, --include: no calendar 'free:sideways', nor a shift: one of skip, next, previous, not 'sideways'",
        ),
        ("policies.concurrency.key: required", "--concurrency-key: required"),
        ("events[0].name: required", "events[0].name: required"),
        ("no colon", "no colon"),
        ("policies.catchUpLimit: goes with policies.catchUp all", "--catch-up-limit: goes with --catch-up all"),
        (
            "trigger.every: '1 month' is no duration; trigger.everyMonths",
            "--every: '1 month' is no duration; --every-months",
        ),
        ("tags: not 'trigger.every'", "--tag: not 'trigger.every'"),
    ],
)
def test_errors_name_the_option_that_fills_the_field(message: str, shown: str) -> None:
    assert with_option(message) == shown


def test_python_names_are_those_of_json_in_snake_case() -> None:
    assert [snake(key) for key in ("catchUpRate", "ttl", "maxRuns")] == ["catch_up_rate", "ttl", "max_runs"]
    lists = [field.kind for field in TASK if isinstance(field.kind, ListOf)]
    assert len(lists) == 2
    with pytest.raises(InvalidRequest, match="unknown policy 'overlaps'; did you mean 'overlap'"):
        changed_policies(DEFAULT_POLICIES, {"overlaps": "skip"})


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"catch_up_limit": 5}, "catch_up_limit: goes with catch_up all, not with latest: 5"),
        ({"catch_up": "all", "catch_up_rate": "often"}, "catch_up_rate: a rate such as '10/m'"),
        ({"concurrency": {"limit": 2}}, "concurrency.key: required"),
        ({"concurrency": 5}, "concurrency: an object, not 5"),
        ({"priority": True}, "priority: a whole number from 0 to 9, not True"),
        ({"priority": 10**5000}, "priority: a whole number from 0 to 9, not a huge int"),
    ],
)
def test_wrong_policies_of_python_are_named(changes: dict[str, Any], complaint: str) -> None:
    changed_policies(DEFAULT_POLICIES, {"priority": 1})
    with pytest.raises(InvalidRequest) as caught:
        changed_policies(DEFAULT_POLICIES, changes)
    assert complaint in str(caught.value)


def test_a_lock_is_a_key_with_limit_one() -> None:
    for said in ("db", {"key": "db"}, Concurrency("db")):
        assert changed_policies(DEFAULT_POLICIES, {"concurrency": said}).concurrency == Concurrency("db", 1)
    base = read({"policies": {"concurrency": {"key": "db", "limit": 3}}})
    assert read({"policies": {"concurrency": "other"}}, base).policies.concurrency == Concurrency("other", 1)
    assert read({"policies": {"concurrency": "db"}}, base).policies.concurrency == Concurrency("db", 3)


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        (When(at=["09:00", "10:00"], every_days=1), "--at: one time of day, not 09:00 and 10:00"),
        (When(at=["2030-01-01"], cron=["@daily"]), "exactly one of --every, --cron, --at, --in, not --cron and --at"),
        (When(in_="1h", every_days=1), "not --every-days and its kin and --in"),
        (When(at=["noon"]), "a time such as '2026-03-01 12:00'"),
        (When(start="noon", every=["1h"]), "a time such as '2026-03-01 12:00'"),
        (When(day="3"), "say when"),
        (When(spread="10m"), "say when"),
    ],
)
def test_what_was_typed_must_fit_together(typed: When, complaint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        trigger_body(typed)
    assert complaint in str(caught.value)


def test_options_go_to_the_triggers_that_take_them() -> None:
    assert trigger_body(When()) is None
    typed = When(
        every=["1h"], cron=["@daily"], every_weeks=2, weekday="mon", at=["09:00"], gap="skip", fixed_delay=True
    )
    assert trigger_body(typed) == {
        "any": [
            {"every": "1h", "fixedDelay": True},
            {"cron": "@daily", "gap": "skip"},
            {"everyWeeks": 2, "at": "09:00", "weekday": "mon", "gap": "skip"},
        ]
    }
    anchored = trigger_body(When(every=["1h"], anchor="2027-01-01T00:00:00Z", include=["open:hours", "days:previous"]))
    assert anchored == {
        "every": "1h",
        "anchor": "2027-01-01T00:00:00+00:00",
        "calendars": [
            {"calendar": "open:hours", "mode": "include"},
            {"calendar": "days", "mode": "include", "shift": "previous"},
        ],
    }
    twice = trigger_body(When(at=["2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z"]))
    assert twice == {"any": [{"at": "2030-01-01T00:00:00+00:00"}, {"at": "2031-01-01T00:00:00+00:00"}]}


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        (Beside(label=["team"]), "--label: a value by name such as team=billing"),
        (Beside(label=["a=1", "a=2"]), "each name once, not 'a=2'"),
        (Beside(events="{"), "--events: not JSON"),
        (Beside(extra_type="text/plain"), "--extra-type: goes with --extra"),
    ],
)
def test_what_stands_beside_is_checked(typed: Beside, complaint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        beside_body(typed)
    assert complaint in str(caught.value)


def test_a_retry_is_one_of_ours_and_its_exceptions_are_listed() -> None:
    record = Retry(max_retries=1)
    assert changed_policies(DEFAULT_POLICIES, {"retry": record}).retry == record
    with pytest.raises(InvalidRequest, match=r"retry\.retry_on: exception types or their names, not 'OSError'"):
        tocsin.Retry(retry_on="OSError")
    with pytest.raises(InvalidRequest, match=r"retry\.give_up_on: an exception type or its name, not 5"):
        tocsin.Retry(give_up_on=(5,))  # type: ignore[arg-type]


async def test_what_is_named_and_not_there_is_refused_by_its_name() -> None:
    @attrs.define
    class Empty(FakeNode):
        async def task(self, reference: str) -> Any:
            raise NotFound(reference)

        async def calendar(self, name: str, version: int | None = None, *, tenant: str = "") -> None:
            return None

    known = await resolve(Empty(), References(frozenset({("x", None)}), frozenset({"y"})))
    assert known == Known()
    assert await resolve(Empty(), References()) is NOTHING
    assert references_in([]) == References()
    assert (
        references_in({"dependencies": "x", "trigger": {"calendars": [5, {"calendar": "a", "version": True}]}})
        == References()
    )
    with pytest.raises(InvalidRequest, match=r"dependencies\.parents: no task 'y'"):
        await TaskBuilder(Empty(), "greet").with_period("1h").depends_on("y").schedule()


@pytest.mark.parametrize("verb", [TaskBuilder.labels, TaskBuilder.with_parameters])
def test_values_by_name_are_no_list(verb: Any) -> None:
    with pytest.raises(InvalidRequest, match="by name, not"):
        verb(TaskBuilder(FakeNode(), "greet"), ["a"])


def test_a_mail_goes_to_addresses() -> None:
    for wrong in ("ops", "a@b@c", "Ops <ops@example.com>", "a@b, c@d"):
        body = {"events": [{"name": "e", "actions": [{"kind": "email", "to": [wrong]}]}]}
        with pytest.raises(InvalidRequest, match=r"events\[0\]\.actions\[0\]\.to: an address such as"):
            read(body)
