"""What is looked at on this machine: the data directory, secrets, the port, the disk, the store's file, versions."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from actors.store.sqlite_check import library_version, quick_check
from actors.when.zones import database_version, zone
from runtime.errors import InvalidRequest, StoreUnavailable

from ..clients.address import NODE_FILE, TOKEN_FILE
from ..settings.config import Config
from .findings import Finding, bad, good, note, warning

STORE_FILE: Final = "tocsin.db"

LITTLE_DISK: Final = 1 << 30
"""Bytes below which a disk is nearly full: a busy node writes some hundred megabytes a day before it folds its history."""

NO_DISK: Final = 100 << 20
"""Bytes below which a node may stop any minute."""

OWN_FILES: Final = (STORE_FILE, NODE_FILE)
"""How the names of the node's own files begin, beside that of its token."""

OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
"""What nobody but the owner needs."""

NO_START: Final = "a node does not start like this"

SHARED_FILE_SYSTEMS: Final = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "glusterfs", "ceph")
"""Beginnings of names of file systems on which SQLite's locks do not hold."""


def of_directory(data: Path) -> Iterator[Finding]:
    """The data directory: there, ours, closed to others, on a disk of this machine with room on it."""
    subject = "data directory"
    if not data.exists():
        parent = next(folder for folder in data.absolute().parents if folder.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield note(subject, f"{data} is not there yet; 'tocsin up' makes it")
        else:
            yield bad(
                subject,
                f"{data} is not there and {parent} is not writable",
                NO_START,
                "choose another with data = or --data",
            )
        yield _disk(parent)
        return
    found = data.stat()
    if not data.is_dir() or not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        advice = f"chown {os.getuid()} {data}, and chmod 700"
        yield bad(subject, f"{data} cannot be written by this user", NO_START, advice)
    elif found.st_mode & OTHERS:
        mode = stat.S_IMODE(found.st_mode)
        why = "whoever reads the token there may do everything"
        yield warning(subject, f"others may look into {data} (mode {mode:o})", why, f"chmod 700 {data}")
    else:
        yield good(subject, f"{data}, for its owner alone")
    kind = file_system_of(data, Path("/proc/mounts"))
    if kind.startswith(SHARED_FILE_SYSTEMS):
        why = "locks do not hold there: two nodes may take it for theirs, and the store may be damaged"
        yield bad(subject, f"{data} is on {kind}", why, "keep it on a disk of this machine")
    yield _disk(data)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    what = f"{free / (1 << 30):.1f} GiB free at {folder}"
    why, advice = "without room the store stops and tasks wait", "make room, or purge history: tocsin purge"
    if free < NO_DISK:
        return bad("disk", what, why, advice)
    return warning("disk", what, why, advice) if free < LITTLE_DISK else good("disk", what)


def file_system_of(folder: Path, mounts: Path) -> str:
    """The kind of file system that a folder is on, as the table of mounts says; empty if it does not."""
    best, kind = 0, ""
    with suppress(OSError):
        for line in mounts.read_text("utf-8", "replace").splitlines():
            place, name = line.split()[1:3]
            if folder.resolve().is_relative_to(place) and len(place) >= best:
                best, kind = len(place), name
    return kind


def of_secrets(config: Config) -> Iterator[Finding]:
    """Files that hold secrets: readable by us, and by nobody else."""
    files = [config.data / TOKEN_FILE] if (config.data / TOKEN_FILE).exists() else []
    named = (
        config.cluster_key_file,
        config.coordination_credentials_file,
        config.cluster_key,
        config.coordination_key,
        config.queue_token_file,
        config.tls_key,
        config.mail_password_file,
        config.webhooks_secrets_file,
        config.amqp_url_file,
    )
    files += [Path(name).expanduser() for name in named if name]
    for file in files:
        try:
            mode = stat.S_IMODE(file.stat().st_mode)
        except OSError as error:
            yield bad("secrets", f"{file}: {error.strerror}", NO_START, "write it, or take the setting away")
            continue
        if mode & OTHERS:
            why = "what is in it is a secret no more: whoever has it may do what the node may"
            yield bad("secrets", f"others may read {file} (mode {mode:o})", why, f"chmod 600 {file}")
        elif not os.access(file, os.R_OK):
            yield bad("secrets", f"{file} cannot be read by this user", NO_START, f"chown {os.getuid()} {file}")
        else:
            yield good("secrets", f"{file}, for its owner alone")


def of_exposure(config: Config) -> Iterator[Finding]:
    """Who can reach what the node listens on, and what protects it."""
    subject = "exposure"
    if config.listen.is_loopback:
        yield good(subject, f"the interface at {config.listen}, for this machine alone")
    elif not config.tls_certificate:
        why = "tokens and data can be read on the way, unless something else encrypts them"
        advice = "set api.tls.certificate and api.tls.key, or listen on 127.0.0.1 behind a proxy that speaks TLS"
        yield warning(subject, f"the interface at {config.listen} is plain HTTP beyond this machine", why, advice)
        if not config.hosts:
            why = "a web page of another site whose name leads here is answered like one of the node's own"
            yield warning(subject, "any name leads to the interface", why, "list the node's names in api.hosts")
    else:
        yield good(subject, f"the interface at {config.listen}, with TLS")
    if config.clustered and not config.cluster_listen.is_loopback:
        if config.cluster_certificate:
            yield good(subject, f"links at {config.cluster_listen}, with mutual TLS")
        else:
            why = "nodes prove their key, but what they tell each other can be read on the way"
            advice = "set cluster.tls.ca, .certificate and .key, unless the network is the nodes' own"
            yield warning(subject, f"links at {config.cluster_listen} are not encrypted", why, advice)


def of_data_files(data: Path) -> Iterator[Finding]:
    """The files in the data directory: nobody else's, and nothing that leads elsewhere."""
    if not data.is_dir():
        return
    why = "parameters, results and tokens are in there"
    for file in sorted(data.iterdir()):
        found = file.lstat()
        if stat.S_ISLNK(found.st_mode):
            advice = "move what it leads to there; data = can name another directory"
            yield warning("data directory", f"{file} leads to {file.readlink()}", why, advice)
        elif found.st_uid != os.getuid():
            yield warning(
                "data directory", f"{file} belongs to user {found.st_uid}", why, f"chown {os.getuid()} {file}"
            )
        elif found.st_mode & OTHERS and file.name.startswith(OWN_FILES):
            mode = stat.S_IMODE(found.st_mode)
            yield warning("data directory", f"others may use {file} (mode {mode:o})", why, f"chmod go= {file}")


def of_port(config: Config, runs: bool) -> Iterator[Finding]:
    """Whether the address can be listened on; one of a node that runs is taken by itself."""
    host, port = config.listen.host, config.listen.port
    if runs or port == 0:
        yield good("port", f"{config.listen}, by the node" if runs else "any free one")
        return
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, number) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        advice = "if another program has it, choose another one: listen = or --listen"
        yield bad("port", f"{config.listen}: {error.strerror or error}", NO_START, advice)
    else:
        yield good("port", f"{config.listen} is free")


