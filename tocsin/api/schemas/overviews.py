"""What operations that look at all tasks take and answer."""

from __future__ import annotations

from typing import Final

from actors.model.lifecycle import State
from actors.model.occurrence import Outcome, Reason

from .answers import EXECUTION
from .parts import (
    BOOLEAN,
    ID,
    INSTANT,
    NUMBER,
    TEXT,
    Schema,
    about,
    choice,
    closed,
    listed,
    nullable,
    ref,
    whole,
    whole_list,
)

_TASK: Final[dict[str, Schema]] = {"task": about(TEXT, "the task's name"), "taskType": TEXT}

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

OVERVIEW_BODIES: Final[dict[str, Schema]] = {}
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
