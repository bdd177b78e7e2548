"""The parts that schemas are written with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

Schema = dict[str, Any]

ANY: Final[Schema] = {}
"""Any JSON: what a handler was given, keeps or answers."""

BOOLEAN: Final[Schema] = {"type": "boolean"}
TEXT: Final[Schema] = {"type": "string"}
NUMBER: Final[Schema] = {"type": "number"}
OBJECT: Final[Schema] = {"type": "object"}

ID: Final[Schema] = {"type": "string", "format": "uuid"}
"""Of a task or an execution."""

_ZULU: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$"

INSTANT: Final[Schema] = {"type": "string", "format": "date-time", "pattern": _ZULU}
"""An instant as it is answered: RFC 3339 in UTC."""

DURATION: Final[Schema] = {"type": "string", "pattern": "^([0-9]+(w|d|h|m|s|ms|us))+$", "examples": ["1h30m"]}
"""A duration as it is answered."""


def about(schema: Schema, words: str) -> Schema:
    """The schema with a description."""
    return {**schema, "description": words}


def whole(low: int = 0, high: int | None = None) -> Schema:
    """A whole number in [low, high]."""
    return {"type": "integer", "minimum": low} | ({} if high is None else {"maximum": high})


def choice(among: Iterable[str]) -> Schema:
    """One of some words."""
    return {"type": "string", "enum": [str(one) for one in among]}


def listed(entries: Schema, **limits: Any) -> Schema:
    """A list; limits: `minItems`, `maxItems`, `uniqueItems`."""
    return {"type": "array", "items": entries, **limits}


def by_name(values: Schema) -> Schema:
    """An object of values by names that are not known before."""
    return {"type": "object", "additionalProperties": values}


def ref(name: str) -> Schema:
    """A schema of the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    kind = schema.get("type")
    if not isinstance(kind, str) or "const" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    choices = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [kind, "null"], **choices}


def closed(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object with these fields and no other."""
    found: Schema = {"type": "object", "properties": {**required, **(optional or {})}, "additionalProperties": False}
    return found | ({"required": sorted(required)} if required else {})


def one_of(schemas: Sequence[Schema]) -> Schema:
    """Exactly one of these."""
    return {"oneOf": list(schemas)}


def page(entries: Schema, optional: Mapping[str, Schema] | None = None) -> Schema:
    """A page of a list with the contract's envelope."""
    envelope = {
        "list": listed(entries),
        "offset": whole(),
        "pageSize": about(whole(), "rows at most, as asked for"),
        "totalSize": about(whole(), "the true total, also beyond the end"),
    }
    return closed(envelope, optional)


def whole_list(entries: Schema, **more: Schema) -> Schema:
    """An object with `list`, all of it, and what else there is."""
    return closed({"list": listed(entries), **more})
