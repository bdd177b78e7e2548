"""What a client does when no good answer comes: what it repeats, what it does not, and for how long. No time passes here."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from runtime.errors import Conflict, InternalError, InvalidRequest, NotFound, ReplyTimeout, StoreUnavailable
from tocsin.clients import asks
from tocsin.clients.address import NodeUnreachable
from tocsin.clients.asking_core import LONGEST_PAUSE_SECONDS, Asked, Heard, Send, Session, Silence, Wait, plain
from tocsin.clients.records import ExecutionInfo, NodeInfo, reader
from tocsin.clients.requests_core import Reply, Request
from tocsin.clients.trio_client import Client
from tocsin.clients.waiting import FIRST_SECONDS, RETRY_SECONDS, session_of

TASK = {
    "itemId": "1", "name": "n", "taskType": "t", "status": "SCHEDULED", "nextScheduledExecution": "2026-03-01T12:00:00Z",
    "lastExecutionDate": None, "failureCount": 0, "persistent": True, "parameters": {}, "trigger": {}, "policies": {},
    "maxRetries": 3, "retryDelay": 60000, "phase": "active", "paused": False, "note": None,
}  # fmt: skip
EXECUTION = dict.fromkeys(
    ["nominal", "outcome", "reason", "waitsFor", "node"]
) | {"id": "e", "taskId": "1", "kind": "manual", "state": "RUNNING", "attempt": 1, "failures": 0, "fence": 1}  # fmt: skip


def good(value: Any) -> Reply:
    return Reply(200, "OK", json.dumps(value).encode())


def bad(status: int, title: str, retry_after: float | None = None) -> Reply:
    body = {"error": title, "code": str(status), "message": "why"}
    return Reply(status, "", json.dumps(body).encode(), retry_after)


UNSENT = Silence(NodeUnreachable("nobody"), sent=False)
LOST = Silence(NodeUnreachable("silence"), sent=True)
BUSY = bad(429, "Too busy", 1.0)
NO_STORE = bad(503, "Store unavailable")
NO_ANSWER = bad(503, "No answer in time")


@attrs.define
class Talk:
    """A node that gives these answers, one after the other, and a clock that goes only while somebody waits."""

    answers: list[Heard]
    retry_for: float = 30.0
    now: float = 0.0
    requests: list[Request] = attrs.field(factory=list)

    def carry_out(self, asked: Asked[Any]) -> Any:
        steps = asked.steps(Session(self.retry_for, lambda: self.now, random.Random(1)))
        heard: Heard = None
        while True:
            try:
                step = steps.send(heard)
            except StopIteration as end:
                return end.value
            match step:
                case Send(request):
                    self.requests.append(request)
                    heard = self.answers.pop(0)
                case Wait(seconds):
                    self.now += seconds
                    heard = None


READS: list[Callable[[], Asked[Any]]] = [
    lambda: asks.show_task("n"),
    lambda: asks.configure_task("n", max_retries=1),
    lambda: asks.add_task("n", "t", trigger={"every": "1m"}),
    lambda: asks.edit_task("n", {"tags": []}),
]
CHANGES: list[Callable[[], Asked[Any]]] = [
    lambda: asks.retry_task("n"),
    lambda: asks.pause_task("n"),
    lambda: asks.edit_task("n", {"tags": []}, version=3),
]


@pytest.mark.parametrize("trouble", [UNSENT, LOST, BUSY, NO_STORE, NO_ANSWER])
@pytest.mark.parametrize("asked", READS)
def test_what_comes_to_the_same_is_repeated_after_every_trouble(
    trouble: Heard, asked: Callable[[], Asked[Any]]
) -> None:
    talk = Talk([trouble, trouble, good(TASK)])
    assert talk.carry_out(asked()).name == "n"
    assert len(talk.requests) == 3
    assert talk.requests[0] == talk.requests[1] == talk.requests[2]


@pytest.mark.parametrize("asked", CHANGES)
def test_another_change_is_repeated_only_if_it_was_certainly_not_made(asked: Callable[[], Asked[Any]]) -> None:
    for trouble in (UNSENT, BUSY, NO_STORE):
        assert Talk([trouble, good(TASK)]).carry_out(asked()).name == "n"
    for trouble, error in ((LOST, NodeUnreachable), (NO_ANSWER, ReplyTimeout)):
        talk = Talk([trouble, good(TASK)])
        with pytest.raises(error):
            talk.carry_out(asked())
        assert len(talk.requests) == 1


@pytest.mark.parametrize(
    ("reply", "error"),
    [(bad(404, "Not found"), NotFound), (bad(409, "Conflict"), Conflict), (bad(500, ""), InternalError)],
)
def test_an_answer_that_stands_is_not_asked_for_again(reply: Reply, error: type[Exception]) -> None:
    talk = Talk([reply])
    with pytest.raises(error):
        talk.carry_out(asks.show_task("n"))
    assert talk.now == 0


def test_it_gives_up_in_time_and_waits_longer_each_time_up_to_a_limit() -> None:
    talk = Talk([NO_STORE] * 100, retry_for=60)
    with pytest.raises(StoreUnavailable):
        talk.carry_out(asks.show_task("n"))
    assert 60 - 2 * LONGEST_PAUSE_SECONDS < talk.now <= 60
    assert 10 < len(talk.requests) < 25
    assert Talk([BUSY, good(TASK)]).carry_out(asks.show_task("n")).id == "1"


def test_what_the_node_asks_for_is_waited_and_no_time_means_no_repetition() -> None:
    talk = Talk([BUSY, good(TASK)])
    talk.carry_out(asks.show_task("n"))
    assert talk.now >= 1.0
    once = Talk([UNSENT], retry_for=-1)
    with pytest.raises(NodeUnreachable):
        once.carry_out(asks.show_task("n"))


def test_a_removal_whose_answer_was_lost_was_carried_out() -> None:
    assert Talk([LOST, bad(404, "Not found")]).carry_out(asks.delete_task("n")) is True
    with pytest.raises(NotFound):
        Talk([UNSENT, bad(404, "Not found")]).carry_out(asks.delete_task("n"))


def test_each_task_and_each_run_has_an_id_of_its_own() -> None:
    asked = [asks.run_task("n").arguments["body"]["executionId"] for _ in range(2)]
    asked += [asks.add_task("n", "t", trigger={"every": "1m"}).arguments["taskId"] for _ in range(2)]
    assert len(set(asked)) == 4
    assert asks.run_task("n", execution_id="x").arguments["body"]["executionId"] == "x"


def test_a_name_that_no_path_can_hold_is_looked_up_first() -> None:
    talk = Talk([good(TASK), good(TASK)])
    talk.carry_out(asks.show_task("a/b"))
    assert [(request.path, dict(request.query)) for request in talk.requests] == [
        ("/task", {"reference": "a/b"}), ("/tasks/1", {}),
    ]  # fmt: skip


def test_waiting_looks_until_the_end_or_the_time_is_over() -> None:
    talk = Talk([good(EXECUTION)] * 3 + [good(EXECUTION | {"state": "COMPLETED", "result": 7})])
    assert talk.carry_out(asks.wait("e")).result == 7
    assert talk.now == 0.75
    with pytest.raises(ReplyTimeout, match="RUNNING after 1 s"):
        Talk([good(EXECUTION)] * 9).carry_out(asks.wait("e", timeout=1))


def test_names_in_snake_case_become_those_of_the_contract() -> None:
    made = asks.add_task(
        "n", "t", trigger={"every_days": 2, "at": "03:00"}, policies={"catch_up": "all", "retry": {"max_retries": 2}},
        parameters={"snake_case": 1}, persistent=False,
    )  # fmt: skip
    body = made.arguments["body"]
    assert body["trigger"] == {"everyDays": 2, "at": "03:00"}
    assert body["policies"] == {"catchUp": "all", "retry": {"maxRetries": 2}}
    assert (body["parameters"], body["persistent"]) == ({"snake_case": 1}, False)
    changes = asks.edit_task("n", {"task_type": "u", "parameters": {"a_b": 1}}, version=2).arguments["body"]
    assert changes == {"taskType": "u", "parameters": {"a_b": 1}, "version": 2}


def test_a_time_needs_a_zone() -> None:
    assert asks.why("n", datetime(2026, 3, 1, tzinfo=UTC)).arguments["at"] == "2026-03-01T00:00:00+00:00"
    with pytest.raises(InvalidRequest, match="a time with a zone"):
        asks.why("n", datetime(2026, 3, 1))  # noqa: DTZ001


def test_records_have_times_and_keep_what_they_do_not_name() -> None:
    found = reader(ExecutionInfo)(EXECUTION | {"startedAt": "2026-03-01T12:00:00Z", "newer": 1})
    assert found.started_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert found.raw["newer"] == 1
    assert not found.ended
    for wrong in ({}, [], {"name": "x"}, None):
        with pytest.raises(InternalError, match="no NodeInfo"):
            reader(NodeInfo)(wrong)


def test_an_answer_that_is_no_json_is_no_nodes() -> None:
    talk = Talk([Reply(200, "OK", b"<html>")])
    with pytest.raises(InternalError, match="is this a node's address"):
        talk.carry_out(asks.version())


def paths(asked: Iterable[Asked[Any]]) -> list[str]:
    talk = Talk([])
    for one in asked:
        talk.answers.append(UNSENT)
        talk.retry_for = -1
        with pytest.raises(NodeUnreachable):
            talk.carry_out(one)
    return [request.path for request in talk.requests]


def test_everything_is_a_request_of_the_table() -> None:
    assert paths([asks.list_tasks(), asks.show_execution("a b"), asks.purge(older_than="3d"), asks.drain_node("n")]) == [
        "/tasks", "/executions/a%20b", "/purge", "/nodes/n/drain",
    ]  # fmt: skip


def test_what_a_node_answered_stands_for_its_id() -> None:
    execution = reader(ExecutionInfo)(EXECUTION)
    task = Talk([good(TASK)]).carry_out(asks.show_task("n"))
    asked: list[tuple[Asked[Any], str]] = [
        (asks.show_task(task), "/tasks/1"),
        (asks.pause_task(task), "/tasks/1/pause"),
        (asks.show_execution(execution), "/executions/e"),
        (asks.why(execution), "/tasks/e/why"),
        (asks.why(task), "/tasks/1/why"),
    ]
    for one, path in asked:
        talk = Talk([bad(404, "Not found")])
        with pytest.raises(NotFound):
            talk.carry_out(one)
        assert talk.requests[0].path == path
    talk = Talk([good({"removed": 0, "byPart": {}, "complete": True})])
    assert talk.carry_out(asks.purge(task=task)).complete
    assert json.loads(talk.requests[0].body or b"") == {"task": "1"}
    assert Talk([good(EXECUTION | {"state": "COMPLETED"})]).carry_out(asks.wait(execution)).state == "COMPLETED"


def test_a_record_of_another_kind_is_refused_by_its_name() -> None:
    execution = reader(ExecutionInfo)(EXECUTION)
    talk = Talk([])
    with pytest.raises(InvalidRequest, match=r"^task: an id or a name, or the record of a task; not ExecutionInfo"):
        talk.carry_out(asks.show_task(execution))  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match=r"^reference: an id or a name"):
        talk.carry_out(plain("find_task", {"reference": execution}))
    assert talk.requests == []


def test_an_address_that_never_answered_is_given_up_sooner_and_it_is_told() -> None:
    def silent(session: Session, heard: list[Heard]) -> tuple[float, list[str]]:
        """How long nobody answers until it is given up, and what is told meanwhile."""
        told, passed = [], 0.0
        steps = asks.show_task("n").steps(attrs.evolve(session, clock=lambda: passed))
        step = next(steps)
        try:
            while True:
                if isinstance(step, Wait):
                    passed += step.seconds
                    told += [step.tell] if step.tell else []
                    step = steps.send(None)
                else:
                    step = steps.send(heard.pop(0) if heard else UNSENT)
        except NodeUnreachable:
            return passed, told

    first = session_of(None, lambda: 0.0)
    passed, told = silent(first, [])
    assert 2 < passed <= FIRST_SECONDS
    assert re.fullmatch(r"nobody; it is tried for [3-5] s more", told[0]) and len(told) == 1
    first.contact.made = True
    passed, told = silent(first, [])
    assert FIRST_SECONDS < passed <= RETRY_SECONDS
    assert len(told) == 1
    assert silent(session_of(12.0, lambda: 0.0), [])[0] > FIRST_SECONDS
    for answer in (LOST, NO_STORE):
        assert silent(session_of(None, lambda: 0.0), [answer])[0] > FIRST_SECONDS


def test_the_client_for_trio_says_what_to_use_elsewhere() -> None:
    async def enter(client: Client) -> None:
        async with client:
            raise AssertionError("outside of trio nobody gets in")

    async def ask(client: Client) -> None:
        await client.show_task("n")

    async def follow(client: Client) -> None:
        async with client.events():
            raise AssertionError("outside of trio nothing is followed")

    for used in (enter, ask, follow):
        with pytest.raises(InvalidRequest, match=r"is for trio; .*tocsin\.SyncClient.*asyncio\.to_thread"):
            asyncio.run(used(Client("http://127.0.0.1:9", "x")))
