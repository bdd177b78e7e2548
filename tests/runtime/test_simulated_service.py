"""The simulated servers: the same seed gives the same run, and what is drawn stays within its bounds."""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing

from runtime.registry_messages import MAX_PAUSE_SECONDS, Connected, NodeExists, NoNode, RegistryUnavailable
from runtime.simulated_registry import SimulatedRegistry
from runtime.simulated_service import SimulatedService
from tests.seeds import seed_scheduler

SESSION = 2.0


async def busy(service: SimulatedService, name: str, rng: random.Random, told: list[str]) -> None:
    """A client that does this and that, and writes down what becomes of it, with the time."""
    client = SimulatedRegistry(service, name, SESSION)
    async with trio.open_nursery() as nursery:
        await nursery.start(client.run)
        nursery.start_soon(listen, client, name, told)
        while True:
            path = f"/{rng.randrange(4)}"
            try:
                match rng.randrange(4):
                    case 0:
                        answer: object = await client.create(path, ephemeral=True)
                    case 1:
                        answer = await client.exists(path, watch=True)
                    case 2:
                        answer = await client.delete(path)
                    case _:
                        answer = await client.children("/", watch=True)
            except (NodeExists, NoNode, RegistryUnavailable) as error:
                answer = type(error).__name__
            told.append(f"{trio.current_time():.6f} {name} {path} {answer}")
            await trio.sleep(rng.random())


async def listen(client: SimulatedRegistry, name: str, told: list[str]) -> None:
    async for event in client.events():
        told.append(f"{trio.current_time():.6f} {name} {event}")


def run(seed: int) -> list[str]:
    """Three clients and a drawn fault every few seconds, for two virtual minutes."""
    told: list[str] = []

    async def main() -> None:
        rng = random.Random(seed)
        service = SimulatedService(rng, reply_loss=0.05)
        faults = [
            service.kill_leader, service.freeze_leader, service.thaw, service.lose_quorum, service.regain_quorum,
            service.freeze, service.lose_reply, service.wipe, lambda: service.cut("a"), lambda: service.heal("a"),
            lambda: service.cut("b", replies_only=True), lambda: service.heal("b"), lambda: service.reset("c"),
        ]  # fmt: skip
        async with trio.open_nursery() as nursery:
            await nursery.start(service.run)
            for name in "abc":
                nursery.start_soon(busy, service, name, random.Random(f"{seed}{name}"), told)
            for _ in range(25):
                await trio.sleep(rng.uniform(0.0, 10.0))
                rng.choice(faults)()
            service.thaw()
            service.regain_quorum()
            for name in "abc":
                service.heal(name)
            await trio.sleep(30.0)
            del told[:-100]
            assert sorted({line.split()[1] for line in told if "Unavailable" not in line}) == ["a", "b", "c"]
            assert len(service.sessions()) == 3
            nursery.cancel_scope.cancel()

    seed_scheduler(seed)
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return told


def test_a_seed_gives_one_run() -> None:
    first, again, other = run(1), run(1), run(2)
    assert first == again
    assert first != other


def test_after_any_faults_everybody_has_a_session_again() -> None:
    for seed in range(3, 9):
        assert run(seed) != []


async def test_followers_read_late_until_they_are_asked_not_to(autojump_clock: trio.testing.MockClock) -> None:
    service = SimulatedService(random.Random(3), lag_seconds=5.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(service.run)
        clients = [SimulatedRegistry(service, str(number), SESSION) for number in range(6)]
        for client in clients:
            await nursery.start(client.run)
            assert isinstance(await client.events().receive(), Connected)
        await clients[0].create("/x")
        seen = [await client.exists("/x") is not None for client in clients]
        assert seen[0] and not all(seen)
        for client in clients:
            await client.sync()
            assert await client.exists("/x") is not None
        nursery.cancel_scope.cancel()


async def test_pauses_between_attempts_are_capped(autojump_clock: trio.testing.MockClock) -> None:
    service = SimulatedService(random.Random(4))
    assert all(0.0 < service.pause(attempt) <= MAX_PAUSE_SECONDS for attempt in (*range(20), 10_000))


async def test_answers_can_be_cut_alone(autojump_clock: trio.testing.MockClock) -> None:
    service = SimulatedService(random.Random(5))
    async with trio.open_nursery() as nursery:
        await nursery.start(service.run)
        client = SimulatedRegistry(service, "a", SESSION)
        await nursery.start(client.run)
        await client.events().receive()
        service.cut("a", replies_only=True)
        try:
            await client.create("/x", ephemeral=True)
        except RegistryUnavailable:
            pass
        else:
            raise AssertionError("an answer came through")
        assert "/x" in service.tree()
        nursery.cancel_scope.cancel()


async def test_who_outlives_the_servers_gets_no_answer(autojump_clock):
    async with trio.open_nursery() as nursery:
        service = SimulatedService(random.Random(1))
        async with trio.open_nursery() as servers:
            await servers.start(service.run)
            servers.cancel_scope.cancel()
        registry = SimulatedRegistry(service, "late")
        await nursery.start(registry.run)
        await trio.sleep(30)
        with pytest.raises(RegistryUnavailable):
            await registry.get("/")
        nursery.cancel_scope.cancel()
