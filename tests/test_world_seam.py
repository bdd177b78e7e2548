"""Clocks, chance, threads, sockets, processes and signals stay behind the World: what the simulation cannot hold is caught here.

The lint resolves names through the file's imports, so `from datetime import datetime as dt; dt.now()` is seen too. Its two
limits: names passed around as values under another name, and what a library does inside.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TypeGuard

import pytest

from tests.source import floor_sources, matches

SOURCES = floor_sources()

BANNED = {
    "_thread": "threads: World.blocking",
    "asyncio": "the loop is trio",
    "concurrent": "threads: World.blocking",
    "ctypes": "system calls: the World",
    "datetime.date.today": "clock: World.now",
    "datetime.datetime.now": "clock: World.now",
    "datetime.datetime.today": "clock: World.now",
    "datetime.datetime.utcnow": "clock: World.now",
    "multiprocessing": "processes: World.open_process",
    "os.environ": "environment: World.environment",
    "os.fork": "processes: World.open_process",
    "os.getenv": "environment: World.environment",
    "os.popen": "processes: World.open_process",
    "os.system": "processes: World.open_process",
    "os.urandom": "chance: World.secret",
    "random": "chance: World.rng",
    "sched": "clock: trio's deadlines",
    "secrets": "chance: World.secret",
    "select": "input and output: trio",
    "selectors": "input and output: trio",
    "signal": "signals: the node's composition root",
    "socket": "sockets: a transport",
    "socketserver": "sockets: a transport",
    "sqlite3": "database: the store",
    "ssl": "sockets: a transport",
    "subprocess": "processes: World.open_process",
    "threading": "threads: World.blocking",
    "time": "clock: World.now, World.monotonic",
    "trio.Path": "threads: World.blocking",
    "trio.SocketListener": "sockets: a transport",
    "trio.SocketStream": "sockets: a transport",
    "trio.from_thread": "threads: World.blocking",
    "trio.lowlevel.open_process": "processes: World.open_process",
    "trio.lowlevel.start_thread_soon": "threads: World.blocking",
    "trio.open_file": "threads: World.blocking",
    "trio.open_signal_receiver": "signals: the node's composition root",
    "trio.open_ssl_over_tcp_*": "sockets: a transport",
    "trio.open_tcp_*": "sockets: a transport",
    "trio.open_unix_socket": "sockets: a transport",
    "trio.run_process": "processes: World.open_process",
    "trio.serve_*": "sockets: a transport",
    "trio.socket": "sockets: a transport",
    "trio.to_thread": "threads: World.blocking",
    "uuid.uuid*": "identity: World.new_id",
}
"""What may not be named, with everything below it, and what to use instead."""

TYPES = {"random.Random", "ssl.SSLContext", "subprocess.DEVNULL", "subprocess.PIPE", "subprocess.STDOUT"}
"""Types and constants that do nothing by themselves. `Random` is a type here: made without a seed it is caught apart."""

DOORS = [
    ("runtime/world.py", "*", "the real World"),
    ("runtime/line.py", "trio.lowlevel.start_thread_soon", "the thread of a serial lane"),
    ("runtime/line.py", "threading", "the lock of what waits for it"),
    ("runtime/simulation.py", "trio.to_thread", "handlers that call back into the loop need a thread to do it from"),
    ("runtime/simulation.py", "trio.from_thread", "the same thread's way back"),
    ("runtime/tcp.py", "trio.open_tcp_*", "the door to sockets"),
    ("runtime/tcp.py", "trio.socket", "what it accepts and tunes"),
    ("runtime/tcp.py", "trio.SocketStream", "what it makes of an accepted socket"),
    ("runtime/tls.py", "ssl", "the door to TLS contexts"),
    ("actors/store/sqlite*.py", "sqlite3", "the door to SQLite"),
    (
        "actors/store/postgres_*.py",
        "time",
        "deadlines of calls that wait for a server, in threads that have no loop to ask",
    ),
    ("runtime/zookeeper_wire.py", "socket", "kazoo asks for blocking sockets, in its own thread"),
    ("runtime/zookeeper_settings.py", "ssl", "the TLS of those sockets"),
    ("runtime/zookeeper*.py", "time", "the thread of the connection notes when a ping was sent; it has no loop to ask"),
    ("runtime/companion.py", "socket", "what speaks to a companion, from a thread"),
    ("runtime/companion.py", "subprocess", "a companion is started in that thread, which has no loop to ask"),
    ("runtime/companion_process.py", "*", "runs in the companion, where there is no World"),
    ("runtime/processes.py", "signal", "children are told to end by signals"),
    ("actors/handling/worker.py", "*", "runs in the child process of a process handler, where there is no World"),
    ("tocsin/cli/*", "os.environ", "the outermost shell reads TOCSIN_URL and its like"),
    ("tocsin/cli/*", "time", "a person waits in front of it"),
    ("tocsin/cli/terminal.py", "datetime.datetime.now", "which day it is for whoever reads the table"),
    ("tocsin/cli/top.py", "datetime.datetime.now", "how long ago something was, for that person"),
    ("tocsin/doctor/machine.py", "socket", "whether a port is free, in a program without a node"),
    ("tocsin/doctor/servers.py", "time", "how far the servers' clocks are from that of this machine"),
    ("tocsin/cli/top.py", "select", "keys of that person, without a loop"),
    (
        "tocsin/cli/self_rehearsal.py",
        "trio.lowlevel.open_process",
        "worker processes of a command, with no node around",
    ),
    ("tocsin/cli/seed_worker.py", "signal", "a worker's own deadline, in real time"),
    ("tocsin/rehearsal/users/carry_out.py", "time", "the same"),
    ("tocsin/rehearsal/run.py", "time", "how much of a core a rehearsal took; nothing is decided by it"),
    ("tocsin/drill/process.py", "signal", "a drill's signals to a node, and those that end the drill"),
    ("tocsin/drill/process.py", "subprocess", "the command that reaches a node elsewhere, in a program without a loop"),
    ("tocsin/clients/address.py", "os.environ", "runs in the user's process, where there is no World"),
    ("tocsin/clients/asks*.py", "uuid.uuid4", "the same: ids by which a node knows a request again"),
    ("tocsin/clients/waiting.py", "random", "the same: how long it waits before it asks again"),
    ("tocsin/clients/blocking.py", "time", "the same, and there is no loop to ask"),
    ("tocsin/handlers/reachable.py", "trio.socket", "looks a name up to check its addresses before it connects"),
    (
        "tocsin/embedded/*",
        "*",
        "real servers for development and tests: no simulation holds them, and plain code starts them",
    ),
    ("tocsin/placing/bounded.py", "threading", "the loop itself waits for a user's strategy, with a deadline"),
    ("tocsin/placing/bounded.py", "time", "how long that strategy is left alone; virtual time does without"),
    ("tocsin/webhooks.py", "time", "runs in the receiver's process, where there is no World"),
    ("tocsin/handlers/mail.py", "ssl", "the standard library's mail client takes a context of it"),
    ("tocsin/channels/amqp_connection.py", "ssl", "so does the client of a broker, in its own thread"),
]
"""(files, what they may name, why). An entry that no file needs fails, so the list cannot outlive its reasons."""


def complaints(path: str, source: str) -> list[tuple[str, str]]:
    """(what is named, complaint) for everything in the file that would escape the World."""
    tree = ast.parse(source, path)
    return [
        (name, f"{path}:{line} {name} ({advice})")
        for line, name, advice in sorted({*_banned_names(tree), *_unseeded(tree), *_hash_order(tree)})
    ]


def allowed(path: str, name: str) -> bool:
    """Whether a door stands in this file for this name."""
    return any(matches(path, (files,)) and _covers(names, name) for files, names, _ in DOORS)


def _covers(pattern: str, name: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _banned_names(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    for line, name in _names(tree):
        for pattern, advice in BANNED.items():
            if _covers(pattern, name) and not any(_covers(harmless, name) for harmless in TYPES):
                yield line, name, advice


def _names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every dotted name the file imports or uses, in full. `import random` alone counts by what is used of it."""
    aliases = _aliases(tree)
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), level=0):
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
            case ast.Import():
                bare = {name for pattern in TYPES for name in [pattern.split(".")[0]]}
                yield from ((node.lineno, alias.name) for alias in node.names if alias.name not in bare)
            case ast.Attribute() | ast.Name():
                if name := _dotted(node, aliases):
                    yield node.lineno, name


