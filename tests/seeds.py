"""Seeds of trio's scheduler, for tests."""

from __future__ import annotations

from hypothesis import strategies as st

from runtime.simulation import seed_scheduler as seed_scheduler

scheduler_seeds = st.integers(min_value=0, max_value=2**32 - 1)
"""Draw one inside `@given` and pass it to `seed_scheduler`: hypothesis resets trio's generator for every example, so that
without a drawn seed all examples of a test see one and the same interleaving."""
