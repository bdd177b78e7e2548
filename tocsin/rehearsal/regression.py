"""A plan that failed, as a test: what was found once is looked for ever after."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .plan import Plan
from .plan_text import write

_IMPORTED = ("Call", "Fault", "FaultKind", "Job", "Knobs", "Plan")


def file_name(plan: Plan, verdict: str) -> str:
    """Of the test's file."""
    return f"test_seed_{plan.seed}_{re.sub(r'[^a-z0-9]+', '_', verdict.lower()).strip('_')}.py"


def source(plan: Plan, verdict: str, violations: Sequence[str] = ()) -> str:
    """The text of the test's file. verdict: the kind of the first violation; violations: as texts, the first few are kept."""
    text = write(plan, taken=len("PLAN = "))
    used = [name for name in _IMPORTED if re.search(rf"\b{name}\b", text)]
    found = "".join(f"{_bounded(one)}\n" for one in violations[:3])
    quoted = f"\n\n{found}" if found else ""
    return f'''"""Seed {plan.seed}, made shorter. Found: {verdict}.{quoted}"""

from __future__ import annotations

from tocsin.checker.checker import check
from tocsin.rehearsal.plan import {", ".join(used)}
from tocsin.rehearsal.run import rehearse

PLAN = {text}


def test_nothing_is_wrong() -> None:
    assert check(rehearse(PLAN).history).violations == ()
'''


def _bounded(text: str) -> str:
    """In one line that fits, and ends no docstring."""
    plain = text.replace("\\", "/").replace('"', "'").replace("\n", " ")
    return plain if len(plain) <= 120 else plain[:117] + "..."
