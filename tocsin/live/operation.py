"""What may be asked of the stream of live events. It is no row of the table of operations: its answer has no end."""

from __future__ import annotations

from typing import Final

from runtime import errors

from ..operations.operation import INPUT, Argument, Operation

FOLLOW: Final = Operation(
    "follow_events",
    "GET",
    "/events",
    "What happens, as it happens, as Server-Sent Events; `Last-Event-ID` or `after` goes on after an event",
    "viewer",
    (
        Argument(
            "kind", "query", "text", "kinds of events, with commas between them: task, execution, progress, slots, node"
        ),
        Argument(
            "task", "query", "text", "id, prefix or name of one task; or ids with commas between them, 200 at most"
        ),
        Argument("execution", "query", "text", "ids of executions, with commas between them, 200 at most"),
        Argument("type", "query", "text", "a task type"),
        Argument("tag", "query", "text", "a tag of tasks"),
        Argument(
            "after",
            "query",
            "text",
            "the id of the last event that was seen, or an instant; a header Last-Event-ID goes before",
        ),
        Argument(
            "coalesce",
            "query",
            "text",
            "a duration from 50ms to 1s: of each interval the newest event about each subject, with the number `folded`",
        ),
        Argument(
            "per",
            "query",
            "text",
            "what the newest is of when coalesced: execution; or task, of whose executions the newest stands for all",
        ),
        Argument(
            "heartbeat",
            "query",
            "whole",
            "seconds after which an event says that nothing has happened; without it a comment does, after 15 s",
            low=1,
            high=60,
        ),
    ),
    errors=(*INPUT, errors.NotFound),
)
