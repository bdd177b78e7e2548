"""Where a node is and what token it wants: said, in the environment, or in its data directory."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import attrs

from runtime.errors import InternalError, TocsinError, Unauthenticated

from ..settings.places import DEFAULT_DATA

NODE_FILE: Final = "node.json"
TOKEN_FILE: Final = "token"  # noqa: S105
"""Files in a node's data directory: where it listens, and the administrator's token."""


class NodeUnreachable(TocsinError):
    """No node answers: none runs there, or the address is wrong."""


@attrs.frozen
class Address:
    """A node's URL, and the token that goes into every request.

    `trusted`: a file of certificates, in place of those of the public authorities. `names`: whether a server must have the name
    under which it is asked; one on this machine is known by its certificate. `tenant`: the one that every request is about, None
    for that of the token.
    """

    url: str
    token: str = attrs.field(repr=False)
    trusted: str | None = None
    names: bool = True
    tenant: str | None = None


def find_address(url: str | None, token: str | None, data: str | Path | None) -> Address:
    """Where the node is.

    url, token: as said; without them TOCSIN_URL and TOCSIN_TOKEN, and without these what a node running over the data directory
    (`data`, TOCSIN_DATA, or ./.tocsin) has written there. Raises NodeUnreachable or Unauthenticated if that is not enough.
    TOCSIN_CA: a file of the certificates to trust, where a URL is said. TOCSIN_TENANT: of a token of all tenants, the one that is
    meant; the empty text is the tenant without a name.
    """
    directory = Path(data or os.environ.get("TOCSIN_DATA") or DEFAULT_DATA)
    base = url or os.environ.get("TOCSIN_URL")
    trusted, names = os.environ.get("TOCSIN_CA"), True
    if not base:
        base, certificate = _told(directory)
        trusted, names = (trusted, True) if certificate is None else (certificate, False)
    secret = token or os.environ.get("TOCSIN_TOKEN") or _token_of(directory)
    if not secret.isascii() or not secret.isprintable():
        raise Unauthenticated("the token holds characters that no token has")
    return Address(base, secret, trusted or None, names, os.environ.get("TOCSIN_TENANT"))


def _told(directory: Path) -> tuple[str, str | None]:
    """The URL of the node that runs there, and the file of its certificate if it speaks TLS."""
    try:
        told = json.loads((directory / NODE_FILE).read_text(encoding="utf-8"))
        url, certificate = str(told["url"]), told.get("certificate")
    except OSError:
        raise NodeUnreachable(
            f"no node runs over {str(directory)!r}: start one with 'tocsin up', or set TOCSIN_URL or TOCSIN_DATA"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InternalError(f"{directory / NODE_FILE} is damaged: start the node again") from None
    return url, certificate


def _token_of(directory: Path) -> str:
    try:
        return (directory / TOKEN_FILE).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unauthenticated(f"no token: set TOCSIN_TOKEN, or TOCSIN_DATA to the node's directory ({error})") from None
