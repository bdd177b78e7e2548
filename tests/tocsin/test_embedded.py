"""The embedded servers, with the real ones: they come up, take faults, come back, and do not outlive their parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.errors import Conflict, InvalidRequest, NotFound
from tests.servers import server_directory
from tests.source import ROOT
from tocsin.embedded.ports import free_port, is_free
from tocsin.embedded.postgres import EmbeddedPostgres, find_programs
from tocsin.embedded.process import ServerProcess, lives
from tocsin.embedded.zookeeper import EmbeddedZooKeeper, find_jars

HANG_SECONDS = 30.0


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + HANG_SECONDS
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


def states_of(server: EmbeddedPostgres) -> list[str]:
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    files = [Path(f"/proc/{pid}/stat") for pid in [server.pid, *children]]
    return [file.read_text().rpartition(")")[2].split()[0] for file in files]


@pytest.fixture
def postgres() -> Iterator[EmbeddedPostgres]:
    with server_directory("one") as directory, EmbeddedPostgres(directory / "server") as server:
        yield server


@pytest.fixture
def ensemble() -> Iterator[EmbeddedZooKeeper]:
    with server_directory("three") as directory, EmbeddedZooKeeper(directory, servers=3) as servers:
        yield servers


def test_postgres_keeps_what_was_committed_through_every_way_of_stopping(postgres: EmbeddedPostgres) -> None:
    postgres.execute("CREATE TABLE kept (n integer)")
    for number, stop in enumerate([
        lambda: postgres.stop("fast"), lambda: postgres.stop("immediate"), postgres.kill,
    ]):  # fmt: skip
        postgres.execute(f"INSERT INTO kept VALUES ({number})")
        stop()
        assert not postgres.running
        postgres.start()
    assert postgres.execute("SELECT n FROM kept ORDER BY n").split() == ["0", "1", "2"]
    assert postgres.execute("SHOW fsync") == "on"
    assert postgres.execute("SHOW synchronous_commit") == "on"


def test_a_frozen_postgres_answers_nothing_until_it_is_thawed(postgres: EmbeddedPostgres) -> None:
    with subprocess.Popen(
        [str(find_programs() / "psql"), "-X", "-A", "-t", "-q", postgres.dsn],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as client:  # fmt: skip
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write("SELECT 1;\n")
        client.stdin.flush()
        assert client.stdout.readline().strip() == "1"
        postgres.freeze()
        assert eventually(lambda: len(states := states_of(postgres)) > 3 and set(states) == {"T"})
        postgres.thaw()
        client.stdin.write("SELECT 2;\n")
        client.stdin.close()
        assert client.stdout.readline().strip() == "2"


def test_postgres_gives_databases_of_their_own_and_wants_the_password(postgres: EmbeddedPostgres) -> None:
    dsn = postgres.create_database("other")
    assert dsn.endswith(f"127.0.0.1:{postgres.port}/other")
    assert {"other", "tocsin"} <= set(postgres.databases())
    with pytest.raises(Conflict, match="already exists"):
        postgres.create_database("other")
    postgres.drop_database("other")
    assert "other" not in postgres.databases()
    stranger = subprocess.run(
        [str(find_programs() / "psql"), "-w", "-X", "-c", "SELECT 1", dsn.replace("tocsin:", "tocsin:no")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert stranger.returncode and "password authentication failed" in stranger.stderr
    assert (postgres.directory / "password").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account for PostgreSQL")
def test_a_directory_that_postgres_cannot_enter_is_refused() -> None:
    with server_directory("closed") as directory:
        closed = directory / "closed"
        closed.mkdir(mode=0o700)
        with pytest.raises(InvalidRequest, match=f"cannot enter {closed}"):
            EmbeddedPostgres(closed / "server").start()


def test_missing_packages_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="apt-get install postgresql"):
        find_programs(tmp_path)
    with pytest.raises(NotFound, match="apt-get install zookeeper"):
        find_jars((tmp_path / "zookeeper.jar",))


def test_the_ensemble_elects_another_leader_when_the_leader_is_killed_or_frozen(ensemble: EmbeddedZooKeeper) -> None:
    assert sorted(server.mode() for server in ensemble.servers) == ["follower", "follower", "leader"]
    first = ensemble.leader()
    first.kill()
    second = ensemble.leader()
    assert second is not first and not first.running
    first.start()
    assert eventually(lambda: len(ensemble.followers()) == 2)
    second.freeze()
    assert eventually(lambda: any(server.mode() == "leader" for server in ensemble.servers if server is not second))
    assert second.ask("ruok", 0.2) == ""
    second.thaw()
    assert eventually(lambda: len(ensemble.followers()) == 2)
    ensemble.servers[0].restart()
    assert eventually(lambda: len(ensemble.followers()) == 2)


def test_one_server_stands_alone(zookeeper_server: EmbeddedZooKeeper) -> None:
    (server,) = zookeeper_server.servers
    assert (server.mode(), server.ask("ruok")) == ("standalone", "imok")
    assert zookeeper_server.leader() is server and zookeeper_server.addresses == (server.address,)
    assert "tickTime=500" in server.ask("conf") and "minSessionTimeout=1000" in server.ask("conf")
    with pytest.raises(Conflict, match="ZooKeeper server 1 is running"):
        server.start()


def test_an_even_number_of_servers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="an odd number"):
        EmbeddedZooKeeper(tmp_path, servers=2)


ORPHANS = """
import pathlib, sys, time
from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.zookeeper import EmbeddedZooKeeper
folder = pathlib.Path(sys.argv[1])
postgres, zookeeper = EmbeddedPostgres(folder / "postgres"), EmbeddedZooKeeper(folder)
postgres.start(); zookeeper.start(); postgres.freeze(); zookeeper.servers[0].freeze()
children = pathlib.Path(f"/proc/{postgres.pid}/task/{postgres.pid}/children").read_text().split()
print(postgres.pid, *children, zookeeper.servers[0].pid, flush=True)
time.sleep(600)
"""


def test_servers_die_with_their_parent_even_frozen() -> None:
    with server_directory("orphans") as directory, subprocess.Popen(
        [sys.executable, "-c", ORPHANS, str(directory)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) > 4 and all(map(lives, pids))
        parent.kill()
        assert eventually(lambda: not any(map(lives, pids)))


def test_a_server_that_ends_or_hangs_at_its_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    broken = ServerProcess("it", ["sh", "-c", "echo no disk; exit 3"], folder=tmp_path, log=tmp_path / "log")
    broken.start()
    with pytest.raises(Conflict, match="it did not start:\nno disk"):
        broken.wait_ready(lambda: False, HANG_SECONDS)
    slow = ServerProcess("it", ["sleep", "600"], folder=tmp_path, log=tmp_path / "log")
    slow.start()
    with pytest.raises(Conflict, match="not ready within"):
        slow.wait_ready(lambda: False, 0.05)
    slow.stop(signal.SIGTERM, HANG_SECONDS)
    slow.kill()
    assert not slow.running
    with pytest.raises(Conflict, match="not running"):
        slow.freeze()


def test_a_server_that_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    deaf = ServerProcess("it", ["sh", "-c", script], folder=tmp_path, log=tmp_path / "log")
    deaf.start()
    deaf.wait_ready(lambda: "ready" in deaf.last_words(), HANG_SECONDS)
    deaf.stop(signal.SIGTERM, 0.2)
    assert not deaf.running


def test_ports_are_free_and_given_once() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50 and all(is_free(port) for port in ports)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[0]))
        taken.listen()
        assert not is_free(ports[0])
