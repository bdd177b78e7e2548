"""What actions say: the standard message, and texts with placeholders like `{task.name}`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from runtime.clock import timestamp
from runtime.errors import InvalidRequest

from .herald_messages import Delivery, DeliveryFailed
from .rules.conditions import SHAPE
from .rules.evaluation import NAMES

MAX_VALUE: Final = 2_000
"""Characters of one value that is put into a text: enough for an error's message; the rest is cut."""

MAX_TEXT: Final = 256 * 1024
"""Characters of a message: what most receivers take."""

MAX_RESULT: Final = 16 * 1024
"""Characters of a result in the standard message; a larger one is left out, and the message says so."""

_PLACEHOLDER: Final = re.compile(r"\{([a-z]+(?:\.[A-Za-z0-9_-]+)*)\}")

DELIVERY_WORDS: Final = ("delivery", "event", "at")
"""Placeholders about the delivery itself."""


def check_template(text: str, field: str) -> None:
    """Raise InvalidRequest for a placeholder that can never have a value. Braces around anything else are plain text."""
    for found in _PLACEHOLDER.finditer(text):
        root, *keys = found[1].split(".")
        if root not in (*NAMES, *DELIVERY_WORDS) or root == "history":
            known = ", ".join((*NAMES[:-1], *DELIVERY_WORDS))
            raise InvalidRequest(f"{field}: unknown placeholder {found[0]}, there are {known}")
        if root in SHAPE and keys and keys[0] not in SHAPE[root]:
            raise InvalidRequest(f"{field}: {root} has no {keys[0]!r}, it has {', '.join(sorted(SHAPE[root]))}")


def filled(template: str, delivery: Delivery, *, in_json: bool = False) -> str:
    """A text with its placeholders replaced; nothing stands for what is not there.

    in_json: values are escaped as inside of a JSON string. Raises DeliveryFailed for a text that is too long.
    """

    def value(found: re.Match[str]) -> str:
        text = _shown(_sought(delivery, found[1].split(".")))[:MAX_VALUE]
        return json.dumps(text)[1:-1] if in_json else text

    text = _PLACEHOLDER.sub(value, template)
    if len(text) > MAX_TEXT:
        raise DeliveryFailed(f"the text has {len(text)} characters, the limit is {MAX_TEXT}", permanent=True)
    return text


def _sought(delivery: Delivery, keys: list[str]) -> Any:
    found: Any = {**delivery.facts, "delivery": delivery.id, "event": delivery.event, "at": timestamp(delivery.at)}
    for key in keys:
        if isinstance(found, Mapping) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isascii() and key.isdigit() and int(key[:9]) < len(found):
            found = found[int(key[:9])]
        else:
            return None
    return found


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def message(delivery: Delivery) -> dict[str, Any]:
    """The standard message, as JSON values."""
    facts = delivery.facts
    body = {
        "delivery": delivery.id,
        "event": delivery.event,
        "at": timestamp(delivery.at),
        "task": facts["task"],
        "execution": facts["execution"],
    }
    if "result" not in facts or len(json.dumps(facts["result"])) > MAX_RESULT:
        return {**body, "result": None, "result_left_out": True}
    return {**body, "result": facts["result"]}


def subject(delivery: Delivery) -> str:
    """The standard subject of a mail."""
    execution = delivery.facts["execution"]
    return f"{delivery.facts['task']['name']}: {execution['state'] or execution['outcome']}"


def summary(delivery: Delivery) -> str:
    """The standard text of a mail."""
    task, execution = delivery.facts["task"], delivery.facts["execution"]
    failure = execution["failure"]
    lines = [
        f"Task:       {task['name']} ({task['type']})",
        f"Event:      {delivery.event}",
        f"State:      {execution['state'] or execution['outcome']}",
        f"Reason:     {execution['reason'] or execution['cancel_reason'] or ''}",
        f"Failure:    {': '.join(part for part in (failure['type'], failure['message']) if part)}",
        f"Nominal:    {execution['nominal'] or ''}",
        f"Ended:      {execution['ended_at'] or ''}",
        f"Attempt:    {execution['attempt'] or ''}",
        f"Execution:  {execution['id'] or ''}",
        f"Delivery:   {delivery.id}",
    ]
    return "".join(f"{line}\n" for line in lines if line.split(":", 1)[1].strip())
