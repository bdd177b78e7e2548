"""What is PostgreSQL's own: servers that restart, freeze or vanish, answers that are lost, and several nodes at the same time."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import count
from typing import Any

import attrs
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.model.execution import WaitsFor
from actors.model.lifecycle import State
from actors.model.occurrence import Outcome, Reason
from actors.store import postgres_transaction
from actors.store.port import Commit, Create, DeliveryWrite, ExecutionWrite, LogWrite, OutboxEntry, Update
from actors.store.postgres import PostgresStore
from actors.store.postgres_bulk import texts
from actors.store.postgres_link import Connection, PostgresLimits
from actors.store.postgres_write import PAYLOAD, payloads
from runtime.clock import Instant
from runtime.errors import LimitReached, StaleEpoch, StaleVersion, StoreDamaged, StoreUnavailable
from tests.actors.cutting_proxy import Cut, CuttingProxy
from tests.actors.records import create, definition, running, task, update
from tests.conformance.store_kit import commit, end, founded, stored
from tests.servers import server_directory
from tocsin.embedded.postgres import EmbeddedPostgres

SHORT = PostgresLimits(wait=1.0, answer=2.0, read=2.0, connect=1.0, doubt=2.0)
HANG = 30.0
"""Seconds after which something that should have ended counts as hanging: many times any limit above."""

numbers = count()


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server of its own, because it is restarted and frozen here."""
    with server_directory("postgres-faults") as directory, EmbeddedPostgres(directory / "server") as made:
        yield made


@pytest.fixture
def database(server: EmbeddedPostgres) -> Iterator[str]:
    name = f"store{next(numbers)}"
    yield server.create_database(name)
    server.drop_database(name)


@contextmanager
def opened(dsn: str, limits: PostgresLimits = SHORT) -> Iterator[PostgresStore]:
    store = PostgresStore(dsn, limits=limits)
    try:
        founded(store)
        yield store
    finally:
        store.close()


@pytest.fixture
def store(database: str) -> Iterator[PostgresStore]:
    with opened(database) as made:
        yield made


