"""`tocsin console`: the way from a terminal into a browser, without a token that is typed or left in a history."""

from __future__ import annotations

import os
import sys
import webbrowser
from typing import Final

from ..clients.address import find_address
from ..clients.asking_core import Silence
from ..clients.plain_wire import PlainWire
from ..clients.requests_core import Reply, Request, answer_of
from .output import print_json

TICKET: Final = Request("POST", "/session/ticket")

_SCREENS: Final = ("DISPLAY", "WAYLAND_DISPLAY")


def open_console(shown: bool, as_json: bool) -> int:
    """Print an address that opens the console once, and open it where there is a screen. `shown`: print it alone."""
    address = find_address(None, None, None)
    heard = PlainWire(address, "cli").send(TICKET)
    if isinstance(heard, Silence):
        raise heard.error
    assert isinstance(heard, Reply), "a request was sent"
    told = answer_of(heard)
    url = f"{address.url}{told['path']}"
    if as_json:
        print_json({"url": url, "seconds": told["seconds"]})
        return 0
    print(url)
    print(f"It opens the console once, within {told['seconds']:g} seconds.", file=sys.stderr)
    if not shown and any(os.environ.get(name) for name in _SCREENS):
        webbrowser.open(url)
    return 0
