"""Pause, locks, queues, calendars and times to come: over real HTTP and on the command line, against a node in a thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import Conflict, InvalidRequest, NotFound
from tests.tocsin.cli.kit import Shell
from tests.tocsin.conftest import Running, settings
from tests.tocsin.test_api import add, ended, until
from tocsin.client import Client
from tocsin.operations.table import BY_NAME, OPERATIONS

ICS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:1@test
DTSTAMP:20260101T000000Z
DTSTART;VALUE=DATE:20261225
DTEND;VALUE=DATE:20261227
SUMMARY:Christmas
END:VEVENT
END:VCALENDAR
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A node of this file's own: to pause the scheduler of one that others use would hold them up."""
    node = Running(tmp_path_factory.mktemp("control"))
    node.start(settings(node.data))
    yield node
    node.stop()
    assert node.error is None


@pytest.fixture
def awake(client: Client) -> Iterator[Client]:
    """Whatever a test does to the scheduler, it goes on afterwards."""
    yield client
    client.call("resume_scheduler")


def test_the_scheduler_is_paused_and_goes_on(awake: Client) -> None:
    nothing = {"paused": False, "since": None, "by": None, "note": None}
    assert awake.call("show_scheduler") == nothing
    paused = awake.call("pause_scheduler", body={"note": "moving house"})
    assert (paused["paused"], paused["by"], paused["note"]) == (True, "administrator", "moving house")
    assert awake.call("pause_scheduler", body={"note": "another"}) == paused
    assert awake.call("show_scheduler") == paused
    assert awake.call("show_node")["scheduler"] == paused
    assert awake.call("ready") == {"status": "ok", "scheduler": "paused"}
    add(awake, name="held up")
    execution = awake.call("run_task", task="held up")
    told = awake.call("why", task="held up")["lines"]
    assert any("The whole scheduler is paused since" in line and "moving house" in line for line in told)
    assert awake.call("next_fires", task="held up")["schedulerPaused"] is True
    assert awake.call("resume_scheduler") == nothing
    ended(awake, execution["id"], "COMPLETED")
    assert awake.call("ready") == {"status": "ok"}


@pytest.mark.parametrize("body", [{"note": "x" * 501}, {"nte": "x"}, {"note": 5}, [1], "x"])
def test_a_wrong_pause_is_refused_and_pauses_nothing(client: Client, body: Any) -> None:
    with pytest.raises(InvalidRequest):
        client.call("pause_scheduler", body=body)
    assert client.call("show_scheduler")["paused"] is False


def test_the_command_line_pauses_and_says_so(shell: Shell, awake: Client) -> None:
    add(awake, name="seen")
    assert shell("scheduler", "show")[1] == "The scheduler is not paused.\n"
    code, out, _ = shell("scheduler", "pause", "--note", "inventory")
    assert code == 0
    assert "by administrator (inventory): nothing starts" in out
    assert "The whole scheduler is paused" in shell("task", "list")[1]
    assert "The whole scheduler is paused" in shell("task", "next", "seen")[1]
    assert "inventory" in shell("status")[1]
    assert shell.json("status")["scheduler"]["paused"] is True
    assert shell.json("scheduler", "resume")["paused"] is False
    assert "paused" not in shell("task", "list")[1]


