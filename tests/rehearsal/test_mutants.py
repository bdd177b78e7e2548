"""A rehearsal finds what is wrong: of each mutant of the product, by its verdict, where the product as it is is clean."""

from __future__ import annotations

import attrs
import pytest

from tests.rehearsal.mutant_plans import FROZEN, STORELESS, ZOMBIES
from tests.rehearsal.mutants import MUTANTS, Mutant, deaf, no_self_fencing
from tocsin.checker.checker import check
from tocsin.checker.verdict import Kind, Verdict
from tocsin.rehearsal import run
from tocsin.rehearsal.plan import Plan

HEAL = 15.0
"""Enough for what these plans do, and a third of a run saved."""

SEEDS = 3
"""Within so many a mutant is found."""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is left to heal after these plans."""
    monkeypatch.setattr(run, "HEAL", HEAL)


def judged(plan: Plan) -> Verdict:
    """What the checker says of a run."""
    return check(run.rehearse(plan).history)


_CLEAN: dict[str, Verdict] = {}


def clean(plan: Plan) -> Verdict:
    """The same of the product as it is; mutants share plans."""
    return _CLEAN.setdefault(repr(plan), _CLEAN.get(repr(plan)) or judged(plan))


def found(mutant: Mutant) -> tuple[frozenset[Kind], int]:
    """The verdicts on a mutant, with the first of its seeds that shows one of those it is to be found by."""
    kinds: frozenset[Kind] = frozenset()
    for seed in range(mutant.plan.seed, mutant.plan.seed + SEEDS):
        with mutant.apply():
            kinds = frozenset(judged(attrs.evolve(mutant.plan, seed=seed)).kinds)
        if kinds & mutant.found:
            return kinds, seed
    return kinds, 0


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_is_found_by_its_verdict(mutant: Mutant) -> None:
    kinds, seed = found(mutant)
    assert kinds & mutant.found, f"{mutant.name}: only {sorted(kinds) or 'nothing'} in {SEEDS} seeds"
    healthy = clean(attrs.evolve(mutant.plan, seed=seed))
    assert not healthy.violations, healthy.report()


def test_where_a_node_is_deaf_the_fence_alone_keeps_its_checkpoints_out() -> None:
    with deaf():
        kinds = judged(FROZEN).kinds
    assert Kind.CHECKPOINT_REGRESSION not in kinds


def test_where_a_node_is_deaf_the_store_alone_keeps_its_claims_out() -> None:
    with deaf():
        kinds = judged(ZOMBIES).kinds
    assert Kind.OVERLAP not in kinds


def test_who_does_not_fence_himself_is_found_before_it_does_harm() -> None:
    with no_self_fencing():
        kinds = judged(STORELESS).kinds
    assert set(kinds) == {Kind.UNFENCED}
    assert not judged(STORELESS).violations


def test_there_are_enough_of_them_and_each_is_another() -> None:
    assert len(MUTANTS) >= 14
    assert len({mutant.name for mutant in MUTANTS}) == len({mutant.apply for mutant in MUTANTS}) == len(MUTANTS)
