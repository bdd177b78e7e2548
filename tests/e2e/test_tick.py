"""A task added on the command line: as many lines as outcomes, each of which can be explained, and the list to look at.

Ten seconds long; `E2E_TICK_SECONDS=60` makes it a minute.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.e2e.harness import node_process, tocsin, wait_for

SECONDS = int(os.environ.get("E2E_TICK_SECONDS", "10"))
HANG_SECONDS = 60.0
SEED_COLUMNS = ["ID", "Type", "Status", "Next Run", "Last Run", "Failures", "Persistent"]


def test_tick(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with node_process(data) as node, node.up() as client:
        added = tocsin(data, "task", "add", "tick", "--every", "1s", "--json", "--", "sh", "-c", "date >> ticks")
        assert json.loads(added.stdout)["taskType"] == "command"
        time.sleep(SECONDS + 0.5)
        wait_for(lambda: len(ran(ledger(data))) >= SECONDS / 2, HANG_SECONDS, "some runs", node)
        tocsin(data, "task", "pause", "tick")
        wait_for(lambda: not client.call("show_task", task="tick")["open"], HANG_SECONDS, "the last run to end", node)
        rows = ledger(data)
        lines = (tmp_path / "ticks").read_text().splitlines()
        assert len(lines) == len(ran(rows))
        ended = {
            one["id"]: datetime.fromisoformat(one["endedAt"])
            for one in client.call("list_executions", task="tick", limit=200)["list"]
        }
        every_second_has_its_outcome(rows, ended)
        for row in (ran(rows)[0], ran(rows)[len(ran(rows)) // 2], ran(rows)[-1]):
            explained(data, row)
        words = tocsin(data, "task", "why", "tick", row["first"]).stdout
        assert all(part in words for part in told(row))
        look_at_the_list(data)
        node.terminate()


def ledger(data: Path) -> list[dict[str, Any]]:
    """All outcomes of the task, in order."""
    found = json.loads(tocsin(data, "task", "history", "tick", "--ledger", "--json").stdout)["list"]
    return sorted(found, key=lambda row: datetime.fromisoformat(row["first"]))


def ran(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those with a run."""
    return [row for row in rows if row["outcome"] in ("fired", "late")]


def every_second_has_its_outcome(rows: list[dict[str, Any]], ended: dict[str, datetime]) -> None:
    """`fired` with a run that completed. Where the machine takes longer than a second for one: late, or left out for it."""
    follows, busy_until = datetime.fromisoformat(rows[0]["first"]), datetime.min.replace(tzinfo=UTC)
    for row in rows:
        assert datetime.fromisoformat(row["first"]) == follows, row
        if row in ran([row]):
            assert row["state"] == "COMPLETED", row
            busy_until = ended[row["executionId"]]
        else:
            assert (row["outcome"], row["reason"]) == ("skipped", "overlap"), row
            assert datetime.fromisoformat(row["last"]) <= busy_until, row
        follows = datetime.fromisoformat(row["last"]) + timedelta(seconds=1)
    assert sum(row["count"] for row in rows) >= SECONDS


def explained(data: Path, row: dict[str, Any]) -> None:
    """`why` gives the ledger's verdict about this nominal time, and says it in words."""
    answer = json.loads(tocsin(data, "task", "why", "tick", row["first"], "--json").stdout)
    assert (answer["verdict"], answer["nominal"]) == (row["outcome"], row["first"])
    for part in told(row):
        assert any(part in line for line in answer["lines"])


def told(row: dict[str, Any]) -> tuple[str, ...]:
    return "runs every 1s", f"outcome is {row['outcome']}", row["executionId"], "ended COMPLETED"


def look_at_the_list(data: Path) -> None:
    """The columns of the seed in their order, one row, and the footer; the node's own tasks are of other types."""
    header, _, row, *footer = tocsin(data, "task", "list", "--type", "command").stdout.splitlines()
    columns = [cell.strip() for cell in header.split("│")]
    assert columns[: len(SEED_COLUMNS)] == SEED_COLUMNS
    cells = dict(zip(columns, (cell.strip() for cell in row.split("│")), strict=True))
    assert (cells["Type"], cells["Failures"], cells["Persistent"]) == ("command", "0", "Storage")
    assert "1" in footer[-1]
    [task] = json.loads(tocsin(data, "task", "list", "--type", "command", "--json").stdout)["list"]
    assert task["itemId"].startswith(cells["ID"].rstrip("…"))
    assert task["completed"] >= SECONDS / 2
