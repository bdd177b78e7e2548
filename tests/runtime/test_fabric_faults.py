"""What breaks between nodes, in virtual time: cuts, silence, slow readers, spoilt bytes, crossing links, wrong peers."""

from __future__ import annotations

import logging
import random

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from runtime.errors import PeerUnreachable
from runtime.fabric_messages import Endpoint, Limits, Security
from runtime.simulated_network import SimulatedNetwork
from tests.runtime.fabric_kit import KEY, Big, Member, Note, cluster, introduce_all, member, settled, start, until
from tests.seeds import scheduler_seeds, seed_scheduler


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("both", [True, False])
async def test_a_cut_is_found_and_heals(autojump_clock: MockClock, both: bool) -> None:
    async with cluster(3) as (network, (one, two, three)):
        await until(lambda: len(one.up) == len(two.up) == 2)
        network.cut("n0", "n1", both=both)
        begun = trio.current_time()
        await until(lambda: two.boot not in one.up and one.boot not in two.up)
        # Three heartbeats, and the one that was just answered.
        assert trio.current_time() - begun <= 4.1
        assert one.up == two.up == {three.boot}
        assert not one.tell(two.boot, 1)
        network.heal("n0", "n1", both=both)
        begun = trio.current_time()
        await until(lambda: two.boot in one.up and one.boot in two.up)
        assert trio.current_time() - begun <= 4.0
        assert three.up == {one.boot, two.boot}
        assert not [link for link in three.links if not link[2]]


async def test_a_question_under_way_fails_when_the_link_breaks(autojump_clock: MockClock) -> None:
    async with cluster(2) as (network, (one, two)):
        await until(lambda: one.up and two.up)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_expect_unreachable, one, two)
            await trio.sleep(1)
            network.reset("n1")
        await until(lambda: one.up and two.up)


async def _expect_unreachable(one: Member, two: Member) -> None:
    begun = trio.current_time()
    with pytest.raises(PeerUnreachable, match="whether it heard"):
        await one.fabric.ask(two.boot, "never", Note("x"), 60)
    assert trio.current_time() - begun == pytest.approx(1)


async def test_a_killed_peer_is_known_at_once_and_a_vanished_one_by_its_silence(autojump_clock: MockClock) -> None:
    async with cluster(3) as (network, (one, two, three)):
        await until(lambda: len(one.up) == 2)
        begun = trio.current_time()
        two.scope.cancel()
        network.reset("n1")
        await until(lambda: one.up == {three.boot})
        assert trio.current_time() - begun <= 0.1
        network.vanish("n2")
        three.scope.cancel()
        begun = trio.current_time()
        await until(lambda: not one.up)
        assert 2.9 <= trio.current_time() - begun <= 4.1


async def test_a_frozen_peer_is_isolated_and_its_queue_bounded(autojump_clock: MockClock) -> None:
    limits = Limits(queue_messages=100, queue_bytes=2_000_000)
    async with cluster(3, limits=limits) as (network, (one, two, three)):
        await until(lambda: len(one.up) == 2)
        network.slow_reader("n1", float("inf"))
        told = {two.boot: 0, three.boot: 0}
        for number in range(400):
            if one.fabric.tell(two.boot, "notes", Note("x" * 10_000, number)):
                told[two.boot] += 1
            told[three.boot] += one.tell(three.boot, number)
            await trio.sleep(0.002)
            assert one.status(two.boot).queued <= 100
            assert one.status(two.boot).queued_bytes <= 2_000_000
        assert told[three.boot] == 400
        assert told[two.boot] < 400
        assert one.status(two.boot).dropped >= 400 - told[two.boot]
        await until(lambda: one.up == {three.boot})
        assert one.status(two.boot).queued_bytes == 0
        await until(lambda: len(three.numbers(one.boot)) == 400)
        network.slow_reader("n1", 0)
        await until(lambda: len(one.up) == 2 and two.boot in three.up)


async def test_a_node_that_slept_itself_does_not_blame_the_others(autojump_clock: MockClock) -> None:
    async with cluster(2) as (_, (one, two)):
        await until(lambda: one.up and two.up)
        await trio.sleep(0.5)
        autojump_clock.jump(30)
        await trio.sleep(5)
        assert [up for _, _, up in one.links] == [True]


async def test_chunks_and_delays_change_nothing(autojump_clock: MockClock) -> None:
    network = SimulatedNetwork(5)
    for source, target in (("n0", "n1"), ("n1", "n0")):
        faults = network.faults(source, target)
        faults.latency, faults.jitter, faults.chunk = 0.03, 0.05, 7
    async with cluster(2, network=network) as (_, (one, two)):
        await until(lambda: settled(one, two))
        assert all(one.tell(two.boot, number, "x" * number) for number in range(100))
        await until(lambda: len(two.heard) == 100)
        assert two.numbers(one.boot) == list(range(100))


