"""What a node runs that is killed while it takes a message: each start leaves a line in the file that `STARTS` names."""

from __future__ import annotations

import os
from pathlib import Path

import tocsin


@tocsin.task("counted")
def counted(ctx: tocsin.SyncContext, *, number: int) -> int:
    """Answers its number."""
    with Path(os.environ["STARTS"]).open("a", encoding="ascii") as file:
        file.write(f"{ctx.execution_id}\n")
    return number
