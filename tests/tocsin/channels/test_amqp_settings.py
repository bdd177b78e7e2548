"""What can be set of the channel to a broker, and that its password is shown nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from runtime.errors import InvalidRequest
from tocsin.channels.amqp_settings import broker_address
from tocsin.settings.config import load_config, shown


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"amqp_url": "http://u:sesame@h"}, "amqp.url: amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://, not 'http://u:"),
        ({"amqp_url": "amqp://u:sesame@h:port"}, "amqp.url: amqp://USER"),
        ({"amqp_url": "amqp://u:sesame@h/a/b"}, "amqp.url: amqp://USER"),
        ({"amqp_url": "amqp://u:sesame@h?x=sesame"}, "amqp.url: amqp://USER"),
        ({"amqp_url": "amqp://u:sesame@h"}, "amqp.types: which task types"),
        ({"amqp_url": "amqp://u:sesame@h", "amqp_url_file": "f"}, "amqp.url and amqp.url_file: one of them"),
        ({"amqp_url_file": "missing", "amqp_types": "a"}, "amqp.url_file: missing: No such file"),
        ({"amqp_url_file": "url", "amqp_types": "a"}, "amqp.url_file: amqp://USER"),
        ({"amqp_url_file": "empty", "amqp_types": "a"}, "amqp.url_file: amqp://USER"),
        ({"amqp_url": "amqps://u:sesame@h", "amqp_types": "a", "amqp_ca": "no.pem"}, "amqp.ca: there is no file 'no.pem'"),
        ({"amqp_types": "a*b"}, "amqp.types: names of task types, for example mail or reports.*, not 'a*b'"),
        ({"amqp_role": "VIEWER"}, "amqp.role: OPERATOR or ADMINISTRATOR, not 'VIEWER'"),
        ({"amqp_prefetch": 0}, "amqp.prefetch: a whole number from 1 to 1000, not 0"),
        ({"amqp_url": "amqp://h", "amqp_types": "a", "amqp_pause": "9s", "amqp_longest_pause": "2s"}, "amqp.longest_pause"),
    ],
)  # fmt: skip
def test_bad_settings_are_named_without_a_password(
    settings: dict[str, Any], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("url").write_text("amqp://u:sesame@h:port\n")
    Path("empty").write_text("\n")
    flags = {f"amqp.{name.removeprefix('amqp_')}": value for name, value in settings.items()}
    with pytest.raises(InvalidRequest) as caught:
        broker_address(load_config({}, None, flags).config)
    assert str(caught.value).startswith(what)
    assert "sesame" not in str(caught.value)


def test_the_url_is_shown_without_its_password(tmp_path: Path) -> None:
    config = load_config({"TOCSIN_AMQP_URL": "amqps://u:sesame@h/v", "TOCSIN_AMQP_TYPES": "a"}).config
    assert str(config.amqp_url) == "amqps://u:***@h/v"
    address = broker_address(config)
    assert address is not None
    assert attrs.astuple(address) == ("h", 5671, "u", "sesame", "v", True)
    assert "sesame" not in f"{config!r} {shown('amqp.url', config)} {address!r} {address}"
    (tmp_path / "url").write_text("amqp://u:sesame@h:1\nmore\n")
    config = load_config({"TOCSIN_AMQP_URL_FILE": str(tmp_path / "url"), "TOCSIN_AMQP_TYPES": "a"}).config
    assert attrs.astuple(broker_address(config) or address) == ("h", 1, "u", "sesame", "/", False)
