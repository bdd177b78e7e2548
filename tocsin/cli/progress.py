"""What a person sees while something takes longer than a moment: on the error stream, on a terminal, and gone afterwards."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from .output import printable

SHOWN_AFTER_SECONDS: Final = 1.0
"""What is done sooner needs no bar."""

Show = Callable[[str, float, float | None], None]
"""What is done now, how much of it, and of how much, if that is known."""


def is_watched() -> bool:
    """Whether a person may be looking."""
    return sys.stderr.isatty()


@contextmanager
def working(as_json: bool) -> Iterator[Show]:
    """A bar for something that may take long; it appears when a second has passed, and only on a terminal."""
    if as_json or not is_watched():
        yield lambda text, done, total: None
        return
    import time

    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    line = bar.add_task("", total=None)
    began, drawn = time.monotonic(), False

    def show(text: str, done: float, total: float | None) -> None:
        nonlocal drawn
        bar.update(line, description=escape(printable(text)), completed=done, total=total)
        if not drawn and time.monotonic() - began >= SHOWN_AFTER_SECONDS:
            drawn = True
            bar.start()

    try:
        yield show
    finally:
        bar.stop()
