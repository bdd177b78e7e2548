"""What the times of tasks depend on and what changes without an edit of them: calendars, and the time zone database.

Theory of operation. A calendar's change is a new version; the versions before it stay for the revisions that used them. When the
version has landed, the tasks that use the calendar are walked through in slices, and each that has an older version is settled
under it and gets a revision with the new one. How far a walk has come is not stored: a new life walks through the users of all
calendars again, and finds what is left by comparing versions. A task that was made or edited on an older version while the
new one was on its way is found when its own commit lands.

When the store was last used with another time zone database, all tasks are walked through in the same way: a next fire that the
new rules place elsewhere is computed anew from where the task was settled through. A task that comes due before the walk has
reached it is looked at first. So no slot is settled by rules that are gone, none is lost, and none at or before
`settled_through` comes again. When the last slice has landed the store's version is recorded anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from runtime.clock import Instant, isoformat
from runtime.errors import Conflict, InvalidRequest, NotFound, TocsinError
from runtime.records import evolve

from .calendar_messages import DeleteCalendar, PutCalendar, Recalculate
from .keeper_lane import CalendarChange
from .keeper_messages import Directive, Refuse
from .keeper_staging import Staged
from .model.calendar import Calendar, CalendarRule
from .model.lifecycle import Change, Phase, change_phase
from .model.system import origin_of
from .model.task import Definition, Task
from .model.trigger import Bounds, CalendarInterval, Cron, Trigger, Union
from .rules.definition_changes import recalculate
from .rules.selecting import is_fixed_delay
from .store.port import Audit, Commit
from .when.triggers import next_allowed

if TYPE_CHECKING:
    from runtime.mailbox import Reply

    from .keeper_progression import Progression

SLICE: Final = 256
"""Tasks looked at in one step of a walk: half of the keeper's slice, so that one transaction stays a few milliseconds."""

SHOWN: Final = 5
"""Tasks that the refusal to delete a calendar names."""

SCHEDULER: Final = "scheduler"
"""Who has changed a task because what its times depend on has changed."""

ZONES: Final = ("", "")
"""The walk through all tasks for the time zone database; no calendar has an empty name."""

Key = tuple[str, str]
"""A calendar's tenant and name."""


