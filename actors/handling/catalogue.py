"""The catalogue of a node: which task types it can run, and what their handlers take.

A handler is a function whose first parameter is the context; the others are the task's parameters, by name. Their annotations
are what a task's parameters are checked against when it is saved, so that a wrong one is refused to the person who writes it
and not to the night in which it runs.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Literal

import attrs

from runtime.errors import InvalidRequest

from ..model.outside import is_outside
from ..model.placement import ANYWHERE, Placement
from ..model.policy import Policies
from ..rules.placing import Strategy
from .hooks import Hook, Hooks

Isolation = Literal["async", "thread", "process", "outside"]
"""Where the handler runs: in the node's loop, in a thread, in a process of its own, with a worker outside of the node."""

Handler = Callable[..., Any]

DEFAULT_POOL: Final = "default"
"""The thread pool of plain functions that name none."""

_MISSING: Final = inspect.Parameter.empty


@attrs.frozen(eq=False)
class TaskType:
    """A kind of work and the function that does it.

    `policies`: what a task of this type has where it says nothing else. `check`: raises InvalidRequest for parameters that
    the annotations let pass and the handler would not. `source`: how a worker process finds the function,
    "file:/absolute/path.py" or "module:dotted.name". `pool`: the threads in which a plain function runs. `placement`: where
    tasks of this type run that do not say it.
    """

    name: str
    function: Handler
    isolation: Isolation
    policies: Policies | None = None
    check: Callable[[dict[str, Any]], None] | None = None
    source: str | None = None
    description: str = ""
    pool: str = DEFAULT_POOL
    placement: Placement = ANYWHERE
    has_datetimes: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        if not self.name or self.name != self.name.strip():
            raise InvalidRequest(f"a task type needs a name without spaces around it, not {self.name!r}")
        if not callable(self.function):
            raise InvalidRequest(f"the handler of {self.name!r} must be a function, not {self.function!r}")
        if self.isolation == "async" and not is_async(self.function):
            raise InvalidRequest(
                f"the handler of {self.name!r} is not an async function: it runs in a thread or a process"
            )
        if self.isolation == "thread" and is_async(self.function):
            raise InvalidRequest(f"the handler of {self.name!r} is an async function: it cannot run in a thread")
        if self.pool != DEFAULT_POOL and self.isolation != "thread":
            where = "the node's loop" if self.isolation == "async" else "a process of its own"
            raise InvalidRequest(
                f"the handler of {self.name!r} runs in {where}: pool: not {self.pool!r}, it needs no thread"
            )
        if self.isolation == "process" and self.source is None:
            raise InvalidRequest(
                f"a process cannot find the handler of {self.name!r}: define it at the top of a module"
            )
        annotations = [parameter.annotation for parameter in signature_of(self.function).parameters]
        object.__setattr__(self, "has_datetimes", any(_mentions_datetime(annotation) for annotation in annotations))

    def check_parameters(self, parameters: dict[str, Any]) -> None:
        """Raise InvalidRequest, naming parameter and value, for what the handler does not take."""
        check_parameters(self.function, parameters)
        if self.check is not None:
            self.check(parameters)

    def arguments(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters as the handler's annotations want them: ISO texts become datetimes."""
        if not self.has_datetimes:
            return parameters
        wanted = {parameter.name: parameter.annotation for parameter in signature_of(self.function).parameters}
        return {name: _convert(value, wanted.get(name, Any)) for name, value in parameters.items()}


def is_async(function: Handler) -> bool:
    """Whether calling the function gives a coroutine; partial objects and callable objects are looked through."""
    inner = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inner.func
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(getattr(inner, "__call__", None))  # noqa: B004


def task_type(
    name: str,
    function: Handler,
    *,
    isolation: Literal["process"] | None = None,
    policies: Policies | None = None,
    check: Callable[[dict[str, Any]], None] | None = None,
    source: str | None = None,
    pool: str = DEFAULT_POOL,
    placement: Placement = ANYWHERE,
) -> TaskType:
    """A task type with what can be read off the function: where it runs, its source, its description."""
    where: Isolation = isolation or ("async" if is_async(function) else "thread")
    found = source_of(function) if source is None else source
    return TaskType(name, function, where, policies, check, found, inspect.getdoc(function) or "", pool, placement)


def source_of(function: Handler) -> str | None:
    """How a worker process finds a function of a module's top level; None for any other."""
    inner = inspect.unwrap(function)
    module = inspect.getmodule(inner)
    if module is None or "<locals>" in getattr(inner, "__qualname__", "<locals>"):
        return None
    origin: str | None = getattr(module, "__tocsin_source__", None)
    if origin is not None:
        return origin
    path = getattr(module, "__file__", None)
    if module.__name__ == "__main__":
        return f"file:{path}" if path else None
    return f"module:{module.__name__}"


@functools.lru_cache(maxsize=1024)
def outside_type(name: str) -> TaskType:
    """A task type whose work workers outside of the node do. It takes any parameters, and has a queue of its own."""
    return TaskType(
        name, _by_worker, "outside", Policies(queue=name), description="Done by workers outside of the node."
    )


async def _by_worker(context: Any, **parameters: Any) -> None:
    raise NotImplementedError("a worker does it")


class Catalogue:
    """Task types by name. A name registered again is replaced, with a warning: the last one wins.

    Types that workers outside do are there without being registered.

    `base`: a catalogue whose types and hooks count as well, but its own types come first. `placements`: the strategies that users
    wrote, by the names that tasks call them by.
    """

    def __init__(self, types: Iterable[TaskType] = (), base: Catalogue | None = None) -> None:
        self._types: dict[str, TaskType] = {}
        self._base = base
        self.hooks: Final[Hooks] = Hooks() if base is None else base.hooks
        self.placements: Final[dict[str, Strategy]] = {} if base is None else base.placements
        for entry in types:
            self.register(entry)

    def register(self, entry: TaskType) -> None:
        """Add a type, or replace the one of the same name."""
        former = self._types.get(entry.name)
        if former is not None and former.function is not entry.function:
            warnings.warn(
                f"task type {entry.name!r} is registered twice: {_place(entry)} replaces {_place(former)}", stacklevel=2
            )
        self._types[entry.name] = entry

    def get(self, name: str) -> TaskType | None:
        """The type of that name, None if this node does not have it."""
        found = self._types.get(name)
        if found is not None:
            return found
        if self._base is not None:
            return self._base.get(name)
        return outside_type(name) if is_outside(name) else None

    def check_pools(self, pools: Iterable[str]) -> None:
        """Raise InvalidRequest for a task type whose thread pool is none of these."""
        known = sorted(pools)
        for entry in self:
            if entry.pool not in known:
                near = difflib.get_close_matches(entry.pool, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"configured are {', '.join(known)}"
                raise InvalidRequest(f"task type {entry.name!r}: there is no thread pool {entry.pool!r}; {hint}")

    def outcome_hooks(self, type_name: str, task: str) -> tuple[Hook, ...]:
        """The hooks that want to hear what became of the occurrences and runs of a task, by its type and name."""
        return self.hooks.matching("on_outcome", type_name, task)

    def names(self) -> list[str]:
        """The names of all types, sorted."""
        return sorted({*self._types, *(() if self._base is None else self._base.names())})

    def __iter__(self) -> Iterator[TaskType]:
        return iter([entry for name in self.names() if (entry := self.get(name)) is not None])

    def __contains__(self, name: object) -> bool:
        if name in self._types:
            return True
        return name in self._base if self._base is not None else isinstance(name, str) and is_outside(name)

    def __len__(self) -> int:
        return len(self.names())


DECLARED: Final = Catalogue()
"""What the decorators of loaded modules have declared. A node takes from it what it shall run, a worker process its handler."""


def _place(entry: TaskType) -> str:
    function = inspect.unwrap(entry.function)
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', function)}"


# -- parameters


@attrs.frozen
class Parameter:
    """A parameter of a handler as its signature has it."""

    name: str
    annotation: Any
    required: bool


@attrs.frozen
class Signature:
    """What a handler takes besides its context. `open`: it takes parameters of any name."""

    parameters: tuple[Parameter, ...]
    open: bool


@functools.lru_cache(maxsize=1024)
def signature_of(function: Handler) -> Signature:
    """The signature of a handler. Raises InvalidRequest for one that cannot be called with a context and names."""
    kinds = inspect.Parameter
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"cannot read the signature of {function!r}: {error}") from None
    if not found or found[0].kind not in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD, kinds.VAR_POSITIONAL):
        raise InvalidRequest(f"the first parameter of {function!r} must be the context")
    annotations = _annotations(function)
    named = [one for one in found[1:] if one.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)]
    for one in found[1:]:
        if one.kind is kinds.POSITIONAL_ONLY and one.default is _MISSING:
            raise InvalidRequest(f"parameter {one.name!r} of {function!r} cannot be given by name")
    return Signature(
        tuple(Parameter(one.name, annotations.get(one.name, Any), one.default is _MISSING) for one in named),
        any(one.kind is kinds.VAR_KEYWORD for one in found),
    )