def test_a_key_is_held_waited_for_and_taken(client: Client, shell: Shell) -> None:
    for name in ("first", "second"):
        add(client, "wait", name=name, policies={"concurrency": {"key": "the door", "limit": 1}})
    first, second = (client.call("run_task", task=name)["id"] for name in ("first", "second"))
    ended(client, first, "RUNNING")
    assert client.call("show_execution", execution=first)["concurrencyKey"] == "the door"
    [lock] = [one for one in client.call("list_locks")["list"] if one["key"] == "the door"]
    assert (lock["limit"], lock["waiting"], lock["tenant"]) == (1, 1, "")
    [holder] = lock["holders"]
    assert (holder["task"], holder["executionId"], holder["lingers"]) == ("first", first, False)
    told = "\n".join(client.call("why", task="second")["lines"])
    assert "Its concurrency key 'the door' is taken: 1 of 1 hold it, 1 wait." in told
    assert f"Execution {first} of task 'first' has it since" in told
    assert "the door" in shell("lock", "list")[1]
    assert client.call("show_execution", execution=second)["state"] == "WAITING"
    with pytest.raises(NotFound, match="not held by execution"):
        client.call("release_lock", body={"key": "the door", "execution": "no such"})
    released = shell.json("lock", "release", "the door", "--execution", first)
    assert released == {"key": "the door", "released": [first]}
    ended(client, second, "RUNNING")
    for execution in (first, second):
        client.call("cancel_execution", execution=execution)
        ended(client, execution, "CANCELLED")
    until(lambda: client.call("list_locks")["list"], lambda found: not found)
    assert shell("lock", "list")[1] == "No key is held.\n"
    code, _, err = shell("lock", "release", "the door")
    assert code == 5
    assert "'the door'" in err


@pytest.mark.parametrize("body", [{}, {"key": 5}, {"key": "x", "who": "y"}, []])
def test_a_release_without_a_key_is_refused(client: Client, body: Any) -> None:
    with pytest.raises(InvalidRequest):
        client.call("release_lock", body=body)


def test_queues_are_listed(client: Client, shell: Shell) -> None:
    for name in ("q1", "q2"):
        add(client, "wait", name=name, policies={"queue": "narrow", "concurrency": {"key": "narrow", "limit": 1}})
    executions = [client.call("run_task", task=name)["id"] for name in ("q1", "q2")]
    ended(client, executions[0], "RUNNING")
    found = until(lambda: client.call("list_queues")["list"], lambda listed: any(one["waiting"] for one in listed))
    [narrow] = [one for one in found if one["name"] == "narrow"]
    waits = client.call("show_execution", execution=executions[1])["createdAt"]
    assert (narrow["limit"], narrow["running"], narrow["waiting"], narrow["oldest"]) == (None, 1, 1, waits)
    assert (narrow["started5m"], narrow["ended5m"], narrow["chosen"]) == (1, 0, False)
    [lock] = [one for one in client.call("list_locks")["list"] if one["key"] == "narrow"]
    assert (lock["waiting"], lock["oldest"]) == (1, waits)
    assert "narrow" in shell("queue", "list")[1]
    for execution in reversed(executions):
        client.call("cancel_execution", execution=execution)
        ended(client, execution, "CANCELLED")
    [narrow] = [one for one in client.call("list_queues")["list"] if one["name"] == "narrow"]
    assert (narrow["running"], narrow["waiting"], narrow["oldest"]) == (0, 0, None)
    assert (narrow["started5m"], narrow["ended5m"]) == (1, 2)


def test_an_execution_is_cancelled_with_a_note(client: Client, shell: Shell) -> None:
    for name in ("over rest", "in the shell"):
        add(client, "wait", name=name)
    first, second = (client.call("run_task", task=name)["id"] for name in ("over rest", "in the shell"))
    for execution in (first, second):
        ended(client, execution, "RUNNING")
    client.call("cancel_execution", execution=first, body={"note": "wrong region"})
    shell("execution", "cancel", second, "--note", "wrong day")
    assert ended(client, first, "CANCELLED")["cancelReason"].endswith(": wrong region")
    assert ended(client, second, "CANCELLED")["cancelReason"].endswith(": wrong day")
    with pytest.raises(InvalidRequest, match="unknown field 'reason'"):
        client.call("cancel_execution", execution=first, body={"reason": "x"})


def test_only_an_abandoned_handler_is_released(client: Client, shell: Shell) -> None:
    add(client, name="gone by")
    execution = client.call("run_task", task="gone by")["id"]
    assert ended(client, execution, "COMPLETED")["lingers"] is False
    with pytest.raises(Conflict, match="only an abandoned handler can be released"):
        client.call("release_execution", execution=execution)
    with pytest.raises(NotFound, match="no such"):
        client.call("release_execution", execution="no such")
    assert shell("execution", "release", execution)[0] == 6
    assert shell("execution", "cancel", "no such")[0] == 5


