"""Records of the audit log: what a change was before and after.

What people put into parameters, and into the addresses, headers and texts of event triggers, may be secret: of these the record
says which were changed, never what they were. Long values are told by their hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from runtime.clock import Instant

from ..model.document import encode_definition
from ..model.system import origin_of
from ..model.task import Definition, Task
from ..store.port import Audit

LONGEST: Final = 300
"""Characters of one value in a record; a longer one is there by its hash."""

HIDDEN: Final = "***"
"""In the place of a value that may be secret."""

_STATE: Final = ("phase", "note")
"""What of a task's state people change."""


def created(actor: str, definition: Definition, now: Instant) -> Audit:
    """Of a task that was made: its definition is told by name, type and hash, for it is kept as the first revision."""
    change = _text({"after": _told(definition)})
    return Audit(now, str(actor), "CreateTask", definition.id, "", definition.tenant, origin_of(actor), change)


def changed(actor: str, action: str, former: Task, task: Task | None, now: Instant, execution: str | None) -> Audit:
    """Of a command that changed a task. `task`: as it is now, None if it is gone; `execution`: the one that was meant."""
    definition = former.definition
    guard = {"version": former.state.version, "fence": former.state.fence}
    if task is None:
        change: dict[str, Any] = {"before": _told(definition)}
    else:
        before, after = differences(definition, task.definition)
        for name in _STATE:
            old, new = getattr(former.state, name), getattr(task.state, name)
            if old != new:
                before[name], after[name] = _short(old), _short(new)
        change = {"before": before, "after": after}
    detail = "" if execution is None else execution
    return Audit(
        now, str(actor), action, definition.id, detail, definition.tenant, origin_of(actor), _text({**guard, **change})
    )


def differences(before: Definition, after: Definition) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields that are not the same, as they were and as they are."""
    old: dict[str, Any] = {}
    new: dict[str, Any] = {}
    if before is after or before == after:
        return old, new
    documents = [json.loads(encode_definition(one)) for one in (before, after)]
    for name in sorted(documents[0].keys() | documents[1].keys()):
        pair = [document.get(name) for document in documents]
        if pair[0] != pair[1]:
            old[name], new[name] = _hidden(pair) if name in ("parameters", "events") else map(_short, pair)
    if before.extra != after.extra:
        old["extra"] = new["extra"] = HIDDEN
    return old, new


def _told(definition: Definition) -> dict[str, Any]:
    return {"name": definition.name, "type": definition.type, "definition": _hash(encode_definition(definition))}


def _hidden(pair: list[Any]) -> tuple[Any, Any]:
    """Of an object's text the keys whose values differ; of anything else nothing but that it differs."""
    objects = [json.loads(one) if isinstance(one, str) else one or {} for one in pair]
    if not all(isinstance(one, dict) for one in objects):
        return HIDDEN, HIDDEN
    old, new = objects
    same = {key for key in old.keys() & new.keys() if old[key] == new[key]}
    return _keys(old, same), _keys(new, same)


def _keys(given: dict[str, Any], same: set[str]) -> Any:
    return _short(dict.fromkeys(sorted(given.keys() - same), HIDDEN))


def _short(value: Any) -> Any:
    text = _text(value)
    return value if len(text) <= LONGEST else _hash(text)


def _hash(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode(errors='replace')).hexdigest()}"


def _text(value: Mapping[str, Any] | Any) -> str:
    return json.dumps(value, separators=(",", ":"), default=str)
