"""The memory adapter's part beside tasks and executions: calendars, the outbox and what became of it, the scheduler's pause."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from itertools import islice

import attrs

from runtime.clock import Instant
from runtime.errors import Conflict, TocsinError
from runtime.records import evolve

from ..model.calendar import Calendar
from .port import DELIVERIES_KEPT, RETRY, Commit, DeliveryWrite, EventState, OutboxEntry, SchedulerPause


@attrs.define
class Side:
    """Everything is in order of writing; an outbox keeps its entries by id, deliveries and event states are by task."""

    versions: dict[tuple[str, str], dict[int, Calendar]] = attrs.field(factory=dict)
    outbox: dict[str, OutboxEntry] = attrs.field(factory=dict)
    delivered: dict[str, list[DeliveryWrite]] = attrs.field(factory=dict)
    remembered: dict[str, dict[str, EventState]] = attrs.field(factory=dict)
    pause: SchedulerPause | None = None
    deliveries_kept: int = DELIVERIES_KEPT

    def put_calendars(self, calendars: Iterable[Calendar]) -> dict[str, TocsinError]:
        """New versions; answers the refused ones, as the port says."""
        refused: dict[str, TocsinError] = {}
        for calendar in calendars:
            versions = self.versions.setdefault((calendar.tenant, calendar.name), {})
            if versions.setdefault(calendar.version, calendar) != calendar:
                refused[f"{calendar.tenant}/{calendar.name}"] = Conflict(
                    f"there is a version {calendar.version} of the calendar {calendar.name!r} already"
                )
        return refused

    def write(self, commit: Commit, tasks: Container[str], refused: Container[str]) -> None:
        """What a commit holds besides changes of tasks."""
        for entry in commit.outbox:
            if entry.task_id in tasks and entry.task_id not in refused:
                self.outbox.setdefault(entry.id, entry)
        for state in commit.event_states:
            if state.task_id in tasks and state.task_id not in refused:
                self.remembered.setdefault(state.task_id, {})[state.event] = state
        for delivery in commit.deliveries:
            if delivery.task_id not in refused:
                self._deliver(delivery)
        if commit.pause is not None:
            self.pause = None if commit.pause == "resume" else commit.pause

    def _deliver(self, delivery: DeliveryWrite) -> None:
        entry = self.outbox.get(delivery.entry_id)
        if entry is None:
            return
        if delivery.state == RETRY:
            due = entry.due if delivery.due is None else delivery.due
            self.outbox[entry.id] = evolve(entry, due=due, tries=entry.tries + 1)
        else:
            del self.outbox[entry.id]
        kept = self.delivered.setdefault(delivery.task_id, [])
        kept.append(delivery)
        del kept[: -self.deliveries_kept]

    def forget(self, task_id: str) -> None:
        """A task is deleted."""
        self.outbox = {key: entry for key, entry in self.outbox.items() if entry.task_id != task_id}
        self.delivered.pop(task_id, None)
        self.remembered.pop(task_id, None)

    def has_outbox(self, task_id: str) -> bool:
        """Whether something of a task waits to be delivered."""
        return any(entry.task_id == task_id for entry in self.outbox.values())

    def outbox_due(self, until: Instant, limit: int, wanted: Callable[[str], bool]) -> list[OutboxEntry]:
        """See the port; `wanted` tells of a task's id whether its entries are asked for."""
        due = (entry for entry in self.outbox.values() if entry.due <= until and wanted(entry.task_id))
        return sorted(due, key=lambda one: one.due)[:limit]

    def deliveries(self, task_id: str, *, offset: int, limit: int) -> tuple[list[DeliveryWrite], int]:
        """See the port."""
        kept = self.delivered.get(task_id, [])
        return list(islice(reversed(kept), offset, offset + limit)), len(kept)

    def event_states(self, task_ids: Sequence[str]) -> list[EventState]:
        """See the port."""
        held = [state for task_id in dict.fromkeys(task_ids) for state in self.remembered.get(task_id, {}).values()]
        return sorted(held, key=lambda state: (state.task_id, state.event))

    def calendars(self, tenant: str | None) -> list[Calendar]:
        """See the port."""
        newest = [held[max(held)] for key, held in self.versions.items() if tenant in (None, key[0])]
        return sorted(newest, key=lambda calendar: (calendar.name, calendar.tenant))

    def number_of_versions(self) -> int:
        """Versions of calendars that were ever made."""
        return sum(map(len, self.versions.values()))

    def calendar(self, tenant: str, name: str, version: int | None) -> Calendar | None:
        """See the port."""
        held = self.versions.get((tenant, name), {})
        return held.get(max(held, default=0) if version is None else version)
