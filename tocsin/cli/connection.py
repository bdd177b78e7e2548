"""The connection of a command to its node."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..client import Client

cleanup: Final = ExitStack()
"""What is closed when the command has ended."""


def connect() -> Client:
    """A client of the node that the environment names; closed with `cleanup`."""
    from ..client import Client

    return cleanup.enter_context(Client(channel="cli"))
