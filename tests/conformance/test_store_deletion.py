"""Nothing of a deleted task comes back when its ids are used again."""

from __future__ import annotations

import attrs

from actors.model.execution import Attempt, Failure
from actors.model.lifecycle import State
from actors.model.occurrence import Outcome, Reason, Settled
from actors.store.port import CheckpointWrite, LogWrite, ProgressWrite, Store
from runtime.clock import Instant
from tests.actors.records import update

from .store_kit import LATE, add_running, commit, end, stored


def test_nothing_is_left_of_a_deleted_task(store: Store) -> None:
    held = add_running(store)
    checkpoint = CheckpointWrite("e of t1", "t1", 1, "[1]")
    line = LogWrite("e of t1", 1, ((Instant(1), "INFO", "x"),))
    progress = ProgressWrite("e of t1", 1, "{}")
    kept = update(held, checkpoints=(checkpoint,))
    assert commit(store, attrs.evolve(kept, state=held.state), logs=(line,), progress=(progress,)) == {}
    archive = Attempt("e of t1", 7, 7, "n", "b", State.FAILED, Instant(1), Instant(2), Failure("E", "m"))
    row = Settled("t1", Instant(5), Instant(6), 2, Outcome.MISSED, Reason.DOWNTIME, Instant(9), 1)
    ending = end(stored(store), write={"archive": archive, "result": "1"}, settled=(row,))
    assert commit(store, ending) == {}
    edited = stored(store)
    assert commit(store, update(edited, definition=attrs.evolve(edited.definition, name="other"))) == {}
    detail = store.execution("e of t1")
    assert detail is not None and detail.attempts and detail.result == "1" and detail.progress == "{}"
    assert store.checkpoint("e of t1") == "[1]"
    assert store.outcomes("t1", since=Instant(0), until=LATE, limit=9)
    assert commit(store, update(stored(store), delete=True)) == {}

    assert store.checkpoint("e of t1") is None
    add_running(store, outcome=None)
    again = store.execution("e of t1")
    assert again is not None
    assert ([entry for entry in again.attempts if entry.number == 7], again.result, again.progress) == ([], None, None)
    assert store.checkpoint("e of t1") is None
    assert store.logs("e of t1", after=0, limit=9) == []
    assert [found.first for found in store.outcomes("t1", since=Instant(0), until=LATE, limit=9)] == [90]
    assert [revision.revision for revision in store.revisions("t1")] == [1]
