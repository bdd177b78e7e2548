"""The pages that come with the interface: the OpenAPI document, and one that shows it to people.

They tell nothing about a node or its tasks, so anybody may read them. Everything is served by the node itself, and the page
may load nothing else and run no script that stands in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from ..openapi import DOCS_PATH, DOCUMENT_PATH, document

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page may load: what comes from the node, and no script or style of its own text."""

HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

_FILES: Final = {
    DOCS_PATH: ("docs.html", "text/html"),
    f"{DOCS_PATH}/docs.css": ("docs.css", "text/css"),
    f"{DOCS_PATH}/docs.js": ("docs.js", "text/javascript"),
}
"""Path -> file of this package and its media type."""


def page_routes() -> list[HTTPRouteHandler]:
    """The routes of the document and of the page."""
    here = Path(__file__).parent
    found = [_route(DOCUMENT_PATH, json.dumps(document(), ensure_ascii=False).encode(), "application/json")]
    return found + [_route(path, (here / name).read_bytes(), media) for path, (name, media) in _FILES.items()]


def _route(path: str, content: bytes, media: str) -> HTTPRouteHandler:
    async def get() -> Response[bytes]:
        return Response(content, status_code=200, media_type=media, headers=HEADERS)

    get.__annotations__ = {"return": Response}
    return HTTPRouteHandler(path, http_method="GET", status_code=200, name=path)(get)
