"""Task types, and what a task's parameters are checked against."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Optional

import pytest

from actors.handling.catalogue import Catalogue, TaskType, check_parameters, is_async, source_of, task_type
from runtime.errors import InvalidRequest


async def handler(
    ctx: Any,
    *,
    region: str,
    count: int = 1,
    ratio: float = 0.5,
    dry: bool = False,
    names: list[str] | None = None,
    table: dict[str, int] | None = None,
    mode: Literal["a", "b", 1] = "a",
    since: Optional[datetime] = None,  # noqa: UP045
    noted: Annotated[int, "a note"] = 0,
    anything: Any = None,
    plain: list = [],  # type: ignore[type-arg]  # noqa: B006
    nothing: None = None,
) -> None:
    """A handler."""


def sync_handler(ctx: Any) -> None:
    """A plain function."""


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"count": -3},
        {"ratio": 1},
        {"ratio": 1.5},
        {"dry": True},
        {"names": []},
        {"names": ["a", "b"]},
        {"names": None},
        {"table": {"a": 1}},
        {"mode": "b"},
        {"mode": 1},
        {"since": "2026-01-01T00:00:00Z"},
        {"since": "2026-01-01"},
        {"since": None},
        {"noted": 3},
        {"anything": {"x": [1]}},
        {"plain": [1, "a"]},
        {"nothing": None},
    ],
)
def test_good_parameters(more: dict[str, Any]) -> None:
    check_parameters(handler, {"region": "west", **more})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "missing parameter 'region'"),
        ({"region": "west", "regoin": 1}, "unknown parameter 'regoin'; the handler takes region, count, "),
        ({"region": 1}, "'region' must be str, not 1"),
        ({"region": None}, "'region' must be str, not None"),
        ({"region": "", "count": True}, "'count' must be int, not True"),
        ({"region": "", "count": 1.0}, "'count' must be int, not 1.0"),
        ({"region": "", "count": "1"}, "'count' must be int, not '1'"),
        ({"region": "", "ratio": True}, "'ratio' must be float, not True"),
        ({"region": "", "dry": 1}, "'dry' must be bool, not 1"),
        ({"region": "", "names": "a"}, "'names' must be list[str] | None, not 'a'"),
        ({"region": "", "names": ["a", 1]}, "'names'"),
        ({"region": "", "table": {"a": "1"}}, "'table'"),
        ({"region": "", "mode": "c"}, "'mode' must be Literal['a', 'b', 1], not 'c'"),
        ({"region": "", "mode": True}, "'mode'"),
        ({"region": "", "since": "yesterday"}, "'since'"),
        ({"region": "", "since": 5}, "'since'"),
        ({"region": "", "noted": "x"}, "'noted'"),
        ({"region": "", "plain": {}}, "'plain' must be list"),
        ({"region": "", "nothing": 0}, "'nothing' must be None"),
        ({"region": "x" * 1000, "count": "y" * 1000}, "'yyyy"),
    ],
)
def test_bad_parameters_are_named_with_their_values(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_parameters(handler, parameters)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_handler_that_takes_everything() -> None:
    def open_handler(ctx: Any, region: str, **more: Any) -> None:
        """Takes all."""

    check_parameters(open_handler, {"region": "a", "else": 1})
    with pytest.raises(InvalidRequest, match="missing parameter 'region'"):
        check_parameters(open_handler, {"else": 1})


def test_a_handler_that_takes_nothing() -> None:
    with pytest.raises(InvalidRequest, match="unknown parameter 'a'; the handler takes none"):
        check_parameters(sync_handler, {"a": 1})


def test_annotations_that_cannot_be_looked_up_are_not_checked() -> None:
    def puzzling(ctx: Any, *, a: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
        """Its annotation names nothing."""

    check_parameters(puzzling, {"a": 1})


def test_datetimes_are_converted_where_they_are_wanted() -> None:
    async def timed(
        ctx: Any,
        *,
        a: datetime,
        b: datetime | None = None,
        c: list[datetime] = [],  # noqa: B006
        d: str | datetime = "",
        e: str = "",
    ) -> None:
        """Takes instants."""

    text, instant = "2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)
    entry = task_type("timed", timed)
    assert entry.arguments({"a": text, "b": text, "c": [text], "d": text, "e": text}) == {
        "a": instant,
        "b": instant,
        "c": [instant],
        "d": text,
        "e": text,
    }
    assert entry.arguments({"a": text, "b": None}) == {"a": instant, "b": None}


@pytest.mark.parametrize(
    ("function", "isolation", "source", "message"),
    [
        (lambda: None, "thread", None, "first parameter"),
        (lambda *, ctx: None, "thread", None, "first parameter"),
        (lambda ctx, a, /: None, "thread", None, "'a'"),
        (handler, "thread", None, "async function: it cannot run in a thread"),
        (sync_handler, "async", None, "not an async function"),
        (sync_handler, "process", None, "process cannot find"),
        ("text", "thread", None, "must be a function"),
    ],
)
def test_a_handler_that_cannot_be_one_is_refused(function: Any, isolation: Any, source: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        TaskType("bad", function, isolation, source=source)


@pytest.mark.parametrize("name", ["", " ", " a", "a\n"])
def test_a_type_needs_a_name(name: str) -> None:
    with pytest.raises(InvalidRequest, match="needs a name"):
        task_type(name, handler)


def test_where_a_handler_runs_is_read_off_the_function() -> None:
    class Callable:
        async def __call__(self, ctx: Any) -> None:
            """Async, in disguise."""

    assert [is_async(one) for one in (handler, sync_handler, functools.partial(handler, region="a"), Callable())] == [
        True,
        False,
        True,
        True,
    ]
    assert task_type("a", handler).isolation == "async"
    assert task_type("a", sync_handler).isolation == "thread"
    assert task_type("a", sync_handler, isolation="process").isolation == "process"
    assert task_type("a", handler).description == "A handler."


def test_the_source_of_a_function() -> None:
    assert source_of(handler) == f"module:{__name__}"
    assert source_of(lambda ctx: None) is None


def test_a_pool_is_for_functions_in_threads() -> None:
    async def in_loop(ctx: Any) -> None: ...

    def plain(ctx: Any) -> None: ...

    assert task_type("a", plain).pool == "default"
    assert task_type("a", plain, pool="io").pool == "io"
    with pytest.raises(InvalidRequest, match="'a' runs in the node's loop: pool: not 'io'"):
        task_type("a", in_loop, pool="io")
    with pytest.raises(InvalidRequest, match="'a' runs in a process of its own: pool: not 'io'"):
        task_type("a", plain, pool="io", isolation="process")


def test_an_unknown_pool_is_refused_with_a_suggestion() -> None:
    def plain(ctx: Any) -> None: ...

    catalogue = Catalogue([task_type("a", plain, pool="reports")])
    catalogue.check_pools(["default", "reports"])
    with pytest.raises(InvalidRequest, match=r"'a': there is no thread pool 'reports'; did you mean 'report'\?"):
        catalogue.check_pools(["default", "report"])
    with pytest.raises(InvalidRequest, match="configured are default, io"):
        catalogue.check_pools(["io", "default"])


def test_a_catalogue_holds_types_by_name() -> None:
    first, second = task_type("b", handler), task_type("a", sync_handler)
    catalogue = Catalogue([first, second])
    assert (catalogue.get("b"), catalogue.get("c"), catalogue.names(), len(catalogue)) == (first, None, ["a", "b"], 2)
    assert list(catalogue) == [second, first]
    assert "a" in catalogue


def test_a_name_registered_twice_is_replaced_with_a_warning() -> None:
    catalogue = Catalogue([task_type("a", handler)])
    catalogue.register(task_type("a", handler))
    with pytest.warns(UserWarning, match=r"'a' is registered twice: .*sync_handler replaces .*handler"):
        catalogue.register(task_type("a", sync_handler))
    found = catalogue.get("a")
    assert found is not None
    assert found.function is sync_handler