def of_store_file(data: Path) -> Iterator[Finding]:
    """The SQLite file, by its own quick check."""
    path = data / STORE_FILE
    if not path.exists():
        yield note("store", "no SQLite file yet")
        return
    size = f"{path.stat().st_size / (1 << 20):.1f} MiB"
    try:
        complaints = quick_check(path)
    except StoreUnavailable as error:
        why = "whether the store is sound is not known"
        yield warning("store", str(error), why, "try again while the node runs, or as its user")
        return
    if complaints:
        why = "tasks and outcomes may be lost, and more with everything that is written"
        advice = "stop the node, keep a copy, restore the last good one"
        yield bad("store", f"{path} is damaged: {complaints[0]}", why, advice)
    else:
        yield good("store", f"{path} is sound ({size})")


def of_versions() -> Iterator[Finding]:
    """What this program is made of, and whether it knows the zones."""
    from ..services.node import versions

    told = ", ".join(f"{name} {value}" for name, value in versions().items())
    yield good("versions", f"{told}, SQLite {library_version()}, {sys.platform}")
    try:
        for name in ("Europe/Berlin", "America/New_York", "UTC"):
            zone(name)
    except InvalidRequest as error:
        why = "tasks in such a zone cannot be timed"
        yield bad("time zones", str(error), why, "install tzdata anew: pip install --force-reinstall tzdata")
    else:
        yield good("time zones", f"database {database_version()}")
