"""Loading the user's modules, so that the handlers they decorate are registered."""

from __future__ import annotations

import difflib
import inspect
import logging
import re
import sysconfig
import traceback
from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path
from types import ModuleType
from typing import Final

from actors.handling.catalogue import DECLARED, Catalogue
from actors.handling.sources import load_source
from runtime.errors import InvalidRequest
from runtime.world import World

from .allowed import COMMAND, restricted
from .handlers import register_builtins
from .placing.loading import load_strategies
from .tasks import DECLARED_TASKS, task

logger = logging.getLogger(__name__)

_UNKNOWN_WORD: Final = re.compile(r"^task\(\) got an unexpected keyword argument '(\w+)'")

_RETRY_WORDS: Final = ("retries", "max_retries", "max_attempts", "attempts", "backoff", "retry_delay")
"""What others call the policies that stand under `retry` here."""


def load(target: str) -> None:
    """Load a Python file by its path or a module by its dotted name; once, however often it is asked for.

    A file that declares nothing is told in the log. Raises InvalidRequest naming the target, what went wrong in it, and where.
    """
    source = source_of_target(target)
    before = _declarations()
    try:
        module = load_source(source)
    except InvalidRequest as error:
        cause = error.__cause__
        raise InvalidRequest(f"{error}{_hint(cause)}{_line_of(cause)}") from cause
    if source.startswith("file:") and _declarations() == before and not _has_handler(module):
        logger.warning('%s has no task handler: write @tocsin.task("name") before a function', target)


def _declarations() -> tuple[int, int, int]:
    return len(DECLARED), len(DECLARED_TASKS), len(list(DECLARED.hooks))


def _has_handler(module: ModuleType) -> bool:
    """Whether it declared something when it was loaded before."""
    functions = (inspect.unwrap(entry.function) for entry in DECLARED)
    return any(getattr(function, "__globals__", None) is module.__dict__ for function in functions)


def _line_of(error: BaseException | None) -> str:
    """Where in a user's file it happened: the innermost line outside Python's and our own machinery."""
    if error is None or isinstance(error, SyntaxError):
        return ""
    ours = Path(__file__).parents[1]
    own = tuple(f"{ours / name}/" for name in ("tocsin", "actors", "runtime"))
    libraries = tuple(f"{path}/" for path in map(sysconfig.get_path, ("stdlib", "purelib", "platlib")))
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<frozen", *own, *libraries))
    ]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def _hint(error: BaseException | None) -> str:
    """What was meant by a word that `task` does not know."""
    found = _UNKNOWN_WORD.match(str(error)) if isinstance(error, TypeError) else None
    if found is None:
        return ""
    if found[1] in _RETRY_WORDS:
        return "; did you mean retry=tocsin.Retry(max_retries=3)?"
    near = difflib.get_close_matches(found[1], inspect.signature(task).parameters, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def load_catalogue(
    targets: Iterable[str],
    world: World | None = None,
    *,
    commands: tuple[str, ...] | None = None,
    placements: Iterable[str] = (),
    reachable: Iterable[str] = (),
) -> Catalogue:
    """Load these files and modules; a catalogue of the built-in task types and everything that was declared.

    A declared type that has the name of a built-in one replaces it, with a warning. world: where commands are started, the
    real one unless given. commands: the programs that the built-in `command` may run, None for all. placements: classes of users'
    placement strategies. reachable: networks that the built-in `http` may reach although they are not public. Raises
    InvalidRequest.
    """
    for target in targets:
        load(target)
    builtins = Catalogue()
    register_builtins(builtins, world, reachable=[ip_network(network) for network in reachable])
    catalogue = Catalogue()
    for entry in builtins:
        gated = commands is not None and entry.name == COMMAND
        catalogue.register(restricted(entry, commands or ()) if gated else entry)
    for entry in DECLARED:
        catalogue.register(entry)
    catalogue.hooks.extend(DECLARED.hooks)
    catalogue.placements.update(load_strategies(placements))
    return catalogue


def source_of_target(target: str) -> str:
    """The source text of what a person wrote: anything with a slash or `.py` is a file, all else a module."""
    if not target.strip():
        raise InvalidRequest(f"a module or a Python file is needed, not {target!r}")
    if "/" in target or target.endswith(".py"):
        path = Path(target).absolute()
        if not path.is_file():
            raise InvalidRequest(f"there is no file {target!r}")
        return f"file:{path}"
    if not all(part.isidentifier() for part in target.split(".")):
        raise InvalidRequest(f"{target!r} is neither a Python file nor the dotted name of a module")
    return f"module:{target}"
