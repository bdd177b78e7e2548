"""The vocabulary of a task: every field that a person can set, in one place.

JSON uses the keys, Python the same names in snake case, and the command line the options of `tocsin/cli/bodies.py`. What reads,
shows and tests definitions goes through these tables, so a field that is added here is read, shown, and tried with every kind
of wrong value.
"""

from __future__ import annotations

from typing import Final

from actors.model.calendar import MAX_CALENDAR_NAME, MAX_CALENDARS
from actors.model.event import (
    MAX_ACTIONS,
    MAX_CONDITION,
    MAX_EVENTS,
    MAX_HEADER,
    MAX_HEADERS,
    MAX_RECIPIENTS,
    MAX_TEMPLATE,
    MAX_URL,
    On,
)
from actors.model.placement import ANYWHERE, Where
from actors.model.policy import CatchUp, OnCrash, OnExhausted, Overlap, Policies
from actors.model.task import MAX_NAME, MAX_PARAMETERS
from actors.model.trigger import LONGEST_SPREAD, MAX_MEMBERS, UNITS_IN_CENTURY, Unit
from actors.when.cron import LONGEST_EXPRESSION
from runtime.clock import Micros

from .kinds import (
    Base64,
    Choice,
    ClockTime,
    Day,
    DayOfMonth,
    Field,
    Flag,
    JsonObject,
    ListOf,
    Moment,
    Object,
    OneOf,
    Pairs,
    Prose,
    Rate,
    Real,
    Span,
    Text,
    Whole,
    field,
)

MAX_RUNS: Final = 1_000_000_000
"""A limit beyond any task's life, so that a number of another kind is noticed."""

MAX_RETRIES: Final = 1_000
"""More retries than this are an endless loop in disguise."""

MAX_CATCH_UP: Final = 10_000
"""Occurrences caught up at once: each is an execution row in one commit."""

MAX_WAITING: Final = 10_000
"""Executions of one task that may wait behind each other; each is a row that every look at the task reads."""

MAX_EXCEPTION_NAMES: Final = 32
"""Exception type names in `retryOn` and in `giveUpOn`."""

LOWEST_PRIORITY: Final = 9
"""Priorities are 0 (first) to 9 (last); 5 is the default."""

MAX_WORD: Final = 64
"""Characters of the name of a queue, of an event trigger, of a topic: a word, not a sentence."""

MAX_KEY: Final = 128
"""Characters of a concurrency key, which may hold the id of what is locked."""

MAX_AT_ONCE: Final = 10_000
"""A limit for a concurrency key; a larger one limits nothing."""

MAX_LABELS: Final = 32
MAX_LABEL: Final = 256
"""Labels of a task, and characters of a label's value; a key has at most `MAX_WORD`."""

MAX_TAGS: Final = 32
MAX_TAG: Final = 64
"""Tags of a task, and characters of one: labels for people, not data."""

MAX_CONTENT_TYPE: Final = 128
"""Characters of a content type with its parameters."""

MAX_PARENTS: Final = 32
"""Tasks that one task waits for; each is looked at whenever one of them ends."""

MAX_NODES: Final = 100
"""Nodes that a task names; for more of them there are labels."""

MAX_SUBJECT: Final = 200
MAX_ADDRESS: Final = 254
"""Characters of a mail's subject and of an address (RFC 5321)."""

MAX_ZONE: Final = 64
"""Characters of a time zone's name; the longest real one has 32."""

MAX_VERSION: Final = 2**31 - 1
"""Of a calendar: it counts up by one."""

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
GAPS: Final = ("shift", "skip")
FOLDS: Final = ("first", "last", "both")

