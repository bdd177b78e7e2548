from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from actors.model.lifecycle import State
from actors.model.retention import KEEP_LAST, Keep, Retention
from actors.store.port import DELIVERIES_KEPT
from runtime.clock import DAY, HOUR, SECOND, Micros
from runtime.errors import InvalidRequest
from tocsin.settings.config import SETTINGS, Config, load_config, shown, variable_of
from tocsin.settings.node_settings import node_config
from tocsin.settings.setting_readers import Address


def write(path: Path, text: str) -> Path:
    file = path / "some.toml"
    file.write_text(text)
    return file


def test_flags_win_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = write(tmp_path, 'name = "filed"\nlisten = "127.0.0.1:1"\n[executor]\nslots = 5\n[threads]\nio = 3\n')
    environment = {
        "TOCSIN_LISTEN": "127.0.0.1:2",
        "TOCSIN_THREADS": "4",
        "HOME": "/h",
        "TOCSIN_URL": "x",
        "TOCSIN_TASK": "t",
    }
    loaded = load_config(environment, file, {"listen": "127.0.0.1:3", "data": None})
    assert (loaded.config.name, loaded.config.slots, loaded.config.threads) == ("filed", 5, {"default": 4})
    assert loaded.config.listen == Address("127.0.0.1", 3)
    origins = {key: loaded.origins[key] for key in ("name", "threads", "listen", "data")}
    assert origins == {
        "name": str(file),
        "threads": "TOCSIN_THREADS",
        "listen": "command line",
        "data": "default",
    }


@pytest.mark.parametrize(
    ("text", "pools"),
    [
        ("", {"default": 16}),
        ("threads = 3", {"default": 3}),
        ("[threads]\nio = 64", {"default": 16, "io": 64}),
        ("[threads]\ndefault = 2\nio = 64", {"default": 2, "io": 64}),
        ('threads = "io=64, default=4"', {"default": 4, "io": 64}),
    ],
)
def test_thread_pools_have_names_and_sizes(tmp_path: Path, text: str, pools: dict[str, int]) -> None:
    assert load_config({}, write(tmp_path, text)).config.threads == pools
    assert load_config({"TOCSIN_THREADS": "io=9"}, write(tmp_path, text)).config.threads == {"default": 16, "io": 9}


def test_durations_have_units(tmp_path: Path) -> None:
    loaded = load_config({}, write(tmp_path, '[drain]\ntimeout = "1m30s"\n'))
    assert loaded.config.drain_timeout == 90 * SECOND
    assert shown("drain.timeout", loaded.config) == "1m30s"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("slot = 5", "unknown key 'slot'"),
        ("[executor]\nslotz = 5", "did you mean 'executor.slots'"),
        ("[executor]\nslots = 0", "executor.slots: a whole number from 1"),
        ('[executor]\nslots = "many"', "executor.slots"),
        ("[executor]\nslots = true", "executor.slots"),
        ('listen = "nowhere"', "listen: HOST:PORT"),
        ('listen = "127.0.0.1:99999"', "listen: HOST:PORT"),
        ("listen = 7400", "listen"),
        ("[drain]\ntimeout = 5", "drain.timeout: a duration is a text with units"),
        ('[store]\nsynchronous = "OFF"', "store.synchronous: FULL or NORMAL"),
        ('tasks = "a" "b"', "configuration file"),
        ("tasks = [1]", "tasks: a list"),
        ('name = ""', "name: a text"),
        ("executor = 3", "unknown key 'executor'"),
        ("threads = 0", "threads.default: a whole number from 1 to 1000, not 0"),
        ("[threads]\nio = true", "threads.io: a whole number from 1 to 1000, not True"),
        ('[threads]\n"a b" = 3', "threads: names of pools with their sizes, for example io = 64, not 'a b'"),
        ("[threads.io]\nsize = 3", "threads.io: a whole number"),
    ],
)
def test_a_wrong_file_is_refused_naming_key_and_file(tmp_path: Path, text: str, complaint: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(InvalidRequest) as caught:
        load_config({}, file)
    assert complaint in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"none\.toml"):
        load_config({}, tmp_path / "none.toml")


def test_an_unknown_variable_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InvalidRequest, match="TOCSIN_LISTN; did you mean 'TOCSIN_LISTEN'"):
        load_config({"TOCSIN_LISTN": "127.0.0.1:1"})


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(InvalidRequest, match="TOCSIN_EXECUTOR_SLOTS"):
        load_config({"TOCSIN_EXECUTOR_SLOTS": "none"})


def test_the_file_of_the_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tocsin.toml").write_text('name = "here"')
    monkeypatch.chdir(tmp_path)
    assert load_config({}).config.name == "here"


@pytest.mark.parametrize("key", SETTINGS)
def test_every_setting_has_unit_reason_and_a_default_that_it_would_accept(key: str) -> None:
    about = SETTINGS[key].metadata
    assert about["unit"]
    assert len(about["reason"]) > 10
    value = shown(key, Config())
    assert about["read"](value, key) == getattr(Config(), SETTINGS[key].name)
    assert variable_of(key).startswith("TOCSIN_")


def test_loopback_is_told_from_the_world() -> None:
    assert all(Address(host, 1).is_loopback for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"))
    assert not any(
        Address(host, 1).is_loopback for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", "127.example.org")
    )
    assert str(Address("::1", 7400)) == "[::1]:7400"


def test_what_is_kept_is_configured_by_kind_and_else_for_one_time(tmp_path: Path) -> None:
    lines = (
        'keep_for = "10d"',
        'failed_for = "90d"',
        "failed_last = 7",
        "completed_last = 0",
        'folded_for = "0s"',
        "audit_last = 5",
    )
    text = "\n".join(("[retention]", *lines))
    config = load_config({"TOCSIN_RETENTION_SKIPPED_FOR": "1h"}, write(tmp_path, text)).config
    found = node_config(config).retention
    ten = Micros(10 * DAY)
    assert found.states == {
        State.COMPLETED: Keep(ten),
        State.FAILED: Keep(Micros(90 * DAY), 7),
        State.TIMED_OUT: Keep(ten),
        State.CANCELLED: Keep(ten),
    }
    assert (found.rows, found.skipped) == (Keep(ten, KEEP_LAST), Keep(HOUR))
    assert (found.folded, found.tasks, found.audits, found.newest) == (0, ten, 5, 0)
    assert [shown(f"retention.{key}_for", config) for key in ("failed", "timed_out", "skipped")] == ["12w6d", "", "1h"]


def test_what_is_kept_by_default_is_what_the_store_says() -> None:
    config = node_config(Config())
    assert (config.retention, config.deliveries_kept) == (Retention(), DELIVERIES_KEPT)
    assert node_config(attrs.evolve(Config(), deliveries_last=3)).deliveries_kept == 3
