"""Executions by the beginning of their id, as a terminal shows it: looked for among those of the tasks that ran lately."""

from __future__ import annotations

import re
from typing import Any, Final

from runtime.errors import NotFound

from ..client import Client
from .terminal import MOST_SHOWN, SHORTEST_ID

MOST_TASKS: Final = 200
"""Tasks that are looked through, those that ran last first: a second or two."""

MOST_EXECUTIONS: Final = 1_000
"""Executions of each that are looked through, the newest first: one answer of the node, and all that usually is kept."""

SEVERAL: Final = "executions have an id that begins with"
"""Of the refusal of a beginning that is not enough."""

_BEGINNING: Final = re.compile(rf"[0-9a-fA-F-]{{{SHORTEST_ID},35}}")


class FindingClient(Client):
    """Calls operations as its base does, and takes the beginning of an execution's id where that stands for one only."""

    def call(self, operation: str, /, **arguments: Any) -> Any:
        """As the base. The node, which knows whole ids only, is asked again for the one that was meant."""
        try:
            return super().call(operation, **arguments)
        except NotFound:
            given = arguments.get("execution")
            if not isinstance(given, str) or not _BEGINNING.fullmatch(given):
                raise
            found = self._beginning_with(given.lower())
            if not found:
                raise
        if len(found) > 1:
            shown, more = ", ".join(found[:MOST_SHOWN]), ", ..." if len(found) > MOST_SHOWN else ""
            begin = f"{len(found)} {SEVERAL} {given!r}"
            raise NotFound(f"{begin}: give more of it: {shown}{more}")
        return super().call(operation, **arguments | {"execution": found[0]})

    def _beginning_with(self, beginning: str) -> list[str]:
        found: set[str] = set()
        tasks = super().call("list_tasks", sortBy="lastExecutionDate:desc", limit=MOST_TASKS)["list"]
        for task in tasks:
            try:
                rows = super().call("list_executions", task=task["itemId"], limit=MOST_EXECUTIONS)["list"]
            except NotFound:
                # It was deleted meanwhile.
                continue
            found |= {row["id"] for row in rows if row["id"].startswith(beginning)}
        return sorted(found)
