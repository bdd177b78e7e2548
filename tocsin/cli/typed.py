"""What was typed, seen by the tree of commands: which command it is, and what was meant by words that are none."""

from __future__ import annotations

from collections.abc import Sequence

from cyclopts import App, CycloptsError, UnknownCommandError, UnknownOptionError

from runtime.errors import InvalidRequest

from .next_steps import Typed, unknown_command, unknown_option


def typed_by(app: App, words: Sequence[str]) -> Typed:
    """The command that the words name, as far as they name one."""
    path: list[str] = []
    place, left = app, list(words)
    while left and left[0] in names_of(place):
        place = place[left[0]]
        path.append(left.pop(0))
    return Typed(tuple(path), next((word for word in left if not word.startswith("-")), ""))


def names_of(app: App) -> list[str]:
    """The names of its commands."""
    return [name for name in app if not name.startswith("-")]


def refusal(app: App, words: Sequence[str], error: CycloptsError) -> InvalidRequest:
    """Our error for words that do not fit."""
    path = typed_by(app, words).path
    if isinstance(error, UnknownCommandError) and error.unused_tokens:
        place = app
        for name in path:
            place = place[name]
        # Which task somebody means who leaves out that it is one is known; what another group's command is about is not.
        message, _ = unknown_command(error.unused_tokens[0], names_of(place), () if path else names_of(app["task"]))
        return InvalidRequest(message)
    if isinstance(error, UnknownOptionError):
        known = [name for one in error.argument_collection for name in one.names if name.startswith("--")]
        return InvalidRequest(unknown_option(error.token.keyword or error.token.value, known))
    return InvalidRequest(str(error))
