"""The decorator that makes a function a handler, and the tasks declared beside their handlers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeVar

import attrs

from actors.handling.catalogue import DECLARED, task_type
from actors.model.policy import DEFAULT_POLICIES
from runtime.errors import InvalidRequest

from .durations import Duration
from .policies import Retry, changed_policies

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


DECLARED_TASKS: Final[dict[str, DeclaredTask]] = {}
"""By name. Filled by the decorator and by `declare` when a module is loaded."""


def task(
    name: str,
    *,
    isolation: Literal["process"] | None = None,
    retry: Retry | None = None,
    timeout: Duration | None = None,
    heartbeat_timeout: Duration | None = None,
    overlap: str | None = None,
    catch_up: str | None = None,
    lateness_limit: Duration | None = None,
    on_crash: str | None = None,
    priority: int | None = None,
    every: Duration | None = None,
    cron: str | None = None,
    timezone: str = "UTC",
    parameters: Mapping[str, Any] | None = None,
    persistent: bool = True,
    tags: tuple[str, ...] = (),
) -> Callable[[H], H]:
    """Register a function as the handler of a task type.

    An async function runs in the node's loop, a plain one in a thread, with `isolation="process"` in a process of its own. The
    policies are the defaults of every task of this type. With `every` or `cron` a task of the same name is made when a node
    starts. Raises InvalidRequest naming field and value.
    """
    _check_trigger(name, every, cron)
    changes = {
        "retry": retry,
        "timeout": timeout,
        "heartbeat_timeout": heartbeat_timeout,
        "overlap": overlap,
        "catch_up": catch_up,
        "lateness_limit": lateness_limit,
        "on_crash": on_crash,
        "priority": priority,
    }
    policies = changed_policies(DEFAULT_POLICIES, changes)

    def register(function: H) -> H:
        DECLARED.register(task_type(name, function, isolation=isolation, policies=policies))
        if every is not None or cron is not None:
            DECLARED_TASKS[name] = DeclaredTask(
                name, name, every, cron, timezone, parameters or {}, persistent, tuple(tags)
            )
        return function

    return register


def declare(
    name: str,
    type_name: str,
    *,
    every: Duration | None = None,
    cron: str | None = None,
    timezone: str = "UTC",
    parameters: Mapping[str, Any] | None = None,
    persistent: bool = True,
    tags: tuple[str, ...] = (),
) -> None:
    """Declare a task of a type whose handler stands elsewhere, a built-in one for example, as `task` does with a trigger.

    It is made when a node starts that has the type. Raises InvalidRequest naming field and value.
    """
    if every is None and cron is None:
        raise InvalidRequest(f"task {name!r}: every or cron is required")
    _check_trigger(name, every, cron)
    DECLARED_TASKS[name] = DeclaredTask(
        name, type_name, every, cron, timezone, parameters or {}, persistent, tuple(tags)
    )


def _check_trigger(name: str, every: Duration | None, cron: str | None) -> None:
    if every is not None and cron is not None:
        raise InvalidRequest(f"task {name!r}: every or cron, not both")
