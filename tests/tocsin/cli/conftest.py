from __future__ import annotations

import pytest

from tests.tocsin.cli.kit import Shell
from tests.tocsin.conftest import Running


@pytest.fixture
def shell(running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.setenv("TOCSIN_URL", running.url)
    monkeypatch.setenv("TOCSIN_TOKEN", running.token)
    monkeypatch.delenv("TOCSIN_DATA", raising=False)
    return Shell(capsys)


@pytest.fixture
def environment(running: Running) -> dict[str, str]:
    """What a command in another process needs to find the node."""
    return {"TOCSIN_URL": running.url, "TOCSIN_TOKEN": running.token}
