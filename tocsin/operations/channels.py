"""The rows of the table of operations by which a task type is run at once, as a service."""

from __future__ import annotations

from typing import Final

from runtime import errors

from .operation import INPUT, OPTIONAL_BODY, WRITE, Argument, Operation

IDEMPOTENCY_KEY: Final = "Idempotency-Key"

CHANNELS: Final = (
    Operation(
        "invoke",
        "POST",
        "/services/{taskType}",
        "Run a task type once and wait for its result; 202 with its Location if it has not ended in time; body: parameters, "
        "extra, timeout, correlation, all of them optional",
        "operator",
        (
            Argument("taskType", "path", "text", "the name of a task type", required=True),
            Argument("wait", "query", "text", "how long to wait for its end, up to 30s", default="10s"),
            Argument(IDEMPOTENCY_KEY, "header", "text", "asked again with the same one, it answers the same execution"),
            OPTIONAL_BODY,
        ),
        errors=(*INPUT, *WRITE, errors.InvocationFailed),
        later=True,
    ),
)
