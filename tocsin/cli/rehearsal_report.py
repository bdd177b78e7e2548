"""What `tocsin rehearse FILE` prints: the ledger, what went wrong and why, the load as a heat map, the faults, the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from .output import print_table, printable

Json = Mapping[str, Any]

SHADES: Final = " .:-=+*#%@"
"""Of the heat map, from nothing to the most: readable without colours."""

COLOURS: Final = ("", "blue", "blue", "cyan", "cyan", "green", "green", "yellow", "bright_red", "bold bright_red")

DAYS_SHOWN: Final = 62
"""Lines of the heat map; longer rehearsals show whole weeks."""

NOTES_SHOWN: Final = 12


def print_report(report: Json) -> None:
    """For people. Times are in UTC, as the rehearsal's."""
    _head(report)
    _assumptions(report)
    _ledger(report)
    _trouble(report)
    _load(report)
    _faults(report)
    _actions(report)
    _verdict(report)


def _head(report: Json) -> None:
    speed = report["simulatedSeconds"] / max(report["realSeconds"], 0.1)
    print(
        f"Rehearsed {_when(report['from'])} to {_when(report['until'])} UTC: {report['days']:g} days, "
        f"{len(report['nodes'])} nodes, seed {report['seed']}; in {report['realSeconds']:g} s, {speed:,.0f} times as fast."
    )
    skews = ", ".join(f"{name} {seconds:+g} s" for name, seconds in report["skewSeconds"].items())
    print(
        f"Sessions of {report['sessionSeconds']:g} s, {report['slotsPerNode']} slots on each node"
        + (f", clocks wrong: {skews}" if skews else "")
        + ". Nothing was carried out: stand-ins took the time."
    )
    for line in report["leftOut"][:NOTES_SHOWN]:
        print(printable(f"Left out: {line}."))
    print()


def _assumptions(report: Json) -> None:
    rows = [
        (
            name,
            one["duration"],
            one["durationSource"],
            f"{one['failures']:.1%}" if one["failures"] else "none",
            one["failureSource"],
            f"every {one['checkpointSeconds']:g} s" if one["checkpointSeconds"] else "none",
        )
        for name, one in report["assumptions"].items()
    ]
    print_table(("Task type", "Takes", "As said by", "Fails", "As said by", "Checkpoints"), rows)
    print()


def _ledger(report: Json) -> None:
    columns = (
        "Task",
        "Due",
        "Fired",
        "Late",
        "Coalesced",
        "Missed",
        "Skipped",
        "Open",
        "Failed",
        "p50",
        "p99",
        "Worst",
    )
    rows = []
    for one in report["tasks"]:
        late = one["lateness"] or {}
        failed = sum(one["executions"].get(state, 0) for state in ("FAILED", "TIMED_OUT"))
        counts = [one[key] or "-" for key in ("due", "fired", "late", "coalesced", "missed", "skipped", "open")]
        times = [_span(late.get(key)) for key in ("p50Seconds", "p99Seconds", "worstSeconds")]
        rows.append((one["name"], *counts, failed or "-", *times))
    print_table(columns, rows)
    totals = report["totals"]
    said = ", ".join(
        f"{totals[key]} {key}" for key in ("fired", "late", "coalesced", "missed", "skipped", "open") if totals[key]
    )
    print(f"{totals['due']} nominal times: {said or 'none'}. {totals['starts']} attempts were started.\n")


def _trouble(report: Json) -> None:
    if not report["trouble"]:
        print("Nothing was late, and nothing was skipped.\n")
        return
    print("What was late or did not run, and why")
    for one in report["trouble"]:
        times = f"{one['number']} times" if one["number"] > 1 else "once"
        at = f"at {_when(one['first'])}" if one["number"] == 1 else f"{_when(one['first'])} to {_when(one['last'])}"
        worst = "" if one["worstSeconds"] is None else f", {_span(one['worstSeconds'])} late at the worst"
        print(printable(f"  {one['task']}: {times} {one['outcome']} ({at}{worst}): {one['why']}."))
    print()


# -- load


