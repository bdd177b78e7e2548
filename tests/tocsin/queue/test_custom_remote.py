"""A queue behind an address: the example as a process of its own, killed and begun anew, and servers that answer nonsense."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from actors.job_queue import JobQueueFailed
from tocsin.queue.custom_remote import Remote

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "job_queue.py"
TOKEN = "a token that no log shows"


@contextmanager
def service(port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The example as a process: it and its address."""
    process = subprocess.Popen(
        [sys.executable, "-P", str(EXAMPLE), str(port)],
        stdout=subprocess.PIPE,
        text=True,
        env={"TOCSIN_QUEUE_TOKEN": TOKEN, "PATH": "/usr/bin:/bin"},
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


class Work:
    """A handler that runs until it is told to end, and how many ran at once of each customer."""

    def __init__(self) -> None:
        self.running: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.done: list[str] = []
        self.changed = trio.Event()

    async def __call__(self, ctx: Any, *, customer: str = "") -> None:
        self.running[customer] = self.running.get(customer, 0) + 1
        self.most[customer] = max(self.most.get(customer, 0), self.running[customer])
        try:
            await trio.sleep(0.1)
        finally:
            self.running[customer] -= 1
        self.done.append(ctx.task)
        self.changed.set()

    async def until(self, good: Callable[[], bool]) -> None:
        """Wait; the bound is against hanging."""
        with trio.fail_after(90):
            while not good():
                self.changed = trio.Event()
                with trio.move_on_after(0.2):
                    await self.changed.wait()


@asynccontextmanager
async def node(home: Path, work: Work, address: str, **more: Any) -> AsyncIterator[Any]:
    (home / "token-of-queue").write_text(TOKEN + "\n")

    async def handler(ctx: Any, *, customer: str = "") -> None:
        await work(ctx, customer=customer)

    settings = {"queue_use": address, "queue_token_file": str(home / "token-of-queue"), **more}
    catalogue = Catalogue([task_type("work", handler)])
    async with tocsin.open_node(catalogue=catalogue, data=home / "data", listen="127.0.0.1:0", **settings) as opened:
        yield opened


async def add(opened: Any, customer: str, number: int) -> None:
    """Tasks of a customer that are due at once."""
    names = [f"{customer} {index}" for index in range(number)]
    tasks = [opened.new_task("work").named(name).with_trigger({"after": "0s"}) for name in names]
    made = await opened.add_many([task.with_parameters(customer=customer) for task in tasks])
    assert not [error for error in made if isinstance(error, Exception)]


async def test_the_example_gives_in_its_order_is_killed_and_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work()
    with service() as (process, address):
        port = int(address.rsplit(":", 1)[1].split("/")[0])
        async with node(tmp_path, work, address, queue_deadline="1s") as opened:
            inner = opened.inner.job_queue
            await add(opened, "a", 12)
            await add(opened, "b", 3)
            await work.until(lambda: len(work.done) == 15)
            assert max(work.most.values()) <= 2, "never more than two of one customer"
            assert opened.health() == []
            process.kill()
            process.wait()
            await add(opened, "c", 8)
            await work.until(lambda: len(work.done) == 23)
            assert work.most["c"] > 2, "the node's own order knows nothing of customers"
            assert [line for line in opened.health() if line.startswith(f"the job queue {address!r} ConnectError")]
            with service(port):
                await work.until(lambda: inner.in_charge)
                assert opened.health() == []
                await add(opened, "d", 8)
                await work.until(lambda: len(work.done) == 31)
            assert work.most["d"] <= 2
            assert len(set(work.done)) == 31, "each has run once"
    assert TOKEN not in caplog.text


async def test_a_wrong_token_is_told_and_work_goes_on(tmp_path: Path) -> None:
    work = Work()
    with service() as (_, address):
        async with node(tmp_path, work, address, queue_token_file="") as opened:
            await add(opened, "a", 1)
            await work.until(lambda: len(work.done) == 1)
            assert "answered HTTP 401 to start" in " ".join(opened.health())


# -- servers that answer nonsense


async def _serve(answer: bytes, stream: trio.SocketStream) -> None:
    async with stream:
        asked = b""
        while not asked.endswith(b"}"):
            asked += await stream.receive_some(65_536)
        if not answer:
            await trio.sleep_forever()
        await stream.send_all(answer)


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """The address of a server that answers so to whatever it hears; nothing: it takes its time."""
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, partial(_serve, answer), [listener])
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}/q"
        nursery.cancel_scope.cancel()


def http(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status.encode(), len(body), body)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"", "ReadTimeout"),
        (b"nonsense", "RemoteProtocolError"),
        (http(b"{}", "503 Busy"), "answered HTTP 503 to next"),
        (http(b"{}", "302 Found"), "answered HTTP 302 to next"),
        (http(b"not json"), "answered no JSON to next"),
        (http(b"[" * 100_000), "answered no JSON to next"),
        (http(b"[]"), "answered to next without 'jobs'"),
        (http(b"{}"), "answered to next without 'jobs'"),
    ],
)
async def test_what_a_server_may_answer_wrongly_is_told(answer: bytes, problem: str) -> None:
    async with answering(answer) as address:
        remote = Remote(address, TOKEN, 0.3)
        with pytest.raises(JobQueueFailed) as caught:
            await remote.next("n", 1)
        await remote.close()
    assert problem in str(caught.value)
    assert TOKEN not in str(caught.value)


async def test_nobody_there_is_told() -> None:
    remote = Remote("http://127.0.0.1:1/q", None, 5)
    with pytest.raises(JobQueueFailed, match="ConnectError"):
        await remote.start("n")
    await remote.close()
    await remote.close()
    assert remote.name == "http://127.0.0.1:1/q"


async def test_the_verbs_are_requests() -> None:
    with service() as (_, address):
        remote = Remote(address, TOKEN, 5)
        await remote.start("n")
        assert await remote.next("n", 5) == []
        assert await remote.list("n") == []
        assert await remote.data("n", "unknown") is None
        await remote.delete("n", "t")
        await remote.rename("n", "t", "name")
        await remote.close()
