"""`tocsin cron next` and `tocsin trigger next`: when would it fire, with nothing saved."""

from __future__ import annotations

import re
from typing import Annotated

from cyclopts import App

from runtime.errors import InvalidRequest

from .bodies import trigger_body
from .connection import connect
from .options import ANY_TIME, When
from .output import AS_JSON, LOCAL, print_json, printable, show_time
from .times import print_changes, print_fires

cron = App(name="cron", help="Cron expressions, without a node.")
triggers = App(name="trigger", help="Triggers that are not saved: when would they fire?")


@cron.command(name="next")
def cron_next(
    expression: str,
    /,
    *,
    timezone: str = "UTC",
    after: str | None = None,
    count: int = 5,
    as_json: Annotated[bool, AS_JSON] = False,
    utc: Annotated[bool, LOCAL] = False,
) -> None:
    """Show the next times of a cron expression, in its own zone unless --utc.

    Parameters
    ----------
    expression
        Five fields, or six with seconds first: "30 2 * * mon-fri".
    timezone
        An IANA zone.
    after
        The time to begin after; now if not said.
    count
        How many, up to 1000.
    """
    from actors.model.trigger import Cron
    from runtime.world import RealWorld

    from ..operations.table import MAX_PREVIEW
    from ..services.triggers import cron_preview, wall_clock
    from ..vocabulary.fields import parse_instant, whole_number

    whole_number(count, "--count", 1, MAX_PREVIEW)
    start = RealWorld().now() if after is None else parse_instant(after, "--after", timezone)
    preview = cron_preview(Cron(expression, timezone), start, count)
    if as_json:
        print_json(preview)
        return
    print(f"{preview['words']} ({timezone})")

    def shown(instant: str) -> str:
        return show_time(instant, utc=True, exact=True) if utc else wall_clock(instant, timezone)

    for instant in preview["list"]:
        print(shown(instant))
    print_changes(preview["clockChanges"], shown)


@triggers.command(name="next")
def trigger_next(
    *,
    when: When = ANY_TIME,
    task: str | None = None,
    count: int = 10,
    as_json: Annotated[bool, AS_JSON] = False,
    utc: Annotated[bool, LOCAL] = False,
) -> None:
    """Show when a trigger would fire, without saving anything; options as for `task add`.

    Parameters
    ----------
    task
        As if it were the trigger of this task: --spread and H depend on whose it is.
    count
        How many, up to 1000.
    """
    trigger = trigger_body(when)
    if trigger is None:
        raise InvalidRequest("say when: one of --every, --cron, --at, --in, --every-days and its kin")
    wanted = {"trigger": trigger, "count": count, "task": task}
    body = {key: value for key, value in wanted.items() if value is not None}
    found = connect().call("preview_trigger", body=body)
    if as_json:
        print_json(found)
        return
    print(printable(f"Runs {found['trigger']}."))
    if not found["list"] and not found["fires"]:
        print("Its time has passed: saved now, the task would run at once.")
    print_fires(found, utc)
    if task is None and any("H" in re.split(r"[^A-Za-z]+", text) for text in when.cron or ()):
        print(
            "What H stands for is chosen by the id that the task gets when it is saved, and may be another than here."
        )
    print_changes(found["clockChanges"], lambda at: show_time(at, utc, exact=True))
