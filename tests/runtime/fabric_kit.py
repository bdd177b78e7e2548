"""Small clusters of fabrics for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from runtime.fabric import Fabric
from runtime.fabric_messages import Endpoint, Identity, Limits, LinkStatus, Security
from runtime.records import record
from runtime.simulated_network import SimulatedNetwork
from runtime.simulation import SimulatedWorld
from runtime.transport import Network
from runtime.world import World

KEY = b"a key of sixteen bytes at least"


@record
class Note:
    text: str
    number: int = 0


@record
class Big:
    data: bytes


@attrs.define
class Member:
    """A fabric with everything written down that it hears: notes to "notes", and links."""

    fabric: Fabric
    heard: list[tuple[str, Note]] = attrs.field(factory=list)
    links: list[tuple[float, str, bool]] = attrs.field(factory=list)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    @property
    def boot(self) -> str:
        return self.fabric.identity.boot

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.fabric.identity.node, self.fabric.address)

    @property
    def up(self) -> set[str]:
        return {status.boot for status in self.fabric.links() if status.up}

    def status(self, boot: str) -> LinkStatus:
        return next(status for status in self.fabric.links() if status.boot == boot)

    def numbers(self, boot: str) -> list[int]:
        return [note.number for sender, note in self.heard if sender == boot]

    def tell(self, boot: str, number: int, text: str = "") -> bool:
        return self.fabric.tell(boot, "notes", Note(text, number))


def member(
    name: str,
    network: Network,
    listen: str,
    *,
    security: Security | None = None,
    limits: Limits | None = None,
    world: World | None = None,
    cluster: str = "cluster",
    boot: str = "",
    attributes: dict[str, str] | None = None,
) -> Member:
    """A fabric that is not running yet. It answers questions to "echo", "fail" and "never"."""
    identity = Identity(cluster, name, boot or f"boot-{name}", attributes or {})
    security = security if security is not None else Security(key=KEY)
    fabric = Fabric(
        identity, network, security, limits or Limits(), world or SimulatedWorld(hash_of(name)), listen=listen
    )
    fabric.codec.register(100, Note)
    fabric.codec.register(101, Big)
    made = Member(fabric)
    fabric.receive("notes", lambda sender, note: made.heard.append((sender, note)))
    fabric.on_link(lambda peer, up: made.links.append((trio.current_time(), peer, up)))

    async def echo(asker: str, note: Any) -> Any:
        return note

    async def fail(asker: str, note: Note) -> Note:
        raise KeyError(note.text)

    async def never(asker: str, note: Note) -> Note:
        await trio.sleep_forever()
        raise AssertionError

    fabric.answer("echo", echo)
    fabric.answer("fail", fail)
    fabric.answer("never", never)
    return made


def hash_of(name: str) -> int:
    return sum(ord(letter) * 31**at for at, letter in enumerate(name))


async def start(nursery: trio.Nursery, made: Member) -> Member:
    async def run(task_status: trio.TaskStatus[str]) -> None:
        with made.scope:
            await made.fabric.run(task_status=task_status)

    await nursery.start(run)
    return made


def introduce_all(members: list[Member]) -> None:
    endpoints = {made.boot: made.endpoint for made in members}
    for made in members:
        made.fabric.know(endpoints)


@asynccontextmanager
async def cluster(
    size: int, *, seed: int = 0, network: SimulatedNetwork | None = None, **options: Any
) -> AsyncIterator[tuple[SimulatedNetwork, list[Member]]]:
    """Fabrics n0, n1, ... on hosts of the same names in a simulated network, all introduced to each other and linked."""
    network = network or SimulatedNetwork(seed)
    names = [f"n{number}" for number in range(size)]
    async with trio.open_nursery() as nursery:
        members = [await start(nursery, member(name, network.host(name), f"{name}:0", **options)) for name in names]
        introduce_all(members)
        yield network, members
        nursery.cancel_scope.cancel()


def settled(one: Member, two: Member) -> bool:
    """Whether they are linked, and by the one of two crossing links that stays."""
    ends = [(here, there) for here, there in ((one, two), (two, one)) if there.boot in here.up]
    return len(ends) == 2 and all(here.status(there.boot).dialled == (here.boot < there.boot) for here, there in ends)


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something holds; fails if it does not."""
    with trio.move_on_after(seconds):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.01)
        return
    raise AssertionError(f"not within {seconds} s")
