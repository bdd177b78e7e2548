"""Two processes run all tests, and tell of them as one does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast
from xml.etree import ElementTree

import attrs
import pytest

from tests import halves


@pytest.mark.parametrize("part", halves.FIRST)
def test_what_the_first_half_names_is_there(part: str) -> None:
    assert (halves.HERE / part).exists()


@attrs.frozen
class Config:
    """As much of pytest's as is asked."""

    half: int | None

    def getoption(self, name: str) -> int | None:
        assert name == "--half"
        return self.half


def parts(half: int | None, paths: Sequence[Path]) -> set[str]:
    """The paths that are not ignored."""
    config = cast("pytest.Config", Config(half))
    return {str(path.relative_to(halves.HERE)) for path in paths if not halves.ignored(path, config)}


def test_a_file_is_in_one_half() -> None:
    files = sorted(halves.HERE.rglob("test_*.py"))
    first, second = parts(1, files), parts(2, files)
    assert {"cluster/test_takeover.py", "test_docs.py"} <= first
    assert {"actors/test_timer.py", "test_halves.py"} <= second
    assert not first & second
    assert first | second == parts(None, files)
    assert not halves.ignored(halves.HERE, cast("pytest.Config", Config(1)))


def test_counts_and_failures_of_both_are_told(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text(json.dumps({"counts": {"passed": 5, "failed": 1}, "failed": ["FAILED tests/test_a.py::test_x"]}))
    two.write_text(json.dumps({"counts": {"passed": 7, "skipped": 2}, "failed": []}))
    lines = halves.summary([one, two], [1, 0], 3661.5).splitlines()
    assert lines[-2] == "FAILED tests/test_a.py::test_x"
    assert lines[-1].strip("= ") == "1 failed, 12 passed, 2 skipped in 3661.50s (1:01:01)"


def test_a_half_that_ends_without_a_word_is_told_of(tmp_path: Path) -> None:
    told = halves.summary([tmp_path / "none", tmp_path / "neither"], [0, -9], 1.0)
    assert "ERROR the process of half 2 ended with -9 and without counts" in told


def test_files_of_both_are_made_one(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one", "two", "missing")]
    for file in files[:2]:
        file.write_text(f'<testsuites><testsuite name="{file.name}"><testcase name="x"/></testsuite></testsuites>')
    halves.merge(files, tmp_path / "made" / "whole.xml")
    root = ElementTree.parse(tmp_path / "made" / "whole.xml").getroot()
    assert [suite.get("name") for suite in root.iter("testsuite")] == ["one", "two"]
    assert len(list(root.iter("testcase"))) == 2


@pytest.mark.parametrize(
    ("codes", "expected"), [((0, 0), 0), ((0, 5), 0), ((1, 0), 1), ((0, 2), 2), ((0, -9), 1), ((1, 3), 3)]
)
def test_one_that_fails_fails_both(codes: tuple[int, int], expected: int) -> None:
    assert halves.exit_code(codes) == expected


def test_selected_tests_are_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(subprocess, "call", lambda command: called.append(command) or 3)
    assert halves.main(["tests/test_halves.py", "-q"]) == 3
    assert halves.main(["-x"]) == 3
    assert called == [
        [sys.executable, "-m", "pytest", "tests/test_halves.py", "-q"],
        [sys.executable, "-m", "pytest", "-x"],
    ]
