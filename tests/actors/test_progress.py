"""Progress: what is foretold from it, and what is not."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.handling.context import Context
from actors.handling.progress import FARTHEST_SECONDS, Pace, merged_progress, shown_progress
from runtime.clock import Instant
from runtime.errors import InvalidRequest
from tests.actors.executor_kit import running, start

amounts = st.floats(0, 1e12) | st.integers(0, 10**9)


def test_the_end_is_foretold_from_the_rate() -> None:
    pace = Pace(began=100.0)
    pace.note(25, 110.0)
    assert pace.seconds_left(100, 110.0) == pytest.approx(30)
    pace.note(50, 140.0)
    assert pace.seconds_left(100, 140.0) == pytest.approx(40)


def test_what_a_former_attempt_did_is_no_speed() -> None:
    pace = Pace(began=0.0, base=None)
    pace.note(5_000, 1.0)
    assert pace.seconds_left(10_000, 1.0) is None
    pace.note(5_010, 2.0)
    assert pace.seconds_left(10_000, 2.0) == pytest.approx(499)


def test_a_figure_that_goes_down_begins_anew() -> None:
    pace = Pace(began=0.0)
    pace.note(90, 10.0)
    pace.note(10, 11.0)
    assert pace.seconds_left(100, 11.0) is None
    pace.note(20, 21.0)
    assert pace.seconds_left(100, 21.0) == pytest.approx(80)


@pytest.mark.parametrize(("done", "total"), [(0, 100), (0, 0), (5, 0), (5, 5), (6, 5), (5, -5)])
def test_no_nonsense(done: int, total: int) -> None:
    pace = Pace(began=0.0)
    pace.note(done, 10.0)
    assert pace.seconds_left(total, 10.0) is None


@given(st.lists(st.tuples(amounts, amounts, st.floats(0, 1e6)), max_size=20), st.booleans())
def test_a_forecast_is_in_the_future_and_finite(reports: list[tuple[float, float, float]], resumed: bool) -> None:
    at, now = 1e5, Instant(1_767_225_600_000_000)
    pace = Pace(at, None if resumed else 0.0)
    figures: dict[str, Any] | None = None
    for done, total, passed in reports:
        at += passed
        pace.note(done, at)
        figures, _ = merged_progress(figures, done, total, None, {})
        left = pace.seconds_left(total, at)
        assert left is None or (0 < left <= FARTHEST_SECONDS and done < total)
        shown = json.loads(shown_progress(figures, pace, now, at))
        assert ("eta" in shown) == (left is not None)
        assert shown["at"] == "2026-01-01T00:00:00Z"
        assert left is None or datetime.fromisoformat(shown["eta"]) >= datetime.fromisoformat(shown["at"])


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, "7", True])
def test_numbers_that_are_none_are_refused(number: Any) -> None:
    with pytest.raises(InvalidRequest, match="total must be a number"):
        merged_progress(None, 1, number, None, {})


def test_a_step_that_is_no_text_is_refused() -> None:
    step: Any = 5
    with pytest.raises(InvalidRequest, match="step must be a text, not 5"):
        merged_progress(None, 1, 2, step, {})


async def test_a_forecast_is_stored_with_the_progress(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context) -> None:
        for done in range(1, 4):
            await trio.sleep(10)
            ctx.progress(done=done, total=10)

    async with running(handler) as (executor, keeper):
        await executor.mailbox.tell(start())
        await keeper.end()
    assert [json.loads(text) for text in keeper.progress] == [
        {"done": 1, "total": 10, "at": "2026-01-01T00:00:10Z", "eta": "2026-01-01T00:01:40Z"},
        {"done": 2, "total": 10, "at": "2026-01-01T00:00:20Z", "eta": "2026-01-01T00:01:40Z"},
        {"done": 3, "total": 10, "at": "2026-01-01T00:00:30Z", "eta": "2026-01-01T00:01:40Z"},
    ]


async def test_a_resumed_attempt_foretells_from_its_own_speed(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context) -> None:
        ctx.progress(done=80, total=100)
        await trio.sleep(10)
        ctx.progress(done=90)

    async def load(_: str) -> str:
        return "80"

    async with running(handler, load_checkpoint=load) as (executor, keeper):
        await executor.mailbox.tell(start(checkpoints=1))
        await keeper.end()
    told = [json.loads(text) for text in keeper.progress]
    assert "eta" not in told[0]
    assert told[-1]["eta"] == "2026-01-01T00:00:20Z"
