"""`tocsin rehearse FILE`: the tasks of a file in a cluster on virtual time; what it is told, and what it answers."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final

import attrs
from cyclopts import Parameter

from runtime.clock import DAY, SECOND, Instant
from runtime.errors import InvalidRequest

from ..durations import parse_duration
from ..vocabulary.fields import parse_instant, real_number, whole_number
from .options import Many
from .output import print_json

FAILED_EXIT: Final = 25
"""Exit code of a rehearsal in which the checker found something wrong."""

LINE_SECONDS: Final = 10.0
"""Between two lines of progress where there is no terminal for a bar."""

MOST_NODES: Final = 50
MOST_DAYS: Final = 3_660.0
MOST_SLOTS: Final = 100_000


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class OfTasks:
    """A rehearsal of tasks.

    Parameters
    ----------
    days
        How many days; 7 if not said.
    nodes
        How many nodes, n1, n2, ...; 3 if not said.
    kill
        NODE@WHEN[:FOR]: the node dies, and begins again after FOR; without it, it stays away. WHEN is a time, or so long after
        the beginning: n2@3d4h:2h. May be given several times, as all that follow.
    freeze
        NODE@WHEN:FOR: the node stands still, and goes on as if nothing had been.
    drain
        NODE@WHEN:FOR: the node is told to give its work away, and takes part again later.
    partition
        A|B@WHEN:FOR: nothing passes between these nodes: n1|n2,n3@3d:10m. They still reach the servers.
    lose_store
        NODE@WHEN:FOR: the node does not reach the store; all@WHEN:FOR: nobody does.
    lose_coordination
        NODE@WHEN:FOR: the node does not reach the coordination servers; all: they have no quorum.
    skew
        NODE=SECONDS: by how much the node's clock is wrong: n2=0.5.
    durations
        TYPE=DURATION: how long a task type takes: 20m, or 5m-20m to draw between; or a .toml file with tables durations,
        failures and checkpoints.
    failures
        TYPE=PART: the part of its attempts that fails: 0.05 or 5%; or such a file.
    checkpoints
        TYPE=DURATION: how often it saves a checkpoint; without it a run that is cut off begins anew; or such a file.
    durations_from
        The URL or the data directory of a running node, whose history says how long its types take and how often they fail.
    session
        How long the coordination servers wait for a silent node; 5s if not said, as a cluster does.
    slots
        How many attempts a node runs at once; 1000 if not said.
    """

    days: float | None = None
    nodes: int | None = None
    kill: Annotated[list[str] | None, Many] = None
    freeze: Annotated[list[str] | None, Parameter(name=("--freeze", "--pause"), negative=())] = None
    drain: Annotated[list[str] | None, Many] = None
    partition: Annotated[list[str] | None, Parameter(name=("--partition", "--split"), negative=())] = None
    lose_store: Annotated[list[str] | None, Many] = None
    lose_coordination: Annotated[list[str] | None, Many] = None
    skew: Annotated[list[str] | None, Many] = None
    durations: Annotated[list[str] | None, Many] = None
    failures: Annotated[list[str] | None, Many] = None
    checkpoints: Annotated[list[str] | None, Many] = None
    durations_from: str | None = None
    session: str | None = None
    slots: int | None = None


NO_TASKS: Final = OfTasks()


def run(files: Sequence[str], given: OfTasks, begin: str | None, seed: int | None, as_json: bool) -> int:
    """Carry it out and print what came of it. Answers the exit code. Raises InvalidRequest."""
    from ..rehearsal.users.assumptions import KINDS, Assumptions
    from ..rehearsal.users.carry_out import rehearse
    from ..rehearsal.users.definitions import check_named, check_parameters, read_files
    from ..rehearsal.users.report import report
    from .rehearsal_report import print_report

    wanted = _wanted(given, begin, seed)
    script, assumptions = read_files(files), Assumptions()
    if given.durations_from is not None:
        _learn(assumptions, given.durations_from)
        assumptions.keep(script.type_names())
    for kind in KINDS:
        assumptions.said(kind, getattr(given, kind) or ())
    check_named(script, assumptions)
    check_parameters(script)
    with _silent(), _progress(wanted.begin, wanted.end, as_json) as show:
        done = rehearse(wanted, script, assumptions, show)
        shown = report(done, script, assumptions)
    print_json(shown) if as_json else print_report(shown)
    return 0 if shown["checker"]["good"] else FAILED_EXIT


def _wanted(given: OfTasks, begin: str | None, seed: int | None) -> Any:
    from ..rehearsal.plan import node_names
    from ..rehearsal.users.carry_out import Wanted
    from ..rehearsal.users.faults import KINDS, PARTITION, read_faults, read_skews

    nodes = whole_number(3 if given.nodes is None else given.nodes, "--nodes", 1, MOST_NODES)
    days = real_number(7.0 if given.days is None else given.days, "--days", 0.01, MOST_DAYS)
    names, seconds = node_names(nodes), days * DAY / SECOND
    start = _today() if begin is None else parse_instant(begin, "--from", "UTC")
    faults = [
        fault
        for option in (*KINDS, PARTITION)
        for fault in read_faults(option, getattr(given, option[2:].replace("-", "_")) or (), names, start, seconds)
    ]
    usual = Wanted(start)
    session = usual.session if given.session is None else parse_duration(given.session, "--session") / SECOND
    slots = whole_number(usual.slots if given.slots is None else given.slots, "--slots", 1, MOST_SLOTS)
    return Wanted(
        start,
        days,
        nodes,
        tuple(faults),
        read_skews(given.skew or (), names),
        0 if seed is None else seed,
        real_number(session, "--session", 1.0, 3_600.0),
        slots,
    )


def _today() -> Instant:
    # What runs a loop is loaded by those who need one: help is shown without it.
    from runtime.world import RealWorld

    now = RealWorld().now()
    return Instant(now - now % DAY)


def _learn(assumptions: Any, source: str) -> None:
    from ..client import Client
    from ..rehearsal.users.seen import learn

    if not source.strip():
        raise InvalidRequest(f"--durations-from: a URL or a data directory, not {source!r}")
    client = Client(source, channel="cli") if "://" in source else Client(data=source, channel="cli")
    with client:
        learn(assumptions, client)


@contextmanager
def _silent() -> Iterator[None]:
    """What the nodes of a rehearsal say in their logs is nobody's news."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def _progress(begin: Instant, end: Instant, as_json: bool) -> Iterator[Callable[[Instant], None]]:
    """A bar on the error stream, where that is a terminal; else a line now and then, if it takes long."""
    if as_json:
        yield lambda now: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("rehearsing {task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as shown:
            bar = shown.add_task("the beginning", total=end - begin)
            yield lambda now: shown.update(bar, completed=now - begin, description=_day(now, begin, end))
    else:
        said = [time.monotonic()]

        def show(now: Instant) -> None:
            if time.monotonic() - said[0] >= LINE_SECONDS:
                said[0] = time.monotonic()
                print(f"rehearsing {_day(now, begin, end)}", file=sys.stderr, flush=True)

        yield show


def _day(now: Instant, begin: Instant, end: Instant) -> str:
    return f"day {(now - begin) / DAY:.1f} of {(end - begin) / DAY:g}"