class Calendars:
    """See the module's docstring. `zones_changed`: the store was last used with another time zone database."""

    def __init__(self, zones_changed: bool = False) -> None:
        self._known: dict[Key, Calendar] = {}
        self._staged: dict[Key, Calendar] = {}
        self._flying: dict[Key, Calendar] = {}
        self._users: dict[Key, tuple[str, ...]] = {}
        self._answers: list[tuple[Reply[Any], Calendar | TocsinError]] = []
        self._audits: list[Audit] = []
        self._walked: list[Recalculate] = []
        self._walks: dict[Key, str] = {ZONES: ""} if zones_changed else {}
        self._under_way: Recalculate | None = None
        self._again: dict[str, None] = {}
        self.zones_walked = False

    # -- before a batch

    def load(self, calendars: Iterable[Calendar]) -> None:
        """The newest version of every calendar, as the store has it. Their users are walked through."""
        self._known = {_key(calendar): calendar for calendar in calendars}
        self._walks.update((key, "") for key, calendar in self._known.items() if not calendar.deleted)

    @property
    def in_flight(self) -> bool:
        """Whether a change of calendars is being committed: the next one waits for it."""
        return bool(self._flying)

    def walk_zones(self) -> None:
        """Next fires may be by another version of the time zone database: all tasks are walked through, from the first."""
        self._walks[ZONES] = ""
        self._under_way = None

    def learn_users(self, key: Key, task_ids: Iterable[str]) -> None:
        """Some of the tasks that use a calendar, as the store has them."""
        self._users[key] = tuple(task_ids)

    # -- a batch: what people ask for

    def put(self, message: PutCalendar, now: Instant) -> None:
        """A calendar's new content. The same content makes no new version."""
        wanted = message.calendar
        key = _key(wanted)
        former = self._staged.get(key) or self._known.get(key)
        if former is not None and (
            evolve(wanted, version=former.version) == former or 0 < wanted.version <= former.version
        ):
            self._answers.append((message.reply, former))
            return
        version = wanted.version or (1 if former is None else former.version + 1)
        self._stage(evolve(wanted, version=version), message, now)

    def delete(
        self, message: DeleteCalendar, tasks: Mapping[str, Task], staged: Mapping[str, Staged], now: Instant
    ) -> None:
        """A calendar is to be gone. Refused while any task uses it, with the names of some that do."""
        key = (message.tenant, message.name)
        former = self._staged.get(key) or self._known.get(key)
        if former is None or former.deleted:
            self._answers.append((message.reply, NotFound(f"no calendar {message.name!r}")))
            return
        users = [tasks[task_id].definition.name for task_id in self._users.get(key, ()) if task_id in tasks]
        users += [one.definition.name for one in staged.values() if not one.deleted and _uses(one.definition, key)]
        if users:
            named = ", ".join(repr(name) for name in users[:SHOWN]) + (", ..." if len(users) > SHOWN else "")
            error = Conflict(f"calendar {message.name!r} is used by {named}")
            self._answers.append((message.reply, error))
            return
        self._stage(Calendar(*key, former.version + 1, deleted=True), message, now)

    def _stage(self, calendar: Calendar, message: PutCalendar | DeleteCalendar, now: Instant) -> None:
        self._staged[_key(calendar)] = calendar
        self._answers.append((message.reply, calendar))
        detail = f"{calendar.name} version {calendar.version}"
        audit = Audit(now, str(message.actor), type(message).__name__, "", detail, calendar.tenant)
        self._audits.append(evolve(audit, origin=origin_of(message.actor)))

    def refreshed(self, definition: Definition) -> Definition:
        """The definition with the newest versions of its calendars.

        Raises InvalidRequest where there is no such calendar. What a task in memory names needs not be known here.
        """
        rules = definition.bounds.calendars
        if not rules:
            return definition
        fresh = tuple(self._fresh(rule, strict=definition.persistent) for rule in rules)
        return definition if fresh == rules else evolve(definition, bounds=evolve(definition.bounds, calendars=fresh))

    def _fresh(self, rule: CalendarRule, *, strict: bool) -> CalendarRule:
        key = _key(rule.calendar)
        coming = self._staged.get(key) or self._flying.get(key)
        newest = self._known.get(key)
        if newest is None or newest.deleted or (coming is not None and coming.deleted):
            if strict:
                raise InvalidRequest(f"calendars: no calendar {rule.calendar.name!r}")
            return rule
        return rule if rule.pinned or newest.version <= rule.calendar.version else evolve(rule, calendar=newest)

    # -- a batch: tasks whose times may have changed

    def concerns(self, task: Task) -> bool:
        """Whether a task's calendars are old, or its next fire may be by rules that are gone."""
        return self._is_old(task.definition) or (self.zones_changing and _retimed(task) != task.state.next_fire)

    @property
    def zones_changing(self) -> bool:
        """Whether next fires in the store may be by another version of the time zone database."""
        return ZONES in self._walks

    def _is_old(self, definition: Definition) -> bool:
        return any(self._fresh(rule, strict=False) is not rule for rule in definition.bounds.calendars)

    def recalculate(self, staged: Staged, progression: Progression, now: Instant) -> None:
        """Bring a task up to date: its next fire by the present rules, then its calendars, as an edit would."""
        self.retime(staged, now)
        if not self._is_old(staged.definition):
            return
        progression.settle_slots(staged, now)
        rules = tuple(self._fresh(rule, strict=False) for rule in staged.definition.bounds.calendars)
        pairs = zip(staged.definition.bounds.calendars, rules, strict=True)
        changed = [new.calendar for old, new in pairs if new is not old]
        fresh = evolve(staged.definition, bounds=evolve(staged.definition.bounds, calendars=rules))
        definition, state, rows = recalculate(staged.task, fresh, now)
        staged.replace(definition, state)
        staged.settle(rows)
        detail = ", ".join(f"{calendar.name} version {calendar.version}" for calendar in changed)
        staged.audits += (Audit(now, SCHEDULER, "CalendarChanged", staged.id, detail, definition.tenant),)

    def retime(self, staged: Staged, now: Instant) -> None:
        """Compute a next fire anew while it may be by rules that are gone."""
        former = staged.state.next_fire
        if not self.zones_changing or (first := _retimed(staged.task)) == former:
            return
        staged.set(next_fire=first)
        if first is None:
            staged.set(phase=change_phase(staged.state.phase, Change.FINISH))
        detail = f"next fire {_shown(first)}, before {_shown(former)}"
        staged.audits += (Audit(now, SCHEDULER, "TimeZonesChanged", staged.id, detail, staged.definition.tenant),)

    def look(self, message: Recalculate) -> None:
        """A slice of a walk is being looked at."""
        if message.walk is not None:
            self._walked.append(message)

    # -- after a batch

    def write(self, commit: Commit) -> tuple[Commit, CalendarChange]:
        """The commit with what was gathered, and what follows it. Begins anew."""
        change = CalendarChange(tuple(self._answers), tuple(self._staged.values()), tuple(self._walked))
        if self._staged:
            audits = (*commit.audits, *self._audits)
            commit = evolve(commit, calendars=change.written, audits=audits)
            self._flying = self._staged
            self._staged = {}
        self._answers, self._audits, self._walked = [], [], []
        self._users = {}
        return commit, change

    def committed(self, change: CalendarChange) -> list[Directive]:
        """The store has taken it."""
        for calendar in change.written:
            self._known[_key(calendar)] = calendar
            if not calendar.deleted:
                self._walks[_key(calendar)] = ""
                self._under_way = None
        if change.written:
            self._flying = {}
        for message in change.walked:
            self._advance(message)
        return change.directives()

    def _advance(self, message: Recalculate) -> None:
        if message is not self._under_way:
            return
        assert message.walk is not None
        self._under_way = None
        if not message.last:
            self._walks[message.walk] = message.task_ids[-1]
            return
        del self._walks[message.walk]
        self.zones_walked = self.zones_walked or message.walk == ZONES

    def failed(self, change: CalendarChange, make: Callable[[], TocsinError]) -> list[Directive]:
        """The store has not taken it: those who asked are told, a slice is looked at again."""
        if change.written:
            self._flying = {}
        if change.walked:
            self._under_way = None
        return [Refuse(reply, make()) for reply in change.replies()]

    def landed(self, task: Task) -> None:
        """The store has taken this task's changes: one that was made on an old version is looked at again."""
        if task.definition.bounds.calendars and self._is_old(task.definition):
            self._again[task.id] = None

    def to_recalculate(self) -> list[Recalculate]:
        """The tasks that are to be looked at again."""
        again, self._again = tuple(self._again), {}
        return [Recalculate(again)] if again else []

    # -- the walk

    def next_step(self) -> tuple[Key, str] | None:
        """Whose users (all tasks for `ZONES`) are to be read, and after which id; None while a slice is under way."""
        if self._under_way is not None:
            return None
        return next(iter(self._walks.items()), None)

    def step(self, key: Key, task_ids: Iterable[str]) -> Recalculate:
        """The next slice of the walk: what was read, at most `SLICE`."""
        found = tuple(task_ids)
        self._under_way = Recalculate(found, key, last=len(found) < SLICE)
        return self._under_way


def _key(calendar: Calendar) -> Key:
    return calendar.tenant, calendar.name


def _uses(definition: Definition, key: Key) -> bool:
    return any(_key(rule.calendar) == key for rule in definition.bounds.calendars)


def _shown(instant: Instant | None) -> str:
    return "none" if instant is None else isoformat(instant)


def _retimed(task: Task) -> Instant | None:
    """The next fire by the present rules, if it depends on a time zone and is not overdue already."""
    state, definition = task.state, task.definition
    if (
        state.phase is not Phase.ACTIVE
        or state.next_fire is None
        or state.catching_up is not None
        or is_fixed_delay(task)
        or not _is_zoned(definition.trigger, definition.bounds)
    ):
        return state.next_fire
    return next_allowed(definition.trigger, definition.bounds, state.settled_through)


def _is_zoned(trigger: Trigger, bounds: Bounds) -> bool:
    if bounds.calendars:
        return True
    match trigger:
        case Union(triggers=members):
            return any(_is_zoned(member, bounds) for member in members)
        case Cron(timezone=name) | CalendarInterval(timezone=name):
            return name != "UTC"
        case _:
            return False
