"""A node that dies in the middle of applying: applying the same files again does what is left, and nothing twice."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import trio

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from tocsin import testing
from tocsin.operations.calls import Call
from tocsin.plans import applying
from tocsin.plans.services import apply_plan, export, plan
from tocsin.testing import VirtualNode

IDS = {name: f"01890000-0000-7000-8000-00000000000{index}" for index, name in enumerate("abcdefg")}


async def greet(ctx: tocsin.Context) -> str:
    return "hello"


TYPES = Catalogue([task_type("greet", greet)])


def entry(name: str, trigger: str = "{every: 1h}", more: str = "") -> str:
    anchored = trigger.replace("1h}", '1h, anchor: "2026-01-01T00:00:00Z"}')
    return f"  - {{name: {name}, id: {IDS[name]}, taskType: greet, trigger: {anchored}{more}}}\n"


BEFORE = "tasks:\n" + entry("a") + entry("b") + entry("c")
AFTER = (
    "calendars: [{name: holidays, weekdays: [sun]}]\ntasks:\n"
    + entry("a", "{cron: 0 3 * * *}", ", dependencies: [d]")
    + entry("c", more=", paused: true, pauseNote: later")
    + entry("d", more=", dependencies: [e]")
    + entry("e", "{cron: 0 H * * *, calendars: [holidays]}")
    + entry("f", "{every: 1h}", ", paused: true")
    + entry("g", '{at: "2020-01-01T00:00:00Z"}', ", paused: true")
)


def call(text: str = "", **more: Any) -> Call:
    body = {"files": [{"name": "f.yaml", "text": text}], "owner": "ours", **more}
    return Call({"body": body, "format": "yaml"}, "somebody", "rest")


async def begin_on(node: VirtualNode, disk: Path) -> None:
    """Start the node on what was on its disk at some moment."""
    node._lives += 1
    shutil.copytree(disk, node._directory)
    await node._node.drain(0)
    node._scope.cancel()
    await node._start()


@testing.simulated(catalogue=TYPES)
async def test_wherever_it_dies_applying_again_does_what_is_left(node: VirtualNode) -> None:
    disks: list[Path] = []

    def remember(name: str) -> None:
        if name in ("keeper.committing", "keeper.committed"):
            disks.append(node._home / f"disk-{len(disks)}")
            shutil.copytree(node._directory, disks[-1])

    await apply_plan(node._node, call(BEFORE))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(applying, "TOGETHER", 1)
        patch.setattr(node._world, "failpoint", remember)
        done = (await apply_plan(node._node, call(AFTER, prune=True)))["done"]
    wanted = (await export(node._node, call()))["text"]
    assert len(done) == 12
    assert len(disks) >= 2 * len(done)
    left = []
    for disk in disks:
        await begin_on(node, disk)
        left.append(len((await apply_plan(node._node, call(AFTER, prune=True)))["done"]))
        assert (await export(node._node, call()))["text"] == wanted
        assert (await plan(node._node, call(AFTER, prune=True)))["empty"]
        await trio.testing.wait_all_tasks_blocked()
        assert not [run async for run in no_runs(node)]
    assert left[0] == len(done)
    assert left[-1] == 0
    assert left == sorted(left, reverse=True)


async def no_runs(node: VirtualNode) -> Any:
    """What has run of the paused tasks, which is nothing."""
    for name in ("c", "f", "g"):
        for run in await node.runs(IDS[name]):
            yield run
