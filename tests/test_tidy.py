"""Sizes and leftovers that neither ruff nor mypy looks at.

ruff already keeps out `print` beyond the command line, bare `except`, to-do notes, commented-out code and modules without
a docstring (`./dev check`).
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess

import pytest

from tests.source import ROOT

LONGEST_FUNCTION = 70
"""Lines of a function's body without its docstring; the aim is a median of 8."""

LONGEST_FILE = 500
"""Lines of a Python file."""

LONG_FILES: dict[str, int] = {}
"""Files that may be longer, each with its length today. The list only shrinks: an entry must be met exactly or removed."""

LEFTOVERS = re.compile(r"(?:/wor[k]/|/roo[t]/|/op[t]/(?:wheels|pypi)|//registr[y]\.\w|^<{7} |^>{7} )", re.MULTILINE)
"""Paths and hosts of the machine someone happened to work on, and unresolved merges."""

SKIPPED_FOLDERS = {".git", ".peers", ".venv", ".tocsin", "__pycache__", "build", "dist", "site"}


def project_files() -> list[str]:
    """The files under version control or, in a copy without it, all but what the tools make."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
        if listed.returncode == 0:
            return sorted(path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file())
    paths = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    made = re.compile(r"\.\w+_cache$|\.egg-info$|^\.hypothesis$")
    return sorted(
        path.as_posix()
        for path in paths
        if not any(part in SKIPPED_FOLDERS or made.search(part) for part in path.parts[:-1])
    )


FILES = project_files()
PYTHON = [path for path in FILES if path.endswith(".py")]


def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


def long_functions(source: str) -> list[str]:
    """Names of the functions whose body is too long."""
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [f"{node.name}: {lines} lines" for node in functions if (lines := body_length(node)) > LONGEST_FUNCTION]


def body_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the end."""
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or 0) - statements[0].lineno + 1 if statements else 0


def wrong_sizes(lengths: dict[str, int], allowed: dict[str, int]) -> list[str]:
    """Complaints about files that are too long, or listed as long with another length than they have."""
    too_long = {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE}
    return [
        f"{path}: {lengths.get(path, 0)} lines, allowed {allowed.get(path, LONGEST_FILE)}"
        for path in sorted(too_long.keys() | allowed.keys())
        if too_long.get(path) != allowed.get(path)
    ]


def leftovers(text: str) -> list[str]:
    return [match.group() for match in LEFTOVERS.finditer(text)]


@pytest.mark.parametrize("path", PYTHON)
def test_functions_are_short(path: str) -> None:
    assert long_functions(text_of(path)) == []


def test_files_are_short() -> None:
    assert wrong_sizes({path: text_of(path).count("\n") for path in PYTHON}, LONG_FILES) == []


@pytest.mark.parametrize("path", FILES)
def test_nothing_was_left_behind(path: str) -> None:
    assert leftovers(text_of(path)) == []


def test_a_long_function_is_seen() -> None:
    body = "    x = 1\n"
    assert long_functions("def f():\n" + body * LONGEST_FUNCTION) == []
    assert long_functions("def f():\n    'Says.\n\n    More.'\n".replace("'", '"""') + body * LONGEST_FUNCTION) == []
    assert long_functions("async def f():\n" + body * (LONGEST_FUNCTION + 1)) == ["f: 71 lines"]


def test_the_list_of_long_files_only_shrinks() -> None:
    assert wrong_sizes({"a.py": 500, "b.py": 600}, {"b.py": 600}) == []
    assert wrong_sizes({"a.py": 501}, {}) == ["a.py: 501 lines, allowed 500"]
    assert wrong_sizes({"a.py": 601}, {"a.py": 600}) == ["a.py: 601 lines, allowed 600"]
    assert wrong_sizes({"a.py": 590}, {"a.py": 600}) == ["a.py: 590 lines, allowed 600"]
    assert wrong_sizes({"a.py": 400}, {"a.py": 600}) == ["a.py: 400 lines, allowed 600"]


@pytest.mark.parametrize(
    "text", ["see /wor" + "k/main", "~ = /roo" + "t/x", "https://registr" + "y.example", "<" * 7 + " HEAD"]
)
def test_a_leftover_is_seen(text: str) -> None:
    assert leftovers(text) != []
