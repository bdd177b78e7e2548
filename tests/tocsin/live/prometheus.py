"""Reads what scrapers read, as strictly as the format's own checker."""

from __future__ import annotations

import math
import re

import attrs

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
_PARTS = ("_bucket", "_sum", "_count")

Labels = tuple[tuple[str, str], ...]


@attrs.define
class Found:
    """A family: its kind, and its samples by name and labels."""

    kind: str
    about: str
    samples: dict[tuple[str, Labels], float] = attrs.field(factory=dict)


def parsed(text: str) -> dict[str, Found]:
    """The families of an exposition. Raises AssertionError for what is wrong with it."""
    assert text.endswith("\n") and "\n\n" not in text and "\r" not in text
    found: dict[str, Found] = {}
    about: tuple[str, str] | None = None
    current = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, name, words = line.split(" ", 3)
            about = name, words
        elif line.startswith("# TYPE "):
            _, _, current, kind = line.split(" ", 3)
            assert about is not None and about[0] == current, f"no HELP before {line}"
            assert _NAME.fullmatch(current) and current not in found, line
            assert kind in ("counter", "gauge", "histogram"), line
            assert (kind == "counter") is current.endswith("_total"), line
            assert about[1].endswith("."), line
            found[current] = Found(kind, about[1])
        else:
            _sample(line, current, found[current])
    for name, family in found.items():
        if family.kind == "histogram":
            _check_histogram(name, family)
    return found


def _sample(line: str, current: str, family: Found) -> None:
    match = _SAMPLE.fullmatch(line)
    assert match is not None, line
    name, shown, value = match[1], match[2] or "", match[3]
    allowed = [current + part for part in _PARTS] if family.kind == "histogram" else [current]
    assert name in allowed, f"{line} stands under {current}"
    labels = tuple(_LABEL.findall(shown))
    assert "".join(one[0] for one in re.finditer(_LABEL, shown)) == shown, line
    assert len(dict(labels)) == len(labels), line
    assert (name, labels) not in family.samples, line
    number = float(value)
    assert not math.isnan(number) and (family.kind == "gauge" or number >= 0), line
    family.samples[name, labels] = number


def _check_histogram(name: str, family: Found) -> None:
    series: dict[Labels, list[tuple[float, float]]] = {}
    for (sample, labels), value in family.samples.items():
        if sample == f"{name}_bucket":
            rest = tuple(pair for pair in labels if pair[0] != "le")
            series.setdefault(rest, []).append((float(dict(labels)["le"]), value))
    assert series, name
    for rest, buckets in series.items():
        assert buckets == sorted(buckets) and buckets[-1][0] == math.inf
        counts = [count for _, count in buckets]
        assert counts == sorted(counts)
        assert counts[-1] == family.samples[f"{name}_count", rest]
        assert (f"{name}_sum", rest) in family.samples
