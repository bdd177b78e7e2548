"""What is told of a workload: text for reading, or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .environments import OURS, REQUIREMENTS
from .rounds import Outcome, spread
from .workloads import Contender, Figure

NAME = 36
"""Columns for a contender's name."""


def number(value: float) -> str:
    """Whole from a hundred on, three digits below."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}"


def text(name: str, outcome: Outcome) -> str:
    """A table for each figure: medians, lowest and highest, and how many times as good ours are."""
    blocks = [f"{name}: {outcome.workload.title}"]
    for figure in outcome.workload.figures:
        blocks += ["", *_table(outcome, figure)]
    versions = versions_of(outcome)
    if versions:
        blocks += ["", f"  {', '.join(versions)}"]
    return "\n".join(blocks)


def _table(outcome: Outcome, figure: Figure) -> Iterator[str]:
    ours = [contender for contender in outcome.workload.contenders if contender.kind == "ours"]
    better = "more is better" if figure.higher else "less is better"
    heads = "".join(f"  {'times as good: ' + one.name:>34}" for one in ours)
    yield f"  {figure.name + ', ' + better:<{NAME}} {'done':>7} {'median':>9} {'lowest..highest':>19} {'CPU us':>7}{heads}"
    for contender in outcome.workload.contenders:
        values = outcome.values(contender, figure)
        if not values:
            errors = [result.error for result in outcome.results[contender.name] if result.error]
            yield f"  {contender.name:<{NAME}} FAILED: {errors[0].splitlines()[-1]}"
            continue
        found = spread(values)
        cpu = spread([result.cpu_us for result in outcome.results[contender.name]]).median
        between = f"{number(found.lowest)}..{number(found.highest)}"
        done = outcome.results[contender.name][0].done
        ratios = "".join(f"  {_ratio(outcome, one, contender, figure):>34}" for one in ours)
        yield f"  {contender.name:<{NAME}} {done:>7,} {number(found.median):>9} {between:>19} {number(cpu):>7}{ratios}".rstrip()


def _ratio(outcome: Outcome, ours: Contender, other: Contender, figure: Figure) -> str:
    ratios = [] if other.kind == "ours" else outcome.ratios(ours, other, figure)
    if not ratios:
        return ""
    found = spread(ratios)
    return f"{number(found.median)} ({number(found.lowest)}..{number(found.highest)})"


def versions_of(outcome: Outcome) -> list[str]:
    """The pinned versions of the peers that took part."""
    used = {contender.environment: None for contender in outcome.workload.contenders if contender.environment != OURS}
    return [REQUIREMENTS[name][0] for name in used]


def json_lines(name: str, outcome: Outcome) -> Iterator[str]:
    """One object for each contender and figure: the values, CPU and ratios of all rounds, or the errors."""
    ours = [contender for contender in outcome.workload.contenders if contender.kind == "ours"]
    for contender in outcome.workload.contenders:
        results = outcome.results[contender.name]
        for figure in outcome.workload.figures:
            line: dict[str, Any] = {
                "workload": name,
                "contender": contender.name,
                "kind": contender.kind,
                "requirements": list(REQUIREMENTS.get(contender.environment, ())),
                "done": [result.done for result in results],
                "figure": figure.name,
                "better": "higher" if figure.higher else "lower",
                "values": outcome.values(contender, figure),
                "cpu_us": [result.cpu_us for result in results],
                "times_as_good": {
                    one.name: outcome.ratios(one, contender, figure) for one in ours if contender.kind != "ours"
                },
                "errors": [result.error for result in results if result.error],
            }
            yield json.dumps(line)
