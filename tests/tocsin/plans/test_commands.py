"""`tocsin apply`, `diff` and `export` as people type them."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.handling.catalogue import task_type
from tests.tocsin.conftest import Running, greet
from tests.tocsin.plans.test_plans import delete_everything
from tocsin.cli.main import run
from tocsin.client import Client

ONE = "tasks: [{name: one, taskType: greet, trigger: {cron: 0 2 * * *}}]\n"


@pytest.fixture(autouse=True)
def shell(running: Running, client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TOCSIN_URL", running.url)
    monkeypatch.setenv("TOCSIN_TOKEN", running.token)
    monkeypatch.delenv("TOCSIN_DATA", raising=False)
    delete_everything(client)
    yield
    delete_everything(client)


def test_files_are_compared_applied_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(ONE)
    assert run(["apply", str(path), "--dry-run"]) == 0
    assert "1 to make, 0 to change, 0 to delete, 0 unchanged" in capsys.readouterr().out
    assert run(["apply", str(path), "--owner", "us"]) == 0
    assert "1 step(s) done" in capsys.readouterr().out
    path.write_text(ONE.replace("0 2", "0 3"))
    assert run(["diff", str(path), "--utc"]) == 0
    told = capsys.readouterr().out
    assert "trigger.cron: 0 2 * * * -> 0 3 * * *" in told
    assert "moves: " in told
    assert "02:00:00 to " in told
    assert run(["diff", str(tmp_path), "--owner", "us", "--prune", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changes"][0]["actions"] == ["edit"]
    written = tmp_path / "all.json"
    assert run(["export", "--format", "json", "--output", str(written)]) == 0
    assert json.loads(written.read_text())["tasks"][0]["labels"] == {"tocsin.owner": "us"}
    capsys.readouterr()
    assert run(["apply", str(written)]) == 0
    assert "Nothing to change: 1 task(s)" in capsys.readouterr().out


def test_standard_input_is_a_file_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(ONE))
    assert run(["apply", "-", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["done"] == ["one made"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["apply"], "say which files"),
        (["apply", "{}/missing.yaml"], "cannot read"),
        (["apply", "{}/empty"], "no .yaml, .yml, .json in"),
        (["apply", "{}/bad.yaml"], "bad.yaml:1: one: trigger.cron: "),
        (["apply", "{}/latin.yaml"], "is not UTF-8"),
        (["export", "--output", "{}/empty"], "cannot write"),
        (["export", "--format", "xml"], "one of yaml, json"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.yaml").write_text(ONE.replace("0 2", "0 25"))
    (tmp_path / "latin.yaml").write_bytes("tasks: [] # \xe4".encode("latin-1"))
    assert run([argument.format(tmp_path) for argument in arguments]) == 2
    assert said in capsys.readouterr().err


def test_what_has_ended_is_named_and_left_out(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    made: Any = client.call("add_task", body={"name": "done", "taskType": "greet", "trigger": {"every": "1h"}})
    client.call("cancel_task", task=made["itemId"])
    assert run(["export"]) == 0
    said = capsys.readouterr()
    assert "done" not in said.out
    assert "left out, because they have ended: done (cancelled)" in said.err


def test_what_was_exported_is_no_fault_where_its_type_is_gone(
    running: Running, client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "all.yaml"
    running.catalogue.register(task_type("gone", greet))
    try:
        for name, trigger in (("left", {"every": "1h"}), ("other", {"cron": "0 2 * * *"})):
            client.call(
                "add_task", body={"name": name, "taskType": "gone", "trigger": trigger, "parameters": {"count": 3}}
            )
        assert run(["export", "--output", str(path)]) == 0
    finally:
        running.catalogue._types.pop("gone")
    for command in ("diff", "apply"):
        assert run([command, str(path)]) == 0
        told = capsys.readouterr().out
        assert "this node has no task type 'gone'; the definition stays as it is" in told
        assert "Nothing to change: 2 task(s)" in told
    path.write_text(path.read_text().replace("0 2 * * *", "0 3 * * *"))
    assert run(["diff", str(path)]) == 2
    said = capsys.readouterr().err
    assert "other: taskType: unknown type 'gone'" in said
    assert "left" not in said
