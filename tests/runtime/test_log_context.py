from __future__ import annotations

import trio

from runtime.log_context import log_facts, log_from_here_with, logged_with


async def test_facts_follow_tasks_and_threads_and_end_with_the_block() -> None:
    found = []

    async def note() -> None:
        found.append(dict(log_facts()))

    assert log_facts() == {}
    with logged_with(lambda: {"request": "r"}):
        with logged_with(lambda: {"execution": "e"}):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(note)
            found.append(await trio.to_thread.run_sync(lambda: dict(log_facts())))
        await note()
    await note()
    assert found == [{"request": "r", "execution": "e"}] * 2 + [{"request": "r"}, {}]


async def test_facts_for_good_are_those_of_one_task() -> None:
    found = []

    async def work(name: str) -> None:
        log_from_here_with(lambda: {"work": name})
        await trio.lowlevel.checkpoint()
        found.append(dict(log_facts()))

    with logged_with(lambda: {"request": "r"}):
        async with trio.open_nursery() as nursery:
            for name in "ab":
                nursery.start_soon(work, name)
        assert log_facts() == {"request": "r"}
    assert sorted(found, key=str) == [{"request": "r", "work": "a"}, {"request": "r", "work": "b"}]
