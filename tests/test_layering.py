"""The architecture as a test: floors, cycles, pure cores, and one door for each outside library.

Every rule is a function from sources to complaints. It runs over the tree, and over small violations made for it: a rule
that lets its violation pass fails here too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import pytest

from tests.source import FLOORS, Import, floor_sources, imports, matches, module_name

SOURCES = floor_sources()

DOORS = {
    "cattrs": ("actors/handling/typed.py", "runtime/codec.py", "tocsin/clients/records.py"),
    "croniter": ("actors/when/cron.py",),
    "cyclopts": ("tocsin/cli/*",),
    "httpx": (
        "tocsin/clients/*",
        "tocsin/handlers/dead_man.py",
        "tocsin/handlers/http.py",
        "tocsin/handlers/webhook.py",
        "tocsin/queue/custom_remote.py",
    ),
    "hypercorn": ("tocsin/api/*",),
    "icalendar": ("actors/when/ics.py",),
    "kazoo": ("runtime/zookeeper.py", "runtime/zookeeper_check.py", "runtime/zookeeper_wire.py"),
    "litestar": ("tocsin/api/*", "tocsin/console/routes.py"),
    "msgspec": ("runtime/codec.py", "runtime/companion.py"),
    "opentelemetry": ("tocsin/tracing/otel.py",),
    "outcome": ("runtime/*",),
    "pika": ("tocsin/channels/amqp_connection.py",),
    "prompt_toolkit": ("tocsin/cli/shell*.py",),
    "psycopg": ("actors/store/postgres.py", "actors/store/postgres_*.py"),
    "rich": ("tocsin/cli/*",),
    "sqlite3": ("actors/store/sqlite.py", "actors/store/sqlite_*.py"),
    "trio_websocket": ("runtime/websocket.py",),
    "tzdata": ("actors/when/zones.py",),
    "yaml": ("tocsin/plans/yaml_text.py",),
    "zoneinfo": ("actors/when/zones.py",),
}
EVERYWHERE = {"attrs", "trio"}
"""The two libraries the whole project is written in."""

PURE = ("*_core.py", "actors/model/*", "actors/rules/*")
IMPURE = {
    "asyncio", "concurrent", "contextvars", "ctypes", "logging", "multiprocessing", "os", "random", "secrets", "select",
    "selectors", "shutil", "signal", "socket", "subprocess", "tempfile", "threading", "time", "trio", "uuid",
    *DOORS,
}  # fmt: skip

DETERMINISTIC = {"actors.when.cron", "actors.when.zones"}
"""Doors through which cores may go: what croniter parses and the pinned zone database says depends on nothing else."""

Sources = Mapping[str, str]


def upward_imports(sources: Sources) -> list[str]:
    """Imports from a lower floor to a higher one."""
    return [
        f"{path}:{found.line} imports {found.dotted}, a floor above"
        for path, source in sources.items()
        for found in imports(path, source)
        if FLOORS.get(found.library, 0) > FLOORS[path.split("/")[0]]
    ]


def own_root_imports(sources: Sources) -> list[str]:
    """Imports of a package's `__init__` from inside the package."""
    known = {module_name(path): None for path in sources}
    return [
        f"{path}:{found.line} imports {target}, the root of its own package"
        for path, source in sources.items()
        for found in imports(path, source)
        if module_name(path).startswith((target := found.target(known)) + ".")
    ]


def graph(sources: Sources, *, for_types: bool = True) -> dict[str, set[str]]:
    """Module -> the project's modules it imports, those inside functions included, those for types alone if wanted."""
    known = {module_name(path): None for path in sources}
    return {
        module_name(path): {
            target
            for found in imports(path, source)
            if (target := found.target(known)) in known and (for_types or not found.for_types_only)
        }
        for path, source in sources.items()
    }


