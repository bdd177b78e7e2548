"""The one door to PyYAML: YAML as plain values that remember their lines, and plain values as YAML.

Only the events of PyYAML's parser are used, never its constructors, so no tag makes an object. What the scalars mean is the
core schema of YAML 1.2 without its odd corners: `on` and `no` are texts, and so are dates and 12:30. What is written reads the
same under the older schema, because whatever either of them would take for something else is quoted.

Refused: tags, a key that is there twice, an alias within what it stands for, and more than there can be in a file that
somebody wrote: depth, and the number of values, each alias counted with all that it stands for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterator, Mapping
from typing import Any, Final, TypeVar, cast

import attrs
import yaml

from runtime.errors import InvalidRequest, TooLarge

from ..shown import show

T = TypeVar("T")

MAX_DEPTH: Final = 64
"""Levels of nesting: a definition has eight, and parameters some more."""

MAX_VALUES: Final = 2_000_000
"""Values of one text with its aliases written out: 20,000 tasks in full."""

_LONGEST_NUMBER: Final = 400
"""Digits; the largest float has 309."""

_WHOLE: Final = re.compile(r"[-+]?[0-9]+")
_REAL: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: Final[Mapping[str, object]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@attrs.frozen(eq=False)
class Piece:
    """A value and where it begins: lines count from 1. `parts`: the pieces of a list by index, of an object by key.

    `keys` has the lines of an object's keys. `size` counts the values in it.
    """

    value: Any
    line: int
    parts: Mapping[str | int, Piece] = attrs.field(factory=dict)
    keys: Mapping[str, int] = attrs.field(factory=dict)
    size: int = 1

    def line_of(self, *path: str | int) -> int:
        """The line of what the path leads to, or of the last thing on the way that is there."""
        if not path:
            return self.line
        part = self.parts.get(path[0])
        if part is None:
            return self.line
        return part.line_of(*path[1:]) if len(path) > 1 else self.keys.get(str(path[0]), part.line)


def read_yaml(text: str, name: str) -> list[Piece]:
    """The documents of a YAML text, read at one go: see `reading_yaml`."""
    return finished(reading_yaml(text, name))


def finished(work: Generator[None, None, T]) -> T:
    """What comes out of work when it is done without its pauses."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return cast("T", end.value)


def reading_yaml(text: str, name: str) -> Generator[None, None, list[Piece]]:
    """The documents of a YAML text, read with a pause after each list and object.

    Raises InvalidRequest with name and line, TooLarge.
    """
    try:
        return (yield from _Reader(name, _events(text)).documents())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f":{mark.line + 1}"
        raise InvalidRequest(f"{name}{line}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise InvalidRequest(f"{name}: not YAML: {' '.join(str(error).split())[:200]}") from None


def _events(text: str) -> Iterator[Any]:
    return iter(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


class _Reader:
    """One text being read: `name` for messages, the events that are left, and what its anchors stand for."""

    def __init__(self, name: str, events: Iterator[Any]) -> None:
        self._name = name
        self._events = events
        self._anchors: dict[str, Piece | None] = {}

    def documents(self) -> Generator[None, None, list[Piece]]:
        found: list[Piece] = []
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors = {}
                found.append((yield from self._piece(next(self._events), 0)))
        return found

    def _piece(self, event: Any, depth: int) -> Generator[None, None, Piece]:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        line = event.start_mark.line + 1
        if event.tag not in (None, "!"):
            raise self._refuse(line, f"tags are not read: {show(event.tag)}")
        if depth > MAX_DEPTH:
            raise self._refuse(line, f"nested more than {MAX_DEPTH} levels deep")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            piece = Piece(self._scalar(event, line), line)
        elif isinstance(event, yaml.SequenceStartEvent):
            piece = yield from self._list(line, depth)
            yield
        else:
            piece = yield from self._object(line, depth)
            yield
        if piece.size > MAX_VALUES:
            raise TooLarge(f"{self._name}:{line}: more than {MAX_VALUES} values, aliases written out")
        if event.anchor is not None:
            self._anchors[event.anchor] = piece
        return piece

    def _alias(self, event: Any) -> Piece:
        line = event.start_mark.line + 1
        if event.anchor not in self._anchors:
            raise self._refuse(line, f"*{event.anchor} stands for nothing: there is no &{event.anchor} above")
        piece = self._anchors[event.anchor]
        if piece is None:
            raise self._refuse(line, f"*{event.anchor} is within what it stands for")
        return piece

    def _scalar(self, event: Any, line: int) -> object:
        text: str = event.value
        if not event.implicit[0]:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if not _REAL.fullmatch(text):
            return text
        if len(text) > _LONGEST_NUMBER:
            raise self._refuse(line, f"a number of {len(text)} digits")
        if _WHOLE.fullmatch(text):
            return int(text)
        if not math.isfinite(number := float(text)):
            raise self._refuse(line, f"the number {show(text)} is too large")
        return number

    def _list(self, line: int, depth: int) -> Generator[None, None, Piece]:
        parts: dict[str | int, Piece] = {}
        size = 1
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            part = parts[len(parts)] = yield from self._piece(event, depth + 1)
            size += part.size
        return Piece([part.value for part in parts.values()], line, parts, size=size)

    def _object(self, line: int, depth: int) -> Generator[None, None, Piece]:
        parts: dict[str | int, Piece] = {}
        keys: dict[str, int] = {}
        merged: list[Piece] = []
        size = 1
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            where = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent) or event.tag not in (None, "!"):
                raise self._refuse(where, "a key is a text, and neither a list, an object, an alias nor tagged")
            key = event.value
            if key in keys:
                raise self._refuse(where, f"the key {show(key)} is there twice, first in line {keys[key]}")
            part = yield from self._piece(next(self._events), depth + 1)
            keys[key] = where
            size += part.size
            if key == "<<" and event.implicit[0]:
                merged += part.parts.values() if isinstance(part.value, list) else [part]
            else:
                parts[key] = part
        for piece in merged:
            if not isinstance(piece.value, dict):
                raise self._refuse(keys["<<"], "<< takes objects")
            for name, part in piece.parts.items():
                if name not in parts:
                    parts[name], keys[str(name)] = part, piece.keys[str(name)]
        return Piece({key: part.value for key, part in parts.items()}, line, parts, keys, size)

    def _refuse(self, line: int, problem: str) -> InvalidRequest:
        return InvalidRequest(f"{self._name}:{line}: {problem}")


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes what both schemas read as the same, and nothing as an alias."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    """A text; one with characters that a reader might take for the end of a line as escapes."""
    style = None if value.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)


_Dumper.add_representer(str, _text)
for _pattern, _tag, _first in ((_WHOLE, "int", "-+0123456789"), (_REAL, "float", "-+.0123456789")):
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern.pattern})\Z"), list(_first))


def write_yaml(value: object) -> str:
    """A value of plain JSON as YAML, keys in their order. `read_yaml` reads it back as the same."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False
    )
    return text