HOLIDAYS = {"timezone": "Europe/Berlin", "days": ["2026-12-25", {"first": "2026-12-31", "last": "2027-01-01"}]}


def test_a_calendar_is_kept_by_versions(client: Client) -> None:
    made = client.call("put_calendar", calendar="versions", body=HOLIDAYS | {"weekdays": ["sun", "sat"]})
    assert made == HOLIDAYS | {"name": "versions", "version": 1, "weekdays": ["sat", "sun"], "windows": []}
    assert client.call("put_calendar", calendar="versions", body=made) == made
    window = {"begin": "2026-12-24T12:00:00Z", "end": "2026-12-24T18:00:00Z"}
    second = client.call("put_calendar", calendar="versions", body={"windows": [window]})
    assert (second["version"], second["windows"], second["days"]) == (2, [window], [])
    assert client.call("show_calendar", calendar="versions") == second
    assert client.call("show_calendar", calendar="versions", version=1) == made
    assert second in client.call("list_calendars")["list"]
    client.call("delete_calendar", calendar="versions")
    for version in (None, 3):
        with pytest.raises(NotFound, match="versions"):
            client.call("show_calendar", calendar="versions", version=version)
    with pytest.raises(NotFound, match="versions"):
        client.call("delete_calendar", calendar="versions")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"days": ["2026-02-30"]}, "days[0]: a day such as 2026-12-25, not '2026-02-30'"),
        ({"days": ["tomorrow"]}, "days[0]"),
        ({"days": [{"first": "2026-02-03", "last": "2026-02-01"}]}, "ends before it begins"),
        ({"days": [{"first": "2026-02-03", "lst": "2026-02-04"}]}, "days[0].lst"),
        ({"days": [{}]}, "days[0].first"),
        ({"days": "2026-02-03"}, "days: a list"),
        ({"weekdays": ["sunday"]}, "weekdays[0]: one of mon"),
        ({"weekdays": [6]}, "weekdays[0]"),
        ({"windows": [{"begin": "2026-01-01T00:00:00Z"}]}, "windows[0].end"),
        ({"windows": [{"begin": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}]}, "ends before it begins"),
        ({"windows": ["x"]}, "windows[0]: an object"),
        ({"timezone": "Moon"}, "Moon"),
        ({"colour": "red"}, "colour"),
        ({"name": "another"}, "name: 'wrong', as in the path, not 'another'"),
        ({"version": -1}, "version: a whole number from 0 to 2147483647, not -1"),
        ({"version": "newest"}, "version"),
        ({"ics": "no calendar"}, "ics"),
        ({"ics": None}, "ics"),
        ({"ics": ICS, "days": []}, "days"),
        ([], "body"),
    ],
)
def test_a_wrong_calendar_is_refused_by_field_and_value(client: Client, body: Any, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        client.call("put_calendar", calendar="wrong", body=body)
    assert words in str(caught.value)
    with pytest.raises(NotFound):
        client.call("show_calendar", calendar="wrong")


@pytest.mark.parametrize("name", ["a/b", "a%2Fb", "..", "x" * 129, " x", "a\x00b", "a?b", "a#b"])
def test_no_calendar_has_a_name_that_no_path_holds(client: Client, name: str) -> None:
    with pytest.raises((InvalidRequest, NotFound, Conflict)):
        client.call("put_calendar", calendar=name, body={"days": []})
    assert name not in [one["name"] for one in client.call("list_calendars")["list"]]


def test_a_calendar_that_is_used_stays(client: Client) -> None:
    client.call("put_calendar", calendar="used", body={"weekdays": ["sun"]})
    add(client, name="keeps to it", trigger={"every": "1h", "calendars": ["used"]})
    with pytest.raises(Conflict, match="keeps to it"):
        client.call("delete_calendar", calendar="used")
    client.call("cancel_task", task="keeps to it", permanent=True)
    client.call("delete_calendar", calendar="used")


def test_the_command_line_keeps_calendars(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "c.ics").write_text(ICS)
    (tmp_path / "latin.ics").write_bytes(b"\xff\xfe")
    made = shell.json("calendar", "put", "from file", "--ics", str(tmp_path / "c.ics"), "--timezone", "Europe/Berlin")
    assert (made["days"], made["timezone"]) == ([{"first": "2026-12-25", "last": "2026-12-26"}], "Europe/Berlin")
    none = shell.json(
        "calendar", "put", "past", "--ics", str(tmp_path / "c.ics"), "--from", "2025-01-01", "--until", "2025-02-01"
    )
    assert none["days"] == []
    typed = shell.json(
        "calendar", "put", "typed", "--day", "2026-12-24..2026-12-26", "--day", "2027-01-01", "--weekday", "sun"
    )
    assert (typed["days"], typed["weekdays"]) == (
        [{"first": "2026-12-24", "last": "2026-12-26"}, "2027-01-01"],
        ["sun"],
    )
    assert shell.json("calendar", "put", "copy", "--content", '{"days": ["2026-12-25"]}')["days"] == ["2026-12-25"]
    assert shell("calendar", "put", "typed", "--weekday", "mon")[1] == "typed is kept as version 2\n"
    assert "2026-12-24 to 2026-12-26" in shell("calendar", "show", "typed", "--version", "1")[1]
    assert "from file" in shell("calendar", "list")[1]
    for name in ("from file", "past", "typed", "copy"):
        assert shell.json("calendar", "delete", name) == {"deleted": name}
    assert shell("calendar", "list")[1] == "No calendars.\n"
    for arguments, code, words in (
        (["put", "x"], 2, "say what it holds"),
        (["put", "x", "--day", "2026-12-24", "--ics", "x"], 2, "one of them"),
        (["put", "x", "--day", "2026-12-24", "--from", "2026-01-01"], 2, "go with --ics"),
        (["put", "x", "--ics", "/no/such"], 2, "/no/such"),
        (["put", "x", "--ics", str(tmp_path / "latin.ics")], 2, "not UTF-8"),
        (["put", "x", "--day", "xmas"], 2, "'xmas'"),
        (["show", "x"], 5, "'x'"),
        (["delete", "x"], 5, "'x'"),
    ):
        got, _, err = shell("calendar", *arguments)
        assert got == code, arguments
        assert words in err


def test_times_of_an_unsaved_trigger(client: Client, shell: Shell) -> None:
    client.call("put_calendar", calendar="xmas", body={"days": [{"first": "2026-12-25", "last": "2026-12-26"}]})
    trigger = {"cron": "0 12 * * *", "calendars": ["xmas"], "spread": "10m"}
    body = {"trigger": trigger, "after": "2026-12-24T00:00:00Z", "count": 3}
    found = client.call("preview_trigger", body=body)
    assert found["list"] == [f"2026-12-{day}T12:00:00Z" for day in (24, 27, 28)]
    assert [(one["nominal"], one["excludedBy"]) for one in found["fires"]] == [
        ("2026-12-24T12:00:00Z", None), ("2026-12-25T12:00:00Z", "xmas"), ("2026-12-26T12:00:00Z", "xmas"),
    ]  # fmt: skip
    assert {one["assigned"] for one in found["fires"]} == {None}
    assert "not in 'xmas'" in found["trigger"]
    assert found["parsed"]["calendars"] == [{"calendar": "xmas", "mode": "exclude", "shift": "skip"}]
    task = add(client, name="spread out", trigger=trigger)
    placed = client.call("preview_trigger", body=body | {"task": "spread out"})["fires"][0]["assigned"]
    assert "2026-12-24T12:00:00Z" <= placed < "2026-12-24T12:10:00Z"
    following = client.call("next_fires", task=task["itemId"], count=5)
    assert following["fires"][0]["assigned"] == task["nextScheduledExecution"]
    assert following["list"] == [one["nominal"] for one in following["fires"] if one["excludedBy"] is None]
    out = shell("trigger", "next", "--cron", "0 12 25-28 12 *", "--exclude", "xmas", "--count", "3", "--utc")[1]
    assert out.count("not in calendar 'xmas'") == 2
    assert out.count("12:00:00 UTC") == 5
    client.call("cancel_task", task="spread out", permanent=True)
    client.call("delete_calendar", calendar="xmas")


def test_what_clocks_do_to_a_trigger_is_told(client: Client, shell: Shell) -> None:
    body = {"trigger": {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}, "after": "2026-01-01T00:00:00Z", "count": 1}
    changes = client.call("preview_trigger", body=body)["clockChanges"]
    assert {(one["kind"], one["effect"]) for one in changes} == {("gap", "moved"), ("overlap", "first")}
    assert {(one["before"], one["after"]) for one in changes} == {("+01:00", "+02:00"), ("+02:00", "+01:00")}
    add(client, name="berlin", trigger=body["trigger"])
    assert client.call("next_fires", task="berlin")["clockChanges"] == changes
    out = shell("task", "next", "berlin")[1]
    assert "run when the gap ends" in out
    assert "run the first time" in out
    assert "Clocks in" not in shell("trigger", "next", "--every", "1h")[1]
    client.call("put_calendar", calendar="sundays", body={"weekdays": ["sun"], "timezone": "Europe/Berlin"})
    body["trigger"] = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "calendars": ["sundays"]}
    assert [one["around"] for one in client.call("preview_trigger", body=body)["clockChanges"]] == [[], []]
    out = shell("trigger", "next", "--cron", "30 2 * * *", "--timezone", "Europe/Berlin", "--exclude", "sundays")[1]
    assert out.count("Around it: no run, by its calendars") == 2
    client.call("delete_calendar", calendar="sundays")


