"""How many requests there were, by route and status."""

from __future__ import annotations

from collections import Counter
from typing import Final

METHODS: Final = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH")
"""Methods that are counted by their names: anybody can send any other word."""

NO_ROUTE: Final = "none"
"""The route of what is no address of this interface."""

UNAUTHORIZED: Final = 401


class RequestCounts:
    """See the module's docstring. `found`: by method, route and status."""

    def __init__(self) -> None:
        self.found: Counter[tuple[str, str, str]] = Counter()
        self.refused_logins = 0

    def count(self, method: str, route: str | None, status: int) -> None:
        """Count one. route: as it was declared, not as it was asked for; None: there is none."""
        known = method if method in METHODS else "other"
        self.found[known, (route or NO_ROUTE).replace(":str}", "}"), str(status)] += 1
        self.refused_logins += status == UNAUTHORIZED