def _aliases(tree: ast.Module) -> dict[str, str]:
    """Local name -> full name, for what the file imports from outside."""
    found = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                found |= {alias.asname: alias.name for alias in node.names if alias.asname}
                found |= {top: top for alias in node.names if not alias.asname for top in [alias.name.split(".")[0]]}
            case ast.ImportFrom(module=str(module), level=0):
                found |= {alias.asname or alias.name: f"{module}.{alias.name}" for alias in node.names}
    return found


def _dotted(node: ast.expr, aliases: dict[str, str]) -> str:
    """The full name of `a.b.c` where `a` was imported, else nothing. A bare module is no use of it."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in aliases:
        return ""
    full = ".".join([aliases[node.id], *reversed(parts)])
    return full if "." in full else ""


def _unseeded(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    aliases = _aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not node.args and _dotted(node.func, aliases) == "random.Random":
            yield node.lineno, "random.Random()", "chance: World.rng"


def _hash_order(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Where the order of a set, or `hash()`, both different from process to process, can leak into what is done."""
    hashers = {
        id(inner) for node in ast.walk(tree) if getattr(node, "name", "") == "__hash__" for inner in ast.walk(node)
    }
    reduced = {id(argument) for node in ast.walk(tree) if _is_reduction(node) for argument in node.args}
    for node in ast.walk(tree):
        match node:
            case ast.For(iter=iterated) | ast.AsyncFor(iter=iterated) if _is_set(iterated):
                yield node.lineno, "for over a set", "order: sorted()"
            case ast.ListComp(generators=parts) | ast.DictComp(generators=parts) | ast.GeneratorExp(generators=parts):
                if id(node) not in reduced and any(_is_set(part.iter) for part in parts):
                    yield node.lineno, "comprehension over a set", "order: sorted()"
            case ast.Call(func=ast.Name(id="list" | "tuple" | "iter" | "enumerate"), args=[argument, *_]):
                if _is_set(argument):
                    yield node.lineno, "sequence of a set", "order: sorted()"
            case ast.Call(func=ast.Name(id="hash")) if id(node) not in hashers:
                yield node.lineno, "hash()", "order: zlib.crc32 or hashlib"


