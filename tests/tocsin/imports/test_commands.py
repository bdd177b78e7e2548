"""`tocsin import` as people type it."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from tocsin.cli.imports import local_zone
from tocsin.cli.main import run

BEGIN = ("--after", "2026-03-20T00:00:00Z")


def test_a_crontab_becomes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tab, written = tmp_path / "tab", tmp_path / "tasks.yaml"
    tab.write_text("CRON_TZ=Europe/Berlin\n30 2 * * * work\n@reboot start\n")
    assert run(["import", "crontab", str(tab), "--timezone", "UTC", "--output", str(written), "--utc", *BEGIN]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "cron: 30 2 * * *" in written.read_text()
    assert f"{tab}:3: start: @reboot   NOT CARRIED OVER" in said.err
    assert "there -                        here 2026-03-29 01:00:00 UTC" in said.err
    assert "cron goes by the clock of its machine" in said.err
    assert "1 of 2 job(s) carried over, 1 with times that differ" in said.err


def test_all_of_it_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(
        sys, "stdin", io.StringIO("kind: CronJob\nmetadata: {name: a}\nspec: {schedule: 0 0 */2 * 1}\n")
    )
    assert run(["import", "kubernetes", "-", "--json", *BEGIN]) == 0
    found = json.loads(capsys.readouterr().out)
    [job] = found["jobs"]
    assert found["days"] == 400
    assert job["times"]["different"] == 0
    assert job["literally"]["different"] == job["times"]["there"] - job["literally"]["here"] > 0


@pytest.mark.parametrize(
    ("kind", "name", "text", "said"),
    [
        ("celery", "beat.py", "def", "not Python"),
        ("celery", "dump.json", "[1]", "an object with the entries"),
        ("apscheduler", "jobs.json", '[{"trigger": {"__apscheduler_pickle__": ""}}]', "holds pickles"),
        ("kubernetes", "k.yaml", "a: [", "not YAML"),
    ],
)
def test_what_cannot_be_read_is_said(
    kind: str, name: str, text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    assert run(["import", kind, str(tmp_path / name), *BEGIN]) == 2
    assert said in capsys.readouterr().err


def test_definitions_go_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "beat.py").write_text('beat_schedule = {"a": {"task": "t", "schedule": 30.0}}\n')
    assert run(["import", "celery", str(tmp_path / "beat.py"), *BEGIN]) == 0
    said = capsys.readouterr()
    assert "taskType: t" in said.out
    assert "names no timezone" in said.err
    (tmp_path / "jobs.txt").write_text("    x (trigger: cron[hour='4'], next run at: soon)\n")
    assert run(["import", "apscheduler", str(tmp_path / "jobs.txt"), "--as-there", *BEGIN]) == 0
    assert "fold: both" in capsys.readouterr().out


def test_the_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":Europe/Vienna")
    assert local_zone() == "Europe/Vienna"
    monkeypatch.delenv("TZ")
    assert local_zone() != ""
