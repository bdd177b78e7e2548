"""Records: immutable by the type checker's word, and quick to make and to change.

`@record` is `attrs.frozen` to the type checker, which refuses every assignment to a field. At run time the class is not
guarded: a guarded constructor takes four times as long (1.6 against 0.4 microseconds for 28 fields), and a fire makes a dozen
records. Nobody changes one but `evolve`, which makes a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs

if TYPE_CHECKING:
    from attrs import frozen as record
else:
    record = attrs.define(unsafe_hash=True)

__all__ = ["evolve", "record"]

T = TypeVar("T")

_PLANS: Final[dict[type, tuple[Callable[[Any], tuple[Any, ...]], dict[str, int]]]] = {}


def evolve(record: T, **changes: Any) -> T:
    """A copy of a frozen attrs record with some fields changed; all fields must be taken by `__init__` in order.

    The same as `attrs.evolve` at a fifth of its time: the fields are read by one `attrgetter` and given by position.
    Raises KeyError for a field that the record does not have.
    """
    kind = type(record)
    plan = _PLANS.get(kind)
    if plan is None:
        names = [field.name for field in attrs.fields(cast(Any, kind))]
        plan = _PLANS[kind] = attrgetter(*names), {name: index for index, name in enumerate(names)}
    read, index = plan
    if not changes:
        return kind(*read(record))
    values = list(read(record))
    for name in changes:
        values[index[name]] = changes[name]
    return kind(*values)
