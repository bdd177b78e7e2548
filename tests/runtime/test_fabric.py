"""Links, messages and questions between fabrics, in virtual time, on a network without faults."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from runtime.codec import CodecError
from runtime.errors import InvalidRequest, PeerUnreachable, ReplyTimeout, TooLarge
from runtime.fabric import Fabric
from runtime.fabric_messages import Endpoint, Limits, PeerFailed, Security
from runtime.records import record
from runtime.simulated_network import SimulatedNetwork
from runtime.simulation import SimulatedWorld
from tests.runtime.fabric_kit import KEY, Big, Note, cluster, introduce_all, member, settled, start, until


@record
class Unknown:
    text: str


async def test_everybody_is_linked_once_with_everybody(autojump_clock: MockClock) -> None:
    async with cluster(5) as (_, members):
        await trio.sleep(5)
        for made in members:
            others = {other.boot for other in members} - {made.boot}
            assert made.up == others
            # Each peer came up once, although both ends dialled.
            assert sorted(boot for _, boot, up in made.links) == sorted(others)
            for boot in others:
                assert made.status(boot).dialled == (made.boot < boot)


async def test_messages_arrive_in_order_and_are_counted(autojump_clock: MockClock) -> None:
    async with cluster(2) as (_, (one, two)):
        await until(lambda: settled(one, two))
        assert all(one.tell(two.boot, number) for number in range(2_000))
        await until(lambda: len(two.heard) == 2_000)
        assert two.numbers(one.boot) == list(range(2_000))
        assert one.status(two.boot).sent == 2_000
        assert two.status(one.boot).received == 2_000
        assert one.status(two.boot).queued == one.status(two.boot).queued_bytes == 0
        assert one.status(two.boot).dropped == 0


async def test_questions_are_answered(autojump_clock: MockClock) -> None:
    async with cluster(2) as (_, (one, two)):
        await until(lambda: one.up and two.up)
        assert await one.fabric.ask(two.boot, "echo", Note("x", 1), 5) == Note("x", 1)
        with pytest.raises(PeerFailed, match="n1: KeyError: 'why'"):
            await one.fabric.ask(two.boot, "fail", Note("why"), 5)
        with pytest.raises(PeerFailed, match="nobody there answers"):
            await one.fabric.ask(two.boot, "nobody", Note("x"), 5)
        begun = trio.current_time()
        with pytest.raises(ReplyTimeout):
            await one.fabric.ask(two.boot, "never", Note("x"), 2)
        assert trio.current_time() - begun == pytest.approx(2)
        with pytest.raises(PeerUnreachable, match="no node"):
            await one.fabric.ask("boot-x", "echo", Note("x"), 2)


async def test_questions_at_the_same_time_get_their_own_answers(autojump_clock: MockClock) -> None:
    async with cluster(2) as (_, (one, two)):
        await until(lambda: one.up and two.up)
        answers: dict[int, Note] = {}

        async def ask(number: int) -> None:
            answers[number] = await one.fabric.ask(two.boot, "echo", Note("x", number), 5)

        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(ask, number)
        assert answers == {number: Note("x", number) for number in range(60)}


async def test_who_is_asked_too_much_at_once_says_so(autojump_clock: MockClock) -> None:
    async with cluster(2, limits=Limits(answers=3)) as (_, (one, two)):
        await until(lambda: one.up and two.up)
        failures: list[type[Exception]] = []

        async def ask() -> None:
            try:
                await one.fabric.ask(two.boot, "never", Note("x"), 2)
            except (PeerFailed, ReplyTimeout) as error:
                failures.append(type(error))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
        assert failures == [PeerFailed] * 2 + [ReplyTimeout] * 3
        # Handlers of questions that nobody waits for any more have been ended.
        assert await one.fabric.ask(two.boot, "echo", Note("x"), 2) == Note("x")


async def test_who_asks_too_much_at_once_is_stopped(autojump_clock: MockClock) -> None:
    async with cluster(2, limits=Limits(asks=2)) as (_, (one, two)):
        await until(lambda: one.up and two.up)
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(_expect_timeout, one.fabric, two.boot)
            await trio.sleep(0.1)
            with pytest.raises(PeerUnreachable, match="2 questions to n1"):
                await one.fabric.ask(two.boot, "echo", Note("x"), 5)
        assert await one.fabric.ask(two.boot, "echo", Note("x"), 5) == Note("x")


async def _expect_timeout(fabric: Fabric, boot: str) -> None:
    with pytest.raises(ReplyTimeout):
        await fabric.ask(boot, "never", Note("x"), 1)


async def test_what_cannot_travel_is_refused_here(autojump_clock: MockClock) -> None:
    async with cluster(2, limits=Limits(max_message=10_000)) as (_, (one, two)):
        await until(lambda: one.up and two.up)
        with pytest.raises(CodecError):
            one.fabric.tell(two.boot, "notes", object())
        with pytest.raises(TooLarge):
            one.fabric.tell(two.boot, "notes", Big(bytes(10_001)))
        with pytest.raises(InvalidRequest, match="255"):
            one.fabric.tell(two.boot, "n" * 256, Note("x"))
        assert one.up == {two.boot}


async def test_bad_messages_cost_themselves_alone(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async with cluster(2) as (_, (one, two)):
        await until(lambda: one.up and two.up)

        def raises(sender: str, note: Note) -> None:
            raise RuntimeError("handler")

        two.fabric.receive("raises", raises)
        one.fabric.codec.register(200, Unknown)
        assert one.fabric.tell(two.boot, "notes", Unknown("x"))
        assert one.fabric.tell(two.boot, "nobody", Note("x"))
        assert one.fabric.tell(two.boot, "raises", Note("x"))
        assert one.tell(two.boot, 1)
        with pytest.raises(PeerFailed, match="cannot be read"):
            await one.fabric.ask(two.boot, "echo", Unknown("x"), 5)
        assert two.numbers(one.boot) == [1]
        assert two.status(one.boot).refused == 4
        assert two.up == {one.boot}
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert lines == [
        "a message of n0: nothing is known under tag 200",
        "the receiver of a message of n0 failed",
    ]


async def test_an_answer_that_cannot_be_read_is_a_failure(autojump_clock: MockClock) -> None:
    async with cluster(2) as (_, (one, two)):
        await until(lambda: one.up and two.up)
        two.fabric.codec.register(200, Unknown)

        async def strange(asker: str, note: Note) -> Any:
            return Unknown("x")

        async def large(asker: str, note: Note) -> Any:
            return Big(bytes(300_000))

        two.fabric.answer("strange", strange)
        two.fabric.answer("large", large)
        with pytest.raises(PeerFailed, match="the answer of n1 cannot be read"):
            await one.fabric.ask(two.boot, "strange", Note("x"), 5)
        with pytest.raises(PeerFailed, match="TooLarge"):
            await one.fabric.ask(two.boot, "large", Note("x"), 5)


async def test_names_have_one_handler(autojump_clock: MockClock) -> None:
    made = member("n0", SimulatedNetwork().host("n0"), "n0:0")
    with pytest.raises(InvalidRequest, match="received already"):
        made.fabric.receive("notes", lambda sender, note: None)
    with pytest.raises(InvalidRequest, match="answered already"):
        made.fabric.answer("echo", None)  # type: ignore[arg-type]


async def test_nothing_is_told_to_who_is_not_linked(autojump_clock: MockClock) -> None:
    network = SimulatedNetwork()
    async with trio.open_nursery() as nursery:
        one = await start(nursery, member("n0", network.host("n0"), "n0:0"))
        assert not one.tell("boot-n1", 1)
        one.fabric.know({"boot-n1": Endpoint("n1", "n1:1"), one.boot: one.endpoint})
        await trio.sleep(3)
        assert not one.tell("boot-n1", 1)
        assert [status.boot for status in one.fabric.links()] == ["boot-n1"]
        assert (one.status("boot-n1").node, one.status("boot-n1").up) == ("n1", False)
        with pytest.raises(PeerUnreachable):
            await one.fabric.ask("boot-n1", "echo", Note("x"), 5)
        one.fabric.know({})
        await trio.sleep(3)
        assert one.fabric.links() == ()
        nursery.cancel_scope.cancel()


async def test_whoever_is_made_known_is_linked_at_once_and_found_again_within_a_second(
    autojump_clock: MockClock,
) -> None:
    network = SimulatedNetwork()
    async with trio.open_nursery() as nursery:
        one = await start(nursery, member("n0", network.host("n0"), "n0:0"))
        one.fabric.know({"boot-n1": Endpoint("n1", "n1:7000")})
        await trio.sleep(60)
        two = await start(nursery, member("n1", network.host("n1"), "n1:7000"))
        begun = trio.current_time()
        await until(lambda: one.up)
        assert trio.current_time() - begun < 1.5
        two.scope.cancel()
        await until(lambda: not one.up)
        await trio.sleep(60)
        three = await start(nursery, member("n1", network.host("n1"), "n1:7001"))
        one.fabric.know({"boot-n1": three.endpoint})
        begun = trio.current_time()
        await until(lambda: one.up)
        assert trio.current_time() - begun < 0.2
        nursery.cancel_scope.cancel()


async def test_messages_are_exchanged_with_who_is_not_known_here_but_knows_us(autojump_clock: MockClock) -> None:
    network = SimulatedNetwork()
    async with trio.open_nursery() as nursery:
        one = await start(nursery, member("n0", network.host("n0"), "n0:0"))
        two = await start(nursery, member("n1", network.host("n1"), "n1:0", attributes={"timezones": "2026f"}))
        two.fabric.know({one.boot: one.endpoint})
        await until(lambda: one.up and two.up)
        assert one.status(two.boot).attributes == {"timezones": "2026f"}
        assert one.tell(two.boot, 1) and two.tell(one.boot, 2)
        await until(lambda: one.heard and two.heard)
        two.scope.cancel()
        await until(lambda: not one.up)
        assert one.fabric.links() == ()
        nursery.cancel_scope.cancel()


async def test_a_large_cluster_keeps_few_links_and_makes_others_when_needed(autojump_clock: MockClock) -> None:
    limits = Limits(full_mesh=4, fan_out=2, idle_seconds=10)
    async with cluster(9, limits=limits) as (_, members):
        await trio.sleep(5)
        one = members[0]
        wanted = {status.boot for status in one.fabric.links() if status.up and status.dialled}
        stranger = next(made for made in members[1:] if made.boot not in one.up)
        assert len(wanted) <= 2
        assert one.tell(stranger.boot, 1)
        assert await one.fabric.ask(stranger.boot, "echo", Note("x", 2), 5) == Note("x", 2)
        assert stranger.numbers(one.boot) == [1]
        # As long as it is used it stays, and then it goes.
        for _ in range(4):
            await trio.sleep(8)
            assert one.tell(stranger.boot, 3)
        await trio.sleep(25)
        assert stranger.boot not in one.up
        assert one.boot not in stranger.up
        assert wanted <= one.up


async def test_who_does_not_answer_on_demand_is_unreachable(autojump_clock: MockClock) -> None:
    network = SimulatedNetwork()
    async with trio.open_nursery() as nursery:
        limits = Limits(full_mesh=0, fan_out=0)
        one = await start(nursery, member("n0", network.host("n0"), "n0:0", limits=limits))
        one.fabric.know({"boot-n1": Endpoint("n1", "n1:1")})
        assert one.tell("boot-n1", 1)
        with pytest.raises(PeerUnreachable, match="does not answer"):
            await one.fabric.ask("boot-n1", "echo", Note("x"), 60)
        # For a moment after a failure nothing is queued for it.
        assert not one.tell("boot-n1", 2)
        assert one.status("boot-n1").dropped == 3
        await trio.sleep(1)
        assert one.tell("boot-n1", 3)
        nursery.cancel_scope.cancel()


async def test_the_offset_of_a_clock_is_measured(autojump_clock: MockClock) -> None:
    network = SimulatedNetwork()
    network.faults("n0", "n1").latency = network.faults("n1", "n0").latency = 0.02
    async with trio.open_nursery() as nursery:
        world = SimulatedWorld(1)
        world.step(7_000_000)  # type: ignore[arg-type]
        one = await start(nursery, member("n0", network.host("n0"), "n0:0"))
        two = await start(nursery, member("n1", network.host("n1"), "n1:0", world=world))
        introduce_all([one, two])
        await trio.sleep(5)
        assert one.status(two.boot).offset == pytest.approx(7_000_000, abs=1_000)
        assert two.status(one.boot).offset == pytest.approx(-7_000_000, abs=1_000)
        assert one.status(two.boot).round_trip == pytest.approx(40_000, abs=1_000)
        nursery.cancel_scope.cancel()


async def test_a_watcher_that_fails_does_no_harm(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    def fails(boot: str, up: bool) -> None:
        raise RuntimeError("watcher")

    network = SimulatedNetwork()
    async with trio.open_nursery() as nursery:
        one, two = (member(name, network.host(name), f"{name}:0") for name in ("n0", "n1"))
        one.fabric.on_link(fails)
        for made in (one, two):
            await start(nursery, made)
        introduce_all([one, two])
        await until(lambda: one.up and two.up)
        nursery.cancel_scope.cancel()
    assert "a watcher of links failed" in caplog.text


async def test_an_open_address_needs_certificates_or_a_key(autojump_clock: MockClock) -> None:
    class Exposed(type(SimulatedNetwork().host("n0"))):  # type: ignore[misc]
        def is_exposed(self, address: str) -> bool:
            return True

    for security, good in ((Security(), False), (Security(key=KEY), True)):
        made = member("n0", Exposed(SimulatedNetwork(), "n0"), "n0:0", security=security)
        async with trio.open_nursery() as nursery:
            if good:
                await start(nursery, made)
            else:
                with pytest.raises(InvalidRequest, match="certificates or a cluster key"):
                    await made.fabric.run()
            nursery.cancel_scope.cancel()
