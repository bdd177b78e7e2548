"""The language of conditions: an expression over what an outcome left behind, that answers true or false.

    result.rows < 100 and execution.duration > 60
    execution.failure.type == "Timeout" or history.failures_in_a_row >= 3
    any(one.status != "ok" for one in result.checks) and "nightly" in task.tags

It looks like Python and is read by Python's own parser, but nothing of it is run by Python: the tree is checked node by node
against a short list, and walked by `actors/rules/evaluation.py`. Names are keys of documents and never attributes of objects.
There is no power, no shift, no arithmetic on texts, no pattern but `*`, and no call but of the functions listed here.

The cost is bounded by construction. A condition has at most `MAX_CONDITION` characters and `MAX_DEPTH` levels; every node that is
visited costs a step, what works on texts and lists costs steps by their length, and there are `MAX_STEPS`; numbers have 64 bits;
nothing is made that is longer than what was there. So a thread of the world suffices, and no process has to be killed.

Rejected: the two libraries for CEL. Neither bounds an evaluation: 236 characters of nested `map` held the binding to the compiled
interpreter for ten seconds, uninterruptible; the one in Python brings nine packages and 50 MB.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final

from runtime.errors import InvalidRequest, TooLarge
from runtime.records import record

from ..model.event import MAX_CONDITION
from .evaluation import FUNCTIONS, LARGEST, NAMES, WORDS, ConditionFailed, Evaluation, Facts, kind_of

MAX_DEPTH: Final = 24
"""Levels of an expression: far more than anybody can read."""

SHAPE: Final[Mapping[str, frozenset[str]]] = {
    "execution": frozenset(
        "id kind state outcome reason attempt failures duration lateness failure nominal last_nominal started_at ended_at "
        "channel correlation node count cancel_reason".split()
    ),
    "task": frozenset("id name type tags labels owner tenant".split()),
    "history": frozenset("last previous failures_in_a_row completed failed".split()),
}
"""The documents whose fields are known when a condition is saved. `result` and `input` are whatever a task makes of them."""


@record
class Condition:
    """A condition that was checked. Make it with `parse_condition`. `names`: those of the documents that it looks at."""

    text: str
    tree: ast.expr
    names: frozenset[str]

    def holds(self, facts: Facts) -> bool:
        """Whether it is true of the facts. Raises ConditionFailed."""
        value = Evaluation(facts).of(self.tree)
        if not isinstance(value, bool):
            raise ConditionFailed(f"gives {kind_of(value)}, not true or false")
        return value


def parse_condition(text: str, field: str = "condition") -> Condition:
    """Read and check a condition. Raises InvalidRequest with the position, TooLarge."""
    if len(text) > MAX_CONDITION:
        raise TooLarge(f"{field}: {len(text)} characters, the limit is {MAX_CONDITION}")
    source = "".join(" " if one in "\t\r\n" else one for one in text).strip()
    tree = _parsed(source, field)
    for node, problem in _Check().problems(tree, frozenset(NAMES), 1):
        raise InvalidRequest(f"{field}: at character {_position(source, node)}: {problem}: {text!r}")
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return Condition(text, tree, frozenset(names) & frozenset(NAMES))


def _parsed(source: str, field: str) -> ast.expr:
    if "\\" in source:
        # Python would warn of escapes that it does not know, and how loudly is not ours to say: filters are the process's.
        raise InvalidRequest(
            f"{field}: at character {source.index(chr(92)) + 1}: a backslash has no meaning: {source!r}"
        )
    try:
        return ast.parse(source, mode="eval").body
    except SyntaxError as error:
        # Where the text ends too early the parser names no place.
        where = error.offset or len(source) + 1
        raise InvalidRequest(f"{field}: at character {where}: {error.msg}: {source!r}") from None
    except (ValueError, MemoryError, RecursionError):
        raise InvalidRequest(f"{field}: not an expression: {source[:80]!r}") from None


def _position(source: str, node: ast.AST) -> int:
    offset: int = getattr(node, "col_offset", 0)
    return len(source.encode()[:offset].decode(errors="replace")) + 1


# -- what is allowed

Problems = Iterator[tuple[ast.AST, str]]

_OPERATORS: Final = (ast.And, ast.Or, ast.Not, ast.USub, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)
_COMPARISONS: Final = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn)


class _Check:
    """What is wrong with a tree, as (node, problem)."""

    def problems(self, node: ast.expr, names: frozenset[str], depth: int) -> Problems:
        if depth > MAX_DEPTH:
            yield node, f"more than {MAX_DEPTH} levels deep"
            return
        match node:
            case ast.Constant(value=value):
                yield from self._constant(node, value)
            case ast.Name(id=name):
                if name not in names and name not in WORDS:
                    yield node, f"unknown name {name!r}, there are {', '.join(sorted(names))}"
            case ast.Attribute(value=inner, attr=key):
                yield from self._key(node, inner, key)
                yield from self.problems(inner, names, depth + 1)
            case ast.Subscript(value=inner, slice=index):
                if isinstance(index, ast.Constant) and isinstance(index.value, str):
                    yield from self._key(node, inner, index.value)
                yield from self.problems(inner, names, depth + 1)
                yield from self.problems(index, names, depth + 1)
            case ast.Call(func=function, args=arguments, keywords=keywords):
                yield from self._call(node, function, arguments, keywords)
                yield from self._all(arguments, names, depth)
            case ast.GeneratorExp(elt=element, generators=[ast.comprehension(ast.Name(id=name), source, tests, 0)]):
                if name in NAMES or name in WORDS or name in FUNCTIONS or name.startswith("_"):
                    yield node, f"{name!r} cannot name an entry"
                yield from self.problems(source, names, depth + 1)
                yield from self._all([element, *tests], names | {name}, depth)
            case _:
                yield from self._plain(node, names, depth)

    def _plain(self, node: ast.expr, names: frozenset[str], depth: int) -> Problems:
        match node:
            case ast.BoolOp(values=parts) | ast.List(elts=parts) | ast.Tuple(elts=parts):
                yield from self._all(parts, names, depth)
            case ast.UnaryOp(op=operator, operand=part):
                yield from self._operator(node, operator, _OPERATORS)
                yield from self.problems(part, names, depth + 1)
            case ast.BinOp(left=left, op=operator, right=right):
                yield from self._operator(node, operator, _OPERATORS)
                yield from self._all([left, right], names, depth)
            case ast.Compare(left=left, ops=operators, comparators=others):
                for comparison in operators:
                    yield from self._operator(node, comparison, _COMPARISONS)
                yield from self._all([left, *others], names, depth)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                yield from self._all([test, body, orelse], names, depth)
            case _:
                yield node, f"{type(node).__name__} is not part of the language"

    def _all(self, nodes: list[ast.expr], names: frozenset[str], depth: int) -> Problems:
        for node in nodes:
            yield from self.problems(node, names, depth + 1)

    def _constant(self, node: ast.expr, value: object) -> Problems:
        if not isinstance(value, bool | int | float | str | None):
            yield node, f"{value!r} is not part of the language"
        elif isinstance(value, int) and value > LARGEST:
            yield node, "a number above 2**63"

    def _operator(self, node: ast.expr, operator: ast.AST, allowed: tuple[type[ast.AST], ...]) -> Problems:
        if not isinstance(operator, allowed):
            yield node, f"the operator {type(operator).__name__} is not part of the language"

    def _key(self, node: ast.expr, inner: ast.expr, key: str) -> Problems:
        if isinstance(node, ast.Attribute) and key.startswith("_"):
            yield node, f"a name that begins with an underscore: {key!r}"
        elif isinstance(inner, ast.Name) and inner.id in SHAPE and key not in SHAPE[inner.id]:
            yield node, f"{inner.id} has no {key!r}, it has {', '.join(sorted(SHAPE[inner.id]))}"

    def _call(
        self, node: ast.expr, function: ast.expr, arguments: list[ast.expr], keywords: list[ast.keyword]
    ) -> Problems:
        if not isinstance(function, ast.Name):
            yield node, "only functions can be called"
        elif function.id not in FUNCTIONS:
            yield node, f"unknown function {function.id!r}, there are {', '.join(sorted(FUNCTIONS))}"
        elif keywords or len(arguments) != FUNCTIONS[function.id][0]:
            yield node, f"{function.id} takes {FUNCTIONS[function.id][0]} arguments in their order"
        elif function.id in ("has", "default") and not isinstance(arguments[0], ast.Attribute | ast.Subscript):
            yield node, f"{function.id} looks for something like result.rows"
