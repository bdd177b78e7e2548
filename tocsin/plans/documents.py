"""Files of definitions: what they may hold, and where in them each thing stands.

A file is YAML or JSON, one document or several, each an object with `tasks`, `calendars` and, if it likes, `tocsin: 1`, the
version of this form. A task is the body that adding one takes, with what only files say (`FILE_FIELDS`); a calendar is the
body that putting one takes, with its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from runtime.errors import InvalidRequest, TocsinError, TooLarge

from ..settings.config import suggestion
from ..vocabulary.calendar_json import drop_version
from ..vocabulary.checks import check_name
from ..vocabulary.fields import proper_text, show
from ..vocabulary.words import TASK
from .yaml_text import Piece, finished, reading_yaml

FORM: Final = 1
"""The version of the form of a file."""

MAX_FILES: Final = 1_000
MAX_TASKS: Final = 20_000
"""In one file set: what is read, compared and answered in some seconds."""

PROBLEMS_SHOWN: Final = 20
"""Problems of a file set that are told at once."""

FILE_FIELDS: Final = ("id", "owner", "paused", "pauseNote")
"""What a task in a file may say beyond a definition: its id and owner (as exported), and whether it is paused."""

_TOP: Final = ("tocsin", "calendars", "tasks")
_BODY: Final = tuple(one.key for one in TASK)
_PLACE: Final = re.compile(r"(?:unknown field '([^']+)'|([\w.\[\]]+)(?=[:,]))")
_STEP: Final = re.compile(r"\w+")
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@attrs.frozen
class Source:
    """A file as it was handed in: its name, for messages, and its text."""

    name: str
    text: str


@attrs.frozen(eq=False)
class Entry:
    """One task or calendar of a file: its name, its body, and where it stands."""

    name: str
    body: Mapping[str, Any]
    file: str
    piece: Piece
    id: str | None = None
    owner: str | None = None
    paused: bool | None = None
    note: str | None = None

    @property
    def line(self) -> int:
        """Where it begins."""
        return self.piece.line

    def problem(self, error: TocsinError) -> str:
        """The error with the line of the field that it names."""
        text = str(error)
        found = _PLACE.match(text)
        steps = _STEP.findall((found[1] or found[2]) if found is not None else "")
        path = [int(step) if step.isdigit() else step for step in steps]
        return f"{self.file}:{self.piece.line_of(*path)}: {self.name}: {text}"


@attrs.frozen
class FileSet:
    """What all files say together."""

    tasks: tuple[Entry, ...]
    calendars: tuple[Entry, ...]


class Problems:
    """What is wrong, gathered so that it is told at once."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def add(self, problem: str) -> None:
        """Note one."""
        self._found.append(problem)

    def refuse(self) -> None:
        """Raise InvalidRequest if there are any."""
        if not self._found:
            return
        shown = "\n".join(self._found[:PROBLEMS_SHOWN])
        more = len(self._found) - PROBLEMS_SHOWN
        raise InvalidRequest(shown + (f"\nand {more} more" if more > 0 else ""))


