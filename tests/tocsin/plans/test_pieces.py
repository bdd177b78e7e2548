"""Work on many definitions is cut into pieces, each of which has its turn, and comes to the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from actors.lanes import COMPUTED
from runtime.turns import CHANGES
from tocsin.plans import pieces
from tocsin.plans.documents import Source, read_files, reading_files
from tocsin.plans.pieces import COMPARED_AT_ONCE, READ_AT_ONCE, STEPS_AT_ONCE, computed, in_turns, worked


class Recorder:
    """Stands for a node, its turns and its world: notes who had a turn, and what ran in which lane."""

    def __init__(self) -> None:
        self.turns = self.world = self
        self.seen: list[str] = []

    async def take(self, kind: str) -> None:
        self.seen.append(kind)

    async def blocking(self, function: Callable[..., Any], *arguments: Any, lane: str) -> Any:
        self.seen.append(lane)
        return function(*arguments)


Many = Callable[[Any, Callable[[int], int], range], Awaitable[list[int]]]


@pytest.mark.parametrize(
    ("many", "at_once", "each"),
    [(in_turns, READ_AT_ONCE, [CHANGES]), (computed, COMPARED_AT_ONCE, [CHANGES, COMPUTED])],
    ids=["loop", "thread"],
)
async def test_each_piece_has_a_turn(many: Many, at_once: int, each: list[str]) -> None:
    node = Recorder()
    assert await many(node, lambda one: one * one, range(3 * at_once + 1)) == [n * n for n in range(3 * at_once + 1)]
    assert node.seen == 4 * each
    assert await many(Recorder(), lambda one: one, range(0)) == []


async def test_work_that_pauses_goes_on_in_its_next_turn() -> None:
    def work() -> Iterator[None]:
        for _ in range(2 * STEPS_AT_ONCE):
            yield
        return "done"  # type: ignore[return-value]

    node = Recorder()
    assert await worked(node, work()) == "done"  # type: ignore[arg-type]
    assert node.seen == 3 * [CHANGES, COMPUTED]


async def test_a_file_is_read_in_pieces_as_at_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = "".join(f"  - name: t{number}\n    taskType: x\n    trigger: {{every: 1h}}\n" for number in range(40))
    sources = [Source("a.yaml", f"tasks:\n{tasks}"), Source("b.json", '{\n\t"tasks": [{"name": "j"}]\n}')]
    monkeypatch.setattr(pieces, "STEPS_AT_ONCE", 10)
    node = Recorder()
    found, whole = await worked(node, reading_files(sources)), read_files(sources)  # type: ignore[arg-type]
    assert len(node.seen) > 10
    assert [(one.name, one.line, one.body) for one in found.tasks] == [
        (one.name, one.line, one.body) for one in whole.tasks
    ]
    assert len(found.tasks) == 41


async def test_what_raises_between_two_pauses_raises_out_of_the_whole() -> None:
    def work() -> Iterator[None]:
        yield
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        await worked(Recorder(), work())  # type: ignore[arg-type]
