"""Typed checkpoints: instances there and back, migrations from older versions, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import tocsin
from actors.handling.context import Context, SyncContext
from actors.handling.payload import MAX_CHECKPOINT
from actors.handling.typed import MARK, checkpoint_text, checkpointed, plain, typed
from actors.model.lifecycle import State
from runtime.errors import CheckpointMismatch, InvalidRequest, TooLarge
from tests.actors.executor_kit import real_world, running, start
from tests.actors.test_runners import in_process


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen
class Place:
    name: str
    at: datetime


@checkpointed("scan", version=3, migrate={1: lambda old: {**old, "colour": "red"}, 2: lambda old: {**old, "rate": 1}})
@attrs.define
class Scan:
    done: int
    colour: Colour = Colour.RED
    rate: float = 1.0
    last: str | None = None
    places: list[Place] = attrs.field(factory=list)
    span: tuple[int, int] = (0, 0)
    seen: frozenset[str] = frozenset()
    by_name: dict[str, Place] = attrs.field(factory=dict)


def stored(version: int, data: Any, name: str = "scan") -> str:
    return json.dumps({MARK: name, "version": version, "data": data})


moments = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))
places = st.builds(Place, st.text(), moments)
scans = st.builds(
    Scan,
    st.integers(),
    st.sampled_from(Colour),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.text(),
    st.lists(places, max_size=3),
    st.tuples(st.integers(), st.integers()),
    st.frozensets(st.text(), max_size=3),
    st.dictionaries(st.text(), places, max_size=3),
)


@given(scans)
def test_an_instance_comes_back_as_it_was(scan: Scan) -> None:
    assert typed(checkpoint_text(scan), Scan) == scan


def test_what_is_stored_says_class_and_version() -> None:
    assert json.loads(checkpoint_text(Scan(7)))["version"] == 3
    assert json.loads(checkpoint_text(Scan(7)))[MARK] == "scan"
    assert plain(checkpoint_text(Scan(7)))["done"] == 7
    assert plain('{"done":7}') == {"done": 7}
    assert plain(None) is None
    assert typed(None, Scan) is None


def test_a_dataclass_will_do() -> None:
    @checkpointed("plain class")
    @dataclasses.dataclass
    class Point:
        x: int

    assert typed(checkpoint_text(Point(3)), Point) == Point(3)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_older_versions_are_migrated_one_by_one(version: int) -> None:
    data: dict[str, Any] = (
        {"done": 4} | ({"colour": "blue"} if version > 1 else {}) | ({"rate": 2} if version > 2 else {})
    )
    found = typed(stored(version, data), Scan)
    assert found == Scan(4, Colour.RED if version == 1 else Colour.BLUE, 2.0 if version > 2 else 1.0)


def test_plain_json_is_version_0() -> None:
    @checkpointed("grown", migrate={0: lambda old: {"done": old["n"]}})
    @attrs.define
    class Grown:
        done: int

    assert typed('{"n":5}', Grown) == Grown(5)
    with pytest.raises(CheckpointMismatch, match=r"'scan' is plain JSON \(version 0\).*no migration from 0"):
        typed('{"n":5}', Scan)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (stored(4, {"done": 1}), "has version 4, this release knows up to 3"),
        (stored(1, {"done": 1}, name="other"), "is of 'other', and Scan reads 'scan'"),
        (stored(3, {"done": "1"}), "int wanted, not '1'"),
        (stored(3, {"done": True}), "int wanted, not True"),
        (stored(3, {}), "required field missing @ scan.done"),
        (stored(3, {"done": 1, "extra": 2}), "extra fields found (extra)"),
        (stored(3, {"done": 1, "colour": "green"}), "scan.colour"),
        (stored(3, {"done": 1, "places": [{"name": "a", "at": "noon"}]}), "scan.places[0].at"),
        (stored(3, [1]), "does not fit Scan"),
        (stored(2, [1]), "its migration from version 2 failed: TypeError"),
    ],
)
def test_what_does_not_fit_is_refused_naming_the_place(text: str, complaint: str) -> None:
    with pytest.raises(CheckpointMismatch) as caught:
        typed(text, Scan)
    assert complaint in str(caught.value)


def test_a_missing_migration_is_named() -> None:
    @checkpointed("gap", version=3, migrate={2: lambda old: old})
    @attrs.define
    class Gap:
        n: int

    with pytest.raises(CheckpointMismatch, match="has version 1, wanted is 3: there is no migration from 1"):
        typed(stored(1, {"n": 1}, "gap"), Gap)


def test_only_declared_classes_are_kept() -> None:
    with pytest.raises(InvalidRequest, match=r"a checkpoint of class Place: declare it with @tocsin\.checkpointed"):
        checkpoint_text(Place("a", datetime(2026, 1, 1, tzinfo=UTC)))
    with pytest.raises(InvalidRequest, match=r"Place.*is no checkpoint"):
        typed("{}", Place)
    with pytest.raises(InvalidRequest, match="must not have the key"):
        checkpoint_text({MARK: "scan"})
    with pytest.raises(InvalidRequest, match="'scan' cannot be written as JSON"):
        checkpoint_text(Scan(1, by_name={"a": object()}))  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((3,), "write @checkpointed"),
        ((" ",), "write @checkpointed"),
        (("a", 0), "version: a whole number from 1, not 0"),
        (("a", True), "not True"),
        (("a", 2, {2: len}), "for each version below 2, not 2"),
        (("a", 2, {1: 5}), "not 1: 5"),
    ],
)
def test_a_wrong_declaration_is_refused(arguments: tuple[Any, ...], complaint: str) -> None:
    name, version, migrate = (*arguments, 1, None)[:3] if len(arguments) == 1 else (*arguments, None)[:3]
    with pytest.raises(InvalidRequest, match=complaint):
        tocsin.checkpointed(name, version=version, migrate=migrate)
    with pytest.raises(InvalidRequest, match="is no attrs class"):
        checkpointed("name")(int)


def test_the_limit_is_that_of_plain_json() -> None:
    overhead = len(checkpoint_text(Scan(1, last="")))
    assert len(checkpoint_text(Scan(1, last="x" * (MAX_CHECKPOINT - overhead)))) == MAX_CHECKPOINT
    with pytest.raises(TooLarge, match=f"{MAX_CHECKPOINT + 1} bytes"):
        checkpoint_text(Scan(1, last="x" * (MAX_CHECKPOINT - overhead + 1)))


# -- in handlers


async def test_an_async_handler_goes_on_from_a_migrated_checkpoint(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(ctx: Context) -> int:
        state = ctx.resume(Scan) or Scan(0)
        await ctx.checkpoint(Scan(state.done + 1))
        assert ctx.resumed_from == {"done": 4}
        return state.done

    async def load(_: str) -> str:
        return stored(1, {"done": 4})

    async with running(handler, load_checkpoint=load) as (executor, keeper):
        await executor.mailbox.tell(start(checkpoints=3))
        end = await keeper.end()
        assert (end.state, end.result) == (State.COMPLETED, "4")
        assert [typed(text, Scan) for text in keeper.checkpoints] == [Scan(5)]


async def test_one_that_a_newer_release_wrote_fails_the_attempt_and_is_kept(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def handler(ctx: Context) -> None:
        ctx.resume(Scan)

    async def load(_: str) -> str:
        return stored(9, {"done": 4})

    async with running(handler, load_checkpoint=load) as (executor, keeper):
        await executor.mailbox.tell(start(checkpoints=1))
        end = await keeper.end()
        assert end.state is State.FAILED
        assert end.failure is not None
        assert end.failure.type == "CheckpointMismatch"
        assert keeper.checkpoints == []


async def test_a_thread_keeps_typed_checkpoints() -> None:
    def handler(ctx: SyncContext) -> int:
        state = ctx.resume(Scan)
        assert state is not None
        ctx.checkpoint(Scan(state.done + 1))
        return state.done

    async def load(_: str) -> str:
        return stored(2, {"done": 4, "colour": "blue"})

    async with running(handler, load_checkpoint=load, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(checkpoints=1))
        assert (await keeper.end()).result == "4"
        assert [typed(text, Scan) for text in keeper.checkpoints] == [Scan(5)]


async def test_a_process_keeps_typed_checkpoints() -> None:
    async def load(_: str) -> str:
        return stored(1, {"position": 4}, "process scan")

    async with running(in_process("scans"), load_checkpoint=load, world=real_world()) as (executor, keeper):
        await executor.mailbox.tell(start(type="scans", checkpoints=1))
        assert (await keeper.end()).result == "4"
        assert keeper.checkpoints == ['{"$checkpoint":"process scan","version":2,"data":{"at":5,"seen":["process"]}}']
