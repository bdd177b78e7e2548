"""Every benchmark runs at its small size and does what it claims; how fast is not asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from numbers import Real

import pytest

from benchmarks.__main__ import load, main, names, report
from benchmarks.results import holds
from benchmarks.targets import TARGETS
from tests.source import ROOT

GOOD = {
    "name": "sums",
    "figures": {"sums per second": 1234.5, "p99 in ms": 0.25},
    "check": {"expected": 3, "actual": 3},
}
BAD = GOOD | {"ratios": {"to C": 0.5}, "check": {"expected": 3, "actual": 4}}


@pytest.mark.parametrize("name", names())
def test_the_small_size_does_its_work(name: str) -> None:
    # A process of its own, as in `./dev bench`: trio.run does not nest, and memory is measured per process.
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", name, "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr or ran.stdout
    result = json.loads(ran.stdout)
    assert result["check"]["expected"] == result["check"]["actual"]
    assert result["name"] == name
    numbers = result["figures"] | result.get("ratios", {})
    assert result["figures"]
    assert [label for label, value in numbers.items() if not isinstance(value, Real)] == []
    assert [one.label for one in TARGETS if one.benchmark == name and one.value_in(result) is None] == []
    for pairs in result.get("series", {}).values():
        assert all(isinstance(x, Real) and isinstance(y, Real) for x, y in pairs)


@pytest.mark.parametrize("name", names())
def test_it_has_a_title(name: str) -> None:
    title, _ = load(name)
    assert title != name


def test_a_wrong_check_is_shown_and_counts() -> None:
    assert holds(GOOD)
    assert not holds(BAD)
    assert "check: 3 ok" in report("Adds numbers.", GOOD)
    assert "check: 4 WRONG: expected 3" in report("Adds numbers.", BAD)
    assert "1,234" in report("Adds numbers.", GOOD)
    assert "0.50x" in report("Adds numbers.", BAD)


def test_a_wrong_check_fails_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("benchmarks.__main__.names", lambda: ["good", "bad"])
    monkeypatch.setattr(
        "benchmarks.__main__.load", lambda name: ("Adds.", lambda full: GOOD if name == "good" else BAD)
    )
    assert main(["good", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == GOOD
    assert told.err.startswith("good, small: begins\ngood, small: ")
    assert main(["--full"]) == 1
    assert "WRONG" in capsys.readouterr().out


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["no-such-benchmark"])
    assert refused.value.code == 2
    assert "no-such-benchmark" in capsys.readouterr().err
