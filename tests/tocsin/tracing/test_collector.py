"""A real collector's protocol, one that is away, and a node whose traces are off."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from actors.handling.context import Context
from actors.keeper_staging import Staged
from runtime.errors import InvalidRequest
from runtime.world import RealWorld
from tests.source import ROOT
from tests.tocsin.tracing.kit import collector, node, settings, until
from tocsin.api.exposition import Family
from tocsin.embedded.ports import free_port
from tocsin.settings.config import load_config
from tocsin.tracing.opening import read_headers
from tocsin.tracing.settings import ENDPOINT, TRACES, TracingSettings
from tocsin.tracing.spans_core import Span
from tocsin.tracing.tracer import NodeTracer


async def work(ctx: Context) -> None:
    """Does nothing."""


NAMES = re.compile(r"opentelemetry(\.semconv(\.attributes.*)?)?$")

TYPES = Catalogue([task_type("work", work, source="")])


async def test_a_collector_gets_what_it_can_read(tmp_path: Path) -> None:
    keys = tmp_path / "headers"
    keys.write_text("Api-Key: sesame\n\nX-Scope: a:b\n")
    with collector() as found:
        more = {"tracing.endpoint": found.url, "tracing.headers_file": str(keys), "tracing.service_name": "nightly"}
        async with node(tmp_path / "data", TYPES, **more, name="n7") as running:
            await running.once("0s", "work", name="w")
            await until(found.requests.__len__)
            assert running.inner.tallies[TRACES]()["failed"] == 0
        path, headers, _ = found.requests[0]
        names = sorted(span.name for span in found.spans())
    assert (path, headers["api-key"], headers["x-scope"]) == ("/v1/traces", "sesame", "a:b")
    assert headers["content-type"] == "application/x-protobuf"
    assert names == ["fire work", "run work"]


async def test_the_last_spans_are_sent_when_the_node_stops(tmp_path: Path) -> None:
    with collector() as found:
        async with node(tmp_path, TYPES, **{"tracing.endpoint": found.url, "tracing.interval": "1m"}) as running:
            await running.once("0s", "work", name="w")
            await until(lambda: running.inner.completed())
            assert not found.requests
        assert sorted(span.name for span in found.spans()) == ["fire work", "run work"]


@pytest.mark.parametrize("answer", [None, 400, 503])
async def test_a_collector_that_takes_nothing_costs_a_figure(
    tmp_path: Path, answer: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    """None: there is none. Of 503 the sender tries again until the timeout."""
    with collector() as found:
        found.status = answer or 200
        url = found.url if answer else f"http://127.0.0.1:{free_port()}/v1/traces"
        more = {"tracing.endpoint": url, "tracing.export_timeout": "300ms", "tracing.last": "0s"}
        async with node(tmp_path, TYPES, **more) as running:
            tally = running.inner.tallies[TRACES]
            for number in range(3):
                await running.once("0s", "work", name=f"w{number}")
                await until(lambda number=number: tally()["failed"] >= 2 * (number + 1))
            assert running.inner.completed() == 3 and tally()["sent"] == 0
            assert running.health() == [] == running.inner.hindrances()
            if answer:
                found.status = 200
                await running.once("0s", "work", name="again")
                await until(lambda: tally()["sent"] == 2)
    told = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert told == [f"{url} takes no spans: they are dropped, and counted"], "once, however long it lasts"


class Deaf:
    """An exporter that nobody hears."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.error: Exception | None = None

    def export(self, spans: Any) -> bool:
        self.batches.append(len(spans))
        if self.error is not None:
            raise self.error
        return True

    def close(self) -> None:
        raise AssertionError("nobody closes")


def tracer(exporter: Any, **more: Any) -> NodeTracer:
    return NodeTracer(TracingSettings(tracing_queue=100, tracing_batch=40, **more), exporter, RealWorld())


def spans(count: int) -> list[Span]:
    from tests.tocsin.tracing.test_core import EXECUTION, ended, told

    return [told(EXECUTION, ended())[1]] * count


async def test_the_queue_is_bounded_and_sent_in_batches() -> None:
    exporter = Deaf()
    found = tracer(exporter)
    for span in spans(130):
        found._add(span)
    assert found.told() == {"sent": 0, "dropped": 30, "failed": 0}
    await found.send()
    assert (exporter.batches, found.told()) == ([40, 40, 20], {"sent": 100, "dropped": 30, "failed": 0})


