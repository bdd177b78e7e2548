"""Thread pools as a program configures and names them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import tocsin
from actors.handling.catalogue import DECLARED, Catalogue
from actors.handling.context import SyncContext
from actors.model.lifecycle import State
from runtime.errors import InvalidRequest
from tests.tocsin.test_node import ended

QUICK = {"synchronous": "NORMAL", "drain_timeout": "0s"}


@tocsin.task("test pools: io", pool="io")
def in_io(ctx: SyncContext) -> str:
    return threading.current_thread().name


def the_type() -> Catalogue:
    entry = DECLARED.get("test pools: io")
    assert entry is not None
    assert entry.pool == "io"
    return Catalogue([entry])


TYPES = the_type()
# What is declared is there for every node of the process, and those of other tests have no such pool.
del DECLARED._types["test pools: io"]


async def test_a_function_runs_in_the_pool_it_names(tmp_path: Path) -> None:
    pools = {"default": 1, "io": 2}
    async with tocsin.open_node(data=tmp_path, catalogue=TYPES, threads=pools, **QUICK) as node:
        task = await node.every("1h", "test pools: io")
        execution = await ended(node, await node.run(task.id))
        assert execution.state is State.COMPLETED


async def test_a_node_does_not_start_without_a_pool_that_a_type_names(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"'test pools: io': there is no thread pool 'io'; configured are default"):
        async with tocsin.open_node(data=tmp_path, catalogue=TYPES, **QUICK):
            pass
    with pytest.raises(InvalidRequest, match=r"did you mean 'ios'\?"):
        async with tocsin.open_node(data=tmp_path, catalogue=TYPES, threads={"ios": 3}, **QUICK):
            pass


def test_a_pool_is_named_by_a_text() -> None:
    with pytest.raises(InvalidRequest, match="pool: a text, not 3"):
        tocsin.task("a", pool=3)  # type: ignore[arg-type]
