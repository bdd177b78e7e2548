"""What a line of the shell means: cut into words as shells do it, and the names that the Karaf shell had."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from runtime.errors import InvalidRequest

SCOPE: Final = "unomi:"
"""What may stand before a name of the Karaf shell."""

LEAVE: Final = ("exit", "quit", "logout")

PURGE_DAYS: Final = 7
"""Days of history that `task-purge` keeps if nothing is said, as in the Karaf shell."""


@attrs.frozen
class Former:
    """A command of the Karaf shell: the words that its name becomes, and those that its options and values become."""

    becomes: tuple[str, ...]
    about: str
    options: Mapping[str, str] = attrs.field(factory=dict)
    values: Mapping[str, str] = attrs.field(factory=dict)


KARAF: Final = {
    "task-list": Former(("task", "list"), "list tasks", {"-s": "--status", "-t": "--type"}),
    "task-show": Former(("task", "show"), "show a task"),
    "task-cancel": Former(("task", "cancel"), "cancel a task"),
    "task-retry": Former(("task", "retry"), "run the last execution again, which has failed", {"-r": "--reset"}),
    "task-resume": Former(("task", "resume"), "go on with an execution that is held after a crash"),
    "task-executor": Former(
        ("executor",), "show or switch whether the node takes executions", {}, {"true": "on", "false": "off"}
    ),
    "task-purge": Former(
        ("task", "purge"), "remove what completed days ago", {"-d": "--days", "-f": "--force"}
    ),
}  # fmt: skip


def words_of(line: str) -> list[str]:
    """The command that a line is, as arguments of `tocsin`; none for an empty line or a remark. Raises InvalidRequest."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise InvalidRequest(f"{line!r}: {str(error).lower()}") from None
    if words[:1] == ["tocsin"]:
        words = words[1:]
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    return translated(words)


def translated(words: Sequence[str]) -> list[str]:
    """Words in which a name of the Karaf shell, with its options, stands for a command of `tocsin`."""
    name = words[0].removeprefix(SCOPE) if words else ""
    if name not in KARAF:
        return list(words)
    former = KARAF[name]
    rest = [former.options.get(word, former.values.get(word.lower(), word)) for word in words[1:]]
    return [*former.becomes, *(_purge(rest) if name == "task-purge" else rest)]


def _purge(words: list[str]) -> list[str]:
    """`--days 7` as `--older-than 7d`, for completed executions only."""
    if "--help" in words:
        return words
    days, rest = str(PURGE_DAYS), list(words)
    for index, word in enumerate(words):
        if word.startswith("--days="):
            days, rest = word.removeprefix("--days="), [*words[:index], *words[index + 1 :]]
        elif word == "--days":
            days, rest = "".join(words[index + 1 : index + 2]), [*words[:index], *words[index + 2 :]]
    if not re.fullmatch(r"\d{1,5}", days):
        raise InvalidRequest(f"--days: a whole number of days, not {days!r}")
    return ["--older-than", f"{days}d", "--state", "completed", *rest]


@attrs.frozen
class Cut:
    """A line that is still being typed: the words before the last one, the last one, and how many characters that has."""

    words: tuple[str, ...]
    last: str
    length: int


def cut(text: str) -> Cut:
    """Cut what stands before the cursor into words; an open quote belongs to the last one."""
    begin, quote = 0, ""
    for index, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == " ":
            begin = index + 1
    last = text[begin:]
    try:
        words = tuple(shlex.split(text[:begin]))
    except ValueError:
        words = ()
    return Cut(words, re.sub("['\"]", "", last), len(last))
