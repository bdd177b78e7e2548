"""The live view: its lines for any size, one picture, JSON, and keys in a real terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tocsin.cli.kit import Shell, terminal
from tests.tocsin.test_cli import until
from tocsin.cli.top_picture import VIEWS, Look, picture


def actor(name: str, *children: dict[str, Any], restarts: int = 0, depth: int | None = None) -> dict[str, Any]:
    statistics = None if depth is None else {"mailbox": {"depth": depth, "peak": 9}, "handled": 5}
    return {
        "name": name, "state": "running", "restarts": restarts, "statistics": statistics, "children": list(children),
    }  # fmt: skip


def node(name: str, **other: Any) -> dict[str, Any]:
    usual = {
        "leader": False,
        "state": "alive",
        "executor": True,
        "running": 1,
        "slots": 4,
        "partitions": 85,
        "offsetMs": 0.2,
    }
    return {"name": name} | usual | other


FOUND: dict[str, Any] = {
    "at": "12:00:00 UTC", "node": "node-1", "health": [], "paused": False,
    "counts": {"byStatus": {"RUNNING": 1, "SCHEDULED": 40}},
    "nodes": [node("node-1", leader=True), node("node-2"), node("node-3", state="dead")],
    "running": [
        {"task": f"scan {number}", "node": "node-1", "state": "RUNNING", "seconds": 75.0,
         "progress": {"done": 5, "total": 10, "step": "reading"}} for number in range(30)
    ],
    "late": [{"task": "night\x1b[31m", "due": "2026-03-01T12:00:00Z", "seconds": 7300.0}],
    "tree": actor("node", actor("durable", *(actor(f"a{number}", depth=3) for number in range(12)), restarts=2)),
}  # fmt: skip


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (200, 60), (20, 4)])
@pytest.mark.parametrize("view", VIEWS)
def test_a_picture_fits_its_terminal(view: str, size: tuple[int, int]) -> None:
    lines = picture(FOUND, Look(view, 0, *size))
    assert len(lines) == size[1]
    assert max(len(line.text) for line in lines) <= size[0]
    assert "\x1b" not in "".join(line.text for line in lines)


def test_everything_has_its_place_on_a_small_terminal() -> None:
    text = "\n".join(line.text for line in picture(FOUND, Look()))
    for words in ("3/12 slots", "40 scheduled", "node-1*", "scan 0", "50 %", "reading", "75 s"):
        assert words in text
    for words in ("ACTORS OF node-1", "LATE", "2 h", "more", "q quit"):
        assert words in text


def test_what_is_not_well_is_seen() -> None:
    bad = [line.text for line in picture(FOUND, Look(height=None)) if line.style == "bad"]
    assert [text.split()[0] for text in bad] == ["node-3", "night?[31m", "durable"]
    troubled = picture(FOUND | {"health": ["the timer is late"], "paused": True, "error": "no node"}, Look())
    assert troubled[1].text == "the timer is late; no node; the whole scheduler is paused"
    assert picture(FOUND, Look())[1].text == "all is well"


def test_keys_move_the_look() -> None:
    look = Look()
    assert [(look := look.moved("right")).view for _ in VIEWS] == [*VIEWS[1:], "all"]
    assert look.moved("left").view == VIEWS[-1]
    assert look.moved("down").moved("down").moved("up").scroll == 1
    assert look.moved("up").scroll == 0
    assert look.moved("p").paused
    assert not look.moved("p").moved("p").paused
    assert look.moved("x") == look
    first, second = (picture(FOUND, Look("running", scroll)) for scroll in (0, 3))
    assert (first[3], first[7]) == (second[3], second[4])
    assert picture(FOUND, Look("running", 999))[-2].text.startswith("scan 29")


def test_one_picture_and_json(shell: Shell) -> None:
    shell("task", "add", "watched", "--every", "1h", "--type", "wait")
    execution = shell.json("task", "run", "watched")["id"]
    until(lambda: shell.json("execution", "show", execution)["progress"], bool)
    code, out, _ = shell("top", "--once")
    assert code == 0
    assert "watched" in out
    assert "durable keeper" in out
    assert "50 %" in out
    found = shell.json("top")
    assert [one["execution"] for one in found["running"] if one["task"] == "watched"] == [execution]
    assert found["tree"]["children"]
    shell("task", "cancel", "watched")


def test_it_is_drawn_and_obeys_keys(environment: dict[str, str], tmp_path: Path) -> None:
    with terminal("top", "--every", "0.2", environment=environment, home=tmp_path) as top:
        top.until("RUNNING NOW")
        assert "NODE" in top.text
        top.type("\x1b[C")
        top.until("scroll   nodes")
        top.type("p")
        top.until("stands still")
        top.type("q")
        assert top.end() == 0
