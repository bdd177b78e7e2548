"""Coalesced events: of each interval the newest about each subject, with the number of those that it stands for."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from actors.model.scope import EVERYTHING
from runtime.clock import SECOND, Instant, Micros
from runtime.errors import InvalidRequest
from tests.tocsin.access.kit import Person
from tests.tocsin.live.kit import following
from tests.tocsin.live.test_ends import Door, Reader
from tests.tocsin.live.test_events import made, root
from tests.tocsin.live.test_hub import alone, changed, data_of
from tocsin.live.chunks import Told, fold, gap_chunk
from tocsin.live.events_core import LiveEvent, Position, Wanted, Wish, read_ids, read_interval, read_per
from tocsin.live.settings import FollowerLimits

assert root
EXECUTION = "0195e6a0-0000-7000-8000-00000000000a"


def told(number: int, task: str, execution: str | None = None) -> Told:
    data: dict[str, Any] = {"task": {"itemId": task, "taskType": "greet", "tags": []}}
    if execution is not None:
        data["execution"] = {"id": execution}
    return Told(LiveEvent(number, number, "task" if execution is None else "execution", data, "", ""), str(number))


def test_the_newest_of_each_execution_is_told_in_the_order_of_the_newest() -> None:
    events = [told(1, "a", "x"), told(2, "b", "y"), told(3, "a", "z"), told(4, "a", "x"), told(5, "a")]
    found = [(one.id, older) for one, older in fold(events, by_task=False)]
    assert found == [("2", 0), ("3", 0), ("4", 1), ("5", 0)]
    assert [(one.id, older) for one, older in fold(events, by_task=True)] == [("2", 0), ("4", 2), ("5", 0)]


def test_an_event_says_how_many_it_stands_for() -> None:
    one = told(7, "a", "x")
    assert data_of(one.standing_for(3))["folded"] == 3
    assert "folded" not in data_of(one.standing_for(0))
    assert one.standing_for(0) is one.chunk, "encoded once"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y", None]), st.booleans())), st.booleans())
def test_nothing_is_lost_or_told_twice(rows: list[tuple[str, str | None, bool]], by_task: bool) -> None:
    gap = gap_chunk(Position(Instant(1), {}), Instant(0), "more")
    events = [
        Told(None, str(number), gap) if is_gap else told(number, task, execution)
        for number, (task, execution, is_gap) in enumerate(rows)
    ]
    found = fold(events, by_task=by_task)
    assert sum(1 + older for _, older in found) == len(events)
    assert [int(one.id) for one, _ in found] == sorted(int(one.id) for one, _ in found)
    assert not events or found[-1][0] is events[-1], "who goes on after the last id has missed nothing"
    assert sum(one.event is None for one, _ in found) == sum(one.event is None for one in events)


async def test_those_who_wish_the_same_are_told_the_same_bytes(autojump_clock: trio.testing.MockClock) -> None:
    wish = Wish(Wanted(EVERYTHING), Micros(SECOND // 4))
    async with alone() as (hub, node), hub.follow("a", wish) as one, hub.follow("b", wish) as other:
        assert one.view is other.view
        for _ in range(50):
            node.journal.hear(changed("t1"))
        await trio.sleep(1)
        places = one.advance()
        assert places == other.advance()
        chunk = one.view.between(*places)
        assert data_of(chunk)["folded"] == 49
        assert other.view.between(*places) is chunk


async def test_a_thousand_updates_a_second_are_four_batches(autojump_clock: trio.testing.MockClock) -> None:
    async with alone(FollowerLimits(rate=2_000)) as (hub, node), trio.open_nursery() as nursery:
        reader = Reader()
        nursery.start_soon(reader.follow, hub, Door(), b"coalesce=250ms&per=task")
        await trio.sleep(0.5)
        begun = len(reader.parts)
        for number in range(1_000):
            node.journal.hear(changed(f"t{number % 20}"))
            await trio.sleep(0.001)
        await trio.sleep(1)
        batches = reader.parts[begun:]
        events = [json.loads(line[6:]) for line in b"".join(batches).decode().splitlines() if line.startswith("data: ")]
        assert len(batches) <= 6
        assert len(events) <= 6 * 20
        assert sum(1 + event.get("folded", 0) for event in events) == 1_000
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("query", "count"), [(b"heartbeat=2", 5), (b"heartbeat=2&coalesce=1s", 5), (b"", 0)])
async def test_a_heartbeat_says_that_nothing_has_happened(
    query: bytes, count: int, autojump_clock: trio.testing.MockClock
) -> None:
    async with alone() as (hub, _), trio.open_nursery() as nursery:
        reader = Reader()
        nursery.start_soon(reader.follow, hub, Door(), query)
        await trio.sleep(11.5)
        assert reader.text.count("event: heartbeat") == count
        assert reader.text.count("event: hello") == 1
        nursery.cancel_scope.cancel()


def test_a_stream_says_where_it_begins_and_a_page_follows_its_tasks(root: Person) -> None:
    assert root.token is not None
    one, other, quiet = (made(root, name) for name in ("first on the page", "second on the page", "not on the page"))
    with following(root.url, root.token, task=f"{one},{other}", coalesce="50ms", per="task", heartbeat="7") as stream:
        hello = stream.hello
        assert hello is not None and hello.kind == "hello"
        assert hello.data["position"] == hello.id
        assert (hello.data["heartbeat"], hello.data["coalesce"], hello.data["node"]) == (7, 0.05, "node-1")
        for task in (quiet, one, other):
            root.make(f"/api/tasks/{task}/pause", {})
        heard = [stream.next() for _ in range(2)]
        assert [event.data["task"]["itemId"] for event in heard] == [one, other]
    with following(root.url, root.token, after=hello.id, task=other) as stream:
        assert stream.hello is not None and stream.hello.id == hello.id
        assert stream.next().data["change"]["action"] == "PauseTask"


def test_one_execution_is_followed(root: Person) -> None:
    assert root.token is not None
    task = made(root, "of one execution")
    first = root.make(f"/api/tasks/{task}/run", {})["id"]
    with following(root.url, root.token, execution=first, query_after="2026-01-01T00:00:00Z") as stream:
        heard = stream.next()
        assert heard.data["execution"]["id"] == first
        while heard.data["execution"].get("state") != "COMPLETED":
            heard = stream.next()
            assert heard.data["execution"]["id"] == first


@pytest.mark.parametrize(
    "query",
    [
        "coalesce=10ms",
        "coalesce=1m",
        "coalesce=x",
        "per=node",
        "heartbeat=0",
        "heartbeat=61",
        "execution=1",
        "execution=" + ",".join([EXECUTION[:-1] + "b"] * 2 + [f"{EXECUTION[:-3]}{number:03}" for number in range(201)]),
    ],
)
def test_what_is_no_wish_is_refused_with_what_was_said(root: Person, query: str) -> None:
    answer = root.send("GET", f"/api/events?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["message"]


def test_words_of_a_wish() -> None:
    assert read_interval(None) == 0 and read_interval("250ms") == 250_000
    assert read_per("task") and not read_per("execution") and not read_per(None)
    assert read_ids(f"{EXECUTION}, {EXECUTION.upper()}", "execution") == {EXECUTION}
    with pytest.raises(InvalidRequest, match="execution: whole ids"):
        read_ids("12,13", "execution")
