"""`tocsin rehearse FILE`: it tells what would happen, and nothing of it does."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from runtime.errors import InvalidRequest
from runtime.simulation import DEFAULT_START
from tocsin.rehearsal.plan import Fault, FaultKind
from tocsin.rehearsal.users.assumptions import Assumptions
from tocsin.rehearsal.users.faults import read_faults, read_skews
from tocsin.rehearsal.users.seen import learn

NODES = ("n1", "n2", "n3")
ROOT = Path(__file__).parent.parent.parent
HANG_SECONDS = 900.0


@attrs.define
class Listener:
    """A really listening socket that counts who comes."""

    port: int
    connections: int = 0


@pytest.fixture
def listener() -> Iterator[Listener]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        found, over = Listener(server.getsockname()[1]), threading.Event()

        def accept() -> None:
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                found.connections += 1
                connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield found
        finally:
            over.set()
            thread.join()


def rehearse(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tocsin", "rehearse", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=HANG_SECONDS, check=False)


def told(*arguments: str, cwd: Path = ROOT) -> Any:
    done = rehearse(*arguments, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def write(directory: Path, trace: Path, port: int) -> tuple[str, str]:
    """A file of handlers and a file of tasks, each of which would leave a trace if it were carried out."""
    python, tasks = directory / "jobs.py", directory / "tasks.json"
    python.write_text(
        f"""
import pathlib

import tocsin

TRACE = pathlib.Path({str(trace)!r})


@tocsin.task("report", cron="0 3 * * *", retry=tocsin.Retry(max_retries=2, delay="1m"))
async def report(ctx):
    TRACE.write_text("the handler ran")


@tocsin.task("plain", every="6h")
def plain(ctx):
    TRACE.write_text("the plain handler ran")


@tocsin.on_outcome
def outcome(settled):
    TRACE.write_text("the hook on outcomes ran")


@tocsin.before
def before(ctx):
    TRACE.write_text("the hook before attempts ran")


