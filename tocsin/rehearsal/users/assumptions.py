"""How long the stand-ins of a rehearsal take and how often they fail: what was said, what was seen, or a default, and which."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from runtime.clock import SECOND
from runtime.errors import InvalidRequest

from ...durations import parse_duration
from ...vocabulary.fields import show

USUAL_SECONDS: Final = 1.0
"""What a type takes of which nothing is known: long enough to be seen in the report, short enough not to be in its own way."""

KINDS: Final = ("durations", "failures", "checkpoints")
"""The tables of a file of assumptions."""


@attrs.frozen
class Assumption:
    """About one task type. seconds: one figure; two, to draw between; or more, to draw among. failures: of all attempts, this
    part fails. checkpoint: seconds between two; None: a run that is cut off begins anew. Each with its source, for people."""

    seconds: tuple[float, ...] = (USUAL_SECONDS,)
    failures: float = 0.0
    checkpoint: float | None = None
    duration_source: str = "default"
    failure_source: str = "default"

    def draw(self, rng: random.Random) -> float:
        """How long one run takes, seconds."""
        if len(self.seconds) == 2:
            return rng.uniform(*self.seconds)
        return rng.choice(self.seconds)

    @property
    def words(self) -> str:
        """How long it takes, for people."""
        low, high = min(self.seconds), max(self.seconds)
        if len(self.seconds) > 2:
            middle = sorted(self.seconds)[len(self.seconds) // 2]
            return f"{middle:g} s in the middle of {len(self.seconds)} runs"
        return f"{low:g} s" if low == high else f"{low:g} to {high:g} s"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "durationSeconds": list(self.seconds) if len(self.seconds) <= 2 else None,
            "duration": self.words,
            "durationSource": self.duration_source,
            "failures": self.failures,
            "failureSource": self.failure_source,
            "checkpointSeconds": self.checkpoint,
        }


class Assumptions:
    """What is assumed of each type; what comes later counts more."""

    def __init__(self) -> None:
        self._by_type: dict[str, Assumption] = {}

    def of(self, type_name: str) -> Assumption:
        """Of a task type."""
        return self._by_type.get(type_name, Assumption())

    def named(self) -> list[str]:
        """The types of which something was said."""
        return sorted(self._by_type)

    def seen(self, type_name: str, seconds: Sequence[float], failed: int, attempts: int, source: str) -> None:
        """What a history says of a type."""
        changes: dict[str, Any] = {}
        if seconds:
            taken = tuple(seconds) if len(seconds) > 2 else (sorted(seconds)[len(seconds) // 2],)
            changes |= {"seconds": taken, "duration_source": source}
        if attempts:
            changes |= {"failures": round(failed / attempts, 4), "failure_source": source}
        self._change(type_name, changes)

    def keep(self, known: Iterable[str]) -> None:
        """Forget what concerns none of these types."""
        kept = set(known)
        self._by_type = {name: one for name, one in self._by_type.items() if name in kept}

    def said(self, kind: str, entries: Iterable[str]) -> None:
        """Values of an option: TYPE=VALUE, or for any kind a file with tables. Raises InvalidRequest."""
        option = f"--{kind}"
        for text in entries:
            name, given, value = text.rpartition("=")
            if given:
                self._take(kind, name.strip(), value.strip(), option, option)
            elif text.endswith(".toml"):
                self._read(Path(text), option)
            else:
                raise InvalidRequest(f"{option}: TYPE=VALUE or a .toml file, not {show(text)}")

    def _read(self, file: Path, option: str) -> None:
        try:
            tables = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InvalidRequest(f"{option}: {file}: {error}") from None
        tables = tables.get("rehearsal", tables)
        for kind, table in tables.items():
            if kind not in KINDS or not isinstance(table, Mapping):
                raise InvalidRequest(f"{option}: {file}: a table {', '.join(KINDS)}, not {show(kind)}")
            for name, value in table.items():
                self._take(kind, name, value, f"{option}: {file}: {kind}.{name}", str(file))

    def _take(self, kind: str, name: str, value: object, field: str, source: str) -> None:
        if not name:
            raise InvalidRequest(f"{field}: TYPE=VALUE, not {show(f'={value}')}")
        match kind:
            case "durations":
                self._change(name, {"seconds": _seconds(value, field), "duration_source": source})
            case "failures":
                self._change(name, {"failures": _share(value, field), "failure_source": source})
            case _:
                self._change(name, {"checkpoint": _seconds(value, field)[0] or None})

    def _change(self, type_name: str, changes: Mapping[str, Any]) -> None:
        self._by_type[type_name] = attrs.evolve(self.of(type_name), **changes)


def _seconds(value: object, field: str) -> tuple[float, ...]:
    """`20m`, `5m-20m`, or a number of seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{value}s"
    if not isinstance(value, str):
        raise InvalidRequest(f"{field}: a duration such as 20m, or 5m-20m, not {show(value)}")
    parts = [part.strip() for part in value.split("-")] if not value.startswith("-") else [value]
    parts = [f"{part}s" if _is_number(part) else part for part in parts]
    if len(parts) > 2:
        raise InvalidRequest(f"{field}: a duration such as 20m, or 5m-20m, not {show(value)}")
    found = tuple(parse_duration(part, field) / SECOND for part in parts)
    if len(found) == 2 and found[0] > found[1]:
        raise InvalidRequest(f"{field}: the shorter one first, not {show(value)}")
    return found


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


def _share(value: object, field: str) -> float:
    """`0.05` or `5%`."""
    text = str(value).strip()
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = -1.0
    if isinstance(value, bool) or not 0 <= share <= 1:
        raise InvalidRequest(f"{field}: a part from 0 to 1, or 5%, not {show(value)}")
    return share
