"""The pipe between a node and a worker process: frames of JSON, each behind its length in four bytes.

From the node: `job` first, then an `answer` to each `checkpoint` and `call`, with its number, and `interrupt`. From the worker:
`log`, `progress`, `beat`, `checkpoint`, `call`, and at last `done` or `failed`.
"""

from __future__ import annotations

import json
from typing import Any, Final

MAX_FRAME: Final = 8 * 1024 * 1024
"""Bytes in a frame: a job with the largest parameters, extra and checkpoint, written as JSON, has less than three million."""

_HEADER: Final = 4


class FrameTooLarge(Exception):
    """A length that no frame has: what came is no frame."""


def pack(kind: str, **fields: Any) -> bytes:
    """One frame."""
    body = json.dumps({"kind": kind, **fields}).encode()
    return len(body).to_bytes(_HEADER) + body


class Unpacker:
    """Frames out of bytes as they come."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | bytearray) -> list[dict[str, Any]]:
        """The frames that are complete with these bytes. Raises FrameTooLarge."""
        self._buffer += data
        frames = []
        while len(self._buffer) >= _HEADER:
            size = int.from_bytes(self._buffer[:_HEADER])
            if size > MAX_FRAME:
                raise FrameTooLarge(f"a frame of {size} bytes, the limit is {MAX_FRAME}")
            if len(self._buffer) < _HEADER + size:
                break
            frames.append(json.loads(self._buffer[_HEADER : _HEADER + size]))
            del self._buffer[: _HEADER + size]
        return frames
