"""Policies as JSON and Python give them, and as they are shown.

Both go through the vocabulary's table. A limit that belongs to one choice (`catchUpLimit` to `catchUp: all`) is refused with any
other, goes back to its default when the choice is changed, and is shown as null where it does not apply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import attrs

from actors.model.policy import DEFAULT_POLICIES, CatchUp, Concurrency, Overlap, Policies
from actors.model.policy import Retry as RetryPolicy
from runtime.errors import InvalidRequest
from runtime.records import evolve

from ..durations import Duration
from ..settings.config import suggestion
from .fields import show
from .kinds import read_object, show_object, snake
from .words import CONCURRENCY, POLICIES, RETRY

_RETRY_FIELDS: Final = {one.attribute: one for one in RETRY}


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
    retry_on: tuple[str | type[BaseException], ...] = attrs.field(kw_only=True, default=())
    give_up_on: tuple[str | type[BaseException], ...] = attrs.field(kw_only=True, default=())

    def __attrs_post_init__(self) -> None:
        self.policy()

    def policy(self) -> RetryPolicy:
        """The record that the scheduler keeps."""
        values: dict[str, object] = {
            name: _exception_names(value, name) if name in ("retry_on", "give_up_on") else value
            for name, value in attrs.asdict(self, recurse=False).items()
        }
        return RetryPolicy(**{
            name: one.read(values[name], f"retry.{name}") for name, one in _RETRY_FIELDS.items()
        })  # fmt: skip


def _exception_names(value: object, name: str) -> list[str]:
    if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
        raise InvalidRequest(f"retry.{name}: exception types or their names, not {show(value)}")
    return [_exception_name(entry, name) for entry in value]


def _exception_name(entry: object, name: str) -> str:
    if isinstance(entry, str):
        return entry
    if isinstance(entry, type) and issubclass(entry, BaseException):
        return entry.__name__
    raise InvalidRequest(f"retry.{name}: an exception type or its name, not {show(entry)}")


def _retry(value: object, field: str) -> RetryPolicy:
    if isinstance(value, Retry):
        return value.policy()
    if isinstance(value, RetryPolicy):
        return value
    raise InvalidRequest(f"{field}: a Retry, not {show(value)}")


def _concurrency(values: Mapping[str, Any] | None, base: Concurrency | None, field: str) -> Concurrency | None:
    """The values over what there is; a new key begins with a lock."""
    if values is None:
        return None
    key = values.get("key", base.key if base is not None else None)
    if key is None:
        raise InvalidRequest(f"{field}.key: required")
    limit = base.limit if base is not None and base.key == key else 1
    return Concurrency(key, values.get("limit", limit))


BELONGS: Final = {
    "overlap_limit": ("overlap", Overlap.QUEUE_ALL),
    "catch_up_limit": ("catch_up", CatchUp.ALL),
    "catch_up_spacing": ("catch_up", CatchUp.ALL),
}
"""A limit -> the choice that it belongs to."""

_KEYS: Final = {one.attribute: one.key for one in POLICIES}


def _settled(
    base: Policies, changes: dict[str, Any], given: Mapping[str, object], name: Callable[[str], str]
) -> Policies:
    """The policies with the changes. `given`: the limits as they were written, by attribute."""
    for limit, (choice, wanted) in BELONGS.items():
        chosen = changes.get(choice, getattr(base, choice))
        if chosen is wanted:
            continue
        if given.get(limit) is not None:
            raise InvalidRequest(
                f"{name(limit)}: goes with {name(choice)} {wanted}, not with {chosen}: {show(given[limit])}"
            )
        changes[limit] = getattr(DEFAULT_POLICIES, limit)
    return evolve(base, **changes)


def read_policies(value: object, base: Policies, path: str = "policies") -> Policies:
    """The policies that JSON describes; a field that it lacks has the base's value. Raises InvalidRequest."""
    values = read_object(value, POLICIES, path)
    assert isinstance(value, Mapping)
    given = {one.attribute: value[one.key] for one in POLICIES if one.key in value}
    if "retry" in values:
        values["retry"] = attrs.evolve(base.retry, **values["retry"])
    if "concurrency" in values:
        values["concurrency"] = _concurrency(values["concurrency"], base.concurrency, f"{path}.concurrency")
    return _settled(base, values, given, lambda attribute: f"{path}.{_KEYS[attribute]}")


def policies_json(policies: Policies) -> dict[str, Any]:
    """Every policy with its value; null for a limit that there is not, or that does not apply."""
    return dict(_policies_json(policies))


@lru_cache(maxsize=256)
def _policies_json(policies: Policies) -> dict[str, Any]:
    """Remembered, because nearly all tasks of a list have the same ones."""
    shown = show_object(policies, POLICIES)
    for limit, (choice, wanted) in BELONGS.items():
        if getattr(policies, choice) is not wanted:
            shown[_KEYS[limit]] = None
    return shown


def policy_sources(policies: Policies, of_type: Policies | None) -> dict[str, str]:
    """Where each policy comes from: `default`, the task's `type`, or the `task` itself."""
    usual = of_type or DEFAULT_POLICIES

    def source(attribute: str) -> str:
        value = getattr(policies, attribute)
        if value != getattr(usual, attribute):
            return "task"
        return "default" if value == getattr(DEFAULT_POLICIES, attribute) else "type"

    return {one.key: source(one.attribute) for one in POLICIES}


_BY_NAME: Final = {snake(one.key): one for one in POLICIES}
"""Policies as Python names them."""

POLICY_NAMES: Final = tuple(_BY_NAME)

_CHANGED_KEPT: Final = 1_024
"""Different sets of policies remembered: programs that add many tasks give most of them the same."""

_CHANGED: Final[dict[tuple[object, ...], tuple[Policies, Policies]]] = {}
"""(identity of the base, what was changed) -> the base, which keeps its identity from being used again, and the result."""


def changed_policies(base: Policies, changes: Mapping[str, object]) -> Policies:
    """The policies with some changed, by their names in Python; None for one that was not said. Raises InvalidRequest."""
    key = (id(base), *changes.items())
    try:
        kept = _CHANGED.get(key)
    except TypeError:
        # A value that cannot be hashed is a wrong one, or an object as JSON has it.
        return _changed(base, changes)
    # 1 and True are the same key, and only one of them is a number.
    if kept is not None and kept[0] is base and not any(isinstance(value, bool | float) for value in changes.values()):
        return kept[1]
    policies = _changed(base, changes)
    if len(_CHANGED) >= _CHANGED_KEPT:
        _CHANGED.clear()
    _CHANGED[key] = base, policies
    return policies


def _changed(base: Policies, changes: Mapping[str, object]) -> Policies:
    values, given = {}, {}
    for name, value in changes.items():
        if value is None:
            continue
        one = _BY_NAME.get(name)
        if one is None:
            raise InvalidRequest(f"unknown policy {show(name)}{suggestion(name, list(_BY_NAME))}")
        given[one.attribute] = value
        values[one.attribute] = _read_python(base, name, value)
    return _settled(base, values, given, lambda attribute: snake(_KEYS[attribute])) if values else base


def _read_python(base: Policies, name: str, value: object) -> Any:
    if name == "retry":
        return _retry(value, name)
    if name == "concurrency":
        if isinstance(value, Concurrency):
            value = {one.key: getattr(value, one.attribute) for one in CONCURRENCY}
        return _concurrency(_BY_NAME[name].read(value, name), base.concurrency, name)
    return _BY_NAME[name].read(value, name)
