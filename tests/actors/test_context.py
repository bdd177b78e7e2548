"""The parts of the contexts that need no executor: lines, progress, payloads, failures."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.handling.failures import MAX_MESSAGE, RemoteFailure, failure_of, names_of
from actors.handling.logbook import MAX_LOG_CHARACTERS, MAX_LOG_LINE, MAX_LOG_LINES, TRUNCATED, Log, LogBook
from actors.handling.payload import MAX_PROGRESS, decode_json, encode_json
from actors.handling.progress import merged_progress
from actors.model.execution import Failure
from runtime.clock import Instant
from runtime.errors import InvalidRequest, TooLarge


def written(call: Any) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    call(Log(lambda level, text: lines.append((level, text))))
    return lines


def test_levels_and_placeholders() -> None:
    assert written(lambda log: log.debug("a")) == [("debug", "a")]
    assert written(lambda log: log.info("%s and %d", "a", 1)) == [("info", "a and 1")]
    assert written(lambda log: log.warning("50 %")) == [("warning", "50 %")]
    assert written(lambda log: log.error({"not": "text"})) == [("error", "{'not': 'text'}")]
    assert written(lambda log: log.info("%d", "x")) == [("info", "%d ('x',)")]


def test_a_long_line_is_cut() -> None:
    [(_, text)] = written(lambda log: log.info("x" * (MAX_LOG_LINE + 1)))
    assert (len(text), text.endswith(TRUNCATED)) == (MAX_LOG_LINE, True)
    [(_, text)] = written(lambda log: log.info("x" * MAX_LOG_LINE))
    assert text == "x" * MAX_LOG_LINE


def test_a_book_closes_with_one_marker() -> None:
    book = LogBook()
    kept = [book.add(Instant(0), "info", "x") for _ in range(MAX_LOG_LINES + 5)]
    assert kept.count(True) == MAX_LOG_LINES + 1
    assert [line[2] for line in book.waiting[-2:]] == ["x", TRUNCATED]


def test_a_book_closes_by_size_too() -> None:
    book = LogBook()
    size = 8000
    while book.add(Instant(0), "info", "x" * size):
        pass
    assert book.waiting[-1][2] == TRUNCATED
    assert MAX_LOG_CHARACTERS <= sum(len(line[2]) for line in book.waiting) <= MAX_LOG_CHARACTERS + 2 * size


def test_progress_is_merged() -> None:
    first, _ = merged_progress(None, 1, 10, None, {"file": "a"})
    second, text = merged_progress(first, 2, None, "hashing", {"size": 3})
    assert second == {"done": 2, "total": 10, "step": "hashing", "details": {"file": "a", "size": 3}}
    assert decode_json(text) == second
    assert first == {"done": 1, "total": 10, "details": {"file": "a"}}


@pytest.mark.parametrize("done", ["1", True, [1]])
def test_progress_needs_numbers(done: Any) -> None:
    with pytest.raises(InvalidRequest, match="done must be a number"):
        merged_progress(None, done, None, None, {})


def test_progress_is_bounded() -> None:
    with pytest.raises(TooLarge, match=str(MAX_PROGRESS)):
        merged_progress(None, 1, None, None, {"text": "x" * MAX_PROGRESS})


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_json_comes_back_as_it_was(value: Any) -> None:
    try:
        text = encode_json(value, 10_000, "it")
    except InvalidRequest:
        assert len(repr(value)) > 1000
    else:
        assert decode_json(text) == value


def test_size_is_counted_in_bytes() -> None:
    assert encode_json("é" * 4, 10, "it") == '"éééé"'
    with pytest.raises(TooLarge, match="it has 12 bytes of JSON, the limit is 10"):
        encode_json("é" * 5, 10, "it")


def test_names_reach_into_groups() -> None:
    group = ExceptionGroup("many", [ConnectionResetError(), ExceptionGroup("inner", [KeyError()])])
    assert {"ExceptionGroup", "ConnectionResetError", "OSError", "KeyError", "Exception"} <= set(names_of(group))


def test_a_message_is_bounded() -> None:
    found = failure_of(ValueError("x" * 10_000))
    assert (len(found.message), found.message.endswith("...")) == (MAX_MESSAGE, True)


def test_a_remote_failure_is_what_it_says() -> None:
    failure = Failure("KeyError", "'k'", "Traceback ...")
    error = RemoteFailure(failure, ("KeyError", "LookupError"))
    assert (failure_of(error), names_of(error)) == (failure, ("KeyError", "LookupError"))
