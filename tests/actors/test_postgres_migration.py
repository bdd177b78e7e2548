"""A database of a former version is opened: its audit log still holds, and goes on in the same chains."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import psycopg
import pytest

from actors.store.access import AuditFilter
from actors.store.port import Audit
from actors.store.postgres import PostgresStore
from actors.store.postgres_schema import migrations
from runtime.clock import Instant
from tests.conformance.store_kit import founded
from tests.conformance.test_store_access import complaints, meddle
from tocsin.embedded.postgres import EmbeddedPostgres

WRITTEN = "INSERT INTO tocsin.audit (at, actor, action, task_id, detail{more}) VALUES (%s, 'ada', 'EditTask', %s, '{{}}'{values})"

numbers = count(1)


@pytest.fixture(params=[1, 2, 3])
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def store(postgres_server: EmbeddedPostgres, version: int) -> Iterator[PostgresStore]:
    """Of this version, with five records, two of them written while another transaction held the first chain."""
    name = f"migrated{next(numbers)}"
    dsn = postgres_server.create_database(name)
    as_it_was(dsn, version)
    made = PostgresStore(dsn)
    assert founded(made).open(new_cluster_id="x", partitions=1, timezone_database="x").schema_version == max(
        migrations()
    )
    yield made
    made.close()
    postgres_server.drop_database(name)


def as_it_was(dsn: str, version: int) -> None:
    more, values = (", tenant", ", 'acme'") if version > 1 else ("", "")
    statement = WRITTEN.format(more=more, values=values)

    def write(connection: psycopg.Connection[Any], number: int) -> None:
        connection.execute(statement, (number, f"t{number}"))

    with psycopg.connect(dsn, autocommit=True) as connection, psycopg.connect(dsn) as other:
        connection.execute("CREATE SCHEMA tocsin")
        connection.execute("SET search_path = tocsin")
        for number in range(1, version + 1):
            connection.execute(migrations()[number].encode())
        connection.execute("INSERT INTO tocsin.meta VALUES ('schema_version', %s)", (str(version),))
        write(connection, 1)
        write(connection, 2)
        write(other, 3)
        write(connection, 4)
        other.commit()
        write(connection, 5)


def test_what_was_chained_before_still_verifies_and_goes_on(store: PostgresStore, version: int) -> None:
    # Records of no chain are taken for older ones as soon as there is one of a chain after them.
    assert complaints(store) == (["5 without a chain"] if version == 1 else [])
    rows, total = store.audit_page(AuditFilter())
    assert (total, {row.audit.origin + row.audit.change for row in rows}) == (5, {""})
    chained = sorted((row.chain, row.number) for row in rows if row.chain is not None)
    assert chained == ([] if version == 1 else [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1)])
    before = {(row.chain, row.number): row.hash for row in rows}
    store.add_audit(Audit(Instant(6), "eve", "EditTask", "t6", "{}", "acme", '{"address":"192.0.2.1"}', '{"after":1}'))
    store.add_audit(Audit(Instant(7), "eve", "EditTask", "t7", "{}", "acme"))
    assert complaints(store) == []
    rows, total = store.audit_page(AuditFilter())
    assert total == 7
    assert {
        key: value for key, value in ((((row.chain, row.number), row.hash)) for row in rows) if key in before
    } == before
    assert [row.audit.origin for row in rows[:2]] == ["", '{"address":"192.0.2.1"}']


@pytest.mark.parametrize("column", ["origin", "change", "detail", "tenant"])
def test_a_former_record_that_is_changed_afterwards_is_found(store: PostgresStore, version: int, column: str) -> None:
    """Also by what records of that version did not have: a chain does not verify with an origin that was put into it later."""
    meddle(store, f"UPDATE audit SET {column} = '[1]' WHERE task_id = 't2'")
    # Those of the first version are in no chain, which is what is said of them.
    assert len(complaints(store)) == 1
