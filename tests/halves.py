"""All tests, in two processes at once: `python -m tests.halves [OPTION ...]`, with options of pytest.

Much of what is tested on real servers and node processes is waiting, and what is computed meanwhile costs no time. Each half
prints what pytest prints, the second one after the first; at the end stand the failures and the counts of both. The exit code
is not 0 if that of a half is not. Where tests are selected, or an option is given that two processes cannot share, one runs.
"""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import attrs
import pytest

HERE: Final = Path(__file__).parent

FIRST: Final = ("cluster", "conformance", "console", "contract", "fuzz", "test_benchmarks.py", "test_docs.py")
"""What the first half is, by the first part of the path below `tests`; everything else is the second."""

SHARED: Final = (
    "--color=", "--durations=", "--durations-min=", "--hypothesis-profile=", "--seed=", "--tb=", "--timeout=",
    "-q", "-v", "-r",
)  # fmt: skip
"""How options begin that mean the same to each of two processes."""

JUNIT: Final = ("--junitxml=", "--junit-xml=")

GOOD: Final = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)

POLL_SECONDS: Final = 0.2

STOP_SECONDS: Final = 20.0
"""For a process to end that was told to."""


# -- in the processes


def add_options(parser: pytest.Parser) -> None:
    """For the processes of the halves."""
    parser.addoption("--half", type=int, choices=(1, 2), help="only one half of the tests, see tests/halves.py")
    parser.addoption("--counts", type=Path, help="a file for the counts and failures, as JSON")


def ignored(path: Path, config: pytest.Config) -> bool:
    """Whether a file or folder belongs to the other half."""
    half = config.getoption("--half")
    if half is None or path == HERE or HERE not in path.parents:
        return False
    return (path.relative_to(HERE).parts[0] in FIRST) != (half == 1)


def write_counts(reporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What the other process is to know of this one."""
    if (path := config.getoption("--counts")) is not None:
        counts = {kind: len(reports) for kind, reports in reporter.stats.items() if kind}
        failed = [
            f"{kind.upper()} {report.nodeid}" for kind in ("failed", "error") for report in reporter.stats.get(kind, ())
        ]
        path.write_text(json.dumps({"counts": counts, "failed": failed}))


# -- over the processes


@attrs.frozen
class Half:
    """A process that runs, and where it leaves what it has to say."""

    process: subprocess.Popen[bytes]
    output: Path | None
    counts: Path
    junit: Path | None


def main(arguments: Sequence[str]) -> int:
    """Run all tests, or those that are selected; the exit code."""
    if not all(one.startswith((*SHARED, *JUNIT)) for one in arguments):
        return subprocess.call([sys.executable, "-m", "pytest", *arguments])
    signal.signal(signal.SIGTERM, _end)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tocsin-tests-") as name:
        seed = [] if any(one.startswith("--seed=") for one in arguments) else [f"--seed={secrets.randbelow(2**32)}"]
        halves: list[Half] = []
        try:
            halves += [_start(number, [*arguments, *seed], Path(name)) for number in (1, 2)]
            codes = [_wait(half) for half in halves]
        finally:
            for half in halves:
                _stop(half.process)
        if junit := [one.partition("=")[2] for one in arguments if one.startswith(JUNIT)]:
            merge([half.junit for half in halves if half.junit is not None], Path(junit[-1]))
        sys.stdout.write(summary([half.counts for half in halves], codes, time.monotonic() - began))
    return exit_code(codes)


def exit_code(codes: Sequence[int]) -> int:
    """Of both together: 0 if neither has failed, and one that was killed has failed."""
    return max((max(code, 1) for code in codes if code not in GOOD), default=0)


def _end(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End it if it has not ended. Interrupted from a keyboard it is ending already; its servers end with its fixtures."""
    for signal_number in (0, signal.SIGINT, signal.SIGKILL):
        process.send_signal(signal_number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)


def _start(number: int, arguments: list[str], directory: Path) -> Half:
    counts = directory / f"counts-{number}"
    own = [one for one in arguments if not one.startswith(JUNIT)]
    junit = directory / f"junit-{number}" if len(own) < len(arguments) else None
    # The first half keeps the cache of failures: the second would write over it.
    more = [] if number == 1 else ["-p", "no:cacheprovider"]
    command = [
        *(sys.executable, "-m", "pytest", f"--half={number}", f"--counts={counts}"),
        *([] if junit is None else [f"--junitxml={junit}"]),
        *more,
        *own,
    ]
    if number == 1:
        return Half(subprocess.Popen(command), None, counts, junit)
    output = directory / f"output-{number}"
    with output.open("wb") as file:
        return Half(subprocess.Popen(command, stdout=file, stderr=file), output, counts, junit)


def _wait(half: Half) -> int:
    """Its exit code; what it has kept to itself is printed."""
    if half.output is None:
        return half.process.wait()
    with half.output.open("rb") as file:
        while True:
            ended = half.process.poll() is not None
            shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.flush()
            if ended:
                return half.process.wait()
            time.sleep(POLL_SECONDS)


def merge(parts: Sequence[Path], into: Path) -> None:
    """One file of JUnit's for several."""
    whole = ElementTree.Element("testsuites")
    for part in parts:
        if part.exists():
            whole.extend(ElementTree.parse(part).getroot())
    into.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(whole).write(into, encoding="utf-8", xml_declaration=True)


def summary(parts: Sequence[Path], codes: Sequence[int], seconds: float) -> str:
    """What pytest ends with, for both; a half that has left no counts is told of."""
    counts: Counter[str] = Counter()
    lines: list[str] = []
    for number, (part, code) in enumerate(zip(parts, codes, strict=True), 1):
        if part.exists():
            found = json.loads(part.read_text())
            counts.update(found["counts"])
            lines += found["failed"]
        else:
            lines.append(f"ERROR the process of half {number} ended with {code} and without counts")
    kinds = [*(kind for kind in ("failed", "passed") if counts[kind]), *sorted({*counts} - {"failed", "passed"})]
    told = ", ".join(f"{counts[kind]} {kind}" for kind in kinds)
    clock = f"{seconds:.2f}s ({int(seconds) // 3600}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02})"
    return "\n".join(
        ["", " both halves ".center(80, "="), *lines, f" {told or 'no tests ran'} in {clock} ".center(80, "="), ""]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