tocsin.declare("touch", "command", every="4h", parameters={{"argv": ["touch", str(TRACE)]}})
tocsin.declare("call", "http", every="4h", parameters={{"url": "http://127.0.0.1:{port}/"}})
""",
        encoding="utf-8",
    )
    hook = {"kind": "webhook", "url": f"http://127.0.0.1:{port}/hook"}
    mail = {"kind": "email", "to": ["ops@example.com"]}
    event = {"name": "told", "on": ["COMPLETED", "FAILED", "skipped"], "actions": [hook, mail]}
    body = {"name": "with events", "taskType": "command", "trigger": {"every": "12h"}, "events": [event]}
    tasks.write_text(json.dumps([body | {"parameters": {"argv": ["touch", str(trace)]}}]), encoding="utf-8")
    return str(python), str(tasks)


def test_nothing_leaves_a_trace_in_thirty_days(tmp_path: Path, listener: Listener) -> None:
    trace = tmp_path / "trace"
    files = write(tmp_path, trace, listener.port)
    found = told(*files, "--from", "2026-03-01", "--days", "30", "--failures", "report=0.2", cwd=tmp_path)
    assert {one["name"]: one["due"] for one in found["tasks"]} == {
        "report": 30,
        "plain": 119,
        "touch": 179,
        "call": 179,
        "with events": 59,
    }
    assert found["totals"]["fired"] == found["totals"]["due"]
    assert found["actions"] == {
        f"webhook POST http://127.0.0.1:{listener.port}/hook": 59,
        "mail to ops@example.com": 59,
    }
    assert found["checker"]["good"], found["checker"]
    assert not trace.exists()
    assert listener.connections == 0
    assert {one.name for one in tmp_path.iterdir()} <= {"__pycache__", "jobs.py", "tasks.json"}


def test_the_examples_can_be_rehearsed_with_faults() -> None:
    """What a new user would try first, and what it says."""
    done = rehearse(
        "examples/nightly.py",
        *("--from", "2026-03-20", "--days", "15", "--nodes", "3"),
        *("--kill", "n2@2026-03-29T00:30:2h", "--freeze", "n1@10d:1h", "--partition", "n1|n3@12d:10m"),
        *("--lose-store", "n3@14d:5m", "--durations", "warehouse.load=30m-90m", "--checkpoints", "warehouse.load=5m"),
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Rehearsed Fri 2026-03-20 00:00 to Sat 2026-04-04 00:00 UTC: 15 days, 3 nodes, seed 0;")
    for heading in (
        "Task type",
        "Task ",
        "Starts by hour",
        "Starts by minute of the hour",
        "Busiest minute:",
        "Most at once:",
        "What went wrong on purpose, and what it cost",
    ):
        assert any(line.startswith(heading) for line in lines), heading
    assert sum(line[:3] in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun") for line in lines) == 15, "a line a day"
    [killed] = [line for line in lines if "kill n2, for 2.0 h" in line]
    assert "partitions had other owners after" in killed
    assert lines[-1].startswith("The checker finds nothing wrong")
    assert "\x1b" not in done.stdout, "no colours where there is no terminal"


def test_overload_is_told_with_its_reasons(tmp_path: Path) -> None:
    file = tmp_path / "jobs.py"
    file.write_text(
        "import tocsin\n"
        + "".join(
            f"tocsin.declare('t{n}', 'command', every='10m', parameters={{'argv': ['true']}})\n" for n in range(4)
        ),
        encoding="utf-8",
    )
    found = told(str(file), "--days", "0.2", "--nodes", "1", "--slots", "1", "--durations", "command=4m", cwd=tmp_path)
    assert found["load"]["peakRunning"]["number"] == found["load"]["peakRunning"]["slots"] == 1
    assert found["totals"]["late"] > 0
    assert {one["why"] for one in found["trouble"]} & {"it waited for a free slot"}
    assert found["checker"]["good"], found["checker"]


def test_calendars_zones_and_other_triggers_raise_no_false_alarm(tmp_path: Path) -> None:
    file = tmp_path / "tasks.json"
    common = {"taskType": "command", "parameters": {"argv": ["true"]}}
    triggers = {
        "zone": {"cron": "30 2 * * *", "timezone": "Europe/Berlin"},
        "calendar": {"every": "6h", "calendars": [{"calendar": "weekends", "mode": "exclude"}]},
        "spread": {"every": "1h", "spread": "20m"},
        "months": {"everyMonths": 1, "day": "last", "at": "18:00"},
        "weeks": {"everyWeeks": 1, "weekday": "mon", "at": "07:00"},
        "union": {"any": [{"every": "7h"}, {"cron": "0 12 * * *"}]},
        "delay": {"every": "45m", "fixedDelay": True},
        "hashed": {"cron": "H H * * *"},
    }
    tasks = [common | {"name": name, "trigger": trigger} for name, trigger in triggers.items()]
    calendars = {"weekends": {"weekdays": ["sat", "sun"]}}
    file.write_text(json.dumps({"tasks": tasks, "calendars": calendars}), encoding="utf-8")
    found = told(str(file), "--from", "2026-03-25", "--days", "8", "--kill", "n1@2d:3h", cwd=tmp_path)
    assert found["checker"]["good"], found["checker"]
    due = {one["name"]: one["due"] for one in found["tasks"]}
    assert due["zone"] == 8
    assert due["months"] == due["weeks"] == 1
    noted = {one.partition(":")[0] for one in found["checker"]["notes"]}
    assert noted == {"zone", "calendar", "spread", "months", "delay", "hashed"}
    [excluded] = [one for one in found["trouble"] if one["task"] == "calendar"]
    assert (excluded["number"], excluded["why"]) == (8, "a calendar excludes it")


def test_one_seed_gives_one_history(tmp_path: Path) -> None:
    files = write(tmp_path, tmp_path / "trace", 9)
    options = ("--from", "2026-03-01", "--days", "2", "--failures", "plain=0.3", "--durations", "plain=1m-2h")
    one, same, other = (told(*files, *options, "--seed", seed, cwd=tmp_path) for seed in ("1", "1", "2"))
    for found in (one, same, other):
        found.pop("realSeconds")
    assert one == same
    assert one != other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "say which file"),
        (("no.py",), "there is no file 'no.py'"),
        (("FILE", "--kill", "n9@1d"), "--kill: one of the nodes n1, n2, n3, not 'n9' in 'n9@1d'"),
        (("FILE", "--kill", "n2"), "--kill: NODE@WHEN:FOR, such as n2@3d4h:10m, not 'n2'"),
        (("FILE", "--kill", "n2@soon:1h"), "--kill: a time such as 2026-03-01T12:00:00Z, not 'soon'"),
        (("FILE", "--kill", "n2@9d", "--days", "2"), "--kill: a time within the rehearsal, not 'n2@9d'"),
        (("FILE", "--freeze", "n2@1d"), "--freeze: say for how long, such as n2@3d4h:10m, not 'n2@1d'"),
        (("FILE", "--partition", "n1@1d:1h"), "--partition: two sides, such as n1|n2,n3@3d4h:10m, not 'n1@1d:1h'"),
        (("FILE", "--skew", "n1"), "--skew: NODE=SECONDS, not 'n1'"),
        (("FILE", "--durations", "plain=long"), "'long'"),
        (("FILE", "--durations", "plain"), "--durations: TYPE=VALUE or a .toml file, not 'plain'"),
        (("FILE", "--durations", "other=1s"), "there is no task type 'other'"),
        (("FILE", "--failures", "plain=2"), "--failures: a part from 0 to 1, or 5%, not '2'"),
        (("FILE", "--days", "0"), "--days"),
        (("FILE", "--from", "yesterday"), "--from: a time such as 2026-03-01T12:00:00Z, not 'yesterday'"),
        (("FILE", "--self"), "--self rehearses Tocsin, not"),
        (("FILE", "--seeds", "3"), "go with --self"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    from tocsin.cli.main import run

    file = tmp_path / "tasks.json"
    body = {"name": "plain", "taskType": "plain", "trigger": {"every": "6h"}}
    file.write_text(json.dumps([body]), encoding="utf-8")
    assert run(["rehearse", *(str(file) if one == "FILE" else one for one in arguments)]) == 2
    assert message in capsys.readouterr().err


def test_faults_as_people_write_them() -> None:
    def read(option: str, text: str) -> list[Fault]:
        return list(read_faults(option, [text], NODES, DEFAULT_START, 10 * 86_400.0))

    assert read("--kill", "n2@1d2h:2h") == [Fault(93_600.0, FaultKind.KILL, ("n2",), 7_200.0)]
    assert read("--kill", "n2@+1d") == [Fault(86_400.0, FaultKind.KILL, ("n2",), 9 * 86_400.0)]
    assert read("--freeze", "n1@2026-01-02T03:00:30s") == [Fault(97_200.0, FaultKind.FREEZE, ("n1",), 30.0)]
    assert read("--freeze", "n1@2026-01-02T03:00+01:00:30s") == [Fault(93_600.0, FaultKind.FREEZE, ("n1",), 30.0)]
    assert [one.target for one in read("--partition", "n1|n2,n3@1h:1m")] == [("n1", "n2"), ("n1", "n3")]
    assert read("--lose-store", "all@1h:1m") == [Fault(3_600.0, FaultKind.STOP_STORE, (), 60.0)]
    assert read_skews(["n1=0.5", "n2=-250ms"], NODES) == {"n1": 0.5, "n2": -0.25}


def test_assumptions_come_from_files_and_options_and_say_so(tmp_path: Path) -> None:
    file = tmp_path / "assumed.toml"
    file.write_text("[durations]\nload = '20m'\nbrief = 3\n[failures]\nload = 0.1\n[checkpoints]\nload = '5m'\n")
    found = Assumptions()
    found.said("durations", [str(file), "brief=1m-2m"])
    assert found.of("load").as_json() == {
        "durationSeconds": [1200.0],
        "duration": "1200 s",
        "durationSource": str(file),
        "failures": 0.1,
        "failureSource": str(file),
        "checkpointSeconds": 300.0,
    }
    assert found.of("brief").words == "60 to 120 s"
    assert found.of("unknown").duration_source == "default"
    file.write_text("[duration]\nload = 1\n")
    with pytest.raises(InvalidRequest, match="a table durations, failures, checkpoints, not 'duration'"):
        found.said("durations", [str(file)])


class Remembering:
    """A node that answers with a history."""

    url = "http://node"

    def tasks(self, **filters: Any) -> list[dict[str, Any]]:
        return [{"itemId": "1", "taskType": "load"}]

    def call(self, operation: str, /, **arguments: Any) -> Any:
        runs = [
            {
                "state": "COMPLETED",
                "attempt": 1,
                "failures": 0,
                "startedAt": start,
                "endedAt": f"2026-01-01T00:0{n}:00Z",
            }
            for n, start in enumerate(["2026-01-01T00:00:00Z"] * 4, 1)
        ]
        failed = {"state": "FAILED", "attempt": 1, "failures": 1, "startedAt": None, "endedAt": None}
        return {"list": [*runs, failed]}


def test_assumptions_come_from_the_history_of_a_node() -> None:
    found = Assumptions()
    learn(found, Remembering())
    assumed = found.of("load")
    assert assumed.seconds == (60.0, 120.0, 180.0, 240.0)
    assert (assumed.failures, assumed.failure_source) == (0.2, "history of http://node")
