"""`extra` arrives byte for byte over HTTP and from the command line, and can be read back and sent again."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.model.task import MAX_EXTRA
from runtime.errors import InvalidRequest, TooLarge
from tests.tocsin.cli.kit import Shell
from tests.tocsin.conftest import Running, settings
from tests.tocsin.test_api import ended
from tests.tocsin.test_extra import CATALOGUE, EXTRAS
from tocsin.client import Client

NAMES = ["nul inside", "crlf", "greek", "not utf-8", "exactly a mebibyte"]
HANDLERS = ["thread", "keeps_extra"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    node = Running(tmp_path_factory.mktemp("extra"), catalogue=CATALOGUE)
    node.start(settings(node.data))
    yield node
    node.stop()
    assert node.error is None


def check(client: Client, task: dict[str, Any], data: bytes) -> None:
    """The handler saw these bytes, and so does who asks for the definition."""
    reference = task["itemId"]
    assert task["extra"] == {"contentType": "application/x-test", "size": len(data)}
    shown = client.call("show_definition", task=reference)["extra"]
    assert base64.b64decode(shown["data"], validate=True) == data
    execution = client.call("run_task", task=reference)
    assert ended(client, execution["id"], "COMPLETED")["result"] == hashlib.sha256(data).hexdigest()
    client.call("cancel_task", task=reference, permanent=True)


@pytest.mark.parametrize("persistent", [True, False], ids=["sqlite", "memory"])
@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("name", NAMES)
def test_over_http(client: Client, name: str, handler: str, persistent: bool) -> None:
    extra = {"data": base64.b64encode(EXTRAS[name]).decode(), "contentType": "application/x-test"}
    body = {"taskType": handler, "trigger": {"every": "1h"}, "persistent": persistent, "extra": extra}
    made = client.call("add_task", body=body)
    again = client.call("edit_task", task=made["itemId"], body=client.call("show_definition", task=made["itemId"]))
    assert again["version"] >= made["version"]
    check(client, again, EXTRAS[name])


@pytest.mark.parametrize("persistent", [True, False], ids=["sqlite", "memory"])
@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("name", NAMES)
def test_from_the_command_line(
    client: Client, shell: Shell, tmp_path: Path, name: str, handler: str, persistent: bool
) -> None:
    (tmp_path / "extra").write_bytes(EXTRAS[name])
    options = ["--extra", str(tmp_path / "extra"), "--extra-type", "application/x-test"]
    kept = [] if persistent else ["--memory"]
    check(client, shell.json("task", "add", "typed", "--every", "1h", "--type", handler, *options, *kept), EXTRAS[name])


def test_a_byte_more_than_a_mebibyte_is_too_large(client: Client, shell: Shell, tmp_path: Path) -> None:
    data = bytes(MAX_EXTRA + 1)
    body = {"taskType": "thread", "trigger": {"every": "1h"}, "extra": {"data": base64.b64encode(data).decode()}}
    with pytest.raises(TooLarge, match=str(MAX_EXTRA + 1)):
        client.call("add_task", body=body)
    (tmp_path / "extra").write_bytes(data)
    code, _, err = shell("task", "add", "x", "--every", "1h", "--type", "thread", "--extra", str(tmp_path / "extra"))
    assert code == 7
    assert str(MAX_EXTRA + 1) in err
    assert [one for one in client.tasks() if not one["taskType"].startswith("system.")] == []


@pytest.mark.parametrize("data", ["not base64!", "YQ", 5, None, "é"])
def test_what_is_no_base64_is_refused(client: Client, data: Any) -> None:
    with pytest.raises(InvalidRequest, match="extra"):
        client.call("add_task", body={"taskType": "thread", "trigger": {"every": "1h"}, "extra": {"data": data}})
