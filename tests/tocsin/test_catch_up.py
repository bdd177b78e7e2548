"""What is owed, what would become of it, and dropping it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from actors.model.lifecycle import Phase
from actors.model.policy import DEFAULT_POLICIES, CatchUp
from actors.model.task import TaskState
from actors.model.trigger import Interval
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import InvalidRequest
from tests.actors.records import task
from tests.tocsin.conftest import Running, settings
from tests.tocsin.test_api import add, until
from tocsin.client import Client
from tocsin.services.catch_up import decided, overdue_since

NOW = Instant(1_000 * SECOND)
EVERY = Interval(Micros(10 * SECOND), Instant(0))


def owing(policy: CatchUp, **changes: Any) -> Any:
    """A task that owes the ten nominal times from 910 s to 1,000 s."""
    state = TaskState(next_fire=Instant(910 * SECOND), settled_through=Instant(900 * SECOND))
    policies = attrs.evolve(DEFAULT_POLICIES, catch_up=policy, **changes)
    return task(trigger=EVERY, policies=policies, state=state)


@pytest.mark.parametrize(
    ("policy", "runs", "outcomes"),
    [
        (CatchUp.LATEST, 1, {"coalesced": 9}),
        (CatchUp.EARLIEST, 1, {"coalesced": 9}),
        (CatchUp.SKIP, 1, {"missed": 9}),
        (CatchUp.ALL, 10, {}),
    ],
)
def test_a_preview_decides_as_the_keeper_would(policy: CatchUp, runs: int, outcomes: dict[str, int]) -> None:
    found = decided(owing(policy), NOW, ["node-1"])
    assert (found["policy"], found["owed"], found["runs"], found["outcomes"]) == (policy.value, 10, runs, outcomes)
    assert (found["first"], found["complete"]) == ("1970-01-01T00:15:10Z", True)


def test_what_has_just_come_is_not_overdue() -> None:
    assert overdue_since(owing(CatchUp.LATEST), NOW) == 910 * SECOND
    assert overdue_since(owing(CatchUp.LATEST), Instant(911 * SECOND)) is None
    made = owing(CatchUp.LATEST)
    paused = attrs.evolve(made, state=attrs.evolve(made.state, phase=Phase.PAUSED))
    assert overdue_since(paused, NOW) is None


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A node of this file's own, which lets one recovered execution start in a thousand seconds."""
    node = Running(tmp_path_factory.mktemp("catch up"))
    node.start(attrs.evolve(settings(node.data), catch_up_rate=0.001, catch_up_burst=1))
    yield node
    node.stop()
    assert node.error is None


def test_a_pause_is_owed_previewed_made_up_for_and_dropped(client: Client) -> None:
    assert client.call("show_catch_up")["tasks"] == []
    client.call("pause_scheduler", body={})
    policies = {"catchUp": "all", "overlap": "allow"}
    begun = {"every": "1h", "start": "2026-01-01T00:00:00Z", "end": "2026-01-01T04:00:00Z"}
    made = add(client, name="five behind", trigger={"every": "1s"}, policies=policies)
    assert begun
    found = until(lambda: client.call("show_catch_up"), lambda owed: owed["overdue"] >= 1)
    [row] = [one for one in found["tasks"] if one["taskId"] == made["itemId"]]
    assert (found["paused"], found["rate"], found["burst"], found["waiting"]) == (True, 0.001, 1, 0)
    assert (row["policy"], row["waiting"], row["overdue"] is not None) == ("all", 0, True)
    preview = until(lambda: client.call("preview_catch_up", body={}), lambda one: one["runs"] >= 8)
    [one] = preview["list"]
    assert (one["taskId"], one["owed"], one["outcomes"]) == (made["itemId"], one["runs"], {})
    assert client.call("preview_catch_up", body={"tasks": ["five behind"]})["runs"] >= one["runs"]
    client.call("resume_scheduler")
    until(lambda: client.call("show_catch_up"), lambda owed: owed["waiting"] >= 1)
    client.call("pause_task", task="five behind", body={})
    owed = client.call("show_catch_up")
    assert owed["last"] is not None
    counted = client.call("discard_catch_up", body={"tasks": ["five behind"], "dryRun": True})
    assert counted["matched"] >= 1 and counted["discarded"] == 0
    dropped = client.call("discard_catch_up", body={"tasks": ["five behind"]})
    assert dropped["discarded"] == dropped["matched"] - len(dropped["refused"]) >= 1
    rows = client.call("list_outcomes", task="five behind")["list"]
    assert {"skipped"} <= {row["outcome"] for row in rows}
    assert {row["reason"] for row in rows if row["outcome"] == "skipped"} >= {"cancelled"}


@pytest.mark.parametrize("body", [{}, {"tasks": []}, {"tasks": "a"}, {"tasks": [1]}, {"tasks": ["a"], "x": 1}])
def test_a_wrong_wish_is_refused(client: Client, body: Any) -> None:
    with pytest.raises(InvalidRequest):
        client.call("discard_catch_up", body=body)
