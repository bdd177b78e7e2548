"""Typed checkpoints: instances of declared classes as JSON that says which class and version it was written by.

A class is declared once:

    @tocsin.checkpointed("scan", version=2, migrate={1: upgrade})
    @attrs.define
    class Scan: ...

What is stored is `{"$checkpoint": "scan", "version": 2, "data": {...}}`. A later release that finds version 1 calls
`upgrade` with the JSON that version 1 wrote and gets the JSON of version 2, and so on up to its own version; a handler that
formerly wrote plain JSON gives a migration from version 0. This is the only door to cattrs, which turns instances into JSON
and back: nested attrs classes and dataclasses, datetimes, enumerations, tuples, sets, optional fields.

Not guaranteed: that fields which hold `float` keep an integer apart from one; JSON does not.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs

from runtime.errors import CheckpointMismatch, InvalidRequest

from .payload import MAX_CHECKPOINT, decode_json, encode_json

if TYPE_CHECKING:
    from cattrs.preconf.json import JsonConverter

C = TypeVar("C", bound=type)
T = TypeVar("T")

Migration = Callable[[Any], Any]
"""JSON as one version wrote it -> JSON as the next version writes it."""

MARK: Final = "$checkpoint"
"""The key that tells a typed checkpoint from a plain one."""


@attrs.frozen
class Shape:
    """A declared class. `migrate`: version -> how its JSON becomes that of the next version."""

    name: str
    version: int
    cls: type
    migrate: Mapping[int, Migration]


_SHAPES: Final[dict[type, Shape]] = {}


def checkpointed(name: str, *, version: int = 1, migrate: Mapping[int, Migration] | None = None) -> Callable[[C], C]:
    """Declare an attrs class (or dataclass) as a checkpoint: a class decorator, above `@attrs.define`.

    name: what the store calls it, so that the class may be renamed. version: raised whenever older JSON does not fit any more.
    migrate: version -> function from that version's JSON to the next one's. Raises InvalidRequest for a wrong declaration.
    """
    steps: dict[int, Migration] = dict(migrate or {})
    _check_declaration(name, version, steps)

    def declare(cls: C) -> C:
        if not _is_record(cls):
            raise InvalidRequest(
                f"checkpoint {name!r}: {cls!r} is no attrs class: put @checkpointed above @attrs.define"
            )
        _SHAPES[cls] = Shape(name, version, cls, steps)
        return cls

    return declare


def _is_record(cls: Any) -> bool:
    return inspect.isclass(cls) and (attrs.has(cls) or hasattr(cls, "__dataclass_fields__"))


def _check_declaration(name: Any, version: Any, steps: Mapping[Any, Any]) -> None:
    if not isinstance(name, str) or not name.strip():
        raise InvalidRequest(f'write @checkpointed("name"), not {name!r}')
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InvalidRequest(f"checkpoint {name!r}: version: a whole number from 1, not {version!r}")
    for number, step in steps.items():
        if not isinstance(number, int) or not 0 <= number < version or not callable(step):
            raise InvalidRequest(
                f"checkpoint {name!r}: migrate: a function for each version below {version}, not {number!r}: {step!r}"
            )


def checkpoint_text(data: object) -> str:
    """JSON text of a checkpoint: plain JSON, or an instance of a declared class. Raises InvalidRequest, TooLarge."""
    shape = _SHAPES.get(type(data))
    if shape is not None:
        return encode_json({MARK: shape.name, "version": shape.version, "data": _unstructured(data, shape)}, *_LIMIT)
    if attrs.has(type(data)):
        raise InvalidRequest(
            f'a checkpoint of class {type(data).__name__}: declare it with @tocsin.checkpointed("a name") above the class'
        )
    if isinstance(data, dict) and MARK in data:
        raise InvalidRequest(f"a checkpoint must not have the key {MARK!r}: it marks those of declared classes")
    return encode_json(data, *_LIMIT)


_LIMIT: Final = (MAX_CHECKPOINT, "a checkpoint")


def _unstructured(data: object, shape: Shape) -> Any:
    try:
        return _converter().unstructure(data)
    except Exception as error:
        raise InvalidRequest(f"checkpoint {shape.name!r} cannot be written as JSON: {error}") from error


def plain(text: str | None) -> Any:
    """The JSON in a checkpoint, without what says its class; None for none."""
    value = decode_json(text)
    return value["data"] if _is_typed(value) else value


def typed(text: str | None, cls: type[T]) -> T | None:
    """The instance in a checkpoint, migrated to the declared version; None for none.

    Raises CheckpointMismatch, naming versions and places, for one that was written by a newer version or under another name,
    that no migration leads from, or that does not fit the class. Raises InvalidRequest for a class that was not declared.
    """
    shape = _SHAPES.get(cls)
    if shape is None:
        raise InvalidRequest(
            f'{cls!r} is no checkpoint: declare it with @tocsin.checkpointed("a name") above the class'
        )
    if text is None:
        return None
    value = decode_json(text)
    name, version, data = (value[MARK], value["version"], value["data"]) if _is_typed(value) else (None, 0, value)
    if name not in (None, shape.name):
        raise CheckpointMismatch(f"the checkpoint is of {name!r}, and {cls.__name__} reads {shape.name!r}")
    if version > shape.version:
        raise CheckpointMismatch(
            f"checkpoint {shape.name!r} has version {version}, this release knows up to {shape.version}: update this node"
        )
    return cast("T", _structured(_migrated(data, version, shape), shape))


def _is_typed(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {MARK, "version", "data"}


def _migrated(data: Any, version: int, shape: Shape) -> Any:
    for number in range(version, shape.version):
        step = shape.migrate.get(number)
        if step is None:
            found = "is plain JSON (version 0)" if number == version == 0 else f"has version {version}"
            raise CheckpointMismatch(
                f"checkpoint {shape.name!r} {found}, wanted is {shape.version}: there is no migration from {number}"
            )
        try:
            data = step(data)
        except Exception as error:
            raise CheckpointMismatch(
                f"checkpoint {shape.name!r}: its migration from version {number} failed: {type(error).__name__}: {error}"
            ) from error
    return data


def _structured(data: Any, shape: Shape) -> Any:
    try:
        return _converter().structure(data, shape.cls)
    except Exception as error:
        from cattrs import transform_error

        wrong = "; ".join(transform_error(error, path=shape.name, format_exception=_told))
        raise CheckpointMismatch(f"checkpoint {shape.name!r} does not fit {shape.cls.__name__}: {wrong}") from error


@functools.cache
def _converter() -> JsonConverter:
    """Strict both ways: an unknown field and a text for a number are errors, as they would be in a task's parameters."""
    # Loaded when it is wanted: a worker process that keeps no typed checkpoint starts a third faster without.
    from cattrs.preconf.json import make_converter

    converter = make_converter(forbid_extra_keys=True)
    for kind in (int, str, bool, float):
        converter.register_structure_hook(kind, functools.partial(_exactly, kind))
    return converter


class _WrongValueError(ValueError):
    """A value of another type than the field's; the text shows it."""


def _told(error: BaseException, kind: type | None) -> str:
    from cattrs.v import format_exception

    return str(error) if isinstance(error, _WrongValueError) else format_exception(error, kind)


def _exactly(wanted: type, value: Any, _: type) -> Any:
    fits = isinstance(value, (int, float) if wanted is float else wanted)
    if not fits or (isinstance(value, bool) and wanted is not bool):
        raise _WrongValueError(f"{wanted.__name__} wanted, not {value!r:.100}")
    return float(value) if wanted is float else value
