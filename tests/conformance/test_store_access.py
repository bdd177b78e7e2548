"""Tokens and the audit log's chains, over both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from actors.model.occurrence import Outcome, Reason, Settled
from actors.model.retention import Retention, Slice, Stage
from actors.rules.audit_chain import digest, end_fault, faults
from actors.store.access import AccessStore, AuditFilter, Token
from actors.store.answers import TaskFilter
from actors.store.port import Audit, Commit
from actors.store.postgres import PostgresStore
from actors.store.sqlite import SqliteStore
from runtime.clock import Instant
from runtime.companion import Companion
from runtime.errors import Conflict
from runtime.records import evolve
from tests.actors.records import create
from tests.conformance.store_kit import SteppedClock, emptied, founded

Databases = SqliteStore | PostgresStore


@pytest.fixture(params=["sqlite", "sqlite apart", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: SteppedClock) -> Iterator[Databases]:
    made: Databases = (
        PostgresStore(emptied(request.getfixturevalue("conformance_database")), clock=clock)
        if request.param == "postgres"
        else SqliteStore(tmp_path / "store.db", clock=clock, companion=None if request.param == "sqlite" else Companion)
    )
    founded(made)
    yield made
    made.close()


def token(number: int = 1, **changes: Any) -> Token:
    plain = Token(
        f"id{number}", "hash", "token", "name", "ada", "acme", False, "operator", Instant(number), "administrator"
    )
    return evolve(plain, **changes)


def audit(number: int, text: str = "detail") -> Audit:
    return Audit(Instant(number), "ada", "EditTask", f"t{number}", text, "acme")


def complaints(store: Databases) -> list[str]:
    """What is wrong with all chains, a few records at a time."""
    found = [f"{store.unchained()} without a chain"] if store.unchained() else []
    for head in store.audit_heads():
        number, before = head.anchor_number, head.anchor_hash
        while rows := store.audit_chain(head.chain, after=number, limit=3):
            found += faults(head, number, before, rows)
            number, before = rows[-1].number, rows[-1].hash
        end = end_fault(head, number, before)
        found += [] if end is None else [end]
    return found


def meddle(store: Databases, statement: str) -> None:
    """As somebody does who has the database."""
    if isinstance(store, SqliteStore):
        store._token_change(lambda connection: connection.execute(statement))
    else:
        store._write(lambda connection: connection.execute(statement))


def test_tokens_are_kept_and_revoked_with_their_sessions(store: Databases) -> None:
    assert isinstance(store, AccessStore)
    store.add_token(token(1), audit(1))
    store.add_token(token(2, tenant=None, own=True, expires_at=Instant(50)), None)
    store.add_token(token(3, kind="session", parent="id1"), None)
    with pytest.raises(Conflict):
        store.add_token(token(1), audit(2))
    assert store.token("id2") == token(2, tenant=None, own=True, expires_at=Instant(50))
    assert [one.id for one in store.tokens(None)] == ["id2", "id1"]
    assert store.tokens("acme") == [token(1)]
    assert store.tokens("other") == []
    store.use_token("id1", Instant(7))
    store.revoke_token("id1", Instant(9), audit(3))
    store.revoke_token("id1", Instant(11), None)
    revoked = [(one.used_at, one.revoked_at) for one in map(store.token, ("id1", "id3")) if one is not None]
    assert revoked == [(7, 9), (None, 9)]
    assert [one.task_id for one in store.audits(offset=0, limit=9)] == ["t3", "t1"]
    assert store.drop_tokens(Instant(51)) == 3
    assert store.token("id1") is None


def test_all_sessions_of_one_token_end_and_the_token_stays(store: Databases) -> None:
    for number, parent in ((3, "id1"), (4, "id1"), (5, "id2"), (6, None)):
        store.add_token(token(number, kind="session", parent=parent), None)
    store.add_token(token(1), None)
    store.add_token(token(7, parent="id1"), None)
    store.end_sessions("id1", Instant(9), audit(3))
    found = {
        one.id: one.revoked_at for one in map(store.token, (f"id{number}" for number in (1, 3, 4, 5, 6, 7))) if one
    }
    assert found == {"id1": None, "id3": 9, "id4": 9, "id5": None, "id6": None, "id7": None}
    assert [one.task_id for one in store.audits(offset=0, limit=9)] == ["t3"]


def test_every_record_is_in_a_chain(store: Databases) -> None:
    for number in range(8):
        store.commit(Commit({}, audits=(audit(number, "é\x1f'\""), audit(number + 100))))
    assert complaints(store) == []
    (head,) = store.audit_heads()
    rows = store.audit_chain(head.chain, after=0, limit=99)
    assert [row.number for row in rows] == list(range(1, 17))
    assert rows[1].hash == digest(rows[0].hash, head.chain, 2, rows[1].audit) != rows[0].hash
    page, total = store.audit_page(AuditFilter(tenant="acme", task_id="t3", actor="ada"))
    assert (total, [row.audit for row in page]) == (1, [audit(3, "é\x1f'\"")])
    assert store.audit_page(AuditFilter(tenant="other")) == ([], 0)
    page, total = store.audit_page(AuditFilter(since=Instant(100), until=Instant(103), limit=2, offset=1))
    assert (total, [row.audit.at for row in page]) == (4, [102, 101])


def test_commits_that_were_prepared_together_keep_the_chain(store: Databases) -> None:
    """Also where one of them is refused, and somebody else adds a record in between."""
    store.commit(Commit({}, audits=(audit(0),)))
    ahead = [
        store.prepared(Commit({}, (create(name),), audits=(evolve(audit(number), task_id=name),)))
        for number, name in enumerate(("a", "b", "a", "c", "d"), 1)
    ]
    refused = []
    for number, call in enumerate(ahead):
        refused += list(call().refused)
        if number in (1, 3):
            store.add_audit(audit(10 + number))
    assert refused == ["a"]
    assert complaints(store) == []
    found = [one.at for one in store.audits(offset=0, limit=99)]
    assert sorted(found) == sorted(audit(number).at for number in (0, 1, 2, 4, 5, 11, 13))


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("UPDATE audit SET actor = 'eve' WHERE number = 3", "record 3 is not as it was written"),
        ("UPDATE audit SET at = at + 1 WHERE number = 1", "record 1 is not as it was written"),
        ("UPDATE audit SET tenant = '' WHERE number = 2", "record 2 is not as it was written"),
        ("UPDATE audit SET detail = 'detai', task_id = 'l' || task_id WHERE number = 2", "record 2 is not"),
        ("DELETE FROM audit WHERE number IN (2, 3)", "records 2 to 3 are missing"),
        ("DELETE FROM audit WHERE number = 1", "record 1 is missing"),
        ("DELETE FROM audit WHERE number = 5", "record 5 is missing"),
        ("DELETE FROM audit", "records 1 to 5 are missing"),
        ("UPDATE audit SET chain = NULL WHERE number = 4", "1 without a chain"),
        ("UPDATE audit_chains SET number = 4", "not fit"),
        ("UPDATE audit_chains SET anchor_number = 2", "record 3 is not as it was written|there twice"),
    ],
)
def test_what_somebody_changes_in_the_database_is_found(store: Databases, statement: str, complaint: str) -> None:
    store.commit(Commit({}, audits=tuple(audit(number) for number in range(5))))
    assert complaints(store) == []
    meddle(store, statement)
    found = complaints(store)
    assert found != []
    if "audit_chains" not in statement:
        assert any(complaint in one for one in found), found


def test_what_is_removed_with_age_leaves_an_anchor(store: Databases) -> None:
    store.commit(Commit({}, audits=tuple(audit(number) for number in range(7))))
    wanted = Slice(Stage.AUDITS, Retention(audits=3), Instant(99), limit=2)
    assert store.purge(wanted).removed == 2
    assert complaints(store) == []
    assert store.purge(wanted).removed == 2
    assert store.purge(wanted).removed == 0
    (head,) = store.audit_heads()
    assert (head.anchor_number, head.number) == (4, 7)
    assert complaints(store) == []
    store.commit(Commit({}, audits=(audit(8),)))
    meddle(store, "DELETE FROM audit WHERE number = 5")
    assert complaints(store) == [f"chain {head.chain}: record 5 is missing"]


def test_a_record_goes_with_its_change_or_not_at_all(store: Databases) -> None:
    store.commit(Commit({}, (create("t1"),), audits=(Audit(Instant(1), "ada", "CreateTask", "t1"),)))
    again = Commit({}, (create("t1"),), audits=(Audit(Instant(2), "ada", "CreateTask", "t1"),))
    assert set(store.commit(again).refused) == {"t1"}
    store.commit(Commit({}, audits=(audit(5),)))
    assert [row.audit.at for row in store.audit_page(AuditFilter())[0]] == [5, 1]
    assert complaints(store) == []


def test_a_list_holds_the_tasks_of_one_owner(store: Databases) -> None:
    long = '{"a":"' + "x" * 2100 + '"}'
    made = (
        create("t1", owner="ada"),
        create("t2", owner="bob"),
        create("t3", owner="ada", parameters=long),
        create("t4"),
    )
    store.commit(Commit({}, made))
    page = store.page(TaskFilter(owner="ada"))
    assert ([one.id for one in page.tasks], page.total) == (["t1", "t3"], 2)
    assert store.page(TaskFilter(owner="ada", tenant="other")).total == 0
    assert store.page(TaskFilter(owner="")).total == 1


def test_writers_at_the_same_time_take_chains_of_their_own(request: pytest.FixtureRequest, clock: SteppedClock) -> None:
    dsn = emptied(request.getfixturevalue("conformance_database"))
    one, other = PostgresStore(dsn, clock=clock), PostgresStore(dsn, clock=clock)
    founded(one)
    founded(other)
    try:
        one.commit(Commit({}, audits=(audit(1),)))

        def within(connection: Any) -> None:
            connection.execute("INSERT INTO audit (at, actor, action, task_id, detail) VALUES (2, 'a', 'b', '', '')")
            # While this transaction has the first chain, nobody waits for it.
            other.commit(Commit({}, audits=(audit(3), audit(4))))

        one._write(within)
        other.commit(Commit({}, audits=(audit(5),)))
        assert [head.number for head in one.audit_heads()] == [3, 2]  # 1, 2 and 5 in the first, 3 and 4 in the second
        assert complaints(one) == []
    finally:
        one.close()
        other.close()


def test_totals_of_a_tenant_are_those_of_its_tasks(store: Databases) -> None:
    store.commit(Commit({}, (create("t1", tenant="acme", owner="ada"), create("t2", tenant="acme"), create("t3"))))
    assert (store.counts_of("acme", None).tasks, store.counts_of("acme", "ada").tasks) == (2, 1)
    assert store.counts_of("acme", "ada").by_status == {"SCHEDULED": 1}
    late = attrs.evolve(
        create("t4", tenant="acme", owner="ada"),
        settled=(Settled("t4", Instant(1), Instant(3), 3, Outcome.MISSED, Reason.DOWNTIME, Instant(5), 1),),
    )
    store.commit(Commit({}, (late,)))
    found = store.counts_of("acme", "ada")
    assert (found.by_outcome, found.by_reason) == ({"missed": 3}, {"missed: downtime": 3})
    assert (store.counts_of("", None).tasks, store.counts_of("", None).by_outcome) == (1, {})
