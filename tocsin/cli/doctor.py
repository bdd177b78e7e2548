"""`tocsin doctor`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from .output import has_colours, print_json, printable

_MARKS: Final = {"good": ("✓", "32"), "note": ("·", "0"), "warning": ("!", "33"), "bad": ("✗", "31")}


def run_doctor(config: Path | None, flags: Mapping[str, object], as_json: bool) -> int:
    """Examine and tell each finding. Answers the exit code."""
    from ..doctor.examination import examine
    from ..doctor.findings import Finding, exit_code

    found: list[Finding] = []
    coloured = has_colours()
    for one in examine(os.environ, config, flags):
        found.append(one)
        if not as_json:
            mark, colour = _MARKS[one.level]
            shown = f"\x1b[{colour}m{mark}\x1b[0m" if coloured else mark
            print(f"{shown} {printable(f'{one.subject}: {one.what}')}", flush=True)
            if one.advice:
                print(printable(f"    {one.advice}"), flush=True)
    code = exit_code(found)
    if as_json:
        fields = ("subject", "level", "what", "advice")
        print_json({"well": code == 0, "findings": [{name: getattr(one, name) for name in fields} for one in found]})
    return code
