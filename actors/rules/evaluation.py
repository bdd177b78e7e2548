"""The meaning of conditions: a walk over a tree that `actors/rules/conditions.py` has checked, with a bound on its steps."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any, Final

MAX_STEPS: Final = 20_000
"""Steps of one evaluation: some ten milliseconds, and a list of a thousand entries can still be searched."""

STEP_CHARACTERS: Final = 256
"""Characters of a text that are looked at for one step; a step costs about as much as comparing so many."""

LARGEST: Final = 2**63
"""Numbers beyond it are refused: arithmetic on them has a price that grows with their length."""

NAMES: Final = ("result", "input", "execution", "task", "history")

WORDS: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "null": None}
"""Names that stand for values."""

Facts = Mapping[str, Any]
"""What a condition looks at: a JSON value for each of `NAMES`."""


class ConditionFailed(Exception):
    """The condition has no answer for these facts: it looks for what is not there, or compares what cannot be compared."""


class Missing(ConditionFailed):
    """It looks for a key or an entry that is not there."""


class Evaluation:
    """One walk over a tree that was checked."""

    def __init__(self, facts: Facts) -> None:
        self._names: dict[str, Any] = {name: facts.get(name) for name in NAMES}
        self._steps = MAX_STEPS

    def spend(self, steps: int) -> None:
        """Count steps. Raises ConditionFailed when there are none left."""
        self._steps -= steps
        if self._steps < 0:
            raise ConditionFailed(f"takes more than {MAX_STEPS} steps")

    def of(self, node: ast.expr) -> Any:
        """The value of a node."""
        self.spend(1)
        rule: Callable[[Evaluation, Any], Any] = _RULES[type(node)]
        return rule(self, node)

    def constant(self, node: ast.Constant) -> Any:
        return node.value

    def name(self, node: ast.Name) -> Any:
        return WORDS[node.id] if node.id in WORDS else self._names[node.id]

    def attribute(self, node: ast.Attribute) -> Any:
        return self._entry(self.of(node.value), node.attr)

    def subscript(self, node: ast.Subscript) -> Any:
        return self._entry(self.of(node.value), self.of(node.slice))

    def _entry(self, whole: Any, key: Any) -> Any:
        if isinstance(whole, Mapping) and isinstance(key, str):
            self.spend(len(key) // STEP_CHARACTERS)
            if key not in whole:
                raise Missing(f"there is no {_shown(key)}")
            return whole[key]
        if isinstance(whole, list | tuple) and isinstance(key, int) and not isinstance(key, bool):
            if not -len(whole) <= key < len(whole):
                raise Missing(f"there is no entry {_shown(key)} among {len(whole)}")
            return whole[key]
        raise Missing(f"{kind_of(whole)} has no {_shown(key)}")

    def boolean(self, node: ast.BoolOp) -> bool:
        decided_by = isinstance(node.op, ast.Or)
        return next((decided_by for part in node.values if self._truth(part) is decided_by), not decided_by)

    def _truth(self, node: ast.expr) -> bool:
        value = self.of(node)
        if not isinstance(value, bool):
            raise ConditionFailed(f"{kind_of(value)} where true or false is wanted")
        return value

    def unary(self, node: ast.UnaryOp) -> Any:
        if isinstance(node.op, ast.Not):
            return not self._truth(node.operand)
        return -_number(self.of(node.operand))

    def choice(self, node: ast.IfExp) -> Any:
        return self.of(node.body if self._truth(node.test) else node.orelse)

    def several(self, node: ast.List | ast.Tuple) -> list[Any]:
        return [self.of(element) for element in node.elts]

    def generated(self, node: ast.GeneratorExp) -> list[Any]:
        (part,) = node.generators
        entries = self.listed(self.of(part.iter))
        assert isinstance(part.target, ast.Name)
        name = part.target.id
        outer = self._names.get(name)
        found = []
        for entry in entries:
            self._names[name] = entry
            if all(self._truth(test) for test in part.ifs):
                found.append(self.of(node.elt))
        self._names[name] = outer
        return found

    def arithmetic(self, node: ast.BinOp) -> int | float:
        left, right = _number(self.of(node.left)), _number(self.of(node.right))
        try:
            return _number(_ARITHMETIC[type(node.op)](left, right))
        except (ZeroDivisionError, OverflowError) as error:
            raise ConditionFailed(f"{left} and {right}: {error}") from None

    def comparison(self, node: ast.Compare) -> bool:
        left = self.of(node.left)
        for operator, other in zip(node.ops, node.comparators, strict=True):
            right = self.of(other)
            if not self._compare(operator, left, right):
                return False
            left = right
        return True

    def _compare(self, operator: ast.cmpop, left: Any, right: Any) -> bool:
        match operator:
            case ast.Eq():
                return self._equal(left, right)
            case ast.NotEq():
                return not self._equal(left, right)
            case ast.In():
                return self._contains(right, left)
            case ast.NotIn():
                return not self._contains(right, left)
            case _:
                return self._ordered(operator, left, right)

    def _equal(self, left: Any, right: Any) -> bool:
        for value in (left, right):
            if isinstance(value, Mapping | list | tuple):
                raise ConditionFailed(f"{kind_of(value)} cannot be compared as a whole")
        return self._same(left, right)

    def _same(self, left: Any, right: Any) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            self.read(left)
        return kind_of(left) == kind_of(right) and left == right

    def _contains(self, whole: Any, part: Any) -> bool:
        if isinstance(whole, str):
            return self.text(part) in self.text(whole)
        if isinstance(whole, Mapping):
            return self.text(part) in whole
        if isinstance(part, Mapping | list | tuple):
            raise ConditionFailed(f"{kind_of(part)} cannot be looked for")
        return any(self._same(entry, part) for entry in self.listed(whole))

    def _ordered(self, operator: ast.cmpop, left: Any, right: Any) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            self.read(left)
        else:
            left, right = _number(left), _number(right)
        return bool(_ORDER[type(operator)](left, right))

    def call(self, node: ast.Call) -> Any:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        if name in ("has", "default"):
            return self._sought(name, node.args)
        return FUNCTIONS[name][1](self, *[self.of(argument) for argument in node.args])

    def _sought(self, name: str, arguments: list[ast.expr]) -> Any:
        try:
            found = self.of(arguments[0])
        except Missing:
            return False if name == "has" else self.of(arguments[1])
        return True if name == "has" else found

    # what functions need

    def read(self, text: str) -> None:
        """Count what looking at a text costs."""
        self.spend(len(text) // STEP_CHARACTERS)

    def text(self, value: Any) -> str:
        """A text, counted. Raises ConditionFailed."""
        if not isinstance(value, str):
            raise ConditionFailed(f"{kind_of(value)} where a text is wanted")
        self.read(value)
        return value

    def listed(self, value: Any) -> list[Any]:
        """A list, counted. Raises ConditionFailed."""
        if not isinstance(value, list | tuple):
            raise ConditionFailed(f"{kind_of(value)} where a list is wanted")
        self.spend(len(value))
        return list(value)


def _like(run: Evaluation, text: Any, pattern: Any) -> bool:
    """Whether the whole text fits a pattern in which `*` stands for anything: a search from part to part, no way back."""
    text, parts = run.text(text), run.text(pattern).split("*")
    if len(parts) == 1:
        return bool(text == parts[0])
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        run.read(text)
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _size(_: Evaluation, value: Any) -> int:
    if not isinstance(value, str | list | tuple | Mapping):
        raise ConditionFailed(f"{kind_of(value)} has no length")
    return len(value)


def _numbers(run: Evaluation, value: Any) -> list[int | float]:
    return [_number(entry) for entry in run.listed(value)]


def _extreme(choose: Callable[[list[int | float]], int | float]) -> Callable[..., Any]:
    def function(run: Evaluation, value: Any) -> int | float:
        numbers = _numbers(run, value)
        if not numbers:
            raise Missing("there is nothing in an empty list")
        return choose(numbers)

    return function


def _truths(run: Evaluation, value: Any) -> list[bool]:
    entries = run.listed(value)
    for entry in entries:
        if not isinstance(entry, bool):
            raise ConditionFailed(f"{kind_of(entry)} where true or false is wanted")
    return entries


FUNCTIONS: Final[Mapping[str, tuple[int, Callable[..., Any]]]] = {
    "abs": (1, lambda run, value: abs(_number(value))),
    "all": (1, lambda run, values: all(_truths(run, values))),
    "any": (1, lambda run, values: any(_truths(run, values))),
    "default": (2, Evaluation._sought),
    "ends_with": (2, lambda run, text, part: run.text(text).endswith(run.text(part))),
    "has": (1, Evaluation._sought),
    "len": (1, _size),
    "like": (2, _like),
    "lower": (1, lambda run, text: run.text(text).lower()),
    "max": (1, _extreme(max)),
    "min": (1, _extreme(min)),
    "starts_with": (2, lambda run, text, part: run.text(text).startswith(run.text(part))),
    "sum": (1, lambda run, values: _number(sum(_numbers(run, values)))),
}
"""Name -> number of arguments, what it does with their values. `has` and `default` look before their first one is there."""

_RULES: Final[Mapping[type[ast.expr], Callable[[Evaluation, Any], Any]]] = {
    ast.Attribute: Evaluation.attribute,
    ast.BinOp: Evaluation.arithmetic,
    ast.BoolOp: Evaluation.boolean,
    ast.Call: Evaluation.call,
    ast.Compare: Evaluation.comparison,
    ast.Constant: Evaluation.constant,
    ast.GeneratorExp: Evaluation.generated,
    ast.IfExp: Evaluation.choice,
    ast.List: Evaluation.several,
    ast.Name: Evaluation.name,
    ast.Subscript: Evaluation.subscript,
    ast.Tuple: Evaluation.several,
    ast.UnaryOp: Evaluation.unary,
}

_ARITHMETIC: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
    ast.FloorDiv: lambda left, right: left // right,
    ast.Mod: lambda left, right: left % right,
}

_ORDER: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Lt: lambda left, right: left < right,
    ast.LtE: lambda left, right: left <= right,
    ast.Gt: lambda left, right: left > right,
    ast.GtE: lambda left, right: left >= right,
}


def _number(value: Any) -> int | float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ConditionFailed(f"{kind_of(value)} where a number is wanted")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ConditionFailed("a number beyond 2**63")
    return value


def kind_of(value: Any) -> str:
    """What a JSON value is, as an error names it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"


def _shown(value: Any) -> str:
    if isinstance(value, str | int | float | bool | None):
        text = repr(value) if not isinstance(value, int) or abs(value) <= LARGEST else "number"
        return text if len(text) <= 80 else f"{text[:80]}..."
    return kind_of(value)
