"""kill -9 in the middle of the work, twenty times: nothing acknowledged is lost, nothing fires twice, the scan goes on.

Judged from what the handlers wrote to their own file, and from the ledger of the dead node, by `checker.py`.
"""

from __future__ import annotations

import hashlib
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from actors.model.system import SYSTEM_TYPES
from tests.e2e import checker
from tests.e2e.harness import Ledger, NodeEnded, NodeProcess, RecordFile, node_process, read_ledger, wait_for
from tocsin.checker.trial import RAN
from tocsin.client import Client, NodeUnreachable

KILLS = 20
FILES = 400
REST_SECONDS = 0.04
"""Of each file, in its middle and after it: makes the scan last longer than the twenty lives together."""

LIFE_SECONDS = (0.8, 2.0)
"""From when a node answers to its end."""

FAILPOINTS = frozenset({2, 6, 9, 13, 18})
"""The kills that happen between a commit and its answer."""

HANG_SECONDS = 300.0
"""For what must happen, on a machine that has much else to do."""

TASKS = Path(__file__).with_name("kill_tasks.py")
INTERVALS = ("fast", "dropping", "complete", "queued", "many", "in a thread", "failing")
SECOND = 1_000_000


@pytest.mark.timeout(1800)
def test_twenty_kills(tmp_path: Path, run_seed: int) -> None:
    rng = random.Random(run_seed)
    tree = make_tree(tmp_path / "tree", rng)
    record = RecordFile(tmp_path / "record.jsonl")
    asked = Asked(rng)
    with node_process(tmp_path / "data", TASKS, E2E_RECORD=str(record.path)) as node:
        with node.up() as client:
            make_scan(client, tree, tmp_path / "manifest")
            asked.for_a_while(client)
        record.append(kind="dead", pid=node.kill())
        for number in range(1, KILLS):
            record.append(kind="dead", pid=live_and_die(node, asked, at_failpoint=number in FAILPOINTS))
        assert record_of(record, "scan", "end") == [], "the scan is over before the kills are: make the tree larger"
        with node.up() as client:
            wait_for(lambda: status_of(client, "scan") == "COMPLETED", HANG_SECONDS, "the scan", node, poll=0.2)
            for name in asked.acknowledged:
                wait_for(lambda name=name: status_of(client, name) == "COMPLETED", HANG_SECONDS, f"{name} to run", node)
            time.sleep(2 * rng.random())
            pause_all(client, node)
        stopped_at = time.time_ns() // 1000
        assert node.terminate() == 0
    ledger = read_ledger(node.data)
    judge(ledger, record, stopped_at)
    judge_requests(ledger, asked)
    judge_scan(record, tree, tmp_path / "manifest")


def test_a_first_start_that_dies_is_made_good_by_the_next(tmp_path: Path, run_seed: int) -> None:
    rng = random.Random(run_seed)
    with node_process(tmp_path / "data") as node:
        for _ in range(4):
            node.start()
            wait_for((node.data / "lock").exists, HANG_SECONDS, "the node to take its directory", node, poll=0.0005)
            time.sleep(rng.uniform(0.0, 0.05))
            node.kill()
        with node.up() as client:
            assert client.call("ready") == {"status": "ok"}
            client.call("add_task", body={"name": "first", "taskType": "command", "trigger": {"after": "1ms"}, **ECHO})
            wait_for(lambda: status_of(client, "first") == "COMPLETED", HANG_SECONDS, "a task to run", node)
        assert node.terminate() == 0


ECHO = {"parameters": {"argv": ["echo", "made good"]}}


