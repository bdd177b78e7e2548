"""Messages as bytes: what goes in comes out, and nothing else does."""

from __future__ import annotations

import contextlib

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.codec import LENGTH, Codec, CodecError, lengthened
from runtime.errors import InvalidRequest, TooLarge
from runtime.records import record


@record
class Note:
    text: str
    number: int = 0
    pairs: tuple[tuple[str, str], ...] = ()
    data: bytes = b""
    maybe: float | None = None


@attrs.frozen
class Empty:
    pass


@record
class Checked:
    number: int

    def __attrs_post_init__(self) -> None:
        if self.number < 0:
            raise InvalidRequest("below zero")


@record
class NewerNote:
    text: str
    colour: str = "red"
    number: int = 0


def made(**limits: int) -> Codec:
    codec = Codec(**limits)
    codec.register(7, Note)
    codec.register(8, Empty)
    codec.register(9, Checked)
    return codec


NOTES = st.builds(
    Note,
    st.text(max_size=50),
    st.integers(-(2**63), 2**64 - 1),
    st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=4).map(tuple),
    st.binary(max_size=50),
    st.none() | st.floats(allow_nan=False),
)
MESSAGES = NOTES | st.just(Empty()) | st.integers(0, 2**63).map(Checked)


@given(MESSAGES, st.binary(max_size=9))
def test_what_goes_in_comes_out(message: object, before: bytes) -> None:
    codec = made()
    assert codec.decode(codec.encode(message)) == message
    assert codec.decode(before + codec.encode(message), len(before)) == message


@given(st.lists(MESSAGES, max_size=20))
def test_a_frame_is_its_messages(messages: list[object]) -> None:
    codec = made()
    frame = b"".join(lengthened(codec.encode(message)) for message in messages)
    assert [codec.decode(data) for data in codec.split(frame)] == messages


@given(st.binary(max_size=200))
def test_no_bytes_do_harm(data: bytes) -> None:
    codec = made()
    for attempt in (data, b"\x00\x07\x01" + data, b"\x00\x09\x01" + data):
        with contextlib.suppress(CodecError):
            assert type(codec.decode(attempt)) in (Note, Empty, Checked)
    with contextlib.suppress(CodecError):
        assert b"".join(lengthened(part) for part in codec.split(data)) == data


@given(NOTES, st.data())
def test_what_is_cut_short_is_refused(message: Note, data: st.DataObject) -> None:
    codec = made()
    whole = codec.encode(message)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(CodecError):
        codec.decode(cut)
    frame = lengthened(whole)
    with pytest.raises(CodecError):
        list(codec.split(frame[: data.draw(st.integers(1, len(frame) - 1))]))


@given(st.lists(MESSAGES, min_size=1, max_size=5), st.data())
def test_a_flipped_bit_gives_a_message_or_an_error(messages: list[object], data: st.DataObject) -> None:
    codec = made()
    frame = bytearray(b"".join(lengthened(codec.encode(message)) for message in messages))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(CodecError):
        assert all(type(codec.decode(part)) in (Note, Empty, Checked) for part in codec.split(bytes(frame)))


def test_fields_of_a_newer_version_are_passed_over_and_missing_ones_take_their_defaults() -> None:
    older, newer = Codec(), Codec()
    older.register(7, Note, version=1)
    newer.register(7, NewerNote, version=2)
    assert older.decode(newer.encode(NewerNote("a", "blue", 3))) == Note("a", 3)
    assert newer.decode(older.encode(Note("a", 3))) == NewerNote("a", "red", 3)


def test_versions_two_apart_do_not_understand_each_other() -> None:
    older, newer = Codec(), Codec()
    older.register(7, Note, version=1)
    newer.register(7, Note, version=3)
    with pytest.raises(CodecError, match="version 3 of tag 7; known is 1"):
        older.decode(newer.encode(Note("a")))
    for edge in (0, 255):
        codec = Codec()
        codec.register(7, Note, version=edge)
        assert codec.decode(codec.encode(Note("a"))) == Note("a")


@pytest.mark.parametrize(
    ("wire", "complaint"),
    [
        (b"", "a message of 0 bytes"),
        (b"\x00\x07", "a message of 2 bytes"),
        (b"\x00\x63\x01\x80", "nothing is known under tag 99"),
        (b"\x00\x07\x01\x80", "tag 7 cannot be read: ValidationError"),
        (b"\x00\x07\x01\x82\xa4text\xa11\xa6number\xa15", "tag 7 cannot be read: ValidationError"),
        (b"\x00\x09\x01\x81\xa6number\xff", "tag 9 cannot be read"),
        (b"\x00\x08\x01" + b"\x91" * 5000, "tag 8 cannot be read"),
    ],
)
def test_a_refusal_says_what_was_wrong(wire: bytes, complaint: str) -> None:
    with pytest.raises(CodecError, match=complaint):
        made().decode(wire)


def test_what_is_too_large_neither_leaves_nor_enters() -> None:
    codec = made(max_message=100, max_frame=150)
    with pytest.raises(TooLarge, match="100 are allowed"):
        codec.encode(Note("x" * 100))
    with pytest.raises(CodecError, match="100 are allowed"):
        codec.decode(made().encode(Note("x" * 100)))
    with pytest.raises(CodecError, match="a frame of 151 bytes; 150 are allowed"):
        list(codec.split(bytes(151)))


def test_a_frame_that_lies_about_its_lengths_is_refused_from_there_on() -> None:
    codec = made()
    good = lengthened(b"good")
    parts = codec.split(good + LENGTH.pack(9) + b"short")
    assert next(parts) == b"good"
    with pytest.raises(CodecError, match="a message of 9 bytes in a frame with 5 left"):
        next(parts)


def test_only_registered_attrs_classes_travel() -> None:
    codec = made()
    with pytest.raises(CodecError, match="int is registered under no tag"):
        codec.encode(5)
    with pytest.raises(CodecError, match="Note cannot be written"):
        codec.encode(Note("a", 2**70))
    with pytest.raises(ValueError, match="registered already"):
        codec.register(7, Codec)
    with pytest.raises(ValueError, match="registered already"):
        codec.register(70, Note)
    with pytest.raises(ValueError, match="only attrs classes"):
        codec.register(70, dict)


def test_a_class_that_cannot_be_read_back_is_refused_at_once() -> None:
    @attrs.frozen
    class Either:
        value: Note | Empty

    with pytest.raises(ValueError, match="cannot travel"):
        made().register(70, Either)
