"""What messages mean and what is answered: no message, however odd, does anything but one of the things that it may."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.model.execution import Execution, Failure, Kind
from actors.model.lifecycle import State
from actors.model.task import Extra
from actors.store.answers import ExecutionDetail
from runtime.clock import SECOND, Instant
from runtime.errors import Conflict, Forbidden, InvalidRequest, NotFound, TooLarge
from tocsin.channels import invoking
from tocsin.channels.amqp_core import (
    EXECUTION,
    LONGEST_ID,
    REFUSED,
    STATUS,
    Asked,
    Message,
    Refusal,
    pause_seconds,
    read_message,
    refusal_of,
    refused_reply,
    reply_of,
)

NOW = Instant(1_700_000_000 * SECOND)
ALL = ("*",)

TEXTS = st.text(max_size=255)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
MESSAGES = st.builds(
    Message,
    tag=st.integers(1, 10),
    body=st.binary(max_size=50) | JSON.map(lambda value: json.dumps(value).encode()),
    routing_key=TEXTS,
    type=TEXTS,
    message_id=TEXTS,
    correlation_id=TEXTS,
    reply_to=TEXTS,
    expiration=TEXTS | st.integers(0, 10**9).map(str),
    timestamp=st.none() | st.integers(0, 2**63),
    content_type=TEXTS | st.sampled_from(["application/json", "application/json; charset=utf-8", "text/plain"]),
    content_encoding=st.just("") | TEXTS,
)


@given(MESSAGES)
def test_every_message_is_understood_or_refused(message: Message) -> None:
    asked = read_message(message, ALL, NOW)
    if isinstance(asked, Refusal):
        reply = refused_reply(message, asked)
        assert reply.headers == {STATUS: REFUSED}
        assert json.loads(reply.body)["message"] == str(asked.error)
        return
    assert asked.type_name == (message.type or message.routing_key)
    assert (asked.parameters is None) or isinstance(asked.parameters, dict)
    assert asked.extra is None or asked.extra.data == message.body
    assert (asked.key is None) == (message.message_id == "")
    # What is asked for never fails for its ids.
    invoking.check_wanted(invoking.Wanted(asked.parameters, correlation=asked.correlation, key=asked.key))


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_a_json_body_is_the_parameters(parameters: dict[str, Any]) -> None:
    body = json.dumps(parameters).encode()
    asked = read_message(Message(1, body, type="a"), ALL, NOW)
    assert asked == Asked("a", parameters, None, None, None)


@given(TEXTS, TEXTS)
def test_ids_that_differ_stand_for_different_executions(one: str, other: str) -> None:
    first, second = (read_message(Message(1, type="a", message_id=text), ALL, NOW) for text in (one, other))
    assert isinstance(first, Asked)
    assert isinstance(second, Asked)
    assert (first.key == second.key) == (one == other)


@pytest.mark.parametrize(
    ("message", "asked"),
    [
        (Message(1, type="a"), Asked("a", None, None, None, None)),
        (Message(1, routing_key="b"), Asked("b", None, None, None, None)),
        (Message(1, routing_key="b", type="a"), Asked("a", None, None, None, None)),
        (Message(1, b'{"n": 1}', type="a", message_id="m"), Asked("a", {"n": 1}, None, "amqp m", "m")),
        (Message(1, type="a", message_id="m", correlation_id="c"), Asked("a", None, None, "amqp m", "c")),
        (Message(1, type="a", correlation_id="c"), Asked("a", None, None, None, "c")),
        (
            Message(1, b"{}", type="a", content_type="text/plain"),
            Asked("a", None, Extra(b"{}", "text/plain"), None, None),
        ),
        (Message(1, b"{}", type="a", content_type="Application/JSON; charset=utf-8"), Asked("a", {}, None, None, None)),
    ],
)
def test_what_is_asked_for(message: Message, asked: Asked) -> None:
    assert read_message(message, ALL, NOW) == asked


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Message(1), "malformed"),
        (Message(1, type="a\n"), "malformed"),
        (Message(1, b"{", type="a"), "malformed"),
        (Message(1, b"null", type="a"), "malformed"),
        (Message(1, b'{"a": NaN}', type="a"), "malformed"),
        (Message(1, b'{"a": 1, "a": 2}', type="a"), "malformed"),
        (Message(1, type="a", expiration="soon"), "malformed"),
        (Message(1, type="a", expiration="1000", timestamp=1), "expired"),
        (Message(1, type="other"), "forbidden"),
        (Message(1, type="reports"), "forbidden"),
    ],
)
def test_what_is_refused(message: Message, why: str) -> None:
    refusal = read_message(message, ("a", "a\n", "reports.*"), NOW)
    assert isinstance(refusal, Refusal)
    assert refusal.why == why


@pytest.mark.parametrize("type_name", ["a", "reports.daily", "reports."])
def test_what_is_allowed(type_name: str) -> None:
    assert isinstance(read_message(Message(1, type=type_name), ("a", "reports.*"), NOW), Asked)


def test_a_message_expires_after_the_second_it_was_sent_in() -> None:
    message = Message(1, type="a", expiration="500", timestamp=NOW // SECOND)
    assert isinstance(read_message(message, ALL, Instant(NOW + SECOND + SECOND // 2)), Asked)
    assert isinstance(read_message(message, ALL, Instant(NOW + SECOND + SECOND // 2 + 1)), Refusal)
    # Nobody knows when it was sent: the broker drops what is too old.
    assert isinstance(read_message(Message(1, type="a", expiration="1"), ALL, NOW), Asked)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (InvalidRequest("x"), "malformed"),
        (TooLarge("x"), "malformed"),
        (Forbidden("x"), "forbidden"),
        (NotFound("x"), "unknown"),
        (Conflict("x"), "conflict"),
    ],
)
def test_errors_are_counted_apart(error: Any, why: str) -> None:
    assert refusal_of(error) == Refusal(why, error)  # type: ignore[arg-type]


def detail(state: State, result: str | None = None, failure: Failure | None = None) -> ExecutionDetail:
    execution = Execution("e-1", "t-1", Kind.MANUAL, state, NOW, failure=failure)
    return ExecutionDetail(execution, (), result, None, None)


def test_replies() -> None:
    message = Message(1, routing_key="a", message_id="m", reply_to="q", persistent=True)
    reply = reply_of(message, detail(State.COMPLETED, '{"n":"\\udc80"}'))
    assert (reply.queue, reply.correlation_id, reply.type, reply.persistent) == ("q", "m", "a", True)
    assert reply.headers == {STATUS: "COMPLETED", EXECUTION: "e-1"}
    assert reply.body == b'{"n":"\\udc80"}'
    assert reply_of(message, detail(State.COMPLETED)).body == b"null"
    assert (reply_of(message, detail(State.RUNNING)).status, reply_of(message, detail(State.RUNNING)).body) == (
        "RUNNING",
        b"null",
    )
    failed = reply_of(message, detail(State.FAILED, failure=Failure("ValueError", "boom")))
    assert json.loads(failed.body) == {
        "error": "Invoked task did not complete",
        "code": "500",
        "message": "execution e-1 is FAILED: ValueError: boom",
    }
    assert json.loads(reply_of(message, detail(State.CANCELLED)).body)["message"] == "execution e-1 is CANCELLED"
    assert reply_of(Message(1, correlation_id="c", message_id="m"), detail(State.RUNNING)).correlation_id == "c"


@given(st.integers(1, 10_000), st.integers())
def test_pauses_grow_up_to_the_longest(failures: int, seed: int) -> None:
    pause = pause_seconds(failures, 0.1, 30.0, Random(seed))
    whole = min(0.1 * 2 ** min(failures - 1, 30), 30.0)
    assert 0.75 * whole <= pause <= whole


def test_the_limits_are_those_of_invocations() -> None:
    assert LONGEST_ID == invoking.MAX_KEY == invoking.MAX_CORRELATION
