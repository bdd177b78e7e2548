"""The files of the console, as they are served: read once, named by what they hold, packed for those who take it packed."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

import attrs

STATIC: Final = Path(__file__).parent / "static"

MEDIA: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Suffix -> media type. Files with other suffixes (licences, notes) are not served."""

PAGE: Final = "index.html"

MARK: Final = b"{{assets}}"
"""In the page: where its assets are. The path has the digest of all of them, so that a browser may keep each for ever."""

SESSION: Final = b"{{session}}"
"""In the page: whether the browser that asked has a session, "there" or "none". Who has none is not asked for it in vain."""

SMALL: Final = 1_000
"""Bytes below which packing saves no packet."""


@attrs.frozen
class Asset:
    """One file: its bytes and its media type."""

    content: bytes
    media: str

    def packed(self) -> bytes:
        """The same packed; empty if that saves nothing. Done when it is first asked for, and not by every node that starts."""
        return _packed(self.content) if len(self.content) >= SMALL else b""


@attrs.frozen
class Assets:
    """All files. `digest`: of all of them; `page`: the one page, which names the others by it; `door`: it for visitors."""

    digest: str
    page: Asset
    door: Asset
    files: Mapping[str, Asset]


def read_assets(folder: Path = STATIC) -> Assets:
    """The files of a folder, by their paths within it with slashes."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.suffix in MEDIA}
    contents = {name: path.read_bytes() for name, path in found.items()}
    whole = sha256()
    for name, content in contents.items():
        whole.update(f"{name} {len(content)} ".encode() + content)
    digest = whole.hexdigest()[:16]
    page = contents.pop(PAGE).replace(MARK, f"/console/assets/{digest}".encode())
    files = {name: _asset(name, content) for name, content in contents.items()}
    there, none = (_asset(PAGE, page.replace(SESSION, word)) for word in (b"there", b"none"))
    return Assets(digest, there, none, files)


def _asset(name: str, content: bytes) -> Asset:
    return Asset(content, MEDIA[Path(name).suffix])


@cache
def _packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)
