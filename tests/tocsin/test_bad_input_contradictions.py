"""Fields that are good each by itself and contradict each other."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from actors.model.policy import CatchUp, Overlap
from actors.model.task import Definition, Task, TaskState
from actors.model.trigger import Once
from runtime.errors import InvalidRequest
from tests.tocsin.bad_input import CALENDAR, GOOD, KNOWN, NOW, PARENT
from tests.tocsin.conftest import CATALOGUE
from tocsin.vocabulary.definitions import definition_from_json
from tocsin.vocabulary.references import Known

OWN_ID = "01890000-0000-7000-8000-000000000001"


def read(body: object, base: Definition | None = None, known: Known = KNOWN) -> Definition:
    return definition_from_json(body, CATALOGUE, NOW, task_id=OWN_ID, owner="me", base=base, known=known)


def trigger(**fields: Any) -> dict[str, Any]:
    return {"trigger": fields}


TOPIC = {"kind": "topic", "name": "t"}

CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    (trigger(at="2030-01-01T00:00:00Z", every="5m"), "trigger: exactly one of every,"),
    (trigger(after="2h", cron="0 0 * * *"), "not cron and after"),
    (trigger(at="2030-01-01T00:00:00Z", maxRuns=5), "trigger.maxRuns: does not go with a trigger that fires once: 5"),
    (trigger(after="2h", maxRuns=1), "trigger.maxRuns: does not go with a trigger that fires once: 1"),
    (trigger(at="2030-01-01T00:00:00Z", fixedDelay=True), "trigger.fixedDelay: does not go with at: True"),
    (trigger(after="1h", at="2030-01-01T00:00:00Z"), "not at and after"),
    (
        trigger(every="5m", start="2028-01-01T00:00:00Z", end="2027-06-01T00:00:00Z"),
        "trigger.start: 2028-01-01T00:00:00Z is after the end 2027-06-01T00:00:00Z",
    ),
    (trigger(every="5m", start="2w", end="1w"), "trigger.start: 2027-01-29T08:00:00Z is after the end 2027-01-22T08:00:00Z"),
    (trigger(every="5m", end="2020-01-01T00:00:00Z"), "trigger: never fires"),
    (trigger(at="2030-01-01T00:00:00Z", end="2029-01-01T00:00:00Z"), "trigger.at: 2030-01-01T00:00:00Z is after the end"),
    (trigger(at="2100-01-01T00:00:00Z"), "trigger: fires once, at 2100-01-01T00:00:00Z, which is more than ten years"),
    (trigger(cron="0 0 30 2 *"), "trigger.cron: cron expression '0 0 30 2 *' never fires"),
    (trigger(cron="0 0 * * *", timezone="Mars/Phobos"), "trigger.timezone: unknown time zone 'Mars/Phobos'"),
    (trigger(every="5m", gap="skip"), "trigger.gap: does not go with every: 'skip'"),
    (trigger(every="5m", fold="both"), "trigger.fold: does not go with every: 'both'"),
    (trigger(cron="0 0 * * *", anchor="2026-01-01"), "trigger.anchor: does not go with cron: '2026-01-01'"),
    (trigger(cron="0 0 * * *", day=3), "trigger.day: does not go with cron: 3"),
    (trigger(everyDays=1, missing="skip"), "trigger.missing: does not go with everyDays: 'skip'"),
    (trigger(everyDays=1, everyMonths=1), "not everyDays and everyMonths"),
    (trigger(everyMonths=1, day=31, anchor="2027-01-31"), "trigger.day: does not go with anchor, which names the day: 31"),
    (trigger(everyYears=1, day=24), "trigger.month: required with day 24"),
    (trigger(everyYears=1, month=12), "trigger.day: required with month 12"),
    (trigger(everyYears=1, month=2, day=30), "trigger.day: month 2 has 29 days at most, not 30"),
    (trigger(everyMonths=1, day="last", missing="skip"), "trigger.missing: does not go with day last"),
    (trigger(every="1 month"), "trigger.every: '1 month' is no duration; by the calendar it is trigger.everyMonths"),
    (trigger(every="2 weeks"), "trigger.every: '2 weeks' is no duration; by the calendar it is trigger.everyWeeks"),
    (trigger(everyMonths=1, at="2030-01-01T00:00:00Z"), "trigger.at: a time of day such as 09:30"),
    (trigger(any=[{"every": "5m", "fixedDelay": True}]), "trigger.any[0].fixedDelay: does not go with a union"),
    (trigger(any=[{"any": [{"every": "5m"}]}]), "trigger.any[0]: a union holds no other union"),
    (trigger(any=[{"every": "5m", "maxRuns": 3}]), "trigger.any[0].maxRuns: does not go with every: 3"),
    (trigger(any=[{"every": "5m"}] * 17), "trigger.any: at most 16 triggers, not 17"),
    (trigger(any=[{"every": "5m"}], every="5m"), "not every and any"),
    (trigger(any=[{"every": "5m", "kind": "cron"}]), "trigger.any[0].kind: 'cron' does not go with every"),
    (trigger(every="5m", calendars=["holidays", {"calendar": "holidays", "mode": "include"}]), "each calendar only once"),
    (trigger(every="5m", calendars=["holiday"]), "trigger.calendars[0].calendar: no calendar 'holiday'"),
    (trigger(every="5m", calendars=[{"calendar": "holidays", "version": 9}]), "no calendar 'holidays' of version 9"),
    (trigger(every="5m", calendars=[{"mode": "include"}]), "trigger.calendars[0].calendar: required"),
    ({"policies": {"catchUpLimit": 5}}, "policies.catchUpLimit: goes with policies.catchUp all, not with latest: 5"),
    ({"policies": {"catchUp": "skip", "catchUpRate": "10/m"}}, "policies.catchUpRate: goes with policies.catchUp all"),
    ({"policies": {"overlapLimit": 100}}, "policies.overlapLimit: goes with policies.overlap queue_all, not with skip: 100"),
    ({"policies": {"concurrency": {"limit": 3}}}, "policies.concurrency.key: required"),
    ({"dependencies": {"mode": "any"}}, "dependencies.parents: required"),
    ({"dependencies": ["parent", PARENT]}, "dependencies.parents: each task only once"),
    ({"dependencies": ["nobody"]}, "dependencies.parents: no task 'nobody'"),
    ({"dependencies": [OWN_ID]}, "dependencies.parents: a task cannot wait for itself"),
    ({"dependencies": ["in memory"]}, "a stored task cannot wait for one that lives in memory: 'in memory'"),
    ({"events": [{"name": "e"}]}, "events[0].actions: required"),
    ({"events": [{"actions": [TOPIC]}]}, "events[0].name: required"),
    ({"events": [{"name": "e", "actions": [TOPIC]}] * 2}, "events: each name only once, not twice 'e'"),
    ({"events": [{"name": "e", "actions": [{"kind": "webhook"}]}]}, "events[0].actions[0].url: required"),
    ({"events": [{"name": "e", "actions": [TOPIC], "condition": "resutl.x"}]}, "events[0].condition: at character 1"),
    (
        {"events": [{"name": "e", "actions": [{"kind": "email", "to": ["a@b"], "subject": "{tsk.name}"}]}]},
        "events[0].actions[0].subject: unknown placeholder {tsk.name}",
    ),
    (
        {"events": [{"name": "e", "actions": [{"kind": "webhook", "url": "ftp://x", "method": "PUT"}]}]},
        "events[0].actions[0].url: a URL such as",
    ),
    (
        {"events": [{"name": "e", "actions": [{"kind": "webhook", "url": "http://x", "headers": {"Host": "y"}}]}]},
        "events[0].actions[0].headers: the name of a header that may be set, not 'host'",
    ),
    (
        {"events": [{"name": "e", "actions": [{"kind": "webhook", "url": "http://x", "headers": {"A": "1", "a": "2"}}]}]},
        "events[0].actions[0].headers: each only once, not twice 'a'",
    ),
    ({"taskType": "system.purge"}, "taskType: only the system makes tasks of type 'system.purge'"),
    ({"name": "01890000-0000-7000-8000-000000000001"}, "name: looks like an id"),
]  # fmt: skip


def definition(task_id: str, name: str, persistent: bool) -> Task:
    return Task(Definition(task_id, name, "greet", Once(NOW), persistent=persistent), TaskState())


FULL = Known(
    KNOWN.calendars,
    {
        **KNOWN.tasks,
        PARENT: KNOWN.tasks["parent"],
        OWN_ID: definition(OWN_ID, "n", True),
        "in memory": definition("01890000-0000-7000-8000-00000000000a", "in memory", False),
    },
)


@pytest.mark.parametrize(("body", "complaint"), CONTRADICTIONS, ids=lambda value: str(value)[:70])
def test_what_contradicts_itself_is_refused(body: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(GOOD | body, known=FULL)
    assert complaint in str(caught.value)


def test_memory_may_wait_for_memory_and_for_what_is_stored() -> None:
    found = read(GOOD | {"persistent": False, "dependencies": ["in memory", "parent"]}, known=FULL)
    assert found.dependencies is not None
    assert len(found.dependencies.parents) == 2


def test_a_limit_goes_with_its_choice_and_goes_away_with_it() -> None:
    body = GOOD | {
        "policies": {
            "catchUp": "all",
            "catchUpLimit": 7,
            "catchUpRate": "10/m",
            "overlap": "queue_all",
            "overlapLimit": 3,
        }
    }
    found = read(body).policies
    assert (found.catch_up_limit, found.catch_up_spacing, found.overlap_limit) == (7, 6_000_000, 3)
    changed = read({"policies": {"catchUp": "latest", "overlap": "queue"}}, read(body)).policies
    assert (changed.catch_up, changed.catch_up_limit, changed.catch_up_spacing) == (CatchUp.LATEST, 100, 0)
    assert (changed.overlap, changed.overlap_limit) == (Overlap.QUEUE, 100)
    kept = read({"policies": {"catchUpLimit": 8, "catchUpRate": None}}, read(body)).policies
    assert (kept.catch_up_limit, kept.catch_up_spacing) == (8, 0)


def test_an_edit_changes_one_part_and_null_takes_one_away() -> None:
    base = read(
        GOOD | {
            "dependencies": {"parents": ["parent"], "failFast": True},
            "labels": {"b": "2", "a": "1"},
            "policies": {"concurrency": {"key": "k", "limit": 3}, "ttl": "1d"},
            "trigger": {"every": "5m", "calendars": ["holidays"], "spread": "1m"},
        }
    )  # fmt: skip
    assert (base.labels, base.bounds.calendars[0].calendar) == ((("a", "1"), ("b", "2")), CALENDAR)
    edited = read({"dependencies": {"mode": "any"}, "policies": {"concurrency": {"limit": 4}, "ttl": None}}, base)
    assert edited.dependencies == attrs.evolve(base.dependencies, mode="any")  # type: ignore[misc, type-var]
    assert edited.policies.concurrency == attrs.evolve(base.policies.concurrency, limit=4)  # type: ignore[misc, type-var]
    assert (edited.policies.ttl, edited.trigger, edited.bounds) == (None, base.trigger, base.bounds)
    gone = read({"dependencies": None, "policies": {"concurrency": None}}, edited)
    assert (gone.dependencies, gone.policies.concurrency) == (None, None)
