"""What processes use, and what is commonly said of many times that were taken."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

_PROC: Final = Path("/proc")
_WHOLE_PROCESS: Final = 2
"""Of a clock's id in Linux: processor time of all threads, to the nanosecond. /proc counts it in hundredths of a second."""


def resident_megabytes(pid: int | None = None) -> float:
    """Memory that a node's process and those beside it hold now; of this process if no other is named."""
    pid = pid or os.getpid()
    pages = sum(
        int((_PROC / str(one) / "statm").read_text(encoding="ascii").split()[1]) for one in (pid, *_beside(pid))
    )
    return pages * resource.getpagesize() / 1e6


def cpu_seconds(pid: int | None = None) -> float:
    """Processor time that a node's process and those beside it have used; of this process if no other is named."""
    pid = pid or os.getpid()
    return sum(time.clock_gettime(~one << 3 | _WHOLE_PROCESS) for one in (pid, *_beside(pid)))


def _beside(pid: int) -> list[int]:
    """Its companions: a node writes its file in a process of its own. Servers that a benchmark has started are none."""
    return [one for one in children(pid) if b"companion_process" in (_PROC / str(one) / "cmdline").read_bytes()]


def children(pid: int) -> list[int]:
    """The processes that this one has started and that live."""
    found = []
    for path in _PROC.glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(path.parent.name))
    return found


def open_files() -> int:
    """Descriptors that this process has."""
    return len(list((_PROC / "self" / "fd").iterdir()))


def percentile(values: Sequence[float], share: float) -> float:
    """In milliseconds, of values in seconds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000


@attrs.define
class Used:
    """What this process and those beside it used: seconds by the clock and of processor time, and what they held at the end."""

    seconds: float = 0.0
    cpu: float = 0.0
    resident: float = 0.0

    def figures(self, operations: int, name: str) -> dict[str, float]:
        """What benchmarks tell of it."""
        return {f"CPU us per {name}": self.cpu / operations * 1e6, "resident MB": self.resident}


@contextmanager
def measured() -> Iterator[Used]:
    """What the block used is there at its end."""
    used = Used()
    cpu, began = cpu_seconds(), time.perf_counter()
    yield used
    used.seconds, used.cpu = time.perf_counter() - began, cpu_seconds() - cpu
    used.resident = resident_megabytes()
