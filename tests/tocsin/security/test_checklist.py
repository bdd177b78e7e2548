"""The checklist is held item by item; and rules of it that no other test holds: what listens, what the sources must not do."""

from __future__ import annotations

import ast
import json
import re
import stat
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from re import _constants as opcodes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

from tests.e2e.harness import node_process
from tests.source import ROOT
from tests.tocsin.access.kit import Person
from tests.tocsin.security.checklist import CHECKLIST

ITEMS = 40

SOURCES = [path for floor in ("runtime", "actors", "tocsin") for path in sorted((ROOT / floor).rglob("*.py"))]

# -- the checklist


@pytest.mark.parametrize("number", range(1, ITEMS + 1))
def test_every_item_is_held_by_tests_that_are_there(number: int) -> None:
    held = CHECKLIST[number]
    assert held.tests
    for one in held.tests:
        path, _, name = one.partition("::")
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}, (
            one
        )


def test_the_checklist_has_no_other_items() -> None:
    assert list(CHECKLIST) == list(range(1, ITEMS + 1))


# -- what listens, and what answers


def listening(pid: int) -> Iterator[str]:
    """The addresses on which a process listens, as the kernel writes them."""
    own = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        # What a request needed may be closed by now.
        with suppress(FileNotFoundError):
            own.add(str(entry.readlink()))
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text("ascii").splitlines()[1:]:
            parts = line.split()
            if parts[3] == "0A" and f"socket:[{parts[9]}]" in own:
                yield parts[1].partition(":")[0]


def test_a_fresh_start_listens_on_this_machine_only_and_keeps_its_files_to_itself(tmp_path: Path) -> None:
    with node_process(tmp_path / "data") as node:
        with node.up() as client:
            assert client.call("version")
        assert set(listening(node.pid)) == {"0100007F"}
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").rglob("*") if path.is_file()
        }
        assert {"token", "node.json", "tocsin.db"} <= modes.keys()
        assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        node.terminate()


@pytest.mark.parametrize(
    "text", ["' OR '1'='1", "%", "_", "x' UNION SELECT hash FROM tokens --", '"; DROP TABLE audit; --']
)
def test_what_looks_like_sql_is_text(root: Person, text: str) -> None:
    for path in ("tasks", "audits"):
        found = root.send("GET", f"/api/{path}", params={{"tasks": "type", "audits": "actor"}[path]: text})
        assert found.status_code == 400 or found.json()["totalSize"] == 0
    assert root.send("GET", "/api/tasks", params={"sortBy": f"name{text}:asc"}).status_code == 400
    assert root.send("GET", "/api/audits/verify").json()["intact"]


# -- what the sources do not do


def trees() -> Iterator[tuple[Path, ast.AST]]:
    for path in SOURCES:
        for one in ast.walk(ast.parse(path.read_text("utf-8"))):
            yield path, one


FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle", "xmlrpc"}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "compile",
    "os.system",
    "os.popen",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
}


def unsafe(one: ast.AST) -> str | None:
    """What of this makes code or objects of data."""
    match one:
        case ast.Import(names=names):
            return next((name.name for name in names if name.name.split(".")[0] in FORBIDDEN_MODULES), None)
        case ast.ImportFrom(module=str(module)) if module.split(".")[0] in FORBIDDEN_MODULES:
            return module
        case ast.Call(func=function) if (name := ast.unparse(function)) in FORBIDDEN_CALLS:
            return name
    return None


def test_no_data_becomes_code() -> None:
    found = [f"{path.relative_to(ROOT)}:{one.lineno} {what}" for path, one in trees() if (what := unsafe(one))]  # type: ignore[attr-defined]
    assert found == []


@pytest.mark.parametrize("source", ["import pickle", "from marshal import loads", "eval(text)", "yaml.load(text)"])
def test_what_makes_code_of_data_is_noticed(source: str) -> None:
    assert any(unsafe(one) for one in ast.walk(ast.parse(source)))


JUDGES = (
    "tocsin/access/authentication.py", "tocsin/access/secrets_core.py", "tocsin/api/entrance.py", "tocsin/api/sessions.py",
    "tocsin/api/websocket.py", "tocsin/webhooks.py", "runtime/fabric_core.py", "runtime/handshake.py",
)  # fmt: skip
"""Where it is judged whether somebody has a secret."""

SECRET = re.compile(r"\b(secret|given|proof|shown|cookie|csrf|hash|hashed|code|digest|signature|first)\b")


def hasty(tree: ast.AST) -> list[str]:
    """Comparisons that end at the first character that differs, of what may be a secret; with constants they tell nothing."""
    return [
        ast.unparse(one)
        for one in ast.walk(tree)
        if isinstance(one, ast.Compare)
        and any(isinstance(operator, ast.Eq | ast.NotEq) for operator in one.ops)
        and not any(isinstance(side, ast.Constant) for side in (one.left, *one.comparators))
        and SECRET.search(ast.unparse(one))
    ]


def test_secrets_are_compared_in_constant_time() -> None:
    for path in JUDGES:
        source = (ROOT / path).read_text("utf-8")
        assert hasty(ast.parse(source)) == [], path
    assert hasty(ast.parse("if shown == self._first: pass")) == ["shown == self._first"]
    compared = [path for path in JUDGES if "compare_digest" in (ROOT / path).read_text("utf-8")]
    assert len(compared) >= 5


def patterns() -> Iterator[tuple[Path, str]]:
    for path, one in trees():
        match one:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re")), args=[ast.Constant(value=str(text)), *_]):
                yield path, text


def is_nested(parsed: Any, inside: bool = False) -> bool:
    """Whether a repetition without an end is in another: for such, time grows with a power of the text's length, or worse."""
    for code, value in parsed:
        if code in (opcodes.MAX_REPEAT, opcodes.MIN_REPEAT):
            _, most, part = value
            endless = most is opcodes.MAXREPEAT
            if (endless and inside) or is_nested(part, inside or endless):
                return True
        elif code is opcodes.SUBPATTERN:
            if is_nested(value[3], inside):
                return True
        elif code is opcodes.BRANCH and any(is_nested(part, inside) for part in value[1]):
            return True
    return False


def test_no_pattern_repeats_within_a_repetition() -> None:
    found = list(patterns())
    assert len(found) > 20
    nested = {(path.name, text) for path, text in found if is_nested(parser.parse(text))}
    assert nested <= HARMLESS, nested - HARMLESS


HARMLESS = {
    ("bodies.py", r"\s*(?:in|\+|now\s*\+)?\s*((?:\d+\s*[a-z]+\s*)+)"),
    ("bodies.py", r"""(?<![\w.'\"])(?:trigger|policies|placement)(?:\.\w+)+"""),
    ("faults.py", r"[\d.]+(ms|us|[wdhms])([\d.]+(ms|us|[wdhms]))*"),
    ("herald_text.py", r"\{([a-z]+(?:\.[A-Za-z0-9_-]+)*)\}"),
}
"""Each round begins with a dot or a digit, or ends with a unit, which the repetition in it does not contain."""


@pytest.mark.parametrize(("text", "bad"), [("(a+)+", True), ("(a|b*)*", True), ("a+b+", False), ("(ab?){2,3}", False)])
def test_a_repetition_within_another_is_noticed(text: str, bad: bool) -> None:
    assert is_nested(parser.parse(text)) is bad


def test_examples_and_tests_are_no_part_of_what_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    told = json.dumps(project["tool"])
    assert "examples" not in json.dumps(project["project"].get("scripts", {}))
    for name in ("actors", "runtime", "tocsin"):
        assert name in told
