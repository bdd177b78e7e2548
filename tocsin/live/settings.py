"""The settings of what is told about a node while it works: live events, health and logs."""

from __future__ import annotations

from typing import Final

import attrs

from runtime.clock import DAY, SECOND, Micros

from ..settings.canary_config import CanarySettings
from ..settings.setting_readers import about, one_of, span, whole

FOLLOWERS: Final = 256
"""Followers of one node: each holds a connection, some 100 kB with its buffers."""

FOLLOWERS_PER_TOKEN: Final = 64
"""Followers with one token: every desk of a team has its console, and a program that opens ever more is stopped."""

EVENTS_RATE: Final = 2_000
"""Events a second that are told: the starts and ends of a thousand runs, which a console has coalesced; a tenth of a core."""


@attrs.frozen
class FollowerLimits:
    """How many may follow a node: in all, and with one token; and how many events a second they are told at the most."""

    followers: int = FOLLOWERS
    per_token: int = FOLLOWERS_PER_TOKEN
    rate: int = EVENTS_RATE


DEFAULT_LIMITS: Final = FollowerLimits()


@attrs.frozen
class ObserveSettings(CanarySettings):
    """See the module's docstring. `Config` adds those of any node."""

    event_followers: int = attrs.field(
        default=FOLLOWERS,
        metadata=about(
            "events.followers",
            whole(0, 100_000),
            "connections",
            "who follows live events of this node; each holds some memory",
        ),
    )
    event_followers_per_token: int = attrs.field(
        default=FOLLOWERS_PER_TOKEN,
        metadata=about(
            "events.per_token",
            whole(0, 100_000),
            "connections",
            "of them with one token: a program that opens ever more does not take the place of the others",
        ),
    )
    event_rate: int = attrs.field(
        default=EVENTS_RATE,
        metadata=about(
            "events.rate",
            whole(10, 100_000),
            "events per second",
            "what happens beyond it is told as a gap: those who look on must not hold up the timer",
        ),
    )
    late_after: Micros = attrs.field(
        default=Micros(5 * SECOND),
        metadata=about(
            "health.late_after",
            span(SECOND, DAY),
            "duration",
            "a node whose due tasks wait longer for their commit is not ready: far above a slow disk, below what people notice",
        ),
    )
    log_format: str = attrs.field(
        default="TEXT",
        metadata=about(
            "log.format",
            one_of("TEXT", "JSON"),
            "TEXT or JSON",
            "people read text; JSON is one object a line, for collectors of logs",
        ),
    )
    log_level: str = attrs.field(
        default="INFO",
        metadata=about(
            "log.level",
            one_of("DEBUG", "INFO", "WARNING", "ERROR"),
            "DEBUG, INFO, WARNING or ERROR",
            "what is less is left out; `tocsin up --verbose` means DEBUG",
        ),
    )
