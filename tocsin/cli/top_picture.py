"""What `tocsin top` shows, as lines of text: of answers of a node, for a width and a height. Nothing is asked or drawn here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from .output import printable

VIEWS: Final = ("all", "nodes", "running", "actors", "late")
"""What can be shown; left and right go through them."""

HEAD_LINES: Final = 3
"""Lines above a view: the totals, what is not well, and an empty one."""

FOOT: Final = "q quit  p pause  ←→ view  ↑↓ scroll"

Json = Mapping[str, Any]


@attrs.frozen
class Line:
    """A line and how it is drawn: "", "head", "bad" or "good"."""

    text: str
    style: str = ""


@attrs.frozen
class Look:
    """How it is looked at: which view, how far down, how much room there is, and whether it stands still."""

    view: str = "all"
    scroll: int = 0
    width: int = 80
    height: int | None = 24
    paused: bool = False

    def moved(self, key: str) -> Look:
        """After a key: left, right, up, down or p."""
        step = {"left": -1, "right": 1}.get(key, 0)
        if step:
            return attrs.evolve(self, view=VIEWS[(VIEWS.index(self.view) + step) % len(VIEWS)], scroll=0)
        down = {"up": -1, "down": 1}.get(key, 0)
        return attrs.evolve(self, scroll=max(self.scroll + down, 0), paused=self.paused != (key == "p"))


def picture(found: Json, look: Look) -> list[Line]:
    """The lines of a look at what was found; exactly as many as there is room for, if that has an end."""
    head = [*_head(found)]
    if look.height is None:
        return _cut([*head, *(line for panel in _panels(found).values() for line in (*panel, Line("")))], look.width)
    room = max(look.height - len(head) - 1, 1)
    panels = _panels(found)
    body = (
        _shared(list(panels.values()), room) if look.view == "all" else _scrolled(panels[look.view], look.scroll, room)
    )
    lines = [
        *head,
        *body,
        *[Line("")] * (room - len(body)),
        Line(f"{FOOT}   {look.view}{', stands still' if look.paused else ''}", "head"),
    ]
    return _cut(lines[: look.height], look.width)


def _cut(lines: Sequence[Line], width: int) -> list[Line]:
    return [
        attrs.evolve(line, text=text if len(text) <= width else f"{text[: width - 1]}…")
        for line in lines
        for text in (printable(line.text.replace("\n", " ")),)
    ]


def _shared(panels: Sequence[Sequence[Line]], room: int) -> list[Line]:
    """All panels in little room: each its title and a fair share of rows; what is left over goes to the long ones."""
    shares = [1] * len(panels)
    left = room - len(panels) * 2
    while left > 0 and any(share < len(panel) for share, panel in zip(shares, panels, strict=True)):
        for index, panel in enumerate(panels):
            if left > 0 and shares[index] < len(panel):
                shares[index] += 1
                left -= 1
    lines: list[Line] = []
    for share, panel in zip(shares, panels, strict=True):
        hidden = len(panel) - share
        shown = list(panel[:share])
        if hidden and share > 1:
            shown[-1] = Line(f"  … {hidden + 1} more")
        lines += [*shown, Line("")]
    return lines[:room]


def _scrolled(panel: Sequence[Line], scroll: int, room: int) -> list[Line]:
    first = min(scroll, max(len(panel) - room, 0))
    return [panel[0], *panel[1 + first : first + room]]


def _head(found: Json) -> Iterator[Line]:
    counts, nodes = found["counts"], found["nodes"]
    running, slots = sum(node["running"] for node in nodes), sum(node["slots"] for node in nodes)
    by_status = " ".join(f"{number} {name.lower()}" for name, number in sorted(counts["byStatus"].items()))
    yield Line(f"Tocsin at {found['node']}, {found['at']}: {running}/{slots} slots  {by_status}", "head")
    troubles = [*found["health"], *([found["error"]] if found.get("error") else [])]
    if found["paused"]:
        troubles.append("the whole scheduler is paused")
    yield Line("; ".join(troubles) or "all is well", "bad" if troubles else "good")
    yield Line("")


def _panels(found: Json) -> dict[str, list[Line]]:
    return {
        "nodes": [*_nodes(found)],
        "running": [*_running(found)],
        "late": [*_late(found)],
        "actors": [*_actors(found)],
    }


def _nodes(found: Json) -> Iterator[Line]:
    yield Line(f"{'NODE':<20} {'STATE':<9} {'LOAD':<16} {'PARTITIONS':>10} {'OFFSET':>10}", "head")
    for node in found["nodes"]:
        name = f"{node['name']}{'*' if node['leader'] else ''}"
        load = f"{_bar(node['running'], node['slots'])} {node['running']}/{node['slots']}"
        offset = "-" if node["offsetMs"] is None else f"{node['offsetMs']:+.1f} ms"
        well = node["state"] == "alive" and node["executor"]
        state = node["state"] if node["executor"] else f"{node['state']}, off"
        yield Line(f"{name:<20} {state:<9} {load:<16} {node['partitions']:>10} {offset:>10}", "" if well else "bad")


def _bar(part: int, whole: int, width: int = 8) -> str:
    filled = round(width * part / whole) if whole else 0
    return "█" * (filled if filled or not part else 1) + "░" * (width - (filled if filled or not part else 1))


def _running(found: Json) -> Iterator[Line]:
    yield Line(f"{'RUNNING NOW':<30} {'NODE':<14} {'FOR':>8}  PROGRESS", "head")
    for one in found["running"]:
        yield Line(f"{one['task']:<30.30} {one['node'] or '-':<14.14} {_age(one['seconds']):>8}  {_progress(one)}")


def _progress(one: Json) -> str:
    figures = one["progress"] or {}
    done, total = figures.get("done"), figures.get("total")
    parts = [f"{_bar(int(done), int(total))} {100 * done / total:.0f} %"] if done is not None and total else []
    return " ".join([*parts, str(figures.get("step") or "")]).strip() or one["state"].lower()


def _late(found: Json) -> Iterator[Line]:
    yield Line(f"{'LATE':<30} {'DUE':<26} {'SINCE':>8}", "head")
    for one in found["late"]:
        yield Line(f"{one['task']:<30.30} {one['due']:<26} {_age(one['seconds']):>8}", "bad")


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    whole = max(int(seconds), 0)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h"


def _actors(found: Json) -> Iterator[Line]:
    yield Line(
        f"{'ACTORS OF ' + found['node']:<34} {'STATE':<9} {'MAILBOX':>8} {'PEAK':>6} {'HANDLED':>9} {'RESTARTS':>8}",
        "head",
    )
    if found["tree"] is not None:
        yield from _branch(found["tree"], 0)


def _branch(actor: Json, depth: int) -> Iterator[Line]:
    statistics = actor["statistics"] or {}
    mailbox = statistics.get("mailbox") or {}
    cells = [mailbox.get("depth"), mailbox.get("peak"), statistics.get("handled"), actor["restarts"]]
    shown = ["" if cell is None else str(cell) for cell in cells]
    name = f"{'  ' * depth}{actor['name']}"
    text = f"{name:<34.34} {actor['state']:<9.9} {shown[0]:>8} {shown[1]:>6} {shown[2]:>9} {shown[3]:>8}"
    yield Line(text, "bad" if actor["restarts"] or actor["state"] != "running" else "")
    for child in actor["children"]:
        yield from _branch(child, depth + 1)


def seconds_since(text: str | None, now: datetime) -> float | None:
    """How long ago a time of the API was; None for none."""
    return None if text is None else (now - datetime.fromisoformat(text)).total_seconds()
