"""The consoles of a page: `$ tocsin ...` lines are run against a node of the page's own, and what they show is compared.

    <!-- file: jobs.py -->      the block that follows is such a file, in the directory of the page
    <!-- cluster: 3 -->         the page is about a development cluster of three nodes, whose first node is asked
    <!-- kill: node-2 -->       that node of it is killed before the block that follows, and what it owned was taken over

Output that is shown is compared with what is printed, `...` standing for anything; a command under which nothing is shown has
only to end well. `curl` sends what it says to the page's node. Other commands than these are not run;
`up` and `cluster` are what the nodes were started with.
"""

from __future__ import annotations

import argparse
import contextlib
import doctest
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import attrs
import httpx

from tocsin.cli.main import run

BLOCK: Final = re.compile(r"(?:<!-- (file|kill): ([^\n]*?) -->\n)?^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)

CLUSTER: Final = re.compile(r"^<!-- cluster: (\d+) -->$", re.MULTILINE)

DIRECTORY: Final = ".tocsin-cluster"
"""Where `tocsin cluster` keeps everything if nothing is said."""

USUAL: Final = "http://127.0.0.1:7400"
"""Where a node listens if nothing is said: the address in the pages."""

UP_SECONDS: Final = 240.0
"""For a node to be up, on a machine that has much else to do."""

SETTLE_SECONDS: Final = 30.0
"""For that which a command only looks at to become as the page shows it: nodes notice each other's ends in their own time."""

LOOKING: Final = frozenset({"list", "show", "why", "history", "status", "jobs"})
"""The last words of the names of commands that change nothing, and may be given again."""

OPTIONS: Final = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@attrs.frozen
class Command:
    """A command of a page, with what it shows there."""

    words: tuple[str, ...]
    shows: str
    kills: str = ""
    """The node that is killed before."""
    data: str = ""
    """The data directory of the node that is asked, if it is another one than usual."""


def files(page: str) -> dict[str, str]:
    """The files that a page has, by name."""
    return {name: text for kind, name, _, text in BLOCK.findall(page) if kind == "file"}


def without_files(page: str) -> str:
    """The page without the programs that are files of their own, every line where it was."""
    return BLOCK.sub(lambda match: match[0].replace("```python", "```text") if match[1] == "file" else match[0], page)


def commands(page: str) -> list[Command]:
    """The commands of a page that are run."""
    found = []
    for kind, name, language, text in BLOCK.findall(page):
        if language != "console":
            continue
        kills = name if kind == "kill" else ""
        for part in re.split(r"^\$ ", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
            line, _, shows = part.partition("\n")
            asked = re.match(r"TOCSIN_DATA=(\S+) ", line)
            words = tuple(shlex.split(line[asked.end() if asked else 0 :], comments=True))
            if words[0] == "tocsin" and words[1] not in ("up", "cluster"):
                found.append(Command(words[1:], shows.strip(), kills, asked[1] if asked else ""))
                kills = ""
            elif words[0] == "curl":
                found.append(Command(words, shows.strip()))
    return found


def nodes(page: str) -> int:
    """How many nodes a page's cluster has; 0: it is about one node."""
    found = CLUSTER.search(page)
    return 0 if found is None else int(found[1])


@contextlib.contextmanager
def running(home: Path, modules: list[str], nodes: int) -> Iterator[None]:
    """A node or a cluster with its data in `home`, which is the current directory and UTC its zone meanwhile."""
    kept = dict(os.environ)
    former = Path.cwd()
    data = home / DIRECTORY / "node-1" if nodes else home / "data"
    os.environ |= {"TOCSIN_DATA": str(data), "TZ": "UTC", "TOCSIN_STORE_SYNCHRONOUS": "NORMAL"}
    for name in ("TOCSIN_URL", "TOCSIN_TOKEN"):
        os.environ.pop(name, None)
    os.chdir(home)
    time.tzset()
    flags = ["--nodes", str(nodes), "--port", "0"] if nodes else ["--listen", "127.0.0.1:0"]
    with (home / "printed").open("wb") as printed:
        started = subprocess.Popen(
            [sys.executable, "-m", "tocsin", "cluster" if nodes else "up", *modules, *flags],
            stdout=printed,
            stderr=printed,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
        )
    try:
        _wait(started, lambda: carry_out(Command(("task", "list"), ""))[0] == 0 and is_balanced(nodes))
        yield
    finally:
        os.chdir(former)
        os.environ.clear()
        os.environ.update(kept)
        time.tzset()
        started.send_signal(signal.SIGTERM)
        _end(started)


def _end(started: subprocess.Popen[bytes]) -> None:
    try:
        started.wait(timeout=UP_SECONDS)
    finally:
        # What is a child of it ends with it.
        started.kill()


def _wait(started: subprocess.Popen[bytes], holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + UP_SECONDS
    while not holds():
        assert started.poll() is None, Path("printed").read_text("utf-8", "replace")
        assert time.monotonic() < deadline, Path("printed").read_text("utf-8", "replace")
        time.sleep(0.1)


def is_balanced(nodes: int) -> bool:
    """Whether so many nodes share all partitions equally."""
    if not nodes:
        return True
    found = json.loads(carry_out(Command(("node", "list", "--json"), ""))[1])
    shares = [node["partitions"] for node in found["list"] if node["state"] == "alive"]
    return len(shares) == nodes and sum(shares) == found["coordination"]["partitions"] and max(shares) - min(shares) < 2


def kill(name: str) -> None:
    """Kill a node of the cluster, and wait until the others have what it owned."""
    found = json.loads(carry_out(Command(("node", "list", "--json"), ""))[1])
    living = sum(node["state"] == "alive" for node in found["list"])
    os.kill(json.loads((Path(DIRECTORY) / name / "node.json").read_text("utf-8"))["pid"], signal.SIGKILL)
    deadline = time.monotonic() + UP_SECONDS
    while not is_balanced(living - 1):
        assert time.monotonic() < deadline, name
        time.sleep(0.1)


def send(words: tuple[str, ...]) -> tuple[int, str]:
    """What a `curl` of a page comes to at the page's node: 0 and the answer, 22 if it is an error."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="body")
    parser.add_argument("url")
    asked = parser.parse_args(words)
    data = Path(os.environ["TOCSIN_DATA"])
    token = (data / "token").read_text("ascii").strip()
    url = json.loads((data / "node.json").read_text("utf-8"))["url"]
    headers = [header.replace("$(cat .tocsin/token)", token).split(": ", 1) for header in asked.headers]
    method = asked.method or ("GET" if asked.body is None else "POST")
    answer = httpx.request(
        method, asked.url.replace(USUAL, url), headers=dict(headers), content=asked.body, trust_env=False, timeout=60
    )
    return (0 if answer.is_success else 22), answer.text


def carry_out(command: Command) -> tuple[int, str]:
    """Its exit code and what it printed."""
    if command.words[0] == "curl":
        return send(command.words[1:])
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), _asking(command.data):
        code = run(list(command.words))
    return code, said.getvalue()


@contextlib.contextmanager
def _asking(data: str) -> Iterator[None]:
    """The node with this data directory is asked, not the usual one; nothing for an empty text."""
    kept = dict(os.environ)
    if data:
        os.environ["TOCSIN_DATA"] = data
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def differs(command: Command) -> str | None:
    """What is wrong with what a page says about a command; None if nothing is. One that shows an error has to fail."""
    if command.kills:
        kill(command.kills)
    deadline = time.monotonic() + (SETTLE_SECONDS if LOOKING & {*command.words[:2]} else 0.0)
    while (wrong := _differs(command)) is not None and time.monotonic() < deadline:
        time.sleep(0.2)
    return wrong


def _differs(command: Command) -> str | None:
    code, printed = carry_out(command)
    program = () if command.words[0] == "curl" else ("tocsin",)
    told = f"$ {shlex.join((*program, *command.words))}\n{printed}"
    if (code != 0) != command.shows.startswith("tocsin: "):
        return f"exit code {code}\n{told}"
    if command.shows and not doctest.OutputChecker().check_output(command.shows + "\n", printed, OPTIONS):
        return f"{told}\nThe page says:\n{command.shows}"
    return None
