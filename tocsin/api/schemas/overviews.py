"""What operations that look at all tasks take and answer."""

from __future__ import annotations

from typing import Final

from actors.model.lifecycle import State
from actors.model.occurrence import Outcome, Reason
from actors.model.policy import CatchUp
from actors.store.handovers import Cause

from ...operations.overviews import BULK_ACTIONS, BULK_LIMIT, BULK_LIMIT_HIGH, MAX_DISCARD, MAX_SPREAD
from ...queue.jobs import LEVELS
from .answers import EXECUTION
from .parts import (
    BOOLEAN,
    DURATION,
    ID,
    INSTANT,
    NUMBER,
    TEXT,
    Schema,
    about,
    by_name,
    choice,
    closed,
    listed,
    nullable,
    ref,
    whole,
    whole_list,
)

_TASK: Final[dict[str, Schema]] = {"task": about(TEXT, "the task's name"), "taskType": TEXT}

_OF_TASK: Final[dict[str, Schema]] = {"taskId": ID, **_TASK}

_FIRE: Final = closed(
    {
        **_OF_TASK,
        "nominal": INSTANT,
        "assigned": about(INSTANT, "its place in the spread window; the nominal time if there is none"),
        "excludedBy": about(nullable(TEXT), "the calendar for which it will not run"),
        "partition": about(nullable(whole()), "null: a memory task"),
        "owner": about(nullable(TEXT), "the node that acts for it now"),
        "persistent": BOOLEAN,
    }
)

_FOLDED: Final = closed(
    {
        **_OF_TASK,
        "shown": about(whole(), "how many of its fires are in the list"),
        "after": about(INSTANT, "the last of them"),
        "next": about(INSTANT, "the first that is not"),
        "every": about(DURATION, "how long is between these two"),
    }
)

_REFUSED: Final = closed(
    {
        "task": about(TEXT, "its id; what was asked for, if there is none"),
        "name": nullable(TEXT),
        "error": TEXT,
        "code": about(TEXT, "the status it would have alone"),
        "message": TEXT,
    }
)

_BULK: Final = closed(
    {"action": choice(BULK_ACTIONS)},
    {
        "tasks": about(nullable(listed(TEXT, minItems=1)), "ids or names; instead of a filter"),
        "filter": about(
            nullable(
                closed(
                    {},
                    {
                        "status": nullable(TEXT),
                        "type": nullable(TEXT),
                        "text": about(nullable(TEXT), "a part of the name"),
                        "level": nullable(choice(LEVELS)),
                    },
                )
            ),
            "as in a list of tasks; the system's own never fit",
        ),
        "note": about(nullable(TEXT), "of a pause"),
        "dryRun": about(nullable(BOOLEAN), "only say how many tasks are meant"),
        "most": about(nullable(whole(1, BULK_LIMIT_HIGH)), f"refused if more tasks are meant; {BULK_LIMIT} if absent"),
    },
)

_PEAK: Final = closed(
    {
        "minute": INSTANT,
        "fires": whole(),
        "tasks": about(listed(closed({**_OF_TASK, "fires": whole()})), "those that start most often in it"),
        "others": about(whole(), "starts of all other tasks"),
    }
)

_SPREAD: Final = closed(
    {},
    {
        "minute": about(nullable(TEXT), "the time to which the crowded minute belongs, ISO 8601"),
        "tasks": about(
            nullable(listed(TEXT, minItems=1, maxItems=MAX_SPREAD)), "ids or names, instead of all of that minute"
        ),
        "within": about(nullable(TEXT), "a duration from 2m to 1d: how much later each may start; 10m if absent"),
    },
)

_TRUNCATED: Final = about(nullable(TEXT), "what is not counted, to read; null: everything is")

_OWED: Final[dict[str, Schema]] = {**_OF_TASK, "policy": choice(CatchUp)}

_SOME_TASKS: Final = listed(TEXT, minItems=1, maxItems=MAX_DISCARD)

_RECENT: Final = closed(
    {
        "nominal": about(nullable(INSTANT), "null: run by hand"),
        "last": about(nullable(INSTANT), "of a range of nominal times that did not run"),
        "count": about(nullable(whole()), "nominal times in the range; null: not counted yet"),
        "outcome": about(nullable(choice(Outcome)), "null: still open, or run by hand"),
        "reason": nullable(choice(Reason)),
        "state": about(nullable(choice(State)), "null: not run"),
        "executionId": nullable(ID),
        "startedAt": nullable(INSTANT),
        "durationMs": about(nullable(NUMBER), "from the first start to the end"),
        "attempts": whole(),
    }
)

OVERVIEW_BODIES: Final[dict[str, Schema]] = {
    "bulk": _BULK,
    "spread_load": _SPREAD,
    "preview_catch_up": closed(
        {}, {"tasks": about(nullable(_SOME_TASKS), "ids or names; all that are overdue if absent")}
    ),
    "discard_catch_up": closed(
        {"tasks": about(_SOME_TASKS, "ids or names")},
        {"dryRun": about(nullable(BOOLEAN), "only count the executions that are meant")},
    ),
}
"""Name of an operation -> its body."""

