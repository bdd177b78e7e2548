from __future__ import annotations

import pytest

from tests.tocsin.access.kit import Person
from tests.tocsin.conftest import Running


@pytest.fixture
def root(running: Running) -> Person:
    """Who has the token of the data directory."""
    return Person(running.url, running.token)
