"""The routes of the console: one page under every address of it, and the files that the page is made of.

They tell nothing about a node, so they need no token: what the page shows it asks for over REST, as whoever has logged in.
"""

from __future__ import annotations

from typing import Any, Final

from litestar import Request, Response
from litestar.handlers import HTTPRouteHandler

from .assets import Asset, read_assets

CONSOLE_PATH: Final = "/console"

ASSETS_PATH: Final = f"{CONSOLE_PATH}/assets"

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""What the page may load: what comes from the node, no script or style of its own text, and no text as markup."""

HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding, Cookie",
}

FOR_EVER: Final = "public, max-age=31536000, immutable"
"""Of the files: their address changes with what they hold."""

AnyRequest = Request[Any, Any, Any]


def console_routes(cookie: str) -> list[HTTPRouteHandler]:
    """The routes, with the files read. cookie: the name of that of sessions."""
    assets = read_assets()

    async def page(request: AnyRequest) -> Response[bytes]:
        return _answer(request, assets.page if cookie in request.cookies else assets.door, "no-cache")

    async def asset(request: AnyRequest) -> Response[bytes]:
        found = assets.files.get(str(request.path_params["name"]).lstrip("/"))
        if found is None or request.path_params["digest"] != assets.digest:
            return Response(b"no such file", status_code=404, media_type="text/plain", headers=HEADERS)
        return _answer(request, found, FOR_EVER)

    async def entrance() -> Response[bytes]:
        return Response(b"", status_code=303, media_type="text/html", headers=HEADERS | {"Location": CONSOLE_PATH})

    page.__annotations__ = asset.__annotations__ = {"request": Request, "return": Response}
    entrance.__annotations__ = {"return": Response}
    paths = [CONSOLE_PATH, f"{CONSOLE_PATH}/{{rest:path}}"]
    return [
        HTTPRouteHandler(paths, http_method="GET", status_code=200, name="console")(page),
        HTTPRouteHandler(
            f"{ASSETS_PATH}/{{digest:str}}/{{name:path}}", http_method="GET", status_code=200, name="console assets"
        )(asset),
        HTTPRouteHandler("/", http_method="GET", status_code=303, name="/")(entrance),
    ]


def _answer(request: AnyRequest, asset: Asset, cache: str) -> Response[bytes]:
    headers = HEADERS | {"Cache-Control": cache}
    taken = {coding.split(";")[0].strip() for coding in request.headers.get("accept-encoding", "").split(",")}
    content = asset.content
    if "gzip" in taken and (packed := asset.packed()):
        content, headers = packed, headers | {"Content-Encoding": "gzip"}
    return Response(content, status_code=200, media_type=asset.media, headers=headers)