def cycles(sources: Sources) -> list[str]:
    """One chain of imports for each module that imports itself in the end."""
    edges = graph(sources)
    found = []
    for start in sorted(edges):
        came_from: dict[str, str] = {}
        waiting = [start]
        while waiting and start not in came_from:
            module = waiting.pop(0)
            for target in sorted(edges[module] - came_from.keys()):
                came_from[target] = module
                waiting.append(target)
        if start in came_from:
            found.append(chain(came_from, start, start))
    return found


def chain(came_from: Mapping[str, str], start: str, end: str) -> str:
    """The imports that lead from `start` to `end`, as text."""
    names = [end, came_from[end]]
    while names[-1] != start:
        names.append(came_from[names[-1]])
    return " -> ".join(reversed(names))


def impurities(path: str, source: str) -> list[Import]:
    """Imports that bring in a clock, chance, threads, the system or a door. `random` is fine as a type."""
    return [
        found
        for found in imports(path, source)
        if found.library in IMPURE and not (found.library == "random" and found.for_types_only)
    ]


def impure_cores(sources: Sources) -> list[str]:
    """Impure imports of cores and of whatever the cores import at run time, however far."""
    edges = graph(sources, for_types=False)
    dirt = {module_name(path): impurities(path, source) for path, source in sources.items()}
    complaints = []
    for core in sorted(module_name(path) for path in sources if matches(path, PURE)):
        came_from: dict[str, str] = {}
        waiting = [core]
        while waiting:
            module = waiting.pop(0)
            route = core if module == core else chain(came_from, core, module)
            complaints += [f"{route} imports {found.dotted}" for found in dirt[module]]
            fresh = sorted(edges[module] - came_from.keys() - {core} - DETERMINISTIC)
            came_from |= dict.fromkeys(fresh, module)
            waiting += fresh
    return complaints


def missed_doors(sources: Sources) -> list[str]:
    """Outside libraries imported elsewhere than through their door, and libraries that have none."""
    free = (sys.stdlib_module_names - DOORS.keys()) | EVERYWHERE | FLOORS.keys()
    return [
        f"{path}:{found.line} imports {found.dotted}, whose door is {DOORS.get(found.library, 'not decided')}"
        for path, source in sources.items()
        for found in imports(path, source)
        if found.library not in free and not matches(path, DOORS.get(found.library, ()))
    ]


CHECKER = "tocsin.checker.checker"
CHECKER_ROOM = "tocsin.checker."


def shared_with_the_judged(sources: Sources) -> list[str]:
    """What the checker of a rehearsal imports, however far, beyond plain Python: it shares no code with what it judges."""
    edges, texts = graph(sources), {module_name(path): (path, source) for path, source in sources.items()}
    complaints, waiting, seen = [], [CHECKER], {CHECKER}
    while waiting:
        module = waiting.pop()
        for found in imports(*texts[module]) if module in texts else ():
            plain = found.library == "attrs" or found.library in sys.stdlib_module_names - IMPURE
            if not plain and not found.target(edges).startswith(CHECKER_ROOM):
                complaints.append(f"{module}:{found.line} imports {found.dotted}")
        fresh = sorted(edges.get(module, set()) - seen)
        waiting += fresh
        seen |= set(fresh)
    return complaints


RULES = [upward_imports, own_root_imports, cycles, impure_cores, missed_doors, shared_with_the_judged]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps_the_rule(rule: Callable[[Sources], list[str]]) -> None:
    assert rule(SOURCES) == []


def test_the_tree_was_found() -> None:
    assert {"runtime/errors.py", "actors/__init__.py"} <= SOURCES.keys()
    assert graph(SOURCES)["runtime.world"] >= {"runtime.clock", "runtime.ids"}


