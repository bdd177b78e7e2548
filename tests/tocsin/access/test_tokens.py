"""Tokens: made, shown once, kept as a hash, and worth nothing when they are revoked or have expired."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio.testing

from actors.model.scope import Scope
from actors.node import Node
from actors.store.access import Token
from runtime.clock import Instant
from runtime.errors import NotFound, StoreUnavailable, Unauthenticated
from runtime.records import evolve
from tests.tocsin.access.kit import TASK, Person
from tests.tocsin.cli.kit import Shell
from tests.tocsin.conftest import Running
from tocsin import open_node
from tocsin.access.authentication import FRESH_SECONDS, Authenticator
from tocsin.access.caller import FIRST_ADMINISTRATOR, Caller, Role
from tocsin.access.limits_core import Failures, TooManyRequests
from tocsin.access.secrets_core import csrf_of, fits, hashed, parts, whole

ELSEWHERE = "203.0.113.7"
FIRST = "the token of the data directory"
SECRET = "s" * 43


# -- over REST and the command line


def test_a_token_is_shown_once_and_kept_as_a_hash(root: Person, running: Running) -> None:
    made = root.make("/api/tokens", {"name": "backup job", "role": "operator", "tenant": "acme", "expiresIn": "90d"})
    token_id, secret = parts(made["token"]) or ("", "")
    assert (token_id, len(secret)) == (made["id"], 43)
    listed = root.send("GET", "/api/tokens")
    [shown] = [one for one in listed.json()["list"] if one["id"] == made["id"]]
    assert shown == {key: value for key, value in made.items() if key != "token"}
    assert (shown["user"], shown["role"], shown["tenant"], shown["createdBy"]) == (
        "backup job", "operator", "acme", "administrator",
    )  # fmt: skip
    assert secret not in listed.text
    with sqlite3.connect(running.data / "tocsin.db") as database:
        dump = "\n".join(database.iterdump())
    database.close()
    assert hashed(secret) in dump
    assert secret not in dump and running.token not in dump


def test_a_revoked_token_is_worth_nothing(root: Person) -> None:
    made = root.make("/api/tokens", {"name": "short lived", "role": "viewer"})
    person = Person(root.url, made["token"])
    assert person.send("GET", "/api/tasks").status_code == 200
    assert root.send("DELETE", f"/api/tokens/{made['id']}").status_code == 204
    assert root.send("DELETE", f"/api/tokens/{made['id']}").status_code == 204
    [shown] = [one for one in root.send("GET", "/api/tokens").json()["list"] if one["id"] == made["id"]]
    assert shown["revokedAt"] is not None and shown["lastUsedAt"] is not None
    assert root.send("DELETE", "/api/tokens/000000000000").status_code == 404


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"role": "viewer"}, "name"),
        ({"name": "x"}, "role"),
        ({"name": "x", "role": "root"}, "role"),
        ({"name": "x", "role": "viewer", "user": "system"}, "user"),
        ({"name": "x", "role": "viewer", "user": "task:nightly"}, "user"),
        ({"name": "x", "role": "viewer", "expiresIn": "0s"}, "expiresIn"),
        ({"name": "x", "role": "viewer", "tenant": "a" * 600}, "tenant"),
        ({"name": "x", "role": "viewer", "secret": "mine"}, "secret"),
        ({"name": "x\r\nSet-Cookie: a=b", "role": "viewer"}, "name"),
    ],
)
def test_a_token_that_cannot_be_is_refused(root: Person, body: object, words: str) -> None:
    answer = root.send("POST", "/api/tokens", json=body)
    assert answer.status_code == 400, answer.text
    assert words in answer.json()["message"]


def test_nobody_gives_more_than_he_has(root: Person) -> None:
    acme = root.with_token(role="administrator", tenant="acme")
    assert acme.make("/api/tokens", {"name": "x", "role": "viewer"})["tenant"] == "acme"
    assert acme.send("POST", "/api/tokens", json={"name": "x", "role": "viewer", "tenant": "globex"}).status_code == 403
    operator = root.with_token(role="operator")
    assert operator.send("POST", "/api/tokens", json={"name": "x", "role": "viewer"}).status_code == 403
    stranger = root.with_token(role="administrator", tenant="globex")
    names = [one["tenant"] for one in stranger.send("GET", "/api/tokens").json()["list"]]
    assert set(names) == {"globex"}


def test_the_token_is_taken_from_the_header_only(root: Person) -> None:
    assert root.token is not None
    nobody = Person(root.url, None)
    for path in (f"/api/tasks?token={root.token}", f"/api/tasks?access_token={root.token}"):
        assert nobody.send("GET", path).status_code == 401
    assert nobody.send("GET", "/api/tasks", headers={"Authorization": f"Basic {root.token}"}).status_code == 401
    assert nobody.send("GET", "/api/tasks", headers={"Cookie": f"tocsin_session={root.token}"}).status_code == 401


def test_changes_are_made_under_the_users_name(root: Person) -> None:
    ada = root.with_token(role="operator", user="ada", tenant="initech")
    made = ada.make("/api/tasks", {**TASK, "name": "of ada"})
    assert (made["owner"], made["tenant"]) == ("ada", "initech")
    judge = root.with_token(role="administrator", tenant="initech")
    audits = judge.send("GET", f"/api/audits?task={made['itemId']}").json()
    [record] = audits["list"]
    assert (record["actor"], record["action"], record["tenant"]) == ("ada", "CreateTask", "initech")


def test_the_command_line_makes_lists_and_revokes(shell: Shell, root: Person) -> None:
    code, out, err = shell("token", "add", "from the shell", "--role", "viewer", "--tenant", "acme", "--expires", "1h")
    assert (code, err) == (0, "")
    token = out.split()[-1]
    assert Person(root.url, token).send("GET", "/api/tasks").status_code == 200
    found = parts(token)
    assert found is not None
    code, out, _ = shell("token", "list")
    assert code == 0 and found[0] in out and "acme" in out and found[1] not in out
    assert shell("token", "revoke", found[0]) == (0, f"Token {found[0]} is revoked.\n", "")
    assert shell("token", "revoke", "nobody")[0] == 5
    made = shell.json("token", "add", "for a program", "--role", "worker", "--own", "--user", "w")
    assert (made["own"], made["user"], made["tenant"]) == (True, "w", None)


# -- the authenticator


@asynccontextmanager
async def opened(tmp_path: Path) -> AsyncIterator[Node]:
    async with open_node(data=tmp_path, name="a") as local:
        yield local.inner


def authenticator(node: Node, most: int = 3) -> Authenticator:
    return Authenticator(node, FIRST, Failures(most))


async def kept(node: Node, **changes: object) -> str:
    """The text of a token that was kept."""
    plain = Token(
        "0123456789ab", hashed(SECRET), "token", "n", "ada", "acme", False, "operator", node.world.now(), "root"
    )
    token = evolve(plain, **changes)
    await node.access.add(token, "root")
    return f"Bearer {whole(token.id, SECRET)}"


async def test_who_shows_a_token_is_who_it_was_made_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as node:
        doors = authenticator(node)
        assert await doors.bearer(f"Bearer {FIRST}", ELSEWHERE) == FIRST_ADMINISTRATOR
        header = await kept(node)
        ada = Caller("ada", Scope("acme"), Role.OPERATOR, "0123456789ab")
        assert await doors.bearer(header, ELSEWHERE) == ada
        own = await kept(node, id="0123456789ac", own=True)
        assert (await doors.bearer(own, ELSEWHERE)).scope == Scope("acme", "ada")
        used = await node.access.token("0123456789ab")
        assert used is not None and used.used_at is not None


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer é", "Bearer toc_0123456789ab_", f"Bearer toc_0123456789ab_{'t' * 43}",
    f"Bearer toc_0123456789ac_{SECRET}", f"Bearer toc_0123456789ab_{SECRET}x", f"bearer  toc_0123456789AB_{SECRET}",
    f"Bearer {hashed(SECRET)}", f"Bearer toc_0123456789ab_{hashed(SECRET)}", f"Digest toc_0123456789ab_{SECRET}",
    f"Bearer toc_0123456789ab_{SECRET}\x00", f"Bearer {FIRST} ."],
)  # fmt: skip
async def test_what_is_nearly_a_token_is_none(tmp_path: Path, header: str) -> None:
    async with opened(tmp_path) as node:
        await kept(node)
        with pytest.raises(Unauthenticated) as refused:
            await authenticator(node).bearer(header, ELSEWHERE)
        assert SECRET not in str(refused.value) and "0123456789ab" not in str(refused.value)


async def test_an_expired_token_lets_nobody_in(tmp_path: Path) -> None:
    async with opened(tmp_path) as node:
        header = await kept(node, expires_at=Instant(node.world.now() - 1))
        with pytest.raises(Unauthenticated, match="expired"):
            await authenticator(node).bearer(header, ELSEWHERE)


async def test_a_revocation_holds_on_every_node_within_a_second(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with opened(tmp_path) as node:
        # Each node has an authenticator of its own, and one store.
        here, there = authenticator(node), authenticator(node)
        header = await kept(node)
        session = await there.log_in(header, ELSEWHERE)
        for doors in (here, there):
            await doors.bearer(header, ELSEWHERE)
            await doors.session(session.cookie, ELSEWHERE)
        await node.access.revoke("0123456789ab", "root", Scope())
        mock_clock.jump(FRESH_SECONDS + 0.01)
        assert FRESH_SECONDS <= 1.0
        for doors in (here, there):
            with pytest.raises(Unauthenticated, match="revoked"):
                await doors.bearer(header, ELSEWHERE)
            with pytest.raises(Unauthenticated):
                await doors.session(session.cookie, ELSEWHERE)


async def test_a_token_of_another_tenant_cannot_be_revoked(tmp_path: Path) -> None:
    async with opened(tmp_path) as node:
        header = await kept(node)
        with pytest.raises(NotFound):
            await node.access.revoke("0123456789ab", "eve", Scope("globex"))
        assert (await authenticator(node).bearer(header, ELSEWHERE)).user == "ada"


async def test_an_address_that_guesses_has_to_wait(tmp_path: Path, mock_clock: trio.testing.MockClock) -> None:
    async with opened(tmp_path) as node:
        doors, header = authenticator(node, most=3), await kept(node)
        other = await kept(node, id="0123456789ac")
        await doors.bearer(header, ELSEWHERE)
        for _ in range(3):
            with pytest.raises(Unauthenticated):
                await doors.bearer("Bearer guess", ELSEWHERE)
        for wrong in ("Bearer guess", other):
            with pytest.raises(TooManyRequests) as refused:
                await doors.bearer(wrong, ELSEWHERE)
            assert 0 < refused.value.seconds <= 60
        # Others are let in, and who was let in lately from there too.
        assert (await doors.bearer(header, ELSEWHERE)).user == "ada"
        assert (await doors.bearer(f"Bearer {FIRST}", ELSEWHERE)) == FIRST_ADMINISTRATOR
        assert (await doors.bearer(other, "198.51.100.1")).user == "ada"
        mock_clock.jump(61)
        with pytest.raises(Unauthenticated):
            await doors.bearer("Bearer guess", ELSEWHERE)


async def test_who_is_known_reads_while_the_store_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as node:
        header = await kept(node)

        async def full(_: str) -> None:
            raise StoreUnavailable("full")

        monkeypatch.setattr(node.access, "used", full)
        assert (await authenticator(node).bearer(header, ELSEWHERE)).user == "ada"


def test_a_secret_fits_what_was_kept_of_it() -> None:
    assert fits(SECRET, hashed(SECRET))
    assert not fits(SECRET, hashed("x")) and not fits("", hashed(SECRET))
    assert parts(whole("0123456789ab", SECRET)) == ("0123456789ab", SECRET)
    assert parts("toc_0123456789ab_" + "s" * 101) is None
    assert csrf_of(SECRET) != csrf_of("t" * 43) and SECRET not in csrf_of(SECRET)
