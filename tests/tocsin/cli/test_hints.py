"""What the command line says to somebody who looked for something that is not there, or typed nearly the right thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tocsin.cli.kit import Shell, terminal


def test_where_nothing_was_logged_it_is_said_how_to(shell: Shell) -> None:
    shell("task", "add", "silent", "--every", "1h", "--type", "fail", "--retries", "0")
    shell("task", "run", "silent", "--follow")
    code, out, err = shell("task", "logs", "silent")
    assert (code, out) == (0, "")
    assert err.startswith("no log lines of execution ")
    assert "ctx.log.info(" in err
    shell("task", "add", "talking", "--every", "1h", "--type", "greet")
    shell("task", "run", "talking", "--follow")
    assert shell("task", "logs", "talking")[2] == ""


def test_the_nearest_name_is_told(shell: Shell) -> None:
    shell("task", "add", "daily", "--every", "1h", "--type", "greet")
    for line in (("show",), ("why",), ("run",), ("logs",), ("pause",), ("cancel",), ("history",)):
        code, _, err = shell("task", *line, "dayly")
        assert code == 5
        assert err.startswith("tocsin: not found: no task ") and "'dayly'; did you mean 'daily'?\n    try: " in err, (
            line
        )
    assert "did you mean" not in shell("task", "show", "zzzzzzz")[2]


def test_a_wrong_token_is_told_where_the_right_one_is(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_TOKEN", "wrong")
    code, _, err = shell("task", "list")
    assert code == 3
    assert "the token is not valid; the node's own is in the file 'token' of its data directory" in err


def test_the_beginning_of_an_execution_s_id_is_enough(shell: Shell) -> None:
    shell("task", "add", "twice", "--every", "1h", "--type", "greet")
    for _ in range(2):
        shell("task", "run", "twice", "--follow")
    newest, oldest = (row["id"] for row in shell.json("task", "history", "twice")["list"])
    assert shell.json("execution", "show", newest[:-2])["id"] == newest
    assert shell.json("task", "show", oldest[:-2].upper())["id"] == oldest
    assert "hello eu" in shell("task", "logs", newest[:-2])[1]
    code, _, err = shell("execution", "show", newest[:8])
    assert (code, f"executions have an id that begins with {newest[:8]!r}: give more of it" in err) == (5, True)
    assert "no execution with the id" in shell("execution", "show", "00000000-0000")[2]


def test_in_a_terminal_a_run_is_a_line(shell: Shell, environment: dict[str, str], tmp_path: Path) -> None:
    shell("task", "add", "looked at", "--every", "1h", "--type", "fail", "--retries", "0")
    for _ in range(2):
        shell("task", "run", "looked at", "--follow")
    with terminal("task", "history", "looked at", environment=environment, home=tmp_path) as seen:
        assert seen.end() == 0
    head, _, first, second, *_ = seen.text.splitlines()
    assert head.startswith("Execution")
    assert max(map(len, (head, first, second))) <= 80
    for row in (first, second):
        assert "FAILED" in row
        assert shell.json("execution", "show", row.split()[0])["state"] == "FAILED"