async def test_whatever_a_library_does_the_node_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    exporter = Deaf()
    exporter.error = RuntimeError("a bug")
    found = tracer(exporter)
    for span in spans(3):
        found._add(span)
    await found.send()
    assert found.told()["failed"] == 3
    assert "cannot be sent" in caplog.text


# -- off


def test_off_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    program = """
import sys, trio, tocsin
from tocsin.serving import open_serving
from tocsin.settings.config import load_config
from tocsin.loading import load_catalogue
from tocsin.client import Client

def ask(data):
    with Client(data=data) as client:
        client.call("live")

async def main(data):
    config = load_config({}, None, {"data": data, "listen": "127.0.0.1:0"}).config
    async with open_serving(config, load_catalogue(())) as serving:
        await serving.node.once("0s", "command", name="c", argv=["true"])
        while not serving.node.inner.completed():
            await trio.sleep(0.02)
        await trio.to_thread.run_sync(ask, serving.data)

trio.run(main, sys.argv[1])
print(*sorted(name for name in sys.modules if name.startswith(("opentelemetry", "google", "tocsin.tracing."))))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # The framework of the interface looks for names of attributes, where the library is there; these are constants.
    loaded = [name for name in done.stdout.split() if not NAMES.match(name)]
    assert loaded == ["tocsin.tracing.opening", "tocsin.tracing.settings"]


async def test_off_nothing_is_made_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("somebody asked which attempts have ended")

    monkeypatch.setattr(Staged, "ended_attempts", never)
    async with tocsin.open_node(data=tmp_path, catalogue=TYPES) as running:
        heard: list[Any] = []
        running.inner.herald.observe(heard.append)
        await running.once("0s", "work", name="w")
        await until(lambda: running.inner.completed())
        assert running.inner.tracer is None and TRACES not in running.inner.tallies
        assert {getattr(one, "ended", ()) for one in heard} == {()}
        lanes = running.inner.lanes
        assert [(one.executor.tracer, one.keeper.tracer) for one in lanes] == [(None, None)] * 2


async def test_without_the_library_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tocsin.tracing.otel", None)
    monkeypatch.delattr("tocsin.tracing.otel", raising=False)
    with pytest.raises(InvalidRequest, match=r"tracing.enabled: .* pip install 'tocsin\[otel\]'"):
        async with node(tmp_path, TYPES):
            raise AssertionError("it started")


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("tracing.endpoint", "collector:4318", "tracing.endpoint: a URL without user and password such as"),
        (
            "tracing.endpoint",
            "http://u:sesame@h/v1/traces",
            "such as http://127.0.0.1:4318/v1/traces, not 'h/v1/traces'",
        ),
        ("tracing.endpoint", "http://h:port/", "tracing.endpoint: a URL"),
        ("tracing.ratio", "1.5", "tracing.ratio: a number from 0 to 1, not '1.5'"),
        ("tracing.ratio", True, "tracing.ratio: a number from 0 to 1, not True"),
        ("tracing.ratio", "nan", "tracing.ratio: a number from 0 to 1, not 'nan'"),
        ("tracing.queue", 1, "tracing.queue: a whole number from 100"),
        ("tracing.export_timeout", "1h", "tracing.export_timeout"),
        ("tracing.headers_file", "no such", "tracing.headers_file: cannot read 'no such'"),
        ("tracing.ca", "no.pem", "tracing.ca: there is no file 'no.pem'"),
    ],
)
async def test_bad_settings_are_named(tmp_path: Path, key: str, value: Any, what: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        async with node(tmp_path, TYPES, **{key: value}):
            raise AssertionError("it started")
    assert what in str(caught.value) and "sesame" not in str(caught.value)


def test_defaults_and_files(tmp_path: Path) -> None:
    config = load_config({}, None, {}).config
    assert (config.tracing_enabled, config.tracing_endpoint, config.tracing_ratio) == (False, ENDPOINT, 1.0)
    assert load_config({"TOCSIN_TRACING_RATIO": "0.25"}).config.tracing_ratio == 0.25
    assert settings(tmp_path)["tracing.enabled"] and read_headers("") == {}
    (tmp_path / "h").write_text("Key sesame\n")
    with pytest.raises(InvalidRequest, match=r"line 1 of .* is not `Name: value`") as caught:
        read_headers(str(tmp_path / "h"))
    assert "sesame" not in str(caught.value)


def test_the_figure_is_shown(tmp_path: Path) -> None:
    from tocsin.api.metrics import SPANS

    assert isinstance(SPANS, Family)
    text = "\n".join(SPANS.by("result", {"sent": 3, "dropped": 0, "failed": 1}))
    assert 'tocsin_trace_spans_total{result="sent"} 3' in text
