"""Both clients against a node: the same operations, records, iterators and errors."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

import tocsin
from runtime.errors import Conflict, Forbidden, NotFound, Unauthenticated
from tests.tocsin.conftest import Running
from tocsin.clients import asks, asks_access, asks_channels, asks_overviews, asks_plans, asks_queue
from tocsin.clients.address import NodeUnreachable
from tocsin.clients.sync_client import SyncClient
from tocsin.clients.trio_client import Client

MODULES = (asks, asks_access, asks_channels, asks_overviews, asks_plans, asks_queue)


@pytest.fixture
def sync(running: Running) -> Iterator[SyncClient]:
    with SyncClient(running.url, running.token) as found:
        yield found


async def in_a_thread(function: Any, *arguments: Any) -> Any:
    return await trio.to_thread.run_sync(function, *arguments)


def test_both_have_the_same_methods_with_the_same_words() -> None:
    def methods(kind: type) -> dict[str, str | None]:
        return {
            name: value.__doc__ for name, value in vars(kind).items() if type(value).__name__ in ("_Method", "_Pages")
        }

    assert methods(Client) == methods(SyncClient)
    made = {
        name
        for module in MODULES
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    assert made == set(methods(Client))
    assert all(methods(Client).values())


def test_a_life_of_a_task(sync: SyncClient) -> None:
    made = sync.add_task("life", "greet", trigger={"every": "1h"}, parameters={"region": "us"}, labels={"team_a": "x"})
    assert (made.name, made.type, made.status, made.labels) == ("life", "greet", "SCHEDULED", {"team_a": "x"})
    assert made.next_run is not None
    assert made.next_run.tzinfo is not None
    ended = sync.wait(sync.run_task("life").id, timeout=20)
    assert (ended.state, ended.result, [one.state for one in ended.attempts]) == (
        "COMPLETED", {"region": "us", "count": 1}, ["COMPLETED"],
    )  # fmt: skip
    assert [line.text for line in sync.list_logs(ended.id)] == ["hello us"]
    assert [one.id for one in sync.executions("life")] == [ended.id]
    assert sync.edit_task("life", {"tags": ["a"]}, version=sync.show_task("life").version).tags == ("a",)
    assert sync.configure_task("life", max_retries=1, retry_delay_ms=5000).max_retries == 1
    assert sync.pause_task("life", note="so").note == "so"
    assert sync.activate_task("life").phase == "active"
    assert len(sync.next_fires("life", count=3).times) == 3
    assert str(sync.why(ended.id))
    assert sync.list_outcomes("life") == ()
    assert sync.show_definition("life")["name"] == "life"
    with pytest.raises(Conflict):
        sync.retry_task("life")
    assert sync.cancel_task("life") is None
    assert sync.delete_task("life") is True
    with pytest.raises(NotFound):
        sync.show_task("life")


def test_what_there_is_beside_tasks(sync: SyncClient) -> None:
    assert sync.ready() is True
    assert [one.name for one in sync.list_nodes()] == [sync.show_node()["name"]] == [sync.show_member("node-1").name]
    assert {"greet", "fail"} <= {one.name for one in sync.list_types()}
    assert sync.put_calendar("free", {"weekdays": ["sun"]}).version == 1
    assert [one.name for one in sync.list_calendars()] == ["free"]
    assert sync.show_calendar("free").raw["weekdays"] == ["sun"]
    assert sync.delete_calendar("free") is True
    assert sync.pause_scheduler(note="so").note == "so"
    assert not sync.resume_scheduler().paused
    assert sync.show_scheduler().since is None
    assert (sync.list_locks(), sync.purge(older_than="30d").complete) == ((), True)
    assert sync.counts().tasks >= 0
    assert sync.list_partitions()[0].owner == "node-1"
    assert sync.preview_cron("0 12 * * *", timezone="Europe/Berlin", count=2)["list"]
    assert len(sync.preview_trigger({"every_days": 1, "at": "03:00"}, count=4).times) == 4
    assert "tocsin" in sync.version()


def test_tokens_and_what_the_log_keeps_of_them(sync: SyncClient, running: Running) -> None:
    made = sync.add_token("reader", "viewer", tenant="acme", expires_in="1d")
    assert (made.role, made.tenant, made.revoked_at) == ("viewer", "acme", None)
    assert "reader" in {one.name for one in sync.list_tokens()}
    assert made.token is not None
    assert made.token not in repr(made)
    with SyncClient(running.url, made.token) as reader:
        assert reader.version()["tocsin"]
        with pytest.raises(Forbidden):
            reader.add_task("x", "greet", trigger={"every": "1h"})
    assert sync.revoke_token(made.id) is None
    assert any(one.action for one in sync.audits())
    verified = sync.verify_audits()
    assert verified.intact
    assert sync.verify_audits(seal=verified.seal).faults == ()


def test_definitions_go_out_and_in(sync: SyncClient) -> None:
    sync.add_task("kept in a file", "greet", trigger={"every": "1h"})
    text = sync.export(format="yaml")
    files = [{"name": "all.yaml", "text": text if isinstance(text, str) else text["text"]}]
    assert sync.plan(files)["digest"]
    assert sync.apply_plan(files)["done"] is not None
    sync.delete_task("kept in a file")
    assert sync.apply_plan(files)["done"] is not None
    assert sync.show_task("kept in a file").type == "greet"
    sync.delete_task("kept in a file")


def test_a_worker_does_a_job(sync: SyncClient) -> None:
    sync.add_task("page 1", "worker:render", trigger={"after": "0s"}, parameters={"page": 1})
    assert sync.queue_start("renderer") == ()
    job = sync.queue_next("renderer", ["render"], wait="20s", lease="10s")
    assert job is not None
    assert (job.parameters, job.attempt) == ({"page": 1}, 1)
    assert job.lease not in repr(job)
    assert sync.queue_heartbeat(job.job, job.lease).cancel is None
    sync.queue_save(
        job.job, job.lease, progress={"done": 1, "total": 2}, checkpoint={"line": 40}, log=[{"text": "half"}]
    )
    assert sync.queue_list(type="render")["totalSize"] == 1
    assert sync.queue_rename("page 1", "first page")["task"] == "first page"
    assert sync.queue_save(job.job, job.lease, status="completed", result={"file": "1.pdf"}).state == "COMPLETED"
    assert sync.show_execution(job.job).result == {"file": "1.pdf"}
    assert sync.queue_data(job.job)["taskId"] == job.task_id
    assert sync.queue_next("renderer", ["render"], wait="0s") is None
    assert "complete" in sync.queue_flush(older_than="1d")
    sync.queue_delete("first page")


def test_a_task_that_is_made_again_with_its_id_is_the_same(sync: SyncClient) -> None:
    chosen = str(uuid.uuid4())
    first = sync.add_task("twice", "greet", trigger={"every": "1h"}, task_id=chosen)
    assert (first.id, first.version) == (
        chosen,
        sync.add_task("twice", "greet", trigger={"every": "1h"}, task_id=chosen).version,
    )
    with pytest.raises(Conflict, match="asked for in another way"):
        sync.add_task("other", "greet", trigger={"every": "1h"}, task_id=chosen)
    run = str(uuid.uuid4())
    assert sync.run_task("twice", execution_id=run).id == sync.run_task("twice", execution_id=run).id == run
    sync.delete_task("twice")


def test_an_iterator_goes_over_all_pages(sync: SyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {f"paged {number}" for number in range(7)}
    for name in sorted(names):
        sync.add_task(name, "greet", trigger={"every": "1h"})
    monkeypatch.setattr(asks, "PAGE", 3)
    found = [one.name for one in sync.tasks(text="paged", sort="name:desc")]
    assert (set(found), found) == (names, sorted(names, reverse=True))
    for name in names:
        sync.delete_task(name)


async def test_the_same_in_trio(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asks, "PAGE", 2)
    async with tocsin.Client(running.url, running.token) as client:
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(lambda n=number: client.add_task(f"trio/{n}", "greet", trigger={"every": "1h"}))
        assert {one.name async for one in client.tasks(text="trio/")} == {f"trio/{number}" for number in range(5)}
        ended = await client.wait((await client.run_task("trio/1", {"region": "us"})).id, timeout=20)
        assert ended.result == {"region": "us", "count": 1}
        with pytest.raises(NotFound, match="no such"):
            await client.show_task("no such")
        assert (await client.call("version"))["tocsin"]
        for number in range(5):
            await client.delete_task(f"trio/{number}")


async def test_a_wait_can_be_cancelled(running: Running) -> None:
    async with tocsin.Client(running.url, running.token) as client:
        await client.add_task("endless", "wait", trigger={"every": "1h"})
        started = await client.run_task("endless")
        with trio.move_on_after(0.5) as scope:
            await client.wait(started.id)
        assert scope.cancelled_caught
        assert (await client.cancel_execution(started.id)).state in ("RUNNING", "CANCELLED")
        assert (await client.wait(started.id, timeout=20)).state == "CANCELLED"
        await client.delete_task("endless")


def test_a_data_directory_tells_where_the_node_is(
    running: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("TOCSIN_URL", "TOCSIN_TOKEN", "TOCSIN_DATA"):
        monkeypatch.delenv(name, raising=False)
    with SyncClient(data=running.data) as client:
        assert client.ready() is True
    with pytest.raises(NodeUnreachable, match="start one with 'tocsin up'"):
        SyncClient(data=tmp_path)
    with SyncClient(running.url, "wrong") as stranger, pytest.raises(Unauthenticated):
        stranger.version()


def test_an_answer_that_got_lost_is_asked_for_again() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        if len(seen) < 3:
            raise [httpx.ConnectError("refused"), httpx.ReadTimeout("silence")][len(seen) - 1]
        return httpx.Response(200, json={"tocsin": "1"})

    with SyncClient("http://node", "t", transport=httpx.MockTransport(answer)) as client:
        assert client.version() == {"tocsin": "1"}
    assert seen == ["/api/version"] * 3
