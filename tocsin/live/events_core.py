"""Live events: what they look like, who sees which, and where in their streams somebody is. Pure.

Each node numbers what it commits; a *position* names for every node, by the tag of its process, the last number that was seen,
and the instant of it. The id of an event is the position after it, as a text. So an id means the same at every node of a cluster.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from actors.live.entries import Entry, Kind, NodeChange, Step, TaskChange
from actors.model.execution import Execution
from actors.model.occurrence import Settled
from actors.model.scope import Scope
from actors.model.task import Definition
from runtime.clock import MILLISECOND, SECOND, Instant, Micros
from runtime.errors import InvalidRequest

from ..durations import parse_duration
from ..vocabulary.fields import parse_instant, show_instant

Json = dict[str, Any]

KINDS: Final = tuple(kind.value for kind in Kind)

MESSAGE: Final = 1_000
"""Characters of a failure's message in an event; the execution has all of it."""

MOST_NODES: Final = 64
"""Nodes that a position may name, far more than a cluster has."""

PER: Final = ("execution", "task")
"""What coalesced events are about: each execution has a newest one, or each task."""

MOST_IDS: Final = 200
"""Tasks or executions that one stream names: what a page shows, in an address that proxies take."""

LEAST_INTERVAL: Final = Micros(50 * MILLISECOND)
"""Below it nothing is folded, and half of what the hub takes to look."""

MOST_INTERVAL: Final = Micros(SECOND)
"""More than that people do not call live, and the ring holds twice as much."""

_WHOLE_ID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ID: Final = re.compile(r"(\d{1,19})((?:_[0-9a-z-]{1,36}\.\d{1,18})*)")


@attrs.frozen
class Position:
    """Where in the streams of the nodes somebody is: up to which number, by tag, and when that was."""

    at: Instant
    numbers: Mapping[str, int]

    def text(self) -> str:
        """As the id of an event."""
        parts = (f"_{tag}.{number}" for tag, number in sorted(self.numbers.items()))
        return f"{self.at:d}{''.join(parts)}"


def read_position(text: str) -> Position:
    """The position that an id says, or an instant (RFC 3339). Raises InvalidRequest for a text that is neither."""
    if "T" in text:
        # A plus sign in a query means a space unless it was escaped.
        return Position(parse_instant(text.replace(" ", "+"), "after"), {})
    found = _ID.fullmatch(text)
    if found is None:
        raise InvalidRequest("after: the id of an event, as it came with it, or an instant")
    pairs = [part.rsplit(".", 1) for part in found[2].split("_")[1:]]
    if len(pairs) > MOST_NODES:
        raise InvalidRequest(f"after: at most {MOST_NODES} nodes")
    return Position(Instant(int(found[1])), {tag: int(number) for tag, number in pairs})


@attrs.frozen
class LiveEvent:
    """An event as it travels from node to node, and is told. `owner`, `tenant`: whose it is; both None: everybody's."""

    number: int
    at: int
    kind: str
    data: Json
    tenant: str | None = None
    owner: str | None = None

    def travelling(self) -> list[Any]:
        """As another node is told."""
        return [self.number, self.at, self.kind, self.data, self.tenant, self.owner]


def arrived(told: object) -> LiveEvent:
    """An event that another node has told. Raises ValueError, TypeError for what is none."""
    if not isinstance(told, list):
        raise TypeError("an event is a list")
    number, at, kind, data, tenant, owner = told
    return LiveEvent(int(number), int(at), str(kind), dict(data), tenant, owner)


@attrs.frozen
class Wanted:
    """Which events somebody wants; empty and None: all that he may see. `tasks`, `executions`: ids.

    Who wants executions gets what is about them and nothing else.
    """

    scope: Scope
    kinds: frozenset[str] = frozenset()
    tasks: frozenset[str] = frozenset()
    type: str | None = None
    tag: str | None = None
    executions: frozenset[str] = frozenset()

    def has(self, event: LiveEvent) -> bool:
        """Whether an event is among them."""
        if self.kinds and event.kind not in self.kinds:
            return False
        if event.tenant is None:
            return not self.tasks and not self.executions and self.type is None and self.tag is None
        if self.scope.tenant not in (None, event.tenant) or self.scope.owner not in (None, event.owner):
            return False
        if self.executions and event.data.get("execution", {}).get("id") not in self.executions:
            return False
        task = event.data["task"]
        return (
            (not self.tasks or task["itemId"] in self.tasks)
            and self.type in (None, task["taskType"])
            and (self.tag is None or self.tag in task["tags"])
        )


