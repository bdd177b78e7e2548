"""A handler's file that changes after the node has loaded it is told, once per change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from actors.handling.catalogue import Catalogue, task_type
from tocsin.cli.main import run
from tocsin.handlers import register_builtins
from tocsin.lifetime.files import LoadedFiles, handler_files


def test_each_change_is_told_once(tmp_path: Path) -> None:
    file = tmp_path / "jobs.py"
    file.write_text("one = 1\n")
    loaded = LoadedFiles([str(file), str(tmp_path / "never.py")])
    assert loaded.changed() == []
    file.write_text("one = 1 + 1\n")
    assert loaded.changed() == [str(file)]
    assert loaded.changed() == []
    os.utime(file, ns=(1, 1))
    assert loaded.changed() == [str(file)]
    file.unlink()
    assert loaded.changed() == []


def test_only_the_files_of_users_are_looked_at() -> None:
    async def mine(_ctx: object) -> None:
        return None

    catalogue = Catalogue([task_type("mine", mine)])
    register_builtins(catalogue)
    assert handler_files(catalogue) == [__file__]


def test_help_says_when_handlers_are_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--help"]) == 0
    assert "restart" in " ".join(capsys.readouterr().out.split())
