"""Bad luck and bad handlers: a second node, a full disk, handlers that misbehave, SIGTERM, a type that is gone.

Each has a clear outcome, and whatever else the node does stays right by the checker.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from actors.model.system import SYSTEM_TYPES
from runtime.errors import AlreadyRunning, StoreUnavailable, TocsinError
from tests.e2e import checker
from tests.e2e.harness import FINAL, NodeProcess, RecordFile, node_process, read_ledger, tocsin, wait_for
from tocsin.client import Client
from tocsin.operations.error_table import row_of

TASKS = Path(__file__).with_name("hostile_tasks.py")
HANG_SECONDS = 120.0


@pytest.fixture
def record(tmp_path: Path) -> RecordFile:
    return RecordFile(tmp_path / "record.jsonl")


@pytest.fixture
def node(tmp_path: Path, record: RecordFile) -> Iterator[NodeProcess]:
    with node_process(tmp_path / "data", TASKS, E2E_RECORD=str(record.path)) as process:
        yield process


def add(client: Client, name: str, type_name: str, **parameters: Any) -> None:
    """A task that runs only when it is told to."""
    trigger = {"at": (datetime.now(UTC) + timedelta(days=1_000)).isoformat()}
    client.call("add_task", body={"name": name, "taskType": type_name, "trigger": trigger, "parameters": parameters})


def run(client: Client, name: str) -> str:
    return str(client.call("run_task", task=name)["id"])


def ended(client: Client, execution: str) -> dict[str, Any]:
    """The execution when it has come to an end."""
    wait_for(
        lambda: client.call("show_execution", execution=execution)["state"] in FINAL, 60, f"the end of {execution}"
    )
    found: dict[str, Any] = client.call("show_execution", execution=execution)
    return found


def run_to_end(client: Client, type_name: str, **parameters: Any) -> dict[str, Any]:
    name = f"{type_name} {parameters}"
    add(client, name, type_name, **parameters)
    return ended(client, run(client, name))


def health(client: Client) -> str:
    """What the node complains of; empty when all is well."""
    try:
        client.call("ready")
    except StoreUnavailable as error:
        return str(error)
    return ""


def stop_steady(client: Client) -> None:
    """Close the ledger of the task that keeps time."""
    client.call("pause_task", task="steady")
    wait_for(lambda: not client.call("show_task", task="steady")["open"], HANG_SECONDS, "the last attempt to end")


def judge_steady(node: NodeProcess, record: RecordFile) -> None:
    """Whatever was done to the node: the ledger of the task that keeps time is right, and is what ran."""
    ledger, lines = read_ledger(node.data), record.lines()
    found = checker.judge(ledger, lines, ["steady"])
    assert not found, checker.report(found)
    assert len(ledger.executions["steady"]) > 5


def fires(record: RecordFile) -> int:
    return sum(line.task == "steady" and line.kind == "start" for line in record.lines())


def fires_on(record: RecordFile, node: NodeProcess) -> None:
    """The task that keeps time goes on."""
    before = fires(record)
    wait_for(lambda: fires(record) > before + 3, HANG_SECONDS, "the next fires", node)


# -- a second node


def test_a_second_node_on_the_same_data_is_refused(node: NodeProcess, record: RecordFile) -> None:
    with node.up() as client:
        refused = tocsin(node.data, "up", "--data", str(node.data), "--listen", "127.0.0.1:0", expect=None)
        assert refused.returncode == row_of(AlreadyRunning("")).exit_code
        assert "another node" in refused.stderr
        assert str(node.pid) in refused.stderr
        assert str(node.data) in refused.stderr
        assert "Traceback" not in refused.stderr
        fires_on(record, node)
        assert health(client) == ""
        stop_steady(client)
        node.terminate()
    judge_steady(node, record)


# -- a full disk


@contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    """A file system of 4 MiB. Mounting needs root: in CI its absence is a failure, elsewhere a skip."""
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        assert not os.environ.get("CI"), f"cannot mount a small disk: {done.stderr}"
        pytest.skip(f"cannot mount a small disk: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(path: Path) -> None:
    """Write until nothing more fits."""
    with path.open("ab", buffering=0) as file:
        for size in (64 * 1024, 4 * 1024, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def test_a_full_disk_is_told_of_and_survived(tmp_path: Path, record: RecordFile) -> None:
    with (
        small_disk(tmp_path / "disk") as disk,
        node_process(disk / "data", TASKS, E2E_RECORD=str(record.path)) as node,
        node.up() as client,
    ):
        fires_on(record, node)
        acknowledged, refused = [], []
        fill(disk / "filler")
        wait_for(lambda: "cannot commit" in health(client), HANG_SECONDS, "health to tell of the disk", node)
        for number in range(3):
            try:
                add(client, f"late {number}", "bad end", how="none")
                acknowledged.append(f"late {number}")
            except TocsinError as error:
                refused.append(error)
        assert refused and all(isinstance(error, StoreUnavailable) for error in refused), (refused, acknowledged)
        assert node.process is not None and node.process.poll() is None
        (disk / "filler").unlink()
        wait_for(lambda: health(client) == "", 60, "health to be good again", node)
        fires_on(record, node)
        add(client, "afterwards", "bad end", how="none")
        assert ended(client, run(client, "afterwards"))["state"] == "COMPLETED"
        stop_steady(client)
        node.terminate()
        judge_steady(node, record)
        assert {*acknowledged, "afterwards", "steady", *SYSTEM_TYPES} == set(read_ledger(node.data).tasks)


# -- handlers


def test_a_handler_that_never_yields_delays_others_and_loses_nothing(node: NodeProcess, record: RecordFile) -> None:
    with node.up() as client:
        fires_on(record, node)
        add(client, "hog", "hog", seconds=3.0)
        execution = ended(client, run(client, "hog"))
        assert execution["state"] == "COMPLETED"
        assert execution["attempt"] == 1
        wait_for(lambda: "loop late" in health(client), HANG_SECONDS, "the stall to be told", node)
        fires_on(record, node)
        stop_steady(client)
        node.terminate()
    judge_steady(node, record)
    rows = read_ledger(node.data).rows["steady"]
    assert any(row.outcome == "coalesced" and (row.count or 0) > 10 for row in rows), "nothing was late"
    assert "the loop came" in node.log()


BAD_ENDS = {
    "error": "ValueError",
    "base exception": "HardStop",
    "system exit": "SystemExit",
    "keyboard interrupt": "KeyboardInterrupt",
    "cancelled": "RuntimeError",
    "a set": "InvalidRequest",
    "not a number": "InvalidRequest",
    "too large": "TooLarge",
}


def test_bad_ends_of_handlers_end_their_attempt_only(node: NodeProcess, record: RecordFile) -> None:
    with node.up() as client:
        for how, failure in BAD_ENDS.items():
            execution = run_to_end(client, "bad end", how=how)
            assert (execution["state"], execution["failure"]["type"]) == ("FAILED", failure), how
        for how in ("base exception", "system exit", "a set"):
            execution = run_to_end(client, "bad end in a thread", how=how)
            assert (execution["state"], execution["failure"]["type"]) == ("FAILED", BAD_ENDS[how]), how
        assert node.lives == 1
        fires_on(record, node)
        assert "cannot commit" not in health(client)
        stop_steady(client)
        node.terminate()
    judge_steady(node, record)


def test_logging_without_end_is_cut_off(node: NodeProcess, record: RecordFile) -> None:
    with node.up() as client:
        execution = run_to_end(client, "chatter", lines=30_000)
        assert (execution["state"], execution["result"]) == ("COMPLETED", 30_000)
        lines = all_logs(client, execution["id"])
        assert 1_000 < len(lines) < 30_000
        assert lines[0]["text"] == "line 0"
        assert "truncated" in lines[-1]["text"]
        fires_on(record, node)
        stop_steady(client)
        node.terminate()
    judge_steady(node, record)


def all_logs(client: Client, execution: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["sequence"] if found else 0
        page = client.call("list_logs", execution=execution, after=after, limit=5_000)["list"]
        if not page:
            return found
        found += page


# -- SIGTERM


def test_sigterm_interrupts_at_no_cost_and_the_next_start_resumes(node: NodeProcess, record: RecordFile) -> None:
    node.environment["TOCSIN_DRAIN_TIMEOUT"] = "300ms"
    with node.up() as client:
        add(client, "counting", "counting", upto=60)
        execution = run(client, "counting")
        wait_for(lambda: kept(record) >= 5, HANG_SECONDS, "some checkpoints", node)
    first = node.pid
    assert node.terminate() == 0
    record.append(kind="dead", pid=first)
    assert kept(record) < 60
    [stored] = read_ledger(node.data).executions["counting"]
    assert stored.state == "WAITING"
    with node.up() as client:
        after = ended(client, execution)
        assert (after["state"], after["attempt"], after["failures"], after["crashes"]) == ("COMPLETED", 2, 0, 0)
        assert [attempt["failure"]["type"] for attempt in after["attempts"] if attempt["failure"]] == ["Interrupted"]
        stop_steady(client)
        node.terminate()
    lines = record.lines()
    found = checker.judge(read_ledger(node.data), lines, ["counting"]) + checker.check_redone("counting", lines)
    assert not found, checker.report(found)
    assert [line.item for line in lines if line.kind == "work"][-1] == "60"
    judge_steady(node, record)


def kept(record: RecordFile) -> int:
    return sum(line.kind == "kept" for line in record.lines())


def test_a_second_sigterm_ends_a_long_drain(node: NodeProcess, record: RecordFile) -> None:
    node.environment["TOCSIN_DRAIN_TIMEOUT"] = "10m"
    with node.up() as client:
        add(client, "counting", "counting", upto=100_000)
        run(client, "counting")
        wait_for(lambda: kept(record) >= 2, HANG_SECONDS, "some checkpoints", node)
    assert node.process is not None
    node.process.terminate()
    wait_for(lambda: "draining" in node.log(), HANG_SECONDS, "the drain to begin", node)
    assert node.terminate() == 0
    assert read_ledger(node.data).executions["counting"][0].state == "WAITING"


# -- a type that is gone


def test_a_task_whose_type_is_gone_stays_visible_and_goes_on_later(node: NodeProcess, record: RecordFile) -> None:
    with node.up() as client:
        fires_on(record, node)
        node.terminate()
    modules, node.modules = node.modules, ()
    with node.up() as client:
        [task] = [task for task in client.tasks() if task["name"] == "steady"]
        assert task["taskType"] == "steady"
        wait_for(lambda: newest_waits_for(client) == "node", HANG_SECONDS, "the node to say what is missing", node)
        node.terminate()
    node.modules = modules
    with node.up() as client:
        fires_on(record, node)
        assert client.call("show_task", task="steady")["itemId"] == task["itemId"]
        stop_steady(client)
        node.terminate()
    found = checker.judge(read_ledger(node.data), record.lines(), ["steady"])
    assert not found, checker.report(found)


def newest_waits_for(client: Client) -> str | None:
    [newest] = client.call("list_executions", task="steady", limit=1)["list"]
    return newest.get("waitsFor")
