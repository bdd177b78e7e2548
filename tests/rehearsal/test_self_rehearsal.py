"""`tocsin rehearse --self`: seeds in processes of their own, what is told of them, and what becomes of those that fail."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from runtime.errors import InvalidRequest
from tocsin.cli import self_rehearsal
from tocsin.cli.main import run
from tocsin.cli.self_rehearsal import FAILED_EXIT, Asked, Worker, carry_out, keep, plan_in, replay, shorter, verdict_of
from tocsin.rehearsal.figures import Figures, failure
from tocsin.rehearsal.marks import MARKS, RESUMED, STALE_WRITE_REFUSED, TAKEOVER
from tocsin.rehearsal.outcome import Outcome, again, read
from tocsin.rehearsal.plan import Fault, FaultKind, Job, Knobs, Plan
from tocsin.rehearsal.plan_text import write
from tocsin.rehearsal.regression import source
from tocsin.rehearsal.swarm import SMALL, draw

GOOD = Outcome(
    1, ("a",), 100.0, 2.0, 10, 12, 3, faults={"kill": 2}, marks=(TAKEOVER, RESUMED), excused={"late": 1}, violations=()
)
BAD = attrs.evolve(GOOD, seed=2, kinds={"lost": 2}, violations=("lost: a", "lost: b"), tail=("('dead',)",), marks=())
CRASHED = Outcome(3, error="Traceback\nValueError: no")

TINY = Plan(
    7,
    nodes=2,
    partitions=2,
    seconds=60.0,
    knobs=Knobs(rhythm=1.0, heartbeat=10.0, probe=5.0),
    jobs=(Job("a", every=7.0),),
    faults=(Fault(40.0, FaultKind.KILL, ("n1",), 5.0),),
)


def fake(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Workers are this program instead."""
    usual = trio.lowlevel.open_process

    async def other(command: list[str], **options: Any) -> trio.Process:
        assert command[1:] == ["-m", "tocsin.cli.seed_worker"]
        return await usual([sys.executable, "-c", script], **options)

    monkeypatch.setattr(trio.lowlevel, "open_process", other)


ECHO = """
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    trace = "same" if asked["seed"] != 4 else os.environ["PYTHONHASHSEED"]
    print(json.dumps({"seed": asked["seed"], "traces": [trace], "cpu": 1.0, "simulated": 50.0}), flush=True)
"""

DYING = """
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked["seed"] == 2:
        sys.exit("it fell over")
    print(json.dumps({"seed": asked["seed"], "traces": ["t"]}), flush=True)
"""

HANGING = """
import json, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    while asked["seed"] == 2:
        time.sleep(1)
    print(json.dumps({"seed": asked["seed"], "traces": ["t"]}), flush=True)
"""


# -- figures


def test_the_figures_of_many_seeds() -> None:
    found = Figures([GOOD, BAD, CRASHED]).as_json()
    assert (found["seeds"], found["occurrences"], found["starts"], found["violations"]) == (3, 20, 24, 2)
    assert found["failed_seeds"] == [2, 3]
    assert found["errors"] == {"3": "ValueError: no"}
    assert found["faults"] == {"kill": 4}
    assert found["speed"] == 50.0
    assert (found["takeover_share"], found["resumed_checkpoint_share"]) == (0.333, 0.333)
    assert found["refused_stale_write_share"] == 0.0
    assert found["marks"][TAKEOVER] == 1
    assert "deterministic" not in found
    assert json.loads(json.dumps(found)) == found


def test_situations_that_were_never_reached_are_missing() -> None:
    every = attrs.evolve(GOOD, marks=tuple(mark.name for mark in MARKS if mark.name != STALE_WRITE_REFUSED))
    assert Figures([every]).missing == [STALE_WRITE_REFUSED]
    assert len(Figures([]).missing) == len(MARKS)


def test_the_report_says_what_failed_and_how_to_see_it_again() -> None:
    report = Figures([GOOD, BAD], twice=True).report()
    assert "failed seeds: 2" in report
    assert "2 lost" in report
    assert "twice the same" in report
    told = failure(BAD, replay(BAD, Asked(), None))
    assert "tocsin rehearse --self --seed 2\n" in told
    assert "lost: a" in told
    assert "('dead',)" in told
    assert "ValueError: no" in failure(CRASHED, "again")


def test_twice_means_the_same_twice() -> None:
    same, other = again(GOOD, GOOD), again(GOOD, attrs.evolve(GOOD, traces=("b",)))
    assert (same.is_good, other.is_good) == (True, False)
    assert same.cpu == 4.0
    assert Figures([same], twice=True).speed == 50.0
    assert not again(GOOD, attrs.evolve(BAD, seed=1)).is_good
    assert "not the same twice: a, b" in failure(other, "again")
    assert verdict_of(other) == "not deterministic"


