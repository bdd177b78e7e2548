"""What the built pages need so that they ask nobody else for anything."""

from __future__ import annotations

from typing import Any

SHIM = "https://unpkg.com/iframe-worker/shim"
"""What the search needs where pages are read from files; the theme would fetch it. It lies in assets/."""


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Put our own copy in its place."""
    return _own(output, page.url.count("/"))


def on_post_template(output_content: str, template_name: str, **_: Any) -> str:
    """The same in pages that are no documents."""
    return _own(output_content, template_name.count("/"))


def _own(page: str, depth: int) -> str:
    return page.replace(SHIM, "../" * depth + "assets/iframe-worker.js")
