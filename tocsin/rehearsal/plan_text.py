"""Plans as text: a Python expression, laid out as a formatter would, and read again without being run."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from .plan import Call, Fault, FaultKind, Job, Knobs, Plan

WIDTH: Final = 120
"""Characters of a line, at the most."""

_RECORDS: Final[Mapping[str, Callable[..., Any]]] = {one.__name__: one for one in (Plan, Knobs, Job, Call, Fault)}


class NotAPlan(ValueError):
    """The text is something else."""


def write(value: object, indent: int = 0, taken: int = 0) -> str:
    """A plan, or a part of one. Fields with their defaults are left out. taken: characters before and behind it in its line."""
    flat = _flat(value)
    if indent + taken + len(flat) <= WIDTH:
        return flat
    inner, pad = indent + 4, " " * (indent + 4)
    match value:
        case Plan() | Knobs() | Job() | Call() | Fault():
            parts = [f"{pad}{name}={write(one, inner, len(name) + 2)}" for name, one in _fields(value)]
            begin, end = f"{type(value).__name__}(", ")"
        case tuple():
            parts = [f"{pad}{write(one, inner, 1)}" for one in value]
            begin, end = "(", ")"
        case dict():
            keys = [(_flat(key), one) for key, one in value.items()]
            parts = [f"{pad}{key}: {write(one, inner, len(key) + 3)}" for key, one in keys]
            begin, end = "{", "}"
        case _:
            return flat
    lines = ",\n".join(parts)
    return f"{begin}\n{lines},\n{' ' * indent}{end}"


def _fields(value: Any) -> list[tuple[str, Any]]:
    """Those that are not as they are by default."""
    fields = [(field, getattr(value, field.name)) for field in attrs.fields(type(value))]
    return [(field.name, one) for field, one in fields if field.default is attrs.NOTHING or one != _default(field)]


def _default(field: Any) -> object:
    return field.default.factory() if hasattr(field.default, "factory") else field.default


def _flat(value: Any) -> str:
    match value:
        case Plan() | Knobs() | Job() | Call() | Fault():
            parts = [f"{name}={_flat(one)}" for name, one in _fields(value)]
            return f"{type(value).__name__}({', '.join(parts)})"
        case FaultKind():
            return f"FaultKind.{value.name}"
        case tuple():
            parts = [_flat(one) for one in value]
            return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"
        case dict():
            return "{" + ", ".join(f"{_flat(key)}: {_flat(one)}" for key, one in value.items()) + "}"
        case str():
            return _quoted(value)
        case _:
            return repr(value)


def _quoted(text: str) -> str:
    """With double quotes, where that takes no more escapes."""
    plain = repr(text)
    return plain if '"' in text or plain.startswith('"') else '"' + plain[1:-1].replace("\\'", "'") + '"'


def read(text: str) -> Plan:
    """The plan of a text that `write` or `repr` made. Raises NotAPlan. Nothing is run."""
    try:
        value = _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise NotAPlan(str(error)) from None
    if not isinstance(value, Plan):
        raise NotAPlan(f"a {type(value).__name__} is no plan")
    return value


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in _RECORDS:
            named = {str(one.arg): _value(one.value) for one in node.keywords}
            return _RECORDS[name](*(_value(one) for one in node.args), **named)
        case ast.Attribute(value=ast.Name(id="FaultKind"), attr=name):
            return FaultKind[name] if name in FaultKind.__members__ else _refuse(name)
        case ast.Tuple(elts=parts):
            return tuple(_value(one) for one in parts)
        case ast.Dict(keys=keys, values=values):
            return {_value(key): _value(one) for key, one in zip(keys, values, strict=True) if key is not None}
        case _:
            return ast.literal_eval(node)


def _refuse(name: str) -> FaultKind:
    raise NotAPlan(f"no kind of fault: {name}")
