"""Who may do what with the queue: workers get the jobs of their tenant, levels show no more than a caller sees."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.handling.catalogue import Catalogue
from actors.model.scope import Scope
from runtime.errors import Forbidden, NotFound
from tocsin import open_node
from tocsin.access.caller import FIRST_ADMINISTRATOR, Caller, Role
from tocsin.node import LocalNode
from tocsin.operations.calls import Call
from tocsin.operations.dispatch import Dispatcher
from tocsin.operations.table import BY_NAME, OPERATIONS

WORKER_A = Caller("wa", Scope("a"), Role.WORKER)
WORKER_B = Caller("wb", Scope("b"), Role.WORKER)
ANN = Caller("ann", Scope("a"), Role.OPERATOR)
BEN = Caller("ben", Scope("a", "ben"), Role.OPERATOR)
JOBS_OF_WORKERS = {"queue_start", "queue_next", "queue_save", "queue_heartbeat"}


@asynccontextmanager
async def node(tmp_path: Path) -> AsyncIterator[LocalNode]:
    async with open_node(
        data=tmp_path / "data", catalogue=Catalogue(), synchronous="NORMAL", drain_timeout="0s"
    ) as found:
        yield found


async def ask(on: LocalNode, caller: Caller, operation: str, **given: Any) -> Any:
    known = {argument.name: given.get(argument.name, argument.default) for argument in BY_NAME[operation].arguments}
    return await Dispatcher(on.inner)(operation, Call(known, caller.user, "rest", caller))


async def add(on: LocalNode, caller: Caller, name: str) -> None:
    await ask(on, caller, "add_task", body={"name": name, "taskType": "worker:x", "trigger": {"after": "0s"}})


async def take(on: LocalNode, caller: Caller) -> dict[str, Any] | None:
    found = await ask(on, caller, "queue_next", worker="w", body={"types": ["x"], "wait": "1s"})
    job: dict[str, Any] | None = found["job"]
    return job


def test_the_role_of_workers_is_enough_for_these_and_for_nothing_else() -> None:
    assert {entry.name for entry in OPERATIONS if entry.permission == "worker"} == JOBS_OF_WORKERS


async def test_a_worker_gets_and_saves_the_jobs_of_his_tenant_only(tmp_path: Path) -> None:
    async with node(tmp_path) as on:
        await add(on, ANN, "of a")
        assert await take(on, WORKER_B) is None
        job = await take(on, WORKER_A)
        assert job is not None
        assert job["tenant"] == "a"
        body = {"lease": job["lease"], "status": "completed"}
        for operation, said in (("queue_save", body), ("queue_heartbeat", {"lease": job["lease"]})):
            with pytest.raises(NotFound):
                await ask(on, WORKER_B, operation, job=job["job"], body=said)
        assert (await ask(on, WORKER_B, "queue_start", worker="w"))["givenBack"] == []
        assert (await ask(on, WORKER_A, "queue_save", job=job["job"], body=body))["state"] == "COMPLETED"


async def test_a_worker_may_not_look_or_change(tmp_path: Path) -> None:
    async with node(tmp_path) as on:
        await add(on, ANN, "of a")
        for operation in ("queue_list", "queue_flush", "list_tasks"):
            with pytest.raises(Forbidden):
                await ask(on, WORKER_A, operation, body=None, sortBy=None)
        for operation in ("queue_delete", "queue_rename", "queue_update"):
            with pytest.raises(Forbidden):
                await ask(on, WORKER_A, operation, task="of a", body={"name": "x"})


async def test_levels_show_and_remove_no_more_than_the_caller_sees(tmp_path: Path) -> None:
    async with node(tmp_path) as on:
        await add(on, ANN, "of ann")
        await add(on, BEN, "of ben")
        await add(on, FIRST_ADMINISTRATOR, "of nobody")

        async def names(caller: Caller, level: str | None = None) -> set[str]:
            return {row["task"] for row in (await ask(on, caller, "queue_list", level=level))["list"]}

        assert (
            await names(FIRST_ADMINISTRATOR)
            == await names(FIRST_ADMINISTRATOR, "all")
            == {"of ann", "of ben", "of nobody"}
        )
        assert await names(ANN) == await names(ANN, "company") == {"of ann", "of ben"}
        assert await names(ANN, "user") == {"of ann"}
        assert await names(BEN) == await names(BEN, "user") == {"of ben"}

        async def listed(caller: Caller, level: str | None) -> set[str]:
            page = await ask(on, caller, "list_tasks", level=level)
            return {row["name"] for row in page["list"] if not row["taskType"].startswith("system.")}

        for person, some in ((FIRST_ADMINISTRATOR, "all"), (ANN, "company"), (ANN, "user"), (BEN, "user")):
            assert await listed(person, some) == await names(person, some)
        with pytest.raises(Forbidden, match="level"):
            await listed(ANN, "all")
        for caller, level in ((ANN, "all"), (BEN, "company"), (BEN, "all")):
            with pytest.raises(Forbidden, match="level"):
                await names(caller, level)
            with pytest.raises(Forbidden, match="level"):
                await ask(on, caller, "queue_flush", body={"level": level})
        for _ in range(3):
            job = None
            with trio.fail_after(30):
                while job is None:
                    job = await take(on, FIRST_ADMINISTRATOR)
            await ask(
                on,
                FIRST_ADMINISTRATOR,
                "queue_save",
                job=job["job"],
                body={"lease": job["lease"], "status": "completed"},
            )
        assert (await ask(on, ANN, "queue_flush", body={"level": "user"}))["tasks"] == 1
        assert await names(FIRST_ADMINISTRATOR) == {"of ben", "of nobody"}
        assert (await ask(on, BEN, "queue_flush"))["tasks"] == 1
        assert (await ask(on, FIRST_ADMINISTRATOR, "queue_flush", body={"olderThan": "1h"}))["tasks"] == 0
        assert (await ask(on, FIRST_ADMINISTRATOR, "queue_flush", body={"level": "all"}))["tasks"] == 1
