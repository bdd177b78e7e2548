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
