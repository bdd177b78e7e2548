"""What the doctor finds: on a healthy machine, on one with planted troubles, at real servers, and at a node that runs."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import psycopg
import pytest

from actors.cluster_config import ClusterConfig
from actors.model.system import OWN_TYPES
from actors.store.postgres_check import PostgresFacts
from runtime.clock import Micros
from runtime.zookeeper_check import ServerFacts
from tests.servers import server_directory
from tests.tocsin.conftest import Running
from tocsin.cli.main import run
from tocsin.doctor import machine
from tocsin.doctor.examination import examine
from tocsin.doctor.findings import UNWELL_EXIT, Finding, Level, exit_code
from tocsin.doctor.machine import file_system_of, of_directory, of_port, of_secrets, of_store_file
from tocsin.doctor.running import of_node
from tocsin.doctor.servers import of_postgres, of_zookeeper, offset_finding, postgres_findings, together
from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.zookeeper import EmbeddedZooKeeper
from tocsin.settings.config import Config
from tocsin.settings.setting_readers import Address


def troubles(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(one.subject, str(one.level)) for one in findings if one.level in (Level.WARNING, Level.BAD)]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("TOCSIN_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "LITTLE_DISK", 0)
    monkeypatch.setattr(machine, "NO_DISK", 0)
    return iter([None])


def test_nothing_is_wrong_before_the_first_start(tmp_path: Path) -> None:
    found = list(examine({}, None, {"listen": "127.0.0.1:0"}))
    assert troubles(found) == []
    assert {
        "configuration",
        "exposure",
        "versions",
        "time zones",
        "data directory",
        "disk",
        "port",
        "store",
        "running",
    } == {one.subject for one in found}
    assert not (tmp_path / ".tocsin").exists()


def test_a_wrong_setting_is_found_first() -> None:
    [one] = examine({"TOCSIN_EXECUTOR_SLOTS": "many"}, None, {})
    assert (one.subject, one.level) == ("configuration", Level.BAD)
    assert "many" in one.what


def test_what_others_may_read_is_found(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    (data / "token").write_text("secret")
    (data / "token").chmod(0o644)
    assert troubles(of_directory(data)) == [("data directory", "warning")]
    config = Config(data=data, cluster_key_file=str(tmp_path / "missing"))
    found = list(of_secrets(config))
    assert [(one.level, one.advice.split()[0]) for one in found] == [(Level.BAD, "chmod"), (Level.BAD, "write")]
    data.chmod(0o700)
    (data / "token").chmod(0o600)
    assert troubles([*of_directory(data), *of_secrets(Config(data=data))]) == []


def test_a_full_disk_and_a_shared_one_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    for little, none, level in ((1 << 62, 0, "warning"), (1 << 62, 1 << 62, "bad")):
        monkeypatch.setattr(machine, "LITTLE_DISK", little)
        monkeypatch.setattr(machine, "NO_DISK", none)
        assert troubles(of_directory(tmp_path)) == [("disk", level)]
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/x / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n")
    assert (file_system_of(tmp_path / "a", mounts), file_system_of(Path("/usr"), mounts)) == ("nfs4", "ext4")
    assert file_system_of(tmp_path, tmp_path / "none") == ""


def test_a_port_that_somebody_has_is_found() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = Config(listen=Address("127.0.0.1", taken.getsockname()[1]))
        assert troubles(of_port(config, runs=False)) == [("port", "bad")]
        assert troubles(of_port(config, runs=True)) == []
    assert troubles(of_port(config, runs=False)) == []


def test_a_damaged_store_is_found(tmp_path: Path) -> None:
    path = tmp_path / "tocsin.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a)")
    connection.executemany("INSERT INTO t VALUES (?)", [("x" * 900,)] * 200)
    connection.commit()
    connection.close()
    assert [one.level for one in of_store_file(tmp_path)] == [Level.GOOD]
    content = bytearray(path.read_bytes())
    content[8192:16384] = b"\xff" * 8192
    path.write_bytes(content)
    assert troubles(of_store_file(tmp_path)) == [("store", "bad")]
    path.write_bytes(b"no database at all" * 1000)
    assert troubles(of_store_file(tmp_path)) == [("store", "bad")]


HEALTHY = PostgresFacts(
    "15.3", {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "max_connections": "100"}, Micros(0), False, 5
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "levels"),
    [
        ({}, []),
        ({"version": "12.1"}, ["warning"]),
        ({"settings": HEALTHY.settings | {"fsync": "off"}}, ["bad"]),
        ({"settings": HEALTHY.settings | {"synchronous_commit": "off", "full_page_writes": "off"}}, ["bad", "bad"]),
        ({"follower": True}, ["bad"]),
        ({"connections": 95}, ["warning"]),
        ({"powers": ("super", "bypassrls")}, ["warning"]),
        ({"is_private": False}, ["bad"]),
    ],
)
def test_settings_of_postgresql_that_lose_work_are_found(changes: dict[str, Any], levels: list[str]) -> None:
    found = list(postgres_findings(attrs.evolve(HEALTHY, **changes)))
    assert [level for _, level in troubles(found)] == levels
    assert all(one.why and one.advice for one in found if one.level is not Level.GOOD)


def test_servers_without_a_majority_are_found() -> None:
    config = ClusterConfig("n", ("a:1", "b:1", "c:1"), "", credentials=("u", "p"))
    one = ServerFacts("leader", "3.8", None, True)
    assert troubles(together([one], config)) == [("ZooKeeper", "bad")]
    assert troubles(together([one] * 2, config)) == []
    assert troubles(together([one], attrs.evolve(config, servers=("a:1",), credentials=None))) == [
        ("ZooKeeper", "warning"), ("ZooKeeper", "warning"),
    ]  # fmt: skip


def test_clocks_that_differ_are_found() -> None:
    levels = [offset_finding("x", seconds).level for seconds in (0.1, -0.5, 3.0, -9.0)]
    assert levels == [Level.GOOD, Level.WARNING, Level.BAD, Level.BAD]


def with_role_of_its_own(url: str) -> str:
    """The URL of the same database for a role that has nothing else."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
        connection.execute("ALTER DATABASE looked_at OWNER TO plain")
    return str(httpx.URL(url).copy_with(username="plain", password="plain"))