def _is_reduction(node: ast.AST) -> TypeGuard[ast.Call]:
    """Calls whose answer does not depend on the order of what they are given."""
    names = ("all", "any", "frozenset", "len", "max", "min", "set", "sorted", "sum")
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _is_set(node: ast.expr) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub(), right=right):
            return _is_set(left) or _is_set(right)
    return False


@pytest.mark.parametrize("path", SOURCES)
def test_nothing_escapes_the_world(path: str) -> None:
    assert [text for name, text in complaints(path, SOURCES[path]) if not allowed(path, name)] == []


@pytest.mark.parametrize(("files", "names", "reason"), DOORS)
def test_every_door_is_used(files: str, names: str, reason: str) -> None:
    behind = [path for path in SOURCES if matches(path, (files,))]
    used = [name for path in behind for name, _ in complaints(path, SOURCES[path]) if _covers(names, name)]
    assert used or not behind, f"no file {files} needs {names!r} any more ({reason}): take the entry away"


ESCAPES = [
    "import time\ntime.sleep(1)",
    "from time import monotonic",
    "import time as clock\nclock.perf_counter()",
    "import datetime\ndatetime.datetime.now(datetime.UTC)",
    "from datetime import datetime\ndatetime.now()",
    "from datetime import datetime as moment\nmoment.utcnow()",
    "from datetime import date\ndate.today()",
    "import random\nrandom.random()",
    "from random import choice",
    "from random import SystemRandom",
    "from random import Random\nRandom()",
    "import random\nrandom.Random()",
    "import os\nos.urandom(8)",
    "import os\nos.environ['HOME']",
    "from os import getenv",
    "import uuid\nuuid.uuid4()",
    "from uuid import uuid1",
    "import secrets",
    "import threading",
    "from threading import Lock",
    "import signal",
    "import subprocess\nsubprocess.run(['true'])",
    "import socket",
    "import sqlite3",
    "import trio\nawait trio.to_thread.run_sync(f)",
    "from trio import to_thread",
    "import trio.to_thread",
    "import trio\ntrio.from_thread.run(f)",
    "import trio\nawait trio.run_process(['true'])",
    "import trio\nawait trio.lowlevel.open_process(['true'])",
    "from trio.lowlevel import open_process",
    "import trio\nawait trio.open_tcp_stream('host', 1)",
    "import trio\nawait trio.serve_tcp(f, 1)",
    "import trio\nwith trio.open_signal_receiver(15): pass",
    "for x in {1, 2}: pass",
    "for x in set(y): pass",
    "for x in set(y) - z: pass",
    "[x for x in {f(y) for y in z}]",
    "list(set(y))",
    "send(f(x) for x in set(y))",
    "hash('partition')",
]


@pytest.mark.parametrize("source", ESCAPES)
def test_the_lint_sees_an_escape(source: str) -> None:
    assert complaints("actors/timer.py", source) != []


HARMLESS = [
    "import trio\nawait trio.sleep(1)\nwith trio.fail_after(1): pass\ntrio.current_time()",
    "from random import Random\ndef f(rng: Random) -> float: return rng.random()",
    "import random\ndef f(rng: random.Random) -> float: return rng.random()",
    "from random import Random\nRandom(7)",
    "from datetime import UTC, datetime\ndatetime(2026, 1, 1, tzinfo=UTC)",
    "import subprocess\nworld.open_process(argv, stdout=subprocess.PIPE)",
    "for x in sorted(set(y)): pass",
    "{x for x in set(y)}",
    "sum(1 << x for x in {int(y) for y in z})",
    "world.time.sleep(1)",
    "def __hash__(self): return hash(self.key)",
]


@pytest.mark.parametrize("source", HARMLESS)
def test_the_lint_lets_good_code_pass(source: str) -> None:
    assert complaints("actors/timer.py", source) == []


def test_a_door_opens_for_its_own_name_only() -> None:
    assert allowed("actors/store/sqlite.py", "sqlite3.connect")
    assert not allowed("actors/store/sqlite.py", "time.sleep")
    assert not allowed("actors/store/memory.py", "sqlite3.connect")
