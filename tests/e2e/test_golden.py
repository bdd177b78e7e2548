"""The golden definition on a real node that is killed ten times: it runs exactly twelve times, on its grid.

Seconds stand for weeks: "after two weeks from now, twice an hour, twelve times only" is said in the same words.
"""

from __future__ import annotations

import json
import random
import time
from datetime import datetime
from pathlib import Path

from tests.e2e.harness import node_process, tocsin, wait_for

KILLS = 10
PERIOD = 500
"""Milliseconds, which is as fine as instants are shown."""


def test_twelve_times_across_ten_kills(tmp_path: Path, run_seed: int) -> None:
    chance = random.Random(run_seed)
    data = tmp_path / "data"
    command = ("sh", "-c", "echo $TOCSIN_NOMINAL $TOCSIN_EXECUTION $TOCSIN_ATTEMPT >> runs")
    with node_process(data) as node:
        node.up().close()
        said = ("--start", "3s", "--every", "500ms", "--times", "12", "--catch-up", "latest")
        made = json.loads(tocsin(data, "task", "add", "golden", *said, "--json", "--", *command).stdout)
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.0, 0.7))
            node.kill()
            node.up().close()
        with node.wait_ready() as client:
            wait_for(lambda: client.call("show_task", task="golden")["phase"] == "finished", 60, "the last run", node)
            wait_for(lambda: not client.call("show_task", task="golden")["open"], 60, "its end", node)
        rows = json.loads(tocsin(data, "task", "history", "golden", "--ledger", "--json").stdout)["list"]
        executions = json.loads(tocsin(data, "task", "history", "golden", "--json").stdout)["list"]
        node.terminate()

    assert len(executions) == 12
    assert {entry["state"] for entry in executions} == {"COMPLETED"}
    slots = sorted(row["first"] for row in rows if row["outcome"] in ("fired", "late"))
    assert len(slots) == len(set(slots)) == 12
    first = instant(made["nextScheduledExecution"])
    assert all(instant(slot) >= first and (instant(slot) - first) % PERIOD == 0 for slot in slots)
    began = [line.split() for line in (tmp_path / "runs").read_text().splitlines()]
    assert {execution for _, execution, _ in began} == {entry["id"] for entry in executions}
    assert len({(execution, attempt) for _, execution, attempt in began}) == len(began), "an attempt began twice"
    assert {instant(nominal) for nominal, _, _ in began} == {instant(slot) for slot in slots}


def instant(text: str) -> int:
    """Milliseconds since 1970 of an instant, begun ones left out."""
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000) // 1_000
