"""A plan that aims: faults and requests come at the moment at which they do the most harm, and the report says that they did."""

from __future__ import annotations

import logging

import pytest
import trio

from runtime.simulated_service_core import Node
from tocsin.checker.checker import check
from tocsin.checker.history import Line
from tocsin.rehearsal.logs import listening
from tocsin.rehearsal.marks import RESUMED, TAKEOVER, marks_of
from tocsin.rehearsal.plan import Call, Fault, FaultKind, Job, Knobs, Plan
from tocsin.rehearsal.record import TAIL, Record, Trace
from tocsin.rehearsal.run import rehearse
from tocsin.rehearsal.tree_view import leader, members, unowned

AIMED = Plan(
    5,
    nodes=3,
    partitions=4,
    seconds=200.0,
    knobs=Knobs(rhythm=2.0, heartbeat=10.0, probe=5.0),
    jobs=(
        *(Job(f"long {n}", "long", every=25.0, parameters={"steps": 10, "rest": 2.0}) for n in range(4)),
        Job("lasting", "lasting", every=9.0, parameters={"seconds": 4.0}),
        Job("brief", every=20.0),
    ),
    calls=(
        Call(63.0, "run twice", "brief"),
        Call(130.0, "cancel running", "lasting", 4.0),
        Call(150.0, "pause all"),
        Call(152.0, "purge", "", 20.0),
        Call(154.0, "resume all"),
    ),
    faults=(
        Fault(70.0, FaultKind.KILL, ("n1",), 20.0, 1.0),
        Fault(100.0, FaultKind.FREEZE, ("n2",), 25.0, 1.0),
    ),
)


def test_what_is_aimed_at_is_hit() -> None:
    rehearsed = rehearse(AIMED)
    assert check(rehearsed.history).violations == ()
    reached = set(marks_of(rehearsed))
    wanted = {TAKEOVER, RESUMED, "resumed elsewhere", "checkpoint cut", "run asked twice", "purged while paused"}
    assert wanted <= reached, rehearsed.noted
    assert rehearsed.said, "nobody heard the nodes"
    assert 0 < len(rehearsed.tail) <= TAIL


def test_the_tree_shows_members_leader_and_what_nobody_owns() -> None:
    tree = {
        "/tocsin/members/n1": Node(b"", "s1", 5, 5),
        "/tocsin/members/n2": Node(b"", "s2", 6, 6),
        "/tocsin/leader": Node(b"", None, 1, 1),
        "/tocsin/leader/s2-0000000003": Node(b"", "s2", 8, 8),
        "/tocsin/leader/s1-0000000004": Node(b"", "s1", 9, 9),
        "/tocsin/slots/0": Node(b"", None, 2, 2),
        "/tocsin/slots/0/owner": Node(b"", "s1", 10, 10),
    }
    assert members(tree) == {"s1": "n1", "s2": "n2"}
    assert leader(tree) == "n2"
    assert unowned(tree, 3) == 2
    assert leader({}) is None


def test_what_nodes_say_is_counted_by_its_text(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("actors.somebody")
    former = logging.getLogger("actors").level
    with listening() as said:
        logger.info("%s is %d", "one", 1)
        logger.info("%s is %d", "two", 2)
        logger.warning("look")
        logger.debug("nobody asked")
    logger.warning("afterwards")
    assert said == {"%s is %d": 2, "look": 1}
    assert [record.getMessage() for record in caplog.records] == ["look", "afterwards"]
    assert logging.getLogger("actors").level == former
    assert logging.getLogger("actors").propagate


def test_the_trace_keeps_its_end() -> None:
    one, other = Trace(), Trace()
    for trace in (one, other):
        for number in range(TAIL + 10):
            trace.add("event", number)
    assert one.tail()[-1] == repr(("event", TAIL + 9))
    assert len(one.tail()) == TAIL
    assert one.digest() == other.digest()
    other.add("more")
    assert one.digest() != other.digest()


async def test_a_line_is_awaited_from_now_on(autojump_clock: trio.testing.MockClock) -> None:
    record = Record(lambda: 0, Trace())  # type: ignore[arg-type, return-value]
    record.lines.append(Line("start", "n1.1", "t", "e", 1, 1, 0))
    found: list[Line] = []

    async def wait() -> None:
        found.append(await record.next(lambda line: line.kind == "start"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(1)
        assert found == []
        later = Line("start", "n2.1", "t", "f", 1, 1, 5)
        record.lines.append(later)
        record._written.set()
    assert found == [later]
