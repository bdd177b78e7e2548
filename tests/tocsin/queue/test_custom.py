"""A queue of one's own as users write it: a class, the base class, how it is found, and what is said when it is wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import trio

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from actors.job_queue import JobQueueFailed
from runtime.errors import InvalidRequest
from runtime.world import RealWorld
from tocsin.queue.custom import VERBS, JobQueue
from tocsin.queue.custom_choice import job_queue_config
from tocsin.queue.custom_link import GROUP, InThread, load_queue
from tocsin.settings.config import Config, load_config

ORDER: list[str] = []
TOLD: dict[int, trio.Event] = {}


async def work(ctx: Any) -> None:
    ORDER.append(ctx.task)
    if (told := TOLD.get(len(ORDER))) is not None:
        told.set()


class LastName(JobQueue):
    """The last name first; what has the tag `later` waits while anything runs."""

    def rank(self, job: Mapping[str, Any]) -> Any:
        return [-ord(letter) for letter in job["task"]]

    def may_run(self, job: Mapping[str, Any], running: Sequence[Mapping[str, Any]]) -> bool:
        return not running or "later" not in job["tags"]


class Gathering(LastName):
    """Begins when it knows three."""

    def may_run(self, job: Mapping[str, Any], running: Sequence[Mapping[str, Any]]) -> bool:
        self.known = getattr(self, "known", 0) or len(self._waiting) == 3
        return bool(self.known)


class Hangs(JobQueue):
    """Does not come back."""

    gate = threading.Event()

    def next(self, node: str, count: int) -> Sequence[str]:
        self.gate.wait(60)
        return []


class Least:
    """Only what is needed, as generators."""

    def start(self, node: str) -> None:
        self.jobs: list[str] = []

    def save(self, node: str, jobs: Sequence[Mapping[str, Any]]) -> None:
        self.jobs += [job["job"] for job in jobs if job["state"] == "waiting"]

    def next(self, node: str, count: int) -> Iterator[str]:
        yield from self.jobs


class Incomplete:
    def start(self, node: str) -> None: ...


class Broken(JobQueue):
    def __init__(self) -> None:
        raise ValueError("no database")


def job(name: str, **more: Any) -> dict[str, Any]:
    return {"job": name, "taskId": f"t-{name}", "state": "waiting", "task": name, "priority": 5, "tags": []} | more


# -- the base class


def test_the_base_gives_by_priority_and_age_and_forgets_what_is_removed() -> None:
    queue = JobQueue()
    queue.start("n")
    queue.save("n", [job("b"), job("a"), job("c", priority=1)])
    assert queue.next("n", 2) == ["c", "a"]
    assert queue.next("n", 9) == ["c", "a", "b"], "what is given waits until it is told to run"
    queue.save("n", [{"job": "c", "taskId": "t-c", "state": "running"}])
    assert queue.next("n", 9) == ["a", "b"]
    assert queue.data("n", "c") == job("c", priority=1, state="running")
    queue.rename("n", "t-a", "zebra")
    queue.update("n", "t-b", {"priority": 1})
    assert queue.next("n", 9) == ["b", "a"]
    assert queue.data("n", "a") == job("a", task="zebra")
    queue.delete("n", "t-b")
    queue.save("n", [{"job": "c", "taskId": "t-c", "state": "removed"}])
    queue.flush("n", "2026-01-01T00:00:00Z")
    assert list(queue.list("n")) == ["a"]
    assert queue.data("n", "b") is None
    queue.start("n")
    assert list(queue.list("n")) == []


def test_one_that_derives_from_it_orders_and_holds_back() -> None:
    queue = LastName()
    queue.save("n", [job("ann"), job("zoe", tags=["later"]), job("ben")])
    assert queue.next("n", 9) == ["zoe", "ben", "ann"]
    queue.save("n", [{"job": "ann", "taskId": "t-ann", "state": "running"}])
    assert queue.next("n", 9) == ["ben"]


def test_the_base_has_every_verb() -> None:
    assert all(callable(getattr(JobQueue, verb)) for verb in VERBS)
    assert len(VERBS) == 9


# -- a real node


def catalogue() -> Catalogue:
    return Catalogue([task_type("work", work)])


async def completed(number: int) -> None:
    """Wait until so many have run."""
    told = TOLD.setdefault(number, trio.Event())
    if len(ORDER) < number:
        with trio.fail_after(60):
            await told.wait()
    TOLD.clear()


@pytest.mark.parametrize(("name", "order"), [("Gathering", ["c", "b", "a"]), ("Least", ["a", "b", "c"])])
async def test_a_node_asks_the_class_that_is_configured(tmp_path: Path, name: str, order: list[str]) -> None:
    ORDER.clear()
    use = f"{__name__}:{name}"
    settings = {"queue_use": use, "slots": 1}
    async with tocsin.open_node(catalogue=catalogue(), data=tmp_path, listen="127.0.0.1:0", **settings) as node:
        inner = node.inner.job_queue
        assert inner is not None
        assert inner.title == use
        for one in ("a", "b", "c"):
            await node.when({"after": "0s"}, "work", name=one)
        await completed(3)
        assert order == ORDER
        assert node.health() == []


async def test_a_class_that_hangs_is_left_alone_and_work_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ORDER.clear()
    Hangs.gate.clear()
    settings = {"queue_use": f"{__name__}:Hangs", "queue_deadline": "50ms"}
    try:
        async with tocsin.open_node(catalogue=catalogue(), data=tmp_path, listen="127.0.0.1:0", **settings) as node:
            await node.when({"after": "0s"}, "work", name="a")
            await completed(1)
            assert "did not answer within 0.05 s" in " ".join(node.health())
    finally:
        Hangs.gate.set()
    assert [line for line in caplog.messages if "work is given in the node's own order" in line]


# -- how it is called


class Moody:
    def next(self, node: str, count: int) -> Any:
        if count == 0:
            raise KeyError("x" * 9_999)
        return {1: {"a": 1}, 2: "text", 3: ("a", "b"), 4: 7}[count]

    def data(self, node: str, job: str) -> dict[str, str]:
        return {"job": job}


async def test_what_a_class_answers_is_taken_as_it_is_and_what_it_raises_is_told() -> None:
    link = InThread("moody", Moody(), RealWorld())
    with pytest.raises(JobQueueFailed, match="raised KeyError: 'xxx") as caught:
        await link.next("n", 0)
    assert len(str(caught.value)) == 300
    assert await link.next("n", 1) == {"a": 1}
    assert await link.next("n", 2) == "text"
    assert await link.next("n", 3) == ["a", "b"]
    with pytest.raises(JobQueueFailed, match="raised TypeError: 'int' object is not iterable"):
        await link.next("n", 4)
    assert await link.data("n", "j") == {"job": "j"}
    assert await link.list("n") is None, "a verb that it does not have is not asked"


# -- how it is found


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("nonsense", "a class such as 'package.module:Class', a name in tocsin.queues, or an address, not 'nonsense'"),
        (f"{__name__}:", "a class such as"),
        (":Class", "a class such as"),
        ("no_such_module:Class", "cannot load 'no_such_module:Class': ModuleNotFoundError"),
        (f"{__name__}:Nothing", "AttributeError"),
        (f"{__name__}:Incomplete", "has no method save, next; see tocsin.queue.custom.Verbs"),
    ],
)
def test_what_cannot_be_used_is_refused_at_the_start(path: str, complaint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        job_queue_config(Config(queue_use=path))
    assert str(caught.value).startswith("queue.use: ")
    assert complaint in str(caught.value)


async def test_a_class_that_cannot_be_made_ends_the_start(tmp_path: Path) -> None:
    use = f"{__name__}:Broken"
    with pytest.raises(InvalidRequest, match=r"cannot make .*:Broken': ValueError: no database"):
        async with tocsin.open_node(catalogue=catalogue(), data=tmp_path, listen="127.0.0.1:0", queue_use=use):
            raise AssertionError("it has started")


def test_packages_offer_queues_by_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = [EntryPoint("theirs", f"{__name__}:LastName", GROUP)]
    monkeypatch.setattr("tocsin.queue.custom_link.entry_points", lambda *, group: offered if group == GROUP else [])
    assert isinstance(load_queue("theirs")(), LastName)


def test_without_a_setting_there_is_none() -> None:
    assert job_queue_config(Config()) is None
    found = job_queue_config(Config(queue_use=f"{__name__}:LastName", queue_names=("a", "b")))
    assert found is not None
    assert (found.names, found.deadline, found.hold) == (frozenset({"a", "b"}), 2.0, 3_600.0)


@pytest.mark.parametrize(
    "value",
    [
        "a b",
        "ftp://host/x",
        "http://",
        "http://user:secret@host/x",
        "http://host/x?token=1",
        "http://host:99999/",
        "http://h/#a",
    ],
)
def test_settings_that_make_no_sense_are_refused(value: str) -> None:
    with pytest.raises(InvalidRequest, match=r"queue\.use: package\.module:Class, the name of an entry point, or http"):
        load_config({"TOCSIN_QUEUE_USE": value})
