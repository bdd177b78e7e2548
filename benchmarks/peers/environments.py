"""A virtual environment for each peer, with pinned versions: made when it is first needed, and again when the pins change."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

ROOT: Final = Path(__file__).parents[2]
HOME: Final = ROOT / ".peers"

OURS: Final = "tocsin"
"""The environment that this program runs in. Limits run in it as well."""

REQUIREMENTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "apscheduler3": ("apscheduler==3.11.3", "sqlalchemy==2.1.9"),
        "apscheduler4": (
            "apscheduler==4.0.0a6",
            "sqlalchemy[asyncio]==2.1.9",
            "aiosqlite==0.22.1",
            "asyncpg==0.32.0",
            "anyio==4.16.0",
            "sniffio==1.3.1",
        ),
        "celery": ("celery[redis]==5.7.0", "kombu==5.7.0", "redis==8.1.0"),
        "cronsim": ("cronsim==2.8", "tzdata==2026.6"),
        "huey": ("huey==3.5.4",),
        "pgqueuer": ("pgqueuer[asyncpg]==1.6.0", "asyncpg==0.32.0", "uvloop==0.23.0"),
        "procrastinate": ("procrastinate==3.10.0", "psycopg[binary]==3.3.9"),
        "pykka": ("pykka==4.5.0",),
        "thespian": ("thespian==4.0.1",),
    }
)
"""What is installed, the peer itself first. croniter is in our own environment."""


def python_of(name: str) -> Path:
    """The interpreter of an environment."""
    return Path(sys.executable) if name == OURS else HOME / name / "bin" / "python"


def ensure(name: str) -> None:
    """Make the environment if it is missing or was made of other versions. Raises CalledProcessError if pip cannot."""
    if name == OURS:
        return
    stamp = HOME / name / "stamp"
    wanted = "\n".join((sys.version, *REQUIREMENTS[name]))
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return
    print(f"peers: installing {' '.join(REQUIREMENTS[name])} into {HOME.name}/{name}", file=sys.stderr, flush=True)
    venv.create(HOME / name, clear=True, with_pip=True)
    subprocess.run(
        [python_of(name), "-m", "pip", "install", "-qq", "--disable-pip-version-check", *REQUIREMENTS[name]],
        check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr,
    )  # fmt: skip
    stamp.write_text(wanted, "utf-8")
