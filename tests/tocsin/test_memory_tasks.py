"""Memory tasks from other nodes: lists over all of them, and operations that go where the task is. Real nodes, links made up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest.mock import AsyncMock

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.handling.catalogue import Catalogue, task_type
from actors.model.peer import Peer
from actors.model.scope import EVERYTHING, Scope
from actors.peer_messages import Call as Asked
from actors.peer_messages import Result
from actors.store.answers import TaskFilter, TaskPage
from runtime.errors import Conflict, InvalidRequest, NotFound, PeerUnreachable, ReplyTimeout, TocsinError
from tocsin import open_node
from tocsin.access.caller import FIRST_ADMINISTRATOR
from tocsin.api.requests import read_arguments
from tocsin.node import LocalNode
from tocsin.operations.calls import Call
from tocsin.operations.dispatch import Dispatcher
from tocsin.operations.table import BY_NAME
from tocsin.peers import forwarding
from tocsin.peers.forwarding import Answers
from tocsin.peers.peer_calls import arguments_of
from tocsin.peers.places import REFERENCES, Place, Places
from tocsin.services.memory_tasks import sort_key
from tocsin.services.task_lists import HERE, Seat, merge, stored_window

Json = dict[str, Any]


async def note(ctx: Any) -> str:
    ctx.log.info("noted")
    return "done"


CATALOGUE = Catalogue([task_type("note", note)])


@attrs.define
class Links:
    """Stands for the links between some nodes; `down` and `silent`: those that cannot be reached, and that never answer."""

    answers: dict[str, Answers] = attrs.field(factory=dict)
    asked: list[tuple[str, str, str, str]] = attrs.field(factory=list)
    down: set[str] = attrs.field(factory=set)
    silent: set[str] = attrs.field(factory=set)
    gone: set[str] = attrs.field(factory=set)


@attrs.define
class Linked:
    """Stands for a node's `Cluster`."""

    name: str
    links: Links

    def others(self) -> tuple[Peer, ...]:
        names = self.links.answers.keys() - self.links.gone - {self.name}
        return tuple(Peer(name, f"boot of {name}") for name in sorted(names))

    async def ask(self, boot: str, call: Asked, seconds: float) -> Result:
        name = boot.removeprefix("boot of ")
        self.links.asked.append((name, call.operation, call.actor, call.channel))
        if name in self.links.down:
            raise PeerUnreachable(f"there is no link to {name} now")
        if name in self.links.silent:
            raise ReplyTimeout(f"{name} has not answered within {seconds:g} s")
        return await self.links.answers[name](f"boot of {self.name}", call)


@attrs.define
class Nodes:
    links: Links
    nodes: dict[str, LocalNode] = attrs.field(factory=dict)
    dispatchers: dict[str, Dispatcher] = attrs.field(factory=dict)

    async def call(self, on: str, operation: str, **given: Any) -> Any:
        """As the REST interface calls it."""
        known = {argument.name: given.get(argument.name, argument.default) for argument in BY_NAME[operation].arguments}
        return await self.dispatchers[on](operation, Call(known, "ada", "rest", FIRST_ADMINISTRATOR))

    async def add(self, on: str, name: str, *, memory: bool = True) -> str:
        body = {"name": name, "taskType": "note", "trigger": {"after": "1h"}, "persistent": not memory}
        made = await self.call(on, "add_task", body=body)
        return str(made["itemId"])

    async def listed(self, on: str, **given: Any) -> tuple[list[tuple[str, str | None]], Json]:
        page = await self.call(on, "list_tasks", text="t-", **given)
        return [(row["name"], row["node"]) for row in page["list"]], page


@asynccontextmanager
async def three(tmp_path: Path) -> AsyncIterator[Nodes]:
    links = Links()
    found = Nodes(links)
    async with AsyncExitStack() as stack:
        for name in ("a", "b", "c"):
            local = await stack.enter_async_context(open_node(data=tmp_path / name, name=name, catalogue=CATALOGUE))
            local.inner.cluster = cast("Any", Linked(name, links))
            found.nodes[name] = local
            found.dispatchers[name] = Dispatcher(local.inner)
            links.answers[name] = Answers(local.inner)
        try:
            yield found
        finally:
            for local in found.nodes.values():
                local.inner.cluster = None


# -- lists


