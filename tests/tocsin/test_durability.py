"""What makes a commit durable: the settings of the connection that writes, from the face down."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.lanes import NodeConfig
from actors.store.sqlite import SqliteStore
from tocsin.settings.config import load_config
from tocsin.settings.node_settings import node_config

NORMAL, FULL = 1, 2
"""As SQLite numbers them."""


def pragma(store: SqliteStore, name: str) -> object:
    assert store._link is not None
    return store._link.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.mark.parametrize(("named", "level"), [({}, FULL), ({"synchronous": "NORMAL"}, NORMAL)])
def test_a_commit_is_on_the_disk_before_it_is_answered(tmp_path: Path, named: dict[str, str], level: int) -> None:
    store = SqliteStore(tmp_path / "store.db", **named)
    store.open(new_cluster_id="c", partitions=1, timezone_database="2026f")
    assert (pragma(store, "synchronous"), pragma(store, "journal_mode")) == (level, "wal")
    store.close()


@pytest.mark.parametrize("given", ["FULL", "NORMAL"])
def test_the_setting_reaches_the_store(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config({}, None, {"store.synchronous": given}).config
    assert node_config(config).synchronous == given


def test_full_is_the_default_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert node_config(load_config({}, None, {}).config).synchronous == "FULL"
    assert NodeConfig(tmp_path).synchronous == "FULL"
