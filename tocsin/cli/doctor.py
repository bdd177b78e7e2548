"""`tocsin doctor`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .output import has_colours, print_json, printable

if TYPE_CHECKING:
    from ..doctor.findings import Finding

_MARKS: Final = {"good": ("✓", "32"), "note": ("·", "0"), "warning": ("!", "33"), "bad": ("✗", "31")}


def run_doctor(config: Path | None, flags: Mapping[str, object], as_json: bool) -> int:
    """Examine and tell each finding. Answers the exit code."""
    from ..doctor.examination import examine
    from ..doctor.findings import exit_code

    found: list[Finding] = []
    coloured = has_colours()
    for one in examine(os.environ, config, flags):
        found.append(one)
        if not as_json:
            mark, colour = _MARKS[one.level]
            shown = f"\x1b[{colour}m{mark}\x1b[0m" if coloured else mark
            print(f"{shown} {printable(f'{one.subject}: {one.what}')}", flush=True)
            for label, text in (("why", one.why), ("do", one.advice)):
                if text:
                    print(printable(f"    {label + ':':<4} {text}"), flush=True)
    code = exit_code(found)
    if not as_json:
        print(_summary(found))
    if as_json:
        fields = ("subject", "level", "what", "why", "advice")
        print_json({"well": code == 0, "findings": [{name: getattr(one, name) for name in fields} for one in found]})
    return code


def _summary(found: list[Finding]) -> str:
    """How it is altogether, in one line."""
    ill, doubtful = (sum(one.level == level for one in found) for level in ("bad", "warning"))
    if not ill and not doubtful:
        return f"All is well: {len(found)} things were looked at."
    counted = [f"{ill} bad" if ill else "", f"{doubtful} that may become bad" if doubtful else ""]
    return f"{len(found)} things were looked at: {' and '.join(text for text in counted if text)}."