def _annotations(function: Handler) -> dict[str, Any]:
    inner = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inner.func
    try:
        return typing.get_type_hints(inner)
    except Exception:
        # Names that exist for the type checker only cannot be looked up; such a handler goes unchecked.
        return {}


def check_parameters(function: Handler, parameters: dict[str, Any]) -> None:
    """Raise InvalidRequest for parameters that are missing, unknown or of a wrong type, naming them and their values."""
    signature = signature_of(function)
    wanted = {parameter.name: parameter for parameter in signature.parameters}
    for name in parameters:
        if name not in wanted and not signature.open:
            raise InvalidRequest(f"unknown parameter {name!r}; the handler takes {_listing(wanted)}")
    for name, parameter in wanted.items():
        if name not in parameters:
            if parameter.required:
                raise InvalidRequest(f"missing parameter {name!r}")
        elif not _fits(parameters[name], parameter.annotation):
            raise InvalidRequest(
                f"parameter {name!r} must be {_spelled(parameter.annotation)}, not {_shown(parameters[name])}"
            )


def _listing(wanted: Mapping[str, Parameter]) -> str:
    return ", ".join(wanted) if wanted else "none"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _spelled(annotation: Any) -> str:
    if annotation is None or annotation is type(None):
        return "None"
    if typing.get_origin(annotation) is None and isinstance(annotation, type):
        return "an ISO 8601 datetime" if annotation is datetime else annotation.__name__
    return str(annotation).replace("typing.", "")


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a JSON value is one of the annotated type. Types that JSON has no counterpart for are let pass."""
    origin = typing.get_origin(annotation)
    if origin is None:
        return _fits_plain(value, annotation)
    inner = typing.get_args(annotation)
    if origin is typing.Annotated:
        return _fits(value, inner[0])
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if origin is list:
        return isinstance(value, list) and all(_fits(one, inner[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            _fits(key, inner[0]) and _fits(one, inner[1]) for key, one in value.items()
        )
    return True


def _fits_plain(value: Any, annotation: Any) -> bool:
    if annotation is None or annotation is type(None):
        return value is None
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation in (str, bool, list, dict):
        return isinstance(value, annotation)
    if annotation is datetime:
        return isinstance(value, str) and _parsed(value) is not None
    return True


def _mentions_datetime(annotation: Any) -> bool:
    return annotation is datetime or any(_mentions_datetime(inner) for inner in typing.get_args(annotation))


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _convert(value: Any, annotation: Any) -> Any:
    """ISO texts as datetimes where the annotation has no other use for a text."""
    if annotation is datetime and isinstance(value, str):
        return _parsed(value) or value
    inner = typing.get_args(annotation)
    match typing.get_origin(annotation):
        case typing.Annotated:
            return _convert(value, inner[0])
        case typing.Union | types.UnionType if str not in inner:
            fitting = [one for one in inner if _fits(value, one)]
            return _convert(value, fitting[0]) if fitting else value
        case builtin if builtin is list and isinstance(value, list):
            return [_convert(one, inner[0]) for one in value]
        case builtin if builtin is dict and isinstance(value, dict):
            return {key: _convert(one, inner[1]) for key, one in value.items()}
    return value
