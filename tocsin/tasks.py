"""The decorator that makes a function a handler, and the tasks declared beside their handlers."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

import attrs

from actors.handling.catalogue import DECLARED, DEFAULT_POOL, task_type
from actors.handling.hooks import Hook, When
from actors.model.policy import DEFAULT_POLICIES
from runtime.errors import InvalidRequest

from .durations import Duration
from .vocabulary.fields import show
from .vocabulary.placements import read_placement
from .vocabulary.policies import Retry, changed_policies

H = TypeVar("H", bound=Callable[..., Any])


@attrs.frozen
class DeclaredTask:
    """A task that stands beside its handler: made when a node starts, changed when the code says something else."""

    name: str
    type: str
    every: Duration | None
    cron: str | None
    timezone: str
    parameters: Mapping[str, Any]
    persistent: bool
    tags: tuple[str, ...]
    place: str = "code"
    """File and line, for people."""
    trigger: Mapping[str, Any] | None = None
    """A trigger as in JSON, instead of `every` and `cron`. Its relative times count from when the task was made."""


DECLARED_TASKS: Final[dict[str, DeclaredTask]] = {}
"""By name. Filled by the decorator and by `declare` when a module is loaded."""


def task(
    name: str,
    *,
    isolation: Literal["process"] | None = None,
    pool: str = DEFAULT_POOL,
    retry: Retry | None = None,
    timeout: Duration | None = None,
    heartbeat_timeout: Duration | None = None,
    overlap: str | None = None,
    overlap_limit: int | None = None,
    catch_up: str | None = None,
    catch_up_limit: int | None = None,
    catch_up_rate: str | None = None,
    lateness_limit: Duration | None = None,
    max_wait: Duration | None = None,
    on_crash: str | None = None,
    on_exhausted: str | None = None,
    priority: int | None = None,
    queue: str | None = None,
    concurrency: str | Mapping[str, Any] | None = None,
    ttl: Duration | None = None,
    placement: str | Mapping[str, Any] | None = None,
    trigger: Mapping[str, Any] | None = None,
    every: Duration | None = None,
    cron: str | None = None,
    timezone: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    persistent: bool = True,
    tags: Sequence[str] = (),
) -> Callable[[H], H]:
    """Register a function as the handler of a task type.

    An async function runs in the node's loop, a plain one in a thread of the pool that `pool` names (the configuration has
    their sizes under `[threads]`), with `isolation="process"` in a process of its own. The
    policies, and the `placement` ("all", or an object as in JSON), are the defaults of every task of this type. With `every`,
    `cron` or `trigger` (an object as in JSON) a task of the same name is made when a node starts. Raises InvalidRequest naming
    field and value.
    """
    if not isinstance(name, str):
        raise InvalidRequest(f'write @tocsin.task("name"), with the name of the task type, not {show(name)}')
    named: object = pool
    if not isinstance(named, str):
        raise InvalidRequest(f"task type {name!r}: pool: a text, not {show(pool)}")
    declared = _declared(name, name, every, cron, timezone, trigger, parameters, persistent, tags)
    changes = {
        "retry": retry,
        "timeout": timeout,
        "heartbeat_timeout": heartbeat_timeout,
        "overlap": overlap,
        "overlap_limit": overlap_limit,
        "catch_up": catch_up,
        "catch_up_limit": catch_up_limit,
        "catch_up_rate": catch_up_rate,
        "lateness_limit": lateness_limit,
        "max_wait": max_wait,
        "on_crash": on_crash,
        "on_exhausted": on_exhausted,
        "priority": priority,
        "queue": queue,
        "concurrency": concurrency,
        "ttl": ttl,
    }
    policies = changed_policies(DEFAULT_POLICIES, changes)
    where = read_placement(placement)

    def register(function: H) -> H:
        _check_declared_once(name, function)
        DECLARED.register(task_type(name, function, isolation=isolation, policies=policies, pool=pool, placement=where))
        if every is not None or cron is not None or trigger is not None:
            DECLARED_TASKS[name] = declared
        return function

    return register


def _check_declared_once(name: str, function: Callable[..., Any]) -> None:
    """Raise InvalidRequest if another function of a loaded file has the name; elsewhere, as in a shell, the last one wins."""
    former = DECLARED.get(name)
    if former is None:
        return
    codes = []
    for one in (inspect.unwrap(former.function), inspect.unwrap(function)):
        if "__tocsin_source__" not in getattr(one, "__globals__", ()):
            return
        codes.append(one.__code__)
    places = [f"{code.co_filename}:{code.co_firstlineno}" for code in codes]
    if places[0] != places[1]:
        raise InvalidRequest(f"task type {name!r} is declared twice: {places[0]} and {places[1]}")


def before(function: H | None = None, /, *, type_name: str | None = None, task: str | None = None) -> Any:
    """Call a function before every attempt: `@tocsin.before` for all, with `type_name=` or `task=` for those alone.

    It is called with the context (a plain function, in a thread, with a `SyncContext`). What it raises is logged with the
    execution and stops nothing. Raises InvalidRequest for what is no function.
    """
    return _hook("before", function, type_name, task)


def after(function: H | None = None, /, *, type_name: str | None = None, task: str | None = None) -> Any:
    """Call a function after every attempt, also one that failed or was interrupted: with the context and an `Ended`.

    For which tasks, and what becomes of its errors: as with `before`.
    """
    return _hook("after", function, type_name, task)


def on_outcome(function: H | None = None, /, *, type_name: str | None = None, task: str | None = None) -> Any:
    """Call a function with a `Settled` for what became of an occurrence or a run, when it is durable.

    For which tasks, and what becomes of its errors: as with `before`.
    """
    return _hook("on_outcome", function, type_name, task)


def _hook(when: When, function: H | None, type_name: str | None, task: str | None) -> Any:
    def register(wanted: H) -> H:
        DECLARED.hooks.add(Hook(when, wanted, type_name, task))
        return wanted

    chosen: dict[str, object] = {"type_name": type_name, "task": task}
    for name, value in chosen.items():
        if value is not None and not (isinstance(value, str) and value):
            raise InvalidRequest(f"{when}: {name}: a text, not {show(value)}")
    return register if function is None else register(function)


def declare(
    name: str,
    type_name: str,
    *,
    every: Duration | None = None,
    cron: str | None = None,
    timezone: str | None = None,
    trigger: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    persistent: bool = True,
    tags: Sequence[str] = (),
) -> None:
    """Declare a task of a type whose handler stands elsewhere, a built-in one for example, as `task` does with a trigger.

    It is made when a node starts that has the type. Raises InvalidRequest naming field and value.
    """
    if every is None and cron is None and trigger is None:
        raise InvalidRequest(f"task {name!r}: every, cron or trigger is required")
    DECLARED_TASKS[name] = _declared(name, type_name, every, cron, timezone, trigger, parameters, persistent, tags)


def _declared(
    name: str,
    type_name: str,
    every: Duration | None,
    cron: str | None,
    timezone: str | None,
    trigger: Mapping[str, Any] | None,
    parameters: Mapping[str, Any] | None,
    persistent: bool,
    tags: Sequence[str],
) -> DeclaredTask:
    """The declaration that the caller of our caller wrote; what a node would misread is refused here."""
    caller = sys._getframe(2)
    if sum(one is not None for one in (every, cron, trigger)) > 1:
        raise InvalidRequest(f"task {name!r}: one of every, cron and trigger, not several")
    if trigger is not None and not isinstance(trigger, Mapping):
        raise InvalidRequest(f"task {name!r}: trigger: an object, not {show(trigger)}")
    if timezone is not None and cron is None:
        raise InvalidRequest(f"task {name!r}: timezone: goes with cron only, not {show(timezone)}")
    if not isinstance(persistent, bool):
        raise InvalidRequest(f"task {name!r}: persistent: true or false, not {show(persistent)}")
    if isinstance(tags, str) or not isinstance(tags, Sequence):
        raise InvalidRequest(f"task {name!r}: tags: a list of texts, not {show(tags)}")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise InvalidRequest(f"task {name!r}: parameters: values by name, not {show(parameters)}")
    place = f"{caller.f_code.co_filename}:{caller.f_lineno}"
    return DeclaredTask(
        name, type_name, every, cron, timezone or "UTC", parameters or {}, persistent, tuple(tags), place, trigger
    )
