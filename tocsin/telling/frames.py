"""Where in a user's own code a failure came from: the frames of its traceback that are not Tocsin's, Python's or a library's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

_FRAME: Final = re.compile(r'^[ |]*  File "(.+)", line (\d+), in (.+)\n(?:[ |]*    (?! )(.+)\n)?', re.MULTILINE)
_ROOT: Final = Path(__file__).resolve().parents[2]
_OWN: Final = ("tocsin", "actors", "runtime")
_OWN_FILE: Final = re.compile(rf"(?:{re.escape(str(_ROOT))}|.*/(?:site|dist)-packages)/(?:{'|'.join(_OWN)})/")
_BELOW: Final = re.compile(r".*/(?:site-packages|dist-packages|lib(?:64)?/python3(?:\.\d+)?)/|<frozen |<string>")


@attrs.frozen
class Frame:
    """A line of a traceback: the file as Python names it, the line's number from 1, the function, and the line if it is known."""

    file: str
    line: int
    function: str
    code: str | None = None

    def place(self) -> str:
        """`mytasks.py:9, in report`."""
        return f"{self.file.replace(chr(92), '/').rpartition('/')[2]}:{self.line}, in {self.function}"


def own_frames(traceback: str, message: str = "") -> Sequence[Frame]:
    """The frames of a traceback that are a user's own code, in its order: the innermost is the last.

    message: the exception's text, with which the traceback ends: it may quote the traceback of another program.
    """
    text = traceback.rstrip("\n").removesuffix(message.rstrip("\n")) + "\n"
    frames = [Frame(found[1], int(found[2]), found[3], found[4]) for found in _FRAME.finditer(text)]
    return tuple(frame for frame in frames if not _OWN_FILE.match(frame.file) and not _BELOW.match(frame.file))


def place_of(traceback: str, message: str = "") -> str | None:
    """Where a user's own code failed, `mytasks.py:9, in report`; None if none of it was on the way."""
    frames = own_frames(traceback, message)
    return frames[-1].place() if frames else None