async def test_spoilt_bytes_end_the_link_and_nothing_false_is_heard(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with cluster(2, seed=3) as (network, (one, two)):
        await until(lambda: one.up and two.up)
        network.faults("n0", "n1").corrupt = 0.2
        for number in range(300):
            one.tell(two.boot, number, "text")
            await trio.sleep(0.1)
        network.faults("n0", "n1").corrupt = 0.0
        await until(lambda: one.up and two.up)
        assert {note.text for _, note in two.heard} == {"text"}
        assert two.numbers(one.boot) == sorted(set(two.numbers(one.boot)))
        assert [up for _, _, up in two.links].count(False) > 3
    # Thirty seconds of it: one line per side and peer.
    assert 1 <= len(warnings(caplog)) <= 4


async def test_a_frame_over_the_limit_ends_the_link_with_one_line(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    network = SimulatedNetwork()
    async with trio.open_nursery() as nursery:
        one = await start(nursery, member("n0", network.host("n0"), "n0:0"))
        small = Limits(max_message=1_000, max_frame=5_000)
        two = await start(nursery, member("n1", network.host("n1"), "n1:0", limits=small))
        introduce_all([one, two])
        await until(lambda: one.up and two.up)
        for broken in (1, 2, 3):
            assert one.fabric.tell(two.boot, "notes", Big(bytes(20_000)))
            await until(lambda: [up for _, _, up in one.links].count(False) == broken)  # noqa: B023
            await until(lambda: one.up and two.up)
        nursery.cancel_scope.cancel()
    assert len(warnings(caplog)) == 2
    assert any("Exceeded maximum message size" in line for line in warnings(caplog))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"cluster": "another"}, "belongs to cluster 'another'"),
        ({"security": Security(key=b"another key of 16 bytes")}, "another cluster key"),
        (
            {"security": Security(key=b"another key of 16 bytes", also=(b"a third key of 16 bytes",))},
            "another cluster key",
        ),
        ({"security": Security()}, "another cluster key"),
        ({"boot": "boot-n0"}, "the same boot twice"),
        ({"boot": "boot-n1"}, "the same boot twice"),
        ({"boot": "b" * 300}, "too long"),
        ({"attributes": {"a": "x" * 20_000}}, "TooLarge"),
    ],
)
async def test_who_does_not_belong_is_refused_with_one_line_a_minute(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, options: dict[str, object], complaint: str
) -> None:
    async with cluster(2) as (network, (one, two)):
        await until(lambda: one.up and two.up)
        caplog.clear()
        async with trio.open_nursery() as nursery:
            wrong = await start(nursery, member("evil", network.host("evil"), "evil:0", **options))  # type: ignore[arg-type]
            # By its own boot id it would not be dialled.
            wrong.fabric.know({one.boot if wrong.boot != one.boot else "other": one.endpoint})
            await trio.sleep(50)
            assert not wrong.up
            wrong.scope.cancel()
        assert one.up == {two.boot} and two.up == {one.boot}
        assert [up for _, _, up in one.links] == [True]
        said = [line for line in warnings(caplog) if line.startswith("link from evil")]
        if complaint == "TooLarge":
            assert said in ([], ["link from evil: the connection ended without a word"])
        else:
            assert len(said) == 1 and complaint in said[0]


