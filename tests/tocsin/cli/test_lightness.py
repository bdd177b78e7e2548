"""A command that asks a node needs arguments parsed and a request sent: what a server is made of stays unloaded."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

import pytest

from tests.tocsin.clients.kit import Answering, answering

HEAVY: Final = frozenset(
    {"cattrs", "croniter", "httpx", "hypercorn", "icalendar", "kazoo", "litestar", "msgspec", "pika", "prompt_toolkit",
     "psycopg", "rich", "sqlite3", "trio", "yaml"}
)  # fmt: skip

EMPTY: Final = {"list": [], "totalSize": 0, "offset": 0, "paused": False, "lines": [], "tasks": [], "trigger": "never"}
"""Enough of an answer for what is asked below."""

SEEN: Final = """
import json, sys
from tocsin.cli.main import run
code = run(sys.argv[1:])
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


@pytest.mark.parametrize(
    "command",
    [("--version",), ("task", "list"), ("task", "why", "a"), ("task", "history", "a"), ("queue", "list")],
    ids=" ".join,
)
def test_a_command_of_a_client_loads_no_server(command: tuple[str, ...]) -> None:
    with answering(Answering(200, json.dumps(EMPTY).encode())) as url:
        found = subprocess.run(
            [sys.executable, "-c", SEEN, *command],
            env={"TOCSIN_URL": url, "TOCSIN_TOKEN": "t", "PATH": ""},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    code, loaded = json.loads(found.stdout.splitlines()[-1])
    assert (code, found.stderr) == (0, "")
    assert HEAVY.isdisjoint(loaded)


def test_the_list_of_what_is_heavy_is_of_libraries_that_there_are() -> None:
    script = f"import importlib; [importlib.import_module(name) for name in {sorted(HEAVY)}]"
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
