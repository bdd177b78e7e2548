"""The settings of who gets in, and how."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import attrs

from runtime.clock import DAY, HOUR, MINUTE, Micros
from runtime.errors import InvalidRequest

from ..live.settings import ObserveSettings
from ..settings.setting_readers import Address, about, optional, read_flag, read_modules, read_text, span, whole
from .limits_core import FAILURES

_HOST: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63}){0,9}")

SESSION_FOR: Final = Micros(12 * HOUR)
"""A working day; whoever comes back the next morning logs in again."""

SESSION_IDLE: Final = Micros(HOUR)
"""A long lunch; a page that is open and follows what happens uses its session."""

RATE: Final = 1_000
"""Requests a second of one token: what a node can serve of small ones, and no person's or worker's need."""

TENANT_RATE: Final = 5_000
"""Requests a second of all tokens of one tenant: several busy programs, and still not all that a node can serve."""

TENANT_BURST: Final = 10_000
"""Requests of one tenant at once."""

BURST: Final = 2_000
"""Requests of one token at once: a page of the console with all its parts, many times over."""


def read_origins(value: object, field: str) -> tuple[str, ...]:
    """Origins of the web, such as https://console.example.org; never all of them."""
    return tuple(_origin(entry.strip(), field) for entry in read_modules(value, field))


def _origin(text: str, field: str) -> str:
    try:
        parts = urlsplit(text)
        plain = f"{parts.scheme}://{parts.netloc}"
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        plain, good = "", False
    if not good or "*" in text or text != plain or "@" in text:
        raise InvalidRequest(f"{field}: an origin such as https://console.example.org, each by its name, not {text!r}")
    return text


def read_hosts(value: object, field: str) -> tuple[str, ...]:
    """Names of hosts, without scheme and port, in small letters."""
    found = tuple(entry.strip().lower() for entry in read_modules(value, field))
    for name in found:
        if not _HOST.fullmatch(name):
            raise InvalidRequest(f"{field}: names such as console.example.org, each in full, not {name!r}")
    return found


@attrs.frozen
class AccessSettings(ObserveSettings):
    """See the module's docstring. `Config` adds those of any node."""

    tls_certificate: str = attrs.field(
        default="",
        metadata=about(
            "api.tls.certificate",
            optional(read_text),
            "file",
            "PEM, with the chain; without one the interface speaks plain HTTP, which is for this machine only",
        ),
    )
    tls_key: str = attrs.field(
        default="", metadata=about("api.tls.key", optional(read_text), "file", "PEM, the certificate's private key")
    )
    plain_allowed: bool = attrs.field(
        default=False,
        metadata=about(
            "api.plain_allowed",
            read_flag,
            "true or false",
            "whether plain HTTP may listen beyond this machine, where tokens and data can be read on the way: "
            "behind a proxy that speaks TLS, or in a network of its own",
        ),
    )
    cors_origins: tuple[str, ...] = attrs.field(
        default=(),
        metadata=about(
            "api.cors_origins",
            read_origins,
            "origins",
            "web pages from elsewhere that may use the interface, with a token of theirs; none, until somebody says so",
        ),
    )
    hosts: tuple[str, ...] = attrs.field(
        default=(),
        metadata=about(
            "api.hosts",
            read_hosts,
            "names",
            "by which browsers reach the node, beside addresses, localhost and `listen`: as of a proxy; other names are "
            "refused on loopback, and elsewhere once one is listed, for a page of another site can have its own lead here",
        ),
    )
    session_lifetime: Micros = attrs.field(
        default=SESSION_FOR,
        metadata=about(
            "api.session_lifetime",
            span(Micros(5 * MINUTE), Micros(30 * DAY)),
            "duration",
            "of a browser's session at most: a working day",
        ),
    )
    session_idle: Micros = attrs.field(
        default=SESSION_IDLE,
        metadata=about(
            "api.session_idle",
            span(Micros(5 * MINUTE), Micros(30 * DAY)),
            "duration",
            "a session that is not used for so long ends, to the minute; a page that is open uses it",
        ),
    )
    rate: int = attrs.field(
        default=RATE,
        metadata=about(
            "api.rate",
            whole(1, 1_000_000),
            "requests per second",
            "of one token on one node: a program that runs wild does not take the node from the others",
        ),
    )
    tenant_rate: int = attrs.field(
        default=TENANT_RATE,
        metadata=about(
            "api.tenant_rate",
            whole(1, 1_000_000),
            "requests per second",
            "of all tokens of one tenant on one node: a tenant with many tokens does not take the node from the others",
        ),
    )
    tenant_burst: int = attrs.field(
        default=TENANT_BURST,
        metadata=about("api.tenant_burst", whole(1, 1_000_000), "requests", "so many of one tenant at once are fine"),
    )
    failed_logins: int = attrs.field(
        default=FAILURES,
        metadata=about(
            "api.failed_logins",
            whole(1, 1_000_000),
            "attempts per minute",
            "wrong tokens of one address: more than a person mistypes; those that were right lately are let in anyhow",
        ),
    )
    burst: int = attrs.field(
        default=BURST,
        metadata=about("api.burst", whole(1, 1_000_000), "requests", "so many of one token at once are fine"),
    )


def check_access(config: AccessSettings, listen: Address) -> None:
    """Raise InvalidRequest for settings under which nobody should serve at this address."""
    if bool(config.tls_certificate) != bool(config.tls_key):
        raise InvalidRequest("api.tls.certificate and api.tls.key go together")
    for key, name in (("api.tls.certificate", config.tls_certificate), ("api.tls.key", config.tls_key)):
        if name and not Path(name).is_file():
            raise InvalidRequest(f"{key}: there is no file {name!r}")
    if not listen.is_loopback and not config.tls_certificate and not config.plain_allowed:
        raise InvalidRequest(
            f"listen: {listen} is beyond this machine, and tokens would travel in the clear: set api.tls.certificate "
            "and api.tls.key, or api.plain_allowed = true where something else protects them"
        )
