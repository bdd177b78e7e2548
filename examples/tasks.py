"""Tasks that do real work: `tocsin up examples/tasks.py` runs them, and so does `./dev run`.

What each one shows is in its docstring. They are declared beside their handlers, so a node makes them at its first start and
finds them again at every later one. What they write goes to the directory that `TOCSIN_DATA` names, or to `.tocsin`.
"""

from __future__ import annotations

import hashlib
import os
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tocsin

CHUNK = 1024 * 1024
"""Bytes hashed between two looks at whether the scan has been asked to end."""

MAX_FILES = 20_000
"""Files of one scan: bounds the memory that the list of a tree takes, to a few megabytes."""


# -- a long task with checkpoints


@tocsin.task("integrity.scan", every="2m", overlap="skip", retry=tocsin.Retry(max_retries=3, delay="10s"))
def integrity_scan(
    ctx: tocsin.SyncContext, *, root: str = "", manifest: str = "", rest: float = 0.02
) -> dict[str, Any]:
    """Hash every file of a directory tree, and say what changed since the scan before.

    root: the tree; the standard library of the running Python if empty. manifest: where the hashes go, one line per file:
    hash, size, path. rest: seconds of rest after each file, which leave the disk to others.

    Each line reaches the disk before the checkpoint that counts it, and what a killed process wrote beyond its last checkpoint
    is cut off when the scan goes on: the manifest has every file once, whatever happens. Kill the node in the middle of a scan,
    start it again, and look at `tocsin task show integrity.scan`: it goes on where it was.
    """
    tree = Path(root or sysconfig.get_path("stdlib"))
    target = Path(manifest) if manifest else output_directory() / "integrity.manifest"
    scan = Scan(tree, target, ctx.resumed_from)
    if ctx.resumed_from:
        ctx.log.info("going on after %s, %d files done", scan.state["last"], scan.state["files"])
    if not scan.is_complete:
        with scan.open():
            left = scan.files_left()
            total = scan.state["files"] + len(left)
            for path in left:
                ctx.raise_if_cancelled()
                ctx.progress(done=scan.state["files"], total=total, step=path, unreadable=scan.state["unreadable"])
                scan.add(path)
                ctx.checkpoint(scan.state)
                time.sleep(rest)
            ctx.progress(done=total, total=total, step="comparing")
        scan.compare()
        ctx.checkpoint(scan.state)
    scan.publish()
    ctx.log.info("%d files, %d bytes: %s", scan.state["files"], scan.state["bytes"], scan.state["changes"])
    return scan.state


class Scan:
    """A scan's files and its state, which is its checkpoint: less than a kilobyte, however large the tree is."""

    def __init__(self, tree: Path, manifest: Path, resumed: dict[str, Any] | None) -> None:
        self.tree = tree
        self.manifest = manifest
        self.partial = manifest.with_name(f"{manifest.name}.partial")
        fresh = {"last": "", "files": 0, "bytes": 0, "unreadable": 0, "length": 0, "digest": "", "changes": None}
        self.state: dict[str, Any] = dict(resumed or fresh)

    @property
    def is_complete(self) -> bool:
        """Whether every file is in the manifest, and compared."""
        return self.state["changes"] is not None

    def open(self) -> Any:
        """Open the manifest, cut back to what the checkpoint counts."""
        self.manifest.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.partial.open("ab")
        self._file.truncate(self.state["length"])
        return self._file

    def files_left(self) -> list[str]:
        """The files behind the last one done, in an order that is the same for every attempt."""
        names = sorted(path for path, _ in zip(regular_files(self.tree), range(MAX_FILES), strict=False))
        return [name for name in names if name > self.state["last"]]

    def add(self, path: str) -> None:
        """Hash one file and write its line to the disk. A file that vanished or cannot be read is noted as such."""
        try:
            digest, size = hash_of(self.tree / path)
        except OSError as error:
            digest, size = f"unreadable:{error.strerror}".replace(" ", "_"), 0
            self.state["unreadable"] += 1
        line = f"{digest} {size} {in_one_line(path)}\n".encode("utf-8", "surrogateescape")
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())
        self.state["last"] = path
        self.state["files"] += 1
        self.state["bytes"] += size
        self.state["length"] += len(line)
        self.state["digest"] = hashlib.sha256(self.state["digest"].encode() + line).hexdigest()

    def compare(self) -> None:
        """Count what differs from the manifest of the scan before."""
        before, after = read_manifest(self.manifest), read_manifest(self.partial)
        self.state["changes"] = {
            "added": len(after.keys() - before.keys()),
            "removed": len(before.keys() - after.keys()),
            "changed": sum(before[path] != after[path] for path in before.keys() & after.keys()),
        }

    def publish(self) -> None:
        """Put the new manifest in the place of the old one; done already where an attempt died right after it."""
        if self.partial.exists():
            self.partial.replace(self.manifest)


def regular_files(tree: Path) -> Iterator[str]:
    """The regular files below a directory, as paths relative to it; links are not followed, caches are left out."""
    for directory, folders, names in os.walk(tree):
        folders[:] = [name for name in folders if name not in ("__pycache__", "site-packages", "dist-packages")]
        for name in names:
            path = Path(directory, name)
            if path.is_file() and not path.is_symlink():
                yield str(path.relative_to(tree))


def hash_of(path: Path) -> tuple[str, int]:
    """The SHA-256 of a file and its size in bytes."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def in_one_line(path: str) -> str:
    """A path as the manifest has it."""
    return path.replace("\\", "\\\\").replace("\n", "\\n")


def read_manifest(path: Path) -> dict[str, str]:
    """Path -> hash of a manifest; empty if there is none."""
    if not path.exists():
        return {}
    lines = path.read_text("utf-8", "surrogateescape").split("\n")
    parts = (line.split(" ", 2) for line in lines if line)
    return {name: digest for digest, _, name in parts}


def output_directory() -> Path:
    """Where the examples write: the node's data directory if the environment names it."""
    return Path(os.environ.get("TOCSIN_DATA") or ".tocsin") / "examples"


# -- tasks of the built-in types, which need no handler of their own

LISTEN = os.environ.get("TOCSIN_LISTEN") or "127.0.0.1:7400"
"""Where this node listens: a node that is started with `--listen` elsewhere needs it in TOCSIN_LISTEN instead."""

# A program: what it prints is the execution's log, and the end of it is in the result.
tocsin.declare("disk.free", "command", every="1m", parameters={"argv": ["df", "-h", "."]})

# A request: the node asks itself whether it lives, as a monitor would; the path needs no token. Requests go to public addresses
# only, unless the configuration allows others: start the node with TOCSIN_HTTP_ALLOWED=127.0.0.0/8 to have this task.
if os.environ.get("TOCSIN_HTTP_ALLOWED"):
    tocsin.declare("own.health", "http", every="15s", parameters={"url": f"http://{LISTEN}/api/health/live"})


# -- a task in memory


@tocsin.task("load.sample", every="5s", persistent=False)
async def load_sample(ctx: tocsin.Context) -> dict[str, float]:
    """Sample the load of the machine. A task in memory: it costs no write, and its history ends with the node."""
    one, five, fifteen = os.getloadavg()
    ctx.progress(step=f"{one:.2f} {five:.2f} {fifteen:.2f}")
    return {"1m": one, "5m": five, "15m": fifteen}