_ZONE: Final = field("timezone", Text(MAX_ZONE), "IANA zone of this trigger and of its times; UTC if not said")
_GAP: Final = field("gap", Choice(GAPS), "what becomes of a slot that a change of the clock leaves out")
_FOLD: Final = field("fold", Choice(FOLDS), "which of two equal local times counts when the clock goes back")
_CLOCK: Final = field("at", ClockTime(), "the local time of day; that of the start if not said, else midnight")
_FIRST_DAY: Final = field("anchor", Day(), "a day of the series, instead of day, weekday and month")
_DAY: Final = field("day", DayOfMonth(), "day of the month, or last")
_MONTH: Final = field("month", Whole(1, 12), "month of the year")
_WEEKDAY: Final = field("weekday", Choice(WEEKDAYS), "day of the week")
_MISSING: Final = field("missing", Choice(("skip", "last_day")), "what to do in a month without the day")


def _units(key: str, unit: Unit) -> Field:
    return field(key, Whole(1, UNITS_IN_CENTURY[unit]), f"every so many {unit}s by the calendar")


CALENDAR_UNITS: Final[dict[str, Unit]] = {
    "everyDays": "day",
    "everyWeeks": "week",
    "everyMonths": "month",
    "everyYears": "year",
}
"""The key that makes a calendar interval -> its unit."""

_BY_CALENDAR: Final = (_CLOCK, _FIRST_DAY, _ZONE, _GAP, _FOLD)

SINGLES: Final[dict[str, tuple[Field, ...]]] = {
    "every": (
        field("every", Span(), "a fixed rate, 10 ms to 100 years"),
        field("anchor", Moment(), "a point of the grid; the start if not said, else now"),
        field("fixedDelay", Flag(), "count from the end of the execution before"),
        _ZONE,
    ),
    "everyDays": (_units("everyDays", "day"), *_BY_CALENDAR),
    "everyWeeks": (_units("everyWeeks", "week"), _WEEKDAY, *_BY_CALENDAR),
    "everyMonths": (_units("everyMonths", "month"), _DAY, _MISSING, *_BY_CALENDAR),
    "everyYears": (_units("everyYears", "year"), _MONTH, _DAY, _MISSING, *_BY_CALENDAR),
    "cron": (
        field("cron", Prose(LONGEST_EXPRESSION), "five fields, six with seconds first, or a name such as @daily"),
        _ZONE,
        _GAP,
        _FOLD,
    ),
    "at": (field("at", Moment(), "once, at this time"), _ZONE),
    "after": (field("after", Span(), "once, so long after now"), _ZONE),
}
"""The key that says when -> the fields of such a trigger."""

CALENDAR_NAME: Final = Text(MAX_CALENDAR_NAME)
CALENDAR_VERSION: Final = Whole(1, MAX_VERSION)

CALENDAR_RULE: Final = (
    field("calendar", CALENDAR_NAME, "a stored calendar"),
    field(
        "version",
        CALENDAR_VERSION,
        "of the calendar to keep to; if not said the newest one, and every newer one",
        null=None,
    ),
    field("mode", Choice(("exclude", "include")), "run not in it, or only in it"),
    field("shift", Choice(("skip", "next", "previous")), "what becomes of a slot that may not run"),
)

WISHES: Final = ListOf(Object(CALENDAR_RULE, short="calendar"), MAX_CALENDARS, "calendars", plain=False)
SPREAD: Final = Span(longest=LONGEST_SPREAD)

BOUNDS: Final = (
    field("start", Moment(relative=True), "no fire before; a time, or so long from now", null=None),
    field("end", Moment(relative=True), "no fire after; a time, or so long from now", null=None),
    field("maxRuns", Whole(1, MAX_RUNS), "executions it starts at most", null=None),
    field("spread", SPREAD, "each task has its own place in so long a window", null=Micros(0)),
    field(
        "calendars",
        WISHES,
        "calendars to keep to",
    ),
)

KINDS: Final = ("interval", "calendar", "cron", "once", "union")
_KIND: Final = field("kind", Choice(KINDS), "what the trigger is; shown, and checked when given")

UNION: Final = "any"

