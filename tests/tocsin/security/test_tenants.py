"""Whose tenant a command is about, and how much one tenant may ask."""

from __future__ import annotations

import os

import attrs
import pytest

from tests.tocsin.access.kit import TASK, Person
from tests.tocsin.cli.kit import Shell
from tests.tocsin.conftest import Running, settings
from tocsin import SyncClient
from tocsin.cli.connection import TENANT
from tocsin.settings.config import load_config


def test_the_command_line_is_about_the_tenant_that_is_named(
    shell: Shell, root: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = root.with_token(role="operator", tenant="acme")
    made = acme.make("/api/tasks", {**TASK, "name": "of acme"})
    assert shell("task", "show", "of acme")[0] == 5
    for first in (["--tenant", "acme"], ["--tenant=acme"]):
        code, out, err = shell(*first, "task", "show", "of acme")
        assert code == 0 and made["itemId"] in out, err
        assert TENANT not in os.environ
    monkeypatch.setenv(TENANT, "acme")
    assert shell("task", "show", "of acme")[0] == 0
    assert shell("--tenant", "globex", "task", "show", "of acme")[0] == 5
    assert os.environ[TENANT] == "acme"
    assert [row["name"] for row in shell.json("task", "list")["list"]] == ["of acme"]
    assert shell("task", "add", "mine", "--type", "greet", "--in", "1h")[0] == 0
    assert acme.send("GET", "/api/task?reference=mine").json()["tenant"] == "acme"


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (["--tenant"], "name of a tenant"),
        (["--tenant", "x" * 600], "TOCSIN_TENANT"),
        (["--tenant", "caf\u00e9"], "ASCII"),
    ],
)
def test_a_tenant_that_cannot_be_is_refused(shell: Shell, first: list[str], words: str) -> None:
    code, _, err = shell(*first, "task", "list") if len(first) > 1 else shell(*first)
    assert code == 2 and words in err


def test_a_token_of_one_tenant_names_no_other(shell: Shell, root: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    acme = root.with_token(role="viewer", tenant="acme")
    monkeypatch.setenv("TOCSIN_TOKEN", acme.token or "")
    assert shell("--tenant", "acme", "task", "list")[0] == 0
    code, _, err = shell("--tenant", "globex", "task", "list")
    assert code != 0 and "acme" in err


def test_a_client_of_python_takes_it_from_the_environment(root: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    root.with_token(role="operator", tenant="initech").make("/api/tasks", {**TASK, "name": "of initech"})
    monkeypatch.setenv(TENANT, "initech")
    with SyncClient(root.url, root.token) as client:
        assert [task.name for task in client.tasks()] == ["of initech"]
    assert load_config({TENANT: "initech"}, None).config.listen.is_loopback, "it is no setting of a node"


def test_a_tenant_with_many_tokens_is_slowed_down_and_others_are_not(running: Running, root: Person) -> None:
    node = Running(running.data / "limited")
    node.data.mkdir()
    node.start(attrs.evolve(settings(node.data), tenant_rate=1, tenant_burst=5))
    try:
        first = Person(node.url, node.token)
        many = [first.with_token(role="viewer", tenant="acme") for _ in range(5)]
        answers = [person.send("GET", "/api/version") for person in many for _ in range(4)]
        slowed = [one for one in answers if one.status_code == 429]
        assert len(slowed) >= 5 and int(slowed[0].headers["retry-after"]) >= 1
        assert "tenant" in slowed[0].json()["message"]
        assert first.with_token(role="viewer", tenant="globex").send("GET", "/api/version").status_code == 200
        assert all(first.send("GET", "/api/version").status_code == 200 for _ in range(10)), "who belongs to none"
    finally:
        node.stop()
