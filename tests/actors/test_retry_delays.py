"""How long a failed execution waits for its next attempt."""

from __future__ import annotations

from random import Random

import pytest

from actors.model.policy import Retry
from actors.rules.attempts import retry_delay
from runtime.clock import HOUR, SECOND, Micros

DELAY = Micros(10 * SECOND)


def delays(retry: Retry, count: int = 5) -> list[float]:
    return [retry_delay(retry, failures, Random(1)) / SECOND for failures in range(1, count + 1)]


def test_a_fixed_delay_is_the_same_after_every_failure() -> None:
    assert delays(Retry(delay=DELAY)) == [10.0] * 5


def test_an_exponential_delay_begins_with_the_delay_and_grows_to_its_cap() -> None:
    retry = Retry(delay=DELAY, backoff="exponential", factor=2.0, cap=Micros(60 * SECOND))
    assert delays(retry) == [10.0, 20.0, 40.0, 60.0, 60.0]


def test_after_a_thousand_failures_it_is_still_the_cap() -> None:
    retry = Retry(delay=DELAY, backoff="exponential", factor=10.0, cap=Micros(HOUR))
    assert retry_delay(retry, 1_000, Random(1)) == HOUR


@pytest.mark.parametrize("seed", range(20))
def test_jitter_only_lengthens_it(seed: int) -> None:
    found = retry_delay(Retry(delay=DELAY, jitter=0.5), 1, Random(seed))
    assert DELAY <= found <= DELAY * 1.5
    assert found != retry_delay(Retry(delay=DELAY, jitter=0.5), 1, Random(seed + 100))
