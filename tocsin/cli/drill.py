"""`tocsin drill`: do something to a node of a running cluster, and measure what that costs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter

from runtime.errors import Conflict, InvalidRequest

from ..durations import parse_duration
from ..vocabulary.fields import whole_number
from .connection import connect
from .output import AS_JSON, print_facts, print_json, print_table, printable

FAILED_EXIT: Final = 24
"""Exit code of a drill in which something was missed or doubled, or is wrong in another way."""

Flag = Parameter(negative=())


class _Clock:
    """The clock of this machine."""

    def now(self) -> int:
        return time.time_ns() // 1_000

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def drill(
    kind: Literal["kill-owner", "freeze", "drain"],
    /,
    *,
    node: str | None = None,
    rounds: int = 1,
    canaries: str = "12",
    every: str = "500ms",
    seconds: float = 10.0,
    hold: float = 15.0,
    command: Annotated[str | None, Parameter(name="--with")] = None,
    yes: Annotated[bool, Flag] = False,
    as_json: Annotated[bool, AS_JSON] = False,
) -> int:
    """Kill, freeze or drain a node of a running cluster, and measure with canaries what that costs.

    The node that answers is asked for everything, so it cannot be the one that is hit. The exit code is 24 if a nominal time was
    missed or ran twice.

    Parameters
    ----------
    kind
        kill-owner: kill -9. freeze: SIGSTOP for a while. drain: have it give its partitions away, and take part again.
    node
        Which; the one that owns most, if not said.
    rounds
        How often, each time another node if there is one; 1 if not said.
    canaries
        How many tasks tell how it goes, 12 if not said, or "per-partition".
    every
        How often each canary runs; 500ms if not said.
    seconds
        How long the canaries are watched before and after; 10 if not said.
    hold
        How many seconds a node stays frozen; 15 if not said.
    command
        Sends the signals where the node runs on another machine: "ssh {host} kill -{signal} {pid}"; {node} is its name.
    yes
        Do not ask.
    """
    from ..checker.checker import check
    from ..drill.process import interruptible
    from ..drill.rounds import Drill, Plan

    number = _number(canaries)
    plan = Plan(kind, node, rounds, number, parse_duration(every, "--every"), seconds, hold, command)
    name = f"{kind} {time.time_ns() // 1_000_000:x}"
    with interruptible(), _saying(as_json) as say:
        report = Drill(connect(), _Clock(), plan, name, say, _asker(yes), check).run()
    shown = report.as_json()
    print_json(shown) if as_json else _print(shown)
    return 0 if report.is_good else FAILED_EXIT


def _number(canaries: str) -> int | None:
    if canaries == "per-partition":
        return None
    if not canaries.isdecimal():
        raise InvalidRequest(f"--canaries: a number or per-partition, not {canaries!r}")
    return whole_number(int(canaries), "--canaries", 1, 4_096)


def _asker(yes: bool) -> Callable[[str], None]:
    def confirm(what: str) -> None:
        if yes:
            return
        if not sys.stdin.isatty():
            raise Conflict(f"{what}: say --yes")
        print(printable(f"{what}."), file=sys.stderr)
        if input("Go on? Type yes: ") != "yes":
            raise Conflict("nothing was done")

    return confirm


@contextmanager
def _saying(as_json: bool) -> Iterator[Callable[[str], None]]:
    """Shows what is being done: in one line that changes on a terminal, otherwise line by line, to the error stream."""
    if as_json:
        yield lambda text: None
        return
    yield lambda text: print(printable(text), file=sys.stderr, flush=True)


def _print(report: dict[str, Any]) -> None:
    for one in report["rounds"]:
        takeover = one["takeover"]
        print_facts(
            [
                ("Node", f"{one['node']}, {report['drill']} at {one['begin']}"),
                (
                    "Canaries",
                    f"{one['canaries']}, {takeover['canaries']} of them in its partitions; {one['slots']} nominal times",
                ),
                ("Takeover", _took(takeover)),
                ("Missed", len(one["missed"]) or "nothing"),
                ("Doubled", len(one["doubled"]) or "nothing"),
                ("Checker", "; ".join(one["violations"]) or "finds nothing wrong"),
                ("Afterwards", one["afterwards"]),
            ]
        )
        rows = [
            (phase, figures["starts"], *(_ms(figures[which]) for which in ("p50Ms", "p99Ms", "worstMs")))
            for phase, figures in one["lateness"].items()
        ]
        print_table(("Lateness", "Starts", "p50", "p99", "Worst"), rows)
        print()
    for note in report["notes"]:
        print(printable(note))
    print(f"Missed {report['missed']}, doubled {report['doubled']}." if report["rounds"] else "Nothing was measured.")


def _took(takeover: dict[str, Any]) -> str:
    if not takeover["canaries"]:
        return "no canary stood for a partition of this node: take more"
    parts = (
        [f"{_ms(takeover['medianMs'])} in the middle, {_ms(takeover['worstMs'])} at the most"]
        if takeover["worstMs"]
        else []
    )
    parts += [f"its partitions had other owners after {_ms(takeover['handoverMs'])}"] if takeover["handoverMs"] else []
    parts += [f"did not start again: {', '.join(takeover['silent'])}"] if takeover["silent"] else []
    return "; ".join(parts)


def _ms(value: float | None) -> str | None:
    if value is None:
        return None
    return f"{value:.0f} ms" if value < 10_000 else f"{value / 1_000:.1f} s"