@attrs.frozen
class Wish:
    """How somebody follows: which events, and coalesced to the newest of each interval (0: each as it happens).

    `by_task`: coalesced, the newest execution of a task stands for its others.
    """

    wanted: Wanted
    coalesce: Micros = Micros(0)
    by_task: bool = False


def read_kinds(text: str | None) -> frozenset[str]:
    """Kinds of events, with commas between them. Raises InvalidRequest for one that there is not."""
    found = frozenset(part.strip() for part in text.split(",")) if text else frozenset()
    if unknown := sorted(found - set(KINDS)):
        raise InvalidRequest(f"kind: {', '.join(KINDS)}, not {unknown[0][:64]!r}")
    return found


def read_ids(text: str | None, name: str) -> frozenset[str]:
    """Ids, with commas between them. Raises InvalidRequest for what is none, and for too many."""
    found = frozenset(part.strip().lower() for part in text.split(",")) if text else frozenset()
    if wrong := sorted(one for one in found if not is_id(one)):
        raise InvalidRequest(f"{name}: whole ids with commas between them, not {wrong[0][:64]!r}")
    if len(found) > MOST_IDS:
        raise InvalidRequest(f"{name}: at most {MOST_IDS} ids, not {len(found)}")
    return found


def is_id(text: str) -> bool:
    """Whether it has the form of a whole id."""
    return _WHOLE_ID.fullmatch(text) is not None


def read_per(text: str | None) -> bool:
    """Whether the newest execution of a task stands for its others. Raises InvalidRequest."""
    if text not in (None, *PER):
        raise InvalidRequest(f"per: {' or '.join(PER)}, not {text[:64]!r}")
    return text == PER[1]


def read_interval(text: str | None) -> Micros:
    """How long events are gathered before the newest ones are told; 0 for None. Raises InvalidRequest."""
    if text is None:
        return Micros(0)
    found = parse_duration(text, "coalesce")
    if not LEAST_INTERVAL <= found <= MOST_INTERVAL:
        raise InvalidRequest(f"coalesce: from 50ms to 1s, not {text[:64]!r}")
    return found


def event_of(entry: Entry, node: str) -> LiveEvent:
    """An entry of the journal of the node with this name as an event."""
    data: Json = {"at": show_instant(entry.at), "kind": entry.kind.value, "node": node}
    definition = entry.definition
    if definition is None:
        return LiveEvent(entry.number, entry.at, entry.kind.value, data | _about(entry))
    data["task"] = _task(definition)
    return LiveEvent(
        entry.number, entry.at, entry.kind.value, data | _about(entry), definition.tenant, definition.owner
    )


def _task(definition: Definition) -> Json:
    return {
        "itemId": definition.id,
        "name": definition.name,
        "taskType": definition.type,
        "tags": list(definition.tags),
        "tenant": definition.tenant,
    }


def _about(entry: Entry) -> Json:
    match entry.what:
        case TaskChange(audit=audit, task=task):
            change = {"action": audit.action, "actor": audit.actor, "detail": audit.detail}
            return {"change": change, "status": task.state.status.value, "phase": task.state.phase.value}
        case Execution():
            return {"execution": _execution(entry.what)}
        case Step(execution_id=execution_id, progress=progress):
            return {"execution": {"id": execution_id}, "progress": json.loads(progress)}
        case Settled():
            return {"slots": _slots(entry.what)}
        case NodeChange(change=change, peer=peer):
            standing = {"name": peer.name, "boot": peer.boot, "standing": peer.standing.value}
            return {"member": standing | {"change": change, "draining": peer.draining}}


def _execution(execution: Execution) -> Json:
    failure = execution.failure
    return {
        "id": execution.id,
        "kind": execution.kind.value,
        "state": execution.state.value,
        "waitsFor": execution.waits_for and execution.waits_for.value,
        "retryAt": show_instant(execution.due),
        "nominal": show_instant(execution.nominal),
        "outcome": execution.outcome and execution.outcome.value,
        "reason": execution.reason and execution.reason.value,
        "attempt": execution.attempt,
        "node": execution.node,
        "correlation": execution.correlation,
        "startedAt": show_instant(execution.started_at),
        "endedAt": show_instant(execution.ended_at),
        "failure": failure and {"type": failure.type, "message": failure.message[:MESSAGE]},
    }


def _slots(settled: Settled) -> Json:
    return {
        "first": show_instant(settled.first),
        "last": show_instant(settled.last),
        "count": settled.count,
        "outcome": settled.outcome.value,
        "reason": settled.reason.value,
    }
