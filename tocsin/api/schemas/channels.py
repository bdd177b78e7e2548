"""What goes in and out when a task type is run as a service."""

from __future__ import annotations

from typing import Any, Final

from .parts import OBJECT, Schema, about, closed, nullable, ref


def channel_bodies(span: Schema, extra: Schema) -> dict[str, Schema]:
    """Name of an operation -> its body. span: a duration; extra: data as a task has it."""
    text: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 128}
    return {
        "invoke": closed(
            {},
            {
                "parameters": about(nullable(OBJECT), "of the task type; none if not said"),
                "extra": about(nullable(extra), "bytes for the handler, at most 256 KiB"),
                "timeout": about(nullable(span), "how long an attempt may run; as the type has it if not said"),
                "correlation": about(nullable(text), "an id for logs"),
            },
        )
    }


CHANNEL_ANSWERS: Final[dict[str, Schema | None]] = {"invoke": ref("ExecutionDetail")}
"""Name of an operation -> what it answers."""
