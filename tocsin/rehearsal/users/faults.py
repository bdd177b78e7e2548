"""What is to go wrong in a rehearsal, as people write it: `n2@3d4h:2h`, `n1|n2,n3@2026-12-24T03:00:10m`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from runtime.clock import SECOND, Instant
from runtime.errors import InvalidRequest

from ...durations import parse_duration
from ...vocabulary.fields import parse_instant, real_number, show
from ..plan import Fault, FaultKind

ALL: Final = "all"

KINDS: Final[Mapping[str, tuple[FaultKind, FaultKind | None]]] = {
    "--kill": (FaultKind.KILL, None),
    "--freeze": (FaultKind.FREEZE, None),
    "--drain": (FaultKind.DRAIN, None),
    "--lose-store": (FaultKind.LOSE_STORE, FaultKind.STOP_STORE),
    "--lose-coordination": (FaultKind.LOSE_COORDINATION, FaultKind.LOSE_QUORUM),
}
"""By option: what happens to one node, and what happens to all at once, where that is something else."""

PARTITION: Final = "--partition"

_DURATION: Final = re.compile(r"[\d.]+(ms|us|[wdhms])([\d.]+(ms|us|[wdhms]))*")


def read_faults(
    option: str, texts: Iterable[str], names: Sequence[str], begin: Instant, seconds: float
) -> Iterator[Fault]:
    """The faults that an option's values describe. seconds: how long the rehearsal is. Raises InvalidRequest."""
    for text in texts:
        target, at, lasts = _parts(option, text, begin, seconds)
        if option == PARTITION:
            yield from _partition(text, target, names, at, lasts)
            continue
        kind, for_all = KINDS[option]
        if target == ALL and for_all is not None:
            yield Fault(at, for_all, (), lasts)
        else:
            chosen = names if target == ALL else _nodes(option, text, target, names)
            yield from (Fault(at, kind, (name,), lasts) for name in chosen)


def read_skews(texts: Iterable[str], names: Sequence[str]) -> dict[str, float]:
    """By how many seconds the clock of which node is wrong: `n2=0.5`, `n3=-250ms`. Raises InvalidRequest."""
    found: dict[str, float] = {}
    for text in texts:
        name, given, value = text.partition("=")
        if not given:
            raise InvalidRequest(f"--skew: NODE=SECONDS, not {show(text)}")
        [node] = _nodes("--skew", text, name, names)
        sign, plain = (-1, value[1:]) if value.startswith("-") else (1, value)
        if plain.replace(".", "", 1).isdecimal():
            plain += "s"
        found[node] = real_number(sign * parse_duration(plain, "--skew") / SECOND, "--skew", -3600, 3600)
    return found


def _parts(option: str, text: str, begin: Instant, seconds: float) -> tuple[str, float, float]:
    """Target, seconds from the beginning, seconds it lasts."""
    target, given, when = text.partition("@")
    if not given or not target.strip() or not when.strip():
        usual = "A|B@WHEN:FOR" if option == PARTITION else "NODE@WHEN:FOR"
        raise InvalidRequest(f"{option}: {usual}, such as {_example(option)}, not {show(text)}")
    before, parted, behind = when.rpartition(":")
    lasts: float | None = None
    if parted and _DURATION.fullmatch(behind.strip()):
        when, lasts = before, parse_duration(behind, option) / SECOND
    if lasts is None and option != "--kill":
        raise InvalidRequest(f"{option}: say for how long, such as {_example(option)}, not {show(text)}")
    when = when.strip().removeprefix("+")
    if _DURATION.fullmatch(when):
        at = parse_duration(when, option) / SECOND
    else:
        at = (parse_instant(when, option, "UTC") - begin) / SECOND
    if not 0 <= at < seconds:
        raise InvalidRequest(f"{option}: a time within the rehearsal, not {show(text)}")
    left = seconds - at
    return target.strip(), at, left if lasts is None else min(lasts, left)


def _example(option: str) -> str:
    return "n1|n2,n3@3d4h:10m" if option == PARTITION else "n2@3d4h:10m"


def _nodes(option: str, text: str, target: str, names: Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(name.strip() for name in target.split(","))
    for name in chosen:
        if name not in names:
            raise InvalidRequest(f"{option}: one of the nodes {', '.join(names)}, not {show(name)} in {show(text)}")
    return chosen


def _partition(text: str, target: str, names: Sequence[str], at: float, lasts: float) -> Iterator[Fault]:
    left, parted, right = target.replace("/", "|").partition("|")
    if not parted:
        raise InvalidRequest(f"{PARTITION}: two sides, such as {_example(PARTITION)}, not {show(text)}")
    one, other = _nodes(PARTITION, text, left, names), _nodes(PARTITION, text, right, names)
    if set(one) & set(other):
        raise InvalidRequest(f"{PARTITION}: no node on both sides, not {show(text)}")
    yield from (Fault(at, FaultKind.CUT, (first, second), lasts) for first in one for second in other)
