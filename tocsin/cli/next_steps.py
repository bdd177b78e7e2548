"""What to type after a refusal. Who reads an error wants to go on, and the command that lets him is known here."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from runtime import errors
from runtime.errors import TocsinError

from ..operations.error_table import row_of
from ..shown import suggestion

SAME: Final = {
    "create": "add", "describe": "show", "disable": "pause", "enable": "activate", "get": "show", "info": "show",
    "inspect": "show", "kill": "cancel", "log": "logs", "ls": "list", "new": "add", "preview": "next", "ps": "list",
    "remove": "delete", "rm": "delete", "start": "run", "stop": "cancel", "trigger": "run", "unpause": "activate",
    "update": "edit",
}  # fmt: skip
"""What other programs call it -> what it is called here."""

SAME_OPTIONS: Final = {
    "--backfill": "--catch-up", "--catchup": "--catch-up", "--command": "-- COMMAND", "--delay": "--in",
    "--interval": "--every", "--misfire": "--catch-up", "--once": "--in or --at", "--param": "--params",
    "--retry": "--retries", "--max-retries": "--retries", "--schedule": "--cron", "--tz": "--timezone", "--zone": "--timezone",
}  # fmt: skip
"""The same for options of tasks."""


@attrs.frozen
class Typed:
    """What was typed. path: the words of the command; target: what it is about, the first word after these, empty for none."""

    path: tuple[str, ...]
    target: str


@attrs.frozen
class _Rule:
    """For errors of a class whose message has a pattern: the next step, with `{name}` for what was typed and groups by number."""

    error: type[TocsinError]
    pattern: re.Pattern[str]
    step: str


def _rule(error: type[TocsinError], pattern: str, step: str) -> _Rule:
    return _Rule(error, re.compile(pattern), step)


_RULES: Final = (
    _rule(
        errors.Conflict,
        "only a CRASHED one can be resumed",
        "tocsin task activate {name} after a pause, or tocsin task run {name} to run it now",
    ),
    _rule(errors.Conflict, "cannot retry an execution that is COMPLETED", "tocsin task run {name}"),
    _rule(errors.Conflict, "cannot retry an execution", "tocsin task show {name}"),
    _rule(errors.Conflict, "there is another task with the name", "tocsin task edit {name}, or another name"),
    _rule(errors.Conflict, "^calendar '.*' is used by", "tocsin calendar list"),
    _rule(errors.Conflict, "is taken by another program", "tocsin up --listen 127.0.0.1:0, or another port than 0"),
    _rule(errors.StaleVersion, "", "tocsin task show {name}, and then once more"),
    _rule(
        errors.NotFound,
        "has no execution yet",
        "tocsin task next {name} to see when it will run, or tocsin task run {name} --follow now",
    ),
    _rule(errors.NotFound, r"\bno calendar\b", "tocsin calendar list"),
    _rule(errors.NotFound, r"\bno node\b", "tocsin node list"),
    _rule(errors.NotFound, r"\bno token\b", "tocsin token list"),
    _rule(errors.NotFound, r"\bno (?:task )?type\b", "tocsin type list"),
    _rule(errors.NotFound, r"\bexecutions?\b", "tocsin task history TASK"),
    _rule(errors.NotFound, "", "tocsin task list"),
    _rule(
        errors.InvalidRequest,
        r"missing parameter '(\w+)'",
        "--params '{{\"{1}\": ...}}'; tocsin type list shows what each type takes",
    ),
    _rule(errors.InvalidRequest, "unknown parameter|unknown type|no handler", "tocsin type list"),
    _rule(errors.InvalidRequest, r"\bno calendar\b", "tocsin calendar list"),
    _rule(errors.InvalidRequest, "^--cron", "tocsin cron next 'EXPRESSION' tries one"),
    _rule(errors.InvalidRequest, "unknown key|TOCSIN_[A-Z_]+|tocsin.toml", "tocsin config"),
    _rule(errors.PeerUnreachable, "", "tocsin node list"),
    _rule(errors.Unauthenticated, "", "tocsin doctor"),
    _rule(errors.Forbidden, "", "tocsin --help, with a token of another role: TOCSIN_TOKEN"),
    _rule(errors.InvocationFailed, "", "tocsin task list --all --failed"),
    _rule(errors.AlreadyRunning, "", "tocsin status, or --data with another directory"),
)
"""The first that fits. A class that none is of has its step from its status, below."""

_BY_STATUS: Final = {429: "the same again in a moment; tocsin top shows how busy it is"}


def next_step(error: TocsinError, message: str, typed: Typed) -> str:
    """What to type next. message: the error's text as it is shown."""
    name = shlex.quote(typed.target) if typed.target else "TASK"
    for rule in _RULES:
        if isinstance(error, rule.error) and (found := rule.pattern.search(message)):
            return rule.step.format(found[0], *found.groups(), name=name)
    if isinstance(error, errors.Conflict) and typed.path[:1] == ("task",):
        return f"tocsin task show {name}"
    if isinstance(error, errors.InvalidRequest | errors.Conflict):
        return f"{' '.join(('tocsin', *typed.path))} --help"
    return _BY_STATUS.get(row_of(error).status, "tocsin doctor").format(name=name)


def unknown_command(word: str, names: Iterable[str], of_tasks: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """The refusal of a word that is no command, and the words that were meant, none if that is not known.

    names: the commands that there are at this place; of_tasks: those of `task`, if they may have been meant too.
    """
    known, tasks = list(names), list(of_tasks)
    if (same := SAME.get(word, word)) in known:
        meant: tuple[str, ...] = (same,)
    elif same in tasks:
        meant = ("task", same)
    else:
        near = re.search("'(.+)'", suggestion(word, known))
        meant = (near[1],) if near else ()
    hint = f"; did you mean {' '.join(meant)!r}?" if meant else ""
    return f"Unknown command {word!r}{hint}", meant


def unknown_option(option: str, names: Sequence[str]) -> str:
    """The refusal of an option that the command does not have. names: those that it has."""
    name = option.partition("=")[0]
    if (same := SAME_OPTIONS.get(name)) is not None and (same.split()[0] in names or same.startswith("-- ")):
        return f"Unknown option {name!r}; did you mean {same!r}?"
    return f"Unknown option {name!r}{suggestion(name, names)}"


def as_json_object(text: str) -> str | None:
    """`region=eu`, which other programs take, as the JSON object that stands for it; None if it is something else."""
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"\w+", name):
        return None
    try:
        read = json.loads(value)
    except ValueError:
        read = value
    return json.dumps({name: read}, ensure_ascii=False)
