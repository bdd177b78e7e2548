"""The audit log: one record for each change that can be asked for, and no byte of it can be changed unseen."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from actors.model.system import SYSTEM_TYPES, Actor, actor_of, origin_of
from actors.model.task import Definition
from actors.model.trigger import Interval
from actors.node import Node
from actors.rules.auditing import HIDDEN, LONGEST, differences
from actors.store.access import AuditFilter
from actors.store.port import Audit
from runtime.clock import Instant, Micros
from runtime.errors import Forbidden, NotFound, StoreUnavailable, Unauthenticated
from runtime.records import evolve
from tests.tocsin.access.kit import EXAMPLES, TASK, Person, filled
from tests.tocsin.conftest import Running, settings
from tocsin import open_node
from tocsin.access.origin import acting
from tocsin.access.refusals import NOBODY_KNOWN, RECORDED, Refusals
from tocsin.operations.table import BY_NAME, OPERATIONS, Operation

NUMBERS = itertools.count()

# -- one record for each change

NO_CHANGE = {
    "preview_cron": "computes",
    "preview_trigger": "computes",
    "plan": "says what would be done",
    "spread_load": "says what could be done",
    "preview_catch_up": "says what would be done",
    "discard_catch_up": "here it finds nothing; what it ends are commands as `cancel_execution`",
    "queue_start": "gives back what a worker held: the course of work, which executions and their logs tell",
    "queue_next": "the course of work",
    "queue_save": "the course of work",
    "queue_heartbeat": "the course of work",
    "queue_flush": "here it finds nothing; what it removes are commands as `delete_task`, and purges",
}
"""Operations that are asked for with a method of changes and leave no record."""

ELSEWHERE = {
    "resume_task": "needs an execution that crashed",
    "release_execution": "needs a handler that was abandoned",
    "drain_node": "needs a cluster",
    "switch_executor": "needs a cluster",
    "raise_fence": "needs a cluster",
    "add_canaries": "needs a cluster",
    "invoke": "makes a task and a run of it",
}
"""Changes that a lone healthy node does not carry out: tests below, and those of their rooms."""

ACTIONS = {
    "add_task": ["CreateTask"],
    "edit_task": ["EditTask"],
    "cancel_task": ["CancelTask"],
    "retry_task": ["RetryTask"],
    "configure_task": ["ConfigureTask"],
    "run_task": ["RunTask"],
    "pause_task": ["PauseTask"],
    "activate_task": ["ActivateTask"],
    "cancel_execution": ["CancelExecution"],
    "pause_scheduler": ["PauseScheduler"],
    "resume_scheduler": ["ResumeScheduler"],
    "release_lock": ["ReleaseLock"],
    "put_calendar": ["PutCalendar"],
    "delete_calendar": ["DeleteCalendar"],
    "purge": ["Purge"],
    "apply_plan": ["CreateTask"],
    "add_token": ["AddToken"],
    "revoke_token": ["RevokeToken"],
    "bulk": ["PauseTask"],
    "queue_delete": ["DeleteTask"],
    "queue_rename": ["EditTask"],
    "queue_update": ["EditTask"],
}

CHANGES = [one for one in OPERATIONS if one.method != "GET" and one.name not in {*NO_CHANGE, *ELSEWHERE}]

PLAN = "tasks:\n- name: applied {number}\n  taskType: greet\n  trigger:\n    every: 1h\n"

BODIES: dict[str, Any] = {
    "apply_plan": {"body": {"files": [{"name": "one.yaml", "text": PLAN}]}},
    "activate_task": {"task": "{paused}", "body": {}},
    "retry_task": {"task": "{failed}"},
    "cancel_execution": {"execution": "{waiting}"},
    "release_lock": {"body": {"key": "a key {number}"}},
    "bulk": {"body": {"action": "pause", "tasks": ["{task}"]}},
    "queue_delete": {"task": "{queued}"},
    "queue_rename": {"task": "{queued}", "body": {"name": "renamed {number}"}},
    "queue_update": {"task": "{queued}", "body": {"tags": ["b"]}},
}
"""What differs from the examples of the matrices: these must succeed."""


def test_every_operation_is_sorted() -> None:
    known = {*NO_CHANGE, *ELSEWHERE, *ACTIONS}
    assert {one.name for one in OPERATIONS if one.method != "GET"} == known


def things(root: Person, number: str) -> dict[str, str]:
    """Tasks in all the states that some change needs."""
    policies = {"failed": {"retry": {"maxRetries": 0}}, "held": {"concurrency": {"key": f"a key {number}"}}}
    types = {"failed": "fail", "held": "wait", "queued": "worker:nothing"}
    made = {}
    for kind in ("task", "paused", "failed", "held", "queued"):
        body = {"name": f"{kind} {number}", "taskType": types.get(kind, "greet"), "trigger": {"after": "1h"}}
        made[kind] = root.make("/api/tasks", body | {"policies": policies.get(kind, {})})["itemId"]
    root.make(f"/api/tasks/{made['paused']}/pause", {})
    failed = root.make(f"/api/tasks/{made['failed']}/run", {})["id"]
    held = root.make(f"/api/tasks/{made['held']}/run", {})["id"]
    wait_for(root, failed, "FAILED")
    wait_for(root, held, "RUNNING")
    root.make(f"/api/calendars/c{number}", {"days": ["2026-12-25"]}, "PUT")
    token = root.make("/api/tokens", {"name": "spare", "role": "viewer"})["id"]
    return {**made, "waiting": held, "execution": held, "calendar": f"c{number}", "token": token, "number": number}


def wait_for(root: Person, execution: str, state: str) -> None:
    for _ in range(300):
        if root.send("GET", f"/api/executions/{execution}").json()["state"] == state:
            return
    raise AssertionError(f"it never was {state}")


def newest(root: Person) -> int:
    [record] = root.send("GET", "/api/audits?limit=1").json()["list"] or [{"sequence": 0}]
    return int(record["sequence"])


@pytest.mark.parametrize("operation", CHANGES, ids=lambda one: one.name)
def test_a_change_leaves_one_record_of_who_from_where_and_what(root: Person, operation: Operation) -> None:
    made = things(root, str(next(NUMBERS)))
    if operation.name == "resume_scheduler":
        root.make("/api/scheduler/pause", {})
    before = newest(root)
    answer = root.ask(operation, filled(BODIES.get(operation.name, EXAMPLES[operation.name]), made))
    records = [one for one in root.send("GET", "/api/audits?limit=9").json()["list"] if one["sequence"] > before]
    if operation.name == "pause_scheduler":
        assert root.ask(BY_NAME["resume_scheduler"], {}).is_success
    assert answer.is_success, answer.text
    records = [one for one in records if one["actor"] == "administrator"]
    assert [one["action"] for one in records] == ACTIONS[operation.name]
    for record in records:
        assert record["origin"] == {"channel": "rest", "address": "127.0.0.1"}
        assert record["at"] and record["hash"]
        if record["taskId"] and record["action"] != "ReleaseLock":
            assert {"before", "after"} & record["change"].keys()


@pytest.mark.parametrize("name", [name for name in NO_CHANGE if name in EXAMPLES])
def test_what_changes_nothing_leaves_no_record(root: Person, name: str) -> None:
    made = things(root, str(next(NUMBERS)))
    before = newest(root)
    root.ask(BY_NAME[name], filled(EXAMPLES[name], made))
    found = root.send("GET", "/api/audits?limit=9").json()["list"]
    assert [one["action"] for one in found if one["sequence"] > before and one["actor"] == "administrator"] == []


def test_a_record_names_the_token_and_its_tenant(root: Person) -> None:
    ada = root.with_token(role="operator", user="ada", tenant="acme")
    token = next(one["id"] for one in root.send("GET", "/api/tokens").json()["list"] if one["user"] == "ada")
    made = ada.make("/api/tasks", {**TASK, "name": "of ada"})
    answer = ada.send("POST", f"/api/tasks/{made['itemId']}/pause", json={}, headers={"Tocsin-Channel": "cli"})
    assert answer.is_success
    [pause, create] = root.send("GET", f"/api/audits?task={made['itemId']}").json()["list"]
    assert pause["origin"] == {"channel": "cli", "address": "127.0.0.1", "token": token}
    assert (pause["actor"], pause["tenant"], create["origin"]["channel"]) == ("ada", "acme", "rest")
    assert pause["change"]["before"]["phase"] == "active" and pause["change"]["after"]["phase"] == "paused"
    assert isinstance(pause["change"]["version"], int) and pause["change"]["fence"] == 0
    assert create["change"]["after"]["name"] == "of ada"


# -- before and after


def definition(**changes: Any) -> Definition:
    plain = Definition(
        "t1", "nightly", "greet", Interval(Micros(3_600_000_000), Instant(0)), parameters='{"a":1,"b":2}'
    )
    return evolve(plain, **changes)


def test_what_may_be_secret_is_not_in_the_log() -> None:
    other = definition(parameters='{"a":1,"b":"canary","c":3}', tags=("x",))
    before, after = differences(definition(), other)
    assert before == {"parameters": {"b": HIDDEN}, "tags": None}
    assert after == {"parameters": {"b": HIDDEN, "c": HIDDEN}, "tags": ["x"]}
    assert "canary" not in json.dumps([before, after])


def test_what_is_long_is_there_by_its_hash() -> None:
    _, after = differences(definition(), definition(tags=tuple(f"tag-{number}" for number in range(LONGEST))))
    assert after["tags"].startswith("sha256:") and len(after["tags"]) == 71
    assert differences(definition(), definition()) == ({}, {})


def test_from_where_somebody_acts_stays_with_his_name() -> None:
    ada = acting("ada", "rest", address="192.0.2.7", token="0123")
    assert (ada, origin_of(ada)) == ("ada", '{"channel": "rest", "address": "192.0.2.7", "token": "0123"}')
    assert type(str(ada)) is str and origin_of(str(ada)) == ""
    assert origin_of(actor_of(acting("system", "rest"))) == '{"channel": "rest"}' and actor_of("system") == "'system'"
    assert isinstance(ada, Actor)


# -- no byte can be changed


@attrs.define
class Log:
    """A node that has written some records, and its file."""

    node: Node
    file: Path

    def meddle(self, statement: str, *values: object) -> None:
        with sqlite3.connect(self.file, timeout=20) as database:
            database.execute("PRAGMA ignore_check_constraints = ON")
            database.execute(statement, values)
        database.close()

    def rows(self) -> list[dict[str, Any]]:
        with sqlite3.connect(self.file, timeout=20) as database:
            database.row_factory = sqlite3.Row
            found = [dict(row) for row in database.execute("SELECT * FROM audit ORDER BY sequence")]
        database.close()
        return found

    async def is_intact(self, seal: str = "") -> bool:
        return not (await self.node.access.verify(seal)).faults


async def write(log: Log) -> None:
    # The node makes its own tasks beside what the test does, and each is a record.
    for _ in range(2_000):
        if sum(row["actor"] == "system" for row in log.rows()) == len(SYSTEM_TYPES):
            break
        await trio.sleep(0.01)
    node = log.node
    for number in range(4):
        actor = acting(f"ada{number}", "rest", address="192.0.2.7", token="0123456789ab")
        await node.access.note(actor, "EditTask", f"d\u00e9tail {number}", "acme")
    made = await node.create([definition(id=node.world.new_id(), created_at=node.world.now())], "eve")
    assert not isinstance(made[0], Exception)


FIELDS = ("at", "actor", "action", "task_id", "detail", "tenant", "origin", "change", "chain", "number", "hash")


def mutants(value: Any) -> Iterator[Any]:
    """The value with each of its bytes changed once, with one more and with one less."""
    if isinstance(value, int):
        yield from (value + 1, value - 1, -value - 1, value * 10)
        return
    for at, character in enumerate(value):
        yield value[:at] + chr(ord(character) ^ 1) + value[at + 1 :]
    yield from (value + "x", value[:-1]) if value else ("x",)


@pytest.mark.parametrize("field", FIELDS)
async def test_every_changed_byte_is_found(tmp_path: Path, field: str) -> None:
    async with open_node(data=tmp_path, name="a") as local:
        log = Log(local.inner, tmp_path / "tocsin.db")
        await write(log)
        assert await log.is_intact()
        for row in log.rows():
            if row["sequence"] not in (2, 5):
                continue
            for mutant in mutants(row[field]):
                try:
                    log.meddle(f"UPDATE audit SET {field} = ? WHERE sequence = ?", mutant, row["sequence"])
                except sqlite3.IntegrityError:
                    continue  # the database itself refuses two records in one place
                assert not await log.is_intact(), (row["sequence"], mutant)
                log.meddle(f"UPDATE audit SET {field} = ? WHERE sequence = ?", row[field], row["sequence"])
        assert await log.is_intact()


async def test_every_missing_record_and_every_other_order_is_found(tmp_path: Path) -> None:
    async with open_node(data=tmp_path, name="a") as local:
        log = Log(local.inner, tmp_path / "tocsin.db")
        await write(log)
        rows = log.rows()
        marks = ", ".join("?" for _ in rows[0])
        for row in rows:
            log.meddle("DELETE FROM audit WHERE sequence = ?", row["sequence"])
            assert not await log.is_intact(), f"without record {row['sequence']}"
            log.meddle(f"INSERT INTO audit ({', '.join(row)}) VALUES ({marks})", *row.values())
        for one, other in itertools.combinations(rows, 2):
            for row, number in ((one, -1), (other, one["number"]), (one, other["number"])):
                log.meddle("UPDATE audit SET number = ? WHERE sequence = ?", number, row["sequence"])
            assert not await log.is_intact(), "two have changed places"
            for row, number in ((one, -1), (other, other["number"]), (one, one["number"])):
                log.meddle("UPDATE audit SET number = ? WHERE sequence = ?", number, row["sequence"])
        assert await log.is_intact()


async def test_an_end_that_was_cut_off_is_found(tmp_path: Path) -> None:
    async with open_node(data=tmp_path, name="a") as local:
        log = Log(local.inner, tmp_path / "tocsin.db")
        await write(log)
        rows, seal = log.rows(), (await log.node.access.verify()).seal
        log.meddle("DELETE FROM audit WHERE sequence > ?", rows[2]["sequence"])
        assert not await log.is_intact(), "the chain's head knows how many there were"
        log.meddle("UPDATE audit_chains SET number = ?, hash = ?", rows[2]["number"], rows[2]["hash"])
        assert await log.is_intact(), "who writes the whole chain anew is found out by the seal only"
        assert not await log.is_intact(seal)
        log.meddle("DELETE FROM audit_chains")
        assert not await log.is_intact(), "records without the head of their chain"
        log.meddle("DELETE FROM audit")
        assert not await log.is_intact(seal)


# -- refused attempts


def test_who_was_refused_stands_in_the_log(tmp_path: Path) -> None:
    node = Running(tmp_path)
    node.start(settings(tmp_path))
    try:
        root = Person(node.url, node.token)
        viewer = root.with_token(role="viewer", user="vera", tenant="acme")
        stranger = Person(node.url, "toc_0123456789ab_" + "canary" * 7)
        for _ in range(3):
            assert viewer.send("POST", "/api/tasks", json=TASK).status_code == 403
            assert viewer.send("DELETE", "/api/tokens/0123").status_code == 403
            assert stranger.send("GET", "/api/tasks?token=canary").status_code == 401
            assert stranger.send("POST", "/api/session").status_code == 401
        found = root.send("GET", "/api/audits?action=Refused").json()
        told = [(one["actor"], one["detail"].split(":")[0]) for one in reversed(found["list"])]
        assert told == [
            ("vera", "POST /api/tasks"), ("vera", "DELETE /api/tokens/0123"),
            (NOBODY_KNOWN, "GET /api/tasks"), (NOBODY_KNOWN, "POST /api/session"),
        ]  # fmt: skip
        assert all(one["origin"]["address"] == "127.0.0.1" for one in found["list"])
        assert found["list"][-1]["origin"]["token"] and "canary" not in json.dumps(found)
        assert root.send("GET", "/api/audits/verify").json()["intact"]
    finally:
        node.stop()


async def records_of(node: Node) -> list[Audit]:
    rows, _ = await node.access.audits(AuditFilter(limit=10_000))
    return [row.audit for row in rows]


async def refuse(refusals: Refusals, number: int, error: Exception | None = None) -> None:
    await refusals.note(
        error or Forbidden("no"), f"GET /{number}", user="", channel="rest", address="192.0.2.1", token=None
    )


async def test_a_flood_of_refusals_is_a_bounded_number_of_records(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with open_node(data=tmp_path, name="a") as local:
        refusals = Refusals(local.inner)
        for number in range(10 * RECORDED):
            await refuse(refusals, number, Unauthenticated("x" * 10_000))
        await refuse(refusals, 0, NotFound("no refusal"))
        mock_clock.jump(61)
        await refuse(refusals, 1)
        records = [one for one in await records_of(local.inner) if one.action == "Refused"]
        assert len(records) == RECORDED + 1
        assert f"({9 * RECORDED} more were left out before)" in records[0].detail
        assert max(len(one.detail) for one in records) < 400


async def test_who_is_refused_is_so_while_the_store_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_node(data=tmp_path, name="a") as local:
        refusals = Refusals(local.inner)

        async def full(*_: object) -> None:
            raise StoreUnavailable("full")

        with monkeypatch.context() as patched:
            patched.setattr(local.inner.access, "note", full)
            await refuse(refusals, 1)
        await refuse(refusals, 2)
        [record] = [one for one in await records_of(local.inner) if one.action == "Refused"]
        assert "(1 more were left out before)" in record.detail
