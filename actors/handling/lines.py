"""Text that nobody promises anything about: lines out of a stream of bytes, and what handlers say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import trio

LONGEST: Final = 8 * 1024
"""Bytes of a line before it is cut into several: what a log line may have."""


async def read_lines(stream: trio.abc.ReceiveStream) -> AsyncIterator[str]:
    """The lines as they come, without their ends; what is not UTF-8 is replaced. Ends when the stream does."""
    rest = bytearray()
    while True:
        try:
            data = await stream.receive_some()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        rest += data
        lines, rest = cut(rest, last=not data)
        for line in lines:
            yield line
        if not data:
            return


def cut(data: bytearray, *, last: bool) -> tuple[list[str], bytearray]:
    """The complete lines in `data` and what is left of it; with `last` nothing is left."""
    *complete, rest = data.split(b"\n")
    while len(rest) > LONGEST:
        complete.append(rest[:LONGEST])
        rest = rest[LONGEST:]
    if last and rest:
        complete.append(rest)
        rest = bytearray()
    pieces = (line[at : at + LONGEST] for line in complete for at in range(0, max(1, len(line)), LONGEST))
    return [piece.removesuffix(b"\r").decode(errors="replace") for piece in pieces], rest


def storable(text: str) -> str:
    """The text with each half of a surrogate pair, which UTF-8 cannot hold, as a backslash escape.

    Python has such halves in the names of files that are not UTF-8.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
