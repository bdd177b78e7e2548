"""The comparison with peers: its arithmetic, its table, and those of its contenders that need nothing but this project.

The peers themselves are not installed here: a run of the tests must not depend on what other projects release, and how fast
they are is not ours to assert. `./dev bench --peers --small` runs all of them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from benchmarks.peers import __main__ as command
from benchmarks.peers import environments
from benchmarks.peers.environments import OURS, REQUIREMENTS, ensure
from benchmarks.peers.report import json_lines, number, text
from benchmarks.peers.rounds import (
    CONTENDERS,
    Outcome,
    Result,
    Spread,
    judged,
    order,
    play,
    run_contender,
    spread,
    times_as_good,
)
from benchmarks.peers.servers import Servers
from benchmarks.peers.workloads import WORKLOADS, Contender, Figure, Size, Workload
from tests.source import FLOORS, ROOT, imports

SIZE = Size(1, 10, 100)
OUR = Contender("Ours", "ours", OURS, SIZE, "ours")
PEER = Contender("Peer", "peer", "huey", SIZE)
LIMIT = Contender("Limit", "limit", OURS, SIZE, "limit")
RATE, DELAY = Figure("per second"), Figure("ms", higher=False)
WORKLOAD = Workload("work", (RATE, DELAY), (OUR, PEER, LIMIT))
SCRIPTS = sorted(path for path in CONTENDERS.glob("*.py") if path.stem != "__init__")
HELPERS = {"harness", "crons"}
IN_TABLE = [contender for workload in WORKLOADS.values() for contender in workload.contenders]


def measured(rate: float, delay: float) -> Result:
    return Result({"per second": rate, "ms": delay}, done=10, cpu_us=5.0)


def outcome(*, failed: bool = False) -> Outcome:
    peer = [measured(50.0, 4.0), Result(error="gone\nKeyError: 'x'") if failed else measured(25.0, 8.0)]
    results = {"Ours": [measured(100.0, 1.0), measured(200.0, 2.0)], "Peer": peer, "Limit": [measured(200.0, 0.5)] * 2}
    return Outcome(WORKLOAD, results)


# -- arithmetic


def test_each_round_begins_with_another_contender() -> None:
    assert [order("ABC", turn) for turn in range(4)] == [list("ABC"), list("BCA"), list("CAB"), list("ABC")]


def test_a_ratio_is_above_one_where_ours_is_better() -> None:
    assert times_as_good([100.0, 200.0], [50.0, 400.0], higher=True) == [2.0, 0.5]
    assert times_as_good([1.0, 8.0], [4.0, 4.0], higher=False) == [4.0, 0.5]


def test_the_spread_is_the_median_between_lowest_and_highest() -> None:
    assert spread([3.0, 1.0, 8.0]) == Spread(3.0, 1.0, 8.0)
    assert spread([4.0]) == Spread(4.0, 4.0, 4.0)


def test_ratios_are_taken_within_a_round() -> None:
    found = outcome()
    assert found.good
    assert found.ratios(OUR, PEER, RATE) == [2.0, 8.0]
    assert found.ratios(OUR, PEER, DELAY) == [4.0, 4.0]


def test_a_contender_that_failed_once_has_no_figures() -> None:
    found = outcome(failed=True)
    assert not found.good
    assert found.values(PEER, RATE) == []
    assert found.ratios(OUR, PEER, RATE) == []
    assert found.ratios(OUR, LIMIT, RATE) == [0.5, 1.0]


def test_all_play_in_every_round() -> None:
    ran: list[str] = []

    def run(contender: Contender) -> Result:
        ran.append(contender.name)
        return measured(float(len(ran)), 1.0)

    said: list[str] = []
    found = play(WORKLOAD, 2, run, said.append)
    assert ran == ["Ours", "Peer", "Limit", "Peer", "Limit", "Ours"]
    assert found.values(OUR, RATE) == [1.0, 6.0]
    assert len(said) == 6


# -- what a process said


def test_work_that_was_done_once_counts() -> None:
    said = {"figures": {"per second": 7.0}, "expected": 3, "done": 3, "doubled": 0, "cpu_us": 2.0}
    assert judged(0, f"a library's words\n{json.dumps(said)}\n", "") == Result({"per second": 7.0}, 3, 2.0)
    assert "2 of 3 done" in judged(0, json.dumps(said | {"done": 2}), "").error
    assert "1 of them twice" in judged(0, json.dumps(said | {"doubled": 1}), "").error


def test_a_process_that_failed_does_not_count() -> None:
    assert judged(1, "", "ImportError: huey\n").error == "exit code 1: ImportError: huey"


# -- report


def test_the_text_has_medians_and_ratios() -> None:
    lines = text("some-work", outcome()).splitlines()
    assert lines[0] == "some-work: work"
    rows = [line.split() for line in lines if line.startswith("  Peer")]
    assert rows[0] == ["Peer", "10", "37.5", "25.0..50.0", "5.00", "5.00", "(2.00..8.00)"]
    assert rows[1] == ["Peer", "10", "6.00", "4.00..8.00", "5.00", "4.00", "(4.00..4.00)"]
    assert lines[-1].strip() == REQUIREMENTS["huey"][0]


def test_the_text_says_who_failed() -> None:
    assert "FAILED: KeyError: 'x'" in text("some-work", outcome(failed=True))


def test_numbers_have_three_digits() -> None:
    numbers = {0.01234: "0.0123", 1.5: "1.50", 99.94: "99.9", 99.96: "100", 12345.6: "12,346", 0.0: "0.00"}
    assert {value: number(value) for value in numbers} == numbers


def test_json_has_a_line_for_each_contender_and_figure() -> None:
    lines = [json.loads(line) for line in json_lines("some-work", outcome())]
    assert [(line["contender"], line["figure"]) for line in lines[:3]] == [
        ("Ours", "per second"), ("Ours", "ms"), ("Peer", "per second"),
    ]  # fmt: skip
    assert lines[2]["times_as_good"] == {"Ours": [2.0, 8.0]}
    assert lines[2]["values"] == [50.0, 25.0]
    assert lines[2]["done"] == [10, 10]
    assert lines[0]["times_as_good"] == {}


def test_a_failure_makes_the_command_fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "WORKLOADS", {"some-work": WORKLOAD})
    monkeypatch.setattr(command, "ensure", no_pip)
    monkeypatch.setattr(command, "run_contender", lambda *_, **__: measured(1.0, 1.0))
    assert command.main(["some-work", "--rounds", "1"]) == 0
    monkeypatch.setattr(command, "run_contender", lambda *_, **__: Result(error="gone"))
    assert command.main(["--json"]) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["errors"] == ["gone"] * 3
    with pytest.raises(SystemExit):
        command.main(["other-work"])


def no_pip(name: str) -> None:
    raise subprocess.CalledProcessError(1, "pip")


# -- the table and the scripts


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_compiles_and_is_in_the_table(script: Path) -> None:
    compile(script.read_text("utf-8"), script.name, "exec")
    assert script.stem in HELPERS or script.stem in {contender.script for contender in IN_TABLE}


@pytest.mark.parametrize("contender", IN_TABLE, ids=lambda contender: contender.name)
def test_a_row_of_the_table_can_run(contender: Contender) -> None:
    script = CONTENDERS / f"{contender.script}.py"
    assert script in SCRIPTS
    assert contender.environment == OURS or contender.environment in REQUIREMENTS
    assert contender.size.small <= contender.size.usual <= contender.size.full
    libraries = {found.library for found in imports(script.relative_to(ROOT).as_posix(), script.read_text("utf-8"))}
    assert contender.kind == "ours" or not libraries & {*FLOORS, "benchmarks"}


def test_names_are_unique_and_everybody_is_compared() -> None:
    for workload in WORKLOADS.values():
        names = [contender.name for contender in workload.contenders]
        assert len(set(names)) == len(names)
        assert {"ours", "peer"} <= {contender.kind for contender in workload.contenders}


def test_versions_are_pinned() -> None:
    assert all("==" in requirement for requirements in REQUIREMENTS.values() for requirement in requirements)


def test_an_environment_is_made_once_and_again_for_other_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[Any] = []
    monkeypatch.setattr(environments, "HOME", tmp_path)
    monkeypatch.setattr(environments.venv, "create", lambda path, **_: path.mkdir(exist_ok=True))
    monkeypatch.setattr(environments.subprocess, "run", lambda argv, **_: installed.append(argv))
    ensure(OURS)
    ensure("huey")
    ensure("huey")
    assert len(installed) == 1
    assert REQUIREMENTS["huey"][0] in installed[0]
    monkeypatch.setattr(environments, "REQUIREMENTS", {"huey": ("huey==0.1",)})
    ensure("huey")
    assert len(installed) == 2


# -- those that need no peer


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with Servers() as made:
        yield made


def without_peers() -> list[Contender]:
    """One for each script and server, with little to do."""
    found = {(contender.script, contender.server): contender for contender in IN_TABLE if contender.environment == OURS}
    few = {"tasks": 20}
    return [
        attrs.evolve(contender, options={name: few.get(name, value) for name, value in contender.options.items()})
        for contender in found.values()
    ]


@pytest.mark.parametrize("contender", without_peers(), ids=lambda contender: contender.name)
def test_a_contender_does_its_work(contender: Contender, servers: Servers) -> None:
    result = run_contender(contender, "small", servers, ())
    assert result.error == ""
    figures = next(
        workload.figures
        for workload in WORKLOADS.values()
        if contender.script in {one.script for one in workload.contenders}
    )
    assert set(result.figures) == {figure.name for figure in figures}


def test_a_server_that_is_missing_is_told_of(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.peers.servers.shutil.which", lambda program: None)
    needy = Contender("needy", "limit_sqlite", OURS, SIZE, "limit", "redis", {"batch": 1})
    assert run_contender(needy, "small", servers, ()).error == "Redis is not installed: apt-get install redis-server"


def test_a_contender_that_cannot_work_is_seen(servers: Servers) -> None:
    wrong = Contender("wrong", "limit_sqlite", OURS, SIZE, "limit", options={"batch": "many"})
    assert run_contender(wrong, "small", servers, ()).error.startswith("exit code 1")
