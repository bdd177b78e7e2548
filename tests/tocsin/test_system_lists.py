"""The system's own tasks: one rule for lists, counts and exports, and by id they are always there."""

from __future__ import annotations

import pytest

from actors.model.system import SYSTEM_TYPES
from tests.tocsin.access.kit import Person
from tests.tocsin.live.test_events import made, root

assert root


def listed(root: Person, query: str, prefix: str = "/api") -> tuple[set[str], int]:
    page = root.send("GET", f"{prefix}/tasks?limit=200{query}").json()
    return {row["taskType"] for row in page["list"]}, page["totalSize"]


def test_lists_leave_them_out_unless_they_are_asked_for(root: Person) -> None:
    made(root, "of a person")
    kinds, total = listed(root, "")
    assert not kinds & set(SYSTEM_TYPES) and total >= 1
    shown, everything = listed(root, "&system=true")
    assert set(SYSTEM_TYPES) <= shown and everything == total + len(SYSTEM_TYPES)
    assert listed(root, "&type=system.purge") == ({"system.purge"}, 1)
    assert listed(root, "&type=system.purge&system=false") == (set(), 0)
    for status in ("SCHEDULED", "COMPLETED", "RUNNING"):
        kinds, some = listed(root, f"&status={status}")
        more, all_of_it = listed(root, f"&status={status}&system=true")
        assert not kinds & set(SYSTEM_TYPES)
        assert some <= all_of_it <= some + len(SYSTEM_TYPES)
        assert kinds <= more
    assert listed(root, "&text=system.") == (set(), 0)


def test_the_contract_has_none_of_them(root: Person) -> None:
    for query in ("", "&system=true", "&type=system.fold"):
        assert not listed(root, query, "/cxs")[0] & set(SYSTEM_TYPES), query


def test_counts_and_exports_keep_to_the_same_rule(root: Person) -> None:
    usual, everything = (root.send("GET", f"/api/counts{query}").json() for query in ("", "?system=true"))
    assert everything["tasks"] == usual["tasks"] + len(SYSTEM_TYPES) == sum(everything["byStatus"].values())
    assert usual["tasks"] == sum(usual["byStatus"].values()) == listed(root, "")[1]
    assert "system." not in root.send("GET", "/api/export").json()["text"]


def test_by_id_and_name_they_are_there(root: Person) -> None:
    [task] = root.send("GET", "/api/tasks?type=system.purge").json()["list"]
    for reference in (task["itemId"], "system.purge"):
        assert root.send("GET", f"/api/tasks/{reference}").json()["itemId"] == task["itemId"]
    assert root.send("GET", f"/cxs/tasks/{task['itemId']}").status_code == 200


@pytest.mark.parametrize("path", ["/api/tasks?system=x", "/api/counts?system=2"])
def test_what_is_no_flag_is_refused(root: Person, path: str) -> None:
    answer = root.send("GET", path)
    assert answer.status_code == 400 and "system" in answer.json()["message"]
