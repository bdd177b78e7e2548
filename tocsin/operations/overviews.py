"""The rows of the table of operations that look at all tasks at once: what runs, what was lately, what comes."""

from __future__ import annotations

from typing import Final

from runtime import errors

from .operation import BODY, CHANGE, FIND, INPUT, MAX_PAGE, OFFSET, OPTIONAL_BODY, WRITE, Argument, Operation, limit_of

MAX_RECENT: Final = 100
"""Tasks of one question for their newest outcomes: a page of a list; and outcomes of each of them."""

BULK_ACTIONS: Final = ("pause", "activate", "cancel", "delete", "run", "retry", "resume")
"""What can be done with many tasks at once."""

BULK_LIMIT: Final = 1_000
"""Tasks of one change if no other number is said: what somebody may have looked at on pages, done within seconds."""

BULK_LIMIT_HIGH: Final = 10_000
"""Tasks of one change at most: what is done within a client's patience."""

ID_AND_COMMA: Final = 37
"""Characters of an id in a list of ids."""

MAX_SPREAD: Final = 1_000
"""Tasks that are moved apart at a time: a file that somebody can still look through."""

MAX_DISCARD: Final = 1_000
"""Tasks that are named at a time when what they are owed is looked at or dropped."""

_SINCE: Final = Argument("since", "query", "instant", "from this time on; an hour ago if absent")
_UNTIL: Final = Argument("until", "query", "instant", "up to this time; now if absent")

OVERVIEWS: Final = (
    Operation(
        "find_executions",
        "GET",
        "/executions",
        "Executions of all tasks: first those that are open or held, the newest first, then those that ended in the time, the "
        "last first; all filters combine",
        "viewer",
        (
            _SINCE,
            _UNTIL,
            Argument(
                "state", "query", "text", "one or more states with commas; HELD is CRASHED, OPEN what has not ended"
            ),
            Argument("type", "query", "text", "a task type"),
            Argument("task", "query", "text", "id, unique prefix of an id, or name of a task"),
            Argument("node", "query", "text", "the name of the node of the newest attempt"),
            OFFSET,
            limit_of(100),
        ),
        errors=(*INPUT, *FIND),
    ),
    Operation(
        "recent",
        "GET",
        "/recent",
        "What became of the newest nominal times and runs of some tasks, the oldest first; unknown tasks are left out",
        "viewer",
        (
            Argument(
                "tasks",
                "query",
                "text",
                f"ids with commas, at most {MAX_RECENT}",
                required=True,
                high=MAX_RECENT * ID_AND_COMMA,
            ),
            Argument("count", "query", "whole", "how many of each task", default=20, low=1, high=MAX_RECENT),
        ),
        errors=INPUT,
    ),
    Operation(
        "upcoming",
        "GET",
        "/upcoming",
        "The coming fires of all tasks in one order; of a task that fires very often the first ones and how it goes on",
        "viewer",
        (
            Argument("from", "query", "instant", "from this time on; now if absent"),
            Argument("until", "query", "instant", "up to this time, at most 31 days later; an hour later if absent"),
            Argument("task", "query", "text", "id, unique prefix of an id, or name: of this task only"),
            Argument("each", "query", "whole", "fires of one task at most", default=20, low=1, high=MAX_PAGE),
            Argument("limit", "query", "whole", "rows at most", default=200, low=1, high=MAX_PAGE),
        ),
        errors=(*INPUT, *FIND),
    ),
    Operation(
        "show_load",
        "GET",
        "/load",
        "How many tasks start in each minute of the coming days, and which crowd together",
        "viewer",
        (
            Argument("from", "query", "instant", "from this time on; now if absent"),
            Argument("days", "query", "whole", "how many days", default=7, low=1, high=31),
        ),
        errors=INPUT,
    ),
    Operation(
        "spread_load",
        "POST",
        "/load/spread",
        "How to move the tasks of a crowded minute apart, as a file to plan and apply; body: minute, tasks, within",
        "viewer",
        (BODY,),
        errors=(*INPUT, *FIND),
    ),
    Operation(
        "show_catch_up",
        "GET",
        "/catchup",
        "What is owed from a time without nodes or from a pause, by task, and the pace at which it is made up for",
        "viewer",
    ),
    Operation(
        "preview_catch_up",
        "POST",
        "/catchup/preview",
        "What would run and what would not of all that is overdue, if it were decided now; body: tasks",
        "viewer",
        (OPTIONAL_BODY,),
        errors=(*INPUT, *FIND),
    ),
    Operation(
        "discard_catch_up",
        "POST",
        "/catchup/discard",
        "End what waits for the governor of some tasks: it is skipped; body: tasks, dryRun",
        "operator",
        (BODY,),
        errors=(*INPUT, *WRITE),
    ),
    Operation(
        "bulk",
        "POST",
        "/bulk",
        "Do the same with many tasks; body: action, tasks or filter (status, type, text, level), note, dryRun, most",
        "operator",
        (BODY,),
        errors=(*INPUT, errors.Forbidden, *CHANGE),
    ),
    Operation(
        "list_handovers",
        "GET",
        "/partitions/history",
        "Which node took each partition from which, when and why, the newest first; all filters combine",
        "viewer",
        (
            Argument("since", "query", "instant", "from this time on; a day ago if absent"),
            _UNTIL,
            Argument("partition", "query", "whole", "of this partition", high=2**31 - 1),
            Argument("node", "query", "text", "which this node took or gave"),
            limit_of(100),
        ),
        errors=INPUT,
    ),
    Operation(
        "show_tree",
        "GET",
        "/nodes/{node}/tree",
        "The tree of actors of a node, with mailboxes and restarts",
        "viewer",
        (Argument("node", "path", "text", "a node's name", required=True),),
        errors=(*FIND, errors.PeerUnreachable, errors.ReplyTimeout),
    ),
)
