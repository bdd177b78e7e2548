"""Workers in JavaScript and Python share a queue while one of them is killed again and again; 10,000 items by command."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.tocsin.queue.shared_items import COMMANDS, share

ITEMS = 300
HANG_SECONDS = 300.0


def test_every_item_is_completed_once_and_nothing_stale_is_accepted(tmp_path: Path) -> None:
    found = share(tmp_path, items=ITEMS, every=1.5, pause=5, seed=4, seconds=HANG_SECONDS)
    assert found.wrong == []
    assert found.completed == ITEMS
    assert found.stale_accepted == 0
    assert found.stale_tried > 0
    assert found.kills + found.freezes > 0
    assert found.attempts > ITEMS
    assert found.by_worker.keys() == COMMANDS.keys()


def test_the_javascript_worker_says_how_it_is_used() -> None:
    assert shutil.which("node"), "the tests need Node: apt-get install nodejs"
    done = subprocess.run(COMMANDS["javascript"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: node worker.js TYPE")
