"""The settings of canaries that run all the time, and how they go to the floor below."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import attrs

from actors.canaries_core import CanaryConfig
from actors.model.canary import SHORTEST_PERIOD
from runtime.clock import DAY, HOUR, SECOND, Micros
from runtime.errors import InvalidRequest

from .cluster_config import ClusterSettings
from .setting_readers import about, read_flag, read_text, span

_DEFAULTS: Final = CanaryConfig()


@attrs.frozen
class PingUrl:
    """Where somebody is told that all is well. Whoever knows it can tell it too, so it is not shown beyond its host."""

    text: str = attrs.field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.text)

    def __str__(self) -> str:
        parts = urlsplit(self.text)
        return f"{parts.scheme}://{parts.hostname}/***" if self.text else ""


def read_ping_url(value: object, field: str) -> PingUrl:
    """An address of the web, or nothing."""
    if isinstance(value, PingUrl) or value == "":
        return value if isinstance(value, PingUrl) else PingUrl()
    text = read_text(value, field)
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or not text.isascii() or " " in text:
        raise InvalidRequest(f"{field}: an address that begins with http:// or https:// and names a host")
    return PingUrl(text)


@attrs.frozen
class CanarySettings(ClusterSettings):
    """See the module's docstring. `Config` adds those of any node."""

    canary_enabled: bool = attrs.field(
        default=False,
        metadata=about(
            "canary.enabled",
            read_flag,
            "true or false",
            "tasks that only tell whether tasks run; they are the cluster's, so what the node says that starts last stands",
        ),
    )
    canary_every: Micros = attrs.field(
        default=_DEFAULTS.every,
        metadata=about(
            "canary.every",
            span(SHORTEST_PERIOD, HOUR),
            "duration",
            "how often each runs: what is wrong is known after this and late_after, and the load is not worth mentioning",
        ),
    )
    canary_per_partition: bool = attrs.field(
        default=False,
        metadata=about(
            "canary.per_partition",
            read_flag,
            "true or false",
            "false: eight, of which each node of a small cluster owns some; true: one for each, so that none is unwatched",
        ),
    )
    canary_late_after: Micros = attrs.field(
        default=_DEFAULTS.late_after,
        metadata=about(
            "canary.late_after",
            span(SECOND, HOUR),
            "duration",
            "a canary that starts later is not well: longer than a takeover, which is no reason to wake anybody",
        ),
    )
    dead_man_url: PingUrl = attrs.field(
        default=PingUrl(),
        metadata=about(
            "canary.dead_man_url",
            read_ping_url,
            "http(s)://...",
            "fetched only while all canaries are well, so that whoever waits for it hears silence when they are not",
        ),
    )
    dead_man_every: Micros = attrs.field(
        default=_DEFAULTS.ping_every,
        metadata=about(
            "canary.dead_man_every",
            span(SECOND, DAY),
            "duration",
            "how often: services that wait for pings count in minutes, and should wait for twice as long",
        ),
    )


def check_canaries(settings: CanarySettings) -> None:
    """What must hold between settings. Raises InvalidRequest."""
    if settings.dead_man_url and not settings.canary_enabled:
        raise InvalidRequest("canary.dead_man_url: without canary.enabled there is nothing to tell")


def canary_config(settings: CanarySettings) -> CanaryConfig | None:
    """The settings as the floor below takes them; None without canaries."""
    if not settings.canary_enabled:
        return None
    return CanaryConfig(
        every=settings.canary_every,
        per_partition=settings.canary_per_partition,
        late_after=settings.canary_late_after,
        ping_every=settings.dead_man_every,
    )
