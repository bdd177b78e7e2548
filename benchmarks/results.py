"""What a benchmark returns: see `benchmarks.__main__`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def holds(result: Mapping[str, Any]) -> bool:
    """Whether the benchmark did what it should have."""
    return bool(result["check"]["expected"] == result["check"]["actual"])
