"""Tasks of a type that no node has are named when a node starts."""

from __future__ import annotations

from pathlib import Path

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from tocsin.lifetime.types import orphaned_tasks


async def work(_ctx: tocsin.Context) -> None:
    return None


async def test_tasks_whose_type_is_gone_are_named(tmp_path: Path) -> None:
    async with tocsin.open_node(data=tmp_path, catalogue=Catalogue([task_type("work", work)])) as node:
        await node.every("100d", "work", name="scan")
        await node.every("100d", "work", name="over")
        await node.cancel("over")
        assert await orphaned_tasks(node.inner) == []
    async with tocsin.open_node(data=tmp_path, catalogue=Catalogue([task_type("other", work)])) as node:
        assert await orphaned_tasks(node.inner) == ["scan (type work)"]
