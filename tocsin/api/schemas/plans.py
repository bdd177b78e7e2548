"""What files of definitions take and answer."""

from __future__ import annotations

from typing import Final, get_args

from actors.model.lifecycle import Phase

from ...plans.documents import MAX_FILES
from ...plans.exporting import FORMATS
from ...plans.planning import MOST_FIRES, Action
from ...vocabulary.words import MAX_LABEL
from .parts import (
    ANY,
    BOOLEAN,
    INSTANT,
    TEXT,
    Schema,
    about,
    choice,
    closed,
    listed,
    nullable,
    whole,
)

_FILES: Final = listed(
    closed({"name": about(TEXT, "for messages"), "text": about(TEXT, "YAML or JSON")}), minItems=1, maxItems=MAX_FILES
)

_REQUEST: Final = closed(
    {"files": _FILES},
    {
        "owner": about(
            nullable({"type": "string", "minLength": 1, "maxLength": MAX_LABEL}), "the label of what the files own"
        ),
        "prune": about(nullable(BOOLEAN), "delete what has that label and is in none of the files"),
        "fires": about(nullable(whole(0, MOST_FIRES)), "how many next times of each task are compared"),
        "digest": about(nullable(TEXT), "of the plan that was shown: refused if it would be another one by now"),
    },
)

_FIELD: Final = closed({"field": TEXT, "before": ANY, "after": ANY})
_ACTIONS: Final = choice(get_args(Action))

_FIRES: Final = closed(
    {
        "before": nullable(INSTANT),
        "after": nullable(INSTANT),
        "through": about(nullable(INSTANT), "up to here the times are compared; null: to the end of both"),
        "kept": whole(),
        "appear": listed(INSTANT),
        "disappear": listed(INSTANT),
        "moved": listed(closed({"from": INSTANT, "to": INSTANT})),
    }
)

_CHANGE: Final = closed(
    {
        "actions": listed(_ACTIONS),
        "name": TEXT,
        "id": nullable(TEXT),
        "taskType": TEXT,
        "file": nullable(TEXT),
        "line": nullable(whole()),
        "fields": listed(_FIELD),
        "notes": listed(TEXT),
        "fires": _FIRES,
    }
)

_CALENDAR: Final = closed(
    {
        "action": choice(("create", "edit")),
        "name": TEXT,
        "file": TEXT,
        "line": nullable(whole()),
        "fields": listed(_FIELD),
    }
)

_PLAN: Final[dict[str, Schema]] = {
    "digest": TEXT,
    "empty": about(BOOLEAN, "nothing would change"),
    "now": INSTANT,
    "unchanged": whole(),
    "calendars": listed(_CALENDAR),
    "changes": listed(_CHANGE),
}

PLAN_BODIES: Final[dict[str, Schema]] = {"plan": _REQUEST, "apply_plan": _REQUEST}

PLAN_ANSWERS: Final[dict[str, Schema | None]] = {
    "plan": closed(_PLAN),
    "apply_plan": closed({**_PLAN, "done": about(listed(TEXT), "what was done, to read")}),
    "export": closed(
        {
            "format": choice(FORMATS),
            "text": TEXT,
            "tasks": whole(),
            "calendars": whole(),
            "leftOut": about(listed(closed({"name": TEXT, "phase": choice(Phase)})), "tasks that have ended"),
        }
    ),
}
