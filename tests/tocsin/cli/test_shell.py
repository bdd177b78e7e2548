"""The shell: what lines mean, what is completed, and a session in a real terminal."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from runtime.errors import InvalidRequest, StoreUnavailable
from tests.tocsin.cli.kit import Shell, terminal
from tocsin.cli.main import app
from tocsin.cli.shell_completer import NAMES_SECONDS, ShellCompleter
from tocsin.cli.shell_lines import KARAF, cut, words_of


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("task-list", "task list"),
        ("task-list -s RUNNING -t greet --limit 3", "task list --status RUNNING --type greet --limit 3"),
        ("unomi:task-list", "task list"),
        ("task-show abc", "task show abc"),
        ("task-cancel abc", "task cancel abc"),
        ("task-retry abc -r", "task retry abc --reset"),
        ("task-retry --reset abc", "task retry --reset abc"),
        ("task-resume abc", "task resume abc"),
        ("task-executor", "executor"),
        ("task-executor true", "executor on"),
        ("task-executor FALSE", "executor off"),
        ("task-purge", "task purge --older-than 7d --state completed"),
        ("task-purge -d 30 -f", "task purge --older-than 30d --state completed --force"),
        ("task-purge --force --days=1", "task purge --older-than 1d --state completed --force"),
        ("tocsin task list", "task list"),
        ("help", "--help"),
        ("help task add", "task add --help"),
        ("task show 'eu report'  # a remark", "task show eu report"),
        ("   ", ""),
    ],
)
def test_lines_are_commands(line: str, words: str) -> None:
    assert " ".join(words_of(line)) == words


@pytest.mark.parametrize("line", ["task-purge -d", "task-purge -d soon", "task-purge --days 1.5", "task show 'open"])
def test_wrong_lines_are_refused(line: str) -> None:
    with pytest.raises(InvalidRequest):
        words_of(line)


@pytest.mark.parametrize(
    ("text", "words", "last", "length"),
    [
        ("", (), "", 0),
        ("ta", (), "ta", 2),
        ("task ", ("task",), "", 0),
        ("task show 'eu r", ("task", "show"), "eu r", 5),
    ],
)
def test_a_line_is_cut_where_the_cursor_is(text: str, words: tuple[str, ...], last: str, length: int) -> None:
    found = cut(text)
    assert (found.words, found.last, found.length) == (words, last, length)


class Asked:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.now = 100.0
        self.broken = False

    def tasks(self, text: str) -> list[str]:
        self.texts.append(text)
        if self.broken:
            raise StoreUnavailable("gone")
        return ["backup", "eu report"]

    def nodes(self, text: str) -> list[str]:
        return ["node-1", "node-2"]

    def completes(self, text: str) -> list[str]:
        if not hasattr(self, "completer"):
            self.completer = ShellCompleter(app, self.tasks, self.nodes, lambda: self.now)
        return [one.text for one in self.completer.get_completions(Document(text), CompleteEvent())]


def test_commands_options_and_names_are_completed() -> None:
    asked = Asked()
    assert "task" in asked.completes("ta")
    assert set(KARAF) <= set(asked.completes(""))
    assert asked.completes("task sh") == ["show"]
    assert asked.completes("task show b") == ["backup"]
    assert asked.completes("task-show report") == ["'eu report'"]
    assert asked.completes("task show 'eu r") == ["'eu report'"]
    assert asked.completes("node drain node-") == ["node-1", "node-2"]
    assert "--older-than" in asked.completes("task purge --ol")
    assert "--help" in asked.completes("task list --")
    assert asked.completes("nonsense x") == []
    assert asked.completes("task show backup b") == []


def test_names_are_asked_for_once_in_a_while_and_a_node_that_is_gone_completes_nothing() -> None:
    asked = Asked()
    for _ in range(3):
        assert asked.completes("task show b") == ["backup"]
    assert asked.texts == ["b"]
    asked.now += NAMES_SECONDS
    asked.broken = True
    assert asked.completes("task show b") == []
    assert asked.texts == ["b", "b"]


def test_a_session_in_a_terminal(shell: Shell, environment: dict[str, str], tmp_path: Path) -> None:
    shell("task", "add", "typed in a shell", "--every", "1h", "--type", "greet")
    with terminal("shell", environment=environment, home=tmp_path, size=(40, 160)) as session:
        session.until("node-1>")
        before = session.type("task-list -t greet\r")
        assert "Next Run" in session.until("task(s)", before)
        session.until("node-1>", before + 20)
        before = session.type("task-show typed\t")
        session.until("a shell'", before)
        before = session.type("\r")
        session.until("every 1h", before)
        before = session.type("task-cancel nobody\r")
        session.until("not found", before)
        before = session.type("nonsen")
        session.type("\x03")
        before = session.type("task-executor\r")
        session.until("is on", before)
        before = session.type("\x1b[A")
        session.until("task-executor", before)
        session.type("\x15exit\r")
        assert session.end() == 0
    history = tmp_path / ".local" / "state" / "tocsin" / "history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert "task-cancel nobody" in history.read_text("utf-8")


def test_ctrl_d_leaves_and_no_node_is_said(tmp_path: Path) -> None:
    with terminal("shell", environment={"TOCSIN_DATA": str(tmp_path / "none")}, home=tmp_path) as session:
        session.until("tocsin>")
        assert "No node answers yet" in session.text
        session.type("\x04")
        assert session.end() == 0


def test_lines_from_a_pipe_are_carried_out(shell: Shell, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tocsin", "shell"], input="# first\ntask-list\ntask-show nobody\nexit\n",
        env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 5
    assert "task(s)" in done.stdout
    assert "nobody" in done.stderr
