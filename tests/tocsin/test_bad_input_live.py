"""Wrong values sent to a running node, through REST and the command line: each is refused, and nothing is saved."""

from __future__ import annotations

import json
from typing import Any

import attrs
import httpx
import pytest

from tests.tocsin.bad_input import GOOD, Slot, slots, wrong_values
from tests.tocsin.cli.kit import Shell
from tests.tocsin.conftest import Running
from tocsin.cli.options import Beside, How, When
from tocsin.client import Client
from tocsin.vocabulary.kinds import snake

JSON = {"Content-Type": "application/json"}

EVERY_SO_MANY = 9
"""Of the wrong values of a field: the parse functions are tried with all, and there is one road to them."""

SLOTS = [slot for slot in slots() if slot.form in ("", "every", "cron", "everyMonths", "webhook", "any everyYears")]


def sendable(value: Any) -> bool:
    """Whether a client can send it: what JSON lacks is refused before, as what it is."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (ValueError, TypeError):
        return False


def saved(client: Client) -> tuple[Any, ...]:
    """All that making a task would change."""
    page = client.call("list_tasks", limit=1000)
    return page["totalSize"], [(task["itemId"], task["revision"], task["phase"]) for task in page["list"]]


@pytest.fixture(scope="module")
def target(running: Running) -> str:
    """A task to be edited."""
    with Client(running.url, running.token) as client:
        made: dict[str, Any] = client.call(
            "add_task", body=GOOD | {"name": "target", "trigger": {"at": "2035-01-01T00:00:00Z"}}
        )
    return str(made["itemId"])


def test_rest_refuses_and_saves_nothing(running: Running, client: Client, target: str) -> None:
    before = saved(client)
    headers = {"Authorization": f"Bearer {running.token}"}
    tried = 0
    with httpx.Client(base_url=running.url, headers=headers, trust_env=False, timeout=30) as http:
        for number, slot in enumerate(SLOTS):
            for value in wrong_values(slot)[number % EVERY_SO_MANY :: EVERY_SO_MANY]:
                if not sendable(value):
                    continue
                body = slot.body(value)
                changed = {slot.path.split(".")[0].split("[")[0]: body[slot.path.split(".")[0].split("[")[0]]}
                for method, path, sent in (("POST", "/api/tasks", body), ("PUT", f"/api/tasks/{target}", changed)):
                    answer = http.request(method, path, content=json.dumps(sent), headers=JSON)
                    told = answer.json()
                    assert (answer.status_code, told["code"]) in ((400, "400"), (413, "413")), (slot.path, value, told)
                    assert slot.path in told["message"], (slot.path, value, told)
                    tried += 1
    assert tried > 500
    assert saved(client) == before


@pytest.mark.parametrize(
    "content",
    [
        b'{"name": NaN}', b'{"name": "a", "name": "b"}', b"\xff\xfe", b"[" * 100_000, b'{"name": "\\ud800"', b"nul", b'"x"',
        b"[1]", b"", b"null", b'{"name": 1e999}', b'{"policies": {"priority": ' + b"9" * 5_000 + b"}}",
        b'{"name": "\xed\xa0\x80"}',
    ],
    ids=lambda content: repr(content[:30]),
)  # fmt: skip
def test_what_is_no_json_object_is_refused(running: Running, client: Client, content: bytes) -> None:
    before = saved(client)
    headers = {"Authorization": f"Bearer {running.token}", "Content-Type": "application/json"}
    answer = httpx.post(f"{running.url}/api/tasks", content=content, headers=headers, trust_env=False)
    assert answer.status_code == 400
    assert answer.json()["message"].isprintable()
    assert saved(client) == before


def options() -> list[str]:
    """Every option that takes a value."""
    named = {"in_": "in", "max_runs": "times"}
    return [
        f"--{named.get(field.name, field.name.replace('_', '-'))}"
        for kind in (When, How, Beside)
        for field in attrs.fields(kind)
        if field.type != "bool" and "bool" not in str(field.type)
    ]


HOSTILE = ("\x1b[31m", "x" * 3_000)
NEEDED = {"--extra-type": ["--extra", "/dev/null"], "--depends-mode": ["--depends-on", "nobody"]}


@pytest.mark.parametrize("option", options())
def test_the_command_line_refuses_and_saves_nothing(shell: Shell, client: Client, option: str) -> None:
    before = saved(client)
    for value in ("", HOSTILE[len(option) % len(HOSTILE)]):
        when = [] if option in ("--every", "--cron", "--at", "--in") else ["--every", "1h"]
        code, out, err = shell(
            "task", "add", "bad", "--type", "greet", *when, *NEEDED.get(option, ()), f"{option}={value}"
        )
        assert (code, out) in ((2, ""), (7, "")), (option, value, err)
        assert err.startswith("tocsin: ")
        assert err.count("\n") == 2
        assert "\x1b" not in err
    assert saved(client) == before


def test_the_command_line_edits_or_refuses(shell: Shell, client: Client, target: str) -> None:
    changed = shell.json(
        "task", "edit", target, "--name", "renamed", "--timeout", "1m", "--label", "team=a", "--concurrency-key", "k"
    )
    assert (changed["name"], changed["policies"]["timeout"], changed["labels"]) == ("renamed", "1m", {"team": "a"})
    gone = shell.json("task", "edit", "renamed", "--unset", "timeout", "--unset", "concurrency", "--cron", "H H * * *")
    assert (gone["policies"]["timeout"], gone["policies"]["concurrency"]) == (None, None)
    assert gone["trigger"]["cron"] == "H H * * *"
    monthly = shell("task", "edit", "renamed", "--every-months", "1", "--day", "last", "--at", "09:30", "--times", "12")
    assert (monthly[0], monthly[2]) == (0, "")
    added = shell("task", "add", "monthly", "--type", "greet", "--every-months", "1", "--at", "09:30")
    assert (added[0], added[2]) == (0, "")
    before = saved(client)
    for wrong in (["--if-version", "1"], ["--unset", "name"], ["--name", " x"], ["--overlap-limit", "3"]):
        code, _, err = shell("task", "edit", "renamed", *wrong)
        assert code in (2, 6), err
    assert saved(client) == before
    shell.json("task", "edit", "renamed", "--name", "target", "--at", "2035-01-01T00:00:00Z")


def test_a_definition_that_is_shown_can_be_sent_back(client: Client) -> None:
    body = GOOD | {
        "name": "shown",
        "trigger": {"any": [{"everyMonths": 1, "day": "last", "at": "18:00"}, {"cron": "H 3 * * *"}], "maxRuns": 3},
        "policies": {"catchUp": "all", "catchUpRate": "7/m", "concurrency": "db"},
        "labels": {"team": "a"},
        "extra": {"data": "AP8NCg=="},
        "events": [{"name": "e", "actions": [{"kind": "topic", "name": "t"}]}],
    }
    made = client.call("add_task", body=body)
    shown = client.call("show_definition", task=made["itemId"])
    edited = client.call("edit_task", task=made["itemId"], body=shown)
    assert client.call("show_definition", task=made["itemId"]) == shown
    assert edited["trigger"] == made["trigger"]
    again = client.call("add_task", body=shown | {"name": "shown again"})
    assert client.call("show_definition", task=again["itemId"]) == shown | {"name": "shown again"}
    for task in (made, again):
        client.call("cancel_task", task=task["itemId"], permanent=True)


def test_names_in_snake_case_are_unknown_with_a_suggestion(client: Client) -> None:
    for slot in SLOTS:
        if isinstance(slot, Slot) and "." in slot.path and snake(slot.field.key) != slot.field.key and not slot.form:
            outer, _, _ = slot.path.rpartition(".")
            if outer != "policies":
                continue
            with pytest.raises(ValueError, match=f"did you mean '{slot.field.key}'"):
                client.call("add_task", body=GOOD | {"policies": {snake(slot.field.key): 1}})
