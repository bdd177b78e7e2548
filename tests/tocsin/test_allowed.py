"""Which programs the task type `command` runs where others than this machine can ask for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime.errors import InvalidRequest
from tocsin.allowed import allowed_commands
from tocsin.loading import load_catalogue
from tocsin.settings.config import Config, load_config

BEYOND = {"listen": "0.0.0.0:7400"}
BACKUP = "/usr/local/bin/backup"


def listening(**flags: object) -> Config:
    return load_config({}, None, flags).config


def test_on_the_loopback_everything_is_allowed() -> None:
    assert allowed_commands(listening()) is None
    load_catalogue(()).get("command").check_parameters({"argv": ["anything"]})  # type: ignore[union-attr]


def test_beyond_it_nothing_is_unless_it_is_listed(tmp_path: Path) -> None:
    assert allowed_commands(listening(**BEYOND)) == ()
    file = tmp_path / "t.toml"
    file.write_text(f'[commands]\nallowed = ["{BACKUP}"]\n')
    assert allowed_commands(load_config({}, file, BEYOND).config) == (BACKUP,)
    with pytest.raises(InvalidRequest, match=r"commands\.allowed.*'backup'"):
        listening(**{"commands.allowed": ["backup"]})


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"argv": ["sh", "-c", "id"]}, "'sh'"),
        ({"argv": [BACKUP], "shell": True}, "/bin/sh"),
        ({"argv": [BACKUP], "env": {"LD_PRELOAD": "/tmp/x"}}, "env"),
        ({"argv": [f"{BACKUP}/../sh"]}, "sh"),
    ],
)
async def test_what_is_not_listed_is_refused_at_save_and_at_run(parameters: dict[str, Any], word: str) -> None:
    command = load_catalogue((), commands=(BACKUP,)).get("command")
    assert command is not None
    command.check_parameters({"argv": [BACKUP, "--full"]})
    with pytest.raises(InvalidRequest, match=word) as caught:
        command.check_parameters(parameters)
    assert "commands.allowed" in str(caught.value)
    with pytest.raises(InvalidRequest, match=word):
        await command.function(None, **parameters)


def test_the_restricted_type_still_takes_what_it_took() -> None:
    free, bound = (load_catalogue((), commands=commands).get("command") for commands in (None, (BACKUP,)))
    assert free is not None
    assert bound is not None
    assert bound.isolation == free.isolation
    with pytest.raises(InvalidRequest, match="unknown parameter 'argw'"):
        bound.check_parameters({"argv": [BACKUP], "argw": []})
    with pytest.raises(InvalidRequest, match="argv must begin with a program"):
        bound.check_parameters({"argv": []})
