"""Pages of a list, and its order."""

from __future__ import annotations

import itertools
from datetime import datetime

import pytest

from tests.contract import examples
from tests.contract.client import TaskClient
from tests.contract.conftest import FILLERS


def test_page_by_default(client: TaskClient, tasks: dict[str, str]) -> None:
    """Offset 0 and limit 50, if nothing is said; totalSize counts all."""
    page = client.list(type="filler")
    assert (page.offset, page.page_size, page.total_size) == (0, 50, FILLERS)
    assert len(page.tasks) == 50


def test_page_of_the_contract(client: TaskClient, tasks: dict[str, str]) -> None:
    """GET /cxs/tasks?offset=0&limit=50&sortBy=lastExecutionDate."""
    page = client.list(offset=0, limit=50, sort_by="lastExecutionDate")
    assert (page.offset, page.page_size, len(page.tasks)) == (0, 50, 50)
    assert page.total_size >= len(tasks)


def test_page_size_is_the_limit_and_not_what_came(client: TaskClient, tasks: dict[str, str]) -> None:
    """The example has a pageSize of 50 with one task."""
    page = client.list(type="dataSync", limit=7)
    assert (page.page_size, len(page.tasks)) == (7, 1)


@pytest.mark.parametrize(
    ("offset", "limit", "count"), [(0, 1, 1), (10, 20, 20), (50, 50, 10), (59, 50, 1), (0, 200, 60)]
)
def test_page_is_a_part_of_the_whole(
    client: TaskClient, tasks: dict[str, str], offset: int, limit: int, count: int
) -> None:
    """Offset and limit cut a part out of the order; they are in the response as they were in the request."""
    whole = [task.item_id for task in client.list(type="filler", limit=200).tasks]
    page = client.list(type="filler", offset=offset, limit=limit)
    assert (page.offset, page.page_size, page.total_size) == (offset, limit, FILLERS)
    assert [task.item_id for task in page.tasks] == whole[offset : offset + limit]
    assert len(page.tasks) == count


@pytest.mark.parametrize("offset", [FILLERS, FILLERS + 1, 100_000])
def test_page_beyond_the_end_is_empty(client: TaskClient, tasks: dict[str, str], offset: int) -> None:
    """It has the true total nevertheless."""
    page = client.list(type="filler", offset=offset)
    assert (page.tasks, page.offset, page.total_size) == ((), offset, FILLERS)


def test_pages_together_are_the_whole(client: TaskClient, tasks: dict[str, str]) -> None:
    """Every task is on exactly one page, also if all are equal by what they are sorted by."""
    for sort_by in (None, "status", "taskType", "failureCount:desc", "nextScheduledExecution"):
        ids = [task.item_id for task in client.iterate(type="filler", limit=7, sort_by=sort_by)]
        assert len(ids) == len(set(ids)) == FILLERS, sort_by


def test_limit_is_limited(client: TaskClient, tasks: dict[str, str]) -> None:
    """The contract has no upper limit. Here a page has 1000 tasks at most, so that no request takes a node's memory."""
    assert client.list(type="dataSync", limit=1_000).page_size == 1_000
    error = examples.assert_error(client.raw("GET", "/cxs/tasks?limit=1001"), 400)
    assert "1000" in error.message


@pytest.mark.parametrize("name", ["lastExecutionDate", "nextScheduledExecution", "taskType", "itemId", "failureCount"])
@pytest.mark.parametrize("direction", ["", ":asc", ":desc"])
def test_list_is_sorted(client: TaskClient, tasks: dict[str, str], name: str, direction: str) -> None:
    """By each field, ascending if nothing is said; what has no value comes first, or last when descending."""
    found = client.raw("GET", "/cxs/tasks", {"sortBy": name + direction, "limit": "200"}).json()["list"]
    assert len(found) > FILLERS
    values = [task[name] for task in found]
    if name in ("lastExecutionDate", "nextScheduledExecution"):
        # As text a full second would come after its milliseconds.
        values = [value and datetime.fromisoformat(value).timestamp() for value in values]
    keys = [(value is not None, 0 if value is None else value) for value in values]
    assert keys == sorted(keys, reverse=direction == ":desc")


@pytest.mark.parametrize("direction", ["", ":asc", ":desc"])
def test_list_is_sorted_by_status(client: TaskClient, tasks: dict[str, str], direction: str) -> None:
    """Tasks with the same status are together, in whatever order the statuses are."""
    found = [task.status for task in client.list(sort_by=f"status{direction}", limit=200).tasks]
    changes = sum(before is not after for before, after in itertools.pairwise(found))
    assert changes == len(set(found)) - 1


@pytest.mark.parametrize("name", ["creationDate", "successCount", "totalExecutionCount"])
def test_list_is_not_sorted_by_fields_it_does_not_have(client: TaskClient, name: str) -> None:
    """Unomi sorts by these, too. Here it is fields that a task shows, and an error that names them beats a wrong order."""
    error = examples.assert_error(client.raw("GET", "/cxs/tasks", {"sortBy": name}), 400)
    assert "lastExecutionDate" in error.message and "createdAt" in error.message


def test_list_is_sorted_by_creation(client: TaskClient, tasks: dict[str, str]) -> None:
    """What Unomi calls creationDate is createdAt."""
    found = [datetime.fromisoformat(task.raw["createdAt"]) for task in client.iterate(sort_by="createdAt:desc")]
    assert found == sorted(found, reverse=True)
