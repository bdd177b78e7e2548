from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from actors.handling.catalogue import Catalogue, task_type
from runtime.clock import Micros
from tests.tocsin.cli.kit import Shell
from tocsin.client import Client
from tocsin.serving import open_serving
from tocsin.settings.config import Config
from tocsin.settings.setting_readers import Address


async def greet(ctx: Any, *, region: str = "eu", count: int = 1) -> dict[str, Any]:
    """Says hello."""
    ctx.log.info("hello %s", region)
    ctx.progress(done=1, total=2, step="greeting", batch=count)
    return {"region": region, "count": count}


async def fail(ctx: Any) -> None:
    await ctx.checkpoint({"at": 7})
    raise ValueError("boom")


async def wait(ctx: Any) -> None:
    ctx.progress(done=500, total=1000, step="Processing records")
    await trio.sleep_forever()


CATALOGUE = Catalogue([task_type("greet", greet), task_type("fail", fail), task_type("wait", wait)])


@attrs.define
class Running:
    """A node with its server in a thread of its own, so that plain tests can talk to it."""

    data: Path
    url: str = ""
    token: str = ""
    error: BaseException | None = None
    catalogue: Catalogue = CATALOGUE
    _up: threading.Event = attrs.field(factory=threading.Event)
    _stop: Any = None
    _thread: threading.Thread | None = None

    def start(self, config: Config) -> None:
        self._thread = threading.Thread(target=self._run, args=(config,), daemon=True)
        self._thread.start()
        assert self._up.wait(120)
        if self.error is not None:
            raise self.error

    def _run(self, config: Config) -> None:
        try:
            trio.run(self._serve, config)
        except BaseException as error:
            self.error = error
        finally:
            self._up.set()

    async def _serve(self, config: Config) -> None:
        async with open_serving(config, self.catalogue) as serving:
            stop, portal = trio.Event(), trio.lowlevel.current_trio_token()
            self._stop = lambda: portal.run_sync_soon(stop.set)
            self.url, self.token = serving.url, (config.data / "token").read_text().strip()
            self._up.set()
            await stop.wait()

    def stop(self) -> None:
        self._stop()
        assert self._thread is not None
        self._thread.join(120)
        assert not self._thread.is_alive()


def settings(data: Path) -> Config:
    return Config(
        data=data,
        listen=Address("127.0.0.1", 0),
        drain_timeout=Micros(0),
        synchronous="NORMAL",
        failed_logins=1_000_000,
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    node = Running(tmp_path_factory.mktemp("node"))
    node.start(settings(node.data))
    yield node
    node.stop()
    assert node.error is None


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    with Client(running.url, running.token) as found:
        yield found


@pytest.fixture
def shell(running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """The command line, talking to the running node."""
    monkeypatch.setenv("TOCSIN_URL", running.url)
    monkeypatch.setenv("TOCSIN_TOKEN", running.token)
    monkeypatch.delenv("TOCSIN_DATA", raising=False)
    return Shell(capsys)
