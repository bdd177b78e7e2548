"""The one reader of the time zone database: offsets and their changes, from the pinned `tzdata` package.

The standard library prefers the system's database, so two machines could disagree about the same task. Here the zone
files come from the `tzdata` package only, and its version can be asked. After the changes that a zone file lists, its
footer rule goes on for ever; what that rule yields is probed once per bucket of time and kept.
"""

from __future__ import annotations

import difflib
import importlib
import struct
from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta
from functools import lru_cache
from importlib import resources
from io import BytesIO
from typing import Final
from zoneinfo import ZoneInfo

import attrs

from runtime.errors import InternalError, InvalidRequest

_DAY: Final = 86_400
_SECOND: Final = timedelta(seconds=1)

_BUCKET_BITS: Final = 25
"""Offsets are kept by buckets of 2**25 s (388 days): one shift finds the bucket, and each holds a change or two."""

_PROBE_STEP: Final = 7 * _DAY
"""Seconds between two looks for a change made by a footer's rule, which makes two changes a year, months apart."""

_BUCKETS_KEPT: Final = 1_024
"""Buckets of one zone kept in memory, against questions spread over thousands of years; about 1 kB each."""

_LONGEST_NAME: Final = 64
"""Characters of a zone's name that are searched for near matches; the longest real name has 32."""

_EARLIEST: Final = -62_135_596_800 + 2 * _DAY
_LATEST: Final = 253_402_300_799 - 2 * _DAY
"""Seconds; two days inside what a `datetime` can hold, so that no offset leads outside."""

FOREVER: Final = 1 << 62
"""The end, in seconds, of a stretch that no change follows."""


@attrs.frozen
class Change:
    """A change of offset: `at` in Unix seconds, offsets in seconds east of UTC.

    Forward (`after > before`) it makes a gap in the wall clock, backward an overlap.
    """

    at: int
    before: int
    after: int


@attrs.frozen
class Stretch:
    """A span of constant offset, `start <= instant < end` in Unix seconds.

    `before` and `after` are the offsets of its neighbours. A bound where these equal `offset` is no change: the stretch
    was only cut there, and no change lies within two days past the cut.
    """

    start: int
    end: int
    offset: int
    before: int
    after: int


class Zone:
    """One zone of the database. Get it from `zone()`; compared by identity, one object per name."""

    __slots__ = ("_buckets", "_changes", "_final", "_info", "_recurs", "_times", "name")

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        times, footer = _read_tzif(data)
        self._info = ZoneInfo.from_file(BytesIO(data), key=name)
        self._recurs = "," in footer
        self._changes = self._actual_changes(times)
        self._times = [change.at for change in self._changes]
        self._buckets: dict[int, tuple[list[int], list[Stretch]]] = {}
        self._final = None if self._recurs else self._final_stretch()

    def __repr__(self) -> str:
        return f"Zone({self.name!r})"

    def offset(self, second: int) -> int:
        """Seconds east of UTC at an instant in Unix seconds."""
        return self.stretch(second).offset

    def to_local(self, second: int) -> int:
        """The wall clock at an instant in Unix seconds, as seconds since 1970-01-01T00:00:00 of that wall clock."""
        return second + self.stretch(second).offset

    def stretch(self, second: int) -> Stretch:
        """The span of constant offset that holds this instant in Unix seconds."""
        final = self._final
        if final is not None and second >= final.start:
            return final
        starts, stretches = self._buckets.get(second >> _BUCKET_BITS) or self._fill(second >> _BUCKET_BITS)
        return stretches[bisect_right(starts, second) - 1]

    def changes(self, begin: int, end: int) -> list[Change]:
        """The changes of offset with `begin <= at < end`, in order, Unix seconds."""
        listed = self._changes[bisect_left(self._times, begin) : bisect_left(self._times, end)]
        if not self._recurs:
            return listed
        rule_begins = self._times[-1] + 1 if self._times else _EARLIEST
        return listed + self._probe(max(begin, rule_begins), min(end, _LATEST))

    def next_changes(self, after: int, count: int) -> list[Change]:
        """Up to `count` changes of offset strictly later than `after` (Unix seconds), within 50 years."""
        found: list[Change] = []
        begin = after + 1
        for _ in range(50):
            if len(found) >= count or (self._final is not None and begin > self._final.start):
                break
            found += self.changes(begin, begin + 366 * _DAY)
            begin += 366 * _DAY
        return found[:count]

    def _offset_at(self, second: int) -> int:
        offset = datetime.fromtimestamp(min(max(second, _EARLIEST), _LATEST), self._info).utcoffset()
        return 0 if offset is None else offset // _SECOND

    def _actual_changes(self, times: list[int]) -> list[Change]:
        """The listed times at which the offset differs: some change only the abbreviation or the daylight flag."""
        pairs = [Change(at, self._offset_at(at - 1), self._offset_at(at)) for at in times]
        return [change for change in pairs if change.before != change.after]

    def _final_stretch(self) -> Stretch:
        if not self._changes:
            offset = self._offset_at(0)
            return Stretch(-FOREVER, FOREVER, offset, offset, offset)
        last = self._changes[-1]
        return Stretch(last.at, FOREVER, last.after, last.before, last.after)

    def _probe(self, begin: int, end: int) -> list[Change]:
        """Changes by the footer's rule in `begin <= at < end`: a look each week, halving between two that differ."""
        found: list[Change] = []
        low, before = begin - 1, self._offset_at(begin - 1)
        while low < end - 1:
            high = min(low + _PROBE_STEP, end - 1)
            after = self._offset_at(high)
            if after != before:
                found.append(Change(self._halve(low, high, before), before, after))
            low, before = high, after
        return found

    def _halve(self, low: int, high: int, before: int) -> int:
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset_at(middle) == before:
                low = middle
            else:
                high = middle
        return high

    def _fill(self, bucket: int) -> tuple[list[int], list[Stretch]]:
        """Computes and keeps the stretches that cover one bucket.

        The neighbours are read too, so every stretch that begins or ends in the bucket has its true bounds. The last
        one is cut two days before the end of what was read, so that a cut is never just before a change.
        """
        low, high = (bucket - 1) << _BUCKET_BITS, (bucket + 2) << _BUCKET_BITS
        stretches: list[Stretch] = []
        start, offset = low, self._offset_at(low - 1)
        before = offset
        for change in self.changes(low, high):
            if change.at > start:
                stretches.append(Stretch(start, change.at, offset, before, change.after))
            start, before, offset = change.at, change.before, change.after
        if start < high - 2 * _DAY:
            stretches.append(Stretch(start, high - 2 * _DAY, offset, before, offset))
        if len(self._buckets) >= _BUCKETS_KEPT:
            self._buckets.clear()
        table = self._buckets[bucket] = ([stretch.start for stretch in stretches], stretches)
        return table


