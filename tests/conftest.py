"""Settings of the whole test run: hypothesis profiles and the seed of trio's scheduler.

`--seed N` repeats the interleavings of an earlier run, whose seed its header shows. Each test starts from the run's seed
and its own name, so one test alone sees what it saw in the whole run.
"""

from __future__ import annotations

import gc
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import halves
from tests.answers import all_answers_checked
from tests.seeds import seed_scheduler

pytest_plugins = ("tests.servers", "tests.rabbitmq")

settings.register_profile("dev", max_examples=50, deadline=None, print_blob=True)
settings.register_profile(
    "ci", max_examples=100, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("dev")

_SEED = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="seed of trio's scheduler; random unless given")
    halves.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    given = config.getoption("--seed")
    config.stash[_SEED] = secrets.randbelow(2**32) if given is None else given


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if halves.ignored(collection_path, config) else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    halves.write_counts(terminalreporter, config)


def pytest_report_header(config: pytest.Config) -> str:
    return f"scheduler seed: {config.stash[_SEED]} (repeat with --seed {config.stash[_SEED]})"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    seed_scheduler(f"{item.config.stash[_SEED]}:{item.nodeid}")


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    # What a run of thousands of tests keeps would be looked through again at each full collection, for seconds in the end, which
    # nodes on real time take for a loop that does not give way.
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _answers_are_checked() -> Iterator[None]:
    """Whatever a node answers over REST, in whichever test, is what the OpenAPI document says."""
    with all_answers_checked():
        yield


@pytest.fixture
def run_seed(request: pytest.FixtureRequest) -> int:
    """The run's seed, for tests that drive a generator of their own."""
    return request.config.stash[_SEED]
