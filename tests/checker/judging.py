"""What the checker says of a story, and two stories that several tests begin with."""

from __future__ import annotations

from typing import Any

import attrs

from tests.checker.histories import BEGIN, SECOND, Story, Tale, sec
from tocsin.checker.checker import check
from tocsin.checker.history import History, Line
from tocsin.checker.verdict import Kind, Verdict

EVERY_MINUTE: dict[str, Any] = {"every": 60 * SECOND, "anchor": BEGIN}


def judged(story: Story) -> Verdict:
    return check(story.told())


def is_clean(story: Story) -> bool:
    verdict = judged(story)
    assert verdict.violations == (), verdict.report()
    return True


def found(history: History | Story) -> set[Kind]:
    return set(check(history.told() if isinstance(history, Story) else history).kinds)


def excused(story: Story) -> set[Kind]:
    return {one.kind for one in judged(story).excused}


def superseded(back: float = 60.5, *, fault: tuple[str, str] = ("frozen", "n2.1")) -> Story:
    """A process stands still from 35 to 60; its attempt is superseded at 45, and is over when it says so."""
    story = Story()
    story.fault(*fault, 35, 60)
    tale = story.task(
        "t", EVERY_MINUTE | {"anchor": sec(-30)}, settled_through=sec(100), phase="paused", overlap="queue"
    )
    key = tale.execution("slot", sec(30))
    tale.attempt(key, sec(30), sec(45), "n2.1", state="CRASHED", keeps=(1,), comes_back=False)
    tale.lines[1:] = [attrs.evolve(line, at=sec(32)) for line in tale.lines[1:]]
    tale.attempt(key, sec(46), sec(70), "n3.1", position=1)
    tale.lines.append(Line("cut", "n2.1", tale.task.id, key, 1, 1, sec(back), sec(30)))
    tale.fire(sec(90), process="n3.1")
    story.seconds = 200
    return story


def deleted() -> tuple[Story, Tale]:
    """Only who asked for it knows of it, and what its handler wrote."""
    story = Story(seconds=200)
    tale = story.task("t")
    for n in (10, 20, 30):
        tale.fire(sec(n))
    story.ask("delete", tale, 31)
    tale.task = attrs.evolve(tale.task, phase="deleted", deleted=True, settled_through=0)
    tale.executions.clear()
    return story, tale