@lru_cache(maxsize=1)
def database_version() -> str:
    """The version of the time zone database in use, e.g. `2026f`."""
    return str(importlib.import_module("tzdata").IANA_VERSION)


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Every name the database knows, links included."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


@lru_cache(maxsize=1_024)
def zone(name: str) -> Zone:
    """The zone of this IANA name.

    Raises InvalidRequest for an unknown name, with the nearest known one where there is one. Names are looked up in the
    database's own list, so no name can lead to a file outside it.
    """
    if name not in zone_names():
        raise InvalidRequest(f"unknown time zone {name[:_LONGEST_NAME]!r}{_suggestion(name)}")
    return Zone(name, resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes())


def _suggestion(name: str) -> str:
    near = _near_match(name[:_LONGEST_NAME].strip().replace(" ", "_").lower())
    return f"; did you mean {near!r}?" if near else f" (time zone database {database_version()})"


def _near_match(wanted: str) -> str | None:
    known = {candidate.lower(): candidate for candidate in sorted(zone_names())}
    cities = {lowered.rsplit("/", 1)[-1]: candidate for lowered, candidate in known.items()}
    exact = known.get(wanted) or cities.get(wanted)
    if exact or not wanted:
        return exact
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.6)
    if near:
        return known[near[0]]
    near = difflib.get_close_matches(wanted, cities, n=1, cutoff=0.75)
    return cities[near[0]] if near else None


def _read_tzif(data: bytes) -> tuple[list[int], str]:
    """The transition times and the footer of a zone file of version 2 or later (RFC 9636)."""
    first = struct.unpack_from(">4s16x6l", data)
    if first[0] != b"TZif":
        raise InternalError(f"the time zone database {database_version()} holds a file that begins {first[0]!r}")
    at = 44 + _block_size(first, time_size=4)
    second = struct.unpack_from(">4s16x6l", data, at)
    times = struct.unpack_from(f">{second[4]}q", data, at + 44)
    footer = data[at + 44 + _block_size(second, time_size=8) :]
    return [time for time in times if _EARLIEST < time < _LATEST], footer.decode("ascii").strip()


def _block_size(header: tuple[int, ...], time_size: int) -> int:
    _, utc_flags, standard_flags, leaps, times, types, characters = header
    return times * (time_size + 1) + types * 6 + characters + leaps * (time_size + 4) + standard_flags + utc_flags
