"""What PostgreSQL looks at: questions that are asked all the time must not read whole tables."""

from __future__ import annotations

from contextlib import closing

import psycopg

from actors.store.postgres import PostgresStore
from actors.store.postgres_shared import DEAD_BOOTS
from tests.conformance.store_kit import founded
from tocsin.embedded.postgres import EmbeddedPostgres


def test_who_is_dead_is_looked_for_in_the_index_of_what_is_open(postgres_server: EmbeddedPostgres) -> None:
    """Every node asks once a second, however many executions are kept."""
    database = postgres_server.create_database("plans")
    with closing(PostgresStore(database)) as store:
        founded(store)
    with psycopg.connect(database, autocommit=True, options="-c search_path=tocsin -c enable_seqscan=off") as link:
        plan = "\n".join(line for (line,) in link.execute(f"EXPLAIN {DEAD_BOOTS}"))
    assert "executions_open" in plan
    assert "Seq Scan on executions" not in plan
