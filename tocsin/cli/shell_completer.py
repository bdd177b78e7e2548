"""What can stand next in a line of the shell: commands, options, and the names of tasks and nodes from the node."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from cyclopts import App
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from runtime.errors import TocsinError

from .output import printable
from .shell_lines import KARAF, LEAVE, cut, translated

NAMES_SECONDS: Final = 2.0
"""How long names that the node told are taken for the present ones: as long as somebody types a word."""

NAMES: Final = 20
"""Names that are shown; who wants others types more of them."""

OF_TASKS: Final = {"task", "execution"}
OF_NODES: Final = {"node", "executor"}

Ask = Callable[[str], Iterable[str]]
"""The names of tasks, or of nodes, that a text is a part of. It may raise our errors: then there are none."""


class ShellCompleter(Completer):
    """See the module's docstring. tasks, nodes: where names come from."""

    def __init__(self, app: App, tasks: Ask, nodes: Ask, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._tasks = tasks
        self._nodes = nodes
        self._clock = clock
        self._known: dict[tuple[Ask, str], tuple[float, list[str]]] = {}

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        line = cut(document.text_before_cursor)
        for word, about in self._next(line.words, line.last):
            if word.lower().startswith(line.last.lower()) or (about == "" and line.last.lower() in word.lower()):
                yield Completion(_quoted(word), -line.length, display=printable(word), display_meta=about)

    def _next(self, words: tuple[str, ...], last: str) -> Iterator[tuple[str, str]]:
        if not words:
            yield from self._commands(self._app)
            yield from ((name, former.about) for name, former in KARAF.items())
            yield from ((name, "leave the shell") for name in (*LEAVE[:2], "help"))
            return
        place, left = self._app, list(self._as_typed(words))
        while left and left[0] in _names(place):
            place = place[left.pop(0)]
        if deeper := list(self._commands(place)):
            yield from [] if left else deeper
        elif last.startswith("-"):
            yield from _options(place)
        elif not any(not word.startswith("-") for word in left):
            yield from ((name, "") for name in self._asked(words, last))

    def _as_typed(self, words: tuple[str, ...]) -> list[str]:
        start = words[1:] if words[0] == "tocsin" else words
        try:
            return translated(start)
        except TocsinError:
            return list(start)

    @staticmethod
    def _commands(app: App) -> Iterator[tuple[str, str]]:
        return ((name, (app[name].help or "").strip().split("\n")[0]) for name in _names(app))

    def _asked(self, words: tuple[str, ...], last: str) -> list[str]:
        first = self._as_typed(words)[:1]
        ask = self._tasks if OF_TASKS & set(first) else self._nodes if OF_NODES & set(first) else None
        if ask is None:
            return []
        at, names = self._known.get((ask, last), (-NAMES_SECONDS, []))
        if self._clock() - at < NAMES_SECONDS:
            return names
        try:
            names = list(ask(last))[:NAMES]
        except TocsinError:
            names = []
        self._known[(ask, last)] = (self._clock(), names)
        return names


def _names(app: App) -> list[str]:
    return [name for name in app if not name.startswith("-")]


def _options(app: App) -> Iterator[tuple[str, str]]:
    for argument in app.assemble_argument_collection():
        about = str(argument.parameter.help or "")
        yield from ((name, about) for name in argument.names if name.startswith("--"))
    yield "--help", "how it is used"


def _quoted(word: str) -> str:
    return shlex.quote(word)
