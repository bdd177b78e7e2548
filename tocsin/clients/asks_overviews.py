"""What can be asked about all tasks at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .asking_core import Ask
from .giving import Json, Time, body_of, time_of, whole
from .records import ExecutionInfo, NodeRef, TaskRef, list_reader
from .references_core import reference


def find_executions(
    *,
    since: Time | None = None,
    until: Time | None = None,
    states: Sequence[str] = (),
    type: str | None = None,  # noqa: A002
    task: TaskRef | None = None,
    node: NodeRef | None = None,
    offset: int = 0,
    limit: int = 100,
) -> Ask[tuple[ExecutionInfo, ...]]:
    """Executions of all tasks: first what is open or held, the newest first, then what ended in the time, the last first.

    since, until: an hour ago and now if not said. states: such as RUNNING, or HELD and OPEN for some together; none: any.
    """
    span = {"since": time_of(since, "since"), "until": time_of(until, "until"), "state": ",".join(states) or None}
    of = {"type": type, "task": task, "node": node, "offset": offset, "limit": limit}
    return Ask("find_executions", {**span, **of}, list_reader(ExecutionInfo))


def recent(tasks: Sequence[TaskRef], *, count: int = 20) -> Ask[dict[str, list[dict[str, Any]]]]:
    """What became of the newest `count` nominal times and runs of some tasks, the oldest first, by the tasks' ids.

    tasks: ids, at most 100; unknown ones are left out.
    """
    ids = ",".join(str(reference(task, "task")) for task in tasks)
    return Ask(
        "recent",
        {"tasks": ids, "count": count},
        lambda value: {one["taskId"]: one["outcomes"] for one in value["list"]},
    )


def upcoming(
    *,
    begin: Time | None = None,
    until: Time | None = None,
    task: TaskRef | None = None,
    each: int = 20,
    limit: int = 200,
) -> Ask[dict[str, Any]]:
    """The coming fires of all tasks in one order, as JSON: `list`, and `folded` of tasks that fire more than `each` times.

    begin, until: from now on, and an hour later, if not said; at most 31 days.
    """
    span = {"from": time_of(begin, "from"), "until": time_of(until, "until")}
    return Ask("upcoming", {**span, "task": task, "each": each, "limit": limit}, whole)


def show_load(*, begin: Time | None = None, days: int = 7) -> Ask[dict[str, Any]]:
    """How many tasks start in each minute of the coming days, as JSON. begin: now if not said."""
    return Ask("show_load", {"from": time_of(begin, "from"), "days": days}, whole)


def spread_load(
    *, minute: Time | None = None, tasks: Sequence[TaskRef] | None = None, within: str | None = None
) -> Ask[dict[str, Any]]:
    """How to move the tasks of a crowded minute, or some, apart; nothing is changed.

    `files` of the JSON are for `plan` and `apply_plan`. within: how much later each may start, a duration, 10m if not said.
    """
    ids = None if tasks is None else [reference(task, "task") for task in tasks]
    return Ask("spread_load", {"body": body_of(minute=time_of(minute, "minute"), tasks=ids, within=within)}, whole)


def list_handovers(
    *,
    since: Time | None = None,
    until: Time | None = None,
    partition: int | None = None,
    node: NodeRef | None = None,
    limit: int = 100,
) -> Ask[tuple[dict[str, Any], ...]]:
    """Which node took each partition from which, when and why, the newest first; of the last day if not said otherwise."""
    span = {"since": time_of(since, "since"), "until": time_of(until, "until")}
    of = {"partition": partition, "node": node, "limit": limit}
    return Ask("list_handovers", {**span, **of}, lambda value: tuple(value["list"]))


def show_catch_up() -> Ask[dict[str, Any]]:
    """What is owed from a time without nodes or from a pause, by task, and the pace at which it is made up for, as JSON."""
    return Ask("show_catch_up", {}, whole)


def preview_catch_up(tasks: Sequence[TaskRef] | None = None) -> Ask[dict[str, Any]]:
    """What would run and what would not of all that is overdue, or of some tasks, if it were decided now, as JSON."""
    ids = None if tasks is None else [reference(task, "task") for task in tasks]
    return Ask("preview_catch_up", {"body": body_of(tasks=ids)}, whole, repeatable=True)


def discard_catch_up(tasks: Sequence[TaskRef], *, dry_run: bool = False) -> Ask[dict[str, Any]]:
    """End what waits for the governor of some tasks: it is skipped. dry_run: only count it. JSON: matched, discarded, refused."""
    ids = [reference(task, "task") for task in tasks]
    return Ask("discard_catch_up", {"body": body_of(tasks=ids, dry_run=dry_run)}, whole)


def bulk(
    action: str,
    tasks: Sequence[TaskRef] | None = None,
    *,
    filter: Json | None = None,  # noqa: A002
    note: str | None = None,
    dry_run: bool = False,
    most: int | None = None,
) -> Ask[dict[str, Any]]:
    """Do the same with many tasks: pause, activate, cancel, delete, run, retry or resume. JSON: matched, done, refused, more.

    tasks: ids or names; instead of them filter: status, type, text, level. dry_run: only say how many are meant. most: refused if
    there are more, 1,000 if not said. Raises InvalidRequest, TooLarge.
    """
    ids = None if tasks is None else [reference(task, "task") for task in tasks]
    body = body_of(action=action, tasks=ids, filter=filter, note=note, dry_run=dry_run, most=most)
    return Ask("bulk", {"body": body}, whole)


def show_tree(node: NodeRef) -> Ask[dict[str, Any]]:
    """The tree of actors of a node of the cluster, with mailboxes, restarts and last errors. Raises NotFound, PeerUnreachable."""
    return Ask("show_tree", {"node": node}, whole)
