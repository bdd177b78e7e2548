"""The connection of a command to its node."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.errors import InvalidRequest

from ..clients.address import NODE_FILE
from ..settings.places import CLUSTER_DATA

if TYPE_CHECKING:
    from ..client import Client

cleanup: Final = ExitStack()
"""What is closed when the command has ended."""


TENANT: Final = "TOCSIN_TENANT"
"""The variable that names the tenant that commands are about."""


@contextmanager
def about_tenant(arguments: Sequence[str]) -> Iterator[list[str]]:
    """The arguments without a leading `--tenant NAME`, which is in the environment for as long as they are carried out."""
    rest, tenant = list(arguments), None
    if rest and (rest[0] == "--tenant" or rest[0].startswith("--tenant=")):
        _, given, tenant = rest.pop(0).partition("=")
        if not given:
            if not rest:
                raise InvalidRequest("--tenant: the name of a tenant, and then a command")
            tenant = rest.pop(0)
    if tenant is None:
        yield rest
        return
    before = os.environ.get(TENANT)
    os.environ[TENANT] = tenant
    try:
        yield rest
    finally:
        if before is None:
            del os.environ[TENANT]
        else:
            os.environ[TENANT] = before


def with_address(words: Sequence[str]) -> str:
    """The same command for a development cluster that runs in this directory; empty if none does, or another node was named."""
    if any(os.environ.get(name) for name in ("TOCSIN_DATA", "TOCSIN_URL")):
        return ""
    found = sorted(Path(CLUSTER_DATA).glob(f"*/{NODE_FILE}"))
    return f"TOCSIN_DATA={shlex.quote(str(found[0].parent))} {shlex.join(('tocsin', *words))}" if found else ""


def connect() -> Client:
    """A client of the node that the environment names; closed with `cleanup`."""
    from .execution_ids import FindingClient

    return cleanup.enter_context(FindingClient(channel="cli"))