async def test_a_list_holds_the_memory_tasks_of_all_nodes(tmp_path: Path) -> None:
    async with three(tmp_path) as nodes:
        for on, name in (("b", "t-1"), ("a", "t-2"), ("c", "t-4"), ("b", "t-5")):
            await nodes.add(on, name)
        await nodes.add("a", "t-3", memory=False)
        rows, page = await nodes.listed("a", sortBy="name")
        assert rows == [("t-1", "b"), ("t-2", "a"), ("t-3", None), ("t-4", "c"), ("t-5", "b")]
        assert (page["totalSize"], page["covers"], page["unreachable"]) == (5, ["a", "b", "c"], [])
        rows, page = await nodes.listed("a", sortBy="name:desc", offset=1, limit=3)
        assert (rows, page["totalSize"], page["offset"]) == ([("t-4", "c"), ("t-3", None), ("t-2", "a")], 5, 1)
        rows, page = await nodes.listed("a", sortBy="name", offset=4, limit=3)
        assert (rows, page["totalSize"]) == ([("t-5", "b")], 5)
        assert (await nodes.listed("a", limit=0))[1]["totalSize"] == 5
        rows, page = await nodes.listed("a", status="completed")
        assert (rows, page["totalSize"]) == ([], 0)


async def test_who_does_not_answer_is_named_and_not_counted(tmp_path: Path) -> None:
    async with three(tmp_path) as nodes:
        for on in ("a", "b", "c"):
            await nodes.add(on, f"t-{on}")
        nodes.links.down, nodes.links.silent = {"b"}, {"c"}
        rows, page = await nodes.listed("a")
        assert (rows, page["totalSize"]) == ([("t-a", "a")], 1)
        assert (page["covers"], page["unreachable"]) == (["a"], ["b", "c"])


async def test_who_goes_between_two_questions_is_left_out(tmp_path: Path) -> None:
    async with three(tmp_path) as nodes:
        for on in ("a", "b", "c"):
            await nodes.add(on, f"t-{on}")
        answer = nodes.links.answers["b"]

        async def once(boot: str, asked: Asked) -> Result:
            nodes.links.down.add("b")
            return await answer(boot, asked)

        nodes.links.answers["b"] = cast("Any", once)
        rows, page = await nodes.listed("a", sortBy="name")
        assert (rows, page["totalSize"], page["unreachable"]) == ([("t-a", "a"), ("t-c", "c")], 2, ["b"])


async def test_a_node_alone_answers_as_ever(tmp_path: Path) -> None:
    async with open_node(data=tmp_path, name="a", catalogue=CATALOGUE) as local:
        page = await Dispatcher(local.inner)("list_tasks", _listing())
        assert set(page) == {"list", "offset", "pageSize", "totalSize"}


def _listing() -> Call:
    return Call(
        {argument.name: argument.default for argument in BY_NAME["list_tasks"].arguments},
        "ada",
        "rest",
        FIRST_ADMINISTRATOR,
    )


@given(st.data(), st.sets(st.integers(0, 99), max_size=30), st.booleans(), st.integers(0, 40), st.integers(0, 12))
def test_any_page_is_that_of_the_whole_list(
    data: st.DataObject, keys: set[int], descending: bool, offset: int, limit: int
) -> None:
    in_store = {key for key in sorted(keys) if data.draw(st.booleans())}
    wanted = TaskFilter(sort="id", descending=descending, offset=offset, limit=limit)
    order = partial(sorted, reverse=descending)
    whole = order(keys)[offset:][:limit]
    memory = [Seat((True, f"{key:02}", f"{key:02}"), HERE) for key in order(keys - in_store)][: offset + limit]
    window = stored_window(wanted, len(memory))
    stored = [Identified(f"{key:02}") for key in order(in_store)][window.offset :][: window.limit]
    page = merge(wanted, window.offset, TaskPage(cast("Any", tuple(stored)), len(in_store)), memory)
    assert [int(seat.key[2]) for seat in page] == whole


@attrs.frozen
class Identified:
    """Stands for a task, in a list that is sorted by id."""

    id: str

    @property
    def definition(self) -> Identified:
        return self


def test_null_stands_before_everything() -> None:
    assert sort_key(cast("Any", Identified("x")), "id") > (False, None, "y")


# -- operations


