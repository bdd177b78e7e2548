"""Shrinking, against failures that are known beforehand, and the tests that are written of what is left."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rehearsal.mutants import MUTANTS
from tocsin.checker.checker import check
from tocsin.rehearsal.plan import Call, Fault, FaultKind, Job, Knobs, Plan
from tocsin.rehearsal.plan_text import NotAPlan, read, write
from tocsin.rehearsal.regression import file_name, source
from tocsin.rehearsal.run import rehearse
from tocsin.rehearsal.shrink import Shrinking, shrink
from tocsin.rehearsal.swarm import Size, draw

SMALL = Size(nodes=3, partitions=8, tasks=30)


def _kills(plan: Plan) -> list[Fault]:
    return [fault for fault in plan.faults if fault.kind is FaultKind.KILL]


def test_what_is_not_needed_is_left_out() -> None:
    plan = draw(5, SMALL)
    needed = plan.jobs[17]

    def fails(one: Plan) -> bool:
        return bool(_kills(one)) and any(job.name == needed.name for job in one.jobs)

    found = shrink(plan, fails, budget=1000)
    assert fails(found)
    assert [job.name for job in found.jobs] == [needed.name]
    assert [fault.kind for fault in found.faults] == [FaultKind.KILL]
    assert found.calls == ()
    assert (found.nodes, found.partitions) == (max(1, found.knobs.min_nodes), 1)
    assert found.knobs == Knobs(rhythm=plan.knobs.rhythm)
    assert found.jobs[0].policies == {}
    assert found.seconds < plan.seconds


def test_two_faults_that_need_each_other_stay() -> None:
    plan = draw(7, SMALL)
    first, second = plan.faults[0].kind, plan.faults[-1].kind

    def fails(one: Plan) -> bool:
        return {first, second} <= {fault.kind for fault in one.faults}

    assert {fault.kind for fault in shrink(plan, fails).faults} == {first, second}


def test_nodes_that_faults_hit_are_named_anew() -> None:
    fault = Fault(50.0, FaultKind.CUT, ("n5", "n3"), 4.0)
    found = shrink(Plan(1, nodes=5, faults=(fault,)), lambda one: bool(one.faults))
    assert (found.nodes, found.faults[0].target) == (2, ("n1", "n2"))


def test_calls_go_with_their_job() -> None:
    plan = Plan(
        1, jobs=(Job("a", every=5.0), Job("b", every=5.0)), calls=(Call(60.0, "run", "a"), Call(61.0, "run", "b"))
    )

    def fails(one: Plan) -> bool:
        known = {job.name for job in one.jobs}
        assert all(call.job in known for call in one.calls), "a call is about a job that is not there"
        return any(call.job == "b" for call in one.calls)

    assert [call.job for call in shrink(plan, fails).calls] == ["b"]


def test_the_search_is_the_same_every_time_and_keeps_to_its_budget() -> None:
    plan = draw(9, SMALL)
    asked: list[list[str]] = [[], []]

    def search(heard: list[str]) -> Plan:
        def fails(one: Plan) -> bool:
            heard.append(repr(one))
            return len(one.faults) > 1

        return Shrinking(fails, 30).run(plan)

    assert search(asked[0]) == search(asked[1])
    assert asked[0] == asked[1]
    assert len(asked[0]) == len(set(asked[0])) <= 30


def test_a_plan_that_does_not_fail_any_shorter_is_left_alone() -> None:
    plan = draw(3, SMALL)
    assert shrink(plan, lambda one: one == plan) == plan


@given(st.integers(1, 10_000))
def test_plans_are_read_as_they_were_written(seed: int) -> None:
    plan = draw(seed, Size(nodes=3, partitions=4, tasks=6))
    text = write(plan)
    assert read(text) == plan
    assert read(repr(plan)) == plan
    assert max(len(line) for line in text.splitlines()) <= 120


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "Plan(", "Plan()", "Job('a')", "(" * 5000),
        *("open('x')", "Plan(1, wrong=2)", "Plan(seed=__import__('os'))", "Plan(1).names"),
        "Plan(1, faults=(Fault(1.0, FaultKind.NOTHING),))",
    ],
)
def test_what_is_no_plan_is_refused_and_never_run(text: str) -> None:
    with pytest.raises(NotAPlan):
        read(text)


def test_strings_are_quoted_as_a_formatter_would() -> None:
    assert write(Job('say "so"', "it's")) == """Job(name='say "so"', type="it's")"""


PLANS = [
    Plan(7),
    Plan(7, jobs=(Job("a"),), calls=(Call(40.0, "run", "a"),)),
    draw(11, Size(nodes=3, partitions=4, tasks=8)),
]


@pytest.mark.parametrize("plan", PLANS)
def test_a_regression_test_is_valid_and_in_form(plan: Plan, tmp_path: Path) -> None:
    text = source(plan, "lost", ['lost: task "1": it\'s gone\nfor ever \\ and a day', "x" * 500])
    tree = ast.parse(text)
    names = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert {"check", "rehearse", "Plan"} <= names
    assert f"Seed {plan.seed}" in (ast.get_docstring(tree) or "")
    assert "lost" in (ast.get_docstring(tree) or "")
    file = tmp_path / "test_it.py"
    file.write_text(text)
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff is None:
        pytest.skip("ruff is not installed")
    options = ["--config", str(Path(__file__).parents[2] / "pyproject.toml")]
    for command in (["format", "--check"], ["check", "--select", "I,F,E"]):
        ran = subprocess.run([ruff, *command, *options, str(file)], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr + text


def test_a_regression_test_is_named_after_its_seed_and_verdict() -> None:
    assert file_name(attrs.evolve(PLANS[0], seed=42), "zombie_effect") == "test_seed_42_zombie_effect.py"


def test_a_plan_that_finds_a_mutant_is_made_shorter_and_still_finds_it() -> None:
    mutant = next(one for one in MUTANTS if one.name == "no fence check")

    def fails(plan: Plan) -> bool:
        with mutant.apply():
            return bool(mutant.found & set(check(rehearse(plan).history).kinds))

    found = shrink(mutant.plan, fails, budget=10)
    assert fails(found)
    assert len(found.faults) < len(mutant.plan.faults)
    assert len(found.jobs) < len(mutant.plan.jobs)
