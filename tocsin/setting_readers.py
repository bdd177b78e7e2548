"""How each kind of setting is read from a file, a variable or a flag. Every reader raises InvalidRequest naming the setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

import attrs

from actors.handling.catalogue import DEFAULT_POOL
from runtime.clock import Micros
from runtime.errors import InvalidRequest

from .durations import format_duration, parse_duration

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


@attrs.frozen
class Address:
    """Where the server listens. Port 0: any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOOPBACK or (self.host.startswith("127.") and self.host.replace(".", "").isdecimal())


Reader = Callable[[object, str], Any]


def read_text(value: object, field: str) -> str:
    """A text that is not blank and can be printed."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise InvalidRequest(f"{field}: a text, not {value!r}")
    return value


def read_path(value: object, field: str) -> Path:
    """A path; ~ is the home directory."""
    return Path(read_text(str(value) if isinstance(value, Path) else value, field)).expanduser()


def read_address(value: object, field: str) -> Address:
    """HOST:PORT."""
    host, colon, port = read_text(value, field).rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise InvalidRequest(f"{field}: HOST:PORT, for example 127.0.0.1:7400, not {value!r}")
    return Address(host.strip("[]"), int(port))


def whole(low: int, high: int) -> Reader:
    """Reads whole numbers from `low` to `high`."""

    def read(value: object, field: str) -> int:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise InvalidRequest(f"{field}: a whole number from {low} to {high}, not {value!r}")
        return value

    return read


def span(low: Micros, high: Micros) -> Reader:
    """Reads durations from `low` to `high`."""

    def read(value: object, field: str) -> Micros:
        found = parse_duration(value, field)
        if not low <= found <= high:
            raise InvalidRequest(f"{field}: from {format_duration(low)} to {format_duration(high)}, not {value!s}")
        return found

    return read


def one_of(*words: str) -> Reader:
    """Reads one of these words, in any letter case."""

    def read(value: object, field: str) -> str:
        if not isinstance(value, str) or value.upper() not in words:
            raise InvalidRequest(f"{field}: {' or '.join(words)}, not {value!r}")
        return value.upper()

    return read


def read_modules(value: object, field: str) -> tuple[str, ...]:
    """Names of modules, or files: a list, or a text with commas."""
    entries = [part for part in value.split(",") if part] if isinstance(value, str) else value
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, str) and entry for entry in entries):
        raise InvalidRequest(f"{field}: a list of module names or files, not {value!r}")
    return tuple(entries)


def read_programs(value: object, field: str) -> tuple[str, ...]:
    """Programs as absolute paths."""
    entries = read_modules(value, field)
    for entry in entries:
        if not entry.startswith("/") or not entry.isprintable():
            raise InvalidRequest(f"{field}: programs as absolute paths, for example /usr/bin/rsync, not {entry!r}")
    return entries


def read_pools(value: object, field: str) -> dict[str, int]:
    """Sizes by name: a table, a text such as "default=16,io=64", or one number for the default pool."""
    entries: dict[str, object]
    if isinstance(value, Mapping):
        entries = {str(name): size for name, size in value.items()}
    elif isinstance(value, str) and "=" in value:
        pairs = (part.partition("=") for part in value.split(","))
        entries = {name.strip(): size.strip() for name, _, size in pairs}
    else:
        entries = {DEFAULT_POOL: value}
    for name in entries:
        if not name.isidentifier():
            raise InvalidRequest(f"{field}: names of pools with their sizes, for example io = 64, not {name!r}")
    read = whole(1, 1_000)
    return {DEFAULT_POOL: 16} | {name: read(size, f"{field}.{name}") for name, size in entries.items()}


def read_queues(value: object, field: str) -> dict[str, int]:
    """Limits by queue: a table, or a text such as "mail=4,reports=1"."""
    entries: dict[str, object]
    if isinstance(value, Mapping):
        entries = {str(name): limit for name, limit in value.items()}
    elif isinstance(value, str):
        pairs = (part.partition("=") for part in value.split(",") if part.strip())
        entries = {name.strip(): limit.strip() for name, _, limit in pairs}
    else:
        raise InvalidRequest(f"{field}: limits of queues, for example mail = 4, not {value!r}")
    read = whole(1, 100_000)
    return {read_text(name, field): read(limit, f"{field}.{name}") for name, limit in entries.items()}


def read_networks(value: object, field: str) -> tuple[str, ...]:
    """Networks in the notation with a slash."""
    entries = read_modules(value, field)
    for entry in entries:
        try:
            ip_network(entry)
        except ValueError as error:
            raise InvalidRequest(f"{field}: networks, for example 10.0.0.0/8 or ::1/128: {error}") from None
    return entries


def optional(read: Reader) -> Reader:
    """Takes the empty text for nothing."""
    return lambda value, field: "" if value == "" else read(value, field)


def read_server(value: object, field: str) -> str:
    """HOST:PORT as a text."""
    return str(read_address(value, field))
