"""What is judged after a run with faults: plain records, whatever the run was made of.

They come from three independent witnesses: the handlers' own record of what they really did, the store as it stands at the end,
and whoever made the faults and the requests. A simulation, real processes and a drill all fill in the same records, and the
same checker judges them. Instants are microseconds of one true clock since 1970; nothing here is a type of the scheduler's, so
that the checker shares no code with what it judges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Line:
    """A line of the handlers' record, in the order in which things really happened.

    kind: `start`; `trying` and `kept`, before and after a checkpoint, with its `position`; `effect`, something done to the
    outside under `key`; `end`, or `cut` if the handler was interrupted or failed. position at `start`: that of the checkpoint it
    was given, None without one. process: which life of which node it ran in, unique over the whole run.
    """

    kind: str
    process: str
    task: str
    execution: str
    attempt: int
    fence: int
    at: int
    nominal: int | None = None
    position: int | None = None
    key: str | None = None


@attrs.frozen
class Attempt:
    """An attempt as the store has it. boot: the lease it was claimed under."""

    number: int
    fence: int
    state: str
    started_at: int | None
    ended_at: int | None
    boot: str | None = None
    node: str | None = None


@attrs.frozen
class Execution:
    """An execution as the store has it, with all its attempts in order.

    target: the node it is for, where the task runs on all. fence: of the newest attempt. result: as JSON. lingers: ended, but its
    abandoned handler has not come back. ended_at: None while it is open, or where only its attempts tell.
    """

    id: str
    created_at: int
    state: str
    nominal: int | None = None
    outcome: str | None = None
    reason: str | None = None
    target: str | None = None
    fence: int = 0
    lingers: bool = False
    result: str | None = None
    attempts: tuple[Attempt, ...] = ()
    ended_at: int | None = None


@attrs.frozen
class Row:
    """A row of the ledger: `count` nominal times from `first` to `last`, with one outcome and reason. None: still open."""

    first: int
    last: int
    count: int | None
    outcome: str | None
    reason: str | None = None
    execution: str | None = None
    target: str | None = None


@attrs.frozen
class Revision:
    """A version of a task's trigger, in force after `began_at`.

    trigger: one of `{"every": micros, "anchor": micros}`, `{"cron": text of 5 or 6 fields, "timezone": "UTC"}`, `{"at": micros}`,
    `{"delay": micros}` (fixed delay: judged by order only), or `{"union": [triggers]}`; `bounds` may hold `start`, `end`.
    """

    began_at: int
    trigger: Mapping[str, Any]
    bounds: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen
class Task:
    """A task as the store has it, and what was asked of it. Absent from the store: `deleted`.

    phase: `active`, `paused`, `finished` or `cancelled`, since `ended_at` for the last two. settled_through: the ledger is
    complete up to here. key: the concurrency key and its limit. everywhere: every slot runs on each node. pinned: it runs on some
    of the nodes only. priority, queue: with whom it stands in line. records: whether its handler writes to the record (a command
    or a request does not). calendars, parents: what it keeps to and waits for.
    """

    id: str
    name: str
    created_at: int
    revisions: tuple[Revision, ...]
    phase: str
    settled_through: int
    fence: int = 0
    overlap: str = "skip"
    overlap_limit: int = 1
    catch_up: str = "latest"
    on_crash: str = "resume"
    max_runs: int | None = None
    key: tuple[str, int] | None = None
    everywhere: bool = False
    pinned: bool = False
    priority: int = 0
    queue: str = ""
    max_retries: int = 0
    records: bool = True
    calendars: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    ended_at: int | None = None
    deleted: bool = False
    rows: tuple[Row, ...] = ()
    executions: tuple[Execution, ...] = ()


@attrs.frozen
class Span:
    """A stretch of time in which something was wrong, as whoever made it so wrote down. end None: to the end.

    kind: `frozen` (a process stood still), `dead` (a process, from its death on), `asleep`, `cut`, `slow`, `store`,
    `coordination`, `clock`: what was hit is the `subject`: a process for the first two, otherwise a node or "". `paused`: a task,
    or "" for all of them, was paused by an operator. `busy`: the machine had more to do than it can, so anything may be late, and
    nothing is gone.
    """

    kind: str
    subject: str
    begin: int
    end: int | None = None


@attrs.frozen
class Request:
    """Something that was asked of the scheduler, and what came of it.

    verb: `create`, `edit`, `pause`, `resume`, `cancel`, `run`, `delete`, `purge`. answer: `ok`, `refused` (nothing changed), or
    `unknown` (it may or may not have happened). key: the execution that a `run` was promised as.
    """

    verb: str
    task: str
    asked_at: int
    answered_at: int | None
    answer: str
    key: str | None = None


@attrs.frozen
class Write:
    """A commit that was made under an epoch, at the moment when it reached the store.

    highest: the partition's epoch in the store then. what: `settle`, `admit`, `claim`, `recover`, `purge`.
    """

    at: int
    boot: str
    partition: int
    epoch: int
    highest: int
    accepted: bool
    what: str = ""


@attrs.frozen
class Lease:
    """At this instant the store granted a process its lease, or renewed it: good until `until`, by the process's own clock."""

    process: str
    at: int
    until: int


@attrs.frozen
class Ownership:
    """Who owns what after healing. said: per living node, which partitions it takes for its own. stored: the boot that holds each
    in the store; live: the boots whose leases hold, with their nodes."""

    said: Mapping[str, frozenset[int]]
    stored: Mapping[int, str]
    live: Mapping[str, str]


@attrs.frozen
class Bounds:
    """What is promised for this run, in microseconds, each with its allowance for the faults drawn.

    lateness: a start later than this after its nominal time needs a reason, on a quiet cluster. heal: within this after the last
    fault everything is owned once and nothing due is left. zombie: how long after its thaw a process may act on what is past.
    skew: how far apart the nodes' clocks may be from the true one. fencing: how long who doubts its lease takes to end what runs.
    telling: what happens at a node is in the store after so long: an attempt that has ended may count as open until then.
    """

    lateness: int = 1_000_000
    heal: int = 30_000_000
    zombie: int = 1_000_000
    skew: int = 0
    fencing: int = 1_000_000
    telling: int = 0


@attrs.frozen
class History:
    """Everything that is judged. healed_at: when the last fault was taken back; ended_at: when the store was read.

    writes: only where the store tells of them; None: nobody watched. slots: how many attempts a node runs at the same time, 0 if
    that is not known.
    """

    tasks: tuple[Task, ...]
    lines: tuple[Line, ...]
    ended_at: int
    healed_at: int
    spans: tuple[Span, ...] = ()
    requests: tuple[Request, ...] = ()
    writes: tuple[Write, ...] | None = None
    ownership: Ownership | None = None
    partitions: int = 0
    bounds: Bounds = Bounds()
    leases: tuple[Lease, ...] = ()
    slots: int = 0