def test_real_servers_are_looked_at() -> None:
    with server_directory("doctor") as directory:
        with EmbeddedPostgres(directory / "postgres") as postgres:
            url = postgres.create_database("looked_at")
            found = list(of_postgres(url))
            assert [one.subject for one in found if one.level is Level.GOOD] == ["PostgreSQL", "clock"]
            assert [(one.subject, one.level) for one in found if "super" in one.what] == [("PostgreSQL", Level.WARNING)]
            assert troubles(of_postgres(with_role_of_its_own(url))) == []
        assert troubles(of_postgres(url)) == [("PostgreSQL", "bad")]
        with EmbeddedZooKeeper(directory / "zookeeper") as zookeeper:
            config = ClusterConfig("n", zookeeper.addresses, "", root="/zookeeper")
            found = list(of_zookeeper(config))
            assert "standalone" in found[0].what
            assert [one.subject for one in found if one.level is Level.GOOD] == ["ZooKeeper", "clock"]
            assert troubles(found) == [("ZooKeeper", "warning")] * 2
        assert troubles(of_zookeeper(config))[:2] == [("ZooKeeper", "bad")] * 2


def node(**changes: Any) -> dict[str, Any]:
    usual = {"name": "n2", "state": "alive", "offsetMs": 1.0, "version": None, "timezoneDatabase": None}
    return usual | {"here": False, "address": ""} | changes


