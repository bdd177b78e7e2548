"""The node's log: its forms, and what its lines belong to."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.handling.catalogue import Catalogue, task_type
from runtime.log_context import logged_with
from tests.tocsin.access.kit import Person
from tests.tocsin.conftest import Running, settings
from tocsin.client import Client
from tocsin.live.logs import JsonFormatter, TextFormatter, set_up_logging


async def logs(ctx: Any) -> None:
    logging.getLogger("user.code").warning("in the loop")


def logs_in_a_thread(ctx: Any) -> None:
    logging.getLogger("user.code").warning("in a thread")


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What is logged, as JSON."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger()
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_lines_of_an_execution_say_which(tmp_path: Path, written: io.StringIO) -> None:
    node = Running(
        tmp_path, catalogue=Catalogue([task_type("logs", logs), task_type("logs in a thread", logs_in_a_thread)])
    )
    node.start(settings(tmp_path))
    try:
        root, runs = Person(node.url, node.token), {}
        with Client(node.url, node.token) as client:
            for kind in ("logs", "logs in a thread"):
                task = root.make("/api/tasks", {"name": kind, "taskType": kind, "trigger": {"after": "1h"}})["itemId"]
                run = root.make(f"/api/tasks/{task}/run", {})["id"]
                runs[run] = task
                while client.call("show_execution", execution=run)["state"] not in ("COMPLETED", "FAILED"):
                    trio.run(trio.sleep, 0.01)
    finally:
        node.stop()
    found = [line for line in lines(written) if line["logger"] == "user.code"]
    assert [line["message"] for line in found] == ["in the loop", "in a thread"]
    for line in found:
        assert runs[line["execution"]] == line["task"]
        assert (line["node"], line["tenant"], line["attempt"]) == ("node-1", "", "1")
        assert line["correlation"] == line["execution"]
        assert line["level"] == "WARNING" and line["at"].endswith("Z")


def test_requests_have_an_id(running: Running) -> None:
    root = Person(running.url, running.token)
    made = root.send("GET", "/api/version").headers["x-request-id"]
    assert made and made != root.send("GET", "/api/version").headers["x-request-id"]
    for given, taken in (("order-17.a_B", True), ("x" * 65, False), ("two words", False), ("", False)):
        for path in ("/api/version", "/nowhere", "/metrics"):
            answer = root.send("GET", path, headers={"X-Request-Id": given})
            assert (answer.headers["x-request-id"] == given) is taken
            assert len(answer.headers.get_list("x-request-id")) == 1


def test_what_goes_wrong_in_a_request_is_logged_with_its_id(
    running: Running, written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def boom(_node: Any) -> Any:
        raise RuntimeError("boom")

    monkeypatch.setattr("actors.node.Node.counts", boom)
    root = Person(running.url, running.token)
    assert root.send("GET", "/api/counts", headers={"X-Request-Id": "wanted"}).status_code == 500
    [line] = [line for line in lines(written) if line["level"] == "ERROR"]
    assert line["request"] == "wanted"
    assert line["exception"].endswith("RuntimeError: boom")


def record(text: str = "a line", *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("a.logger", logging.INFO, "file.py", 1, text, arguments, None)


def test_text_says_at_the_end_what_a_line_belongs_to() -> None:
    formatter = TextFormatter()
    assert formatter.format(record("%s lines", 2)).endswith("INFO    a.logger: 2 lines")
    with logged_with(lambda: {"execution": "e1", "task": "t1"}):
        assert formatter.format(record()).endswith("a.logger: a line [execution=e1 task=t1]")


def test_json_is_one_line_whatever_is_logged() -> None:
    line = JsonFormatter().format(record("two\nlines \x1b[31m"))
    assert "\n" not in line and "\x1b" not in line
    assert json.loads(line)["message"] == "two\nlines \x1b[31m"


def test_the_log_is_set_up_as_configured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    before = root.level
    try:
        set_up_logging("JSON", "WARNING")
        logging.getLogger("x").info("not told")
        logging.getLogger("x").warning("told")
        set_up_logging("TEXT", "DEBUG")
        logging.getLogger("x").debug("as text")
        logging.getLogger("httpx").info("not told")
    finally:
        root.setLevel(before)
    first, second = stream.getvalue().splitlines()
    assert json.loads(first)["message"] == "told"
    assert second.endswith("DEBUG   x: as text")
