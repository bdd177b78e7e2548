"""The audit log as people see it: who changed what, and whether the log is as it was written."""

from __future__ import annotations

import sqlite3

import pytest

from tests.tocsin.access.kit import TASK, Person
from tests.tocsin.cli.kit import Shell
from tests.tocsin.conftest import Running


def meddle(running: Running, statement: str) -> None:
    with sqlite3.connect(running.data / "tocsin.db", timeout=20) as database:
        database.execute(statement)
    database.close()


def test_every_change_is_in_the_log_and_the_log_is_verified(root: Person, running: Running, shell: Shell) -> None:
    made = root.make("/api/tasks", {**TASK, "name": "watched"})
    root.make(f"/api/tasks/{made['itemId']}/pause", {"note": "why"})
    assert root.send("DELETE", f"/api/tasks/{made['itemId']}?permanent=true").status_code == 204
    found = root.send("GET", f"/api/audits?task={made['itemId']}").json()
    assert [one["action"] for one in found["list"]] == ["DeleteTask", "PauseTask", "CreateTask"]
    assert found["totalSize"] == 3
    first = root.send("GET", "/api/audits/verify").json()
    assert (first["intact"], first["faults"]) == (True, [])
    root.make("/api/tasks", {**TASK, "name": "later"})
    assert root.send("GET", "/api/audits/verify", params={"seal": first["seal"]}).json()["intact"]
    code, out, err = shell("audit", "verify", "--seal", first["seal"])
    assert (code, err) == (0, "") and "as they were written" in out
    code, out, _ = shell("audit", "list", "--action", "CreateTask", "--limit", "1")
    assert code == 0 and out.count("CreateTask") == 1 and "administrator" in out
    assert shell.json("audit", "list", "--actor", "nobody")["totalSize"] == 0

    # Who has the file changes a record, and takes it back again.
    meddle(running, f"UPDATE audit SET actor = 'eve' WHERE task_id = '{made['itemId']}' AND action = 'DeleteTask'")
    code, out, err = shell("audit", "verify")
    assert code == 11 and "is not as it was written" in err
    meddle(running, "UPDATE audit SET actor = 'administrator' WHERE actor = 'eve'")
    assert root.send("GET", "/api/audits/verify").json()["intact"]


def test_a_log_that_was_written_anew_does_not_contain_the_seal(root: Person) -> None:
    root.make("/api/tasks", {**TASK, "name": "sealed"})
    seal = root.send("GET", "/api/audits/verify").json()["seal"]
    chain, number, digest = seal.split(":")
    forged = f"{chain}:{number}:{'0' * len(digest)}"
    for earlier, words in ((forged, "earlier seal"), (f"{chain}:{int(number) + 99}:{digest}", "earlier seal"),
                           (f"7:{number}:{digest}", "chain 7: is gone")):  # fmt: skip
        found = root.send("GET", "/api/audits/verify", params={"seal": earlier}).json()
        assert not found["intact"] and words in found["faults"][0]


@pytest.mark.parametrize("seal", ["x", "1:2", "1:2:zz", "-1:2:ab", "1:" + "9" * 30 + ":ab"])
def test_what_is_no_seal_is_refused(root: Person, seal: str) -> None:
    assert root.send("GET", "/api/audits/verify", params={"seal": seal}).status_code == 400


def test_nobody_changes_the_log_over_the_interface(root: Person) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert root.send(method, "/api/audits", json={}).status_code == 405
