"""`tocsin task purge`: asks first, or is told not to."""

from __future__ import annotations

import io
import json
import sys

import pytest

from tests.tocsin.conftest import Running
from tests.tocsin.test_purge import ran
from tocsin.cli.main import run
from tocsin.client import Client


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def shell(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_URL", running.url)
    monkeypatch.setenv("TOCSIN_TOKEN", running.token)
    monkeypatch.delenv("TOCSIN_DATA", raising=False)


def test_it_asks_before_it_purges(
    client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(client, "one")
    command = ["task", "purge", "one", "--state", "completed", "--older-than", "0s"]
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert run(command) != 0
    assert "say --force" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert run(command) != 0
    assert "nothing was purged" in capsys.readouterr().err
    assert client.call("list_executions", task="one")["totalSize"] == 1
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert run(command) == 0
    assert "1 row(s) of 'one' removed" in capsys.readouterr().out
    assert client.call("list_executions", task="one")["totalSize"] == 0


def test_it_may_be_told_not_to_ask(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    ran(client, "three")
    ran(client, "four")
    assert run(["task", "purge", "--older-than", "0s", "--force", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["byPart"]["executions"] >= 2
    assert found["complete"]
