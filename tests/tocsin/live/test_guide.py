"""The guide on watching a node says what is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests import docs_console
from tocsin.api.metrics import FAMILIES
from tocsin.live.events_core import KINDS
from tocsin.settings.config import SETTINGS

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/guides/observe.md").read_text("utf-8")


def test_the_table_of_families_is_that_of_the_program() -> None:
    rows = re.findall(r"^\| `(tocsin_\w+)` \| (\w+) \| (.*) \|$", GUIDE, re.MULTILINE)
    assert rows == [(family.name, family.kind, family.about) for family in FAMILIES]


def test_kinds_and_settings_that_it_names_are_there() -> None:
    assert re.findall(r"^\| `(\w+)` \| [^`]*\|", GUIDE.split("## Health")[0], re.MULTILINE)[-1] == "end"
    assert re.findall(r"^\| `([a-z]+)` \|", GUIDE, re.MULTILINE) == [*KINDS, "gap", "end", "hello", "heartbeat"]
    for key in re.findall(r"`((?:events|health|log)\.[a-z_]+)`", GUIDE):
        assert key in SETTINGS


def test_its_program_runs(tmp_path: Path) -> None:
    [(name, text)] = docs_console.files(GUIDE).items()
    with docs_console.running(tmp_path, [], 0):
        (tmp_path / name).write_text(text, "utf-8")
        made = 'import tocsin\nwith tocsin.SyncClient() as c: c.add_task("hello", "command", trigger={"after": "1h"}, '
        made += 'parameters={"argv": ["true"]})\n'
        for program in (["-c", made], ["-P", name]):
            done = subprocess.run(
                [sys.executable, *program], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
    assert "hello COMPLETED" in done.stdout
