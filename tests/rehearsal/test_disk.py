"""A node that is alone on a disk that tears: what was answered is there after the crash, and what was not is there or is not."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from tocsin.checker.checker import check
from tocsin.rehearsal import run
from tocsin.rehearsal.disk import DATA, LOG, Contents, torn
from tocsin.rehearsal.plan import Call, Fault, FaultKind, Job, Knobs, Plan
from tocsin.rehearsal.swarm import OF_CLUSTERS, OF_ONE, SMALL, draw

ROWS = 60
"""Of some hundred bytes: more than one page of them."""


def connect(folder: Path) -> sqlite3.Connection:
    """To the file in a folder, with a log that is copied into it again and again."""
    connection = sqlite3.connect(folder / DATA, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = OFF", "wal_autocheckpoint = 12"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def contents(folder: Path) -> Contents:
    return {name: path.read_bytes() if (path := folder / name).exists() else b"" for name in (DATA, LOG)}


def write(connection: sqlite3.Connection, number: int, rng: random.Random) -> None:
    """One transaction over some pages, that leaves its number in all rows that it touches and in the first."""
    connection.execute("BEGIN IMMEDIATE")
    some = [0, *rng.sample(range(1, ROWS), rng.randrange(1, 12))]
    connection.executemany(
        "UPDATE rows SET number = ?, text = ? WHERE id = ?", [(number, "x" * 300, row) for row in some]
    )
    connection.execute("UPDATE rows SET sum = (SELECT sum(number) FROM rows WHERE id > 0) WHERE id = 0")
    connection.execute("COMMIT")


def read(connection: sqlite3.Connection) -> tuple[int, bool]:
    """The number of the last transaction, and whether all of it is there."""
    number, told = connection.execute("SELECT number, sum FROM rows WHERE id = 0").fetchone()
    (found,) = connection.execute("SELECT sum(number) FROM rows WHERE id > 0").fetchone()
    (sound,) = connection.execute("PRAGMA integrity_check").fetchone()
    return number, told == found and sound == "ok"


@pytest.mark.parametrize("seed", range(4))
def test_a_crash_in_the_middle_of_a_write_leaves_all_or_nothing_of_it_and_all_before(tmp_path: Path, seed: int) -> None:
    rng, seen, number = random.Random(seed), Counter[str](), 0
    folder = tmp_path / "0"
    folder.mkdir()
    connection = connect(folder)
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, number INTEGER, text TEXT, sum INTEGER)")
    connection.executemany("INSERT INTO rows VALUES (?, 0, '', 0)", [(row,) for row in range(ROWS)])
    for life in range(1, 60):
        for _ in range(rng.randrange(6)):
            number += 1
            write(connection, number, rng)
        before = contents(folder)
        write(connection, number + 1, rng)
        after = contents(folder)
        left = torn(before, after, rng)
        seen["copied" if after[DATA] != before[DATA] else "whole" if left.whole else "undone"] += 1
        connection.close()
        folder = tmp_path / str(life)
        folder.mkdir()
        for name, content in left.contents.items():
            (folder / name).write_bytes(content)
        connection = connect(folder)
        number += left.whole
        assert read(connection) == (number, True)
    connection.close()
    assert min(seen["copied"], seen["whole"], seen["undone"]) >= 3


# -- a node over it

TORN = Plan(
    1,
    nodes=1,
    partitions=4,
    seconds=90.0,
    knobs=Knobs(rhythm=2.0, store="sqlite"),
    jobs=(
        *(Job(f"brief {n}", "brief", every=3.0 + n) for n in range(4)),
        *(
            Job(f"long {n}", "long", after=2.0, parameters={"steps": 20, "rest": 2.0}, policies={"retry": (20, 1.0)})
            for n in range(3)
        ),
        Job("failing", "failing", every=9.0, parameters={"attempts": 1}, policies={"retry": (5, 0.5)}),
    ),
    calls=(Call(15.0, "run", "brief 1"), Call(18.0, "edit", "brief 2", 5.0), Call(40.0, "cancel", "long 2")),
    faults=(
        *(Fault(20.0 + 6.0 * n, FaultKind.TEAR, ("n1",), 3.0) for n in range(8)),
        Fault(70.0, FaultKind.KILL, ("n1",), 3.0),
        Fault(76.0, FaultKind.COMMIT_UNKNOWN, ("n1",), 3.0, 1.0),
        Fault(80.0, FaultKind.FULL_STORE, (), 4.0),
        Fault(85.0, FaultKind.STOP, ("n1",), 4.0),
    ),
)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is left to heal after these plans."""
    monkeypatch.setattr(run, "HEAL", 15.0)


def test_a_node_goes_on_from_whatever_a_torn_write_left(short: None) -> None:
    first, again = run.rehearse(TORN), run.rehearse(TORN)
    verdict = check(first.history)
    assert not verdict.violations, verdict.report()
    assert first.trace == again.trace
    assert first.noted["a torn write was whole"] + first.noted["a torn write was undone"] == 8
    assert min(first.noted["a torn write was whole"], first.noted["a torn write was undone"]) >= 1
    assert verdict.statistics.resumed > 8


def test_a_crash_that_found_no_write_does_not_come_later(short: None) -> None:
    quiet = Plan(
        1,
        nodes=1,
        seconds=60.0,
        knobs=Knobs(rhythm=2.0, store="sqlite"),
        jobs=(Job("one", every=25.0),),
        faults=(Fault(30.0, FaultKind.TEAR, ("n1",), 5.0),),
    )
    found = run.rehearse(quiet)
    assert found.faults == {"tear": 1}
    assert not [span for span in found.history.spans if span.kind == "dead"]
    assert not check(found.history).violations


def test_some_seeds_are_of_one_node_and_of_what_can_happen_to_it() -> None:
    plans = [draw(seed, SMALL) for seed in range(1, 300)]
    alone = [plan for plan in plans if plan.is_alone]
    assert 15 < len(alone) < 60
    assert {plan.nodes for plan in alone} == {1}
    assert {fault.kind for plan in alone for fault in plan.faults} == set(OF_ONE)
    assert {fault.kind for plan in plans if not plan.is_alone for fault in plan.faults} == set(OF_CLUSTERS)
