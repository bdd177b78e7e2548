"""Pictures of figures as SVG text: bars on a logarithmic scale, and lines.

They have no background of their own. All colours lie in the middle between black and white, so they are read on light pages and
on dark ones; a page cannot tell a picture which of the two it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal
from xml.sax.saxutils import escape, quoteattr

import attrs

TEXT: Final = "#7d7d7d"
FAINT: Final = "#8a8a8a"
"""Axes and grids, drawn thin and half transparent."""

COLOURS: Final = ("#c8641b", "#22897e", "#8d66d0", "#4a82bd", "#b3568f")
"""Of lines, in order; the first one is ours."""

Kind = Literal["ours", "peer", "limit"]

WIDTH: Final = 760
NAMES: Final = 250
"""Columns of pixels for what bars are of, left of them."""

VALUES: Final = 80
"""For the value right of the longest bar."""

ROW: Final = 26
TOP: Final = 60
BOTTOM: Final = 34
HEIGHT: Final = 360
"""Of a picture of lines."""

LINE_LEFT: Final = 64
LINE_RIGHT: Final = 190
"""For the names of lines, at their ends."""

GAP: Final = 15
"""Between two names of lines at the least."""


@attrs.frozen
class Bar:
    """A value above zero, and between which it lay."""

    label: str
    value: float
    kind: Kind = "peer"
    low: float | None = None
    high: float | None = None


@attrs.frozen
class Curve:
    """A line through points."""

    label: str
    points: tuple[tuple[float, float], ...]


def number(value: float) -> str:
    """Three digits, with M and k for large ones."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{_three(value / size)}{letter}"
    return _three(value)


def _three(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """Bars from left to right, in the order given."""
    lowest = 10.0 ** math.floor(math.log10(min(row.low or row.value for row in rows)) - 0.05)
    highest = max(row.high or row.value for row in rows)
    decades = max(1.0, math.log10(highest / lowest))
    space = WIDTH - NAMES - VALUES

    def place(value: float) -> float:
        return NAMES + space * math.log10(value / lowest) / decades

    height = TOP + ROW * len(rows) + BOTTOM
    parts = [_text(8, 20, title, size=15, bold=True), _text(8, 38, unit)]
    for power in range(round(math.log10(lowest)), math.floor(math.log10(highest)) + 1):
        x = place(10.0**power)
        parts += [
            _rule(x, TOP - 8, x, height - BOTTOM + 2),
            _text(x, height - 16, number(10.0**power), anchor="middle"),
        ]
    for index, row in enumerate(rows):
        parts += _bar(row, TOP + ROW * index, place)
    return _picture(title, height, parts)


def _bar(row: Bar, y: float, place: Callable[[float], float]) -> Iterator[str]:
    x, middle = place(row.value), y + ROW / 2 - 3
    paint = {
        "ours": f'fill="{COLOURS[0]}"',
        "peer": f'fill="{FAINT}"',
        "limit": f'fill="none" stroke="{FAINT}" stroke-dasharray="4 3"',
    }[row.kind]
    yield _text(NAMES - 10, middle + 4, row.label, anchor="end", bold=row.kind == "ours")
    yield f'<rect x="{NAMES}" y="{y:.1f}" width="{max(1.0, x - NAMES):.1f}" height="{ROW - 6}" rx="2" {paint}/>'
    end = x
    if row.low is not None and row.high is not None and row.high > row.low:
        end = place(row.high)
        yield f'<path d="M{place(row.low):.1f} {middle:.1f}H{end:.1f}" stroke="{TEXT}" stroke-width="2"/>'
    yield _text(end + 7, middle + 4, number(row.value), bold=row.kind == "ours")


def curves(
    title: str, across: str, up: str, lines: Sequence[Curve], *, decades: bool = False, bound: float | None = None
) -> str:
    """Lines with their names at their ends. decades: a logarithmic scale across. bound: a dashed line at this height."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points] + ([] if bound is None else [bound])
    low, high = (math.log10(min(xs)), math.log10(max(xs))) if decades else (min(xs), max(xs))
    ticks = steps(max(ys))
    right, floor = WIDTH - LINE_RIGHT, HEIGHT - BOTTOM

    def at_x(value: float) -> float:
        share = ((math.log10(value) if decades else value) - low) / ((high - low) or 1)
        return LINE_LEFT + (right - LINE_LEFT) * share

    def at_y(value: float) -> float:
        return floor - (floor - TOP) * value / ticks[-1]

    parts = [_text(8, 20, title, size=15, bold=True), _text(8, 38, up), _text(right, HEIGHT - 4, across, anchor="end")]
    for tick in ticks:
        y = at_y(tick)
        parts += [_rule(LINE_LEFT, y, right, y), _text(LINE_LEFT - 8, y + 4, number(tick), anchor="end")]
    marks = [10.0**power for power in range(math.ceil(low), math.floor(high) + 1)] if decades else steps(high)
    parts += [
        _text(at_x(mark), floor + 16, number(mark), anchor="middle") for mark in marks if decades or low <= mark <= high
    ]
    if bound is not None:
        path = f"M{LINE_LEFT} {at_y(bound):.1f}H{right}"
        parts.append(f'<path d="{path}" stroke="{TEXT}" stroke-width="1.5" stroke-dasharray="6 4"/>')
    names = apart([at_y(line.points[-1][1]) for line in lines])
    for index, (line, y) in enumerate(zip(lines, names, strict=True)):
        colour = COLOURS[index % len(COLOURS)]
        path = "M" + "L".join(f"{at_x(x):.1f} {at_y(value):.1f}" for x, value in line.points)
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2.5" stroke-linejoin="round"/>')
        parts.append(_text(right + 10, y + 4, line.label, colour=colour, bold=True))
    return _picture(title, HEIGHT, parts)


def steps(highest: float) -> list[float]:
    """From 0 in equal steps of 1, 2 or 5 times a power of ten to what is not below the highest value; four to ten of them."""
    if highest <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(highest / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if highest / (power * factor) <= 6)
    return [step * index for index in range(math.ceil(highest / step - 1e-9) + 1)]


def apart(heights: Sequence[float]) -> list[float]:
    """The heights, moved down where two names would lie over each other."""
    found = list(heights)
    taken = -math.inf
    for index in sorted(range(len(found)), key=found.__getitem__):
        taken = found[index] = max(found[index], taken + GAP)
    return found


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, bold: bool = False, colour: str = TEXT
) -> str:
    weight = ' font-weight="600"' if bold else ""
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {where} font-size="{size}" fill="{colour}"{weight}>{escape(text)}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{FAINT}" stroke-opacity="0.35"/>'


def _picture(title: str, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}" '
        f'role="img" aria-label={quoteattr(title)} font-family="system-ui, sans-serif">'
    )
    return "\n".join([head, f"<title>{escape(title)}</title>", *parts, "</svg>", ""])
