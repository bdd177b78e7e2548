from __future__ import annotations

import pytest

from tests.tocsin.access.kit import Person
from tests.tocsin.cli.kit import Shell
from tests.tocsin.conftest import Running


@pytest.fixture
def root(running: Running) -> Person:
    """Who has the token of the data directory."""
    return Person(running.url, running.token)


@pytest.fixture
def shell(running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.setenv("TOCSIN_URL", running.url)
    monkeypatch.setenv("TOCSIN_TOKEN", running.token)
    monkeypatch.delenv("TOCSIN_DATA", raising=False)
    return Shell(capsys)
