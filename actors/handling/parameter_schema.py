"""A handler's parameters as JSON Schema, for forms and for programs in other languages.

It says what `check_parameters` lets pass: what fits the schema is accepted by the annotations. Types that JSON has no
counterpart for are not restricted.
"""

from __future__ import annotations

import functools
import inspect
import json
import types
import typing
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

from .catalogue import Handler, signature_of

Schema = dict[str, Any]

_PLAIN: Final[Mapping[Any, Schema]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    list: {"type": "array"},
    dict: {"type": "object"},
    datetime: {"type": "string", "format": "date-time"},
    None: {"type": "null"},
    types.NoneType: {"type": "null"},
}


def parameters_schema(function: Handler) -> Schema:
    """The schema of the object that a handler's parameters are. Raises InvalidRequest for a function that is no handler."""
    signature = signature_of(function)
    said = _annotations(function)
    defaults = inspect.signature(function).parameters
    shown = {}
    for one in signature.parameters:
        schema = annotation_schema(said.get(one.name, one.annotation))
        default = defaults[one.name].default
        if not one.required and _is_json(default):
            schema = {**schema, "default": default}
        shown[one.name] = schema
    return {
        "type": "object",
        "properties": shown,
        "required": [one.name for one in signature.parameters if one.required],
        "additionalProperties": signature.open,
    }


def _annotations(function: Handler) -> dict[str, Any]:
    """The annotations with what `Annotated` adds to them."""
    inner = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inner.func
    try:
        return typing.get_type_hints(inner, include_extras=True)
    except Exception:
        # Names that exist for the type checker only cannot be looked up.
        return {}


def annotation_schema(annotation: Any) -> Schema:
    """What values an annotation stands for. A text in `Annotated` is the description."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        words = [one for one in inner[1:] if isinstance(one, str)]
        return annotation_schema(inner[0]) | ({"description": words[0]} if words else {})
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [annotation_schema(one) for one in inner]}
    if origin is Literal:
        return {"enum": [one for one in inner if _is_json(one)]}
    if origin is list:
        return {"type": "array", "items": annotation_schema(inner[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": annotation_schema(inner[1])}
    try:
        return dict(_PLAIN.get(annotation, {}))
    except TypeError:
        # An annotation that cannot be hashed says nothing about JSON.
        return {}


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
