"""Which addresses a node asks on behalf of those who make tasks: public ones, and those that the configuration allows.

Requests that a task or a webhook has a node make come from inside of its network, so they must not become requests to its
neighbours. A name is resolved once, its addresses are judged, and the connection is made to an address that was judged, so a name
that resolves to something else a moment later changes nothing. What is judged is the address, never how it is written, so no
spelling of one goes around it. (OWASP: Server Side Request Forgery Prevention; RFC 6890 and the registries of IANA that it made.)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

import trio

MAX_ADDRESSES: Final = 3
"""Addresses of a name that are tried one after the other while none can be connected to."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64: Final = IPv6Network("64:ff9b::/96")
_TRANSLATED: Final = IPv6Network("::ffff:0:0:0/96")
_COMPATIBLE: Final = IPv6Network("::/96")
_ISATAP: Final = 0x0000_5EFE
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")

_NOT_PUBLIC: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",
    )
) + tuple(
    IPv6Network(text)
    for text in ("2001::/23", "2001:db8::/32", "3fff::/20")
)  # fmt: skip
"""IANA's special-purpose networks, and the one public address behind which a cloud has its platform's services.

Written down here, because what Python says of an address differs between its releases. Of IPv6 all that is not global unicast is
refused anyway.
"""


_LOGGERS: Final = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy")
"""Who logs whole addresses, at level INFO, and the headers of answers, at level DEBUG."""

_quiet: Final[ContextVar[bool]] = ContextVar("quiet", default=False)


@contextmanager
def unlogged() -> Iterator[None]:
    """While the block runs the HTTP library logs nothing of it: addresses and headers of tasks and webhooks hold secrets."""
    before = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(before)


for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(lambda _: not _quiet.get())


class Unreachable(Exception):
    """A host that is not asked. `permanent`: it was refused, and did not merely have no address just now."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


async def checked_addresses(host: str, port: int, allowed: Sequence[Network], setting: str) -> list[Address]:
    """The addresses of a host that may be connected to, the first few.

    allowed: networks that may be reached although they are not public; setting: the key that says so. Raises Unreachable if there
    are none.
    """
    try:
        found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"{host!r} cannot be resolved: {error}", permanent=False) from error
    addresses = list(dict.fromkeys(ip_address(entry[4][0]) for entry in found))
    good = [address for address in addresses if may_be_reached(address, allowed)]
    if not good:
        shown = ", ".join(map(str, addresses[:MAX_ADDRESSES]))
        raise Unreachable(
            f"{host!r} is {shown}, which is not public and not in {setting} of the configuration", permanent=True
        )
    return good[:MAX_ADDRESSES]


def may_be_reached(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether an address may be connected to: it is allowed, or public with all that it stands for."""
    return all(_is_public(one) or _is_in(one, allowed) for one in meant_by(address))


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and (address not in _GLOBAL_UNICAST or address.scope_id is not None):
        return False
    # Python knows networks too, and may learn of more than stand here.
    return not _is_in(address, _NOT_PUBLIC) and address.is_global and not address.is_multicast


def meant_by(address: Address) -> list[Address]:
    """The addresses that packets to an address may end at: IPv4 addresses are hidden in several kinds of IPv6 ones."""
    if isinstance(address, IPv4Address):
        return [address]
    last = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.ipv4_mapped is not None or address in _NAT64:
        return [last]
    if address.sixtofour is not None:
        return [address, address.sixtofour]
    if address.teredo is not None:
        return [address, *address.teredo]
    is_isatap = (int(address) >> 32) & 0xFDFF_FFFF == _ISATAP
    if is_isatap or address in _TRANSLATED or address in _COMPATIBLE:
        return [address, last]
    return [address]
