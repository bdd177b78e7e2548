"""How often somebody may try: attempts to log in per address, and requests per token. Times are monotonic seconds."""

from __future__ import annotations

import math
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import Final

import attrs

from runtime.errors import TocsinError

WINDOW_SECONDS: Final = 60.0
"""Failures are counted in windows of a minute: long enough to slow down who guesses, short enough for who mistypes."""

FAILURES: Final = 20
"""Failed attempts of one address in a window: more than a person or a misconfigured program with patience makes."""

REMEMBERED: Final = 10_000
"""Addresses or tokens that are counted, some megabytes; of more the one that was quiet for longest is forgotten."""

_SITE_BITS: Final = 64
"""Of an IPv6 address: whoever has one has all with these."""


@attrs.define
class _Count:
    begun: float
    failures: int = 0


class TooManyRequests(TocsinError):
    """Too many wrong tokens from an address, or too many requests with a token. `seconds`: until it may be tried again."""

    def __init__(self, message: str = "too many requests", seconds: float = 1.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class Failures:
    """Failed attempts by address."""

    def __init__(self, most: int = FAILURES) -> None:
        self._most = most
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def wait(self, address: str, now: float) -> float:
        """Seconds until an address may try again; 0: now."""
        count = self._counts.get(site_of(address))
        if count is None or count.failures < self._most:
            return 0.0
        return max(0.0, count.begun + WINDOW_SECONDS - now)

    def failed(self, address: str, now: float) -> None:
        """Note a failed attempt."""
        site = site_of(address)
        count = self._counts.get(site)
        if count is None or now >= count.begun + WINDOW_SECONDS:
            count = self._counts[site] = _Count(now)
        count.failures += 1
        self._counts.move_to_end(site)
        if len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)


def site_of(address: str) -> str:
    """What is counted as one: an IPv4 address, or all IPv6 addresses of a site."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return f"{int(found) >> _SITE_BITS:x}"
    return str(found)


class Rates:
    """Requests by token: so many a second on average, and `burst` at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, key: str, now: float) -> float:
        """Take one; seconds to wait for it, of which 0 means that it was taken."""
        # The generic cell rate algorithm: when the bucket would be empty of debt again.
        full_at = max(now, self._full_at.get(key, now)) + 1 / self._rate
        early = full_at - now - self._burst / self._rate
        if early > 0:
            return early
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > REMEMBERED:
            self._full_at.popitem(last=False)
        return 0.0


def retry_after(seconds: float) -> str:
    """The value of the header of that name."""
    return str(max(1, math.ceil(seconds)))
