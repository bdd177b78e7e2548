"""A definition survives its document; what is not a document of ours is damage."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.model.document import decode_definition, decode_failure, encode_definition, encode_failure
from actors.model.execution import Failure
from actors.model.policy import CatchUp, OnCrash, Overlap, Policies, Retry
from actors.model.task import Definition, Extra
from actors.model.trigger import Bounds, Cron, Interval, Once
from runtime.clock import Instant, Micros
from runtime.errors import StoreDamaged
from tests.actors.records import definition

instants = st.integers(0, 2**60).map(Instant)
micros = st.integers(1, 2**50).map(Micros)
texts = st.text(max_size=10)
lists = st.lists(texts, max_size=3).map(tuple)
triggers = (
    st.builds(Once, instants)
    | st.builds(Interval, micros, instants, st.booleans())
    | st.builds(Cron, texts, texts, st.sampled_from(["shift", "skip"]), st.sampled_from(["first", "last", "both"]))
)
retries = st.builds(
    Retry,
    max_retries=st.integers(0, 9),
    delay=micros,
    backoff=st.sampled_from(["fixed", "exponential"]),
    factor=st.floats(1, 10),
    cap=micros,
    jitter=st.floats(0, 1),
    retry_on=lists,
    give_up_on=lists,
)
policies = st.builds(
    Policies,
    retry=st.just(Retry()) | retries,
    overlap=st.sampled_from(Overlap),
    catch_up=st.sampled_from(CatchUp),
    catch_up_limit=st.integers(1, 100),
    lateness_limit=st.none() | micros,
    timeout=st.none() | micros,
    heartbeat_timeout=st.none() | micros,
    on_crash=st.sampled_from(OnCrash),
    priority=st.integers(0, 9),
)
definitions = st.builds(
    Definition,
    texts,
    texts,
    texts,
    triggers,
    bounds=st.builds(Bounds, st.none() | instants, st.none() | instants, st.none() | st.integers(1, 9)),
    parameters=st.just("{}") | texts,
    extra=st.none() | st.builds(Extra, st.binary(max_size=9), texts),
    policies=st.just(Policies()) | policies,
    tags=lists,
    persistent=st.booleans(),
    tenant=texts,
    owner=texts,
    created_at=instants,
)


@given(definitions)
def test_a_definition_survives_its_document(made: Definition) -> None:
    assert decode_definition(encode_definition(made), made.extra) == made


def test_defaults_are_left_out() -> None:
    assert json.loads(encode_definition(definition())) == {
        "id": "t1",
        "name": "name of t1",
        "type": "command",
        "trigger": {"every": 1_000_000, "anchor": 0},
        "created_at": 5,
    }
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
        {"tags": 7},
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
