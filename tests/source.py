"""The project's own source as data, for the tests that enforce its rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

import attrs

ROOT = Path(__file__).parent.parent
FLOORS = {"runtime": 1, "actors": 2, "tocsin": 3}


def floor_sources() -> dict[str, str]:
    """Path from the root (with slashes) -> text, for every module of the three floors."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for floor in FLOORS
        for path in sorted((ROOT / floor).rglob("*.py"))
    }


def module_name(path: str) -> str:
    """`actors/store/sqlite.py` -> `actors.store.sqlite`; a package's `__init__.py` -> the package."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def matches(path: str, patterns: Iterator[str] | tuple[str, ...]) -> bool:
    """Whether one of the shell patterns fits the path; `*` also crosses slashes."""
    return any(fnmatch(path, pattern) for pattern in patterns)


@attrs.frozen
class Import:
    """One imported name: `module` is absolute, `name` is empty for `import module`."""

    module: str
    name: str
    line: int
    for_types_only: bool

    @property
    def dotted(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module

    @property
    def library(self) -> str:
        return self.module.split(".")[0]

    def target(self, known: Mapping[str, object]) -> str:
        """The module that is loaded: the name itself where it is one, else the module it is taken from."""
        return self.dotted if self.dotted in known else self.module


def imports(path: str, source: str) -> list[Import]:
    """Every import of the file: top level, in functions, under TYPE_CHECKING, or through importlib with a literal name."""
    tree = ast.parse(source, path)
    typing_blocks = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    ]
    for_types = {id(inner) for block in typing_blocks for statement in block.body for inner in ast.walk(statement)}
    return [
        Import(module, name, node.lineno, id(node) in for_types)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Call)
        for module, name in _imported(path, node)
    ]


def _imported(path: str, node: ast.Import | ast.ImportFrom | ast.Call) -> Iterator[tuple[str, str]]:
    match node:
        case ast.Import():
            yield from ((alias.name, "") for alias in node.names)
        case ast.ImportFrom():
            yield from ((_absolute(path, node), alias.name) for alias in node.names)
        case ast.Call(
            func=ast.Name(id=called) | ast.Attribute(attr=called), args=[ast.Constant(value=str(module)), *_]
        ):
            if called in ("import_module", "__import__"):
                yield module, ""


def _absolute(path: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    folders = path.split("/")[:-1]
    base = folders[: len(folders) - (node.level - 1)]
    return ".".join([*base, *([node.module] if node.module else [])])