EXAMPLE: Final = '{"cron": "0 9 * * *"}'
"""What a trigger looks like, for those who gave something else."""

TRIGGERS: Final[dict[str, tuple[Field, ...]]] = {key: (_KIND, *fields, *BOUNDS) for key, fields in SINGLES.items()} | {
    UNION: (
        _KIND,
        field(
            "any", ListOf(OneOf(SINGLES), MAX_MEMBERS, "triggers", least=1, plain=False), "fire when any of these does"
        ),
        _ZONE,
        *BOUNDS,
    )
}
"""Every form of a trigger by the key that makes it, with the bounds that hold for all."""

RETRY: Final = (
    field("maxRetries", Whole(0, MAX_RETRIES), "retries after the first attempt"),
    field("delay", Span(), "time between attempts"),
    field("backoff", Choice(("fixed", "exponential")), "whether the time grows"),
    field("factor", Real(1, 100), "by which an exponential backoff grows"),
    field("cap", Span(), "the longest time between attempts"),
    field("jitter", Real(0, 1), "up to this part of the delay more"),
    field("retryOn", ListOf(Text(MAX_NAME), MAX_EXCEPTION_NAMES, "texts"), "exception types; empty: every one"),
    field("giveUpOn", ListOf(Text(MAX_NAME), MAX_EXCEPTION_NAMES, "texts"), "exception types that are final"),
)

CONCURRENCY: Final = (
    field("key", Text(MAX_KEY), "tasks with the same key share the limit"),
    field("limit", Whole(1, MAX_AT_ONCE), "executions that run at once; 1 is a lock"),
)

_DEFAULTS: Final = Policies()

POLICIES: Final = (
    field("retry", Object(RETRY), "how often and how soon a failed execution is tried again"),
    field("overlap", Choice(Overlap), "when the former execution has not ended"),
    field(
        "overlapLimit",
        Whole(1, MAX_WAITING),
        "how many wait with overlap queue_all",
        null=_DEFAULTS.overlap_limit,
    ),
    field("catchUp", Choice(CatchUp), "about occurrences missed while nobody could fire them"),
    field("catchUpLimit", Whole(1, MAX_CATCH_UP), "how many catchUp all runs at most", null=_DEFAULTS.catch_up_limit),
    field("catchUpRate", Rate(), "how fast catchUp all runs them", "catch_up_spacing", null=Micros(0)),
    field("latenessLimit", Span(positive=True), "how late an occurrence may still be run", null=None),
    field("maxWait", Span(positive=True), "how long an admitted execution may wait for its start", null=None),
    field("onCrash", Choice(OnCrash), "about an execution whose process died"),
    field("onExhausted", Choice(OnExhausted), "about a recurring task whose retries are used up"),
    field("timeout", Span(positive=True), "how long an attempt may take", null=None),
    field("heartbeatTimeout", Span(positive=True), "how long an attempt may be without a sign of life", null=None),
    field("priority", Whole(0, LOWEST_PRIORITY), "0 runs first, 9 last"),
    field("queue", Text(MAX_WORD), "the queue that its executions wait in"),
    field("concurrency", Object(CONCURRENCY, short="key"), "a key with a limit, or a lock", null=None),
    field("ttl", Span(), "how long ended executions and a finished task are kept; null: as the node is set", null=None),
)

PARENT: Final = Text(MAX_NAME)

DEPENDENCIES: Final = (
    field("parents", ListOf(PARENT, MAX_PARENTS, "tasks", least=1, once=True), "tasks, by name or id"),
    field("mode", Choice(("all", "any")), "wait for each, or for one"),
    field("failFast", Flag(), "give up as soon as a parent cannot complete"),
)

_BODY: Final = field(
    "body", Prose(MAX_TEMPLATE), "the text, with places like {task.name}; null: the standard", null=None
)

