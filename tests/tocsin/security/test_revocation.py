"""A token that was revoked is worth nothing on any node of a running cluster, within a time that is told."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio

import tocsin.testing
from actors.access_library import AccessLibrary
from actors.model.scope import Scope
from actors.store.access import Token
from actors.store.port import Audit
from runtime.clock import Instant
from runtime.errors import StoreUnavailable, TocsinError, Unauthenticated
from runtime.records import evolve
from runtime.world import World
from tocsin.access.authentication import FRESH_SECONDS, Authenticator
from tocsin.access.limits_core import Failures
from tocsin.access.secrets_core import hashed, whole

NODES = ("n1", "n2", "n3")
BOUND = FRESH_SECONDS + 1.0
"""Seconds, as the guide and the checklist have it: what a node goes by, and a second for a read of the store."""

ID, SECRET = "0123456789ab", "s" * 43
HEADER = f"Bearer {whole(ID, SECRET)}"


@attrs.define
class SharedTokens:
    """The part of a store that all nodes share which this is about; it lives as long as the test."""

    tokens: dict[str, Token] = attrs.field(factory=dict)
    audits: list[str] = attrs.field(factory=list)
    is_gone: bool = False

    def token(self, token_id: str) -> Token | None:
        if self.is_gone:
            raise StoreUnavailable("the store is away")
        return self.tokens.get(token_id)

    def add_token(self, token: Token, audit: Audit | None) -> None:
        self.tokens[token.id] = token

    def use_token(self, token_id: str, at: Instant) -> None:
        self.tokens[token_id] = evolve(self.tokens[token_id], used_at=at)

    def drop_tokens(self, before: Instant) -> int:
        return 0

    def revoke_token(self, token_id: str, at: Instant, audit: Audit | None) -> None:
        for token in list(self.tokens.values()):
            if token_id in (token.id, token.parent):
                self.tokens[token.id] = evolve(token, revoked_at=at)
        if audit is not None:
            self.audits.append(audit.action)


class SharedAccess(AccessLibrary):
    """A node's access to it."""

    def __init__(self, shared: SharedTokens, world: World) -> None:
        self._shared = shared
        self._world = world

    is_kept = True

    @property
    def _store(self) -> Any:
        return self._shared


def doors_of(cluster: tocsin.testing.VirtualCluster, shared: SharedTokens) -> dict[str, Authenticator]:
    """The way in of each node, over the one store."""
    found = {}
    for name in NODES:
        node = cluster.node(name).inner
        node.access = SharedAccess(shared, node.world)
        found[name] = Authenticator(node, "the token of the data directory", Failures())
    return found


async def lets_in(doors: Authenticator, cookie: str | None = None) -> bool:
    try:
        await (doors.bearer(HEADER, "192.0.2.1") if cookie is None else doors.session(cookie, "192.0.2.1"))
    except Unauthenticated:
        return False
    return True


@pytest.mark.parametrize("victim", [None, "n3"])
def test_a_revocation_holds_on_every_node_within_the_bound(victim: str | None) -> None:
    """Also on a node that the others cannot talk to: it is the store that tells, and no message."""

    @tocsin.testing.simulated(nodes=3)
    async def test(cluster: tocsin.testing.VirtualCluster) -> None:
        shared = SharedTokens()
        doors = doors_of(cluster, shared)
        node = cluster.node("n1").inner
        row = Token(ID, hashed(SECRET), "token", "n", "ada", "acme", False, "operator", node.world.now(), "root")
        shared.add_token(row, None)
        session = await doors["n2"].log_in(HEADER, "192.0.2.1")
        if victim is not None:
            for other in NODES:
                if other != victim:
                    cluster.cut(victim, other)
        for name in NODES:
            assert await lets_in(doors[name]) and await lets_in(doors[name], session.cookie)
        await node.access.revoke(ID, "root", Scope())
        assert shared.audits == ["RevokeToken"]
        began = trio.current_time()
        refused: dict[tuple[str, str | None], float] = {}
        while len(refused) < 2 * len(NODES):
            assert trio.current_time() - began < 10 * BOUND, refused
            for name in NODES:
                for cookie in (None, session.cookie):
                    if not await lets_in(doors[name], cookie):
                        refused.setdefault((name, cookie), trio.current_time() - began)
            await trio.sleep(0.05)
        assert max(refused.values()) <= BOUND
        assert not any([await lets_in(doors[name]) for name in NODES])

    test()


@tocsin.testing.simulated(nodes=3)
async def test_a_node_that_cannot_read_the_store_lets_nobody_in_after_the_bound(
    cluster: tocsin.testing.VirtualCluster,
) -> None:
    shared = SharedTokens()
    doors = doors_of(cluster, shared)["n3"]
    now = cluster.node("n3").inner.world.now()
    shared.add_token(Token(ID, hashed(SECRET), "token", "n", "ada", None, False, "viewer", now, "root"), None)
    assert await lets_in(doors)
    shared.is_gone = True
    await trio.sleep(BOUND)
    with pytest.raises(TocsinError, match="away"):
        await lets_in(doors)
