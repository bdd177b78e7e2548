"""A definition survives its document; what is not a document of ours is damage."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.model.calendar import Calendar, CalendarRule
from actors.model.document import (
    Resolve,
    decode_calendar,
    decode_definition,
    decode_failure,
    encode_calendar,
    encode_definition,
    encode_failure,
)
from actors.model.execution import Failure
from actors.model.placement import Placement
from actors.model.policy import Policies, Retry
from actors.model.task import Definition
from actors.model.trigger import Bounds
from runtime.errors import StoreDamaged
from tests.actors.records import definition
from tests.strategies import calendars, full_definitions

texts = st.text(max_size=10)


def resolver(made: Definition) -> Resolve:
    """Finds the calendars that a definition holds."""
    held = {(one.tenant, one.name, one.version): one for one in (rule.calendar for rule in made.bounds.calendars)}
    return lambda tenant, name, version: held[tenant, name, version]


def one_content(made: Definition) -> bool:
    """Whether no two of a definition's calendars have one name and version and another content."""
    held = [rule.calendar for rule in made.bounds.calendars]
    return len(set(held)) == len({(one.tenant, one.name, one.version) for one in held})


@given(full_definitions.filter(one_content))
def test_a_definition_survives_its_document(made: Definition) -> None:
    assert decode_definition(encode_definition(made), made.extra, resolver(made)) == made


@given(calendars)
def test_a_calendar_survives_its_document(made: Calendar) -> None:
    assert decode_calendar(made.tenant, made.name, made.version, encode_calendar(made)) == made


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"days":7,"windows":[],"weekdays":[]}'])
def test_what_is_no_calendar_is_damage(text: str) -> None:
    with pytest.raises(StoreDamaged):
        decode_calendar("", "holidays", 1, text)


def test_a_calendar_that_is_missing_is_damage() -> None:
    made = definition(bounds=Bounds(calendars=(CalendarRule(Calendar("", "holidays", 7)),)))
    with pytest.raises(StoreDamaged, match="version 7 of a calendar 'holidays'"):
        decode_definition(encode_definition(made), None)


def test_defaults_are_left_out() -> None:
    assert json.loads(encode_definition(definition())) == {
        "id": "t1",
        "name": "name of t1",
        "type": "command",
        "trigger": {"every": 1_000_000, "anchor": 0},
        "created_at": 5,
    }
    placed = json.loads(encode_definition(definition(placement=Placement(strategy="pinned"))))
    assert placed["placement"] == {"strategy": "pinned"}
    assert "placement" not in json.loads(encode_definition(definition(placement=Placement())))
    nested = definition(policies=Policies(retry=Retry(max_retries=1)), bounds=Bounds(max_runs=2))
    document = json.loads(encode_definition(nested))
    assert [document["policies"], document["bounds"]] == [{"retry": {"max_retries": 1}}, {"max_runs": 2}]


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "red"},
        {"trigger": {"every": 1}},
        {"trigger": {"at": 1, "colour": "red"}},
        {"trigger": {}},
        {"trigger": None},
        {"policies": {"overlap": "sometimes"}},
        {"policies": {"colour": "red"}},
        {"policies": {"retry": {"colour": "red"}}},
        {"bounds": {"colour": "red"}},
        {"bounds": 7},
        {"bounds": {"calendars": [{"name": "holidays"}]}},
        {"labels": 7},
        {"events": [{"name": "e"}]},
        {"dependencies": {"colour": "red"}},
        {"policies": {"concurrency": {"colour": "red"}}},
        {"policies": {"on_exhausted": "red"}},
        {"trigger": {"union": [{"colour": "red"}]}},
        {"trigger": {"unit": "red"}},
        {"tags": 7},
        {"placement": {"where": "nowhere"}},
        {"placement": {"colour": "red"}},
        {"placement": {"labels": [7]}},
    ],
)
def test_what_is_not_known_is_damage(change: dict[str, object]) -> None:
    document = json.loads(encode_definition(definition())) | change
    with pytest.raises(StoreDamaged, match="name of t1"):
        decode_definition(json.dumps(document), None)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"id":"a"}'])
def test_what_is_no_document_is_damage(text: str) -> None:
    with pytest.raises(StoreDamaged):
        decode_definition(text, None)


@given(st.none() | st.builds(Failure, texts, texts, texts))
def test_a_failure_survives_its_text(made: Failure | None) -> None:
    assert decode_failure(encode_failure(made)) == made


@pytest.mark.parametrize("text", ["", "7", "[]", "[1,2,3,4]"])
def test_what_is_no_failure_is_damage(text: str) -> None:
    with pytest.raises(StoreDamaged):
        decode_failure(text)
