"""The one place that reaches into trio: which ready task runs first is decided by a private random generator, seeded here."""

from __future__ import annotations

import trio
from hypothesis import strategies as st

scheduler_seeds = st.integers(min_value=0, max_value=2**32 - 1)
"""Draw one inside `@given` and pass it to `seed_scheduler`: hypothesis resets trio's generator for every example, so that
without a drawn seed all examples of a test see one and the same interleaving."""


def seed_scheduler(seed: int | str) -> None:
    """From now on trio's scheduler in this process makes the choices that belong to `seed`."""
    trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[attr-defined]
    trio._core._run._r.seed(seed)  # type: ignore[attr-defined]