def test_an_outcome_is_read_as_it_was_written() -> None:
    for one in (GOOD, BAD, CRASHED):
        assert read(json.loads(json.dumps(one.as_json()))) == one


# -- workers


def test_every_seed_is_carried_out_once_and_told_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, ECHO)
    heard: list[int] = []
    figures = carry_out(Asked(range(5, 12), jobs=3), lambda one: heard.append(one.seed))
    assert [one.seed for one in figures.outcomes] == list(range(5, 12))
    assert sorted(heard) == list(range(5, 12))
    assert figures.failed == []


def test_twice_is_in_processes_with_other_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, ECHO)
    figures = carry_out(Asked([3, 4], jobs=1, twice=True), lambda one: None)
    assert [one.is_deterministic for one in figures.outcomes] == [True, False]
    assert figures.as_json()["deterministic"] is False


def test_a_process_that_dies_fails_its_seed_only(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, DYING)
    figures = carry_out(Asked([1, 2, 3], jobs=1), lambda one: None)
    assert [one.seed for one in figures.failed] == [2]
    assert "it fell over" in figures.failed[0].error
    assert "ended with 1" in figures.failed[0].error


def test_a_seed_that_hangs_is_killed_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, HANGING)
    monkeypatch.setattr(self_rehearsal, "GRACE_SECONDS", 0.5)
    figures = carry_out(Asked([2, 3], jobs=1, deadline=0.5), lambda one: None)
    assert [one.is_good for one in figures.outcomes] == [False, True] or figures.outcomes[1].error
    assert f"ended with {-signal.SIGKILL}" in figures.outcomes[0].error


async def test_no_process_outlives_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, HANGING)
    processes: list[trio.Process] = []
    begin = Worker._begin

    async def noted(worker: Worker) -> trio.Process:
        processes.append(await begin(worker))
        return processes[-1]

    monkeypatch.setattr(Worker, "_begin", noted)
    with trio.move_on_after(1.0) as scope:
        await self_rehearsal._carry_out(Asked([2, 2], jobs=2, deadline=1000.0), lambda one: None)
    assert scope.cancelled_caught
    assert len(processes) == 2
    with trio.fail_after(10.0):
        for process in processes:
            await process.wait()
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)


# -- a real worker, by the command line


def test_a_plan_is_carried_out_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(source(TINY, "lost"))
    assert plan_in(file) == TINY
    assert run(["rehearse", "--self", "--plan", str(file), "--twice", "--json", "--jobs", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["seeds"], found["violations"], found["deterministic"]) == (1, 0, True)
    assert found["occurrences"] > 5
    assert found["faults"] == {"kill": 1}
    assert found["marks"][TAKEOVER] == 1
    assert found["speed"] > 0


def test_a_seed_that_takes_too_long_says_where_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["rehearse", "--self", "--seed", "3", "--size", "small", "--deadline", "0.5"]
    assert run(command) == FAILED_EXIT
    shown = capsys.readouterr().out
    assert "failed seeds: 3" in shown
    assert "the deadline has passed" in shown
    assert "tocsin rehearse --self --seed 3 --size small" in shown
    assert 'File "' in shown


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--self", "--seeds", "0"],
        ["--self", "--from", "x"],
        ["--self", "--plan", "/nowhere"],
        ["--self", "--jobs", "-1"],
    ],
)
def test_what_is_not_understood_is_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rehearse", *options]) not in (0, FAILED_EXIT)
    assert capsys.readouterr().err.startswith("tocsin: ")


def test_a_file_without_a_plan_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "plan.txt"
    file.write_text("import os\nos.abort()")
    with pytest.raises(InvalidRequest, match="holds no plan"):
        plan_in(file)
    file.write_text(write(TINY))
    assert plan_in(file) == TINY


# -- shrinking


def test_a_failed_seed_is_made_shorter_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where each kill loses something, one kill is left."""

    def judged(asked: Asked, show: Any) -> Figures:
        plan = asked.plan
        assert plan is not None
        killed = any(fault.kind is FaultKind.KILL for fault in plan.faults)
        return Figures([attrs.evolve(BAD if killed else GOOD, seed=plan.seed)])

    monkeypatch.setattr(self_rehearsal, "carry_out", judged)
    seed = next(
        seed for seed in range(1, 50) if sum(one.kind is FaultKind.KILL for one in draw(seed, SMALL).faults) > 1
    )
    said: list[str] = []
    one = attrs.evolve(BAD, seed=seed)
    plan, test = shorter(one, Asked([seed], size="small"), 300, said.append)
    assert [fault.kind for fault in plan.faults] == [FaultKind.KILL]
    assert plan.jobs == plan.calls == ()
    assert said
    file = keep(plan, test, one, tmp_path / "new")
    assert file.name == f"test_seed_{seed}_lost.py"
    assert plan_in(file) == plan
    assert "lost: a" in file.read_text()
