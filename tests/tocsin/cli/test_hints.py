"""What the command line says to somebody who looked for something that is not there, or typed nearly the right thing."""

from __future__ import annotations

import pytest

from tests.tocsin.cli.kit import Shell


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
        assert err.endswith("'dayly'; did you mean 'daily'?\n"), line
    assert "did you mean" not in shell("task", "show", "zzzzzzz")[2]


def test_a_wrong_token_is_told_where_the_right_one_is(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_TOKEN", "wrong")
    code, _, err = shell("task", "list")
    assert code == 3
    assert "the token is not valid; the node's own is in the file 'token' of its data directory" in err
