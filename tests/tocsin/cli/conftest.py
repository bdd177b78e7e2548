from __future__ import annotations

import pytest

from tests.tocsin.conftest import Running


@pytest.fixture
def environment(running: Running) -> dict[str, str]:
    """What a command in another process needs to find the node."""
    return {"TOCSIN_URL": running.url, "TOCSIN_TOKEN": running.token}
