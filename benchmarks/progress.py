"""What goes on, told on the standard error while a benchmark runs: its name, its size, and for how long it has been at it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

TELL_SECONDS: Final = 30.0
"""How often one that takes long says that it still runs."""


@contextmanager
def told(name: str, every: float = TELL_SECONDS) -> Iterator[None]:
    """Tell that it begins, that it still runs, and that it has ended."""
    began, ended = time.monotonic(), threading.Event()

    def say(what: str) -> None:
        print(f"{name}: {what}", file=sys.stderr, flush=True)

    def tell() -> None:
        while not ended.wait(every):
            say(f"{time.monotonic() - began:.0f} s so far")

    say("begins")
    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        say(f"{time.monotonic() - began:.1f} s")
