"""The queue on the command line."""

from __future__ import annotations

from tests.tocsin.cli.kit import Shell
from tests.tocsin.queue.test_queue import add, save, take
from tocsin.client import Client


def test_jobs_are_listed_shown_renamed_and_flushed(client: Client, shell: Shell) -> None:
    add(client, "page 1", "print", parameters={"page": 1})
    add(client, "page 2", "print", parameters={"page": 2})
    job = take(client, "print", "ann")
    code, out, _ = shell("queue", "jobs", "--type", "print")
    assert code == 0
    assert "Showing 2 of 2 tasks that workers do" in out
    [row] = [line for line in out.splitlines() if "ann" in line]
    assert job["job"] in row
    assert shell.json("queue", "jobs", "--type", "worker:print", "--limit", "1")["totalSize"] == 2
    code, out, _ = shell("queue", "data", job["job"])
    assert code == 0
    assert "ann" in out
    assert "worker:print" in out
    assert shell.json("queue", "data", job["job"])["definition"]["parameters"] == job["parameters"]
    assert shell("queue", "rename", job["task"], "page one")[1] == f"{job['task']} is page one now\n"
    save(client, job, status="completed", result=7)
    assert "7" in shell("queue", "data", job["job"])[1]
    assert shell.json("queue", "flush", "--older-than", "1h") == {"tasks": 0, "jobs": 0, "complete": True}
    assert shell("queue", "flush")[1].startswith("1 tasks removed")
    other = "page 2" if job["task"] == "page 1" else "page 1"
    assert shell("queue", "delete", other)[1] == f"{other} deleted\n"
    assert shell("queue", "jobs", "--type", "print")[1] == "Showing 0 of 0 tasks that workers do\n"


def test_what_is_wrong_is_said(shell: Shell) -> None:
    assert shell("queue", "jobs", "--level", "none")[0] == 2
    assert shell("queue", "data", "019a0000-0000-7000-8000-000000000000")[0] == 5