ACTIONS: Final[dict[str, tuple[Field, ...]]] = {
    "webhook": (
        field("url", Text(MAX_URL), "where the request goes"),
        field("method", Choice(("POST", "PUT", "PATCH")), "of the request"),
        field("headers", Pairs(Text(MAX_WORD), Text(MAX_HEADER, 0), MAX_HEADERS), "headers of its own"),
        _BODY,
        field("secret", Text(MAX_WORD), "the name of what it is signed with; null: unsigned", null=None),
    ),
    "email": (
        field("to", ListOf(Text(MAX_ADDRESS), MAX_RECIPIENTS, "addresses", least=1, once=True), "addressees"),
        field("subject", Text(MAX_SUBJECT), "with places like {task.name}; null: the standard one", null=None),
        _BODY,
    ),
    "topic": (field("name", Text(MAX_WORD), "the topic that watchers listen to"),),
    "run_task": (
        field("task", Text(MAX_NAME), "a task, by name or id"),
        field("parameters", JsonObject(MAX_PARAMETERS), "of that run; null: the task's own", null=None),
    ),
}
"""The fields of an action by its kind."""

EVENT: Final = (
    field("name", Text(MAX_WORD), "unique in the task"),
    field("on", ListOf(Choice(On), len(On), "outcomes", least=1, once=True), "outcomes that it looks at"),
    field("condition", Prose(MAX_CONDITION), "an expression over result, input, execution, task and history"),
    field("mode", Choice(("level", "edge")), "whenever it is true, or when it becomes true"),
    field("throttle", Span(), "after it has acted, quiet for so long", null=Micros(0)),
    field("actions", ListOf(OneOf(ACTIONS, "kind"), MAX_ACTIONS, "actions", least=1, plain=False), "what is done"),
)

EVENTS: Final = ListOf(Object(EVENT), MAX_EVENTS, "event triggers", plain=False)

LABELS: Final = Pairs(Text(MAX_WORD), Text(MAX_LABEL, 0), MAX_LABELS, in_order=True)

OWNER: Final = Text(MAX_NAME)
TENANT: Final = Text(MAX_NAME, 0)
"""Who a task belongs to: said by the program that makes it, otherwise by the token it is made with."""

PLACEMENT: Final = (
    field("on", Choice(Where), "which nodes run it; with all each of them does", "where"),
    field(
        "nodes",
        ListOf(Text(MAX_NAME), MAX_NODES, "names of nodes", least=1, once=True),
        "with on nodes: their names",
        null=None,
    ),
    field("labels", LABELS, "with on selector: what a node must have", null=None),
    field(
        "strategy",
        Text(MAX_NAME),
        "how one of them is chosen: least_loaded, round_robin, random, pinned, rules, or a plug-in of the node; "
        "null: as the node is set",
        null="",
    ),
)

EXTRA: Final = (
    field("data", Base64(), "the bytes, in base64"),
    field("contentType", Text(MAX_CONTENT_TYPE, 3), "what they are"),
)

TASK: Final = (
    field("name", Text(MAX_NAME), "unique on the node"),
    field("taskType", Text(MAX_NAME), "what is run", "type"),
    field("trigger", OneOf(TRIGGERS, example=EXAMPLE), "when"),
    field("parameters", JsonObject(MAX_PARAMETERS), "what the handler is called with"),
    field("extra", Object(EXTRA), "bytes for the handler, exactly as they are", null=None),
    field("policies", Object(POLICIES), "how"),
    field("tags", ListOf(Text(MAX_TAG), MAX_TAGS, "texts", once=True), "words for people"),
    field("labels", LABELS, "values by name, for people and programs"),
    field("dependencies", Object(DEPENDENCIES), "tasks whose completion it waits for", null=None),
    field("events", EVENTS, "what follows its outcomes"),
    field("placement", Object(PLACEMENT, short="on"), "where it runs; null: on any node", null=ANYWHERE),
    field("persistent", Flag(), "stored, or in the node's memory only"),
)
"""All that a body of a task may hold."""