def answers(**changes: Any) -> Any:
    whole = {
        "show_node": {"name": "n1", "health": [], "scheduler": {"paused": False}},
        "list_nodes": {"list": [], "coordination": {"gate": None, "problem": None, "partitions": 256, "owned": 256}},
        "show_canaries": {"enabled": False},
        "list_types": {"list": [{"name": "known"}]},
        "list_tasks": {"list": []},
        "show_member": {"types": ["known"]},
    } | changes

    return lambda operation, /, **arguments: whole[operation]


def test_what_a_node_says_is_passed_on() -> None:
    assert troubles(of_node(answers())) == []
    ill = {"name": "n1", "health": ["the timer is late"], "scheduler": {"paused": True}}
    assert troubles(of_node(answers(show_node=ill))) == [("node", "bad"), ("node", "warning")]
    peers = [node(state="dead"), node(offsetMs=5000.0), node(version="0.0.1"), node(timezoneDatabase="2001a")]
    lost = {"list": peers, "coordination": {"gate": "waiting", "problem": None, "partitions": 256, "owned": 250}}
    assert troubles(of_node(answers(list_nodes=lost))) == [
        ("cluster", "bad"), ("cluster", "warning"), ("cluster", "warning"), ("clock", "bad"), ("versions", "warning"),
        ("time zones", "warning"),
    ]  # fmt: skip


def task(name: str, type_name: str, status: str = "SCHEDULED") -> dict[str, str]:
    return {"name": name, "itemId": f"id-of-{name}", "taskType": type_name, "status": status}


def test_tasks_that_nobody_can_run_are_found() -> None:
    tasks = [task("fine", "known"), task("lost", "gone"), task("over", "gone", "COMPLETED"), task("own", "purge")]
    tasks[-1]["taskType"] = next(iter(OWN_TYPES))
    for nodes in ([node(name="n1")], [node(name="n1"), node(name="n2"), node(name="n3", state="dead")]):
        told = {"list": nodes, "coordination": answers()("list_nodes")["coordination"]}
        found = list(of_node(answers(list_tasks={"list": tasks}, list_nodes=told)))
        [one] = [one for one in found if one.subject == "tasks"]
        assert (one.level, one.what) == (Level.WARNING, "lost has the type gone, which no node has")
        assert "tocsin task cancel id-of-lost" in one.advice


def test_a_node_of_a_cluster_looked_at_with_other_settings_says_so() -> None:
    told = {"list": [node(name="n1", here=True, address="127.0.0.1:1")]} | {
        "coordination": answers()("list_nodes")["coordination"]
    }
    assert troubles(of_node(answers(list_nodes=told))) == [("configuration", "warning")]
    assert troubles(of_node(answers(list_nodes=told), clustered=True)) == []


def test_every_trouble_says_why_it_matters_and_what_to_do() -> None:
    peers = [node(state="dead"), node(version="0.0.1"), node(timezoneDatabase="2001a"), node(offsetMs=9000.0)]
    told = {"list": peers, "coordination": {"gate": "waiting", "problem": "lost", "partitions": 2, "owned": 1}}
    troubled = [one for one in of_node(answers(list_nodes=told)) if one.level in (Level.WARNING, Level.BAD)]
    assert [one for one in troubled if not (one.why and one.advice)] == []
    assert len(troubled) == 7


def test_the_command_tells_and_its_exit_code_too(
    running: Running, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_LISTEN", "127.0.0.1:0")
    assert run(["doctor", "--data", str(running.data)]) == 0
    said = capsys.readouterr().out
    assert "is well" in said
    assert "is sound" in said
    assert "things were looked at" in said
    assert run(["doctor", "--data", str(running.data), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["well"], {one["level"] for one in told["findings"]} <= {"good", "note", "warning"}) == (True, True)
    monkeypatch.setenv("TOCSIN_EXECUTOR_SLOTS", "many")
    assert run(["doctor"]) == UNWELL_EXIT
    said = capsys.readouterr().out
    assert "✗ configuration" in said
    assert said.index("    why: a node does not start") < said.index("    do:  mend it") < said.index("1 bad.")
    assert exit_code([]) == 0
