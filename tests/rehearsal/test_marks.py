"""Each rare situation is told from a history that has it, and from none that has not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest

from tests.source import floor_sources
from tocsin.checker.history import Execution, History, Line, Request, Row, Span, Task, Write
from tocsin.rehearsal import marks
from tocsin.rehearsal.marks import MARKS, marks_of
from tocsin.rehearsal.plan import Fault, FaultKind, Plan
from tocsin.rehearsal.run import Rehearsed

SECOND = 1_000_000


def sec(seconds: float) -> int:
    return round(seconds * SECOND)


def line(kind: str, at: float, process: str = "n1.1", **more: Any) -> Line:
    return Line(kind, process, "t", at=sec(at), **{"execution": "e", "attempt": 1, "fence": 1, **more})


def task(**more: Any) -> Task:
    return Task("t", "t", 0, (), "active", 0, **more)


def span(kind: str, subject: str, begin: float, end: float | None = None) -> Span:
    return Span(kind, subject, sec(begin), None if end is None else sec(end))


def request(verb: str, at: float, answer: str = "ok") -> Request:
    return Request(verb, "t", sec(at), sec(at + 0.1), answer)


def write(at: float, boot: str, epoch: int, highest: int = 0, *, accepted: bool = True) -> Write:
    return Write(sec(at), boot, 1, epoch, highest, accepted)


def history(**fields: Any) -> History:
    usual: dict[str, Any] = {"tasks": (task(),), "lines": (), "ended_at": sec(1000), "healed_at": sec(900)}
    return History(**usual | fields)


def rehearsed(fields: Mapping[str, Any], **more: Any) -> Rehearsed:
    values: dict[str, Any] = {"plan": Plan(1), "simulated": 1.0, "real": 1.0, "refused": {}, "faults": {}, "failed": {}}
    return Rehearsed(history=history(**fields), trace="", **values | more)


CUT_AT_CHECKPOINT = (line("start", 10), line("trying", 20, position=1))
TAKEN_UP = line("start", 40, "n2.1", attempt=2, position=1)
ROW = Row(sec(50), sec(50), 1, "fired", None, "e")
WHOLE = (line("start", 10), line("end", 30))
STEP = Plan(1, faults=(Fault(45.0, FaultKind.STEP_CLOCK, ("n1",), 1.0, 10.0),))
STEP_BACK = attrs.evolve(STEP, faults=(attrs.evolve(STEP.faults[0], amount=-10.0),))

REACHED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "takeover": ({"writes": (write(1, "a", 1), write(9, "b", 2)), "spans": (span("kill", "n1", 5, 6),)}, {}),
    "stale write refused": ({"writes": (write(9, "a", 1, 2, accepted=False),)}, {}),
    "resumed checkpoint": ({"lines": (line("start", 10, position=3),)}, {}),
    "resumed elsewhere": ({"lines": (*CUT_AT_CHECKPOINT, TAKEN_UP)}, {}),
    "checkpoint cut": ({"lines": (*CUT_AT_CHECKPOINT, TAKEN_UP), "spans": (span("dead", "n1.1", 20.1),)}, {}),
    "crash begun anew": ({"lines": (line("start", 10), line("start", 40, "n2.1", attempt=2))}, {}),
    "crash held": ({"tasks": (task(on_crash="hold", executions=(Execution("e", 0, "CRASHED"),)),)}, {}),
    "beside its successor": ({"lines": (*CUT_AT_CHECKPOINT, TAKEN_UP, line("effect", 50))}, {}),
    "replaced while frozen": (
        {
            "tasks": (task(overlap="replace"),),
            "lines": (line("start", 10), line("start", 40, "n2.1", execution="f"), line("cut", 61)),
            "spans": (span("frozen", "n1.1", 20, 60),),
        },
        {},
    ),
    "started without coordination": (
        {"lines": (line("start", 30),), "spans": (span("freeze coordination", "", 25, 35),)},
        {},
    ),
    "both halves alive": (
        {
            "lines": (line("start", 30), line("start", 31, "n2.1", execution="f")),
            "spans": (span("cut", "n1", 25, 35), span("cut", "n2", 25, 35)),
        },
        {},
    ),
    "cancel raced": ({"lines": WHOLE, "requests": (request("cancel", 29.9),)}, {}),
    "deleted while running": ({"lines": WHOLE, "requests": (request("delete", 20),)}, {}),
    "edited in a downtime": ({"requests": (request("edit", 20),), "spans": (span("freeze", "n1", 15, 25),)}, {}),
    "answer lost": ({"requests": (request("run", 20, "unknown"),)}, {}),
    "dead node of all": ({"tasks": (task(everywhere=True, rows=(ROW,)),), "spans": (span("kill", "n1", 45, 55),)}, {}),
    "missed": ({"tasks": (task(rows=(attrs.evolve(ROW, outcome="missed"),)),)}, {}),
    "clock over a due time": (
        {"tasks": (task(rows=(ROW,)),), "spans": (span("step clock", "n1", 45, 46),)},
        {"plan": STEP},
    ),
    "clock back before a due time": (
        {"tasks": (task(rows=(ROW,)),), "spans": (span("step clock", "n1", 55, 56),)},
        {"plan": STEP_BACK},
    ),
    "lease doubted": ({}, {"said": {marks.DOUBT: 1}}),
    "boot buried": ({}, {"said": {marks.BURIED: 1}}),
    "orphans recovered": ({}, {"said": {marks.ORPHANS: 1}}),
    "node suspected": ({}, {"said": {marks.SUSPECTED: 1}}),
    "owns nothing": ({}, {"said": {marks.OWNS_NOTHING: 1}}),
    "store lost while settling": ({}, {"said": {marks.NO_COMMIT: 1}}),
    "decided twice": ({}, {"refused": {"StaleVersion": 1}}),
    "key limit refused": ({}, {"refused": {"LimitReached": 1}}),
    "zombie refused": ({}, {"noted": {"a zombie was refused": 1}}),
    "leader fell while assigning": ({}, {"noted": {"a leader fell during an assignment": 1}}),
    "owner's session ended": ({}, {"noted": {"an owner's session was ended": 1}}),
    "owner drained": ({}, {"noted": {"an owner was drained": 1}}),
    "restarted within its session": ({}, {"noted": {"a node began within its former session": 1}}),
    "lost reply of a create": ({}, {"noted": {"the answer to an ephemeral node's creation was lost": 1}}),
    "commit unknown, done": ({}, {"noted": {"a commit without an answer was carried out": 1}}),
    "commit unknown, not done": ({}, {"noted": {"a commit without an answer was not carried out": 1}}),
    "torn write undone": ({}, {"noted": {"a torn write was undone": 1}}),
    "torn write whole": ({}, {"noted": {"a torn write was whole": 1}}),
    "store full": ({}, {"noted": {"a commit to a full store": 1}}),
    "run asked twice": ({}, {"noted": {"a run was asked for twice": 1}}),
    "purged while paused": ({}, {"noted": {"purged while paused": 1}}),
}


def test_every_mark_has_its_example() -> None:
    assert {mark.name for mark in MARKS} == set(REACHED)
    assert len(MARKS) >= 20
    assert all(mark.about for mark in MARKS)


@pytest.mark.parametrize("name", REACHED)
def test_a_situation_is_seen(name: str) -> None:
    fields, more = REACHED[name]
    assert name in marks_of(rehearsed(fields, **more))


QUIET: dict[str, Callable[[], Rehearsed]] = {
    "nothing happens": lambda: rehearsed({}),
    "one runs to its end": lambda: rehearsed({"lines": WHOLE, "tasks": (task(rows=(ROW,)),)}),
    "asked at a good time": lambda: rehearsed(
        {
            "lines": WHOLE,
            "requests": tuple(request(verb, 60) for verb in ("run", "edit", "cancel", "delete")),
            "spans": (span("freeze", "n1", 2, 3),),
        }
    ),
    "the first owners": lambda: rehearsed(
        {"writes": (write(1, "a", 1), write(2, "b", 2)), "spans": (span("kill", "n1", 5, 6),)}
    ),
    "it failed and was tried again": lambda: rehearsed(
        {"lines": (line("start", 1), line("cut", 2), line("start", 3, attempt=2), line("end", 4, attempt=2))}
    ),
    "one half is silent": lambda: rehearsed(
        {
            "lines": (line("start", 30), line("start", 50, "n2.1", execution="f")),
            "spans": (span("cut", "n1", 25, 35), span("cut", "n2", 25, 35)),
        }
    ),
    "a clock steps where nothing is due": lambda: rehearsed(
        {"tasks": (task(rows=(ROW,)),), "spans": (span("step clock", "n1", 80, 81),)}, plan=STEP
    ),
    "a freeze in which nothing is replaced": lambda: rehearsed(
        {
            "tasks": (task(overlap="replace"),),
            "lines": (line("start", 10), line("end", 19), line("start", 40, "n2.1", execution="f")),
            "spans": (span("frozen", "n1.1", 20, 60),),
        }
    ),
}


@pytest.mark.parametrize("name", QUIET)
def test_where_nothing_rare_happens_nothing_is_seen(name: str) -> None:
    assert marks_of(QUIET[name]()) == ()


def test_what_the_nodes_say_is_what_the_marks_look_for() -> None:
    """A text that was changed would never be found again, and nobody would notice."""
    sources = floor_sources()
    texts = [marks.DOUBT, marks.BURIED, marks.NO_COMMIT, marks.SUSPECTED, marks.ORPHANS, marks.OWNS_NOTHING]
    inside = "\n".join(text for path, text in sources.items() if not path.startswith("tocsin/"))
    assert [text for text in texts if f'"{text}"' not in inside] == []


def test_what_the_stage_notes_is_what_the_marks_look_for() -> None:
    stage = "\n".join(
        text for path, text in floor_sources().items() if path.startswith("tocsin/rehearsal/") and "marks" not in path
    )
    wanted = [key for _, more in REACHED.values() for key in more.get("noted", {})]
    assert [text for text in wanted if not re.search(rf"[\"']{re.escape(text)}[\"']", stage)] == []