async def test_operations_go_to_the_node_that_has_the_task(tmp_path: Path) -> None:
    async with three(tmp_path) as nodes:
        task_id = await nodes.add("b", "cache")
        for reference in (task_id, "cache", task_id[:-4]):
            shown = await nodes.call("a", "show_task", task=reference)
            assert (shown["itemId"], shown["node"]) == (task_id, "b")
        assert (await nodes.call("c", "find_task", reference="cache"))["itemId"] == task_id
        assert (await nodes.call("c", "show_definition", task="cache"))["name"] == "cache"
        paused = await nodes.call("c", "pause_task", task="cache", body={"note": "hot"})
        assert (paused["note"], paused["changedBy"]) == ("hot", "ada")
        assert (await nodes.call("a", "activate_task", task="cache"))["phase"] == "active"
        assert (await nodes.call("a", "edit_task", task="cache", body={"tags": ["x"]}))["tags"] == ["x"]
        assert (await nodes.call("a", "configure_task", task="cache", maxRetries=4))["maxRetries"] == 4
        assert len((await nodes.call("a", "next_fires", task="cache", count=3))["list"]) == 1
        execution = await nodes.call("a", "run_task", task="cache")
        assert (execution["channel"], execution["taskId"]) == ("rest", task_id)
        await _until_ended(nodes, "a", execution["id"])
        assert [one["text"] for one in (await nodes.call("c", "list_logs", execution=execution["id"]))["list"]] == [
            "noted"
        ]
        assert (await nodes.call("a", "list_executions", task="cache", limit=5))["totalSize"] == 1
        assert (await nodes.call("c", "why", task=execution["id"]))["verdict"] == "manual"
        at = await nodes.call("a", "why", task="cache", at=BY_NAME["why"].arguments[1].default)
        assert at["verdict"] == "future"
        assert (await nodes.call("a", "list_outcomes", task="cache", since=0, until=10**15))["list"] == []
        await nodes.call("c", "cancel_task", task="cache")
        assert (await nodes.call("a", "show_task", task=task_id))["status"] == "CANCELLED"
        await nodes.call("c", "cancel_task", task="cache", permanent=True)
        with pytest.raises(NotFound):
            await nodes.call("a", "show_task", task=task_id)


async def _until_ended(nodes: Nodes, on: str, execution_id: str) -> None:
    with trio.fail_after(60):
        while (await nodes.call(on, "show_execution", execution=execution_id))["state"] != "COMPLETED":  # noqa: ASYNC110
            await trio.sleep(0.01)


async def test_actor_and_channel_travel_and_nothing_is_forwarded_twice(tmp_path: Path) -> None:
    async with three(tmp_path) as nodes:
        await nodes.add("b", "cache")
        nodes.links.asked.clear()
        await nodes.call("a", "pause_task", task="cache")
        finds = [("b", "find_in_memory", "ada", "rest"), ("c", "find_in_memory", "ada", "rest")]
        assert sorted(nodes.links.asked[:2]) == finds
        assert nodes.links.asked[2:] == [("b", "pause_task", "ada", "rest")]
        nodes.links.asked.clear()
        with pytest.raises(NotFound):
            await nodes.call("a", "show_task", task="nothing")
        assert sorted(nodes.links.asked) == finds
        result = await nodes.links.answers["a"]("boot of c", Asked("show_task", '{"task": "cache"}', "ada"))
        assert result.title == "Not found"


async def test_a_known_node_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    async with three(tmp_path) as nodes:
        task_id = await nodes.add("b", "t-cache")
        nodes.links.down = {"b"}
        with pytest.raises(NotFound, match="b did not answer, and may have it in memory"):
            await nodes.call("a", "show_task", task="t-cache")
        nodes.links.down = set()
        await nodes.listed("a")
        for links in ({"down": {"b"}}, {"down": set(), "silent": {"b"}}):
            for name, value in links.items():
                setattr(nodes.links, name, value)
            for reference in (task_id, "t-cache"):
                with pytest.raises((PeerUnreachable, ReplyTimeout), match="is on node 'b', which does not answer"):
                    await nodes.call("a", "run_task", task=reference)
        nodes.links.gone = {"b"}
        with pytest.raises(NotFound, match="it was in the memory of node 'b', which is gone"):
            await nodes.call("a", "show_task", task="t-cache")


async def test_an_own_task_comes_before_another_nodes(tmp_path: Path) -> None:
    async with three(tmp_path) as nodes:
        own, other = await nodes.add("a", "cache"), await nodes.add("b", "cache")
        assert (await nodes.call("a", "show_task", task="cache"))["itemId"] == own
        assert (await nodes.call("a", "show_task", task=other))["node"] == "b"
        with pytest.raises(NotFound, match="2 tasks with the id or name 'cache', in the memory of a, b"):
            await nodes.call("c", "show_task", task="cache")


