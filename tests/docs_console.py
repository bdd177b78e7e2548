"""The consoles of a page: `$ tocsin ...` lines are run against a node of the page's own, and what they show is compared.

    <!-- file: jobs.py -->      the block that follows is such a file, in the directory of the page

Output that is shown is compared with what is printed, `...` standing for anything; a command under which nothing is shown has
only to end well. Other commands than `tocsin` are not run, and `up` is what the node was started with.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from tocsin.cli.main import run

BLOCK: Final = re.compile(r"(?:<!-- (file): ([^\n]*?) -->\n)?^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)

UP_SECONDS: Final = 60.0
"""For a node to be up, on a machine that has much else to do."""

OPTIONS: Final = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@attrs.frozen
class Command:
    """A command of a page, with what it shows there."""

    words: tuple[str, ...]
    shows: str


def files(page: str) -> dict[str, str]:
    """The files that a page has, by name."""
    return {name: text for kind, name, _, text in BLOCK.findall(page) if kind == "file"}


def without_files(page: str) -> str:
    """The page without the programs that are files of their own, every line where it was."""
    return BLOCK.sub(lambda match: match[0].replace("```python", "```text") if match[1] == "file" else match[0], page)


def commands(page: str) -> list[Command]:
    """The commands of a page that are run."""
    found = []
    for _, _, language, text in BLOCK.findall(page):
        if language != "console":
            continue
        for part in re.split(r"^\$ ", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
            line, _, shows = part.partition("\n")
            words = tuple(shlex.split(line, comments=True))
            if words[0] == "tocsin" and words[1] != "up":
                found.append(Command(words[1:], shows.strip()))
    return found


@contextlib.contextmanager
def node(home: Path, modules: list[str]) -> Iterator[None]:
    """A node with its data in `home`, which is the current directory and UTC its zone meanwhile."""
    kept = dict(os.environ)
    former = Path.cwd()
    os.environ |= {"TOCSIN_DATA": str(home / "data"), "TZ": "UTC", "TOCSIN_STORE_SYNCHRONOUS": "NORMAL"}
    for name in ("TOCSIN_URL", "TOCSIN_TOKEN"):
        os.environ.pop(name, None)
    os.chdir(home)
    time.tzset()
    started = subprocess.Popen(
        [sys.executable, "-m", "tocsin", "up", *modules, "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    try:
        _wait_until_it_answers(started)
        yield
    finally:
        started.send_signal(signal.SIGTERM)
        started.communicate(timeout=UP_SECONDS)
        os.chdir(former)
        os.environ.clear()
        os.environ.update(kept)
        time.tzset()


def _wait_until_it_answers(started: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + UP_SECONDS
    while carry_out(Command(("task", "list"), ""))[0] != 0:
        assert started.poll() is None, (started.stdout.read() if started.stdout else b"").decode()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def carry_out(command: Command) -> tuple[int, str]:
    """Its exit code and what it printed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = run(list(command.words))
    return code, said.getvalue()


def differs(command: Command) -> str | None:
    """What is wrong with what a page says about a command; None if nothing is. One that shows an error has to fail."""
    code, printed = carry_out(command)
    told = f"$ tocsin {shlex.join(command.words)}\n{printed}"
    if (code != 0) != command.shows.startswith("tocsin: "):
        return f"exit code {code}\n{told}"
    if command.shows and not doctest.OutputChecker().check_output(command.shows + "\n", printed, OPTIONS):
        return f"{told}\nThe page says:\n{command.shows}"
    return None
