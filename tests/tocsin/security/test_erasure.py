"""What was purged is gone: from the file of the store and from its log, in bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tocsin.access.kit import Person
from tests.tocsin.access.test_exposure import serving, settings

CANARY = "a-canary-that-was-purged"
MANY = 20
"""Runs with long parameters: pages of the file become free as a whole, and others partly."""


@pytest.fixture(params=[True, False], ids=["secure", "usual"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[bool, Path, Person]]:
    node = serving(settings(tmp_path / "data", secure_delete=request.param))
    yield request.param, tmp_path / "data", Person(node.url, node.token)
    node.stop()
    assert node.error is None


def everything(data: Path) -> bytes:
    """The store's file, and what lies beside it."""
    return b"".join(path.read_bytes() for path in sorted(data.glob("tocsin.db*")))


def test_a_purged_text_is_in_no_file(told: tuple[bool, Path, Person]) -> None:
    secure, data, root = told
    root.make(
        "/api/tasks",
        {"name": "nightly", "taskType": "greet", "trigger": {"after": "1d"}, "parameters": {"region": "eu"}},
    )
    runs = [
        root.make("/api/tasks/nightly/run", {"parameters": {"region": f"{CANARY} {number} " + "x" * 1_500}})["id"]
        for number in range(MANY)
    ]
    for run in runs:
        while root.send("GET", f"/api/executions/{run}").json()["state"] != "COMPLETED":
            pass
    assert everything(data).count(CANARY.encode()) >= MANY
    purged = root.make("/api/purge", {"task": "nightly", "olderThan": "0s"})
    assert purged["byPart"]["executions"] == MANY and purged["complete"]
    left = everything(data).count(CANARY.encode())
    assert (left == 0) is secure