VIOLATIONS = [
    (upward_imports, {"runtime/a.py": "import actors.timer"}),
    (upward_imports, {"runtime/a.py": "def f():\n    from actors import timer"}),
    (upward_imports, {"actors/a.py": "from tocsin.settings.config import Config"}),
    (upward_imports, {"actors/a.py": "import importlib\nimportlib.import_module('tocsin.settings.config')"}),
    (own_root_imports, {"tocsin/__init__.py": "", "tocsin/a.py": "from . import Context"}),
    (own_root_imports, {"tocsin/__init__.py": "", "tocsin/a.py": "import tocsin"}),
    (own_root_imports, {"tocsin/__init__.py": "", "tocsin/api/a.py": "from tocsin import Context"}),
    (own_root_imports, {"tocsin/api/__init__.py": "", "tocsin/api/a.py": "from . import serve"}),
    (cycles, {"runtime/a.py": "from .b import B", "runtime/b.py": "from .a import A"}),
    (cycles, {"runtime/a.py": "from . import b", "runtime/b.py": "from . import a"}),
    (cycles, {"runtime/a.py": "import runtime.a"}),
    (
        cycles,
        {
            "runtime/a.py": "from .b import B",
            "runtime/b.py": "from .c import C",
            "runtime/c.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import A",
        },
    ),
    (cycles, {"runtime/a.py": "from .b import B", "runtime/b.py": "def f():\n    from .a import A"}),
    (impure_cores, {"actors/timer_core.py": "import trio"}),
    (impure_cores, {"actors/timer_core.py": "from time import monotonic"}),
    (impure_cores, {"actors/timer_core.py": "from random import Random"}),
    (impure_cores, {"actors/timer_core.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import os"}),
    (impure_cores, {"actors/model/task.py": "import logging"}),
    (impure_cores, {"actors/model/task.py": "from zoneinfo import ZoneInfo"}),
    (
        impure_cores,
        {"actors/a_core.py": "from .b import B", "actors/b.py": "from .c import C", "actors/c.py": "import os"},
    ),
    (missed_doors, {"actors/timer.py": "from croniter import croniter"}),
    (shared_with_the_judged, {"tocsin/checker/checker.py": "from runtime.clock import Instant"}),
    (shared_with_the_judged, {"tocsin/checker/checker.py": "import time"}),
    (shared_with_the_judged, {"tocsin/checker/checker.py": "from ..config import Config"}),
    (
        shared_with_the_judged,
        {
            "tocsin/checker/checker.py": "from .a import A",
            "tocsin/checker/a.py": "from actors.model.task import Task",
        },
    ),
    (missed_doors, {"actors/store/memory.py": "import sqlite3"}),
    (missed_doors, {"tocsin/settings/config.py": "from rich.table import Table"}),
    (missed_doors, {"tocsin/handlers/command.py": "import httpx"}),
    (missed_doors, {"tocsin/settings/config.py": "import pydantic"}),
]


@pytest.mark.parametrize(("rule", "sources"), VIOLATIONS)
def test_the_rule_catches_its_violation(rule: Callable[[Sources], list[str]], sources: Sources) -> None:
    assert rule(sources) != []


ALLOWED = {
    "runtime/__init__.py": "",
    "runtime/ids.py": "from random import Random",
    "runtime/zookeeper.py": "from kazoo.client import KazooClient",
    "actors/__init__.py": "",
    "actors/timer_core.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from random import Random\nimport math",
    "actors/timer.py": "import trio\nimport attrs\nfrom . import timer_core\nfrom runtime.ids import IdSource",
    "actors/store/sqlite_schema.py": "import sqlite3",
    "tocsin/__init__.py": "from .node import open_node",
    "tocsin/node.py": "from actors.timer import Timer",
    "tocsin/checker/checker.py": "import json\nimport attrs\nfrom .history import History",
    "tocsin/checker/history.py": "from collections.abc import Mapping",
    "tocsin/api/app.py": "from litestar import Litestar\nfrom tocsin.node import open_node",
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_lets_good_code_pass(rule: Callable[[Sources], list[str]]) -> None:
    assert rule(ALLOWED) == []
