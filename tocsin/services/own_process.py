"""Which process this is, so that another program can tell whether it sees the same one before it does something to it.

A process id alone may stand for another process by now, or for one in another container. Linux tells machines and their
restarts apart by a boot id, views of processes by their namespace, and processes of one id by when they began.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

import attrs

_PROC: Final = Path("/proc")

_BEGAN: Final = 19
"""The place of `starttime` behind the process's name in `/proc/PID/stat` (proc(5), field 22)."""


@attrs.frozen
class OwnProcess:
    """A process. `machine`: the running system and the view of its processes in which `pid` holds; `began`: in clock ticks.

    None where the system does not tell.
    """

    pid: int
    host: str
    machine: str | None
    began: int | None


def own_process() -> OwnProcess:
    """The process that asks."""
    pid = os.getpid()
    return OwnProcess(pid, platform.node(), machine(), began(pid))


def machine() -> str | None:
    """This running system, and the view that this process has of its processes."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return None


def began(pid: int) -> int | None:
    """When the process began that has this id now, in clock ticks since the system did; None if there is none."""
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name stands in parentheses and may hold anything.
    return int(stat.rpartition(b")")[2].split()[_BEGAN])
