"""`tocsin rehearse`: the whole cluster on virtual time, under faults."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Literal

import attrs
from cyclopts import Parameter

from runtime.errors import InvalidRequest

from ..vocabulary.fields import whole_number
from .options import Flag
from .output import AS_JSON
from .task_rehearsal import NO_TASKS, OfTasks
from .task_rehearsal import run as rehearse_tasks

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
    size
        full: 5 nodes, 20 partitions, 200 tasks. small: 3, 8 and 40.
    plan
        Carry out the plan of this file, a regression test for instance.
    deadline
        Real seconds for one seed, against hanging.
    require_marks
        Fail if one of the rare situations was never reached.
    shrink
        Make the plans of failed seeds as short as they can be and still fail, and print them as tests.
    write
        Write these tests into this directory.
    tries
        How often a shorter plan is tried for each failed seed, 200 if not said.
    """

    own: Annotated[bool, Parameter(name="--self", negative=())] = False
    seeds: int | None = None
    jobs: int | None = None
    twice: Annotated[bool, Flag] = False
    size: Literal["small", "full"] = "full"
    plan: Path | None = None
    deadline: float | None = None
    require_marks: Annotated[bool, Flag] = False
    shrink: Annotated[bool, Flag] = False
    write: Path | None = None
    tries: int | None = None


NOT_SELF: Final = OfSelf()


def rehearse(
    *files: str,
    tasks: OfTasks = NO_TASKS,
    self_: OfSelf = NOT_SELF,
    seed: int | None = None,
    begin: Annotated[str | None, Parameter(name="--from")] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> int:
    """Rehearse tasks, or Tocsin itself, in a cluster on virtual time, under faults.

    Handlers, commands, requests, mails and webhooks are not carried out: stand-ins take their place, and their time.

    Parameters
    ----------
    files
        What `tocsin up` takes: Python files and modules with task handlers; and JSON files with tasks. Python is loaded, to
        know its task types and declared tasks, and not called.
    seed
        Of all chance, 0 if not said: one seed gives one history. With --self: this seed only.
    begin
        When it begins, in UTC if nothing else is said; today's midnight if not said. With --self: the first seed, 1 if not said.
    """
    if self_.own:
        if files or tasks != NO_TASKS:
            what = ", ".join(files) or "options of tasks"
            raise InvalidRequest(f"--self rehearses Tocsin, not {what}")
        return _rehearse_self(self_, seed, begin, as_json)
    if self_ != NOT_SELF:
        raise InvalidRequest("--seeds, --jobs and their kin go with --self")
    if not files:
        raise InvalidRequest("say which file: tocsin rehearse FILE; or --self")
    return rehearse_tasks(files, tasks, begin, seed, as_json)


def _rehearse_self(given: OfSelf, seed: int | None, begin: str | None, as_json: bool) -> int:
    from .self_rehearsal import DEADLINE_SECONDS, Asked, Shrink, plan_in, run

    number = whole_number(20 if given.seeds is None else given.seeds, "--seeds", 1, MOST_SEEDS)
    first = _whole(begin, "--from")
    asked = Asked(
        seeds=range(first, first + number) if seed is None else range(seed, seed + 1),
        size=given.size,
        plan=None if given.plan is None else plan_in(given.plan),
        jobs=whole_number(given.jobs or os.cpu_count() or 1, "--jobs", 1, 1_000),
        twice=given.twice,
        deadline=DEADLINE_SECONDS if given.deadline is None else given.deadline,
    )
    shrink = Shrink(given.write, given.tries) if given.shrink or given.write is not None else None
    return run(asked, given.plan, shrink, given.require_marks, as_json)


def _whole(text: str | None, name: str) -> int:
    if text is None:
        return 1
    if not text.isdecimal():
        raise InvalidRequest(f"{name}: a whole number, not {text!r}")
    return int(text)
