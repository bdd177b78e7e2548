"""Policies as the Python interface takes them: durations with units, plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from actors.model.policy import CatchUp, OnCrash, Overlap, Policies
from actors.model.policy import Retry as RetryPolicy
from runtime.errors import InvalidRequest
from runtime.records import evolve

from .checks import check_policies, check_retry
from .durations import Duration, parse_duration
from .fields import one_of, show


@attrs.frozen
class Retry:
    """How often and how soon a failed execution is tried again.

    max_retries: after the first attempt; delay and cap: durations such as "30s"; backoff: "fixed" or "exponential" (by `factor`,
    up to `cap`); jitter: up to this part of the delay more, 0 to 1; retry_on, give_up_on: exception types or their names,
    an empty `retry_on` means every one. Raises InvalidRequest for a value out of range.
    """

    max_retries: int = 3
    delay: Duration = attrs.field(kw_only=True, default="60s")
    backoff: str = attrs.field(kw_only=True, default="fixed")
    factor: float = attrs.field(kw_only=True, default=2.0)
    cap: Duration = attrs.field(kw_only=True, default="1h")
    jitter: float = attrs.field(kw_only=True, default=0.0)
    retry_on: tuple[str | type[BaseException], ...] = attrs.field(kw_only=True, default=(), converter=tuple)
    give_up_on: tuple[str | type[BaseException], ...] = attrs.field(kw_only=True, default=(), converter=tuple)

    def __attrs_post_init__(self) -> None:
        check_retry(self.policy(), "retry")

    def policy(self) -> RetryPolicy:
        """The record that the scheduler keeps."""
        return RetryPolicy(
            self.max_retries,
            parse_duration(self.delay, "retry.delay"),
            one_of(self.backoff, "retry.backoff", ("fixed", "exponential")),
            self.factor,
            parse_duration(self.cap, "retry.cap"),
            self.jitter,
            tuple(_exception_name(entry) for entry in self.retry_on),
            tuple(_exception_name(entry) for entry in self.give_up_on),
        )


def _exception_name(entry: object) -> str:
    if isinstance(entry, str):
        return entry
    if isinstance(entry, type) and issubclass(entry, BaseException):
        return entry.__name__
    raise InvalidRequest(f"retry: an exception type or its name, not {show(entry)}")


def _retry(value: object, field: str) -> RetryPolicy:
    if isinstance(value, Retry):
        return value.policy()
    if isinstance(value, RetryPolicy):
        return value
    raise InvalidRequest(f"{field}: a Retry, not {show(value)}")


def _as_given(value: object, _field: str) -> object:
    return value


_READERS: Final[Mapping[str, Any]] = {
    "retry": _retry,
    "overlap": lambda value, field: one_of(value, field, Overlap),
    "catch_up": lambda value, field: one_of(value, field, CatchUp),
    "catch_up_limit": _as_given,
    "lateness_limit": parse_duration,
    "timeout": parse_duration,
    "heartbeat_timeout": parse_duration,
    "on_crash": lambda value, field: one_of(value, field, OnCrash),
    "priority": _as_given,
}


_CHANGED_KEPT: Final = 1_024
"""Different sets of policies remembered: programs that add many tasks give most of them the same."""

_CHANGED: Final[dict[tuple[object, ...], tuple[Policies, Policies]]] = {}
"""(identity of the base, what was changed) -> the base, which keeps its identity from being used again, and the result."""


def changed_policies(base: Policies, changes: Mapping[str, object]) -> Policies:
    """The policies with some changed, checked. Raises InvalidRequest naming the policy and its value."""
    key = (id(base), *changes.items())
    try:
        kept = _CHANGED.get(key)
    except TypeError:
        # A value that cannot be hashed is a wrong one: let its reader say so.
        return _changed(base, changes)
    if kept is not None and kept[0] is base:
        return kept[1]
    policies = _changed(base, changes)
    if len(_CHANGED) >= _CHANGED_KEPT:
        _CHANGED.clear()
    _CHANGED[key] = base, policies
    return policies


def _changed(base: Policies, changes: Mapping[str, object]) -> Policies:
    values = {name: _READERS[name](value, name) for name, value in changes.items() if value is not None}
    if not values:
        return base
    policies = evolve(base, **values)
    check_policies(policies)
    return policies
