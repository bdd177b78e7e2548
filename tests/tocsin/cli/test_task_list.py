"""The list of tasks: what is in it, and how it looks in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.tocsin.cli.kit import Shell, terminal
from tests.tocsin.conftest import Running
from tocsin.cli.terminal import brief_time, fitting, of_today, short_ids
from tocsin.client import Client


@pytest.fixture(autouse=True)
def empty(client: Client) -> Iterator[None]:
    yield
    for task in list(client.tasks()):
        if not task["taskType"].startswith("system."):
            client.call("cancel_task", task=task["itemId"], permanent=True)


def test_tasks_that_nobody_added_are_left_out(shell: Shell) -> None:
    shell("task", "add", "mine", "--every", "1h", "--type", "greet")
    assert shell("invoke", "greet")[0] == 0
    told = shell("task", "list")[1]
    assert "mine" in told
    assert "invoke greet" not in told
    assert "system." not in told
    assert "that the node made for itself left out: --all shows them" in told
    everything = shell("task", "list", "--all")[1]
    assert "invoke greet" in everything
    assert "system.purge" in everything
    assert "left out" not in everything
    assert "invoke greet" in shell("task", "list", "--type", "greet")[1]
    assert "system.purge" in shell("task", "list", "--type", "system.purge")[1]
    for options, there in ((), False), (("--all",), True):
        assert ("system.purge" in {task["taskType"] for task in shell.json("task", "list", *options)["list"]}) is there


def test_a_paused_task_is_shown_as_one(shell: Shell) -> None:
    shell("task", "add", "held up", "--every", "1h", "--type", "greet")
    shell("task", "add", "other", "--every", "1h", "--type", "greet")
    told = shell("task", "pause", "held up")[1]
    assert "paused: PAUSED, next run -" in told
    assert told.endswith("to go on: tocsin task activate 'held up'\n")
    [line] = [line for line in shell("task", "list")[1].splitlines() if line.endswith("held up")]
    assert "PAUSED" in line
    listed = shell("task", "list", "--status", "paused")[1]
    assert "held up" in listed
    assert "other" not in listed
    assert "PAUSED" in shell("task", "show", "held up")[1]
    assert shell.json("task", "show", "held up")["status"] == "SCHEDULED"


def test_tasks_that_failed_last(shell: Shell) -> None:
    for name, kind in (("good", "greet"), ("bad", "fail"), ("worse", "fail")):
        shell("task", "add", name, "--every", "1h", "--type", kind, "--retries", "0")
        shell("task", "run", name, "--follow")
    told = shell("task", "list", "--failed", "--sort", "name")[1]
    assert [line.split()[-1] for line in told.splitlines()[2:4]] == ["bad", "worse"]
    assert "Showing 2 task(s)" in told
    assert "whose last execution failed" in told
    page = shell.json("task", "list", "--failed", "--sort", "name", "--limit", "1", "--offset", "1")
    assert ([task["name"] for task in page["list"]], page["totalSize"]) == (["worse"], 2)


def test_in_a_terminal_a_row_is_a_line(
    shell: Shell, running: Running, environment: dict[str, str], tmp_path: Path
) -> None:
    long = "a task with a name that is so long that it does not fit into a line"
    shell("task", "add", long, "--every", "1h", "--type", "greet")
    shell("task", "add", "short", "--every", "1h", "--type", "greet")
    with terminal("task", "list", environment=environment, home=tmp_path) as seen:
        assert seen.end() == 0
    lines = seen.text.splitlines()
    assert lines[0].startswith("Name ")
    assert all(len(line) <= 80 for line in lines[:4])
    [row] = [line for line in lines if line.startswith("short")]
    assert shell.json("task", "show", row.split()[-1])["name"] == "short"


def test_ids_are_as_long_as_tells_them_apart() -> None:
    assert short_ids(["01a204c3-1111-7000-a", "01a204c4-1111-7000-b"]) == ["01a204c3-1111", "01a204c4-1111"]
    assert short_ids(["01a204c3-1111-7000-a", "01a204c3-1111-7001-b"]) == ["01a204c3-1111-7000", "01a204c3-1111-7001"]
    assert short_ids(["one", "one"]) == ["one", "one"]


def test_times_are_brief() -> None:
    assert brief_time(None, True) == "-"
    assert brief_time("2001-02-12T08:31:25Z", True) == "2001-02-12"


def test_a_time_without_a_day_is_of_today() -> None:
    full = of_today("9:05") or ""
    assert datetime.now(UTC) - datetime.fromisoformat(full).astimezone() < timedelta(days=1)
    assert full.endswith(" 09:05")
    assert (of_today("19:36:02") or "").endswith(" 19:36:02")
    for other in ("2026-03-01 12:00", "noon", "7", None):
        assert of_today(other) == other


def test_the_widest_columns_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert fitting([30, 20, 10], (0, 1)) == [12, 12, 10]
    assert fitting([30, 20, 10], ()) == [30, 20, 10]
    assert fitting([5, 5], (0, 1)) == [5, 5]
    assert fitting([60, 60], (0, 1)) == [18, 19]
    assert fitting([90, 60, 60], (0,)) == [8, 60, 60]
