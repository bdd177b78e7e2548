"""The command line: most commands in this process against a node in a thread, a node of its own for `up`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tocsin.cli.kit import Shell
from tocsin.cli.output import print_error, print_facts, print_json, print_table, show_time
from tocsin.client import Client
from tocsin.operations.error_table import ERRORS, row_of
from tocsin.settings.config import load_config


def until(ask: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 20
    while not good(found := ask()):
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def test_add_says_everything_that_was_typed(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "extra.bin").write_bytes(b"\x00\x01")
    made = shell.json(
        "task", "add", "typed", "--cron", "30 2 * * mon-fri", "--timezone", "Europe/Berlin", "--start",
        "2030-01-01 00:00", "--end", "2031-01-01T00:00:00Z", "--times", "12", "--type", "greet", "--params",
        '{"region": "us"}', "--memory", "--retries", "5", "--retry-delay", "30s", "--backoff", "exponential",
        "--timeout", "1m", "--overlap", "queue", "--catch-up", "all", "--lateness-limit", "1h", "--on-crash", "hold",
        "--priority", "1", "--tag", "a", "--tag", "b", "--extra", str(tmp_path / "extra.bin"), "--extra-type", "text/plain",
    )  # fmt: skip
    trigger = made["trigger"]
    assert (trigger["cron"], trigger["timezone"], trigger["maxRuns"]) == ("30 2 * * mon-fri", "Europe/Berlin", 12)
    assert (trigger["start"], trigger["end"]) == ("2029-12-31T23:00:00Z", "2031-01-01T00:00:00Z")
    assert (made["parameters"], made["persistent"], made["tags"]) == ({"region": "us"}, False, ["a", "b"])
    assert made["extra"] == {"contentType": "text/plain", "size": 2}
    policies = made["policies"]
    assert (policies["retry"]["maxRetries"], policies["retry"]["delay"]) == (5, "30s")
    words = [policies[key] for key in ("timeout", "overlap", "catchUp", "latenessLimit", "onCrash", "priority")]
    assert words == ["1m", "queue", "all", "1h", "hold", 1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["task", "add", "x"], 2, "say when"),
        (["task", "add", "x", "--every", "1s"], 2, "say what"),
        (["task", "add", "x", "--times", "3", "--type", "greet"], 2, "say when"),
        (["task", "add", "x", "--every", "1s", "--at", "2030-01-01", "--type", "greet"], 2, "exactly one of"),
        (["task", "add", "x", "--every", "fast", "--type", "greet"], 2, "'fast'"),
        (["task", "add", "x", "--at", "noon", "--type", "greet"], 2, "--at: a time such as '2026-03-01 12:00'"),
        (["task", "add", "x", "--every", "1s", "--end", "noon", "--type", "greet"], 2, "--end: a time such as"),
        (["calendar", "put", "x", "--ics", "x", "--weekday", "sun"], 2, "--ics and --weekday: one of them"),
        (["task", "add", "x", "--every", "1s", "--type", "none"], 2, "unknown type 'none'"),
        (["task", "add", "x", "--every", "1s", "--type", "greet", "--params", "{"], 2, "--params: not JSON"),
        (["task", "add", "x", "--every", "1s", "--type", "greet", "--params", "@/no/such"], 2, "/no/such"),
        (["task", "add", "x", "--every", "1s", "--type", "greet", "--extra", "/no/such"], 2, "/no/such"),
        (["task", "add", "x", "--every", "1s", "--type", "greet", "--priority", "99"], 2, "priority"),
        (["task", "add", "x", "--every", "1s", "--type", "greet", "--", "sh"], 2, "does not go with --type greet"),
        (["task", "add", "x", "--evry", "1s"], 2, "Unknown option '--evry'; did you mean '--every'?"),
        (["task", "list", "--status", "asleep"], 2, "'asleep'"),
        (["task", "list", "--limit", "x"], 2, "--limit"),
        (["task", "show", "no such"], 5, "no such"),
        (["task", "cancel", "no such"], 5, "no such"),
        (["task", "logs", "no such"], 5, "no task or execution 'no such'"),
        (
            ["task", "add", "x", "--every", "1s", "--type", "greet", "--exclude", "free:sideways"],
            2,
            "shift: one of skip, next, previous, not 'sideways'",
        ),
        (["task", "wake"], 2, "Unknown command"),
        (["cron", "next", "99 * * * *"], 2, "99"),
        (["cron", "next", "* * * * *", "--timezone", "Moon"], 2, "Moon"),
        (["cron", "next", "* * * * *", "--count", "0"], 2, "--count"),
        (["config", "--listen", "x"], 2, "listen: HOST:PORT"),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, list) else "",
)
def test_wrong_input_has_its_exit_code_and_one_line(shell: Shell, arguments: list[str], code: int, words: str) -> None:
    before = shell.json("task", "list", "--limit", "0")["totalSize"]
    got, out, err = shell(*arguments)
    assert (got, out) == (code, "")
    assert words in err
    assert err.startswith("tocsin: ")
    assert [line.startswith("    try: ") for line in err.splitlines()] == [False, True]
    assert shell.json("task", "list", "--limit", "0")["totalSize"] == before


def test_errors_are_json_when_asked(shell: Shell) -> None:
    code, _, err = shell("task", "show", "no such", "--json")
    assert code == 5
    assert json.loads(err).keys() == {"error", "code", "message"}
    assert json.loads(err)["code"] == "404"


def test_the_list_has_the_seeds_columns_and_footer(shell: Shell) -> None:
    shell("task", "add", "stored", "--every", "1h", "--type", "greet")
    shell("task", "add", "held", "--every", "1h", "--type", "greet", "--memory")
    code, out, _ = shell("task", "list", "--sort", "name")
    lines = out.splitlines()
    assert code == 0
    columns = [column.strip() for column in lines[0].split("│")]
    assert columns[:7] == ["ID", "Type", "Status", "Next Run", "Last Run", "Failures", "Persistent"]
    assert set(lines[1]) == {"─", "┼"}
    assert any("Memory" in line and line.endswith("held") for line in lines)
    assert any("Storage" in line and line.endswith("stored") for line in lines)
    assert "in storage" in lines[-1]
    assert shell("task", "list", "--type", "none")[1] == "No tasks found.\n"


def test_a_task_goes_through_its_life(shell: Shell) -> None:
    shell("task", "add", "life", "--every", "1h", "--type", "greet")
    _, out, _ = shell("task", "show", "life")
    assert "every 1h, counted from" in out
    code, out, err = shell("task", "run", "life", "--follow", "--params", '{"region": "us"}')
    assert code == 0
    assert "hello us" in out
    assert "COMPLETED after 1 attempt" in err
    assert "hello us" in shell("task", "logs", "life")[1]
    assert "COMPLETED" in shell("task", "history", "life")[1]
    assert shell("task", "history", "life", "--ledger")[0] == 0
    assert "paused" in shell("task", "pause", "life", "--note", "holiday")[1]
    assert "(holiday)" in shell("task", "show", "life")[1]
    assert shell("task", "next", "life")[1].splitlines()[-1] == "No run is planned: the task is paused."
    assert "activated" in shell("task", "activate", "life", "--cron", "0 0 1 1 *")[1]
    assert len(shell.json("task", "next", "life", "--count", "3")["list"]) == 3
    assert shell("task", "resume", "life")[0] == 6
    assert shell("task", "retry", "life")[0] == 6
    assert "CANCELLED" in shell("task", "cancel", "life")[1]
    code, _, err = shell("task", "delete", "life")
    assert (code, "--yes" in err) == (2, True)
    assert shell("task", "delete", "life", "--yes")[0] == 0
    assert shell("task", "show", "life")[0] == 5


def test_the_exit_code_of_a_followed_run_tells_how_it_ended(shell: Shell) -> None:
    shell("task", "add", "breaks", "--every", "1h", "--type", "fail", "--retries", "0")
    code, _, err = shell("task", "run", "breaks", "--follow")
    assert code == 20
    assert "FAILED after 1 attempt: ValueError: boom\n  at conftest.py:" in err
    execution = shell.json("task", "history", "breaks")["list"][0]["id"]
    assert shell("task", "logs", execution, "--follow")[0] == 20
    assert shell("task", "retry", "breaks", "--reset")[0] == 0


def test_a_followed_run_is_a_json_object_a_line_when_asked(shell: Shell) -> None:
    shell("task", "add", "streamed", "--every", "1h", "--type", "greet")
    code, out, _ = shell("task", "run", "streamed", "--follow", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [line["text"] for line in lines[:-1]] == ["hello eu"]
    assert (lines[-1]["state"], lines[-1]["result"]["region"]) == ("COMPLETED", "eu")


def test_a_bar_is_drawn_on_a_terminal(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell("task", "add", "drawn", "--every", "1h", "--type", "greet")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    code, out, err = shell("task", "run", "drawn", "--follow")
    assert code == 0
    assert "hello eu" in out
    assert "COMPLETED after 1 attempt" in err


def test_a_cancelled_execution_leaves_its_task(shell: Shell) -> None:
    shell("task", "add", "long", "--every", "1h", "--type", "wait")
    execution = shell.json("task", "run", "long")["id"]
    assert shell("task", "cancel", execution)[0] == 0
    assert shell("task", "logs", execution, "--follow")[0] == 21
    assert shell.json("task", "show", "long")["phase"] == "active"


def test_why_is_told_in_words(shell: Shell) -> None:
    shell("task", "add", "asked", "--every", "1s", "--times", "1", "--type", "greet")
    until(lambda: shell.json("task", "show", "asked")["status"], lambda status: status == "COMPLETED")
    code, out, _ = shell("task", "why", "asked", "--utc")
    assert code == 0
    assert "runs every 1s" in out
    assert "ended COMPLETED" in out
    nominal = shell.json("task", "why", "asked")["nominal"]
    assert shell("task", "why", "asked", nominal, "--utc")[1] == out
    assert "will not fire" in shell("task", "why", "asked", "2090-01-01T00:00:00Z")[1]


def test_cron_next_needs_no_node(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TOCSIN_URL", "http://127.0.0.1:1")
    shell = Shell(capsys)
    arguments = ["30 2 * * *", "--timezone", "Europe/Berlin", "--after", "2026-03-28T00:00:00", "--count", "3"]
    _, out, _ = shell("cron", "next", *arguments)
    lines = out.splitlines()
    assert lines[1:4] == ["2026-03-28 02:30:00 +01:00", "2026-03-29 03:00:00 +02:00", "2026-03-30 02:30:00 +02:00"]
    assert lines[4].startswith(
        "Clocks in Europe/Berlin change at 2026-03-29 03:00:00 +02:00 from +01:00 to +02:00: times"
    )
    assert "run when the gap ends" in lines[4]
    assert shell.json("cron", "next", *arguments)["list"][1] == "2026-03-29T01:00:00Z"
    code, _, err = shell("task", "list")
    assert (code, "no token" in err or "no node" in err) == (3, True) or code == 13


def test_without_a_node_the_way_to_one_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("TOCSIN_URL", "TOCSIN_TOKEN", "TOCSIN_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    code, _, err = Shell(capsys)("task", "list")
    assert code == 13
    assert "tocsin up" in err


def test_config_tells_values_and_origins(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tocsin.toml").write_text("[executor]\nslots = 7\n")
    monkeypatch.setenv("TOCSIN_NAME", "n2")
    found = shell.json("config", "--listen", "127.0.0.1:9")
    assert (found["executor.slots"]["value"], found["executor.slots"]["origin"]) == ("7", "tocsin.toml")
    assert (found["name"]["value"], found["name"]["origin"]) == ("n2", "TOCSIN_NAME")
    assert (found["listen"]["value"], found["listen"]["origin"]) == ("127.0.0.1:9", "command line")
    assert found["drain.timeout"]["origin"] == "default"
    assert "executor.slots" in shell("config")[1]


def test_versions(shell: Shell) -> None:
    assert shell.json("version").keys() == {"tocsin", "python", "timezoneDatabase"}
    assert shell("version")[1].startswith("tocsin ")


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "B"), [("x\x1b[31m", None), ("y" * 100, 5)])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert max(len(line) for line in out.splitlines()) < 80


def test_times_are_local_or_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert show_time("2026-07-01T12:00:00Z", utc=False) == "2026-07-01 14:00:00"
        assert show_time("2026-07-01T12:00:00.250Z", utc=True, exact=True) == "2026-07-01 12:00:00.250 UTC"
        assert show_time(None, utc=True) == "-"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_table_of_errors_gives_each_class_its_own_meaning() -> None:
    for row in ERRORS:
        assert row_of(row.error("x")) == row
    assert row_of(ZeroDivisionError()).status == 500


def test_help_loads_no_server() -> None:
    script = (
        "import sys; from tocsin.cli.main import run; code = run(['--help']); "
        "print([name for name in ('trio', 'litestar', 'hypercorn', 'httpx', 'sqlite3') if name in sys.modules]); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def up(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "tocsin.toml").write_text('data = "data"\nlisten = "127.0.0.1:0"\n')
    (tmp_path / "work.py").write_text(
        "import tocsin\n@tocsin.task('declared', every='1h', tags=('x',))\nasync def declared(ctx): return 1\n"
    )
    arguments = [sys.executable, "-m", "tocsin", "up", "work.py"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    process = subprocess.Popen(
        arguments, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = [process.stdout.readline()]
    assert "Tocsin is up" in said[0], process.communicate()
    while "stop" not in said[-1]:
        said.append(process.stdout.readline())
    assert any("tocsin task list" in line for line in said)
    assert re.search(r"REST +(http://127\.0\.0\.1:\d+)/api +\(described at \1/api/docs\)", "".join(said))
    yield process
    process.kill()
    process.communicate()


def test_up_serves_until_it_is_told_to_stop(up: subprocess.Popen[str], tmp_path: Path) -> None:
    with Client(data=tmp_path / "data") as client:
        declared = client.call("show_task", task="declared")
        assert (declared["trigger"]["every"], declared["tags"]) == ("1h", ["x"])
        client.call(
            "add_task",
            body={"taskType": "command", "name": "c", "trigger": {"every": "1h"}, "parameters": {"argv": ["true"]}},
        )
    second = subprocess.run(
        [sys.executable, "-m", "tocsin", "up", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert second.returncode == 12
    assert str(tmp_path / "data") in second.stderr
    assert second.stderr.strip().count("\n") == 1
    up.send_signal(signal.SIGTERM)
    _, err = up.communicate(timeout=60)
    assert up.returncode == 0, err
    assert "draining" in err
    assert not (tmp_path / "data" / "node.json").exists()


def test_an_address_that_is_taken_is_said_so(up: subprocess.Popen[str], tmp_path: Path) -> None:
    url = json.loads((tmp_path / "data" / "node.json").read_text())["url"]
    second = subprocess.run(
        [sys.executable, "-m", "tocsin", "up", "--data", str(tmp_path / "other"), "--listen", url.removeprefix("http://")],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert second.returncode == 6
    assert "is taken by another program" in second.stderr.strip().splitlines()[-2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["task", "show", "half\udc80"], "UTF-8"),
        (["task", "add", "half\udc80", "--every", "1h", "--type", "greet"], "UTF-8"),
        (["task", "list", "--text", "half\udc80"], "UTF-8"),
        (["task", "add", "x", "--every", "1h", "--type", "greet", "--params", "[" * 100_000], "nested too deeply"),
    ],
)
def test_what_no_request_can_hold_is_the_callers_mistake(shell: Shell, arguments: list[str], words: str) -> None:
    code, _, err = shell(*arguments)
    assert code == 2
    assert words in err
    assert err.count("\n") == 2


def test_a_file_that_is_no_utf8_is_refused_with_the_place(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "params.json"
    path.write_bytes(b'{"region": "\xff"}')
    code, _, err = shell("task", "add", "x", "--every", "1h", "--type", "greet", "--params", f"@{path}")
    assert code == 2
    assert "not UTF-8 at byte 12" in err


def test_a_bug_is_one_line_unless_more_is_asked_for(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("by\x1bnought")

    monkeypatch.setattr("tocsin.services.node.versions", broken)
    code, _, err = shell("version")
    assert (code, err) == (1, "tocsin: internal error: ZeroDivisionError: by?nought (TOCSIN_TRACEBACK=1 shows where)\n")
    monkeypatch.setenv("TOCSIN_TRACEBACK", "1")
    code, _, err = shell("version")
    assert code == 1
    assert "Traceback" in err
    assert "listen" in load_config({"TOCSIN_TRACEBACK": "1"}).origins


def test_no_text_takes_over_the_terminal(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    print_facts([("Note", "a\x1b[2Jb"), ("Parameters", {"a": "\x9b1"})])
    print_error("t", "1", "a\x1b[2J", as_json=False)
    print_json({"a": "\x9b"})
    said = capsys.readouterr()
    assert "a?[2Jb" in said.out
    assert json.loads(said.out[said.out.index("\n{") :]) == {"a": "\x9b"}
    assert not any(character in said.out + said.err for character in "\x1b\x9b")
    shell.json("task", "add", "noted", "--every", "1h", "--type", "greet")
    code, _, err = shell("task", "pause", "noted", "--note", "a\x1b[2J")
    assert code == 2
    assert "note: printable" in err


def test_where_a_task_runs_is_said_shown_and_changed(shell: Shell) -> None:
    made = shell.json("task", "add", "placed", "--every", "1h", "--type", "greet", "--on", "label=zone:eu,disk:ssd")
    assert made["placement"] == {
        "on": "selector",
        "nodes": None,
        "labels": {"disk": "ssd", "zone": "eu"},
        "strategy": None,
    }
    code, out, _ = shell("task", "show", "placed")
    assert code == 0
    assert "nodes with disk=ssd, zone=eu" in out
    shell.json("task", "edit", "placed", "--on", "node=n1,n2", "--strategy", "pinned")
    assert "n1, n2, chosen by pinned" in shell("task", "show", "placed")[1]
    shell.json("task", "edit", "placed", "--unset", "strategy")
    assert "chosen by" not in shell("task", "show", "placed")[1]
    code, _, err = shell("task", "edit", "placed", "--strategy", "randon")
    assert (code, "--strategy: one of least_loaded" in err, "did you mean 'random'?" in err) == (2, True, True)
    shell.json("task", "edit", "placed", "--on", "all")
    shell("task", "pause", "placed")
    code, _, err = shell("task", "activate", "placed", "--in", "1h")
    assert (code, "--on: all does not go with a trigger that fires once" in err) == (2, True)


def test_an_execution_shows_its_attempts_and_the_lines_of_the_users_own_code(shell: Shell) -> None:
    shell.json("task", "add", "tried-twice", "--every", "1h", "--type", "fail", "--retries", "1", "--retry-delay", "0s")
    execution = shell.json("task", "run", "tried-twice")["id"]
    until(lambda: shell.json("execution", "show", execution), lambda found: found["state"] == "FAILED")
    code, out, _ = shell("execution", "show", execution)
    assert code == 0
    assert len(re.findall(r"^[12] +│ FAILED +│.*ValueError: boom +│ conftest.py:\d+, in fail$", out, re.MULTILINE)) == 2
    own = re.findall(r'^File "(.+)", line \d+, in (.+)$', out, re.MULTILINE)
    assert [(file.rpartition("/")[2], function) for file, function in own] == [("conftest.py", "fail")]
    assert '    raise ValueError("boom")\nValueError: boom' in out
    assert "/actors/handling/" in shell("execution", "show", execution, "--traceback")[1]
    shown = shell("task", "show", "tried-twice")[1]
    assert re.search(r"^Failed +at conftest.py:\d+, in fail$", shown, re.MULTILINE)
    assert re.search(r'^Resumption +The last checkpoint is \{"at": 7\}\.$', shown, re.MULTILINE)


def test_an_execution_is_shown_and_explained_by_its_id(shell: Shell) -> None:
    shell.json("task", "add", "asked-by-id", "--every", "1h", "--type", "fail", "--retries", "0")
    execution = shell.json("task", "run", "asked-by-id")["id"]
    until(lambda: shell.json("task", "show", execution), lambda found: found["state"] == "FAILED")
    code, out, _ = shell("task", "show", execution)
    assert code == 0
    assert "ValueError: boom" in out
    for arguments in (("why", execution), ("why", "asked-by-id")):
        code, out, _ = shell("task", *arguments)
        assert code == 0
        assert execution in out
        assert "tocsin task retry asked-by-id" in out
        assert re.search(r"with ValueError: boom, at conftest.py:\d+, in fail", out)
    code, _, err = shell("task", "why", execution, "2026-01-01 12:00")
    assert (code, "is an execution" in err) == (2, True)
    assert shell("task", "why", "no such")[0] == 5


def test_a_time_in_the_past_runs_at_once_and_says_so(shell: Shell) -> None:
    code, out, _ = shell("task", "add", "late one", "--at", "2020-01-01T12:00:00Z", "--type", "greet")
    assert code == 0
    assert "runs at once because its time has passed" in out
    until(lambda: shell.json("task", "show", "late one"), lambda found: found["completed"] == 1)
    assert "its time had already passed when the task was made" in shell("task", "why", "late one")[1]


def test_the_ledger_is_shown_newest_first_and_says_when_it_is_cut(shell: Shell) -> None:
    for name, more in (("ledger", ()), ("ledger in memory", ("--memory",))):
        shell.json("task", "add", name, "--every", "20ms", "--type", "greet", *more)
        whole = until(
            lambda name=name: shell.json("task", "history", name, "--ledger"), lambda found: len(found["list"]) > 5
        )
        shell("task", "pause", name)
        assert whole["more"] is False
        times = [row["first"] for row in whole["list"]]
        assert times == sorted(times, reverse=True)
        cut = shell.json("task", "history", name, "--ledger", "--limit", "2")
        assert (len(cut["list"]), cut["more"]) == (2, True)
        assert cut["list"][0]["first"] >= times[0]
        assert "Showing the newest 2 rows" in shell("task", "history", name, "--ledger", "--limit", "2")[1]
        assert "Showing" not in shell("task", "history", name, "--ledger", "--limit", "900")[1]
