"""The table of targets, and what stands beside it: what is made of results, and of samples; nothing is measured here."""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import table as module
from benchmarks.__main__ import main, names
from benchmarks.peers.workloads import WORKLOADS
from benchmarks.process import children, cpu_seconds, measured, open_files, percentile, resident_megabytes
from benchmarks.progress import told
from benchmarks.table import lines, number, results_of, table
from benchmarks.targets import ONCE, PEERS, ROWS, TARGETS, Target, times_as_good
from benchmarks.trend import trend

FAST = Target("P1", "sums", "sums", "sums/s", 1_000, "/s", at_least=True)
EXACT = Target("P2", "error, to the floor", "sums", "error", 2, "x")
NONE = Target("P3", "leaks", "sums", "leaks", 0)


def result(rate: float, error: float, leaks: float = 0, actual: int = 3) -> dict[str, object]:
    return {
        "name": "sums",
        "figures": {"sums/s": rate, "leaks": leaks},
        "ratios": {"error": error},
        "check": {"expected": 3, "actual": actual},
    }


def test_every_row_has_a_target_and_every_target_a_benchmark() -> None:
    assert ROWS == ("P1", "P2", "P3", "P4", "P4b", "P5", "P6", "P7", "P8", "P9", "P10", "P11", "P12", "P13")
    workloads = {f"{PEERS}{name}" for name in WORKLOADS}
    assert {target.benchmark for target in TARGETS} <= set(names()) | workloads
    assert set(names()) >= ONCE
    assert len({(target.benchmark, target.label) for target in TARGETS}) == len(TARGETS)


def test_targets_name_contenders_that_there_are() -> None:
    known = {
        (f"{PEERS}{name}", times_as_good(ours.name, other.name, figure.name))
        for name, workload in WORKLOADS.items()
        for ours in workload.contenders
        if ours.kind == "ours"
        for other in workload.contenders
        for figure in workload.figures
    }
    assert {(one.benchmark, one.label) for one in TARGETS if one.benchmark.startswith(PEERS)} <= known


def test_lines_of_peers_are_results_of_rounds() -> None:
    line = {
        "workload": "adds",
        "contender": "other",
        "kind": "peer",
        "figure": "adds/s",
        "times_as_good": {"ours": [31.0, 29.0]},
        "errors": [],
    }
    own = line | {"contender": "ours", "kind": "ours", "times_as_good": {}}
    target = Target("P2", "adds", "peers adds", times_as_good("ours", "other", "adds/s"), 30, "x", at_least=True)
    (found,) = lines([target], results_of([own, line]))
    assert found.values == (31.0, 29.0)
    assert found.verdict == "missed by 3%, 1 of 2 rounds"
    (failed,) = lines([target], results_of([own | {"errors": ["doubled"]}, line]))
    assert failed.verdict == "check failed"
    (other_failed,) = lines(
        [target], results_of([own, line | {"times_as_good": {"ours": []}, "errors": ["no server"]}])
    )
    assert other_failed.verdict == "not measured"


def test_a_target_is_met_only_if_it_is_met_in_every_round() -> None:
    good, bad = result(1_500, 1.5), result(900, 1.0)
    assert [line.is_met for line in lines([FAST, EXACT], [good, good])] == [True, True]
    fast, exact = lines([FAST, EXACT], [good, bad, good])
    assert not fast.is_met
    assert fast.verdict == "missed by 10%, 1 of 3 rounds"
    assert exact.verdict == "met, 3 rounds"


def test_a_bound_of_nothing_is_missed_by_what_there_is() -> None:
    (line,) = lines([NONE], [result(1, 1, leaks=2)])
    assert line.verdict == "missed by 200%, 1 of 1 round"
    assert lines([NONE], [result(1, 1)])[0].is_met


def test_what_did_not_do_its_work_meets_nothing() -> None:
    (line,) = lines([FAST], [result(1_500, 1, actual=2)])
    assert line.verdict == "check failed"
    assert not line.is_met


def test_what_was_not_measured_is_not_met() -> None:
    (line,) = lines([FAST], [])
    assert line.verdict == "not measured"
    assert not line.is_met
    assert "| - | not measured |" in table([line])


def test_the_table_tells_bound_median_and_spread() -> None:
    text = table(lines([FAST, EXACT], [result(2_000, 1.25), result(1_234.5, 1.5), result(1_500, 2.04)]))
    assert text.splitlines()[2:] == [
        "| P1 | sums | at least 1,000 /s | 1,500 (1,234 to 2,000) | met, 3 rounds |",
        "| P2 | error, to the floor | at most 2 x | 1.5 (1.25 to 2.04) | missed by 2%, 1 of 3 rounds |",
    ]


def test_numbers_are_short() -> None:
    assert [number(value) for value in (0.01234, 0, 12.345, 999.4, 30_123.4)] == [
        "0.0123",
        "0",
        "12.3",
        "999",
        "30,123",
    ]


