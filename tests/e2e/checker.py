"""What must hold after any run with faults: the checker's word on the ledger of a dead node and on its handlers' own record.

Beside it stands what only these tests ask for: that no death costs more than one piece of work.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from tocsin.checker import history
from tocsin.checker.checker import check
from tocsin.checker.history import Row
from tocsin.checker.trial import NOT_RUN, RAN

if TYPE_CHECKING:
    from tests.e2e.harness import Ledger, StoredTask

OUTCOMES: Final = RAN | NOT_RUN

SECOND: Final = 1_000_000

BOUNDS: Final = history.Bounds(lateness=300 * SECOND, heal=600 * SECOND, telling=5 * SECOND)
"""How late something is the tests judge themselves, where they do."""


@attrs.frozen
class Line:
    """A line of the record outside the store, in the order of the file.

    kind: `start`, `work` (on `item`), `trying` and `kept` (before and after a checkpoint, at `position`), `end`: written by the
    handler; `dead`: the process `pid` was seen dead. position: how many items are done; at `start` it is that of the checkpoint
    it was given, None without one. at: the time of day in microseconds, where it was written down.
    """

    kind: str
    pid: int
    task: str = ""
    nominal: int | None = None
    execution: str = ""
    attempt: int = 0
    fence: int = 0
    item: str | None = None
    position: int | None = None
    at: int = 0


def judge(ledger: Ledger, lines: Sequence[Line], names: Iterable[str], *, silent: Iterable[str] = ()) -> list[str]:
    """What is wrong with these tasks. silent: those of them that write nothing into the record.

    All the time something was done to the node, by its test.
    """
    unheard = frozenset(silent)
    wanted = {name: ledger.tasks[name] for name in names}
    tasks = [_task(task, ledger, records=name not in unheard) for name, task in wanted.items()]
    ended = max([line.at for line in lines] + [task.settled_through for task in wanted.values()]) + 1
    found = check(
        history.History(
            tasks=tuple(tasks),
            lines=tuple(_line(line) for line in lines if line.task in wanted and line.kind != "work"),
            ended_at=ended,
            healed_at=ended,
            requests=tuple(_runs(tasks)),
            spans=(history.Span("busy", "", 0), *_deaths(lines)),
            bounds=BOUNDS,
        )
    )
    return [str(one) for one in found.violations]


def _runs(tasks: Iterable[history.Task]) -> Iterable[history.Request]:
    """Whoever runs a task by hand in these tests knows how often."""
    for task in tasks:
        for one in task.executions:
            if one.nominal is None:
                yield history.Request("run", task.id, one.created_at, None, "ok", one.id)


def _deaths(lines: Iterable[Line]) -> Iterable[history.Span]:
    return (history.Span("dead", str(line.pid), line.at) for line in lines if line.kind == "dead")


def _line(line: Line) -> history.Line:
    where = (line.task, line.execution, line.attempt, line.fence, line.at)
    return history.Line(line.kind, str(line.pid), *where, nominal=line.nominal, position=line.position)


def _task(task: StoredTask, ledger: Ledger, *, records: bool) -> history.Task:
    policies: Mapping[str, Any] = task.definition.get("policies", {})
    return history.Task(
        id=task.id,
        name=task.name,
        created_at=task.created_at,
        revisions=(history.Revision(task.began_at, task.definition["trigger"]),),
        phase=task.phase,
        settled_through=task.settled_through,
        fence=task.fence,
        overlap=policies.get("overlap", "skip"),
        catch_up=policies.get("catch_up", "latest"),
        on_crash=policies.get("on_crash", "resume"),
        max_retries=policies.get("retry", {}).get("max_retries", 3),
        records=records,
        rows=tuple(ledger.rows[task.name]),
        executions=tuple(ledger.executions[task.name]),
    )


def interval_times(anchor: int, every: int, after: int, through: int) -> list[int]:
    """The grid `anchor + n * every`, n >= 0, in (after, through]: counted up from the anchor."""
    return [time for time in range(anchor, through + 1, every) if time > after]


def check_ledger(task: str, expected: Sequence[int], rows: Iterable[Row]) -> list[str]:
    """Every expected nominal time has exactly one outcome, and nothing else has one. expected: in order."""
    found: list[str] = []
    covered: Counter[int] = Counter()
    wanted = set(expected)
    for row in rows:
        if row.outcome not in OUTCOMES:
            found.append(f"{task}: the row of {row.first} has the outcome {row.outcome}")
        inside = expected[bisect_left(expected, row.first) : bisect_right(expected, row.last)]
        if row.first not in wanted or row.last not in wanted:
            found.append(f"{task}: the row {row.first} to {row.last} does not begin and end with nominal times")
        if row.count != len(inside):
            found.append(f"{task}: the row {row.first} to {row.last} counts {row.count}, it holds {len(inside)}")
        covered.update(inside)
    found += [f"{task}: {time} has no outcome" for time in expected if not covered[time]]
    found += [f"{task}: {time} has {count} outcomes" for time, count in covered.items() if count > 1]
    return found


def check_redone(task: str, lines: Sequence[Line]) -> list[str]:
    """Each death costs one item (one checkpoint interval) done again at the most."""
    found: list[str] = []
    begun: dict[tuple[str, str | None], int] = {}
    since: dict[str, int] = {}
    deaths = 0
    for line in lines:
        if line.kind == "dead":
            deaths += 1
            since = {}
        elif line.task == task and line.kind == "work":
            key = line.execution, line.item
            if key in begun:
                again = since[line.execution] = since.get(line.execution, 0) + 1
                if begun[key] == deaths or again > 1:
                    found.append(f"{task}: {line.item} is done again, the {again}. after {deaths} deaths")
            begun[key] = deaths
    return found


def report(violations: Sequence[Any]) -> str:
    """The first violations and their number, for a message."""
    return f"{len(violations)} violations:\n" + "\n".join(str(one) for one in violations[:20])
