"""The programs of the clients' guide, against a node."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests import docs_console

ROOT = Path(__file__).parent.parent.parent.parent
GUIDE = ROOT / "docs" / "guides" / "client.md"


def test_the_programs_of_the_guide_run(tmp_path: Path) -> None:
    files = docs_console.files(GUIDE.read_text("utf-8"))
    assert list(files) == ["ask.py", "ask_trio.py"]
    said = {}
    with docs_console.running(tmp_path, [], 0):
        for name, text in files.items():
            (tmp_path / name).write_text(text, "utf-8")
            done = subprocess.run(
                [sys.executable, "-P", name], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            said[name] = done.stdout
    assert "SCHEDULED" in said["ask.py"]
    assert "COMPLETED hello" in said["ask.py"]
    assert said["ask_trio.py"].startswith("hello 2")
    assert "Europe/Berlin" in said["ask_trio.py"]
