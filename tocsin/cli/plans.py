"""`tocsin apply`, `diff` and `export`: definitions as files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from runtime.errors import InvalidRequest

from .bodies import FilesRefused
from .connection import connect
from .options import Flag
from .output import AS_JSON, LOCAL, print_json, printable, show_time

SUFFIXES: Final = (".yaml", ".yml", ".json")
"""What is read of a directory."""

SHOWN: Final = 4
"""Times of each kind that are shown of one task; `--json` has them all."""

_SIGNS: Final = {"create": "+", "delete": "-"}
_WIDEST: Final = 70


Hyphen: Final = Parameter(allow_leading_hyphen=True)
"""An argument that may be -, for standard input."""


def apply(
    *files: Annotated[Path, Hyphen],
    dry_run: Annotated[bool, Flag] = False,
    prune: Annotated[bool, Flag] = False,
    owner: str | None = None,
    fires: int | None = None,
    as_json: Annotated[bool, AS_JSON] = False,
    utc: Annotated[bool, LOCAL] = False,
) -> None:
    """Make tasks and calendars as files say; applying the same files again changes nothing.

    Parameters
    ----------
    files
        YAML or JSON files, directories with such files, or - for standard input.
    dry_run
        Only show what would change, as `tocsin diff` does.
    prune
        Also delete the tasks with the label of --owner that the files do not have.
    owner
        A label for all tasks of these files: tocsin.owner=LABEL. Tasks with another one are refused.
    fires
        How many next times of each task are compared; 10 if not said.
    """
    body = _body(files, owner, prune, fires)
    with busy("planning" if dry_run else "applying"):
        try:
            found = connect().call("plan" if dry_run else "apply_plan", body=body)
        except InvalidRequest as error:
            raise FilesRefused(str(error)) from None
    if as_json:
        print_json(found)
        return
    _print_plan(found, utc)
    if not dry_run and not found["empty"]:
        print(f"{len(found['done'])} step(s) done")


def diff(
    *files: Annotated[Path, Hyphen],
    prune: Annotated[bool, Flag] = False,
    owner: str | None = None,
    fires: int | None = None,
    as_json: Annotated[bool, AS_JSON] = False,
    utc: Annotated[bool, LOCAL] = False,
) -> None:
    """Show what applying files would change: fields, and which of the next times appear, disappear or move.

    Parameters
    ----------
    files
        YAML or JSON files, directories with such files, or - for standard input.
    prune
        As for `apply`.
    owner
        As for `apply`.
    fires
        How many next times of each task are compared; 10 if not said.
    """
    apply(*files, dry_run=True, prune=prune, owner=owner, fires=fires, as_json=as_json, utc=utc)


def export(
    *,
    form: Annotated[str | None, Parameter(name="--format")] = None,
    output: Path | None = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Write all tasks that have not ended, and all calendars, as a file that `apply` reads.

    Parameters
    ----------
    form
        yaml or json; yaml if not said.
    output
        The file to write; standard output if not said.
    """
    with busy("reading"):
        found = connect().call("export", format=form or ("json" if as_json else "yaml"))
    if output is None:
        sys.stdout.write(found["text"])
    else:
        write_text(output, found["text"])
    left = ", ".join(f"{one['name']} ({one['phase']})" for one in found["leftOut"][:SHOWN])
    more = "" if len(found["leftOut"]) <= SHOWN else f" and {len(found['leftOut']) - SHOWN} more"
    if left:
        print(printable(f"left out, because they have ended: {left}{more}"), file=sys.stderr)


