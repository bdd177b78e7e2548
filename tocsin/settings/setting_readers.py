"""How each kind of setting is read from a file, a variable or a flag. Every reader raises InvalidRequest naming the setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import attrs

from actors.handling.catalogue import DEFAULT_POOL
from actors.model.placement import STRATEGIES
from runtime.clock import Micros
from runtime.errors import InvalidRequest

from ..durations import format_duration, parse_duration

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


@attrs.frozen
class StoreUrl:
    """The URL of a database. Whoever shows it shows no password."""

    text: str = attrs.field(repr=False)

    def __bool__(self) -> bool:
        return bool(self.text)

    def __str__(self) -> str:
        return hide_password(self.text)


def hide_password(url: str) -> str:
    """A URL with `***` for its password, wherever libpq takes one from."""
    if not url:
        return ""
    parts = urlsplit(url)
    place, at, server = parts.netloc.rpartition("@")
    user, colon, _ = place.partition(":")
    query = "&".join(
        "password=***" if part.lower().startswith("password=") else part for part in parts.query.split("&") if part
    )
    shown = f"{user}:***" if colon else place
    return f"{parts.scheme}://{shown}{at}{server}{parts.path}{'?' if query else ''}{query}"


Reader = Callable[[object, str], Any]


def about(key: str, read: Reader, unit: str, reason: str) -> dict[str, object]:
    """What is said of a setting beside its default: its key in the file, how it is read, its unit, the reason for its default."""
    return {"key": key, "read": read, "unit": unit, "reason": reason}


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


def read_flag(value: object, field: str) -> bool:
    """true or false, as such or as a text."""
    words = {"true": True, "false": False}
    found = words.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise InvalidRequest(f"{field}: true or false, not {value!r}")
    return found


def read_servers(value: object, field: str) -> tuple[str, ...]:
    """HOST:PORT of several servers: a list, or a text with commas."""
    return tuple(read_server(entry.strip(), field) for entry in read_modules(value, field))


def read_root(value: object, field: str) -> str:
    """A path of a tree: /tocsin, /teams/night."""
    text = read_text(value, field)
    parts = text.split("/")
    if parts[0] or not all(parts[1:]) or any(part in (".", "..") for part in parts):
        raise InvalidRequest(f"{field}: a path such as /tocsin, not {value!r}")
    return text


def read_store_url(value: object, field: str) -> StoreUrl:
    """The URL of a PostgreSQL database, or nothing. What is wrong with it is said without its password."""
    if isinstance(value, StoreUrl):
        return value
    if value == "":
        return StoreUrl("")
    text = read_text(value, field)
    try:
        parts = urlsplit(text)
        complete = parts.scheme in ("postgresql", "postgres") and bool(
            parts.netloc or parse_qs(parts.query).get("host")
        )
    except ValueError:
        complete = False
    if not complete:
        raise InvalidRequest(
            f"{field}: empty, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE, not {_without_password(text)!r}"
        )
    return StoreUrl(text)


def _without_password(text: str) -> str:
    try:
        return hide_password(text)
    except ValueError:
        return "***"


def read_labels(value: object, field: str) -> dict[str, str]:
    """Values by name: a table, or a text such as "zone=eu,disk=ssd"."""
    entries: dict[str, object]
    if isinstance(value, Mapping):
        entries = {str(name): entry for name, entry in value.items()}
    elif isinstance(value, str):
        pairs = (part.partition("=") for part in value.split(",") if part.strip())
        entries = {name.strip(): entry.strip() for name, _, entry in pairs}
    else:
        raise InvalidRequest(f'{field}: values by name, for example zone = "eu", not {value!r}')
    return {read_text(name, field): read_text(entry, f"{field}.{name}") for name, entry in entries.items()}


def read_strategy(value: object, field: str) -> str:
    """A strategy of placement: one of ours, or a plug-in by its class path or the name of its entry point."""
    text = read_text(value, field)
    if any(character.isspace() for character in text):
        raise InvalidRequest(
            f"{field}: one of {', '.join(STRATEGIES)}, or a plug-in such as package.module:Class, not {value!r}"
        )
    return text