def test_the_command_runs_the_benchmarks_of_its_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ran: list[str] = []

    def measure(benchmark: str, rounds: int) -> list[dict[str, object]]:
        ran.append(benchmark)
        return [result(1_500, 1.5)] if len(ran) < 4 else []

    monkeypatch.setattr(module, "TARGETS", [FAST, EXACT])
    monkeypatch.setattr(module, "ROWS", ["P1", "P2"])
    monkeypatch.setattr(module, "measure", measure)
    kept = tmp_path / "results.jsonl"
    assert main(["--targets", "P1", "--rounds", "3", "--results", str(kept)]) == 0
    shown = capsys.readouterr()
    assert "| P1 | sums |" in shown.out
    assert "P2" not in shown.out
    assert "round 2 of 3: sums: begins" in shown.err
    assert [json.loads(line)["name"] for line in kept.read_text().splitlines()] == ["sums"] * 3
    assert main(["--targets", "--rounds", "1"]) == 1
    assert ran == ["sums"] * 4


def test_long_benchmarks_and_those_of_peers_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, int]] = []
    peers = Target("P2", "adds", "peers adds", "ours / other, adds/s", 30, "x", at_least=True)
    monkeypatch.setattr(module, "TARGETS", [FAST, peers])
    monkeypatch.setattr(module, "ONCE", {"sums"})
    monkeypatch.setattr(module, "measure", lambda name, rounds: ran.append((name, rounds)) or [result(1_500, 1.5)])
    assert module.show(argparse.ArgumentParser(), [], 3, None) == 1
    assert ran == [("sums", 3), ("peers adds", 3)]


def test_an_unknown_row_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["--targets", "P99"])
    assert refused.value.code == 2
    assert "P99" in capsys.readouterr().err


# -- lines through samples


def test_what_stays_is_flat_and_what_grows_is_not() -> None:
    chance = random.Random(1)
    times = [number / 10 for number in range(100)]
    level = [100 + chance.uniform(-1, 1) for _ in times]
    assert trend(times, level).is_flat
    grows = trend(times, [value + time for time, value in zip(times, level, strict=True)])
    assert not grows.is_flat
    assert grows.slope == pytest.approx(1, abs=0.2)
    assert grows.percent == pytest.approx(5, abs=1)


def test_the_first_half_does_not_count_and_wild_samples_turn_nothing() -> None:
    times = [float(number) for number in range(40)]
    values = [min(time, 10.0) for time in times]
    assert trend(times, values).slope == 0
    values[30] = values[35] = 1_000.0
    assert trend(times, values).slope == 0


def test_growth_within_the_noise_of_a_saw_is_none() -> None:
    times = [float(number) for number in range(60)]
    saw = [100 + 20 * (number % 2) + 0.1 * number for number in range(60)]
    assert trend(times, saw).is_flat
    assert not trend(times, [100 + 0.5 * number for number in range(60)]).is_flat


def test_less_is_no_growth() -> None:
    times = [float(number) for number in range(20)]
    assert trend(times, [100 - time for time in times]).is_flat


def test_a_line_needs_samples() -> None:
    with pytest.raises(ValueError, match="four samples"):
        trend([1, 2, 3], [1, 2, 3])


# -- processes


def test_what_another_process_uses_is_seen() -> None:
    busy = subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE)
    try:
        assert busy.stdout is not None
        busy.stdout.readline()
        before = cpu_seconds(busy.pid)
        deadline = time.monotonic() + 30
        while cpu_seconds(busy.pid) <= before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert cpu_seconds(busy.pid) > before
        assert busy.pid in children(os.getpid())
        assert 1 < resident_megabytes(busy.pid) < 1_000
    finally:
        busy.kill()
        busy.communicate()
    assert busy.pid not in children(os.getpid())


def test_what_this_process_uses_is_seen(tmp_path: Path) -> None:
    before = open_files()
    with measured() as used, (tmp_path / "file").open("w"):
        assert open_files() == before + 1
        assert sum(range(100_000))
    figures = used.figures(2, "sum")
    assert figures["CPU us per sum"] == used.cpu / 2 * 1e6 > 0
    assert figures["resident MB"] > 1


def test_percentiles_are_milliseconds() -> None:
    values = [number / 1000 for number in range(100, 0, -1)]
    assert percentile(values, 0.5) == pytest.approx(51)
    assert percentile(values, 0.99) == pytest.approx(100)
    assert percentile([0.002], 0.99) == pytest.approx(2)


def test_a_long_one_says_that_it_still_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with told("sums, full", every=0.01):
        time.sleep(0.1)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "sums, full: begins"
    assert "sums, full: 0 s so far" in said
    assert said[-1].startswith("sums, full: 0.")
