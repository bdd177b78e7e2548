"""`extra` arrives byte for byte: through both stores, and to handlers of every kind."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context, SyncContext
from actors.model.lifecycle import State
from actors.model.task import MAX_EXTRA
from tests.actors import process_handlers
from tests.tocsin.test_node import ended

GREEK = "Ἐν ἀρχῇ ἦν ὁ λόγος"

EXTRAS = {
    "empty": b"",
    "nul": b"\x00",
    "nul inside": b"a\x00b\x00",
    "crlf": b"one\r\ntwo\r\n\r\n",
    "bare cr": b"one\rtwo\n\r",
    "greek": GREEK.encode(),
    "greek in another encoding": GREEK.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbftext",
    "not utf-8": b"\xff\xfe\xc3\x28\xed\xa0\x80",
    "every byte": bytes(range(256)),
    "exactly a mebibyte": bytes(range(256)) * 4096,
    "a mebibyte of nul": bytes(MAX_EXTRA),
}


async def in_loop(ctx: Context) -> str:
    return "" if ctx.extra is None else hashlib.sha256(ctx.extra).hexdigest()


def in_thread(ctx: SyncContext) -> str:
    return "" if ctx.extra is None else hashlib.sha256(ctx.extra).hexdigest()


CATALOGUE = Catalogue(
    [
        task_type("async", in_loop),
        task_type("thread", in_thread),
        task_type("keeps_extra", process_handlers.keeps_extra, isolation="process"),
    ]
)


@pytest.mark.parametrize("persistent", [True, False], ids=["sqlite", "memory"])
@pytest.mark.parametrize("type_name", ["async", "thread"])
async def test_extra_arrives_byte_for_byte(tmp_path: Path, type_name: str, persistent: bool) -> None:
    async with tocsin.open_node(data=tmp_path, catalogue=CATALOGUE, synchronous="NORMAL") as node:
        for name, data in EXTRAS.items():
            await _check(node, type_name, name, data, persistent)


@pytest.mark.parametrize("persistent", [True, False], ids=["sqlite", "memory"])
@pytest.mark.parametrize("name", ["nul inside", "crlf", "greek", "not utf-8", "exactly a mebibyte"])
async def test_extra_arrives_in_a_process_byte_for_byte(tmp_path: Path, name: str, persistent: bool) -> None:
    async with tocsin.open_node(data=tmp_path, catalogue=CATALOGUE, synchronous="NORMAL") as node:
        await _check(node, "keeps_extra", name, EXTRAS[name], persistent)


async def _check(node: Any, type_name: str, name: str, data: bytes, persistent: bool) -> None:
    builder = node.new_task(type_name).named(name).with_period("1h").extra(data, "application/x-test")
    task = await (builder if persistent else builder.non_persistent()).schedule()
    assert (task.definition.extra.data, task.definition.extra.content_type) == (data, "application/x-test")
    read = await node.task(task.id)
    assert read.definition.extra.data == data
    execution = await ended(node, await node.run(task.id))
    assert execution.state is State.COMPLETED
    assert (await node.execution(execution.id)).result == f'"{hashlib.sha256(data).hexdigest()}"'


async def test_extra_survives_a_restart(tmp_path: Path) -> None:
    data = EXTRAS["every byte"]
    async with tocsin.open_node(data=tmp_path, catalogue=CATALOGUE) as node:
        task = await node.new_task("async").named("kept").with_period("1h").extra(data).schedule()
    async with tocsin.open_node(data=tmp_path, catalogue=CATALOGUE) as node:
        extra = (await node.task(task.id)).definition.extra
        assert extra is not None
        assert extra.data == data


@pytest.mark.parametrize("persistent", [True, False], ids=["sqlite", "memory"])
async def test_one_byte_more_than_a_mebibyte_is_refused(tmp_path: Path, persistent: bool) -> None:
    async with tocsin.open_node(data=tmp_path, catalogue=CATALOGUE) as node:
        builder = node.new_task("async").with_period("1h")
        with pytest.raises(tocsin.TooLarge, match=f"{MAX_EXTRA + 1}"):
            await (builder if persistent else builder.non_persistent()).extra(bytes(MAX_EXTRA + 1)).schedule()
        assert [task async for task in node.tasks()] == []