def test_a_preview_says_what_it_cannot_know(shell: Shell) -> None:
    assert "saved now, the task would run at once" in shell("trigger", "next", "--at", "2020-01-01 00:00")[1]
    assert "What H stands for" in shell("trigger", "next", "--cron", "H 3 * * *")[1]
    assert "What H stands for" not in shell("trigger", "next", "--cron", "0 3 * * THU")[1]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "trigger: required"),
        ({"trigger": {"every": "fast"}}, "'fast'"),
        ({"trigger": {"every": "1h"}, "count": 0}, "count"),
        ({"trigger": {"every": "1h"}, "count": 1001}, "count"),
        ({"trigger": {"every": "1h"}, "after": "noon"}, "after"),
        ({"trigger": {"every": "1h", "calendars": ["none"]}}, "no calendar 'none'"),
        ({"trigger": {"cron": "0 0 30 2 *"}}, "0 0 30 2 *"),
        ({"trigger": {"every": "1h"}, "x": 1}, "'x'"),
    ],
)
def test_a_wrong_preview_is_refused(client: Client, body: Any, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        client.call("preview_trigger", body=body)
    assert words in str(caught.value)


def test_limits_and_delays_end_a_preview(client: Client, shell: Shell) -> None:
    times = {"trigger": {"every": "1h", "maxRuns": 2}, "count": 5}
    found = client.call("preview_trigger", body=times)
    assert len(found["list"]) == len(found["fires"]) == 2
    delayed = client.call("preview_trigger", body={"trigger": {"every": "1h", "fixedDelay": True}})
    assert len(delayed["list"]) == len(delayed["fires"]) == 1
    with pytest.raises(NotFound, match="no such"):
        client.call("preview_trigger", body={"trigger": {"every": "1h"}, "task": "no such"})
    assert shell("trigger", "next")[0] == 2
    assert (
        shell.json("trigger", "next", "--every", "1h", "--cron", "@daily", "--count", "4")["parsed"]["kind"] == "union"
    )


def test_parents_and_children_are_shown(client: Client, shell: Shell) -> None:
    parent = add(client, name="parent")
    child = add(client, name="child", dependencies={"parents": ["parent"]})
    [shown] = client.call("show_task", task="child")["parents"]
    assert shown == {"id": parent["itemId"], "name": "parent", "status": "SCHEDULED", "lastState": None}
    [shown] = client.call("show_task", task="parent")["children"]
    assert (shown["id"], shown["name"]) == (child["itemId"], "child")
    assert "parent (SCHEDULED)" in shell("task", "show", "child")[1]
    assert "child (SCHEDULED)" in shell("task", "show", "parent")[1]


def test_counts_and_deliveries(client: Client, shell: Shell) -> None:
    event = {"name": "tell", "on": ["COMPLETED"], "actions": [{"kind": "topic", "name": "news"}]}
    add(client, name="tells", events=[event])
    ended(client, client.call("run_task", task="tells")["id"], "COMPLETED")
    page = until(lambda: client.call("list_deliveries", task="tells"), lambda found: found["totalSize"] >= 2)
    assert {one["event"] for one in page["list"]} == {"tell"}
    assert "tell" in shell("task", "deliveries", "tells")[1]
    counts = client.call("counts")
    assert set(counts) == {"tasks", "byStatus", "byOutcome", "byReason"}
    assert sum(counts["byOutcome"].values()) == sum(counts["byReason"].values())


def test_system_tasks_are_seen_paused_and_run_but_not_changed(client: Client, shell: Shell) -> None:
    found = until(
        lambda: [
            one for one in client.call("list_tasks", system=True)["list"] if one["taskType"].startswith("system.")
        ],
        lambda listed: len(listed) == 3,
    )
    for task in found:
        reference = task["itemId"]
        with pytest.raises(Conflict, match="task of the node itself"):
            client.call("edit_task", task=reference, body={"tags": ["mine"]})
        for permanent in (False, True):
            with pytest.raises(Conflict, match="task of the node itself"):
                client.call("cancel_task", task=reference, permanent=permanent)
        assert client.call("pause_task", task=reference)["paused"] is True
        assert client.call("activate_task", task=reference)["paused"] is False
        execution = client.call("run_task", task=reference)
        ended(client, execution["id"], "COMPLETED")
    assert shell("task", "delete", found[0]["name"], "--yes")[0] == 6


ABOUT_SOMETHING = [
    entry.name
    for entry in OPERATIONS
    if "{" in entry.path and entry.name != "put_calendar" and entry.permission != "worker"
]
"""All but the one that makes what is not there, and those of workers, who name themselves and show a lease."""


@pytest.mark.parametrize("operation", ABOUT_SOMETHING)
def test_whatever_is_unknown_is_not_found(client: Client, operation: str) -> None:
    entry = BY_NAME[operation]
    arguments: dict[str, Any] = {one.name: "no such thing" for one in entry.arguments if one.where == "path"}
    if any(one.where == "body" and one.required for one in entry.arguments):
        arguments["body"] = {}
    if operation == "configure_task":
        arguments["maxRetries"] = 1
    with pytest.raises(NotFound, match="no such thing"):
        client.call(operation, **arguments)


def test_the_seeds_verbs_over_http(client: Client) -> None:
    made = add(client, "fail", name="seed/verbs", policies={"retry": {"maxRetries": 0}})
    assert client.call("find_task", reference="seed/verbs")["itemId"] == made["itemId"]
    execution = client.call("run_task", task="seed/verbs")["id"]
    ended(client, execution, "FAILED")
    configured = client.call("configure_task", task="seed/verbs", maxRetries=0, retryDelay=5)
    assert (configured["maxRetries"], configured["retryDelay"]) == (0, 5)
    client.call("retry_task", task="seed/verbs", resetFailureCount=True)
    again = until(
        lambda: client.call("show_execution", execution=execution), lambda one: one["attempt"] == 2 and one["endedAt"]
    )
    assert again["state"] == "FAILED"
    with pytest.raises(Conflict):
        client.call("resume_task", task="seed/verbs")


def test_preview_of_a_thousand_instants_leaves_the_node_awake(client: Client) -> None:
    client.call("put_calendar", calendar="weekends", body={"weekdays": ["sat", "sun"]})
    trigger = {"cron": "*/7 * * * *", "timezone": "Europe/Berlin", "calendars": ["weekends"]}
    found = client.call("preview_trigger", body={"trigger": trigger, "count": 1000})
    assert len(found["list"]) == len(found["fires"]) == 1000
    assert found["list"] == sorted(found["list"])
    allowed = [one["nominal"] for one in found["fires"] if one["excludedBy"] is None]
    assert found["list"][: len(allowed)] == allowed
    client.call("delete_calendar", calendar="weekends")
