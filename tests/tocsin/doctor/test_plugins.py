"""What the doctor finds of code and services of the user's own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.tocsin.queue.test_custom_remote import TOKEN, service
from tocsin.doctor.examination import examine
from tocsin.doctor.findings import Finding, Level
from tocsin.doctor.plugins import of_job_queue, of_placements
from tocsin.queue.custom import JobQueue
from tocsin.settings.config import Config


class Asleep(JobQueue):
    def list(self, node: str) -> Iterable[str]:
        raise OSError("the disk is away")


class Strategy:
    def choose(self, candidates: object, facts: object) -> None:
        return None


def only(found: Iterable[Finding]) -> tuple[Level, str]:
    [one] = found
    return one.level, one.what


def test_nothing_of_one_s_own_is_nothing_to_look_at() -> None:
    assert list(of_job_queue(Config())) == []
    assert list(of_placements(Config())) == []


def test_a_class_is_loaded_and_asked() -> None:
    use = "tocsin.queue.custom:JobQueue"
    assert only(of_job_queue(Config(queue_use=use))) == (Level.GOOD, f"{use} answers, and has 0 jobs of this node")
    assert only(of_job_queue(Config(queue_use=f"{__name__}:Asleep"))) == (
        Level.BAD,
        f"{__name__}:Asleep raised OSError: the disk is away",
    )
    level, what = only(of_job_queue(Config(queue_use="nowhere:Class")))
    assert level is Level.BAD
    assert "cannot load 'nowhere:Class'" in what


def test_verbs_that_a_class_does_not_have_are_told() -> None:
    found = list(of_job_queue(Config(queue_use="tests.tocsin.queue.test_custom:Least")))
    assert [one.level for one in found] == [Level.WARNING, Level.GOOD]
    assert found[0].what.endswith("has no list, data, delete, rename, update, flush")


def test_the_connection_to_a_service_is_tested(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o644)
    with service() as (process, address):
        config = Config(queue_use=address, queue_token_file=str(token))
        assert only(of_job_queue(config)) == (Level.GOOD, f"{address} answers, and has 0 jobs of this node")
        assert only(of_job_queue(Config(queue_use=address))) == (Level.BAD, f"{address} answered HTTP 401 to list")
        environment = {"TOCSIN_QUEUE_USE": address, "TOCSIN_QUEUE_TOKEN_FILE": str(token)}
        told = {(one.subject, one.level) for one in examine(environment, None, {"data": str(tmp_path / "data")})}
        assert {("job queue", Level.GOOD), ("secrets", Level.BAD)} <= told
        process.kill()
        process.wait()
        level, what = only(of_job_queue(config))
        assert level is Level.BAD
        assert what.startswith(f"{address} ConnectError")
    level, what = only(of_job_queue(Config(queue_use="http://127.0.0.1:1/", queue_token_file=str(tmp_path / "none"))))
    assert level is Level.BAD
    assert what.startswith("queue.token_file: ")


def test_strategies_are_loaded() -> None:
    name = f"{__name__}:Strategy"
    assert only(of_placements(Config(placement_plugins=(name,)))) == (Level.GOOD, f"loaded: {name}")
    level, what = only(of_placements(Config(strategy="nowhere:Class")))
    assert level is Level.BAD
    assert what.startswith("placement.plugins: cannot load 'nowhere:Class'")


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