def read_sources(value: object) -> list[Source]:
    """The files of a request: a list of objects with `name` and `text`. Raises InvalidRequest."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_FILES:
        raise InvalidRequest(f"files: a list of 1 to {MAX_FILES} objects with name and text")
    found = []
    for index, one in enumerate(value):
        if not isinstance(one, Mapping) or set(one) != {"name", "text"}:
            raise InvalidRequest(f"files[{index}]: an object with name and text, not {show(one)}")
        place = f"files[{index}]"
        found.append(Source(proper_text(one["name"], f"{place}.name"), proper_text(one["text"], f"{place}.text")))
    return found


def read_files(sources: Iterable[Source]) -> FileSet:
    """What the files say, read at one go: see `reading_files`."""
    return finished(reading_files(sources))


def reading_files(sources: Iterable[Source]) -> Generator[None, None, FileSet]:
    """What the files say, read with many pauses. Raises InvalidRequest with every problem by file and line, TooLarge."""
    problems = Problems()
    tasks: list[Entry] = []
    calendars: list[Entry] = []
    for source in sources:
        try:
            documents = yield from _documents(source)
        except InvalidRequest as error:
            problems.add(str(error))
            continue
        for document in documents:
            yield from _read_document(source.name, document, tasks, calendars, problems)
    if len(tasks) > MAX_TASKS:
        raise TooLarge(f"{len(tasks)} tasks, at most {MAX_TASKS} in one file set")
    _check_once(tasks, "task", problems)
    _check_once(calendars, "calendar", problems)
    _check_ids(tasks, problems)
    problems.refuse()
    return FileSet(tuple(tasks), tuple(calendars))


def _documents(source: Source) -> Generator[None, None, list[Piece]]:
    if source.text.lstrip("\ufeff \t\r\n")[:1] != "{":
        return (yield from reading_yaml(source.text, source.name))
    try:
        return (yield from reading_yaml(source.text, source.name))
    except InvalidRequest as refused:
        # JSON indented by tabs is no YAML: it is read without lines.
        try:
            return [_unplaced(json.loads(source.text, object_pairs_hook=_once))]
        except (ValueError, RecursionError):
            raise refused from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _unplaced(value: object) -> Piece:
    parts: dict[str | int, Piece] = {}
    if isinstance(value, dict):
        parts = {key: _unplaced(part) for key, part in value.items()}
    elif isinstance(value, list):
        parts = {index: _unplaced(part) for index, part in enumerate(value)}
    return Piece(value, 1, parts)


def _read_document(
    name: str, document: Piece, tasks: list[Entry], calendars: list[Entry], problems: Problems
) -> Iterator[None]:
    if document.value is None:
        return
    if not isinstance(document.value, dict):
        problems.add(f"{name}:{document.line}: an object with tasks and calendars, not {show(document.value)}")
        return
    for key in document.value:
        if key not in _TOP:
            problems.add(f"{name}:{document.line_of(key)}: unknown field {show(key)}{suggestion(key, list(_TOP))}")
    if (form := document.value.get("tocsin", FORM)) != FORM or isinstance(form, bool):
        problems.add(f"{name}:{document.line_of('tocsin')}: tocsin: {FORM} is the form that is read, not {show(form)}")
    for key, found in (("tasks", tasks), ("calendars", calendars)):
        listed = document.parts.get(key)
        if listed is None or listed.value is None:
            continue
        if not isinstance(listed.value, list):
            problems.add(f"{name}:{document.line_of(key)}: {key}: a list, not {show(listed.value)}")
            continue
        for piece in listed.parts.values():
            yield
            try:
                found.append(_task(name, piece) if key == "tasks" else _calendar(name, piece))
            except InvalidRequest as error:
                problems.add(f"{name}:{piece.line}: {error}")


def _object(piece: Piece, what: str) -> dict[str, Any]:
    if not isinstance(piece.value, dict):
        raise InvalidRequest(f"a {what} is an object, not {show(piece.value)}")
    if "name" not in piece.value:
        raise InvalidRequest(f"a {what} needs a name")
    return dict(piece.value)


def _task(file: str, piece: Piece) -> Entry:
    body = _object(piece, "task")
    name = check_name(body["name"])
    said = {key: body.pop(key, None) for key in FILE_FIELDS}
    for key in body:
        if key not in _BODY:
            raise InvalidRequest(f"{name}: unknown field {show(key)}{suggestion(key, [*_BODY, *FILE_FIELDS])}")
    for key in ("id", "owner", "pauseNote"):
        if said[key] is not None:
            proper_text(said[key], f"{name}: {key}")
    if said["id"] is not None and not _ID.fullmatch(said["id"]):
        raise InvalidRequest(f"{name}: id: as it was exported, or none, not {show(said['id'])}")
    if said["paused"] not in (None, True, False):
        raise InvalidRequest(f"{name}: paused: true or false, not {show(said['paused'])}")
    if said["pauseNote"] is not None and not said["paused"]:
        raise InvalidRequest(f"{name}: pauseNote: goes with paused: true")
    return Entry(name, body, file, piece, said["id"], said["owner"], said["paused"], said["pauseNote"])


def _calendar(file: str, piece: Piece) -> Entry:
    body = _object(piece, "calendar")
    name = proper_text(body.pop("name"), "name")
    drop_version(body)
    return Entry(name, body, file, piece)


def _check_once(entries: Sequence[Entry], what: str, problems: Problems) -> None:
    seen: dict[str, Entry] = {}
    for entry in entries:
        if (former := seen.setdefault(entry.name, entry)) is not entry:
            place = f"{former.file}:{former.line}"
            problems.add(f"{entry.file}:{entry.line}: the {what} {show(entry.name)} is there already, in {place}")


def _check_ids(entries: Sequence[Entry], problems: Problems) -> None:
    seen: dict[str, Entry] = {}
    for entry in entries:
        if entry.id is not None and (former := seen.setdefault(entry.id, entry)) is not entry:
            problems.add(f"{entry.file}:{entry.line}: {entry.name}: has the id of {show(former.name)}")
