"""What the keeper hears about calendars, and about tasks whose times have changed without an edit of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.records import record

from .model.calendar import Calendar

if TYPE_CHECKING:
    from runtime.mailbox import Reply


@record
class PutCalendar:
    """Keep this calendar: as the next version, or if it has a version as that one. Answers the calendar as it is kept.

    The same content as the newest version's makes no new one.
    """

    calendar: Calendar
    actor: str
    reply: Reply[Calendar]


@record
class DeleteCalendar:
    """Remove a calendar that no task uses. Answers its last version, which is empty."""

    tenant: str
    name: str
    actor: str
    reply: Reply[Calendar]


@record
class Recalculate:
    """The keeper to itself: what the times of these tasks depend on may have changed.

    `walk`: the tenant and name of the calendar whose users are walked through in order; `last`: behind these there are none.
    """

    task_ids: tuple[str, ...]
    walk: tuple[str, str] | None = None
    last: bool = False
