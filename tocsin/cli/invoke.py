"""`tocsin invoke`: run a task type once, as a service, and show what it answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from runtime.errors import InvalidRequest

from ..durations import parse_duration
from ..operations.channels import IDEMPOTENCY_KEY
from ..shown import show
from .bodies import extra_body, parameters_body
from .connection import connect
from .output import AS_JSON, LOCAL


def invoke(
    type_name: str,
    /,
    *,
    param: Annotated[list[str] | None, Parameter(negative=())] = None,
    params: str | None = None,
    extra: str | None = None,
    extra_type: str | None = None,
    timeout: str | None = None,
    correlation: str | None = None,
    key: str | None = None,
    wait: str | None = None,
    as_json: Annotated[bool, AS_JSON] = False,
    utc: Annotated[bool, LOCAL] = False,
) -> int:
    """Run a task type once, show its log and progress, and print its result; the exit code tells how it ended.

    Parameters
    ----------
    type_name
        The name of a task type.
    param
        A parameter as name=value, any number of times; a value that is JSON is taken as such, else it is a text.
    params
        All parameters as a JSON object, or @FILE.
    extra
        Bytes for the handler, in @FILE.
    extra_type
        Their content type.
    timeout
        How long an attempt may run, such as 30s; as the type has it if not said.
    correlation
        An id for logs.
    key
        Asked again with the same key, the answer is the same execution.
    wait
        How long to wait for the end; as long as it takes if not said, 0s for not at all.
    """
    from .follow import follow

    seconds = None if wait is None else parse_duration(wait, "--wait") / 1_000_000
    parameters = _parameters(param, parameters_body(params))
    body = {
        "parameters": parameters,
        "extra": extra_body(_file(extra), extra_type),
        "timeout": timeout,
        "correlation": correlation,
    }
    client = connect()
    execution = client.call(
        "invoke",
        taskType=type_name,
        wait="0s",
        body={name: value for name, value in body.items() if value is not None},
        **({} if key is None else {IDEMPOTENCY_KEY: key}),
    )
    return follow(client, execution["id"], utc, as_json, seconds)


def _parameters(pairs: list[str] | None, given: Any) -> Any:
    """The parameters that were typed, one by one or as an object."""
    if pairs and given is not None:
        raise InvalidRequest("parameters: either --param or --params, not both")
    if not pairs:
        return given
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name or name in found:
            raise InvalidRequest(f"--param: name=value, each name once, not {show(pair)}")
        try:
            found[name] = json.loads(text)
        except (ValueError, RecursionError):
            found[name] = text
    return found


def _file(text: str | None) -> Path | None:
    if text is None:
        return None
    if not text.startswith("@") or len(text) == 1:
        raise InvalidRequest(f"--extra: a file, as @FILE, not {show(text)}")
    return Path(text[1:])
