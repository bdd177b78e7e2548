"""`tocsin shell`: the same commands, typed one after the other, with completion and history.

It runs in the main thread and without a loop: prompt_toolkit has a loop of its own while it reads a line, and none is there while
a command runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cyclopts import App
from prompt_toolkit import PromptSession
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.shortcuts import CompleteStyle

from runtime.errors import TocsinError

from .output import print_error, printable
from .shell_completer import NAMES, ShellCompleter
from .shell_lines import LEAVE, words_of

if TYPE_CHECKING:
    from ..client import Client

Run = Callable[[list[str]], int]
"""Carries out a command, says what went wrong, and answers its exit code."""

NOT_HERE: Final = ("shell",)
"""Commands that make no sense inside of the shell."""

USAGE_EXIT: Final = 2


def interact(app: App, run: Run) -> int:
    """Read commands until the end and carry each out. Answers 0, or the highest exit code if the input is no terminal."""
    if not sys.stdin.isatty():
        return max((_carry_out(line, run) for line in takewhile(lambda line: not _leaves(line), sys.stdin)), default=0)
    names = Names()
    print(printable(f"{names.greeting()} Tab completes, 'help' lists the commands, Ctrl-D leaves."))
    session: PromptSession[str] = PromptSession(
        history=_history(),
        completer=ShellCompleter(app, names.tasks, names.nodes),
        complete_in_thread=True,
        complete_while_typing=False,
        complete_style=CompleteStyle.READLINE_LIKE,
    )
    for line in _lines(session, names):
        if _leaves(line):
            break
        _carry_out(line, run)
    return 0


def _lines(session: PromptSession[str], names: Names) -> Iterator[str]:
    while True:
        try:
            yield session.prompt(FormattedText([("bold", names.prompt())]))
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def _leaves(line: str) -> bool:
    return line.strip() in LEAVE


def _carry_out(line: str, run: Run) -> int:
    try:
        words = words_of(line)
    except TocsinError as error:
        print_error("Invalid request", "400", str(error), as_json=False)
        return USAGE_EXIT
    if words[:1] and words[0] in NOT_HERE:
        print_error("Invalid request", "400", f"{words[0]!r} is what this is", as_json=False)
        return USAGE_EXIT
    return run(words) if words else 0


class Names:
    """What the shell asks the node for by itself. A node that does not answer makes it quiet, not useless."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self._name: str | None = None

    def greeting(self) -> str:
        """Who answers."""
        try:
            self._name = str(self._connected().call("show_node")["name"])
        except TocsinError as error:
            return f"No node answers yet ({error})."
        return f"This is {self._name}."

    def prompt(self) -> str:
        """What stands before a line."""
        return printable(f"{self._name}> " if self._name else "tocsin> ")

    def tasks(self, text: str) -> Iterable[str]:
        """Names of tasks with the text in them."""
        page = self._connected().call("list_tasks", text=text or None, limit=NAMES)
        return [task["name"] for task in page["list"]]

    def nodes(self, text: str) -> Iterable[str]:
        """Names of nodes."""
        return [node["name"] for node in self._connected().call("list_nodes")["list"]]

    def _connected(self) -> Client:
        from ..client import Client

        # Commands close what they have opened, so the shell has a connection of its own.
        if self._client is None:
            self._client = Client(channel="cli")
        return self._client


def _history() -> History:
    """Lines of former sessions, for this user only; those of this one if no file can be written."""
    directory = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "tocsin"
    path = directory / "history"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(path)
