"""Every command that is promised is there, and every command that tells something tells it to programs too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cyclopts import App

from tocsin.cli.main import app
from tocsin.cli.typed import names_of

PROMISED = (
    "up apply diff export rehearse drill top shell token doctor config executor purge invoke",
    "task list|task show|task add|task edit|task run|task cancel|task retry|task resume|task pause|task activate|task delete",
    "task purge|task history|task logs|task next|task why|node list|node drain|node executor|import crontab",
)

TELLS_NOTHING = {"up", "cluster", "completion", "shell"}
"""They run until they are told to end, or print what is for a program anyway."""


def leaves(place: App, path: str = "") -> Iterator[tuple[str, App]]:
    for name in names_of(place):
        below = place[name]
        if names_of(below):
            yield from leaves(below, f"{path}{name} ")
        else:
            yield f"{path}{name}", below


LEAVES = dict(leaves(app))


@pytest.mark.parametrize("command", [name for line in PROMISED for name in line.split("|" if "|" in line else " ")])
def test_what_is_promised_is_there(command: str) -> None:
    assert command in LEAVES or names_of(app[command])


@pytest.mark.parametrize("command", sorted(LEAVES.keys() - TELLS_NOTHING))
def test_every_command_is_for_programs_too(command: str) -> None:
    arguments = LEAVES[command].assemble_argument_collection()
    assert any("--json" in argument.names for argument in arguments)


@pytest.mark.parametrize("command", sorted(LEAVES))
def test_every_command_says_what_it_does(command: str) -> None:
    assert LEAVES[command].help.strip()
