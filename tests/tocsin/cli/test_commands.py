"""Commands about executions, types and nodes, completion for shells, and what a terminal gets that a pipe does not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.tocsin.cli.kit import Shell, terminal
from tocsin.cli.main import run


def test_executions_by_themselves(shell: Shell) -> None:
    shell("task", "add", "single", "--every", "1h", "--type", "greet")
    assert shell("task", "run", "single", "--follow")[0] == 0
    [row] = shell.json("execution", "list", "single")["list"]
    assert row["id"] in shell("execution", "list", "single")[1]
    assert "COMPLETED" in shell("execution", "show", row["id"])[1]
    assert shell.json("execution", "show", row["id"])["result"]["region"] == "eu"
    assert "hello eu" in shell("execution", "logs", row["id"])[1]
    assert shell("execution", "show", "no such")[0] == 5


def test_types_are_listed_with_their_parameters(shell: Shell) -> None:
    lines = shell("type", "list")[1].splitlines()
    assert any("greet" in line and "region?, count?" in line and "Says hello." in line for line in lines)
    assert {"greet", "fail"} <= {one["name"] for one in shell.json("type", "list")["list"]}


def test_the_executor_is_a_verb_of_node_too(shell: Shell) -> None:
    assert shell("node", "executor")[1] == shell("executor")[1]
    assert shell("node", "executor", "off")[0] == 6


def test_purge_is_a_verb_of_its_own(shell: Shell) -> None:
    assert shell.json("purge", "--older-than", "30d", "--force")["complete"] is True
    code, _, err = shell("purge")
    assert (code, "--force" in err) == (6, True)


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_shells_are_told_what_to_complete(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", name]) == 0
    script = capsys.readouterr().out
    assert "tocsin" in script
    assert "--older-than" in script or "older-than" in script


def test_bash_takes_the_script(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    ask = (
        "source ./script; COMP_WORDS=(tocsin task wh); COMP_CWORD=2; COMP_LINE='tocsin task wh'; COMP_POINT=14; "
        'f=$(complete -p tocsin | sed "s/.*-F \\([^ ]*\\).*/\\1/"); $f tocsin wh task; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["why"], done.stderr


def test_a_script_is_installed_where_its_shell_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        monkeypatch.delenv(name)
    assert run(["completion", "fish", "--install"]) == 0
    assert [path.name for path in tmp_path.rglob("*.fish")] == ["tocsin.fish"]


def test_colours_are_for_terminals(shell: Shell, environment: dict[str, str], tmp_path: Path) -> None:
    shell("task", "add", "coloured", "--every", "1h", "--type", "fail", "--retries", "0")
    shell("task", "run", "coloured", "--follow")
    assert "\x1b" not in shell("task", "list")[1]
    with terminal("task", "history", "coloured", environment=environment, home=tmp_path) as seen:
        assert seen.end() == 0
    assert "\x1b[31m" in seen.raw
    with terminal("task", "history", "coloured", environment=environment | {"NO_COLOR": "1"}, home=tmp_path) as plain:
        assert plain.end() == 0
    assert "\x1b" not in plain.raw
    assert plain.text == seen.text


def test_who_follows_a_run_hears_that_it_is_tried_again(shell: Shell) -> None:
    shell("task", "add", "retried", "--every", "1h", "--type", "fail", "--retries", "1", "--retry-delay", "1s")
    code, _, err = shell("task", "run", "retried", "--follow", "--utc")
    assert code == 20
    assert err.startswith("attempt 1 failed: ValueError: boom; tried again at ")
    assert "FAILED after 2 attempts" in err
    assert "Attempt 1 on" in shell("task", "why", "retried")[1]


def test_why_tells_of_a_run_by_hand_before_the_first_time_of_its_own(shell: Shell) -> None:
    shell("task", "add", "by hand", "--every", "1h", "--type", "greet")
    shell("task", "run", "by hand", "--follow")
    _, out, _ = shell("task", "why", "by hand")
    assert "Somebody ran it by hand" in out
    assert "ended COMPLETED" in out


def test_a_run_that_overlaps_tells_how_to_follow_the_other(shell: Shell) -> None:
    shell("task", "add", "at it", "--every", "1h", "--type", "wait")
    shell("task", "run", "at it")
    code, _, err = shell("task", "run", "at it")
    assert (code, "tocsin task logs 'at it' --follow" in err) == (6, True)
    shell("task", "delete", "at it", "--yes")
