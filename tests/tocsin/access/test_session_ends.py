"""When sessions end: by time, by idleness, and on every node."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from actors.store.access import Token
from runtime.clock import HOUR, MINUTE, Instant, Micros
from runtime.errors import Unauthenticated
from runtime.records import evolve
from tests.tocsin.access.test_tokens import ELSEWHERE, FIRST, kept, opened
from tocsin.access.authentication import NOTED_EVERY, Authenticator, SessionLimits
from tocsin.access.limits_core import Failures

LIMITS = SessionLimits(Micros(8 * HOUR), Micros(30 * MINUTE))


async def moved(node: object, token_id: str, by: Micros) -> None:
    """Let a session look as it does so much later: its times are as far in the past."""
    token: Token = await node.access.token(token_id)  # type: ignore[attr-defined]
    earlier = {
        name: Instant(value - by)
        for name in ("created_at", "used_at", "expires_at")
        if (value := getattr(token, name)) is not None
    }
    store = node.access._store  # type: ignore[attr-defined]
    changed = evolve(token, **earlier)
    # A connection of its own: the store's may be in the middle of what another thread writes.
    with closing(sqlite3.connect(store._path, timeout=60)) as connection, connection:
        connection.execute(
            "UPDATE tokens SET created_at = ?, used_at = ?, expires_at = ? WHERE id = ?",
            (changed.created_at, changed.used_at, changed.expires_at, token_id),
        )


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_session_that_nobody_uses_ends(tmp_path: Path, is_first: bool) -> None:
    async with opened(tmp_path) as node:
        header = f"Bearer {FIRST}" if is_first else await kept(node)

        def doors() -> Authenticator:
            # Each look is that of another node, which has read nothing yet.
            return Authenticator(node, FIRST, Failures(9), LIMITS)

        session = await doors().log_in(header, ELSEWHERE)
        for _ in range(3):
            await moved(node, session.row.id, LIMITS.idle)
            await doors().session(session.cookie, ELSEWHERE)
        await moved(node, session.row.id, Micros(LIMITS.idle + NOTED_EVERY + MINUTE))
        with pytest.raises(Unauthenticated, match="not used for too long"):
            await doors().session(session.cookie, ELSEWHERE)
        # Nor does asking with it wake it up.
        with pytest.raises(Unauthenticated, match="not used for too long"):
            await doors().session(session.cookie, ELSEWHERE)


async def test_a_session_ends_with_its_life_however_much_it_is_used(tmp_path: Path) -> None:
    async with opened(tmp_path) as node:
        session = await Authenticator(node, FIRST, Failures(9), LIMITS).log_in(f"Bearer {FIRST}", ELSEWHERE)
        steps = LIMITS.lifetime // LIMITS.idle
        for step in range(steps + 1):
            doors = Authenticator(node, FIRST, Failures(9), LIMITS)
            if step < steps:
                await doors.session(session.cookie, ELSEWHERE)
                await moved(node, session.row.id, LIMITS.idle)
            else:
                with pytest.raises(Unauthenticated, match="has expired: log in again"):
                    await doors.session(session.cookie, ELSEWHERE)


async def test_a_session_does_not_outlive_its_token(tmp_path: Path) -> None:
    async with opened(tmp_path) as node:
        end = Instant(node.world.now() + HOUR)
        header = await kept(node, expires_at=end)
        session = await Authenticator(node, FIRST, Failures(9), LIMITS).log_in(header, ELSEWHERE)
        assert session.row.expires_at == end
