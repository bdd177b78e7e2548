"""The examples run against a real node, and the integrity scan does what it says on a tree that changes under it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import trio

import tocsin
from actors.handling.catalogue import DECLARED, Catalogue
from actors.handling.payload import MAX_CHECKPOINT, decode_json, encode_json
from actors.model.system import is_system
from tocsin.handlers import register_builtins
from tocsin.tasks import DECLARED_TASKS

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "tasks.py"
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED", "TIMED_OUT")


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """What the decorators of the examples declare, and nothing of it afterwards."""
    monkeypatch.setenv("TOCSIN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TOCSIN_HTTP_ALLOWED", "127.0.0.0/8")
    monkeypatch.setattr(DECLARED, "_types", {})
    before = dict(DECLARED_TASKS)
    DECLARED_TASKS.clear()
    yield
    DECLARED_TASKS.clear()
    DECLARED_TASKS.update(before)


@pytest.fixture
def examples(declared: None) -> Any:
    specification = importlib.util.spec_from_file_location("example_tasks", EXAMPLES)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["example_tasks"] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def catalogue(examples: Any) -> Catalogue:
    found = Catalogue()
    register_builtins(found, reachable=[ip_network("127.0.0.0/8")])
    for entry in DECLARED:
        found.register(entry)
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name in ("a/1", "a/2", "b/3", "c", "name with\nnewline"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 1_000)
    (root / "link").symlink_to("c")
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "x.pyc").write_bytes(b"cache")
    return root


async def ended(node: tocsin.LocalNode, execution: tocsin.Execution) -> Any:
    with trio.fail_after(30):
        while (detail := await node.execution(execution.id)).execution.state not in ENDED:  # noqa: ASYNC110
            await trio.sleep(0.02)
    return detail


async def test_the_declared_tasks_are_one_record_over_restarts(tmp_path: Path, catalogue: Catalogue) -> None:
    names = set(DECLARED_TASKS)
    assert names == {"integrity.scan", "disk.free", "own.health", "load.sample"}
    seen = []
    for _ in range(2):
        async with tocsin.open_node(data=tmp_path / "data", catalogue=catalogue) as node:
            own = [task async for task in node.tasks() if not is_system(task.definition)]
            seen.append({task.definition.name: task.id for task in own if task.definition.persistent})
            assert {task.definition.name for task in own} == names
    assert seen[0] == seen[1]
    assert len(seen[0]) == 3


async def test_the_command_runs(tmp_path: Path, catalogue: Catalogue) -> None:
    async with tocsin.open_node(data=tmp_path / "data", catalogue=catalogue) as node:
        detail = await ended(node, await node.run("disk.free"))
        assert detail.execution.state == "COMPLETED"
        assert "Filesystem" in detail.result or "%" in detail.result


async def test_the_health_check_asks_the_node_itself(tmp_path: Path, catalogue: Catalogue) -> None:
    from tocsin.api.entrance import ApiSettings
    from tocsin.api.server import serve_api
    from tocsin.settings.setting_readers import Address

    async with tocsin.open_node(data=tmp_path / "data", catalogue=catalogue) as node, trio.open_nursery() as nursery:
        stop = trio.Event()
        url = await nursery.start(serve_api, node.inner, Address("127.0.0.1", 0), "token", ApiSettings(10_000), stop)
        declared = (await node.task("own.health")).definition.parameters
        assert "http://127.0.0.1:7400/api/health/live" in declared
        execution = await node.run("own.health", {"url": f"{url}/api/health/live"})
        detail = await ended(node, execution)
        assert detail.execution.state == "COMPLETED", detail.execution.failure
        assert '"status":200' in detail.result.replace(" ", "")
        stop.set()


async def test_the_load_is_sampled_in_memory(tmp_path: Path, catalogue: Catalogue) -> None:
    async with tocsin.open_node(data=tmp_path / "data", catalogue=catalogue) as node:
        detail = await ended(node, await node.run("load.sample"))
        assert detail.execution.state == "COMPLETED"
        assert set(result(detail)) == {"1m", "5m", "15m"}
        assert not (await node.task("load.sample")).definition.persistent


async def scan(node: tocsin.LocalNode, tree: Path, manifest: Path) -> Any:
    parameters = {"root": str(tree), "manifest": str(manifest), "rest": 0.0}
    return await ended(node, await node.run("integrity.scan", parameters))


def line(tree: Path, name: str) -> str:
    data = (tree / name).read_bytes()
    shown = name.replace("\n", "\\n")
    return f"{hashlib.sha256(data).hexdigest()} {len(data)} {shown}"


async def test_the_scan_hashes_every_file_and_tells_what_changed(
    tmp_path: Path, catalogue: Catalogue, tree: Path
) -> None:
    manifest = tmp_path / "manifest"
    async with tocsin.open_node(data=tmp_path / "data", catalogue=catalogue) as node:
        first = await scan(node, tree, manifest)
        assert first.execution.state == "COMPLETED", first.execution.failure
        names = ["a/1", "a/2", "b/3", "c", "name with\nnewline"]
        assert manifest.read_text().splitlines() == [line(tree, name) for name in names]
        assert result(first)["changes"] == {"added": 5, "removed": 0, "changed": 0}
        (tree / "a/1").write_bytes(b"other")
        (tree / "c").unlink()
        (tree / "d").write_bytes(b"new")
        second = await scan(node, tree, manifest)
        assert result(second)["changes"] == {"added": 1, "removed": 1, "changed": 1}
        assert result(second)["files"] == 5
        assert not manifest.with_name("manifest.partial").exists()


async def test_the_scan_reads_names_that_are_no_utf8(tmp_path: Path, catalogue: Catalogue, tree: Path) -> None:
    (tree / os.fsdecode(b"a\xff.txt")).write_bytes(b"odd")
    manifest = tmp_path / "manifest"
    async with tocsin.open_node(data=tmp_path / "data", catalogue=catalogue) as node:
        first = await scan(node, tree, manifest)
        assert first.execution.state == "COMPLETED", first.execution.failure
        assert f"{hashlib.sha256(b'odd').hexdigest()} 3 ".encode() + b"a\xff.txt" in manifest.read_bytes().splitlines()
        assert result(first)["changes"] == {"added": 6, "removed": 0, "changed": 0}
        second = await scan(node, tree, manifest)
        assert result(second)["changes"] == {"added": 0, "removed": 0, "changed": 0}


def test_a_scan_goes_on_behind_a_name_that_is_no_utf8(tmp_path: Path, examples: Any, tree: Path) -> None:
    for name in (b"a\xff.txt", b"z"):
        (tree / os.fsdecode(name)).write_bytes(b"odd")
    kept = ""
    before = examples.Scan(tree, tmp_path / "manifest", None)
    with before.open():
        names = before.files_left()
        for name in names:
            before.add(name)
            if name == "a\udcff.txt":
                kept = encode_json(before.state, MAX_CHECKPOINT, "a checkpoint")
    after = examples.Scan(tree, tmp_path / "manifest", decode_json(kept))
    assert after.files_left() == names[names.index("a\udcff.txt") + 1 :]


def result(detail: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(detail.result)
    return found


def test_a_scan_goes_on_behind_its_checkpoint(tmp_path: Path, examples: Any, tree: Path) -> None:
    manifest = tmp_path / "manifest"
    whole = examples.Scan(tree, manifest, None)
    with whole.open():
        names = whole.files_left()
        for name in names:
            whole.add(name)
    expected = whole.partial.read_bytes()
    whole.partial.unlink()

    before = examples.Scan(tree, manifest, None)
    with before.open():
        before.add(names[0])
        kept = dict(before.state)
        before.add(names[1])
    after = examples.Scan(tree, manifest, kept)
    with after.open():
        assert after.files_left() == names[1:]
        for name in after.files_left():
            after.add(name)
    assert after.partial.read_bytes() == expected
    assert after.state == whole.state


def test_a_scan_notes_what_it_cannot_read(tmp_path: Path, examples: Any, tree: Path) -> None:
    scan = examples.Scan(tree, tmp_path / "manifest", None)
    with scan.open():
        (tree / "c").unlink()
        scan.add("c")
        scan.add("a/1")
    assert (scan.state["unreadable"], scan.state["files"]) == (1, 2)
    assert scan.partial.read_text().splitlines() == ["unreadable:No_such_file_or_directory 0 c", line(tree, "a/1")]


def test_a_scan_that_died_after_publishing_only_answers(tmp_path: Path, examples: Any, tree: Path) -> None:
    scan = examples.Scan(tree, tmp_path / "manifest", None)
    with scan.open():
        for name in scan.files_left():
            scan.add(name)
    scan.compare()
    scan.publish()
    again = examples.Scan(tree, tmp_path / "manifest", scan.state)
    assert again.is_complete
    again.publish()
    assert len((tmp_path / "manifest").read_text().splitlines()) == 5