@contextmanager
def busy(what: str) -> Iterator[None]:
    """A sign of life on the terminal while something takes long."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(what, total=None)
        yield


def _body(files: tuple[Path, ...], owner: str | None, prune: bool, fires: int | None) -> dict[str, Any]:
    if not files:
        raise InvalidRequest("say which files: tocsin apply tasks.yaml")
    read = [{"name": str(path), "text": text} for file in files for path, text in _texts(file)]
    if not read:
        raise InvalidRequest(f"no {', '.join(SUFFIXES)} in {', '.join(map(str, files))}")
    wanted = {"files": read, "owner": owner, "prune": prune or None, "fires": fires}
    return {key: value for key, value in wanted.items() if value is not None}


def _texts(path: Path) -> Iterator[tuple[Path, str]]:
    """The text of a file, or of all files of a directory."""
    if str(path) == "-":
        yield path, sys.stdin.read()
    elif path.is_dir():
        for one in sorted(path.iterdir()):
            if one.suffix in SUFFIXES and one.is_file():
                yield one, read_text(one)
    else:
        yield path, read_text(path)


def read_text(path: Path) -> str:
    """The text of a file. Raises InvalidRequest."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{str(path)!r} is not UTF-8 at byte {error.start}") from None
    except OSError as error:
        option = ", and no option is called so" if str(path).startswith("-") else ""
        raise InvalidRequest(f"cannot read {str(path)!r}: {error.strerror}{option}") from None


def write_text(path: Path, text: str) -> None:
    """Write a file. Raises InvalidRequest."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidRequest(f"cannot write {str(path)!r}: {error.strerror}") from None


def _print_plan(found: dict[str, Any], utc: bool) -> None:
    for one in found["calendars"]:
        print(printable(f"{_SIGNS.get(one['action'], '~')} calendar {one['name']}   {one['file']}:{one['line']}"))
        _print_fields(one["fields"] if one["action"] == "edit" else [])
    for one in found["changes"]:
        place = f"   {one['file']}:{one['line']}" if one["file"] else ""
        sign = _SIGNS.get((one["actions"] or [""])[0], "~")
        steps = [action for action in one["actions"] if action in ("pause", "activate")]
        told = "".join(f", {step}" for step in steps)
        print(printable(f"{sign} {one['name']} ({one['taskType']}){told}{place}"))
        for note in one["notes"]:
            print(printable(f"    {note}"))
        _print_fields(one["fields"])
        for line in fire_lines(one["fires"], utc):
            print(f"    {line}")
    many = {"+": 0, "~": 0, "-": 0}
    for one in found["changes"]:
        if one["actions"]:
            many[_SIGNS.get(one["actions"][0], "~")] += 1
    if found["empty"]:
        print(f"Nothing to change: {found['unchanged']} task(s) are as the files say.")
    else:
        print(f"{many['+']} to make, {many['~']} to change, {many['-']} to delete, {found['unchanged']} unchanged")


def _print_fields(fields: list[dict[str, Any]]) -> None:
    for one in fields:
        print(printable(f"    {one['field']}: {_short(one['before'])} -> {_short(one['after'])}"))


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value) if value is not None else "-"
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def fire_lines(fires: dict[str, Any], utc: bool) -> Iterator[str]:
    """The diff of fire times, a line for each kind."""

    def times(listed: list[str]) -> str:
        shown = ", ".join(show_time(at, utc) for at in listed[:SHOWN])
        return shown + (f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else "")

    moved = [f"{show_time(one['from'], utc)} to {show_time(one['to'], utc)}" for one in fires["moved"]]
    if moved:
        more = f" and {len(moved) - SHOWN} more" if len(moved) > SHOWN else ""
        yield f"moves: {', '.join(moved[:SHOWN])}{more}"
    if fires["disappear"]:
        yield f"disappears: {times(fires['disappear'])}"
    if fires["appear"]:
        yield f"appears: {times(fires['appear'])}"
    if fires["kept"] and (moved or fires["appear"] or fires["disappear"]):
        yield f"stays: {fires['kept']} of the times up to {show_time(fires['through'], utc)}"
    if fires["before"] != fires["after"] and fires["before"] and fires["after"]:
        yield f"next: {show_time(fires['after'], utc)} instead of {show_time(fires['before'], utc)}"
