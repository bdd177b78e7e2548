"""The builder's verbs that say when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, Self

from actors.model.trigger import UNBOUNDED, Bounds, Cron, Fold, Gap, Interval, Missing, Once, Single, Trigger, Union
from runtime.clock import Instant, Micros, to_datetime
from runtime.errors import InvalidRequest

from ..durations import Duration, parse_duration
from ..vocabulary.fields import one_of, parse_instant, show, whole_number
from ..vocabulary.references import Known
from ..vocabulary.triggers import anchor_of, check_together, read_rules, single_from_json, trigger_from_json
from ..vocabulary.words import FOLDS, GAPS, MAX_RUNS, SPREAD, WISHES
from .how import PolicyVerbs

if TYPE_CHECKING:
    from runtime.world import World


@lru_cache(maxsize=4_096)
def _cron(expression: str, timezone: str, gap: Gap, fold: Fold) -> Cron:
    """A checked trigger; a value that cannot be hashed comes out as TypeError."""
    one_of(gap, "gap", GAPS)
    one_of(fold, "fold", FOLDS)
    check_type(expression, str, "cron")
    check_type(timezone, str, "timezone")
    return Cron(expression, timezone, gap, fold)


def check_type(value: object, wanted: type, field: str) -> None:
    """Raise InvalidRequest for a value of another type."""
    if not isinstance(value, wanted):
        raise InvalidRequest(f"{field}: {wanted.__name__}, not {show(value)}")


def _form(**said: Any) -> dict[str, Any]:
    """A trigger as JSON has it, without what was not said."""
    return {key: value for key, value in said.items() if value is not None}


class TriggerVerbs(PolicyVerbs):
    """Triggers, what else fires, and the bounds of it all."""

    __slots__ = (
        "_calendars",
        "_delay",
        "_end",
        "_every",
        "_fixed_delay",
        "_form",
        "_max_runs",
        "_more",
        "_spread",
        "_start",
        "_trigger",
        "_world",
    )

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._trigger: Single | None = None
        self._every: Micros | None = None
        self._delay: Micros | None = None
        self._form: Mapping[str, Any] | None = None
        self._more: list[dict[str, Any]] | None = None
        self._fixed_delay = False
        self._start: Instant | None = None
        self._end: Instant | None = None
        self._max_runs: int | None = None
        self._spread = Micros(0)
        self._calendars: list[dict[str, Any]] | None = None

    def with_trigger(self, trigger: Mapping[str, Any]) -> Self:
        """Fire as an object says that is written as in JSON: `{"everyMonths": 1, "day": 31, "at": "09:30"}`."""
        self._no_trigger_yet()
        if not isinstance(trigger, Mapping):
            raise InvalidRequest(f"trigger: an object, not {show(trigger)}")
        self._form = trigger
        return self

    def with_cron(self, expression: str, *, timezone: str = "UTC", gap: Gap = "shift", fold: Fold = "first") -> Self:
        """Fire by a cron expression in a time zone. `gap` and `fold`: what to do when the clock is changed."""
        self._no_trigger_yet()
        try:
            self._trigger = _cron(expression, timezone, gap, fold)
        except TypeError:
            raise InvalidRequest(f"cron: an expression, not {show(expression)} in zone {show(timezone)}") from None
        return self

    def with_period(self, every: Duration, *, fixed_delay: bool = False) -> Self:
        """Fire at a fixed rate: on a grid that begins at the start, or now. `fixed_delay`: see `with_fixed_delay`."""
        self._no_trigger_yet()
        check_type(fixed_delay, bool, "fixed_delay")
        self._every = parse_duration(every, "every")
        self._fixed_delay = fixed_delay
        return self

    def with_fixed_delay(self, delay: Duration) -> Self:
        """Fire so long after the end of the execution before."""
        return self.with_period(delay, fixed_delay=True)

    def every_days(
        self, days: int, *, at: str | time | None = None, anchor: str | date | None = None,
        timezone: str | None = None, gap: Gap | None = None, fold: Fold | None = None,
    ) -> Self:  # fmt: skip
        """Fire every so many days by the calendar, at a local time."""
        return self.with_trigger(
            _form(everyDays=days, at=at, anchor=anchor, timezone=timezone, gap=gap, fold=fold)
        )  # fmt: skip

    def every_weeks(
        self, weeks: int, *, weekday: str | None = None, at: str | time | None = None, anchor: str | date | None = None,
        timezone: str | None = None, gap: Gap | None = None, fold: Fold | None = None,
    ) -> Self:  # fmt: skip
        """Fire every so many weeks, on a weekday ("mon") at a local time."""
        return self.with_trigger(
            _form(everyWeeks=weeks, weekday=weekday, at=at, anchor=anchor, timezone=timezone, gap=gap, fold=fold)
        )

    def every_months(
        self, months: int, *, day: int | Literal["last"] | None = None, at: str | time | None = None,
        missing: Missing | None = None, anchor: str | date | None = None,
        timezone: str | None = None, gap: Gap | None = None, fold: Fold | None = None,
    ) -> Self:  # fmt: skip
        """Fire every so many months on a day; `missing` says what a month without it does: "skip" or "last_day"."""
        return self.with_trigger(
            _form(
                everyMonths=months,
                day=day,
                at=at,
                missing=missing,
                anchor=anchor,
                timezone=timezone,
                gap=gap,
                fold=fold,
            )
        )

    def every_years(
        self, years: int, *, month: int | None = None, day: int | Literal["last"] | None = None,
        at: str | time | None = None, missing: Missing | None = None, anchor: str | date | None = None,
        timezone: str | None = None, gap: Gap | None = None, fold: Fold | None = None,
    ) -> Self:  # fmt: skip
        """Fire every so many years on a day of a month; `missing`: what 29 February does in other years."""
        return self.with_trigger(
            _form(
                everyYears=years, month=month, day=day, at=at, missing=missing, anchor=anchor, timezone=timezone,
                gap=gap, fold=fold,
            )
        )  # fmt: skip

    def at(self, moment: datetime) -> Self:
        """Fire once, at an aware datetime."""
        self._no_trigger_yet()
        self._trigger = Once(parse_instant(moment, "at"))
        return self

    def after(self, delay: Duration) -> Self:
        """Fire once, so long after now."""
        self._no_trigger_yet()
        self._delay = parse_duration(delay, "after")
        return self

    def _no_trigger_yet(self) -> None:
        if self._trigger is not None or self._every is not None or self._delay is not None or self._form is not None:
            raise InvalidRequest("trigger: given twice; what fires as well is said with or_cron, or_every, or_trigger")

    def or_cron(
        self, expression: str, *, timezone: str | None = None, gap: Gap | None = None, fold: Fold | None = None
    ) -> Self:
        """Fire by this cron expression as well."""
        return self.or_trigger(_form(cron=expression, timezone=timezone, gap=gap, fold=fold))

    def or_every(self, every: Duration) -> Self:
        """Fire on this grid as well."""
        return self.or_trigger({"every": every})

    def or_trigger(self, trigger: Mapping[str, Any]) -> Self:
        """Fire as well as an object says that is written as in JSON, without bounds."""
        if not isinstance(trigger, Mapping):
            raise InvalidRequest(f"trigger: an object, not {show(trigger)}")
        self._more = [*(self._more or []), dict(trigger)]
        return self

    def starting(self, moment: datetime | Duration) -> Self:
        """No fire before this datetime, or before so long from now."""
        self._start = self._moment(moment, "start")
        return self

    def ending(self, moment: datetime | Duration) -> Self:
        """No fire after this datetime, or after so long from now."""
        self._end = self._moment(moment, "end")
        return self

    def _moment(self, moment: object, field: str) -> Instant:
        if isinstance(moment, datetime):
            return parse_instant(moment, field)
        return Instant(self._world.now() + parse_duration(moment, field))

    def max_runs(self, limit: int) -> Self:
        """At most so many executions by the trigger."""
        self._max_runs = whole_number(limit, "max_runs", 1, MAX_RUNS)
        return self

    times = max_runs

    def spread(self, window: Duration) -> Self:
        """Give the task a place of its own, always the same, in a window after each nominal time."""
        self._spread = SPREAD.read(window, "spread")
        return self

    def excluding(
        self, calendar: str, *, shift: Literal["skip", "next", "previous"] = "skip", version: int | None = None
    ) -> Self:
        """Do not run in a stored calendar; `shift`: what becomes of a slot there. `version`: the newest if not said."""
        return self._calendar(calendar=calendar, mode="exclude", shift=shift, version=version)

    def including(
        self, calendar: str, *, shift: Literal["skip", "next", "previous"] = "skip", version: int | None = None
    ) -> Self:
        """Run only in a stored calendar; `shift`: what becomes of a slot outside. `version`: the newest if not said."""
        return self._calendar(calendar=calendar, mode="include", shift=shift, version=version)

    def _calendar(self, **rule: Any) -> Self:
        self._calendars = [*(self._calendars or []), rule]
        return self

    def named_by_trigger(self) -> dict[str, Any]:
        """The calendars that are named, in the place where JSON has them."""
        listed = self._form.get("calendars") if self._form is not None else None
        return {"calendars": [*(listed if isinstance(listed, list | tuple) else []), *(self._calendars or [])]}

    def when(self, now: Instant, type_name: str, known: Known) -> tuple[Trigger, Bounds]:
        """The trigger and its bounds, each checked by itself."""
        if self._form is not None and self._more is None:
            return trigger_from_json(self._whole(self._form), now, known=known)
        first = self._one(now, type_name)
        trigger: Trigger = first
        if self._more is not None:
            more = [
                single_from_json(form, now, self._start, f"trigger.any[{index}]")
                for index, form in enumerate(self._more, 1)
            ]
            trigger = Union((first, *more))
            check_together(trigger, UNBOUNDED)
        if (
            self._start is None
            and self._end is None
            and self._max_runs is None
            and not self._spread
            and self._calendars is None
        ):
            bounds = UNBOUNDED
        else:
            rules = read_rules(WISHES.read(self._calendars or [], "calendars"), known, "calendars")
            bounds = Bounds(self._start, self._end, self._max_runs, self._spread, rules)
            check_together(trigger, bounds)
        return trigger, bounds

    def _whole(self, form: Mapping[str, Any]) -> dict[str, Any]:
        """The form with the bounds that the verbs said."""
        said = _form(
            start=None if self._start is None else to_datetime(self._start),
            end=None if self._end is None else to_datetime(self._end),
            maxRuns=self._max_runs,
        )
        if self._spread:
            said["spread"] = SPREAD.show(self._spread)
        if self._calendars is not None:
            said["calendars"] = self.named_by_trigger()["calendars"]
        return dict(form) | said

    def _one(self, now: Instant, type_name: str) -> Single:
        if self._every is not None:
            return Interval(self._every, anchor_of(now, self._start), self._fixed_delay)
        if self._trigger is not None:
            return self._trigger
        if self._delay is not None:
            return Once(Instant(now + self._delay))
        if self._form is not None:
            return single_from_json(self._form, now, self._start, "trigger")
        raise InvalidRequest(f"trigger: a task of type {type_name!r} needs one, for example .with_period('5m')")
