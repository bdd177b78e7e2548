"""`tocsin rehearse`: the whole cluster on virtual time, under faults."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import attrs
from cyclopts import Parameter

from runtime.errors import InvalidRequest

from ..fields import whole_number
from .options import Flag
from .output import AS_JSON

MOST_SEEDS: Final = 1_000_000


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class OfSelf:
    """Tocsin's own rehearsal.

    Parameters
    ----------
    own
        Rehearse Tocsin itself: drawn clusters with drawn tasks and faults, judged by the checker.
    seeds
        How many seeds; 20 if not said.
    jobs
        How many at the same time; one per core if not said.
    twice
        Carry each out twice, and compare.
    plan
        Carry out the plan of this file, a regression test for instance.
    deadline
        Real seconds for one seed, against hanging.
    require_marks
        Fail if one of the rare situations was never reached.
    """

    own: Annotated[bool, Parameter(name="--self", negative=())] = False
    seeds: int | None = None
    jobs: int | None = None
    twice: Annotated[bool, Flag] = False
    plan: Path | None = None
    deadline: float | None = None
    require_marks: Annotated[bool, Flag] = False


NOT_SELF: Final = OfSelf()


def rehearse(
    *,
    self_: OfSelf = NOT_SELF,
    seed: int | None = None,
    begin: Annotated[str | None, Parameter(name="--from")] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> int:
    """Rehearse a cluster on virtual time, under faults.

    Parameters
    ----------
    seed
        With --self: this seed only.
    begin
        With --self: the first seed; 1 if not said.
    """
    if not self_.own:
        raise InvalidRequest("say --self")
    return _rehearse_self(self_, seed, begin, as_json)


def _rehearse_self(given: OfSelf, seed: int | None, begin: str | None, as_json: bool) -> int:
    from .self_rehearsal import DEADLINE_SECONDS, FAILED_EXIT, Asked, carry_out, plan_in, print_figures, progress

    number = whole_number(20 if given.seeds is None else given.seeds, "--seeds", 1, MOST_SEEDS)
    first = _whole(begin, "--from")
    seeds = range(first, first + number) if seed is None else range(seed, seed + 1)
    jobs = whole_number(given.jobs or os.cpu_count() or 1, "--jobs", 1, 1_000)
    deadline = DEADLINE_SECONDS if given.deadline is None else given.deadline
    plan = None if given.plan is None else plan_in(given.plan)
    asked = Asked(seeds, plan, jobs, given.twice, deadline)
    with progress(len(asked.lines()), as_json) as show:
        figures = carry_out(asked, show)
    missing = figures.missing if given.require_marks else []
    print_figures(figures, given.plan, missing, as_json)
    return FAILED_EXIT if figures.failed or missing else 0


def _whole(text: str | None, name: str) -> int:
    if text is None:
        return 1
    if not text.isdecimal():
        raise InvalidRequest(f"{name}: a whole number, not {text!r}")
    return int(text)
