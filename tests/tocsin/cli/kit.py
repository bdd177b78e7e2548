"""What tests of the command line share: the command line in this process, and in a terminal of its own."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from typing import Any

import attrs
import pytest

from tocsin.cli.main import run

HANG_SECONDS = 30
ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[=>()][A-Z0-9]?)")


@attrs.frozen
class Shell:
    """Runs the command line in this process."""

    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        said = self.capture.readouterr()
        return code, said.out, said.err

    def json(self, *arguments: str) -> Any:
        code, out, err = self(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)


@attrs.define
class Terminal:
    """A command in a terminal: what it writes, and keys that are typed."""

    process: subprocess.Popen[bytes]
    master: int
    raw: str = ""

    @property
    def text(self) -> str:
        """What was written so far, without colours and movements."""
        return ESCAPES.sub("", self.raw)

    def until(self, words: str, since: int = 0) -> str:
        """Read until these words were written after so many characters."""
        deadline = time.monotonic() + HANG_SECONDS
        while words not in self.text[since:]:
            assert time.monotonic() < deadline, self.text
            self._read()
        return self.text[since:]

    def type(self, keys: str) -> int:
        """Type. Answers how much had been written before."""
        before = len(self.text)
        os.write(self.master, keys.encode())
        return before

    def end(self) -> int:
        """Read until the command has ended. Answers its exit code."""
        deadline = time.monotonic() + HANG_SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.text
            self._read()
        self._read()
        return self.process.returncode

    def _read(self) -> None:
        if select.select([self.master], [], [], 0.1)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            self.raw += data.decode("utf-8", "replace")
            # A program may ask where the cursor is, and waits for the answer.
            if b"\x1b[6n" in data:
                os.write(self.master, b"\x1b[1;1R")


@contextmanager
def terminal(
    *arguments: str, environment: Mapping[str, str], home: Path, size: tuple[int, int] = (24, 80)
) -> Iterator[Terminal]:
    """`tocsin` with these arguments in a terminal of this many lines and columns."""
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_") and name != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tocsin", *arguments],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True, cwd=home,
        env=kept | {"TERM": "xterm", "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[3])} | environment,
    )  # fmt: skip
    os.close(slave)
    found = Terminal(process, master)
    try:
        yield found
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(master)
