"""Messages between nodes as bytes, and the one door to msgspec.

A message is an attrs or `@record` class that was registered under a **tag**, a number that never changes its meaning. On
the wire
it is the tag, the version of its fields, and the fields by name in MessagePack; a frame is any number of messages, each after
its length. What is read is checked against the declared types and never converted.

Fields that are missing take their defaults and fields that are not known are passed over, so two versions of a node that
differ by one understand each other. Rules for changing a class: add fields with defaults, raise the version; never use a
tag again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any, Final

import attrs
import msgspec

from .errors import TocsinError, TooLarge
from .fabric_messages import MAX_FRAME, MAX_MESSAGE

VERSIONS_APART: Final = 1
"""How far the versions of a message may differ: a rolling upgrade goes one step at a time."""

LENGTH: Final = Struct("!I")
"""What stands before each message of a frame."""

_HEAD: Final = Struct("!HB")
_MAX_VERSION: Final = 255


class CodecError(TocsinError):
    """Bytes that are not what a node writes, or a message that cannot be written. It says what was wrong, never the bytes."""


class Codec:
    """What one node can say and understand. `max_message`, `max_frame`: in bytes."""

    def __init__(self, max_message: int = MAX_MESSAGE, max_frame: int = MAX_FRAME) -> None:
        self.max_message = max_message
        self.max_frame = max_frame
        self._versions: dict[int, int] = {}
        self._heads: dict[type, bytes] = {}
        self._readers: dict[bytes, Callable[[bytes], Any]] = {}
        self._encode = msgspec.msgpack.Encoder().encode

    def register(self, tag: int, kind: type, version: int = 1) -> None:
        """Let messages of a class travel under a tag (0 to 65,535). Raises ValueError if either is taken, or the class
        cannot travel.

        `version` (0 to 255) is raised with each change of the fields.
        """
        if tag in self._versions or kind in self._heads:
            raise ValueError(f"tag {tag} or class {kind.__qualname__} is registered already")
        if not attrs.has(kind):
            raise ValueError(f"only attrs classes travel, not {kind.__qualname__}")
        try:
            decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(kind)
        except (TypeError, NameError) as error:
            raise ValueError(f"{kind.__qualname__} cannot travel: {error}") from None
        self._versions[tag] = version
        self._heads[kind] = _HEAD.pack(tag, version)
        for readable in range(max(0, version - VERSIONS_APART), min(_MAX_VERSION, version + VERSIONS_APART) + 1):
            self._readers[_HEAD.pack(tag, readable)] = decoder.decode

    def encode(self, message: object) -> bytes:
        """A message as bytes. Raises CodecError for an unknown class or a value that cannot be written, TooLarge over the
        limit."""
        head = self._heads.get(type(message))
        if head is None:
            raise CodecError(f"{type(message).__qualname__} is registered under no tag")
        try:
            data = head + self._encode(message)
        except Exception as error:
            raise CodecError(f"{type(message).__qualname__} cannot be written: {_brief(error)}") from None
        if len(data) > self.max_message:
            raise TooLarge(f"a {type(message).__qualname__} of {len(data)} bytes; {self.max_message} are allowed")
        return data

    def decode(self, data: bytes, start: int = 0) -> Any:
        """The message whose bytes begin at `start`. Raises CodecError for anything that `encode` of a peer does not make."""
        begin = start + _HEAD.size
        read = self._readers.get(data[start:begin])
        if read is None or len(data) - start > self.max_message:
            raise CodecError(self._unreadable(data, start))
        try:
            return read(data[begin:])
        except Exception as error:
            raise CodecError(f"tag {_HEAD.unpack_from(data, start)[0]} cannot be read: {_brief(error)}") from None

    def _unreadable(self, data: bytes, start: int) -> str:
        size = len(data) - start
        if size < _HEAD.size:
            return f"a message of {size} bytes"
        if size > self.max_message:
            return f"a message of {size} bytes; {self.max_message} are allowed"
        tag, version = _HEAD.unpack_from(data, start)
        known = self._versions.get(tag)
        if known is None:
            return f"nothing is known under tag {tag}"
        return f"version {version} of tag {tag}; known is {known}"

    def split(self, frame: bytes) -> Iterator[bytes]:
        """The messages of a frame. Raises CodecError where the lengths do not add up: nothing behind that place can be
        trusted."""
        end = len(frame)
        if end > self.max_frame:
            raise CodecError(f"a frame of {end} bytes; {self.max_frame} are allowed")
        unpack, head = LENGTH.unpack_from, LENGTH.size
        start = 0
        while start < end:
            begin = start + head
            if begin > end:
                raise CodecError(f"a frame with {end - start} bytes left over")
            start = begin + unpack(frame, start)[0]
            if start > end:
                raise CodecError(f"a message of {start - begin} bytes in a frame with {end - begin} left")
            yield frame[begin:start]


def lengthened(*parts: bytes) -> bytes:
    """A message, given in parts, as it stands in a frame; a frame is any number of them joined."""
    message = b"".join(parts)
    return LENGTH.pack(len(message)) + message


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
