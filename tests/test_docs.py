"""The documents say what is true: their programs run, their pictures are those of the tables."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from actors.model.lifecycle import EXECUTION_TRANSITIONS, TASK_TRANSITIONS

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PROGRAM = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PROGRAMS = [
    pytest.param(program, id=f"{page.name}-{number}")
    for page in PAGES
    for number, program in enumerate(
        re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    )
]
HANG_SECONDS = 120


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_run(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_has_a_program() -> None:
    assert any("README" in str(param.id) for param in PROGRAMS)


def diagram(transitions: Mapping[tuple[str, str], str]) -> str:
    """A transition table as the Mermaid text that the documents hold."""
    lines = [f"    {before} --> {after}: {change}" for (before, change), after in transitions.items()]
    return "\n".join(["stateDiagram-v2", *lines])


@pytest.mark.parametrize(
    ("marker", "transitions"),
    [("task transitions", TASK_TRANSITIONS), ("execution transitions", EXECUTION_TRANSITIONS)],
)
def test_pictures_of_the_life_cycles_are_the_tables(marker: str, transitions: Mapping[tuple[str, str], str]) -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {marker} -->\n```mermaid\n(.*?)\n```", text, re.DOTALL)
    assert found is not None
    assert found.group(1) == diagram(transitions)


def test_links_lead_somewhere() -> None:
    dead = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert dead == []