OVERVIEW_ANSWERS: Final[dict[str, Schema | None]] = {
    "find_executions": whole_list(
        closed({**EXECUTION, **_TASK}),
        offset=whole(),
        pageSize=whole(),
        more=about(BOOLEAN, "there are more rows than these"),
        reached=about(
            nullable(INSTANT), "so many rows were gone through that the look ended at this time: ask up to it"
        ),
    ),
    "recent": whole_list(closed({"taskId": ID, "outcomes": about(listed(_RECENT), "the oldest first")})),
    "upcoming": whole_list(
        _FIRE,
        folded=about(listed(_FOLDED), "tasks that fire more often than is shown of one"),
        more=about(BOOLEAN, "there are more rows than these"),
        complete=about(BOOLEAN, "false: it took too long, and some tasks were not looked at"),
        tasks=about(whole(), "tasks with a fire in the time that were looked at"),
        until=INSTANT,
        schedulerPaused=BOOLEAN,
        **{"from": INSTANT},
    ),
    "show_load": closed(
        {
            "from": about(INSTANT, "a whole minute"),
            "until": INSTANT,
            "minutes": whole(1),
            "total": whole(),
            "tasks": whole(),
            "triggers": about(whole(), "different ones among them"),
            "counts": about(
                listed(listed(whole(), minItems=2, maxItems=2)),
                "starts a minute, and for how many minutes",
            ),
            "peaks": about(listed(_PEAK), "the worst minutes, the worst first"),
            "truncated": _TRUNCATED,
        }
    ),
    "spread_load": closed(
        {
            "minute": INSTANT,
            "proposals": listed(
                closed(
                    {
                        **_OF_TASK,
                        "before": ref("ShownTrigger"),
                        "after": ref("ShownTrigger"),
                        "words": about(TEXT, "the trigger as it would be"),
                        "moves": about(TEXT, "how much later than its nominal times it would start"),
                    }
                )
            ),
            "left": about(listed(closed({**_OF_TASK, "why": TEXT})), "tasks that stay as they are"),
            "files": about(listed(closed({"name": TEXT, "text": TEXT})), "for a plan, and to be applied"),
            "worstBefore": about(whole(), "starts in the worst minute of the time in which they are moved"),
            "worstAfter": whole(),
            "truncated": _TRUNCATED,
        }
    ),
    "list_handovers": whole_list(
        closed(
            {
                "partition": whole(),
                "epoch": whole(1),
                "at": INSTANT,
                "node": about(nullable(TEXT), "that took it; null: no longer known"),
                "boot": TEXT,
                "from": nullable(TEXT),
                "fromBoot": nullable(TEXT),
                "cause": about(
                    choice(Cause),
                    "founded: nobody had it; restart: of the node that had it; balanced: a living node gave it away, to "
                    "balance or because it drains; left: that node ended in order; lost: its lease lapsed",
                ),
            }
        ),
        more=about(BOOLEAN, "there are more rows than these"),
    ),
    "show_catch_up": closed(
        {
            "paused": about(BOOLEAN, "the whole scheduler"),
            "rate": about(NUMBER, "executions that the governor lets start in a second"),
            "burst": whole(),
            "running": about(whole(), "of them at once"),
            "waiting": about(whole(), "executions that wait for the governor"),
            "last": about(nullable(INSTANT), "when the last of them may start"),
            "held": about(whole(), "executions that are held after a crash"),
            "overdue": about(whole(), "tasks whose next fire has come and is not settled"),
            "tasks": listed(
                closed(
                    {
                        **_OWED,
                        "waiting": whole(),
                        "oldest": nullable(INSTANT),
                        "newest": nullable(INSTANT),
                        "pending": about(BOOLEAN, "more of its times were promised to run"),
                        "held": whole(),
                        "overdue": about(nullable(INSTANT), "its next fire, which has come"),
                    }
                )
            ),
            "more": about(BOOLEAN, "there are more than these"),
        }
    ),
    "preview_catch_up": whole_list(
        closed(
            {
                **_OWED,
                "owed": about(nullable(whole()), "nominal times; null: too many to count at once"),
                "runs": whole(),
                "outcomes": about(by_name(whole()), "of those that would not run"),
                "first": INSTANT,
                "last": INSTANT,
                "complete": about(BOOLEAN, "false: this is the first step, others would follow"),
            }
        ),
        runs=whole(),
        more=about(BOOLEAN, "there are more tasks than these"),
    ),
    "discard_catch_up": closed(
        {"dryRun": BOOLEAN, "matched": whole(), "discarded": whole(), "refused": listed(_REFUSED), "more": BOOLEAN}
    ),
    "bulk": closed(
        {
            "action": choice(BULK_ACTIONS),
            "dryRun": BOOLEAN,
            "matched": about(whole(), "tasks that are meant"),
            "done": whole(),
            "refused": listed(_REFUSED),
            "more": about(BOOLEAN, "some were not come to in time: ask again"),
        }
    ),
    "show_tree": closed(
        {
            "name": TEXT,
            "here": about(BOOLEAN, "whether it is the node that answers"),
            "health": listed(TEXT),
            "scheduler": ref("Pause"),
            "tree": ref("Actor"),
        }
    ),
}
"""Name of an operation -> what it answers; None: nothing (204)."""
