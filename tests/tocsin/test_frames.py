from __future__ import annotations

import traceback
from pathlib import Path

import pytest

import tocsin
from tocsin.telling.frames import own_frames, place_of

PACKAGE = Path(tocsin.__file__).parent
TRACEBACK = f"""Traceback (most recent call last):
  File "{PACKAGE.parent}/actors/handling/runners/thread.py", line 88, in run
    return call(context)
           ^^^^^^^^^^^^^
  File "/home/ann/shop/mytasks.py", line 9, in report
    return {{"region": REGIONS[region]}}
                      ~~~~~~~^^^^^^^^
  File "/usr/lib/python3.11/collections/__init__.py", line 1106, in __getitem__
    raise KeyError(key)
KeyError: 'mars'
"""


def test_only_the_users_own_frames_are_told() -> None:
    (frame,) = own_frames(TRACEBACK, "'mars'")
    assert (frame.file, frame.line, frame.function) == ("/home/ann/shop/mytasks.py", 9, "report")
    assert frame.code == 'return {"region": REGIONS[region]}'
    assert place_of(TRACEBACK) == "mytasks.py:9, in report"


@pytest.mark.parametrize(
    "file",
    [
        "/srv/venv/lib/python3.12/site-packages/actors/handling/context.py",
        "/srv/venv/lib/python3.12/site-packages/trio/_core/_run.py",
        f"{PACKAGE}/handlers/command.py",
        "/usr/lib/python3/dist-packages/yaml/reader.py",
        "<frozen importlib._bootstrap>",
    ],
)
def test_without_a_users_frame_no_place_is_told(file: str) -> None:
    assert (
        place_of(f'Traceback (most recent call last):\n  File "{file}", line 3, in run\n    go()\nOSError: no\n')
        is None
    )


def test_a_traceback_that_the_message_quotes_is_no_frame_of_the_failure() -> None:
    message = "'python' ended with exit code 1\n" + TRACEBACK.replace("report", "quoted")
    text = TRACEBACK.replace("KeyError: 'mars'\n", f"CommandFailed: {message}")
    assert place_of(text, message) == "mytasks.py:9, in report"


def test_the_innermost_frame_of_a_group_and_of_a_chain_is_told() -> None:
    def inner() -> None:
        raise ValueError("boom")

    def outer() -> None:
        try:
            inner()
        except ValueError as error:
            raise ExceptionGroup("several", [error]) from None

    with pytest.raises(ExceptionGroup) as caught:
        outer()
    text = "".join(traceback.format_exception(caught.value))
    assert {frame.function for frame in own_frames(text)} >= {"outer", "inner"}
    assert (place_of(text) or "").endswith("in inner")


def test_a_cut_traceback_is_read_as_far_as_it_goes() -> None:
    assert place_of("..." + TRACEBACK[30:]) == "mytasks.py:9, in report"
    assert place_of("") is None
