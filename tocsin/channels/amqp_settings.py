"""The settings of the channel to a message broker. Without a URL there is no such channel."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import attrs

from runtime.clock import HOUR, MILLISECOND, MINUTE, SECOND, Micros
from runtime.errors import InvalidRequest

from ..access.settings import AccessSettings
from ..settings.cluster_config import first_line
from ..settings.setting_readers import about, hide_password, one_of, optional, read_modules, read_text, span, whole

PORT: Final = 5672
TLS_PORT: Final = 5671

_FORM: Final = "amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://"


@attrs.frozen
class BrokerUrl:
    """Where the broker is. Whoever shows it shows no password."""

    text: str = attrs.field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.text)

    def __str__(self) -> str:
        return hide_password(self.text.partition("?")[0])


@attrs.frozen
class BrokerAddress:
    """A URL taken apart. `virtual_host` is `/` unless it says another one."""

    host: str
    port: int
    user: str
    password: str = attrs.field(repr=False)
    virtual_host: str = "/"
    tls: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def read_broker_url(value: object, field: str) -> BrokerUrl:
    """The URL of a broker, or nothing. What is wrong with it is said without its password."""
    if isinstance(value, BrokerUrl) or value == "":
        return value if isinstance(value, BrokerUrl) else BrokerUrl()
    if not isinstance(value, str) or not value.isprintable():
        raise InvalidRequest(f"{field}: {_FORM}")
    url = BrokerUrl(value)
    take_apart(url, field)
    return url


def take_apart(url: BrokerUrl, field: str) -> BrokerAddress:
    """Raises InvalidRequest for what is no such URL."""
    try:
        parts = urlsplit(url.text)
        port = parts.port
        shown = str(url)
    except ValueError:
        raise InvalidRequest(f"{field}: {_FORM}") from None
    good = parts.scheme in ("amqp", "amqps") and parts.hostname and not parts.query and not parts.fragment
    virtual_host = unquote(parts.path.removeprefix("/")) or "/"
    if not good or "/" in parts.path.removeprefix("/"):
        raise InvalidRequest(f"{field}: {_FORM}, not {shown!r}")
    tls = parts.scheme == "amqps"
    return BrokerAddress(
        host=parts.hostname or "",
        port=port or (TLS_PORT if tls else PORT),
        user=unquote(parts.username) if parts.username else "guest",
        password=unquote(parts.password) if parts.password is not None else "guest",
        virtual_host=virtual_host,
        tls=tls,
    )


def read_types(value: object, field: str) -> tuple[str, ...]:
    """Names of task types; `*` at the end stands for whatever follows."""
    entries = read_modules(value, field)
    for entry in entries:
        stem = entry.removesuffix("*")
        if not entry.isprintable() or entry != entry.strip() or any(mark in stem for mark in "*?[]"):
            raise InvalidRequest(f"{field}: names of task types, for example mail or reports.*, not {entry!r}")
    return entries


@attrs.frozen
class AmqpSettings(AccessSettings):
    """See the module's docstring. `Config` adds those of any node."""

    amqp_url: BrokerUrl = attrs.field(
        default=BrokerUrl(),
        metadata=about(
            "amqp.url",
            read_broker_url,
            "amqp(s)://...",
            "empty: no broker; with a password it belongs into TOCSIN_AMQP_URL or the file below, where nobody reads along",
        ),
    )
    amqp_url_file: str = attrs.field(
        default="",
        metadata=about("amqp.url_file", optional(read_text), "file", "holds the URL in its first line, instead"),
    )
    amqp_ca: str = attrs.field(
        default="",
        metadata=about(
            "amqp.ca", optional(read_text), "file", "who signs the broker's certificate; empty: whom the system trusts"
        ),
    )
    amqp_queue: str = attrs.field(
        default="tocsin",
        metadata=about(
            "amqp.queue",
            read_text,
            "text",
            "which queue the node consumes; it must be there, because where refused messages go is said when it is declared",
        ),
    )
    amqp_types: tuple[str, ...] = attrs.field(
        default=(),
        metadata=about(
            "amqp.types",
            read_types,
            "task types",
            "what messages may invoke, `reports.*` for all that begin so; nothing, until somebody says so",
        ),
    )
    amqp_tenant: str = attrs.field(
        default="",
        metadata=about(
            "amqp.tenant",
            optional(read_text),
            "text",
            "on whose behalf, for who may write to the queue is no user of ours",
        ),
    )
    amqp_role: str = attrs.field(
        default="OPERATOR",
        metadata=about(
            "amqp.role",
            one_of("OPERATOR", "ADMINISTRATOR"),
            "OPERATOR or ADMINISTRATOR",
            "the least that may run something; an administrator of all tenants may also say what a `command` runs",
        ),
    )
    amqp_prefetch: int = attrs.field(
        default=100,
        metadata=about(
            "amqp.prefetch",
            whole(1, 1_000),
            "messages",
            "so many are with a node at once: those not yet recorded, and those whose reply is not yet sent",
        ),
    )
    amqp_reply_within: Micros = attrs.field(
        default=Micros(10 * MINUTE),
        metadata=about(
            "amqp.reply_within",
            span(SECOND, HOUR),
            "duration",
            "until then a message waits for its reply, so that a crash loses none; then the reply says RUNNING. RabbitMQ takes "
            "messages back after 30 minutes",
        ),
    )
    amqp_pause: Micros = attrs.field(
        default=SECOND,
        metadata=about(
            "amqp.pause",
            span(Micros(100 * MILLISECOND), MINUTE),
            "duration",
            "before the broker is tried again, and before a message goes back that cannot be recorded now; twice as long "
            "each time",
        ),
    )
    amqp_longest_pause: Micros = attrs.field(
        default=Micros(30 * SECOND),
        metadata=about(
            "amqp.longest_pause", span(SECOND, HOUR), "duration", "so soon a broker is noticed that has come back"
        ),
    )


def check_amqp(settings: AmqpSettings) -> None:
    """What must hold between settings. Raises InvalidRequest that says what to change."""
    if settings.amqp_url and settings.amqp_url_file:
        raise InvalidRequest("amqp.url and amqp.url_file: one of them, not both")
    if not (settings.amqp_url or settings.amqp_url_file):
        return
    if not settings.amqp_types:
        raise InvalidRequest(
            "amqp.types: which task types messages may invoke, for example mail or reports.*; it is empty"
        )
    if settings.amqp_longest_pause < settings.amqp_pause:
        raise InvalidRequest("amqp.longest_pause: not less than amqp.pause")


def broker_address(settings: AmqpSettings) -> BrokerAddress | None:
    """Where the broker is; None without one. Raises InvalidRequest for a file that cannot be read or holds something else."""
    check_amqp(settings)
    if settings.amqp_ca and not Path(settings.amqp_ca).is_file():
        raise InvalidRequest(f"amqp.ca: there is no file {settings.amqp_ca!r}")
    if settings.amqp_url_file:
        url = read_broker_url(first_line("amqp.url_file", settings.amqp_url_file), "amqp.url_file")
        if not url:
            raise InvalidRequest(f"amqp.url_file: {_FORM} in the first line of {settings.amqp_url_file}")
        return take_apart(url, "amqp.url_file")
    return take_apart(settings.amqp_url, "amqp.url") if settings.amqp_url else None
