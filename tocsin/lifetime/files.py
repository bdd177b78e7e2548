"""Whether the files of handlers are still those that the node has loaded."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Final

from actors.handling.catalogue import Catalogue

LOOK_SECONDS: Final = 5.0
"""How often the files are looked at: a person who mends a file and runs the task again shall be told about then; it costs
some microseconds."""

_OWN: Final = Path(__file__).parents[1]


def handler_files(catalogue: Catalogue) -> list[str]:
    """The files in which users' handlers stand, sorted."""
    found = set[str]()
    for entry in catalogue:
        code = getattr(inspect.unwrap(entry.function), "__code__", None)
        if code is not None and not Path(code.co_filename).is_relative_to(_OWN):
            found.add(code.co_filename)
    return sorted(found)


class LoadedFiles:
    """The files as they were when this was made; `changed` tells each change once."""

    def __init__(self, files: list[str]) -> None:
        self._known = {file: _stamp(file) for file in files}

    def changed(self) -> list[str]:
        """The files that have changed since they were last looked at. One that is gone for a moment is not told of."""
        found: list[str] = []
        for file, known in self._known.items():
            stamp = _stamp(file)
            if stamp is not None and stamp != known:
                self._known[file] = stamp
                found.append(file)
        return found


def _stamp(file: str) -> tuple[int, int] | None:
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
