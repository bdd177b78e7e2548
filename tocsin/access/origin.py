"""From where somebody asks, as the audit log keeps it beside his name."""

from __future__ import annotations

import json
from typing import Any

from actors.model.system import Actor


def acting(name: str, channel: str, *, address: str | None = None, token: str | None = None) -> Actor:
    """Who acts, through which channel, from which address, and with which token (its id)."""
    known = {"channel": channel, "address": address or None, "token": token}
    return Actor(name, json.dumps({key: value for key, value in known.items() if value is not None}))


def read_json(text: str) -> Any:
    """What a record's JSON text says; None where it says nothing."""
    return json.loads(text) if text else None