def _load(report: Json) -> None:
    load = report["load"]
    hours: Sequence[int] = load["startsByHour"]
    most = max(hours, default=0)
    if not most:
        print("Nothing was started.\n")
        return
    console = Console(highlight=False)
    begin = datetime.fromisoformat(report["from"])
    print(f"Starts by hour; {SHADES[1]} is the least, {SHADES[-1]} is {most}")
    print(" " * 12 + "".join(f"{hour:<6}" for hour in range(0, 24, 3)))
    for first, cells in _days(hours, begin):
        console.print(Text(f"{first:%a %m-%d}   ") + _row(cells, most, width=2))
    minutes: Sequence[int] = load["startsByMinuteOfHour"]
    print(f"\nStarts by minute of the hour; {SHADES[-1]} is {max(minutes)}")
    print(" " * 12 + "".join(f"{minute:<10}" for minute in range(0, 60, 10)))
    console.print(Text(" " * 12) + _row(minutes, max(minutes), width=1))
    busiest, peak = load["busiestMinute"], load["peakRunning"]
    print(f"\nBusiest minute: {_when(busiest['at'])} UTC, {_count(busiest['starts'], 'start')}.")
    print(
        f"Most at once: {peak['number']} of {peak['slots']} slots, at {_when(peak['at'])} UTC; "
        f"on one node {peak['onOneNode']} of {peak['slotsOfOneNode']}.\n"
    )


def _days(hours: Sequence[int], begin: datetime) -> Iterator[tuple[datetime, list[int | None]]]:
    """Lines of 24 hours by the clock; of very long rehearsals one a week, with the most of each hour."""
    offset = begin.hour
    padded: list[int | None] = [*[None] * offset, *hours]
    padded += [None] * (-len(padded) % 24)
    first = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    days = [padded[start : start + 24] for start in range(0, len(padded), 24)]
    step = 1 if len(days) <= DAYS_SHOWN else 7
    for number in range(0, len(days), step):
        week = days[number : number + step]
        yield first + timedelta(days=number), [_busiest(day[hour] for day in week) for hour in range(24)]


def _busiest(cells: Iterable[int | None]) -> int | None:
    return max((cell for cell in cells if cell is not None), default=None)


def _row(cells: Sequence[int | None], most: int, width: int) -> Text:
    text = Text()
    for cell in cells:
        shade = 0 if not cell else max(1, -(-cell * (len(SHADES) - 1) // most))
        text.append(SHADES[shade] * width, style=COLOURS[shade] or None)
    return text


# -- faults


def _faults(report: Json) -> None:
    if not report["faults"]:
        return
    print("What went wrong on purpose, and what it cost")
    for one in report["faults"]:
        lasted = "to the end" if one["untilTheEnd"] else f"for {_span(one['seconds'])}"
        who = " and ".join(one["nodes"]) or "all"
        print(printable(f"  {_when(one['at'])} UTC  {one['kind']} {who}, {lasted}: {'; '.join(_costs(one))}."))
    print()


def _costs(one: Json) -> Iterator[str]:
    if one["partitions"]:
        if one["takeoverSeconds"] is not None:
            yield f"its {one['partitions']} partitions had other owners after {_span(one['takeoverSeconds'])}"
        elif one["kind"] in ("kill", "freeze", "drain", "lose store", "lose coordination"):
            yield f"nobody took its {one['partitions']} partitions over in that time"
    if one["cutOff"]:
        again = f"{one['startedAgain']} started again"
        within = (
            "" if one["startedAgainWithinSeconds"] is None else f" within {_span(one['startedAgainWithinSeconds'])}"
        )
        resumed = f", {one['fromCheckpoint']} of them from a checkpoint" if one["fromCheckpoint"] else ""
        yield f"{_count(one['cutOff'], 'attempt')} cut off, {again}{within}{resumed}"
    else:
        yield "no attempt was cut off"
    if one["affected"]:
        said = ", ".join(f"{number} {outcome}" for outcome, number in one["affected"].items())
        yield said + ("" if one["worstSeconds"] is None else f", {_span(one['worstSeconds'])} late at the worst")
    else:
        yield "nothing was late"


def _actions(report: Json) -> None:
    if report["actions"]:
        print("What event triggers would have sent")
        for what, number in report["actions"].items():
            print(printable(f"  {number} x {what}"))
        print()


def _verdict(report: Json) -> None:
    checker = report["checker"]
    for name, number in report["nodesThatEnded"].items():
        print(printable(f"A node ended by itself, {number} times: {name}"))
    for note in checker["notes"][:NOTES_SHOWN]:
        print(printable(f"The checker on {note}."))
    if checker["good"]:
        excused = f"; {checker['excused']} things were excused by the faults" if checker["excused"] else ""
        print(f"The checker finds nothing wrong{excused}.")
        return
    print(f"The checker finds {_count(checker['number'], 'violation')}; this is a fault in Tocsin, please report it:")
    for line in checker["violations"]:
        print(printable(f"  {line}"))


# -- words


def _when(text: str | None) -> str:
    if text is None:
        return "-"
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return f"{moment:%a %Y-%m-%d %H:%M}" + (f":{moment:%S}" if moment.second else "")


def _span(seconds: float | None) -> str:
    """Seconds for people."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds else "0"
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