async def test_a_node_does_not_link_with_itself(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    network = SimulatedNetwork()
    async with trio.open_nursery() as nursery:
        one = await start(nursery, member("n0", network.host("n0"), "n0:0"))
        one.fabric.know({"boot-n1": Endpoint("n1", one.fabric.address)})
        await trio.sleep(10)
        assert not one.up
        nursery.cancel_scope.cancel()
    assert warnings(caplog) == []


async def test_a_full_house_refuses(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    network = SimulatedNetwork()
    async with trio.open_nursery() as nursery:
        limits = Limits(links=2)
        one = await start(nursery, member("n0", network.host("n0"), "n0:0", limits=limits))
        for name in ("n1", "n2", "n3"):
            made = await start(nursery, member(name, network.host(name), f"{name}:0"))
            made.fabric.know({one.boot: one.endpoint})
        await trio.sleep(5)
        assert len(one.up) == 2
        nursery.cancel_scope.cancel()
    assert sum("which is the most" in line for line in warnings(caplog)) == 2


@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(scheduler_seeds, st.integers(0, 2**32))
def test_after_any_faults_everybody_is_linked_again(scheduler_seed: int, seed: int) -> None:
    async def main() -> None:
        rng = random.Random(seed)
        async with cluster(4, seed=seed) as (network, members):
            names = [f"n{number}" for number in range(4)]
            sent: dict[tuple[str, str], list[int]] = {}
            for step in range(40):
                _do_harm(rng, network, names)
                for one in members:
                    two = rng.choice(members)
                    if one is not two and one.tell(two.boot, step):
                        sent.setdefault((one.boot, two.boot), []).append(step)
                await trio.sleep(rng.random())
            for source in names:
                for target in names:
                    network.faults(source, target).corrupt = 0.0
                    network.faults(source, target).refuse = False
                    network.heal(source, target)
                network.slow_reader(source, 0)
            await until(lambda: all(len(made.up) == 3 for made in members))
            await trio.sleep(5)
            assert all(len(made.up) == 3 for made in members)
            for two in members:
                for one in members:
                    heard = two.numbers(one.boot)
                    # At most once, and nothing that was not said.
                    assert len(heard) == len(set(heard))
                    assert set(heard) <= set(sent.get((one.boot, two.boot), []))

    seed_scheduler(scheduler_seed)
    trio.run(main, clock=MockClock(autojump_threshold=0))


def _do_harm(rng: random.Random, network: SimulatedNetwork, names: list[str]) -> None:
    source, target = rng.sample(names, 2)
    faults = network.faults(source, target)
    match rng.randrange(9):
        case 0:
            network.cut(source, target, both=rng.random() < 0.5)
        case 1:
            network.heal(source, target)
        case 2:
            faults.latency, faults.jitter = rng.random() / 5, rng.random() / 5
        case 3:
            faults.chunk = rng.choice([None, 1, 7, 64, 4096])
        case 4:
            network.reset(source)
        case 5:
            network.vanish(source)
        case 6:
            faults.refuse = not faults.refuse
        case 7:
            faults.corrupt = rng.choice([0.0, 0.0, 0.1])
        case _:
            network.slow_reader(source, rng.choice([0.0, 0.0, 0.01, float("inf")]))


def test_the_same_seed_gives_the_same_run() -> None:
    def once() -> list[tuple[float, str, bool]]:
        result: list[tuple[float, str, bool]] = []

        async def main() -> None:
            rng = random.Random(7)
            async with cluster(3, seed=7) as (network, members):
                for _ in range(20):
                    _do_harm(rng, network, ["n0", "n1", "n2"])
                    await trio.sleep(0.5)
                result.extend(link for made in members for link in made.links)

        seed_scheduler(7)
        trio.run(main, clock=MockClock(autojump_threshold=0))
        return result

    first, second = once(), once()
    assert first == second
    assert len(first) > 6


async def test_keys_are_in_no_text() -> None:
    made = member("n0", SimulatedNetwork().host("n0"), "n0:0", security=Security(key=KEY))
    assert KEY.decode() not in repr(vars(made.fabric))


NEW = b"the next key, of 24 bytes"
ROTATION = (Security(key=KEY), Security(key=KEY, also=(NEW,)), Security(key=NEW, also=(KEY,)), Security(key=NEW))
"""What each node has, one step after the other."""


@pytest.mark.parametrize("step", range(3))
@pytest.mark.parametrize("dials", [True, False])
async def test_nodes_one_step_of_a_rotation_apart_are_linked(autojump_clock: MockClock, step: int, dials: bool) -> None:
    """Whoever of the two dials, and what is sealed under the key of that link opens."""
    async with trio.open_nursery() as nursery:
        network = SimulatedNetwork()
        pair = [
            await start(nursery, member(f"n{number}", network.host(f"n{number}"), f"n{number}:0", security=security))
            for number, security in enumerate(ROTATION[step : step + 2])
        ]
        one, other = pair if dials else reversed(pair)
        one.fabric.know({other.boot: other.endpoint})
        await until(lambda: bool(one.up and other.up))
        assert one.tell(other.boot, 1) and other.tell(one.boot, 2)
        await until(lambda: bool(one.heard and other.heard))
        nursery.cancel_scope.cancel()


async def test_a_rotation_costs_the_other_nodes_no_link(autojump_clock: MockClock) -> None:
    """Nine restarts, one at a time: nobody but the one that is started again is ever without a link."""
    async with trio.open_nursery() as nursery:
        network, lives = SimulatedNetwork(), dict.fromkeys(("n0", "n1", "n2"), 0)
        nodes: dict[str, Member] = {}

        async def begin(name: str, security: Security) -> None:
            lives[name] += 1
            boot = f"boot-{name}-{lives[name]}"
            nodes[name] = await start(
                nursery, member(name, network.host(name), f"{name}:0", security=security, boot=boot)
            )
            introduce_all(list(nodes.values()))
            await until(lambda: all(len(one.up) == 2 for one in nodes.values()))

        for name in lives:
            nodes[name] = await start(
                nursery, member(name, network.host(name), f"{name}:0", security=ROTATION[0], boot=f"boot-{name}-0")
            )
        introduce_all(list(nodes.values()))
        await until(lambda: all(len(one.up) == 2 for one in nodes.values()))
        for security in ROTATION[1:]:
            for name in lives:
                others = [one for other, one in nodes.items() if other != name]
                before = [[link for link in one.links if link[1] in {other.boot for other in others}] for one in others]
                nodes[name].scope.cancel()
                await begin(name, security)
                after = [[link for link in one.links if link[1] in {other.boot for other in others}] for one in others]
                assert before == after
        assert lives == {"n0": 3, "n1": 3, "n2": 3}
        nursery.cancel_scope.cancel()
