"""The settings of a queue of the user's own."""

from __future__ import annotations

from urllib.parse import urlsplit

import attrs

from actors.job_queue import DEADLINE_SECONDS, HOLD_SECONDS
from runtime.clock import DAY, MILLISECOND, MINUTE, SECOND, Micros
from runtime.errors import InvalidRequest

from ..channels.amqp_settings import AmqpSettings
from ..settings.setting_readers import about, optional, read_modules, read_text, span


def read_queue(value: object, field: str) -> str:
    """A class path, the name of an entry point, an address, or nothing."""
    if value == "":
        return ""
    text = read_text(value, field)
    good = not any(character.isspace() for character in text)
    if good and "://" in text:
        try:
            parts = urlsplit(text)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
            good = good and not (parts.username or parts.password or parts.query or parts.fragment) and text.isascii()
        except ValueError:
            good = False
    if not good:
        raise InvalidRequest(
            f"{field}: package.module:Class, the name of an entry point, or http(s)://HOST:PORT/PATH, not {value!r}"
        )
    return text


@attrs.frozen
class QueueSettings(AmqpSettings):
    """See the module's docstring. `Config` adds those of any node."""

    queue_use: str = attrs.field(
        default="",
        metadata=about(
            "queue.use",
            read_queue,
            "class, entry point or address",
            "who says which execution that is ready is given next; empty: the node, by priority and age, fair between queues",
        ),
    )
    queue_names: tuple[str, ...] = attrs.field(
        default=(),
        metadata=about(
            "queue.names", read_modules, "queues", "those whose order it says; empty: all but that of system tasks"
        ),
    )
    queue_token_file: str = attrs.field(
        default="",
        metadata=about(
            "queue.token_file",
            optional(read_text),
            "file",
            "holds in its first line the bearer token for a remote queue: a configuration is shown, a token is not",
        ),
    )
    queue_deadline: Micros = attrs.field(
        default=Micros(round(DEADLINE_SECONDS * SECOND)),
        metadata=about(
            "queue.deadline",
            span(Micros(10 * MILLISECOND), MINUTE),
            "duration",
            "a call that takes longer has failed, and the node gives work in its own order: so long work may stand still",
        ),
    )
    queue_hold: Micros = attrs.field(
        default=Micros(round(HOLD_SECONDS * SECOND)),
        metadata=about(
            "queue.hold",
            span(SECOND, Micros(365 * DAY)),
            "duration",
            "what the queue does not give for so long the node gives: longer than a wait that is meant, and nothing is lost",
        ),
    )
