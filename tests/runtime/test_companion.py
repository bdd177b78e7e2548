"""Processes beside this one that answer questions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.companion import Companion, CompanionGone, frame
from runtime.errors import AlreadyRunning
from runtime.world import RealWorld
from tests.source import ROOT

ECHO = """
def begin(*arguments):
    return lambda question: question or list(arguments)
"""

SLOW = """
import time

def begin(seconds, done):
    def answer(question):
        open(done + " soon", "w").close()
        time.sleep(float(seconds))
        open(done, "w").close()

    return answer
"""

OWNER = """
import sys
from pathlib import Path
from runtime.companion import frame
from runtime.world import RealWorld

world = RealWorld()
with world.lock_directory(Path(sys.argv[1])):
    companion = world.companion(Path(sys.argv[2]), sys.argv[3:])
    print(companion.pid, flush=True)
    companion.send(frame("anything"))
    companion.answer()
"""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., Companion]]:
    companions: list[Companion] = []

    def make(source: str = ECHO, *arguments: str) -> Companion:
        module = tmp_path / "module.py"
        module.write_text(source)
        companions.append(Companion(module, arguments))
        return companions[-1]

    yield make
    for companion in companions:
        companion.close()


def ask(companion: Companion, question: object) -> Any:
    companion.send(frame(question))
    return companion.answer()


def until(good: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not good():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_answers_until_it_is_closed(made: Callable[..., Companion]) -> None:
    companion = made(ECHO, "a", "b")
    assert ask(companion, None) == ["a", "b"]
    assert ask(companion, ([1, 2.5, "\0é\U0001f600", (None, True, 2**70)])) == [
        1,
        2.5,
        "\0é\U0001f600",
        [None, True, 2**70],
    ]
    companion.close()
    assert not lives(companion.pid)
    with pytest.raises(CompanionGone, match=str(companion.pid)):
        ask(companion, 1)


def test_questions_and_answers_may_be_large(made: Callable[..., Companion]) -> None:
    large = [f"{number:0100d}" for number in range(100_000)]
    assert ask(made(), large) == large


def test_what_cannot_be_asked_is_refused_and_changes_nothing(made: Callable[..., Companion]) -> None:
    companion = made()
    for wrong, error in ((object(), TypeError), ("half \udc80", UnicodeEncodeError)):
        with pytest.raises(error):
            frame(wrong)
    assert ask(companion, "still there") == "still there"


def test_an_interrupt_is_for_the_one_who_asks(made: Callable[..., Companion]) -> None:
    companion = made()
    assert ask(companion, "ready") == "ready"
    for one in (signal.SIGINT, signal.SIGTERM):
        os.kill(companion.pid, one)
    assert ask(companion, "still there") == "still there"


def test_one_that_was_killed_is_gone(made: Callable[..., Companion], tmp_path: Path) -> None:
    companion = made(SLOW, "30", str(tmp_path / "done"))
    os.kill(companion.pid, signal.SIGKILL)
    with pytest.raises(CompanionGone):
        ask(companion, "anything")
    assert companion.is_gone


def test_one_that_does_not_answer_is_ended(
    made: Callable[..., Companion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.companion.PATIENCE_SECONDS", 0.2)
    companion = made(SLOW, "30", str(tmp_path / "done"))
    with pytest.raises(CompanionGone, match="was ended"):
        ask(companion, "anything")
    assert companion.is_gone
    assert not lives(companion.pid)


def test_one_that_fails_is_gone(made: Callable[..., Companion], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CompanionGone):
        ask(made("def begin():\n    return {}.__getitem__\n"), "nothing")
    assert "KeyError: 'nothing'" in capfd.readouterr().err


def owner(tmp_path: Path, seconds: str) -> tuple[subprocess.Popen[str], int]:
    """A process that holds a directory and waits for the answer of its companion, and that companion's id."""
    module = tmp_path / "module.py"
    module.write_text(SLOW)
    held = tmp_path / "held"
    argv = [sys.executable, "-c", OWNER, str(held), str(module), seconds, str(tmp_path / "done")]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        pid = int(process.stdout.readline())
    until((tmp_path / "done soon").exists)
    return process, pid


def test_it_ends_with_its_owner(tmp_path: Path) -> None:
    process, pid = owner(tmp_path, "0.2")
    process.kill()
    process.wait()
    until(lambda: not lives(pid))


def test_what_its_owner_held_is_free_when_it_has_done_what_it_was_asked_for(tmp_path: Path) -> None:
    process, _ = owner(tmp_path, "0.5")
    with pytest.raises(AlreadyRunning, match=f"process {process.pid}"), RealWorld().lock_directory(tmp_path / "held"):
        """It lives."""
    process.kill()
    process.wait()
    with RealWorld().lock_directory(tmp_path / "held"):
        assert (tmp_path / "done").exists()


def test_one_that_does_not_end_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.world.LEFT_BEHIND_SECONDS", 0.05)
    process, pid = owner(tmp_path, "60")
    process.kill()
    process.wait()
    with pytest.raises(AlreadyRunning), RealWorld().lock_directory(tmp_path / "held"):
        """It is still at work."""
    os.kill(pid, signal.SIGKILL)


def test_where_no_process_can_be_started_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    assert RealWorld().companion(tmp_path / "module.py", ()) is None
    assert "its work is done in this one" in caplog.text
