"""What can be asked about definitions in files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .asking_core import Ask
from .giving import Json, body_of, whole


def plan(files: Sequence[Json], *, owner: str | None = None, prune: bool = False) -> Ask[dict[str, Any]]:
    """What applying files would change; nothing is written. Each file is `{"name": ..., "text": ...}`; see the guide."""
    return Ask("plan", {"body": body_of(files=list(files), owner=owner, prune=prune)}, whole, repeatable=True)


def apply_plan(
    files: Sequence[Json], *, owner: str | None = None, prune: bool = False, digest: str | None = None
) -> Ask[dict[str, Any]]:
    """Make tasks and calendars as files say. digest: of a plan, if only that one is wanted. Raises StaleVersion.

    Files that were applied already change nothing, so without a digest it is repeated when its answer was lost.
    """
    body = body_of(files=list(files), owner=owner, prune=prune, digest=digest)
    return Ask("apply_plan", {"body": body}, whole, repeatable=digest is None)


def export(*, format: str = "yaml") -> Ask[Any]:  # noqa: A002
    """All definitions as the text of a file that `apply_plan` reads: yaml or json."""
    return Ask("export", {"format": format}, whole)
