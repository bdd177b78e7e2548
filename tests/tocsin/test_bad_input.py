"""Every field against every kind of wrong value: one error that names the field and shows the value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.model.document import encode_definition
from actors.model.task import Definition
from runtime.errors import InvalidRequest
from tests.tocsin.bad_input import GOOD, KNOWN, NOW, Slot, good_value, slots, tells, wrong_values
from tests.tocsin.conftest import CATALOGUE
from tocsin.vocabulary.definitions import definition_from_json, definition_json

SLOTS = list(slots())
LONGEST_MESSAGE = 800
"""Characters: all forms of a trigger, or all placeholders, and a value cut to a line."""


NOT_TOGETHER = {("trigger.maxRuns", "at"), ("trigger.maxRuns", "after")} | {
    (slot.path, slot.form) for slot in SLOTS if slot.path == "trigger.kind"
}
"""Fields of the vocabulary with which a form cannot go in any case, and the kind, of which each form has one value."""


def read(body: object, base: Definition | None = None) -> Definition:
    return definition_from_json(
        body, CATALOGUE, NOW, task_id="01890000-0000-7000-8000-000000000001", owner="me", base=base, known=KNOWN
    )


def refusal(body: object) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read(body)
    return str(caught.value)


def names(message: str, path: str) -> bool:
    """Whether the message is about the field, or one inside of it."""
    return message.startswith((path, f"unknown field '{path}", f'unknown field "{path}'))


@pytest.mark.parametrize("slot", SLOTS, ids=str)
def test_a_good_value_is_accepted(slot: Slot) -> None:
    if (slot.path, slot.form) not in NOT_TOGETHER:
        assert read(slot.body(good_value(slot))).name


@pytest.mark.parametrize("slot", SLOTS, ids=str)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(slot: Slot) -> None:
    wrong = wrong_values(slot)
    assert len(wrong) > 20
    for value in wrong:
        message = refusal(slot.body(value))
        assert names(message, slot.path), (value, message)
        assert tells(message, value), (value, message)
        assert len(message) <= LONGEST_MESSAGE
        assert message.isprintable()


def test_no_field_is_left_out() -> None:
    paths = {slot.path for slot in SLOTS}
    assert len(SLOTS) > 180
    assert {"name", "trigger.any[0].everyMonths", "policies.retry.jitter", "events[0].actions[0].headers"} <= paths


@pytest.mark.parametrize("slot", SLOTS, ids=str)
def test_an_edit_refuses_what_making_refuses(slot: Slot) -> None:
    base = read(GOOD)
    key = slot.path.split(".")[0].split("[")[0]
    for value in wrong_values(slot)[::7]:
        with pytest.raises(InvalidRequest):
            read({key: slot.body(value)[key]}, base)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=6,
)


@given(st.sampled_from(SLOTS), json_values)
def test_whatever_comes_is_a_definition_or_one_error(slot: Slot, value: Any) -> None:
    found: Definition | None = None
    message = ""
    try:
        found = read(slot.body(value))
    except InvalidRequest as error:
        message = str(error)
    assert (found is None) == (message != "")
    assert message.isprintable()
    assert len(message) <= LONGEST_MESSAGE
    if found is not None:
        assert encode_definition(found)
        assert read(definition_json(found)) == found


@given(st.sampled_from(SLOTS), st.text(min_size=1, max_size=12), json_values)
def test_a_field_that_nobody_knows_is_refused(slot: Slot, key: str, value: Any) -> None:
    body = GOOD | {f"{slot.field.key}{key}": value}
    if f"{slot.field.key}{key}" in GOOD:
        return
    assert "unknown field" in refusal(body)