async def test_a_task_that_has_moved_on_is_looked_for_again(tmp_path: Path) -> None:
    async with three(tmp_path) as nodes:
        await nodes.add("b", "cache")
        await nodes.call("a", "show_task", task="cache")
        await nodes.call("b", "cancel_task", task="cache", permanent=True)
        made = await nodes.add("c", "cache")
        assert (await nodes.call("a", "show_task", task="cache"))["itemId"] == made


async def test_an_error_of_another_node_is_raised_here(tmp_path: Path) -> None:
    async with three(tmp_path) as nodes:
        await nodes.add("b", "cache")
        with pytest.raises(InvalidRequest, match="maxRetries, retryDelay: at least one of them"):
            await nodes.call("a", "configure_task", task="cache")


async def test_long_answers_come_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "PART", 100)
    async with three(tmp_path) as nodes:
        await nodes.add("b", "t-cache")
        whole = await nodes.call("b", "show_task", task="t-cache")
        assert await nodes.call("a", "show_task", task="t-cache") == whole
        assert (await nodes.listed("a"))[0] == [("t-cache", "b")]
        monkeypatch.setattr(forwarding, "LONGEST", 200)
        with pytest.raises(TocsinError, match="ask for fewer rows"):
            await nodes.call("a", "show_task", task="t-cache")


async def test_parts_that_nobody_fetched_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "PART", 100)
    async with three(tmp_path) as nodes:
        await nodes.add("b", "cache")
        answers = nodes.links.answers["b"]
        question = Asked("show_task", '{"task": "cache"}', "ada")
        kept = [(await answers("boot of a", question)).more for _ in range(forwarding.HELD + 1)]
        first, last = kept[0], kept[-1]
        assert (
            await answers("boot of a", Asked("more", f'{{"key": "{first}", "from": 100}}', "ada"))
        ).title == "Not found"
        assert (await answers("boot of a", Asked("more", f'{{"key": "{last}", "from": 100}}', "ada"))).title is None


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("memory_keys", '{"limit": -1}'),
        ("memory_keys", '{"limit": 5, "order": 1}'),
        ("memory_keys", "[]"),
        ("memory_rows", '{"ids": 5}'),
        ("list_tasks", "{}"),
        ("add_task", '{"body": {}}'),
        ("purge", "{}"),
    ],
)
async def test_what_no_node_asks_is_refused(tmp_path: Path, operation: str, arguments: str) -> None:
    async with three(tmp_path) as nodes:
        result = await nodes.links.answers["a"]("boot of b", Asked(operation, arguments, "ada"))
        assert result.title in ("Invalid request", "Not allowed")


# -- arguments and places


def test_arguments_travel_unchanged() -> None:
    operation = BY_NAME["why"]
    read = read_arguments(operation, {"task": "x"}, {"at": "2026-03-01T12:00:00.123456Z"}, [], b"")
    from tocsin.operations.context_tools import read_arguments as read_again

    assert read_again(operation.arguments, arguments_of(operation, Call(read, "ada", "rest"))) == read


def test_every_operation_about_a_task_or_an_execution_can_be_forwarded() -> None:
    assert {"show_task", "find_task", "run_task", "release_execution", "list_logs", "why"} <= REFERENCES.keys()
    assert "purge" not in REFERENCES
    assert REFERENCES["find_task"] == "reference"


def test_places_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.peers.places.REMEMBERED", 2)
    places = Places()
    for name in "xyz":
        places.learn(Place("boot", "b", name), EVERYTHING, [name])
    assert [places.known(EVERYTHING, name) is not None for name in "xyz"] == [False, True, True]
    assert places.known(Scope("another"), "z") is None
    places.forget(EVERYTHING, "z")
    assert places.known(EVERYTHING, "z") is None


async def test_an_abandoned_handler_is_released_where_it_is(tmp_path: Path) -> None:
    async with three(tmp_path) as nodes:
        await nodes.add("b", "cache")
        execution = (await nodes.call("b", "run_task", task="cache"))["id"]
        await _until_ended(nodes, "b", execution)
        shown = await nodes.nodes["b"].execution(execution)
        asked = AsyncMock(return_value=shown)
        nodes.nodes["a"].inner.execution = asked  # type: ignore[method-assign]
        nodes.links.asked.clear()
        with pytest.raises(Conflict, match="only an abandoned handler can be released"):
            await nodes.call("a", "release_execution", execution=execution)
        assert nodes.links.asked == [("b", "release_execution", "ada", "rest")]
        nodes.links.down = {"b"}
        with pytest.raises(TocsinError):
            await nodes.call("a", "release_execution", execution=execution)
        assert asked.await_count == 3
