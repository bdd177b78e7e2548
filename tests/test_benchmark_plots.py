"""Pictures of figures: well-formed, to scale, and readable on light and dark pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.plots import _main, pictures, read
from benchmarks.svg import COLOURS, FAINT, GAP, NAMES, TEXT, Bar, Curve, apart, bars, curves, number, steps

LIGHT, DARK = "#ffffff", "#1e2129"
"""What the documentation's pages have in either mode."""

SVG = "{http://www.w3.org/2000/svg}"


def luminance(colour: str) -> float:
    """Of WCAG 2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Of WCAG 2: 1 to 21."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", [LIGHT, DARK])
def test_colours_are_seen_on_either_page(page: str) -> None:
    assert contrast(TEXT, page) >= 3.8
    assert min(contrast(colour, page) for colour in (*COLOURS, FAINT)) >= 3


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def test_bars_are_to_a_logarithmic_scale() -> None:
    picture = bars("rates", "per second", [Bar("ours", 10_000, "ours"), Bar("a & b", 1_000), Bar("raw", 100, "limit")])
    root = ElementTree.fromstring(picture)
    widths = [float(rect.attrib["width"]) for rect in root.iter(f"{SVG}rect")]
    assert widths[0] - widths[1] == pytest.approx(widths[1] - widths[2], abs=0.2)
    assert {float(rect.attrib["x"]) for rect in root.iter(f"{SVG}rect")} == {NAMES}
    assert {"a & b", "10k", "1k", "100", "per second"} <= set(texts(picture))


def test_ours_is_told_apart_without_colour() -> None:
    root = ElementTree.fromstring(bars("rates", "s", [Bar("ours", 2, "ours"), Bar("raw", 3, "limit"), Bar("peer", 1)]))
    weights = {element.text: element.attrib.get("font-weight") for element in root.iter(f"{SVG}text")}
    assert weights["ours"] == "600"
    assert weights["peer"] is None
    assert [rect.attrib.get("stroke-dasharray") for rect in root.iter(f"{SVG}rect")] == [None, "4 3", None]


def test_values_between_which_it_lay_are_shown() -> None:
    without = bars("rates", "s", [Bar("ours", 20)])
    between = bars("rates", "s", [Bar("ours", 20, low=10, high=40)])
    assert between.count('stroke-width="2"') == without.count('stroke-width="2"') + 1


def test_curves_have_their_names_at_their_ends() -> None:
    lines = [Curve("a fire", ((1_000, 1.0), (1_000_000, 1.5))), Curve("a page", ((1_000, 1.0), (1_000_000, 1.51)))]
    picture = curves("growth", "stored", "times", lines, decades=True, bound=2)
    root = ElementTree.fromstring(picture)
    heights = {element.text: float(element.attrib["y"]) for element in root.iter(f"{SVG}text")}
    assert abs(heights["a fire"] - heights["a page"]) == pytest.approx(GAP)
    assert {"1k", "10k", "100k", "1M", "2"} <= set(heights)
    assert "stroke-dasharray" in picture


def test_a_curve_may_be_flat_or_a_point() -> None:
    ElementTree.fromstring(curves("memory", "hours", "MB", [Curve("m", ((0.0, 0.0),))]))
    ElementTree.fromstring(curves("memory", "hours", "MB", [Curve("m", ((0.0, 80.0), (1.0, 80.0)))]))


def test_nothing_stands_beyond_the_end_of_the_axis() -> None:
    found = texts(curves("memory", "hours", "MB", [Curve("m", ((0.25, 80.0), (24.0, 80.0)))]))
    assert {"5", "20"} <= set(found)
    assert not {"0.25", "25"} & set(found)


def test_steps_are_round_and_reach_the_highest() -> None:
    assert steps(2.3) == [0, 0.5, 1, 1.5, 2, 2.5]
    assert steps(100) == [0, 20, 40, 60, 80, 100]
    assert steps(0) == [0, 1]
    for highest in (0.011, 1, 3.7, 24, 81.5, 12_345):
        assert steps(highest)[-1] >= highest
        assert 4 <= len(steps(highest)) <= 10


def test_names_do_not_lie_over_each_other() -> None:
    assert apart([10, 100, 12]) == [10, 100, 10 + GAP]
    assert apart([]) == []


def test_numbers_are_short() -> None:
    assert [number(value) for value in (0.217, 12.34, 430, 54_321, 1_234_567)] == [
        "0.217",
        "12.3",
        "430",
        "54.3k",
        "1.23M",
    ]


PEERS = [
    {"workload": "adds", "contender": name, "kind": kind, "figure": "adds/s", "better": "higher", "values": values}
    for name, kind, values in (
        ("APScheduler 3", "peer", [900, 950, 1_000]),
        ("Tocsin", "ours", [31_000, 30_000, 33_000]),
        ("broken", "peer", []),
    )
]  # fmt: skip

OURS: list[dict[str, Any]] = [
    {"name": "growth", "figures": {}, "series": {"us per fire": [[1_000, 40], [10_000, factor * 40]]}}
    for factor in (1.0, 1.2, 1.9)
]
SOAK = {"name": "soak", "figures": {}, "series": {"real: resident MB": [[0.0, 80.0], [0.5, 81.0], [1.0, 81.0]]}}
LATE = {
    "name": "lateness",
    "figures": {"memory, spread: p50 ms": 0.1, "bare loop: p50 ms": 0.6, "durable, spread: p50 ms": 0},
}


def test_each_result_that_is_there_is_drawn() -> None:
    found = pictures([*PEERS, *OURS, SOAK, LATE, {"name": "cron", "figures": {"us": 4}}])
    assert sorted(found) == ["adds-adds-s.svg", "growth.svg", "lateness.svg", "soak-real.svg"]
    assert texts(found["adds-adds-s.svg"]).index("Tocsin") < texts(found["adds-adds-s.svg"]).index("APScheduler 3")
    assert "broken" not in texts(found["adds-adds-s.svg"])
    assert "a fire" in texts(found["growth.svg"])
    assert "stored tasks, spread: p50" not in texts(found["lateness.svg"])
    for picture in found.values():
        ElementTree.fromstring(picture)
    assert pictures([]) == {}


def test_the_command_writes_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results.jsonl"
    results.write_text("\n".join(["a line of progress", *map(json.dumps, PEERS)]))
    assert len(read(results.read_text())) == 3
    _main(str(results), str(tmp_path / "pictures"))
    assert capsys.readouterr().out == "adds-adds-s.svg\n"
    ElementTree.parse(tmp_path / "pictures" / "adds-adds-s.svg")