@attrs.define
class Asked:
    """The tasks that a client asks for while nodes live and die: those it tried to add, and those it was answered for."""

    rng: random.Random
    tried: list[str] = attrs.field(factory=list)
    acknowledged: list[str] = attrs.field(factory=list)

    def for_a_while(self, client: Client) -> None:
        """Add tasks that run once, for as long as a life lasts or until nobody answers any more."""
        until = time.monotonic() + self.rng.uniform(*LIFE_SECONDS)
        with suppress(NodeUnreachable):
            while time.monotonic() < until:
                self._add(client)
                time.sleep(self.rng.uniform(0.0, 0.2))

    def _add(self, client: Client) -> None:
        name = f"single {len(self.tried)}"
        self.tried.append(name)
        when = f"{self.rng.randrange(1, 4_000)}ms"
        client.call("add_task", body={"name": name, "taskType": "single", "trigger": {"after": when}})
        self.acknowledged.append(name)


def live_and_die(node: NodeProcess, asked: Asked, *, at_failpoint: bool) -> int:
    """One life and its end by SIGKILL, from outside or by its own hand after a commit. Answers the process id."""
    if at_failpoint:
        node.start(TOCSIN_FAILPOINTS=f"keeper.committed={asked.rng.randrange(1, 60)}")
    else:
        node.start()
    with suppress(NodeEnded), node.wait_ready() as client:
        asked.for_a_while(client)
    pid = node.reap() if at_failpoint else node.kill()
    assert node.exit_code == -signal.SIGKILL, node.log()
    return pid


def make_tree(root: Path, rng: random.Random) -> Path:
    for number in range(FILES):
        path = root / f"folder {number % 17}" / f"file {number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(rng.randrange(2_000)))
    return root


def reference_manifest(tree: Path) -> str:
    """Hash, size and path of every file: computed at one go."""
    files = {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    return "".join(f"{hashlib.sha256(data).hexdigest()} {len(data)} {name}\n" for name, data in sorted(files.items()))


def make_scan(client: Client, tree: Path, manifest: Path) -> None:
    parameters = {"root": str(tree), "manifest": str(manifest), "rest": REST_SECONDS}
    body = {"name": "scan", "taskType": "scan", "trigger": {"after": "100ms"}, "parameters": parameters}
    client.call("add_task", body=body)


def status_of(client: Client, name: str) -> str:
    return str(client.call("show_task", task=name)["status"])


def pause_all(client: Client, node: NodeProcess) -> None:
    """Let nothing new begin, and what runs come to its end, so that every row of the ledger is closed."""
    for task in client.tasks():
        if task["phase"] == "active":
            client.call("pause_task", task=task["itemId"])
    wait_for(lambda: not any(task["open"] for task in client.tasks()), HANG_SECONDS, "running attempts to end", node)


def record_of(record: RecordFile, task: str, kind: str) -> list[checker.Line]:
    return [line for line in record.lines() if line.task == task and line.kind == kind]


def judge(ledger: Ledger, record: RecordFile, stopped_at: int) -> None:
    lines = record.lines()
    found = checker.judge(ledger, lines, ledger.tasks, silent=SYSTEM_TYPES)
    for name in INTERVALS:
        through = ledger.tasks[name].settled_through
        if stopped_at - through > 40 * SECOND:
            found.append(f"{name}: settled through {through} only, the end was {stopped_at}")
    found += checker.check_redone("scan", lines)
    assert not found, checker.report(found)
    assert sum(line.kind == "dead" for line in lines) == KILLS


def judge_requests(ledger: Ledger, asked: Asked) -> None:
    """Every request that was answered took effect, once; of those that were not, nothing is there twice."""
    singles = {name for name in ledger.tasks if name.startswith("single ")}
    assert set(asked.acknowledged) <= singles <= set(asked.tried)
    assert len(asked.acknowledged) > KILLS
    for name in asked.acknowledged:
        [execution] = ledger.executions[name]
        assert (execution.state, execution.outcome in RAN) == ("COMPLETED", True)


def judge_scan(record: RecordFile, tree: Path, manifest: Path) -> None:
    """Every file was hashed, right, and is in the manifest once; it took many attempts."""
    assert manifest.read_text() == reference_manifest(tree)
    scanned = {line.item for line in record_of(record, "scan", "work")}
    assert scanned == {str(path.relative_to(tree)) for path in tree.rglob("file *")}
    assert len(record_of(record, "scan", "start")) > KILLS // 2
