"""Files with secrets: made once, for their owner's eyes only."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from runtime.errors import InternalError
from runtime.world import World


def read_or_make(path: Path, world: World) -> str:
    """The secret in the file; made there if there is no such file. Raises InternalError if the file is empty."""
    if not path.exists():
        write_private(path, world.secret(32) + "\n")
    secret = path.read_text(encoding="ascii", errors="replace").strip()
    if not secret:
        raise InternalError(f"{path} is empty: remove it and start again to get a new one")
    return secret


def write_private(path: Path, text: str) -> None:
    """The whole text or the old file; nobody else can read it from the first byte on."""
    temporary = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
