"""The files to deploy with say what the program understands, and wait for as long as it needs."""

from __future__ import annotations

import re

from runtime.clock import SECOND
from tests.source import ROOT
from tocsin.settings.config import load_config

DEPLOY = ROOT / "examples/deploy"

CONTAINER = (DEPLOY / "Containerfile").read_text("utf-8")


def _unit() -> dict[str, str]:
    lines = (DEPLOY / "tocsin.service").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]\w+=", line))


def _named(*words: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words)


def test_service_manager_waits_longer_than_handlers_may_take_to_end() -> None:
    assert int(_unit()["TimeoutStopSec"]) * SECOND > load_config({}).config.drain_timeout
    assert _unit()["KillSignal"] == "SIGTERM"


def test_settings_of_the_unit_and_of_the_container_are_settings() -> None:
    config = load_config(_named(_unit()["Environment"])).config
    assert str(config.data) == _unit()["Environment"].partition("=")[2] == "/var/" + "lib/" + _unit()["StateDirectory"]
    contained = load_config(_named(*re.findall(r"TOCSIN_\w+=\S+", CONTAINER))).config
    assert str(contained.data) == "/data"
    assert "VOLUME /data" in CONTAINER
    assert contained.listen.port == int(re.findall(r"EXPOSE (\d+)", CONTAINER)[0])


def test_guide_names_the_files_and_their_patience() -> None:
    guide = (ROOT / "docs/guides/deploy.md").read_text("utf-8")
    for name in ("tocsin.service", "Containerfile"):
        assert f"examples/deploy/{name}" in guide
    assert f"TimeoutStopSec={_unit()['TimeoutStopSec']}" in guide
    for copied in re.findall(r"COPY (examples/\S+)", CONTAINER):
        assert (ROOT / copied).exists()
