"""The real servers of the tests, one of each for the whole run: tests that break one restore it, or start their own.

They are never skipped: without the Debian packages these tests fail and say what to install.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.zookeeper import EmbeddedZooKeeper


@contextmanager
def server_directory(name: str) -> Iterator[Path]:
    """A directory that the servers' own user can enter, which pytest's are not for anybody but root."""
    directory = Path(tempfile.mkdtemp(prefix=f"tocsin-{name}-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """One PostgreSQL; take a database of your own from `create_database`."""
    with server_directory("postgres") as directory, EmbeddedPostgres(directory / "server") as server:
        yield server


@pytest.fixture(scope="session")
def zookeeper_server() -> Iterator[EmbeddedZooKeeper]:
    """One ZooKeeper server; take a root of your own."""
    with server_directory("zookeeper") as directory, EmbeddedZooKeeper(directory) as server:
        yield server


@pytest.fixture(scope="session")
def zookeeper_ensemble() -> Iterator[EmbeddedZooKeeper]:
    """Three ZooKeeper servers; take a root of your own."""
    with server_directory("ensemble") as directory, EmbeddedZooKeeper(directory, servers=3) as ensemble:
        yield ensemble
