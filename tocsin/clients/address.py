"""Where a node is and what token it wants: said, in the environment, or in its data directory."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import attrs

from runtime.errors import InternalError, TocsinError, Unauthenticated

from ..config import DEFAULT_DATA

NODE_FILE: Final = "node.json"
TOKEN_FILE: Final = "token"  # noqa: S105
"""Files in a node's data directory: where it listens, and the administrator's token."""


class NodeUnreachable(TocsinError):
    """No node answers: none runs there, or the address is wrong."""


@attrs.frozen
class Address:
    """A node's URL, and the token that goes into every request."""

    url: str
    token: str = attrs.field(repr=False)


def find_address(url: str | None, token: str | None, data: str | Path | None) -> Address:
    """Where the node is.

    url, token: as said; without them TOCSIN_URL and TOCSIN_TOKEN, and without these what a node running over the data directory
    (`data`, TOCSIN_DATA, or ./.tocsin) has written there. Raises NodeUnreachable or Unauthenticated if that is not enough.
    """
    directory = Path(data or os.environ.get("TOCSIN_DATA") or DEFAULT_DATA)
    base = url or os.environ.get("TOCSIN_URL") or _url_of(directory)
    secret = token or os.environ.get("TOCSIN_TOKEN") or _token_of(directory)
    if not secret.isascii() or not secret.isprintable():
        raise Unauthenticated("the token holds characters that no token has")
    return Address(base, secret)


def _url_of(directory: Path) -> str:
    try:
        url = json.loads((directory / NODE_FILE).read_text(encoding="utf-8"))["url"]
    except OSError:
        raise NodeUnreachable(
            f"no node runs over {str(directory)!r}: start one with 'tocsin up', or set TOCSIN_URL or TOCSIN_DATA"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise InternalError(f"{directory / NODE_FILE} is damaged: start the node again") from None
    return str(url)


def _token_of(directory: Path) -> str:
    try:
        return (directory / TOKEN_FILE).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unauthenticated(f"no token: set TOCSIN_TOKEN, or TOCSIN_DATA to the node's directory ({error})") from None
