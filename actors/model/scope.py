"""Which tasks somebody may see and change: those of all tenants, of one, or in it only his own."""

from __future__ import annotations

from typing import Final

from runtime.records import record

from .task import Definition


@record
class Scope:
    """`tenant` None: all tenants. `owner`: only the tasks of this user."""

    tenant: str | None = None
    owner: str | None = None

    @property
    def home(self) -> str:
        """The tenant in which names are looked up and tasks are made."""
        return self.tenant or ""

    def covers(self, definition: Definition) -> bool:
        """Whether a task is among them."""
        return self.tenant in (None, definition.tenant) and self.owner in (None, definition.owner)


EVERYTHING: Final = Scope()
"""Of the system itself, and of callers who belong to no tenant."""