def patiently(attempt: Callable[[], Any]) -> Any:
    """Its answer, as soon as the store is there."""
    until = time.monotonic() + HANG
    while True:
        try:
            return attempt()
        except StoreUnavailable:
            assert time.monotonic() < until, "the store did not come back"
            time.sleep(0.02)


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """What each answers or raises, all begun at the same time in threads of their own."""
    answers: list[Any] = [None] * len(works)
    barrier = threading.Barrier(len(works))

    def run(place: int) -> None:
        barrier.wait()
        try:
            answers[place] = works[place]()
        except Exception as error:
            answers[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
        assert not thread.is_alive(), "a thread hangs"
    return answers


def execute(dsn: str, statement: str) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


# -- opening


def test_of_two_that_open_a_new_database_at_once_one_founds_it(database: str) -> None:
    stores = [PostgresStore(database) for _ in range(4)]
    identities = at_once(
        *(
            lambda one=one, place=place: one.open(
                new_cluster_id=f"cluster {place}", partitions=16, timezone_database="2026f"
            )
            for place, one in enumerate(stores)
        )
    )
    assert len({identity.cluster_id for identity in identities}) == 1
    assert (
        at_once(*(lambda one=one, place=place: commit(one, create(f"t{place}")) for place, one in enumerate(stores)))
        == [{}] * 4
    )
    assert stores[0].counts().tasks == 4
    for one in stores:
        one.close()


def test_a_newer_schema_is_refused(database: str) -> None:
    with opened(database):
        pass
    execute(database, "UPDATE tocsin.meta SET value = '999' WHERE key = 'schema_version'")
    with pytest.raises(StoreDamaged, match="999"):
        founded(PostgresStore(database))


def test_a_schema_of_somebody_else_is_refused(database: str) -> None:
    execute(database, "CREATE SCHEMA tocsin; CREATE TABLE tocsin.bells (id int)")
    with pytest.raises(StoreDamaged, match="something else"):
        founded(PostgresStore(database))
    assert execute(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'tocsin'") == [("bells",)]


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        founded(PostgresStore("postgresql://nobody@127.0.0.1:1/nothing", limits=SHORT))


def test_a_closed_store_is_unavailable(database: str) -> None:
    with opened(database) as store:
        pass
    for call in (store.counts, lambda: commit(store, create()), lambda: store.wakes(0.01), lambda: store.leave("b")):
        with pytest.raises(StoreUnavailable):
            call()


# -- servers that go and come


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_under_use_loses_and_doubles_nothing(
    server: EmbeddedPostgres, store: PostgresStore, mode: Any
) -> None:
    accepted: list[str] = []
    done = threading.Event()

    def work() -> None:
        for number in count():
            if done.is_set():
                return
            made = Commit({}, (Create(task(f"t{number:05}"), 0),))
            refused = patiently(lambda made=made: store.commit(made)).refused
            assert refused == {}
            accepted.append(f"t{number:05}")

    def restart() -> None:
        for _ in range(2):
            while_growing(accepted)
            server.restart(mode)
            while_growing(accepted)
        done.set()

    assert at_once(work, restart) == [None, None]
    assert store.task_ids(after="", limit=10**6) == accepted
    assert store.counts().tasks == len(accepted)


def while_growing(items: list[str]) -> None:
    """Until there are some more."""
    wanted, until = len(items) + 5, time.monotonic() + HANG
    while len(items) < wanted:
        assert time.monotonic() < until, "nothing goes on"
        time.sleep(0.005)


def test_who_is_cut_off_by_an_administrator_connects_anew(store: PostgresStore, database: str) -> None:
    commit(store, create("t1"))
    assert store.wakes(0.01) == []
    for number in range(3):
        assert store.counts().tasks == number + 1
        execute(
            database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'tocsin%'"
        )
        assert commit(store, create(f"other {number}")) == {}
    with pytest.raises(StoreUnavailable):
        store.wakes(0.5)
    assert store.wakes(0.01) == []


def test_a_frozen_server_is_unavailable_and_comes_back(server: EmbeddedPostgres, store: PostgresStore) -> None:
    commit(store, create("t1"))
    assert store.counts().tasks == 1
    server.freeze()
    try:
        begun = time.monotonic()
        failed = at_once(lambda: commit(store, create("t2")), store.counts)
        assert [type(error) for error in failed] == [StoreUnavailable, StoreUnavailable]
        with pytest.raises(StoreUnavailable):
            commit(store, create("t3"))
        assert time.monotonic() - begun < HANG
    finally:
        server.thaw()
    assert patiently(lambda: commit(store, create("t4"))) == {}
    assert store.task_ids(after="", limit=9) == ["t1", "t4"]


# -- answers that are lost


@pytest.fixture
def proxy(server: EmbeddedPostgres) -> Iterator[CuttingProxy]:
    with CuttingProxy(server.port) as made:
        yield made


def through(proxy: CuttingProxy, server: EmbeddedPostgres, database: str) -> str:
    return database.replace(f":{server.port}/", f":{proxy.port}/")


def test_a_commit_whose_answer_is_lost_happens_once(
    server: EmbeddedPostgres, database: str, proxy: CuttingProxy
) -> None:
    drawn, cuts = random.Random(7), 100
    with opened(through(proxy, server, database), PostgresLimits()) as store:
        commit(store, create("t1"), epochs={})
        for number in range(cuts):
            present = stored(store)
            cut: Cut = drawn.choice(["before", "after", "answered"])
            fired = running(
                f"e{number}", outcome=Outcome.LATE, reason=Reason.QUEUE, state=State.COMPLETED, ended_at=Instant(1)
            )
            proxy.cut = cut
            assert commit(store, update(present, ExecutionWrite(fired))) == {}, cut
            assert proxy.cut is None
            assert stored(store).state.version == present.state.version + 1
        assert store.executions("t1", offset=0, limit=1)[1] == cuts
        assert store.counts().by_reason == {"late: queue": cuts}
        proxy.cut = "after"
        assert store.raise_epochs({3: 5}, "boot") == {3: 1}


@pytest.mark.parametrize("cut", ["before", "after"])
def test_an_answer_that_stays_open_is_settled_before_anything_else(
    server: EmbeddedPostgres, database: str, proxy: CuttingProxy, cut: Cut
) -> None:
    with opened(through(proxy, server, database)) as store:
        commit(store, create("t1"))
        present = stored(store)
        made = Commit({}, updates=(update(present, state={"note": "first"}),))
        proxy.close_after_cut, proxy.cut = True, cut
        with pytest.raises(StoreUnavailable, match="not known"):
            store.commit(made)
        with pytest.raises(StoreUnavailable, match="not known"):
            commit(store, create("t2"))
        proxy.closed = False
        assert store.commit(made).refused == {}
        assert stored(store).state.note == "first"
        assert commit(store, update(present)) == {"t1": StaleVersion}
        assert commit(store, create("t2")) == {}


def test_another_request_after_an_open_answer_is_judged_by_what_happened(
    server: EmbeddedPostgres, database: str, proxy: CuttingProxy
) -> None:
    with opened(through(proxy, server, database)) as store:
        commit(store, create("t1"))
        present = stored(store)
        proxy.close_after_cut, proxy.cut = True, "after"
        with pytest.raises(StoreUnavailable):
            commit(store, update(present))
        proxy.closed = False
        assert commit(store, update(present)) == {"t1": StaleVersion}


def test_what_runs_is_told_when_no_commit_is_open_any_more(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def hanging(asked: Connection, query: Any, *arguments: Any, execute: Any = Connection.execute, **named: Any) -> Any:
        if query in ("COMMIT", postgres_transaction._END_OTHERS):
            raise psycopg.OperationalError("nothing is heard of it")
        return execute(asked, query, *arguments, **named)

    with opened(database, attrs.evolve(SHORT, lock=HANG)) as store:
        commit(store, create("t1"))
        with monkeypatch.context() as silence:
            silence.setattr(Connection, "execute", hanging)
            silence.setattr(Connection, "broken", True)
            silence.setattr(late := store._transactions.open(), "close", lambda: None)
            with pytest.raises(StoreUnavailable, match="not known"):
                commit(store, update(stored(store), ExecutionWrite(running("e1"))))
        assert not store.occupied()
        with closing(late), suppress(psycopg.Error):
            late.execute("COMMIT")
        assert store.occupied() == []


# -- several nodes


def test_who_stops_inside_a_transaction_does_not_keep_a_partition(store: PostgresStore, database: str) -> None:
    store.raise_epochs({3: 1}, "one")
    with psycopg.connect(database) as stopped:
        stopped.execute("SET idle_in_transaction_session_timeout = '500ms'")
        stopped.execute("SELECT epoch FROM tocsin.partitions WHERE id = 3 FOR SHARE")
        assert patiently(lambda: store.raise_epochs({3: 2}, "two")) == {3: 2}
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            stopped.execute("SELECT 1")


def test_a_takeover_is_seen_by_the_next_commit(store: PostgresStore, database: str) -> None:
    store.raise_epochs({0: 1}, "one")
    commit(store, create("t1"), epochs={0: 1})
    with opened(database) as other:
        other.raise_epochs({0: 2}, "two")
        late = update(stored(store))
        assert commit(store, late, epochs={0: 1}) == {"t1": StaleEpoch}
        assert commit(other, late, epochs={0: 2}) == {}


def test_of_changes_in_opposite_order_each_has_one_winner(store: PostgresStore, database: str) -> None:
    names = [f"t{number:02}" for number in range(40)]
    commit(store, *(create(name) for name in names))
    with opened(database, PostgresLimits()) as left, opened(database, PostgresLimits()) as right:
        for _ in range(5):
            tasks = sorted(left.tasks(names), key=lambda one: one.id)
            changes = [update(one) for one in tasks]
            first, second = at_once(partial(commit, left, *changes), partial(commit, right, *reversed(changes)))
            assert first.keys() | second.keys() == set(names)
            assert not first.keys() & second.keys()
            assert {*first.values(), *second.values()} == {StaleVersion}


def test_a_key_is_never_held_too_often_by_claims_of_several_nodes(store: PostgresStore, database: str) -> None:
    names = [f"t{number:02}" for number in range(24)]
    for name in names:
        waits = running(f"e {name}", name, state=State.WAITING, waits_for=WaitsFor.KEY, key="k", fence=0, boot=None)
        commit(store, Create(attrs.evolve(task(name), open=(waits,)), 0))

    def claims(node: PostgresStore, some: list[str]) -> Callable[[], dict[str, Any]]:
        tasks = sorted(node.tasks(some), key=lambda one: one.id)
        writes = [
            update(
                one,
                ExecutionWrite(
                    attrs.evolve(one.open[0], state=State.RUNNING, fence=1, boot="b"), one.open[0], key_limit=3
                ),
            )
            for one in tasks
        ]
        return lambda: [commit(node, *writes[at : at + 3]) for at in range(0, len(writes), 3)]  # type: ignore[return-value]

    with opened(database, PostgresLimits()) as left, opened(database, PostgresLimits()) as right:
        answers = at_once(claims(left, names[::2]), claims(right, names[1::2]))
    refused = {task_id: error for some in answers for one in some for task_id, error in one.items()}
    assert set(refused.values()) == {LimitReached}
    assert len(store.locks(99)) == 3
    assert {one.task_id for one in store.locks(99)} == set(names) - refused.keys()


def test_wake_ups_reach_the_others_and_not_oneself(store: PostgresStore, database: str) -> None:
    with opened(database) as other:
        assert (store.wakes(0.01), other.wakes(0.01)) == ([], [])
        commit(store, create("t1"))
        assert other.wakes(0.05) == []
        ids = [f"task {number} é" for number in range(700)]
        commit(store, wakes=tuple(ids))
        heard: list[str] = []
        until = time.monotonic() + HANG
        while len(heard) < len(ids) and time.monotonic() < until:
            heard += other.wakes(0.5) or []
        assert heard == ids
        assert store.wakes(0.05) == []


def test_a_refused_batch_wakes_for_what_was_accepted(store: PostgresStore, database: str) -> None:
    commit(store, create("t1"))
    with opened(database) as other:
        other.wakes(0.01)
        assert commit(store, create("t1"), create("t2"), wakes=("t2",)) != {}
        assert other.wakes(5) == ["t2"]


# -- counters


def test_the_counters_of_writers_that_are_gone_are_folded(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        with opened(database) as store:
            missed = running(f"e{number}", f"t{number}", outcome=Outcome.LATE, reason=Reason.QUEUE)
            commit(store, Create(attrs.evolve(task(f"t{number}"), open=(missed,)), 0))
            before = store.counts()
    monkeypatch.setattr(postgres_transaction, "FOLDED_AFTER", -1)
    with opened(database) as store:
        assert store.counts() == before
        commit(store, end(stored(store, "t0")))
        assert store.counts().by_reason == {"late: queue": 3}
    assert len(execute(database, "SELECT writer FROM tocsin.totals")) <= 2


# -- texts


@pytest.fixture(scope="module")
def asking(server: EmbeddedPostgres) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        yield connection


@given(values=st.lists(st.none() | st.text(st.characters(codec="utf-8"), max_size=6), min_size=1, max_size=5))
def test_arrays_hold_any_text(asking: psycopg.Connection, values: list[str | None]) -> None:
    row = asking.execute("SELECT %s::text[]", (texts(values),)).fetchone()
    assert row == ([None if value is None else value.replace("\0", "�") for value in values],)


def test_what_cannot_be_stored_refuses_its_task_alone(store: PostgresStore) -> None:
    refused = commit(store, create("t1"), create("t2", name="half \ud800"), create("t3"))
    assert list(refused) == ["t2"]
    assert store.task_ids(after="", limit=9) == ["t1", "t3"]


def test_odd_texts_of_handlers_stop_nobody(store: PostgresStore) -> None:
    entry = OutboxEntry("d", "t1", None, "event", Instant(1), Instant(1), "{}")
    assert commit(store, Create(attrs.evolve(task(), open=(running(),)), 0), outbox=(entry,)) == {}
    lines = LogWrite("e1", 1, ((Instant(1), "INFO", "zero \0, half \ud800"),))
    delivery = DeliveryWrite("d", "t1", None, "event", Instant(1), "given_up", detail="\0 \ud800")
    assert commit(store, logs=(lines,), deliveries=(delivery,)) == {}
    assert [line.text for line in store.logs("e1", after=0, limit=9)] == ["zero �, half \\ud800"]
    assert store.deliveries("t1", offset=0, limit=9)[1] == 1


@given(st.lists(st.text(max_size=40), max_size=600))
def test_wake_ups_fit_into_notifications(ids: list[str]) -> None:
    made = payloads(ids)
    assert all(len(payload.encode()) <= PAYLOAD for payload in made)
    assert [one for payload in made for one in json.loads(payload)] == list(dict.fromkeys(ids))


def test_a_task_may_have_a_definition_of_any_size(store: PostgresStore) -> None:
    made = definition(parameters='{"a":"' + "x" * 200_000 + '"}')
    assert commit(store, Create(attrs.evolve(task(), definition=made), 0)) == {}
    assert stored(store).definition == made
    edited = Update("t1", 0, 1, attrs.evolve(stored(store).state, version=2, revision=2), None, definition=definition())
    assert commit(store, edited) == {}
    assert [one.definition for one in store.revisions("t1")] == [made, definition()]


@pytest.mark.parametrize("state", ["active", "idle in transaction"])
def test_a_client_that_stopped_while_it_was_sending_holds_nothing_for_long(
    store: PostgresStore, database: str, state: str
) -> None:
    assert commit(store, create("t")) == {}
    stopped = psycopg.connect(database, autocommit=True, application_name="tocsin stopped")
    try:
        stopped.execute("SET idle_in_transaction_session_timeout = '100ms'; SET statement_timeout = '100ms'")
        sending = stopped.pgconn
        sending.enter_pipeline_mode()
        sending.send_query_params(b"BEGIN", None)
        sending.send_query_params(b"UPDATE tocsin.tasks SET version = 7", None)
        if state != "active":
            sending.pipeline_sync()
        sending.send_flush_request()
        assert sending.flush() == 0
        holding = f"SELECT 1 FROM pg_stat_activity WHERE application_name = 'tocsin stopped' AND state = '{state}'"
        patiently(lambda: _true(bool(execute(database, holding))))
        time.sleep(0.3)
        assert execute(database, holding), "the server ends it by itself: nobody else needs to"
        patiently(lambda: (store.bury([]), _true(not execute(database, holding))))
    finally:
        stopped.close()
    assert execute(database, "SELECT version FROM tocsin.tasks") == [(1,)]


def _true(holds: bool) -> None:
    if not holds:
        raise StoreUnavailable("not yet")
